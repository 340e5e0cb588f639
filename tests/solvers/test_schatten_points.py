"""Schatten quasi-norms, p < 1: stationary points of several outputs, against the network, Newton's derivatives."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from gd import FullyConnected, flow_limit
from solvers import L2, BridgeSolution, NotSeparableError, Schatten, Status, Uniqueness, certify, max_margin
from solvers.algorithms.fixed_rank import RankPoint
from solvers.algorithms.graded_svd import graded_svd
from solvers.algorithms.rank_path import central_path


def data_of(n: int, d: int, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.where(X @ rng.standard_normal((d, m)) > 0, 1.0, -1.0)


@pytest.mark.parametrize(("n", "d", "m", "p"), [(6, 5, 3, 2 / 3), (10, 3, 6, 0.5), (4, 12, 3, 2 / 3), (20, 6, 4, 0.5)])
def test_stationary_points_by_numpy_alone(n: int, d: int, m: int, p: float) -> None:
    """UᵀZV = diag(pσ^{p−1}) up to a factor and zero in the rest of the tangent space, α ≥ 0 on margins of one."""
    X, Y = data_of(n, d, m, 2)
    solution = max_margin(X, Y, Schatten(p), n_starts=4)
    assert isinstance(solution, BridgeSolution)
    assert solution.status is Status.STATIONARY
    β, α = solution.beta, solution.dual
    margins = Y * (X @ β.T)
    assert margins.min() == pytest.approx(1.0, rel=1e-12)
    assert (α >= 0).all()
    assert (α * (margins - 1)).max() <= 1e-9 * α.max()
    u, s, vt = np.linalg.svd(β)
    r = int((s > 1e-9 * s[0]).sum())
    z = u.T @ ((Y * α).T @ X) @ vt.T
    g = p * s[:r] ** (p - 1)
    z *= g.sum() / np.trace(z[:r, :r])
    np.testing.assert_allclose(z[:r, :r], np.diag(g), atol=1e-9 * g.max())
    assert max(abs(z[:r, r:]).max(initial=0), abs(z[r:, :r]).max(initial=0)) <= 1e-9 * g.max()
    # ‖·‖_p ≥ ‖·‖_*, whose optimum is certified
    assert solution.objective >= max_margin(X, Y, Schatten(1.0)).objective * (1 - 1e-9)
    assert solution.lower_bound == pytest.approx(max_margin(X, Y, Schatten(1.0)).objective, rel=1e-8)
    assert [q.objective for q in solution.stationary_points] == sorted(q.objective for q in solution.stationary_points)


def test_the_limit_of_a_network_of_depth_three_is_one() -> None:
    X, Y = data_of(6, 5, 3, 0)
    limit = flow_limit(FullyConnected(5, 3, outputs=3, seed=0), X, Y).predictor
    assert limit is not None
    limit = limit / (Y * (X @ limit.T)).min()
    found = max_margin(X, Y, Schatten(2 / 3), start=limit, n_starts=2)
    assert isinstance(found, BridgeSolution)
    assert found.from_start is not None
    assert found.from_start.status is Status.STATIONARY
    np.testing.assert_allclose(found.from_start.beta, limit, rtol=1e-9, atol=1e-9)
    # from nearby it is found again; what is perturbed is not stationary itself
    rng = np.random.default_rng(1)
    near = limit + 1e-3 * rng.standard_normal(limit.shape)
    assert certify(X, Y, near, Schatten(2 / 3)).worst > 1e-4
    again = max_margin(X, Y, Schatten(2 / 3), start=near, n_starts=1)
    assert isinstance(again, BridgeSolution)
    assert again.from_start is not None
    np.testing.assert_allclose(again.from_start.beta, limit, rtol=1e-8, atol=1e-8)


def test_one_output_is_l2_at_every_p() -> None:
    X, Y = data_of(7, 5, 1, 3)
    solution = max_margin(X, Y, Schatten(0.4))
    assert solution.objective == pytest.approx(max_margin(X, Y[:, 0], L2()).objective, rel=1e-12)
    assert solution.unique is Uniqueness.UNIQUE


def test_scale_and_points_that_do_not_separate() -> None:
    X, Y = data_of(6, 4, 2, 4)
    value = max_margin(X, Y, Schatten(2 / 3), n_starts=2).objective
    for factor in (1e-20, 1e20):
        found = max_margin(factor * X, Y, Schatten(2 / 3), n_starts=2).objective
        assert found == pytest.approx(value / factor, rel=1e-9, abs=0.0)
    with pytest.raises(NotSeparableError):
        max_margin([[1.0, 0.0], [-1.0, 0.0]], np.ones((2, 2)), Schatten(0.5))


@pytest.mark.parametrize("sigma", [(2.0, 0.7), (1.3, 1.3), (1.0, 0.02)])
def test_newtons_derivatives_by_differences(sigma: tuple[float, float]) -> None:
    """Of Σσ^p − ⟨Z, β⟩ along the rank-2 matrices through β."""
    rng = np.random.default_rng(0)
    p, (M, D) = 0.6, (4, 5)
    U, V = (np.linalg.qr(rng.standard_normal((k, k)))[0] for k in (M, D))
    point, Z = RankPoint(U, np.array(sigma), V), rng.standard_normal((M, D))
    rotated = point.rotated(Z)

    def lagrangian(step: np.ndarray) -> float:
        β = point.matrix(step)
        return float((np.linalg.svd(β, compute_uv=False)[:2] ** p).sum() - np.vdot(Z, β))

    gradient = point.gradient(p) - point.tangent(rotated[None])[0]
    H, h = point.hessian(p, rotated), 1e-4 * sigma[1]
    for _ in range(6):
        v = rng.standard_normal(gradient.size)
        ahead, here, behind = (lagrangian(t * v) for t in (h, 0.0, -h))
        assert (ahead - behind) / (2 * h) == pytest.approx(gradient @ v, rel=1e-6)
        assert (ahead - 2 * here + behind) / h**2 == pytest.approx(v @ H @ v, rel=1e-4)
        moved = point.moved(0.1 * h * v)
        np.testing.assert_allclose(moved.beta, point.matrix(0.1 * h * v), atol=1e-14)


@pytest.mark.parametrize(("kind", "seed", "p"), [("rows", 7, 2 / 3), ("columns", 5, 0.5), ("heavy", 4, 0.2)])
def test_stationary_points_of_rows_and_columns_of_every_size(kind: str, seed: int, p: float) -> None:
    """Rows, columns and entries of every size end at a stationary point."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((8, 5))
    sizes = {"rows": 10.0 ** rng.uniform(-6, 6, (8, 1)), "columns": 10.0 ** rng.uniform(-5, 5, 5), "heavy": 1.0}[kind]
    X = np.exp(3 * X) if kind == "heavy" else X * sizes
    Y = np.where(X @ (rng.standard_normal((5, 3)) / np.abs(X).max(axis=0)[:, None]) >= 0, 1.0, -1.0)
    solution = max_margin(X, Y, Schatten(p), n_starts=2)
    assert solution.status is Status.STATIONARY
    beta, alpha = solution.beta, solution.dual
    margins = Y * (X @ beta.T)
    assert margins.min() >= 1 - 1e-9
    u, s, vt = np.linalg.svd(beta)
    r = int((s > 5e-16 * s[0]).sum())
    z = u.T @ ((Y * alpha).T @ X) @ vt.T
    g = p * s[:r] ** (p - 1)
    z = z / (z.diagonal()[0] / g[0])
    # relative to each entry's own size, as `Schatten.support_system` states the equations; z itself is rounded by
    # ε|A|ᵀα, and by as much as σ_1/σ_i more in the directions of small singular values
    np.testing.assert_allclose(z.diagonal()[:r] / g, 1.0, rtol=1e-4)


@pytest.mark.parametrize("smallest", [1e-13, 1e-20])
def test_a_moved_point_keeps_small_singular_values_and_their_spaces(smallest: float) -> None:
    """Against 60 digits: a small singular value and its vectors, of which the matrix itself has no digit."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((k, k)))[0] for k in (3, 5))
    point = RankPoint(U, np.array([1.0, 1e-6, smallest]), V)
    K = 0.1 * np.sqrt(point.sigma[:, None] * point.sigma) * rng.standard_normal((3, 3))
    Q = 0.1 * point.sigma * rng.standard_normal((2, 3))
    moved = point.moved(np.concatenate([K.reshape(-1), Q.reshape(-1)]))
    with mpmath.workdps(60):
        parts: tuple[Any, ...] = (U, V, np.diag(point.sigma) + K, Q / point.sigma)
        u, v, middle, q = (mpmath.matrix(each.tolist()) for each in parts)
        exact = u * middle * (v[:, :3] + v[:, 3:] * q).T  # by mpmath
        _, sigma, right = mpmath.svd_r(exact)
        assert moved.sigma == pytest.approx([float(s) for s in sigma], rel=1e-12, abs=0.0)
        vectors = np.array(right.tolist(), dtype=float)
    assert np.abs(vectors[2] @ moved.right[:, 2]) == pytest.approx(1.0, abs=1e-14)
    assert np.abs(vectors @ moved.right[:, 3:]).max() <= 1e-14


@pytest.mark.parametrize(
    ("shape", "sigma"), [((3, 5), (1, 1e-4, 1e-9)), ((6, 4), (1, 1e-3, 1e-6, 1e-10)), ((4, 6), (2, 1e-7))]
)
def test_vectors_of_small_singular_values(shape: tuple[int, int], sigma: tuple[float, ...]) -> None:
    """Against 50 digits, and nearer by orders than the decomposition of a matrix ε‖β‖ away."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((k, k)))[0][:, : len(sigma)] for k in shape)
    matrix = (U * sigma) @ V.T
    with mpmath.workdps(50):
        exact = mpmath.svd_r(mpmath.matrix(matrix.tolist()))
        u, values, vt = (np.array(each.tolist(), dtype=float) for each in exact)
    left, found, right = graded_svd(matrix)
    precision = 4 * float(np.finfo(np.longdouble).eps) / sigma[-1] + 1e-13
    assert found[: len(sigma)] == pytest.approx(values[: len(sigma), 0], rel=precision, abs=0.0)
    for i in range(len(sigma)):
        assert abs(u[:, i] @ left[:, i]) == pytest.approx(1.0, abs=1e-15)
        sine = [
            np.linalg.norm(one - other * (one @ other)) for one, other in ((u[:, i], left[:, i]), (vt[i], right[i]))
        ]
        assert max(sine) <= precision
    for basis in (left.T, right):
        np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-14)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("seed", [9, 12, 17, 18, 22, 31, 42])
def test_rows_over_twelve_orders_end_stationary(p: float, seed: int) -> None:
    """Curved valleys, singular values down to 1e-6 of the largest, more active constraints than β has freedom."""
    rng = np.random.default_rng([18, seed])
    n, d, m = int(rng.integers(2, 13)), int(rng.integers(2, 17)), int(rng.integers(2, 5))
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-6, 6, (n, 1))
    Y = np.where(X @ rng.standard_normal((d, m)) >= 0, 1.0, -1.0)
    solution = max_margin(X, Y, Schatten(p), n_starts=1)
    assert solution.status is Status.STATIONARY
    assert (Y * (X @ solution.beta.T)).min() >= 1 - 1e-9
    u, s, vt = np.linalg.svd(solution.beta)
    r = int((s > 1e-14 * s[0]).sum())
    z = u.T @ ((Y * solution.dual).T @ X) @ vt.T
    g = p * s[:r] ** (p - 1)
    assert max(abs(z[:r, r:]).max(initial=0), abs(z[r:, :r]).max(initial=0)) <= 1e-7 * z.max()
    np.testing.assert_allclose(z.diagonal()[:r] / g * (g[0] / z[0, 0]), 1.0, rtol=1e-5)


def test_the_central_path_ends_at_stationarity_and_complementarity() -> None:
    rng = np.random.default_rng(0)
    rows, right, p = rng.standard_normal((9, 3, 5)), 10.0 ** rng.uniform(-6, 0, 9), 0.5
    planted = rng.standard_normal((3, 5))
    rows *= np.sign(np.einsum("nml,ml->n", rows, planted))[:, None, None]
    margins = np.einsum("nml,ml->n", rows, planted)
    *_, (end, alpha, gap) = central_path(rows, right, p, 2 * planted / margins.min(), first=1.0, accuracy=1e-10)
    assert gap <= 1e-10
    slack = np.einsum("nml,ml->n", rows, end.beta) - right
    assert slack.min() > 0
    assert alpha.min() >= 0
    assert alpha @ slack <= 1e-9 * (alpha @ right)
    residual = end.gradient(p) - end.tangent(end.rotated(rows)).T @ alpha
    np.testing.assert_allclose(residual, 0.0, atol=1e-9 * np.abs(end.gradient(p)).max())
