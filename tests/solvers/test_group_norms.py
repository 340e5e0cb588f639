"""The parts of the group-norm interior point: cones, scaling, Newton steps and the early polish."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from solvers import Bridge, FourierBridge
from solvers.algorithms.active_set import _reduced_solver, _whole_solver, newton_on_support
from solvers.algorithms.group_rows import GroupRows
from solvers.algorithms.interior_point import polish
from solvers.algorithms.second_order_cones import Scaling, jordan, jordan_divide, longest_steps, squared_norms
from solvers.algorithms.self_dual_path import InteriorPoint


@pytest.mark.parametrize("m", [1, 2, 5])
def test_cones_by_their_definitions(m: int) -> None:
    rng = np.random.default_rng(m)
    pair = rng.standard_normal((1 + m, 2, 7))
    pair[0] = np.linalg.norm(pair[1:], axis=0) * (1.0 + rng.random((2, 7)))
    squares = squared_norms(pair)
    np.testing.assert_allclose(squares, pair[0] ** 2 - (pair[1:] ** 2).sum(axis=0))
    W, (u, v) = Scaling.of(pair, squares), pair.transpose(1, 0, 2)
    both = W.apply_to_pair(pair)
    np.testing.assert_allclose(both[:, 0], both[:, 1])  # W⁻¹u = Wv
    np.testing.assert_allclose(W.apply(v), both[:, 1])
    np.testing.assert_allclose(W.apply(W.apply(v)), u)
    np.testing.assert_allclose(jordan(v, jordan_divide(v, u)), u)
    # one step for both points, 1e-9 short of the boundary and 1e-9 beyond
    direction = rng.standard_normal(pair.shape)
    for i, step in enumerate(longest_steps(pair, squares, direction)):
        inside, outside = (pair + (step * near) * direction for near in (1.0 - 1e-9, 1.0 + 1e-9))
        assert (inside[0, i] > np.linalg.norm(inside[1:, i], axis=0)).all()
        assert (outside[0, i] < np.linalg.norm(outside[1:, i], axis=0)).any()
    inward = np.zeros(pair.shape)
    inward[0] = 1.0
    with np.errstate(divide="ignore"):
        assert np.isinf(longest_steps(pair, squares, inward)).all()


def rows_of(regularizer: Bridge, n: int, d: int, seed: int) -> GroupRows:
    A = np.random.default_rng(seed).standard_normal((n, d))
    return GroupRows(regularizer.blocks(A / np.linalg.norm(A, axis=1)[:, None]), np.ones(n))


@pytest.mark.parametrize("regularizer", [Bridge(1), FourierBridge(1)], ids=str)
def test_a_polish_on_the_way_ends_where_the_path_ends(regularizer: Bridge) -> None:
    saved = 0
    for seed in range(5):
        rows = rows_of(regularizer, 20, 60, seed)
        path = InteriorPoint(rows)
        early = polish(rows, path.follow(1e-6), early=True)
        late = polish(rows, path.follow(1e-10))
        assert abs(late.gap) <= 1e-13
        if abs(early.gap) <= 1e-13:
            saved += 1
            np.testing.assert_allclose(early.b, late.b, atol=1e-11)
            np.testing.assert_allclose(early.dual, late.dual, atol=1e-11)
    assert saved >= 3  # else it is not worth its time


def test_a_group_too_many_is_dropped() -> None:
    """The largest ‖B_gᵀα‖ below one with a millionth of b: as an interior point leaves it."""
    rows = rows_of(FourierBridge(1), 20, 60, 1)
    found = polish(rows, InteriorPoint(rows).follow(1e-10))
    groups, active = np.flatnonzero(found.b.any(axis=1)), np.flatnonzero(found.dual)
    sizes = np.linalg.norm(np.tensordot(found.dual, rows.B, 1), axis=1)
    idle = np.argsort(np.where(found.b.any(axis=1), 0.0, sizes))[-1:]
    b = found.b.copy()
    b[idle] = 1e-6 * np.tensordot(found.dual, rows.B, 1)[idle]
    again = newton_on_support(
        rows.B, np.ones(len(b)), 1.0, b, found.dual, np.append(groups, idle), active, right=rows.right, drop=True
    )
    assert again is not None
    np.testing.assert_allclose(again[0], found.b, atol=1e-12)
    np.testing.assert_allclose(again[1], found.dual, atol=1e-12)


@pytest.mark.parametrize("solver", [_whole_solver, _reduced_solver], ids=["whole", "reduced"])
@pytest.mark.parametrize("p", [1.0, 2 / 3])
def test_newton_steps_solve_the_linearized_conditions(p: float, solver: Callable[..., Any]) -> None:
    """ω p ‖b‖^{p−2} b = Bᵀα and B b = 1 by central differences: the residual of a small step is quadratic in it."""
    rng = np.random.default_rng(3)
    n, G, m = 6, 4, 3
    B, b, alpha, omega = rng.standard_normal((n, G, m)), rng.standard_normal((G, m)), rng.random(n), 1.0 + rng.random(G)

    def conditions(b: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        gradient = (omega * p * np.linalg.norm(b, axis=1) ** (p - 2.0))[:, None] * b
        return np.append(gradient - np.tensordot(alpha, B, 1), np.tensordot(B, b, 2) - 1.0)

    radius = np.linalg.norm(b, axis=1)
    solve = solver(B, omega * p * radius ** (p - 2.0), b / radius[:, None], p)
    missing = conditions(b, alpha)
    db, d_alpha = solve(-missing[: G * m].reshape(G, m), missing[G * m :])
    h = 1e-6
    slope = (conditions(b + h * db, alpha + h * d_alpha) - conditions(b - h * db, alpha - h * d_alpha)) / (2 * h)
    np.testing.assert_allclose(slope, -missing, atol=1e-6 * np.abs(missing).max())
