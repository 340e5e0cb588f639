"""The convex program of one activation pattern against Clarabel, and limits found with it against long flows."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
import torch
from torch import nn

from gd import FlowStatus, flow_limit
from gd.flow import cell_dual
from gd.flow.cell import Cell, assembled
from gd.flow.cell_dual import maximize, pull
from gd.flow.cell_program import cell_optimum, solve
from gd.flow.quadratic_program import quadratic_program
from gd.flow.sliding import SlidingMap
from gd.flow.termination import Reached

Array = np.ndarray


def random_cell(seed: int, N: int, H: int, D: int, below: float = 0.0) -> tuple[Cell, Array]:
    """The cell of random weights that have positive margins."""
    rng = np.random.default_rng(seed)
    X, W, s = rng.standard_normal((N, D)), rng.standard_normal((H, D)), np.sign(rng.standard_normal(H))
    while below == 0.0 and not (X @ W.T > 0).any(axis=1).all():  # every sample needs a unit that is on
        X = rng.standard_normal((N, D))
    if D > N:  # in coordinates of the data's span
        basis = np.linalg.qr(X.T)[0]
        X, W = X @ basis, W @ basis
    z = X @ W.T
    y = np.sign(np.where(z > 0, z, below * z) @ s)
    return Cell(X, y, s, z > 0, 1.0, below), W


def by_clarabel(cell: Cell) -> float:
    U = cp.Variable((cell.signs.size, cell.X.shape[1]))
    z = cell.X @ U.T
    margins = cp.sum(cp.multiply(cell.coefficients, z), axis=1)
    problem = cp.Problem(cp.Minimize(cp.sum(cp.norm(U, axis=1))), [margins >= 1, cp.multiply(cell.sides, z) >= 0])
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value)


@pytest.mark.parametrize("below", [0.0, 0.3, -1.0])
@pytest.mark.parametrize(("N", "H", "D"), [(6, 4, 3), (10, 12, 5), (6, 8, 12), (15, 20, 2)])
def test_the_value_is_clarabel_s(N: int, H: int, D: int, below: float) -> None:
    cell, W = random_cell(N + H + 1, N, H, D, below)
    found = solve(cell, W)
    assert found is not None
    assert found.residual < 1e-10
    np.testing.assert_allclose(found.value, by_clarabel(cell), rtol=1e-6)  # its default accuracy is 1e-8 of a cone gap


def cell_with_a_large_column(seed: int, scale: float) -> tuple[Cell, Array]:
    cell, W = random_cell(seed, 8, 6, 3)
    column = np.array([scale, 1.0, 1.0])
    return replace(cell, X=cell.X * column), W / column


@pytest.mark.parametrize("scale", [1e3, 1e4, 1e6])
@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_a_large_column_leaves_the_optimum_its_digits(seed: int, scale: float) -> None:
    """Of v(λ) the large column leaves six digits; margins and walls of u have all of theirs."""
    found = solve(*cell_with_a_large_column(seed, scale))
    assert found is not None
    assert found.residual < 1e-10
    z = found.cell.X @ found.u.T
    np.testing.assert_allclose((found.cell.coefficients * z).sum(1)[found.lam > 0], 1.0, rtol=1e-10)
    assert np.abs(z[found.mu > 0]).max(initial=0.0) < 1e-12 * np.abs(z).max()
    np.testing.assert_allclose(found.lam.sum(), found.value, rtol=1e-10)  # strong duality


@pytest.mark.parametrize("scale", [1e4, 1e6])
@pytest.mark.parametrize("seed", [0, 2, 3, 4])
def test_behind_the_walls_of_points_without_weight_is_a_kkt_point(seed: int, scale: float) -> None:
    found = cell_optimum(*cell_with_a_large_column(seed, scale))
    assert found is not None
    assert found.kkt().relative < 1e-11


def test_a_point_without_units_or_multipliers_fails_its_conditions() -> None:
    cell, _ = random_cell(0, 8, 6, 3)
    walls, lam = np.zeros(cell.sides.shape), np.ones(8)
    for lengths, multipliers in ((np.zeros(6), lam), (np.ones(6), 0.0 * lam), (-np.ones(6), -lam)):
        assert assembled(cell, lengths, multipliers, walls).residual >= 1.0


@pytest.mark.parametrize("tight", [False, True])
def test_the_quadratic_program_is_clarabel_s(tight: bool) -> None:
    rng = np.random.default_rng(4)
    half, G, lam = rng.standard_normal((3, 6)), rng.standard_normal((4, 6)), rng.random(6)
    H = half.T @ half + 1e-6 * np.eye(6)
    b = np.zeros(4) if tight else rng.random(4)
    G[3] = G[2]  # multipliers that are not unique
    found = quadratic_program(H, np.abs(G), b, lam)
    assert found is not None
    d, z = found
    x = cp.Variable(6)
    problem = cp.Problem(cp.Minimize(cp.quad_form(x, cp.psd_wrap(H)) / 2 - cp.sum(x)), [np.abs(G) @ x <= b, x >= -lam])
    problem.solve(solver=cp.CLARABEL)
    assert problem.value == pytest.approx(d @ H @ d / 2 - d.sum(), abs=1e-7)  # Clarabel's accuracy is 1e-8
    assert (np.abs(G) @ d <= b + 1e-11).all()
    assert (d >= -lam - 1e-11).all()
    slope = H @ d - 1.0 + np.abs(G).T @ z  # the bounds' multipliers
    assert (slope >= -1e-9).all()
    np.testing.assert_allclose(slope * (d + lam), 0.0, atol=1e-9)
    np.testing.assert_allclose(z * (b - np.abs(G) @ d), 0.0, atol=1e-9)


def test_multipliers_far_from_the_optimum_are_a_start_as_well() -> None:
    cell, W = random_cell(3, 8, 10, 4)
    expected = solve(cell, W)
    assert expected is not None
    lonely = np.eye(8)[int(expected.lam.argmin())]
    for lam in (np.ones(8), np.arange(8.0), expected.lam[::-1], lonely):
        found = solve(cell, W, lam)
        assert found is not None
        np.testing.assert_allclose(found.value, expected.value, rtol=1e-9)
    dual = maximize(cell, lonely, np.ones(10))  # in which all other points must join
    assert dual is not None
    np.testing.assert_allclose(dual[0].value, expected.value, rtol=1e-9)


@pytest.mark.parametrize("copies", [False, True])
def test_forces_from_faces_known_before_are_those_from_none(monkeypatch: pytest.MonkeyPatch, copies: bool) -> None:
    cell, _ = random_cell(3, 12, 10, 4)
    if copies:  # faces whose rows depend on each other
        cell = replace(cell, X=np.vstack([cell.X[:6], 2.0 * cell.X[:6]]), on=np.vstack([cell.on[:6], cell.on[:6]]))
    rng = np.random.default_rng(0)
    lam = rng.random(12)
    expected, near = pull(cell, lam), pull(cell, lam * (1.0 + 1e-2 * rng.random(12)))
    assert expected is not None
    assert near is not None
    wrong = replace(near, mu=rng.random(near.mu.shape) * (rng.random(near.mu.shape) < 0.3))
    for before in (near, wrong, replace(near, mu=0.0 * near.mu)):
        found = pull(cell, lam, before)
        assert found is not None
        np.testing.assert_allclose(found.v, expected.v, atol=1e-12)
        np.testing.assert_allclose(found.length, expected.length, atol=1e-12)
        pulled = (cell.coefficients * found.lam[:, None] + found.mu * cell.sides).T @ cell.X
        np.testing.assert_allclose(pulled, found.v, atol=1e-12)
        assert found.mu.min() >= 0.0

    def by_none(*_: object, **__: object) -> None:
        raise AssertionError("a projection whose face is known was looked for")

    monkeypatch.setattr(cell_dual, "nnls", by_none)
    if not copies:
        assert pull(cell, lam, expected) is not None


def test_the_optimum_and_its_multipliers_satisfy_the_conditions_and_moved_ones_do_not() -> None:
    cell, W = random_cell(3, 8, 10, 4)
    found = solve(cell, W)
    assert found is not None
    np.testing.assert_allclose(found.lam.sum(), found.value, rtol=1e-10)  # strong duality: Σλ = Σ‖u_j‖
    v, size = found.directions(), np.linalg.norm(found.u, axis=1)
    assert np.linalg.norm(v, axis=1).max() <= 1.0 + 1e-10
    np.testing.assert_allclose(found.u, size[:, None] * v, atol=1e-10 * found.value)
    z = cell.X @ found.u.T
    assert ((cell.coefficients * z).sum(1) >= 1.0 - 1e-10).all()
    assert (cell.sides * z >= -1e-10 * found.value).all()
    moved = replace(found, u=found.u * (1.0 + 1e-3 * np.random.default_rng(0).standard_normal(found.u.shape)))
    if not found.refused().any():
        assert found.kkt().relative < 1e-10
    assert moved.kkt().relative > 1e-5


def test_a_wall_that_clarke_does_not_allow_is_crossed() -> None:
    # each unit is on for one of the points x = (1, 0), (1, 1) and off for the other: u = (1, −1) and (0, 1), of value
    # √2 + 1. Both lean on their walls with a force towards the other point, y = 1, that a gate in [0, 1] cannot give.
    # Behind the walls both units are on for both points, and (1, 0) serves them with value 1.
    on = np.array([[True, False], [False, True]])
    cell = Cell(np.array([[1.0, 0.0], [1.0, 1.0]]), np.ones(2), np.ones(2), on, 1.0, 0.0)
    start = np.array([[1.5, -2.0], [-0.5, 2.0]])
    alone = solve(cell, start)
    assert alone is not None
    np.testing.assert_allclose(alone.value, 1.0 + np.sqrt(2.0), rtol=1e-9)
    np.testing.assert_array_equal(alone.refused(), ~on)
    assert alone.kkt().relative > 1e-2
    across = cell_optimum(cell, start)
    assert across is not None
    np.testing.assert_allclose(across.value, 1.0, rtol=1e-9)
    assert across.kkt().relative < 1e-9


def test_a_cell_without_positive_margins_has_no_answer() -> None:
    cell, W = random_cell(0, 5, 4, 3)
    assert cell_optimum(replace(cell, y=-cell.y), W) is None


def two_layers(D: int, H: int, seed: int, activation: nn.Module) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(D, H, bias=False), activation, nn.Linear(H, 1, bias=False)).double()


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(0.2)])
def test_the_point_is_a_limit_of_the_module_itself(activation: nn.Module) -> None:
    # the margins and gradients of the module, by autograd away from its kinks
    rng = np.random.default_rng(105)
    X, y = rng.standard_normal((10, 5)), np.sign(rng.standard_normal(10))
    model = two_layers(5, 10, 0, activation)
    limit = flow_limit(model, X, y)
    assert limit.status is FlowStatus.STATIONARY
    with torch.no_grad():
        for p, w in zip(model.parameters(), limit.weights.values(), strict=True):
            p.copy_(torch.from_numpy(np.asarray(w)))
        margins = y * model(torch.from_numpy(X)).numpy()[:, 0]
    np.testing.assert_allclose(margins.min(), limit.margin, rtol=1e-10)
    assert (limit.dual * (margins - limit.margin) <= 1e-10).all()  # complementarity
    assert limit.kkt_epsilon < 1e-9


@pytest.mark.parametrize(("D", "N", "H", "seed"), [(5, 10, 10, 2), (5, 10, 50, 1)])
def test_a_point_that_is_taken_early_is_the_one_of_a_later_flow(
    D: int, N: int, H: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed + 100 * N + D)
    X, y = rng.standard_normal((N, D)), np.sign(rng.standard_normal(N))
    torch.manual_seed(seed)
    early = flow_limit(two_layers(D, H, seed, nn.ReLU()), X, y)
    assert early.reached is Reached.IN_THE_CELL
    monkeypatch.setattr("gd.flow.termination.CELL_MARGIN", 3e-5)
    late = flow_limit(two_layers(D, H, seed, nn.ReLU()), X, y)
    assert late.status is FlowStatus.STATIONARY
    assert late.log_norm >= early.log_norm  # the early one is followed on for a while as well
    assert late.polish_angle <= early.polish_angle
    np.testing.assert_allclose(early.margin, late.margin, rtol=1e-9)


def test_a_wall_that_the_flow_may_not_cross_stays_and_one_of_a_weightless_point_does_not() -> None:
    # the cell of the test above: both walls are refused, and both points carry weight
    on = np.array([[True, False], [False, True]])
    cell = Cell(np.array([[1.0, 0.0], [1.0, 1.0]]), np.ones(2), np.ones(2), on, 1.0, 0.0)
    start = np.array([[1.5, -2.0], [-0.5, 2.0]])
    held = cell_optimum(cell, start, open_walls=np.zeros_like(on))
    assert held is not None
    assert held.refused().any()
    np.testing.assert_allclose(held.value, 1.0 + np.sqrt(2.0), rtol=1e-9)
    one = cell_optimum(cell, start, open_walls=~on)
    assert one is not None
    np.testing.assert_allclose(one.value, 1.0, rtol=1e-9)
    # the first unit is off for the third point, which the second unit serves with margin 5: (1, −½) and (0, 2½);
    # the third point has no weight, so its wall is no obstacle for the first unit on its way to (1, 0)
    X = np.array([[1.0, 0.0], [0.0, 0.4], [1.0, 2.0]])
    cell = Cell(X, np.ones(3), np.ones(2), np.array([[True, False], [False, True], [False, True]]), 1.0, 0.0)
    start = np.array([[2.0, -1.5], [-1.0, 20.0]])
    alone, across = solve(cell, start), cell_optimum(cell, start, open_walls=np.zeros_like(cell.on))
    assert alone is not None
    assert across is not None
    assert alone.lam[2] == 0
    assert alone.refused()[2, 0]
    assert not across.refused().any()
    np.testing.assert_allclose([alone.value, across.value], [2.5 + np.sqrt(1.25), 3.5], rtol=1e-9)
    assert across.kkt().relative < 1e-9


def test_a_flow_that_has_not_crossed_its_walls_yet_is_not_sent_behind_them() -> None:
    # at ln‖w‖ < 30 the best cell next to the flow's has a margin 0.4 % above that of the flow's end
    rng = np.random.default_rng([0, 30, 5])
    X, y = rng.standard_normal((30, 5)), rng.choice([-1.0, 1.0], 30)
    limit = flow_limit(two_layers(5, 10, 0, nn.ReLU()), X, y)
    assert limit.status is FlowStatus.STATIONARY
    np.testing.assert_allclose(limit.margin, limit.integrated.margin, rtol=1e-4)  # 4e-3 behind the walls
    assert limit.kkt_epsilon < 1e-9


def test_a_point_seen_once_is_not_taken() -> None:
    from gd.flow.termination import Termination

    termination = Termination()
    assert not termination.in_the_cell(0, 0.995, 1.0)
    assert not termination.in_the_cell(1, 0.995, 1.0)  # another row
    assert termination.in_the_cell(0, 0.996, 1.0)
    assert not termination.in_the_cell(1, 0.995, 1.01)  # another point
    assert not termination.in_the_cell(0, 0.98, 1.0)  # too far below
    assert not termination.in_the_cell(0, 1.01, 1.0)  # a flow above the point has passed it


def test_only_a_two_layer_module_has_a_cell_program() -> None:
    X, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    three = nn.Sequential(
        nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 1, bias=False)
    ).double()
    mapping = SlidingMap(three, X, y)
    assert mapping.pieces.two_layers(mapping.start([three])[0]) is None
    two = two_layers(3, 4, 0, nn.ReLU())
    mapping = SlidingMap(two, X, y)
    theta = mapping.start([two])[0]
    net = mapping.pieces.two_layers(theta)
    assert net is not None
    np.testing.assert_array_equal(net.theta(net.W, net.a), theta)
