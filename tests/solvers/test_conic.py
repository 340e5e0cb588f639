"""The conic formulation: every solver, the fall through the list, and MOSEK's own task without a licence.

An unlicensed MOSEK builds and writes tasks but does not optimize them. So the task that cvxpy builds for MOSEK is
written to a file, what the file says is solved by Clarabel, the solution is put into the task, and cvxpy unpacks it as
it would unpack MOSEK's: everything of that method is exercised but the optimizer itself.
"""

import json
import math
from pathlib import Path
from typing import Any

import clarabel
import cvxpy as cp
import mosek
import numpy as np
import pytest
from scipy import sparse

import solvers.conic as conic
from solvers import L2, Bridge, FourierBridge, Regularizer, Schatten, Status, max_margin

RNG = np.random.default_rng(51)
X = RNG.standard_normal((7, 10))
y = np.sign(X @ RNG.standard_normal(10))
OUTPUTS = np.sign(X @ RNG.standard_normal((10, 3)))
PROBLEMS: list[tuple[str, Regularizer, np.ndarray, np.ndarray]] = [
    ("SVM", L2(), X, y),
    ("SVM as bridge", Bridge(2), X, y),
    ("LP", Bridge(1), X, y),
    ("SOCP, even", FourierBridge(1), X, y),
    ("SOCP, odd", FourierBridge(1), X[:, :9], np.sign(X[:, :9] @ np.arange(1, 10))),
    ("SOCP, image", FourierBridge(1), X[:, :9].reshape(7, 3, 3), np.sign(X[:, :9] @ np.arange(1, 10))),
    ("SDP, nuclear", Schatten(1), X, OUTPUTS),
]
IDS = [name for name, *_ in PROBLEMS]


@pytest.mark.parametrize(("regularizer", "points", "labels"), [p[1:] for p in PROBLEMS], ids=IDS)
def test_the_two_methods_agree(regularizer: Regularizer, points: np.ndarray, labels: np.ndarray) -> None:
    ours = max_margin(points, labels, regularizer)
    other = max_margin(points, labels, regularizer, method="conic", tol=1e-6)
    assert other.stats["method"] == "conic"
    assert other.stats["solver"] == ("MOSEK" if conic.mosek_licence() else "CLARABEL")
    assert other.status is Status.OPTIMAL
    assert other.objective == pytest.approx(ours.objective, rel=1e-7)
    # where the value is met to 1e-9 a direction of a curved norm is met to its square root
    np.testing.assert_allclose(other.beta, ours.beta, rtol=0, atol=1e-4 * np.abs(ours.beta).max())


@pytest.mark.parametrize(("regularizer", "points", "labels"), [p[1:] for p in PROBLEMS], ids=IDS)
def test_scs_alone_gets_there_too(
    monkeypatch: pytest.MonkeyPatch, regularizer: Regularizer, points: np.ndarray, labels: np.ndarray
) -> None:
    monkeypatch.setattr(conic, "solver_order", lambda: ("SCS",))
    solution = max_margin(points, labels, regularizer, method="conic", tol=1e-5)
    assert solution.stats["solver"] == "SCS"
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(max_margin(points, labels, regularizer).objective, rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 6), (3, 5)])
def test_nuclear_norm_against_cvxpys_own_atom(shape: tuple[int, int]) -> None:
    """Several outputs: labels (N, M), constraints y_{nm} (β x_n)_m ≥ 1 for every pair, β (M, D)."""
    rng = np.random.default_rng(shape[0])
    m, d = shape
    points = rng.standard_normal((5, d))
    labels = np.sign(points @ rng.standard_normal((d, m)))
    beta = cp.Variable((m, d))
    program = cp.Problem(cp.Minimize(cp.normNuc(beta)), [cp.multiply(labels, points @ beta.T) >= 1])
    program.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    solution = max_margin(points, labels, Schatten(1))
    assert solution.beta.shape == shape
    assert solution.dual.shape == labels.shape
    assert solution.objective == pytest.approx(program.value, rel=1e-7)
    assert solution.objective == pytest.approx(np.linalg.norm(solution.beta, "nuc"), rel=1e-12)
    assert (labels * (points @ solution.beta.T)).min() == pytest.approx(1, abs=1e-9)
    assert solution.certificate.gap <= 1e-9
    # the multipliers certify it: the operator norm of Σ α_{nm} y_{nm} e_m x_nᵀ is one, their sum the value
    z = np.einsum("nm,nm,nd->md", solution.dual, labels, points)
    assert np.linalg.norm(z, 2) == pytest.approx(1, rel=1e-9)
    assert solution.dual.sum() == pytest.approx(solution.objective, rel=1e-6)


def test_one_output_makes_every_schatten_norm_the_euclidean_one() -> None:
    euclidean = max_margin(X, y, L2())
    for p in (1, 2):
        solution = max_margin(X, y[:, None], Schatten(p), tol=1e-6)
        assert solution.objective == pytest.approx(euclidean.objective, rel=1e-7)
        np.testing.assert_allclose(solution.beta[0], euclidean.beta, atol=1e-4 * np.abs(euclidean.beta).max())


# --- MOSEK without a licence


def cone_program(task: dict[str, Any]) -> tuple[Any, ...]:
    """min qᵀx s.t. Gx + s = h, s in cones, from the JSON of a task: max cᵀx + ⟨C̄, X̄⟩, equalities, bounds, cones.

    A semidefinite variable is Clarabel's scaled triangle: the upper one by columns, √2 off the diagonal.
    """
    data, n, m = task["Task/data"], task["Task/INFO"]["numvar"], task["Task/INFO"]["numcon"]
    assert data["objective"]["sense"] == "max"
    sizes = data.get("barvar", {}).get("dim", [])
    starts = np.cumsum([n, *[k * (k + 1) // 2 for k in sizes]])
    total = int(starts[-1])
    q = np.zeros(total)
    c = data["objective"].get("c", {"subj": [], "val": []})
    q[c["subj"]] = -np.array(c["val"])
    A = sparse.lil_matrix((m, total))
    entries = data.get("A", {"subi": [], "subj": [], "val": []})
    for i, j, v in zip(entries["subi"], entries["subj"], entries["val"], strict=True):
        A[i, j] = v

    def bar(j: int, weights: list[float], matrices: list[int]) -> list[tuple[int, float]]:
        out = []
        for weight, index in zip(weights, matrices, strict=True):
            order, rows, columns, values = data["MatrixStore"][index]
            assert order == sizes[j]
            for r, s, v in zip(rows, columns, values, strict=True):
                where = int(starts[j]) + r * (r + 1) // 2 + s  # r ≥ s: upper triangle by columns of the transpose
                out.append((where, weight * v * (1.0 if r == s else np.sqrt(2.0))))
        return out

    for j, weights, matrices in data["objective"].get("barc", []):
        for where, value in bar(j, weights, matrices):
            q[where] -= value
    for i, j, weights, matrices in data.get("bara", []):
        for where, value in bar(j, weights, matrices):
            A[i, where] += value
    assert set(data["con"]["bk"]) == {"fx"}
    rows, right, cones = [A.tocsc()], [np.array(data["con"]["bl"])], [clarabel.ZeroConeT(m)]
    identity = sparse.identity(total, format="csc")
    low = [j for j, key in enumerate(data["var"]["bk"]) if key == "lo"]
    assert all(key in ("lo", "fr") for key in data["var"]["bk"])
    assert not any(data["var"]["bl"][j] for j in low)
    if low:
        rows.append(-identity[low])
        right.append(np.zeros(len(low)))
        cones.append(clarabel.NonnegativeConeT(len(low)))
    cone = data.get("qcone", {"type": [], "members": []})
    assert set(cone["type"]) <= {"quad"}
    for members in cone["members"]:
        rows.append(-identity[members])
        right.append(np.zeros(len(members)))
        cones.append(clarabel.SecondOrderConeT(len(members)))
    for j, order in enumerate(sizes):
        rows.append(-identity[int(starts[j]) : int(starts[j + 1])])
        right.append(np.zeros(order * (order + 1) // 2))
        cones.append(clarabel.PSDTriangleConeT(order))
    return q, sparse.vstack(rows, format="csc"), np.concatenate(right), cones, n, m, sizes, starts


def optimize_by_clarabel(task: mosek.Task) -> mosek.rescode:
    """What `task.optimize()` does with a licence, by another solver that only sees the written file."""
    path = Path(WRITTEN["folder"]) / f"{len(WRITTEN['tasks'])}.jtask"
    task.writedata(str(path))
    written = json.loads(path.read_text())
    WRITTEN["tasks"].append(written)
    q, G, h, cones, n, m, sizes, starts = cone_program(written)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    P = sparse.csc_matrix((q.size, q.size))
    answer = clarabel.DefaultSolver(P, q, G, h, cones, settings).solve()
    assert str(answer.status) in ("Solved", "AlmostSolved")
    x, z = np.array(answer.x), np.array(answer.z)
    slack = np.zeros(n)  # c − Aᵀy − Ā*y on the scalar variables, by the rows −x ≤ 0 and −x ∈ cone
    slack_rows = -(G[m:, :n].T @ z[m:])
    low = np.array([key == "lo" for key in written["Task/data"]["var"]["bk"]])
    slack[low] = -slack_rows[low]
    itr, basic = mosek.soltype.itr, mosek.stakey.bas
    yy = z[:m]
    task.putsolution(
        itr,
        [mosek.stakey.fix] * m,
        [basic] * n,
        None,
        written["Task/data"]["con"]["bl"],
        x[:n].tolist(),
        yy.tolist(),
        np.maximum(yy, 0).tolist(),
        np.maximum(-yy, 0).tolist(),
        slack.tolist(),
        [0.0] * n,
        (-slack_rows * ~low).tolist(),
    )
    for j, order in enumerate(sizes):
        triangle = x[int(starts[j]) : int(starts[j + 1])]
        matrix = np.zeros((order, order))
        for r in range(order):
            for s in range(r + 1):
                value = triangle[r * (r + 1) // 2 + s]
                matrix[r, s] = value if r == s else value / np.sqrt(2.0)
        task.putbarxj(itr, j, [matrix[r, s] for s in range(order) for r in range(s, order)])
    # MOSEK's own opinion of that point in its own task: objectives and violations of each kind
    primal, *primal_violations, dual = task.getsolutioninfo(itr)[:7]
    WRITTEN["seen by MOSEK"] = (primal, primal_violations, dual)
    return mosek.rescode.ok


WRITTEN: dict[str, Any] = {}


@pytest.fixture
def unlicensed_mosek(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """MOSEK first in the list, with Clarabel standing in for its optimizer. Returns the tasks as written."""
    WRITTEN.update(folder=tmp_path, tasks=[])
    monkeypatch.setattr(mosek.Task, "optimize", optimize_by_clarabel)
    monkeypatch.setattr(mosek.Task, "getsolsta", lambda task, which: mosek.solsta.optimal)  # its optimizer would say
    monkeypatch.setattr(conic, "solver_order", lambda: ("MOSEK",))
    return WRITTEN["tasks"]


@pytest.mark.parametrize(("regularizer", "points", "labels"), [p[1:] for p in PROBLEMS], ids=IDS)
def test_mosek_tasks_say_what_we_mean(
    unlicensed_mosek: list[dict[str, Any]], regularizer: Regularizer, points: np.ndarray, labels: np.ndarray
) -> None:
    solution = max_margin(points, labels, regularizer, method="conic", tol=1e-6)
    assert solution.stats["solver"] == "MOSEK"
    (task,) = unlicensed_mosek
    assert task["Task/INFO"]["numbarvar"] == isinstance(regularizer, Schatten)
    if isinstance(regularizer, FourierBridge):
        # one cone for each conjugate pair and each self-conjugate frequency
        assert len(task["Task/data"]["qcone"]["members"]) == points[0].size // 2 + 1
    tolerances = task["Task/parameters"]["dparam"]
    assert tolerances["INTPNT_CO_TOL_REL_GAP"] == 1e-12  # our options arrived
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(max_margin(points, labels, regularizer).objective, rel=1e-7)
    primal, violations, _ = WRITTEN["seen by MOSEK"]
    assert max(violations) <= 1e-8
    # the task is of unit scale: points divided by the power of two below their norm, the smallest by the side of β
    scale = 2.0 ** np.floor(np.log2(np.linalg.norm(points.reshape(len(points), -1), axis=1).min()))
    assert primal == pytest.approx(solution.objective * scale, rel=1e-7)


def test_an_unlicensed_mosek_is_found_out_and_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Detection asks the optimizer. Refused for any reason, MOSEK is left out; and where it answers it comes first."""
    conic.mosek_licence.cache_clear()
    try:
        for code in ("err_missing_license_file", "err_license_server", "err_license_expired"):

            def refuse(task: mosek.Task, code: str = code) -> None:
                raise mosek.Error(getattr(mosek.rescode, code), "no")

            monkeypatch.setattr(mosek.Task, "optimize", refuse)
            conic.mosek_licence.cache_clear()
            assert conic.mosek_licence() is False
            assert conic.solver_order() == ("CLARABEL", "SCS")
            assert max_margin(X, y, Bridge(1), method="conic", tol=1e-6).stats["solver"] == "CLARABEL"
        monkeypatch.setattr(mosek.Task, "optimize", lambda task: mosek.rescode.ok)
        conic.mosek_licence.cache_clear()
        assert conic.mosek_licence() is True
        assert conic.solver_order() == ("MOSEK", "CLARABEL", "SCS")
    finally:
        conic.mosek_licence.cache_clear()


def test_the_licence_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(mosek.Task, "optimize", lambda task: calls.append(1))
    conic.mosek_licence.cache_clear()
    try:
        assert all(conic.mosek_licence() for _ in range(3))
        assert len(calls) == 1
    finally:
        conic.mosek_licence.cache_clear()


def small_program() -> tuple[Any, Any]:
    beta = cp.Variable(2)
    return cp.Problem(cp.Minimize(cp.norm1(beta)), [beta[0] >= 1]), beta


def test_a_failing_solver_falls_through_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """mosek.Error is no cvxpy.SolverError, which is why cvxpy's own fall-through does not get past it."""

    def refuse(task: mosek.Task) -> None:
        raise mosek.Error(mosek.rescode.err_missing_license_file, "no licence")

    monkeypatch.setattr(mosek.Task, "optimize", refuse)
    assert not issubclass(mosek.Error, cp.SolverError)
    program, beta = small_program()
    assert conic.solve_conic(program, ("MOSEK", "CLARABEL", "SCS")) == "CLARABEL"
    assert beta.value[0] == pytest.approx(1)
    program, _ = small_program()
    assert conic.solve_conic(program, ("MOSEK", "SCS")) == "SCS"
    program, _ = small_program()
    assert conic.solve_conic(program, ("NO SUCH SOLVER", "MOSEK", "CLARABEL")) == "CLARABEL"
    program, _ = small_program()
    with pytest.raises(conic.ConicSolverError, match=r"NO SUCH SOLVER: SolverError.*MOSEK: Error: .*1008.*no licence"):
        conic.solve_conic(program, ("NO SUCH SOLVER", "MOSEK"))


def test_a_panic_in_a_solver_falls_through_and_ctrl_c_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):
        """As Rust's in Python: no Exception."""

    program, _ = small_program()
    solve = cp.Problem.solve
    raised: BaseException = Panic("index out of bounds")

    def panics(self: Any, *arguments: Any, **options: Any) -> Any:
        if options["solver"] == "CLARABEL":
            raise raised
        return solve(self, *arguments, **options)

    monkeypatch.setattr(cp.Problem, "solve", panics)
    assert conic.solve_conic(program, ("CLARABEL", "SCS")) == "SCS"
    with pytest.raises(conic.ConicSolverError, match="CLARABEL: Panic: index out of bounds"):
        conic.solve_conic(program, ("CLARABEL",))
    raised = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        conic.solve_conic(program, ("CLARABEL", "SCS"))


def test_a_time_limit_is_that_of_all_solvers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now, limits = [100.0], []

    def fails(self: Any, **options: Any) -> None:
        limits.append(options["time_limit" if options["solver"] == "CLARABEL" else "time_limit_secs"])
        now[0] += 3.0
        raise cp.SolverError("three seconds gone")

    monkeypatch.setattr(cp.Problem, "solve", fails)
    monkeypatch.setattr(conic.time, "monotonic", lambda: now[0])
    program, _ = small_program()
    with pytest.raises(conic.ConicSolverError):
        conic.solve_conic(program, ("CLARABEL", "SCS"), seconds=5.0)
    assert limits == [5.0, 2.0]
    with pytest.raises(conic.ConicSolverError, match="SCS: no time left"):
        conic.solve_conic(program, ("CLARABEL", "SCS"), seconds=3.0)
    assert limits == [5.0, 2.0, 3.0]


def test_unknown_options_and_bad_options_are_a_failure_that_is_reported() -> None:
    program, _ = small_program()
    with pytest.raises(conic.ConicSolverError, match="CLARABEL: "):
        conic.solve_conic(program, ("CLARABEL",), {"CLARABEL": {"max_iter": 1}})


def test_an_infeasible_program_is_not_tried_again() -> None:
    beta = cp.Variable(1)
    program = cp.Problem(cp.Minimize(cp.norm1(beta)), [beta >= 1, beta <= -1])
    with pytest.raises(conic.ConicSolverError, match=r"CLARABEL: infeasible$"):
        conic.solve_conic(program, ("CLARABEL", "SCS"))
    program = cp.Problem(cp.Minimize(beta[0]))
    with pytest.raises(conic.ConicSolverError, match=r"CLARABEL: unbounded$"):
        conic.solve_conic(program, ("CLARABEL", "SCS"))


def test_a_broken_solver_does_not_blame_good_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conic, "solver_order", lambda: ("NO SUCH SOLVER",))
    with pytest.raises(conic.ConicSolverError, match="NO SUCH SOLVER"):
        max_margin(X, y, Bridge(1), method="conic")


def test_inaccurate_answers_are_labelled_by_our_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loose solver's answer comes back INACCURATE with its gap, never OPTIMAL."""
    loose = {"SCS": {"eps_abs": 1e-2, "eps_rel": 1e-2}}
    monkeypatch.setattr(conic, "solver_order", lambda: ("SCS",))
    monkeypatch.setattr(conic.solve_conic, "__defaults__", (None, loose, math.inf))
    solution = max_margin(X, y, FourierBridge(1), method="conic")
    assert solution.status is Status.INACCURATE
    assert solution.certificate.gap is not None
    assert 1e-9 < solution.certificate.gap < 0.2
    exact = max_margin(X, y, FourierBridge(1)).objective
    assert solution.lower_bound <= exact * (1 + 1e-12) <= solution.objective * (1 + 1e-9)
