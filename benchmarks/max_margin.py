"""max_margin and other solvers of the same problems: time and accuracy, alternating in one run.

    python benchmarks/max_margin.py [--rounds 5] [--only l2 l1 fourier] [--large]

Every solver starts from X and y and ends with a predictor; building a model counts, imports and, on the small problems,
one warm-up do not.
Clarabel, HiGHS and SCS are called by their own interfaces. Times are of the processor, so that a busy machine adds
little; set OPENBLAS_NUM_THREADS=1, or they are sums over threads. `gap` is R(β)/v − 1 with β scaled to margin one and v
the best proved lower bound, for every solver by the same code. Prints a calibration line and Markdown tables of
medians; `times` is the time over that of max_margin.

1. Gaussian points with random labels, and each peer at several tolerances: time against gap.
2. With --large: the problems of real size. LinearSVC is the peer of the ℓ2 problem, at its own default tolerance, and
   SCS that of the nuclear norm.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import clarabel
import highspy
import numpy as np
import scs
from calibration import calibration_line
from scipy import sparse
from sklearn.svm import LinearSVC

from solvers import L2, Bridge, FourierBridge, Regularizer, Schatten, max_margin

Array = np.ndarray
Solver = Callable[[Array, Array], Array]


def by_max_margin(regularizer: Regularizer, bounds: list[float]) -> Solver:
    """Notes the lower bounds that it proves."""

    def solve(X: Array, y: Array) -> Array:
        solution = max_margin(X, y, regularizer)
        bounds.append(solution.lower_bound)
        return solution.beta

    return solve


def by_clarabel(regularizer: Regularizer, tol: float) -> Solver:
    """A good model of each: a quadratic program, linear programs, power cones, half spectra in second-order cones."""
    model = MODELS[regularizer]

    def solve(X: Array, y: Array) -> Array:
        P, q, A, b, cones = model(y[:, None] * X)
        settings = clarabel.DefaultSettings()
        settings.max_threads = 1  # its own threads would be added to its processor time
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tol
        x = np.array(
            clarabel.DefaultSolver(sparse.csc_matrix(P), q, sparse.csc_matrix(A), b, cones, settings).solve().x
        )
        d = X.shape[1]
        return x[:d] - x[d:] if model is _linear else x[:d]

    return solve


def by_highs(X: Array, y: Array) -> Array:
    """min 1ᵀ(u + v) s.t. A(u − v) ≥ 1, u, v ≥ 0."""
    signed, d = y[:, None] * X, X.shape[1]
    model = highspy.Highs()
    model.silent()
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = 2 * d, len(y)
    program.col_cost_, program.col_lower_ = np.ones(2 * d), np.zeros(2 * d)
    program.col_upper_ = np.full(2 * d, highspy.kHighsInf)
    program.row_lower_, program.row_upper_ = np.ones(len(y)), np.full(len(y), highspy.kHighsInf)
    matrix = sparse.csc_matrix(np.hstack([signed, -signed]))
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_, program.a_matrix_.index_ = matrix.indptr, matrix.indices
    program.a_matrix_.value_ = matrix.data
    model.passModel(program)
    model.run()
    x = np.array(model.getSolution().col_value)
    return x[:d] - x[d:]


Model = tuple[object, Array, object, Array, list[object]]


def _quadratic(signed: Array) -> Model:
    """min ½‖β‖² s.t. Aβ ≥ 1."""
    n, d = signed.shape
    return sparse.eye(d), np.zeros(d), -signed, -np.ones(n), [clarabel.NonnegativeConeT(n)]


def _linear(signed: Array) -> Model:
    """min 1ᵀ(u + v) s.t. A(u − v) ≥ 1, u, v ≥ 0."""
    n, d = signed.shape
    A = sparse.vstack([np.hstack([-signed, signed]), -sparse.eye(2 * d)])
    return (
        sparse.csc_matrix((2 * d, 2 * d)),
        np.ones(2 * d),
        A,
        np.append(-np.ones(n), np.zeros(2 * d)),
        [clarabel.NonnegativeConeT(n + 2 * d)],
    )


def _half_spectrum(signed: Array) -> Model:
    """min Σ_k c_k t_k s.t. |β̂_k| ≤ t_k over half the frequencies, c_k how many of the spectrum they are, and Aβ ≥ 1."""
    n, d = signed.shape
    half = np.fft.rfft(np.eye(d), axis=0, norm="ortho")
    count = np.full(len(half), 2.0)
    count[0] = 1.0
    if d % 2 == 0:
        count[-1] = 1.0
    G = len(half)
    rows = np.zeros((3 * G, d + G))
    rows[0::3, d:] = -np.eye(G)
    rows[1::3, :d], rows[2::3, :d] = -half.real, -half.imag
    A = np.vstack([np.hstack([-signed, np.zeros((n, G))]), rows])
    cones = [clarabel.NonnegativeConeT(n), *[clarabel.SecondOrderConeT(3)] * G]
    cost = np.append(np.zeros(d), count)
    return sparse.csc_matrix((d + G, d + G)), cost, A, np.append(-np.ones(n), np.zeros(3 * G)), cones


def _largest(signed: Array) -> Model:
    """min t s.t. Aβ ≥ 1, |β_d| ≤ t."""
    n, d = signed.shape
    ones = np.ones((d, 1))
    box = sparse.vstack([sparse.hstack([sparse.eye(d), -ones]), sparse.hstack([-sparse.eye(d), -ones])])
    A = sparse.vstack([np.hstack([-signed, np.zeros((n, 1))]), box])
    cones = [clarabel.NonnegativeConeT(n + 2 * d)]
    return sparse.csc_matrix((d + 1, d + 1)), np.eye(d + 1)[d], A, np.append(-np.ones(n), np.zeros(2 * d)), cones


def _power(signed: Array) -> Model:
    """min t s.t. Aβ ≥ 1, Σr = t, |β_d| ≤ r_d^{2/3} t^{1/3}: ‖β‖_{3/2}."""
    n, d = signed.shape
    rows = np.zeros((3 * d, 2 * d + 1))
    rows[0::3, d : 2 * d], rows[1::3, 2 * d], rows[2::3, :d] = -np.eye(d), -1.0, -np.eye(d)
    total = np.concatenate([np.zeros(d), np.ones(d), [-1.0]])[None]
    A = np.vstack([np.hstack([-signed, np.zeros((n, d + 1))]), total, rows])
    cones = [clarabel.NonnegativeConeT(n), clarabel.ZeroConeT(1), *[clarabel.PowerConeT(2 / 3)] * d]
    cost = np.eye(2 * d + 1)[2 * d]
    return sparse.csc_matrix((2 * d + 1,) * 2), cost, A, np.append(-np.ones(n), np.zeros(1 + 3 * d)), cones


MODELS: dict[Regularizer, Callable[[Array], Model]] = {
    L2(): _quadratic,
    Bridge(1): _linear,
    Bridge(1.5): _power,
    Bridge(np.inf): _largest,
    FourierBridge(1): _half_spectrum,
}


def by_scs(eps: float) -> Solver:
    """The nuclear norm of β (M, D): min ½ tr W s.t. W ⪰ 0, (M + D) × (M + D), of which β is a block, and Aβ ≥ 1."""

    def solve(X: Array, y: Array) -> Array:
        (n, m), d = y.shape, X.shape[1]
        columns, rows = np.triu_indices(m + d)  # the lower triangle by columns; off the diagonal times √2
        place = np.full((m + d, m + d), -1)
        place[rows, columns] = np.arange(rows.size)
        block = place[m:, :m].T
        signed = (y[:, :, None] * X[:, None, :]).reshape(-1) / np.sqrt(2.0)
        where = np.repeat(np.arange(n * m), d), np.broadcast_to(block, (n, m, d)).reshape(-1)
        margins = sparse.csc_matrix((signed, where), shape=(n * m, rows.size))
        data = {
            "A": sparse.vstack([-margins, -sparse.eye(rows.size)]).tocsc(),
            "b": np.append(-np.ones(n * m), np.zeros(rows.size)),
            "c": np.where(rows == columns, 0.5, 0.0),
        }
        solver = scs.SCS(data, {"l": n * m, "s": [m + d]}, eps_abs=eps, eps_rel=eps, max_iters=100_000, verbose=False)
        return np.asarray(solver.solve()["x"][block] / np.sqrt(2.0))

    return solve


def by_linear_svc(tol: float = 1e-4) -> Solver:
    """LinearSVC(C=1e8, hinge, no intercept)."""

    def solve(X: Array, y: Array) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged shows in the gap
            model = LinearSVC(C=1e8, loss="hinge", fit_intercept=False, tol=tol, max_iter=20_000, random_state=0)
            return np.asarray(model.fit(X, y).coef_[0])

    return solve


def gap(X: Array, y: Array, beta: Array, regularizer: Regularizer, bound: float) -> float:
    """R(β/margin)/bound − 1; inf where β misclassifies."""
    margin = float((y * (X @ beta.T)).min())
    return regularizer.value(beta) / margin / bound - 1.0 if margin > 0 else float("inf")


def median_times(
    solvers: dict[str, Solver], X: Array, y: Array, rounds: int
) -> tuple[dict[str, float], dict[str, Array]]:
    """Median seconds of each, in turns, after one warm-up where there are several; one of more than 5 s gets two."""
    found = {name: solve(X, y) for name, solve in solvers.items()} if rounds > 1 else {}
    times: dict[str, list[float]] = {name: [] for name in solvers}
    for turn in range(rounds):
        for name, solve in solvers.items():
            if turn >= 2 and times[name][0] > 5.0:
                continue
            began = time.process_time()
            found[name] = solve(X, y)
            times[name].append(time.process_time() - began)
    return {name: statistics.median(t) for name, t in times.items()}, found


def gaussian(n: int, d: int, outputs: int = 0) -> tuple[Array, Array]:
    """Gaussian points with random labels; with several outputs, those of a random matrix."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    return X, np.sign(X @ rng.standard_normal((d, outputs))) if outputs else rng.choice([-1.0, 1.0], n)


def images(n: int, d: int = 784) -> tuple[Array, Array]:
    """Nonnegative points, a fifth of the entries nonzero, with a margin along a random direction."""
    rng = np.random.default_rng(11)
    w = rng.standard_normal(d)
    w /= np.linalg.norm(w)
    X = np.abs(rng.standard_normal((n, d))) * (rng.random((n, d)) < 0.2)
    side = np.sign(X @ w)
    return X + 0.6 * side[:, None] * w, side


def table(name: str, regularizer: Regularizer, X: Array, y: Array, peers: dict[str, Solver], rounds: int) -> None:
    bounds: list[float] = []
    times, found = median_times({"max_margin": by_max_margin(regularizer, bounds)} | peers, X, y, rounds)
    bound = bounds[-1]
    for solver, seconds in times.items():
        ratio = seconds / times["max_margin"]
        accuracy = f"{abs(gap(X, y, found[solver], regularizer, bound)):.0e}" if regularizer.is_norm else "–"
        print(f"| {name} | {solver} | {ratio:.2f} | {accuracy} | {1e3 * seconds:.1f} |", flush=True)


CASES: dict[str, tuple[str, Regularizer, int, int]] = {
    "l2": ("ℓ2, 100 × 512", L2(), 100, 512),
    "l1": ("ℓ1, 100 × 512", Bridge(1), 100, 512),
    "l3/2": ("ℓ₃⁄₂, 100 × 512", Bridge(1.5), 100, 512),
    "linf": ("ℓ∞, 100 × 512", Bridge(np.inf), 100, 512),
    "fourier": ("Fourier ℓ1, 200 × 1,024", FourierBridge(1), 200, 1024),
}

LARGE: dict[str, tuple[Regularizer, Callable[[], tuple[Array, Array]]]] = {
    "ℓ2, 20,000 × 784": (L2(), lambda: images(20_000)),
    "ℓ2, 60,000 × 784": (L2(), lambda: images(60_000)),
    "ℓ1, 200 × 4,000": (Bridge(1), lambda: gaussian(200, 4_000)),
    "ℓ1, 500 × 10,000": (Bridge(1), lambda: gaussian(500, 10_000)),
    "Fourier ℓ1, 50 × 100,000": (FourierBridge(1), lambda: gaussian(50, 100_000)),
    "Fourier ℓ1, 1,000 × 3,072": (FourierBridge(1), lambda: gaussian(1_000, 3_072)),
    "bridge p = 2/3, 100 × 2,000, 8 starts": (Bridge(2 / 3), lambda: gaussian(100, 2_000)),
    "Fourier bridge p = 2/3, 50 × 4,096, 8 starts": (FourierBridge(2 / 3), lambda: gaussian(50, 4_096)),
    "nuclear norm, 10 × 64, 200 points": (Schatten(1), lambda: gaussian(200, 64, 10)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}. {calibration_line()}\n")
    heading = "| problem | solver | times | gap | time [ms] |\n|---|---|---:|---:|---:|"
    print(heading)
    for case in arguments.only:
        name, regularizer, n, d = CASES[case]
        peers = {f"Clarabel, {tol:.0e}": by_clarabel(regularizer, tol) for tol in (1e-4, 1e-8)}
        if case == "l2":
            peers |= {f"LinearSVC, {tol:.0e}": by_linear_svc(tol) for tol in (1e-1, 1e-3, 1e-5)}
        if case == "l1":
            peers["HiGHS"] = by_highs
        table(name, regularizer, *gaussian(n, d), peers, arguments.rounds)
    if arguments.large:
        print("\n" + heading)
        for name, (regularizer, data) in LARGE.items():
            peers = {"LinearSVC, 1e-4": by_linear_svc()} if isinstance(regularizer, L2) else {}
            if isinstance(regularizer, Schatten):
                peers = {f"SCS, {eps:.0e}": by_scs(eps) for eps in (1e-4, 1e-6, 1e-9)}
            table(name, regularizer, *data(), peers, rounds=1)


if __name__ == "__main__":
    main()
