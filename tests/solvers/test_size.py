"""Problems of many rows, many columns, or sparse: the same answers as methods that take all at once."""

import tracemalloc

import numpy as np
import pytest
from scipy.optimize import linprog, nnls
from scipy.sparse import coo_matrix, csr_array, random_array

from solvers import L2, Bridge, FourierBridge, NotSeparableError, Schatten, Status, certify, max_margin
from solvers.algorithms.column_generation import group_max_margin_by_columns
from solvers.algorithms.dual_newton import dual_newton
from solvers.algorithms.interior_point import group_max_margin
from solvers.algorithms.least_distance import least_distance
from solvers.extended_precision import BLOCK
from solvers.threads import SMALL, threads_for


def planted(n: int, d: int, seed: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Nonnegative sparse points with a margin along a random direction."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(d)
    w /= np.linalg.norm(w)
    X = np.abs(rng.standard_normal((n, d))) * (rng.random((n, d)) < 0.5)
    side = np.sign(X @ w)
    return X + 0.6 * side[:, None] * w, side


def by_nnls(A: np.ndarray) -> np.ndarray:
    """β of least norm with Aβ ≥ 1 as it stands in Lawson and Hanson, chapter 23, on all rows at once."""
    u, _ = nnls(np.vstack([A.T, np.ones(len(A))]), np.append(np.zeros(A.shape[1]), 1.0), maxiter=100 * len(A))
    residual = np.append(A.T @ u, u.sum() - 1.0)
    return residual[:-1] / -residual[-1]


@pytest.mark.parametrize(("n", "d"), [(3000, 40), (1500, 100)])
def test_many_rows_have_the_answer_of_all_rows_at_once(n: int, d: int) -> None:
    X, y = planted(n, d)
    solution = max_margin(X, y, L2())
    reference = by_nnls(y[:, None] * X)
    assert solution.status is Status.OPTIMAL
    assert solution.certificate.worst <= 1e-12
    # nnls with t = 1 loses digits like ε‖β‖²
    np.testing.assert_allclose(solution.beta, reference, rtol=0, atol=1e-9 * np.linalg.norm(reference))


def test_copies_of_rows_in_and_outside_the_working_set_change_nothing() -> None:
    X, y = planted(400, 30)
    once = max_margin(X, y, L2())
    often = max_margin(np.tile(X, (5, 1)), np.tile(y, 5), L2())
    np.testing.assert_allclose(often.beta, once.beta, rtol=1e-11, atol=1e-13)
    assert often.certificate.worst <= 1e-12


@pytest.mark.parametrize("as_sparse", [False, True])
def test_many_rows_that_do_not_separate(as_sparse: bool) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3000, 50)), rng.choice([-1.0, 1.0], 3000)
    X[::7] *= 1e-6
    with pytest.raises(NotSeparableError) as caught:
        max_margin(csr_array(X) if as_sparse else X, y, L2())
    alpha = caught.value.farkas
    assert (alpha >= 0).all()
    assert alpha.sum() == pytest.approx(1.0)
    assert np.linalg.norm((alpha * y) @ X) <= 1e-12 * np.linalg.norm(X, axis=1).max()


def test_one_contradiction_among_many_rows() -> None:
    X, y = planted(3000, 40)
    X, y = np.vstack([X, -X[1234]]), np.append(y, y[1234])
    with pytest.raises(NotSeparableError) as caught:
        max_margin(X, y, L2())
    assert np.linalg.norm((caught.value.farkas * y) @ X) <= 1e-12 * np.linalg.norm(X, axis=1).max()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "d"), [(30, 60), (60, 40), (200, 20)])
def test_dual_newton_solves_the_quadratic_program(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, d))
    A *= np.sign(A @ rng.standard_normal(d))[:, None]
    A /= np.linalg.norm(A, axis=1).max()
    alpha, gap = dual_newton(A @ A.T, np.zeros(n), 1e-12)
    assert gap <= 1e-12
    assert (alpha >= 0).all()
    margins = A @ (A.T @ alpha)
    # the optimality conditions: margins at least one, and one where α > 0; rounding of margins grows like ε‖β‖²
    noise = 1e-13 * float(alpha @ margins)
    assert margins.min() >= 1.0 - noise
    assert np.abs(margins[alpha > 0] - 1.0).max() <= noise


def test_dual_newton_does_not_claim_a_gap_for_rows_that_do_not_separate() -> None:
    A = np.random.default_rng(0).standard_normal((80, 20))
    A /= np.linalg.norm(A, axis=1).max()
    assert dual_newton(A @ A.T, np.zeros(80), 1e-12)[1] == np.inf


def test_least_distance_of_many_rows_is_the_closest_point() -> None:
    X, y = planted(2500, 30)
    A = y[:, None] * X / np.linalg.norm(X, axis=1).max()
    alpha, distance = least_distance(A)
    z = alpha @ A
    assert alpha.min() >= 0
    assert np.linalg.norm(z) == pytest.approx(distance, rel=1e-9)
    assert (A @ z).min() >= distance**2 * (1.0 - 1e-9)  # Wolfe's criterion: no row lies nearer


def test_sparse_points_stay_sparse() -> None:
    X = csr_array(random_array((1000, 20_000), density=2e-3, format="csr", rng=np.random.default_rng(0)))
    y = np.where(X @ np.random.default_rng(1).standard_normal(20_000) > 0, 1.0, -1.0)
    tracemalloc.start()
    solution = max_margin(X, y, L2())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert solution.certificate.worst <= 1e-9
    assert peak <= 1000 * 20_000 * 8 / 2  # X filled would be 160 MB


def test_sparse_points_have_the_dense_answer() -> None:
    X, y = planted(900, 40)
    X[X < 0.5] = 0.0
    y = np.where(X @ np.random.default_rng(2).standard_normal(40) > 0, 1.0, -1.0)
    X[:, 0] += 0.1 * y  # no row is zero
    dense = max_margin(X, y, L2())
    for points in (csr_array(X), coo_matrix(X)):
        solution = max_margin(points, y, L2())
        np.testing.assert_allclose(solution.beta, dense.beta, rtol=1e-10, atol=1e-10 * np.abs(dense.beta).max())
        assert certify(points, y, solution.beta, L2()).worst <= 1e-10
    bad = coo_matrix(X)
    bad.data[3] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        max_margin(bad, y, L2())


def test_memory_of_many_rows_is_a_fraction_of_the_points() -> None:
    X, y = planted(20_000, 50)
    tracemalloc.start()
    max_margin(X, y, L2())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= X.nbytes


def test_points_in_float32_are_not_copied() -> None:
    X, y = planted(20_000, 50)
    single = X.astype(np.float32)
    peaks, predictors = [], []
    for points in (single.astype(np.float64), single):
        tracemalloc.start()
        predictors.append(max_margin(points, y, L2()).beta)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= peaks[0] + 1.5 * 8 * BLOCK  # one block converted; a copy in float64 would be 8 MB
    np.testing.assert_allclose(predictors[1], predictors[0], rtol=1e-12)


def test_float32_has_the_answers_of_the_same_numbers_in_float64() -> None:
    rng = np.random.default_rng(4)
    X = rng.standard_normal((60, 20)).astype(np.float32)
    for y in (np.sign(X @ rng.standard_normal(20)), np.sign(X @ rng.standard_normal((20, 2))), np.arange(60) % 3):
        points = X if y.dtype.kind == "f" else X + 4.0 * np.eye(3, 20, dtype=np.float32)[y]
        single, double = (max_margin(part, y, L2()) for part in (points, points.astype(np.float64)))
        assert single.status is Status.OPTIMAL
        np.testing.assert_allclose(single.beta, double.beta, rtol=0, atol=1e-12 * np.abs(double.beta).max())
    with pytest.raises(NotSeparableError):
        max_margin(np.vstack([X, -X[:1]]), np.append(np.ones(60), 1.0), L2())
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"entry \(3, 2\) is nan"):
        max_margin(X, np.ones(60), L2())


@pytest.mark.parametrize("regularizer", [Bridge(1), FourierBridge(1)], ids=str)
def test_columns_added_end_at_the_optimum_of_all(regularizer: Bridge) -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((12, 200)) / 20
    right = np.ones(12)
    blocks = lambda part: regularizer.blocks(part.reshape(-1, 200))  # noqa: E731
    few = group_max_margin_by_columns(rows, right, blocks, 1e-10)
    every = group_max_margin(rows, right, blocks, 1e-10)
    values = [float(np.linalg.norm(found.b, axis=1).sum()) for found in (few, every)]
    assert abs(few.gap) <= 1e-10
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert np.linalg.norm(np.tensordot(few.dual, blocks(rows), 1), axis=1).max() <= 1 + 1e-12


def test_l1_of_many_columns_is_the_linear_program_of_highs() -> None:
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((30, 600)), rng.choice([-1.0, 1.0], 30)
    solution = max_margin(X, y, Bridge(1))
    A = y[:, None] * X
    program = linprog(np.ones(1200), A_ub=-np.hstack([A, -A]), b_ub=-np.ones(30), method="highs")
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(program.fun, rel=1e-9)


def test_columns_that_separate_only_together() -> None:
    """The first columns say nothing: the Farkas weights of the few must bring in those that matter."""
    rng = np.random.default_rng(5)
    X = np.hstack([np.ones((8, 100)), 0.01 * rng.standard_normal((8, 100))])
    y = np.where(np.arange(8) % 2, 1.0, -1.0)
    solution = max_margin(X, y, Bridge(1))
    assert solution.status is Status.OPTIMAL


def test_nuclear_norm_by_its_own_method() -> None:
    rng = np.random.default_rng(6)
    X = rng.standard_normal((30, 12))
    y = np.sign(X @ rng.standard_normal((12, 4)))
    solution = max_margin(X * np.logspace(-2, 2, 30)[:, None], y, Schatten(1))
    assert solution.status is Status.OPTIMAL
    assert "interior point" in solution.stats["method"]
    conic = max_margin(X * np.logspace(-2, 2, 30)[:, None], y, Schatten(1), method="conic")
    assert solution.objective == pytest.approx(conic.objective, rel=1e-6)


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), FourierBridge(1)], ids=str)
def test_threads_change_no_bit_of_a_small_problem(regularizer: Bridge) -> None:
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((40, 200)), rng.choice([-1.0, 1.0], 40)
    found = []
    for count in (1, 2):
        with threadpool_limits(count, user_api="blas"):
            found.append(max_margin(X, y, regularizer).beta)
    np.testing.assert_array_equal(*found)


def test_small_problems_get_one_thread_and_give_the_others_back() -> None:
    from threadpoolctl import threadpool_info, threadpool_limits

    def counts() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        before = counts()
        with threads_for(SMALL):
            assert counts() == {1}
        assert counts() == before
        with threads_for(2 * SMALL):
            assert counts() == before
