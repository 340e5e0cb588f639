"""min R(β) s.t. Xβ = y: check values, cvxpy, closed forms, certificates that reject, data that no predictor fits."""

import warnings

import cvxpy as cp
import numpy as np
import pytest

from solvers import (
    L2,
    Bridge,
    ConvKernel,
    FourierBridge,
    HyperbolicEntropy,
    InconsistentDataError,
    Mahalanobis,
    Norm,
    Schatten,
    Status,
    Uniqueness,
    max_margin,
    min_norm,
)
from solvers.interpolation.row_space import independent_rows

X2, Y2 = np.array([[1.0, 2.0, -1.0], [2.0, -1.0, 3.0]]), np.array([1.0, 2.0])


def data(N, D, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, D)), rng.standard_normal(N)


@pytest.mark.parametrize(
    "regularizer",
    [L2(), Bridge(1), Bridge(1.3), Bridge(2), Bridge(4), Bridge(np.inf), FourierBridge(1), FourierBridge(2),
     Mahalanobis(np.arange(1.0, 25.0))],
    ids=str,
)  # fmt: skip
def test_norms_against_cvxpy_with_their_dual_certificate(regularizer):
    X, y = data(8, 24)
    solution = min_norm(X, y, regularizer)
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(X @ solution.beta, y, atol=1e-13)
    assert regularizer.dual_norm(X.T @ solution.dual) <= 1 + 1e-12
    assert y @ solution.dual == pytest.approx(solution.objective, rel=1e-9)
    if not isinstance(regularizer, FourierBridge) or regularizer.p == 1:
        beta = cp.Variable(24)
        program = cp.Problem(cp.Minimize(regularizer.conic(beta)), [X @ beta == y])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # cvxpy's, on how it writes ‖·‖_p
            assert solution.objective == pytest.approx(program.solve(solver="CLARABEL"), rel=1e-6)
    worse = solution.beta + np.linalg.svd(X)[2][-1]  # along the null space of X: fits as well
    assert regularizer.value(worse) > solution.objective
    assert solution.unique is (Uniqueness.UNIQUE if regularizer.strictly_convex else Uniqueness.UNKNOWN)


@pytest.mark.parametrize("regularizer", [Schatten(1), Schatten(2), Schatten(np.inf), Bridge(1), L2()], ids=str)
def test_several_outputs(regularizer):
    X, _ = data(5, 9)
    Y = np.random.default_rng(1).standard_normal((5, 3))
    solution = min_norm(X, Y, regularizer)
    assert solution.beta.shape == (3, 9)
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(X @ solution.beta.T, Y, atol=1e-12)
    assert regularizer.dual_norm(solution.dual.T @ X) <= 1 + 1e-12


def test_matrices_seen_through_measurements():
    A = np.random.default_rng(2).standard_normal((7, 4, 4))
    solution = min_norm(A, np.arange(7.0), Schatten(1))
    assert (solution.status, solution.beta.shape) == (Status.OPTIMAL, (4, 4))
    np.testing.assert_allclose(np.einsum("nij,ij->n", A, solution.beta), np.arange(7.0), atol=1e-12)


def test_a_norm_of_ones_own_and_kernels():
    class Weighted(Norm):
        def value(self, beta):
            return float(np.abs(np.arange(1, 7) * beta).sum())

        def dual_norm(self, z):
            return float(np.abs(z / np.arange(1, 7)).max())

        def conic(self, beta):
            return cp.norm1(cp.multiply(np.arange(1.0, 7.0), beta))

    X, y = data(2, 6)
    own = min_norm(X, y, Weighted())
    assert own.status is Status.OPTIMAL
    assert own.objective == pytest.approx(min_norm(X / np.arange(1, 7), y, Bridge(1)).objective, rel=1e-10)
    kernel = min_norm(X, y, ConvKernel(6))
    assert kernel.objective == pytest.approx(2 * min_norm(X, y, FourierBridge(1)).objective, rel=1e-8)
    with pytest.raises(ValueError, match="semidefinite"):
        min_norm(*data(2, 200), ConvKernel(3))


def test_one_point_is_a_margin_problem():
    """With one point of target one, Xβ = 1 and the margin ≥ 1 have the same minimizer."""
    X, _ = data(1, 6)
    for regularizer in (L2(), Bridge(1), Bridge(np.inf), FourierBridge(1)):
        margin = max_margin(X, [1.0], regularizer)
        assert min_norm(X, [1.0], regularizer).objective == pytest.approx(margin.objective, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-60, 1e-6, 1e6, 1e60])
def test_scaling(scale):
    X, y = data(4, 9)
    for regularizer in (L2(), Bridge(1), FourierBridge(1)):
        once = min_norm(X, y, regularizer)
        assert min_norm(X, scale * y, regularizer).objective == pytest.approx(scale * once.objective, rel=1e-9, abs=0.0)
        assert min_norm(scale * X, y, regularizer).objective == pytest.approx(once.objective / scale, rel=1e-9, abs=0.0)
    rows = np.array([1e-8, 1.0, 1e8, 1e3])  # rows and targets together: the same problem
    unscaled = min_norm(rows[:, None] * X, rows * y, HyperbolicEntropy(0.01))
    np.testing.assert_allclose(unscaled.beta, min_norm(X, y, HyperbolicEntropy(0.01)).beta, rtol=1e-9, atol=1e-12)


def test_out_of_time_the_first_answer_is_handed_back():
    rng = np.random.default_rng(8)
    X, y = rng.standard_normal((4, 9)), rng.standard_normal(4)
    soon = min_norm(X, y, Bridge(1), time_limit=1e-9)
    assert soon.residual <= 1e-9
    assert soon.lower_bound <= min_norm(X, y, Bridge(1)).objective * (1 + 1e-9)
    with pytest.raises(ValueError, match="time_limit is in seconds"):
        min_norm(X, y, Bridge(1), time_limit=0.0)


def test_dependent_rows_and_zero_targets():
    X, y = data(3, 7)
    twice, targets = np.vstack([X, X[0] + X[1], 0 * X[0]]), np.append(y, [y[0] + y[1], 0.0])
    for regularizer in (L2(), Bridge(1), HyperbolicEntropy(0.1)):
        np.testing.assert_allclose(
            min_norm(twice, targets, regularizer).beta, min_norm(X, y, regularizer).beta, atol=1e-9
        )
        nothing = min_norm(X, 0 * y, regularizer)
        assert (nothing.objective, nothing.gap, nothing.status) == (0.0, 0.0, Status.OPTIMAL)
        assert not nothing.beta.any()


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), HyperbolicEntropy(0.1)], ids=str)
def test_rank_does_not_depend_on_units(regularizer):
    """The second row is 1e-12 of its length away from the first, in a column whose entries are that small."""
    solution = min_norm([[1e-3, 0, 0], [1e3, 1e-3, 0]], [1.0, 1.0], regularizer)
    assert solution.status is Status.OPTIMAL
    np.testing.assert_allclose(solution.beta, [1e3, 1e3 - 1e9, 0], rtol=1e-9, atol=1e-12)
    assert independent_rows(np.array([[1.0, 0, 0], [1.0, 1e-18, 0]])).size == 2
    assert independent_rows(np.array([[1.0, 1.0], [1.0, 1.0 + 1e-15]])).size == 1
    for size in (1e-12, 1.0, 1e12):
        table = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [5.0, 7.0, 9.0]]) * [1.0, size, size**2]
        assert independent_rows(table).size == 2


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), HyperbolicEntropy(0.1)], ids=str)
def test_data_that_nothing_fits_are_refused_with_the_residual(regularizer):
    X, y = data(3, 7)
    contradictory, targets = np.vstack([X, X[0] + X[1]]), np.append(y, y[0] + y[1] + 1.0)
    with pytest.raises(InconsistentDataError, match="no predictor fits") as caught:
        min_norm(contradictory, targets, regularizer)
    c = caught.value.combination
    assert np.abs(contradictory.T @ c).max() < 1e-12
    assert abs(c @ targets) > 0.1
    nearest = np.linalg.lstsq(contradictory, targets, rcond=None)[0]
    expected = np.linalg.norm(contradictory @ nearest - targets) / np.linalg.norm(targets)
    assert caught.value.residual == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"regularizer": Bridge(0.5)}, ValueError, "nonconvex"),
        ({"regularizer": None}, TypeError, "potential"),
        ({"y": [1.0]}, ValueError, "one target per row"),
        ({"y": [1.0, np.nan]}, ValueError, "finite"),
        ({"X": [1.0, 2.0]}, ValueError, "shape"),
        ({"y": np.ones((2, 2)), "regularizer": HyperbolicEntropy(1.0)}, ValueError, "one output"),
        ({"regularizer": HyperbolicEntropy(np.ones(4))}, ValueError, "coefficients of shape"),
        ({"tol": 2.0}, ValueError, "tol"),
    ],
)
def test_bad_input(change, error, complaint):
    given = {"X": X2, "y": Y2, "regularizer": L2()} | change
    with pytest.raises(error, match=complaint):
        min_norm(**given)
    with pytest.raises(TypeError, match="only min_norm takes it"):
        max_margin(X2, np.sign(Y2), HyperbolicEntropy(1.0))
