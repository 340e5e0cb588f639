"""ReLU networks: sliding along kinks, and limits whose KKT conditions hold with Clarke multipliers.

The check here is a linear program that knows only the two-layer formulas, and shares no code with the package.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn

from gd.flow import row_space
from gd.flow.flow_limit import flow_limit
from gd.flow.integration import Flow
from gd.flow.limit import Limit
from gd.flow.loss_weights import ExponentialWeights
from gd.flow.sliding import SlidingMap
from gd.flow.weight_polish import clarke_multipliers
from gd.piecewise.rows import KinkGram, Outer, Rows
from gd.status import FlowStatus


def two_layers(dim: int, width: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(dim, width, bias=False), nn.ReLU(), nn.Linear(width, 1, bias=False))


def data(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)


def clarke_residual(W: np.ndarray, a: np.ndarray, X: np.ndarray, y: np.ndarray, kink: float) -> float:
    """min over λ ≥ 0 and gates c_jn ∈ [0, 1] at kinks of the largest entry of w − Σ λ_n ∂m_n, by HiGHS.

    ∂m_n/∂w_j = y_n a_j c_jn x_n and ∂m_n/∂a_j = y_n relu(w_j·x_n); unknowns λ_n, q_jn = λ_n c_jn, t.
    """
    z = X @ W.T
    (n, d), width = X.shape, a.size
    tied = y * (np.maximum(z, 0) @ a)
    lam_of = [i for i in range(n) if tied[i] < tied.min() * (1 + 1e-6)]
    kinks = [(i, j) for i in lam_of for j in range(width) if abs(z[i, j]) <= kink]
    columns = len(lam_of) + len(kinks) + 1
    rows = np.zeros((width * d + width, columns))
    for k, i in enumerate(lam_of):
        for j in range(width):
            if z[i, j] > kink:
                rows[j * d : (j + 1) * d, k] += y[i] * a[j] * X[i]
            rows[width * d + j, k] = y[i] * max(z[i, j], 0.0)
    for k, (i, j) in enumerate(kinks):
        rows[j * d : (j + 1) * d, len(lam_of) + k] = y[i] * a[j] * X[i]
    w = np.concatenate([W.ravel(), a])
    upper = rows.copy()
    upper[:, -1] = -1.0
    lower = -rows
    lower[:, -1] = -1.0
    bounds = np.zeros((len(kinks), columns))  # q_jn ≤ λ_n
    for k, (i, _) in enumerate(kinks):
        bounds[k, len(lam_of) + k], bounds[k, lam_of.index(i)] = 1.0, -1.0
    cost = np.zeros(columns)
    cost[-1] = 1.0
    solution = linprog(
        cost, A_ub=np.vstack([upper, lower, bounds]), b_ub=np.concatenate([w, -w, np.zeros(len(kinks))]),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    return float(solution.fun)


def scaled_weights(limit: Limit) -> tuple[np.ndarray, np.ndarray]:
    """Weights at unit margin."""
    size = limit.norm_at_unit_margin
    return limit.weights["0.weight"] * size, limit.weights["2.weight"][0] * size


@pytest.mark.slow
@pytest.mark.parametrize(("n", "dim", "width", "seed"), [(6, 20, 50, 0), (6, 5, 12, 2), (5, 4, 12, 3)])
def test_a_users_two_layer_network_ends_at_a_clarke_kkt_point(n: int, dim: int, width: int, seed: int) -> None:
    X, y = data(n, dim, seed)
    limit = flow_limit(two_layers(dim, width, seed), X, y)
    assert limit.status is FlowStatus.STATIONARY
    assert limit.predictor is None
    assert limit.kkt_epsilon < 1e-6
    assert limit.kkt_delta < 1e-6
    W, a = scaled_weights(limit)
    margins = y * (np.maximum(X @ W.T, 0) @ a)
    np.testing.assert_allclose(margins.min(), 1.0, atol=1e-8)
    # kinks hold to Newton's rounding, 1e-12; the program's own tolerance is 1e-10 per row
    assert clarke_residual(W, a, X, y, kink=1e-9) < 1e-7
    if limit.stats["kinks"]:
        # no choice of one-sided subgradients does: with all kinks off, as autograd has it, the conditions fail
        assert clarke_residual(W, a, X, y, kink=-1.0) > 1e-5
    moved = W + 1e-3 * np.random.default_rng(0).standard_normal(W.shape)
    assert clarke_residual(moved, a, X, y, kink=1e-9) > 1e-5  # the check rejects a point that is no limit


def test_sliding_keeps_the_normalized_margin_rising_and_the_force_parallel() -> None:
    X, y = data(8, 6, 3)
    model = two_layers(6, 12, 3)
    mapping = SlidingMap(model, torch.from_numpy(X), torch.from_numpy(y))
    flow = Flow.begin(mapping, mapping.start([model]), loss=ExponentialWeights(), tolerance=1e-3)
    margins, residuals = [], []
    for _ in range(150):
        if flow.advance()[0]:
            margins.append(flow.margins.min())
            residuals.append(flow.residual()[0])
    late = np.array(margins)[len(margins) // 2 :]
    assert (np.diff(late) > -1e-3 * late[:-1]).all()
    assert residuals[-1] < 0.05  # chattering keeps it near 0.5 for ever
    z = X @ mapping.weights(flow.theta[0])["0.weight"].T
    sliding = flow.carried[0].sliding.view(8, 12).numpy()
    assert sliding.any()
    assert np.abs(z[sliding]).max() < 1e-3 * np.abs(z).max()  # on the kinks to the path's accuracy


def test_gates_reproduce_the_module_and_its_derivatives() -> None:
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.ReLU(),
        nn.Linear(6, 5, bias=False), nn.LeakyReLU(0.1),
        nn.Linear(5, 1, bias=False),
    )  # fmt: skip
    X, y = data(7, 4, 4)
    mapping = SlidingMap(model, torch.from_numpy(X), torch.from_numpy(y))
    theta = mapping.start([model])[0]
    pieces = mapping.pieces
    assert pieces.n_kinks == 7 * 11
    assert mapping.degree == 3
    m, z = pieces.plain(theta)
    gates = (z > 0).to(torch.float64)
    np.testing.assert_allclose(m, mapping.margins(theta[None])[0], atol=1e-15)
    held, _ = pieces.gated(theta, gates)
    np.testing.assert_allclose(held, m, atol=1e-14)
    kinks = torch.tensor([1, 3 * 11 + 9])  # unit 1 on sample 0, unit 9 (of the second layer) on sample 3
    found = pieces.derivatives(theta, gates, kinks)
    expected = torch.autograd.functional.jacobian(lambda t: mapping.smooth_margins(t), theta)
    np.testing.assert_allclose(found.rows.dense[:7], expected, atol=1e-14)
    v = torch.randn(theta.numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ahead, behind = (pieces.gated(theta + sign * 1e-5 * v, gates)[1][kinks] for sign in (1.0, -1.0))
    np.testing.assert_allclose(found.rows.dense[7:] @ v, (ahead - behind) / 2e-5, rtol=1e-7)
    np.testing.assert_allclose(found.rows.dot(v), found.rows.dense @ v, atol=1e-13)
    np.testing.assert_allclose(found.rows.gram(), found.rows.dense @ found.rows.dense.T, atol=1e-13)
    opened = gates.clone()
    opened[2 * 11 + 3] = 1.0 - opened[2 * 11 + 3]  # unit 3 on sample 2: the margin is linear in one gate
    change = float((pieces.gated(theta, opened)[0] - held)[2]) * (-1.0) ** float(gates[2 * 11 + 3])
    np.testing.assert_allclose(float(found.sensitivity[2, 3] * z[2 * 11 + 3]), change, rtol=1e-8)


def test_a_sliding_kink_passes_on_what_its_gate_lets_through() -> None:
    # Σ p m − Σ q z_K is linear in one gate, with the kink's z times its gain as slope: the bound is minus that gain
    X, y = data(4, 3, 1)
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False)
    ).double()
    mapping = SlidingMap(model, torch.from_numpy(X), torch.from_numpy(y))
    theta, pieces = mapping.start([model])[0], mapping.pieces
    z = pieces.plain(theta)[1]
    kinks = torch.tensor([5, 2 * 11 + 8])  # unit 0 of the second layer on sample 0, unit 3 of it on sample 2
    gates = (z > 0).to(torch.float64)
    gates[kinks] = 0.0
    p, q = torch.rand(4, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([0.7, 0.2]).double()
    found = pieces.derivatives(theta, gates, kinks)
    bounds = pieces.bounds(found, torch.cat([p, q]))
    np.testing.assert_allclose(pieces.bends(found, torch.arange(44)) @ torch.cat([p, q]), bounds, atol=1e-14)
    for kink in (2, 2 * 11 + 1, 3 * 11 + 4, 2 * 11 + 8):
        values = []
        for gate in (0.0, 1.0):
            held = gates.clone()
            held[kink] = gate
            m, of_kinks = pieces.gated(theta, held)
            values.append(float(p @ m - q @ of_kinks[kinks]))
        np.testing.assert_allclose(-float(bounds[kink] * z[kink]), values[1] - values[0], rtol=1e-8, atol=1e-12)


def test_the_change_of_pre_activations_along_a_direction() -> None:
    mapping, theta = three_layers_at(4)
    gates = (mapping.pieces.plain(theta)[1] > 0).to(torch.float64)
    v = torch.randn(theta.numel(), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z, change = mapping.pieces.change(theta, gates, v)
    np.testing.assert_allclose(z, mapping.pieces.gated(theta, gates)[1], atol=1e-15)
    ahead, behind = (mapping.pieces.gated(theta + sign * 1e-5 * v, gates)[1] for sign in (1.0, -1.0))
    np.testing.assert_allclose(change, (ahead - behind) / 2e-5, atol=1e-8)


def three_layers_at(seed: int) -> tuple[SlidingMap, torch.Tensor]:
    X, y = data(5, 3, seed)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(3, 6, bias=False), nn.ReLU(), nn.Linear(6, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False)
    ).double()
    mapping = SlidingMap(model, torch.from_numpy(X), torch.from_numpy(y))
    return mapping, mapping.start([model])[0]


@pytest.mark.parametrize("largest", [0, 10_000])
def test_dependent_constraints_by_their_scalar_products_and_by_themselves(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_space, "LARGEST_DENSE", largest)
    rng = np.random.default_rng(3)
    dense, v, c = rng.standard_normal((5, 12)), rng.standard_normal(12), rng.standard_normal(5)
    dense[4] = dense[0] + dense[1]
    rows, Q = Rows([torch.from_numpy(dense)]), np.linalg.qr(dense[:4].T)[0]
    space, across = row_space.RowSpace(rows, 12), v - Q @ (Q.T @ v)
    np.testing.assert_allclose(space.across(torch.from_numpy(v)).numpy(), across, atol=1e-12)
    nearest = np.linalg.lstsq(dense.T, v, rcond=1e-10)[0]
    np.testing.assert_allclose(space.multipliers(torch.from_numpy(v)).numpy(), nearest, atol=1e-12)
    moved = space.least_norm(torch.from_numpy(dense @ v)).numpy()
    np.testing.assert_allclose(moved, v - across, atol=1e-11)
    R, within = row_space.compressed(rows, torch.from_numpy(v))
    # the same least squares: distances differ by what no multipliers reach
    compared = [np.linalg.norm(v - dense.T @ t) ** 2 - np.linalg.norm(within - R @ t) ** 2 for t in (c, nearest)]
    np.testing.assert_allclose(compared[0], compared[1], rtol=1e-11)


def test_three_layers_end_at_a_point_whose_conditions_hold() -> None:
    # by the network's own formulas: at a local minimum w = Σ λ ∂m with Clarke gates, so ‖w‖² = 3 Σ λ by homogeneity
    X, y = data(6, 4, 8)
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 5, bias=False), nn.ReLU(), nn.Linear(5, 1, bias=False)
    ).double()
    limit = flow_limit(model, X, y)
    assert limit.status is FlowStatus.STATIONARY
    assert limit.kkt_epsilon < 1e-9 * limit.norm_at_unit_margin
    W, V, a = (w * limit.norm_at_unit_margin for w in limit.weights.values())
    f = np.maximum(np.maximum(X @ W.T, 0.0) @ V.T, 0.0) @ a[0]
    np.testing.assert_allclose((y * f).min(), 1.0, atol=1e-8)
    # balanced layers, unit by unit
    np.testing.assert_allclose((W**2).sum(1), (V**2).sum(0), atol=1e-7)
    np.testing.assert_allclose((V**2).sum(1), a[0] ** 2, atol=1e-7)


def test_scalar_products_of_kinks_are_solved_with_by_blocks() -> None:
    rng = np.random.default_rng(6)
    X, units = torch.from_numpy(rng.standard_normal((7, 4))), torch.tensor([2, 0, 2, 1, 0, 2, 3])
    one_hot = torch.eye(5, dtype=torch.float64)[units] * torch.from_numpy(rng.standard_normal(7))[:, None]
    empty = Outer(torch.zeros(7, 1, dtype=torch.float64), torch.zeros(7, 5, dtype=torch.float64))
    sides = torch.from_numpy(rng.standard_normal((7, 3)))
    for block in (Outer(one_hot, X), Outer(X, one_hot)):
        rows = Rows([block, empty])
        separate = rows.separate()
        assert separate is not None
        np.testing.assert_array_equal(separate[0], units)
        by_blocks = KinkGram(rows.gram, separate, 1e-13).solve(sides)
        np.testing.assert_allclose(by_blocks, KinkGram(rows.gram, None, 1e-13).solve(sides), rtol=1e-8)
        np.testing.assert_allclose(rows.cross(rows), rows.gram(), atol=1e-14)
    mixed = Rows([Outer(X, torch.ones(7, 5, dtype=torch.float64)), empty])  # every row in every unit
    assert mixed.separate() is None
    np.testing.assert_allclose(mixed.cross(rows), mixed.dense @ rows.dense.T, atol=1e-13)


def test_clarke_multipliers_are_admissible_and_refuse_a_direction_they_cannot_make() -> None:
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((5, 12))  # three margins, two kinks of margins 0 and 2
    delta = np.array([0.5, 2.0])
    active, bends = np.ones(3, dtype=bool), np.array([[0.5, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0, 0.0]])
    gradients = Rows([torch.from_numpy(rows)])
    lam, mu = np.array([1.0, 0.3, 0.7]), np.array([0.25, 1.4])  # the second at its bound
    found_lam, found_mu, residual = clarke_multipliers(
        gradients, gradients.combine(torch.from_numpy(np.concatenate([lam, mu]))), active, bends
    )
    assert residual < 1e-9
    np.testing.assert_allclose(found_lam, lam, atol=1e-8)
    np.testing.assert_allclose(found_mu, mu, atol=1e-8)
    _, beyond, residual = clarke_multipliers(
        gradients, gradients.combine(torch.tensor([1.0, 0.3, 0.7, 0.9, 1.4], dtype=torch.float64)), active, bends
    )
    assert residual > 1e-2  # μ = 0.9 > λδ = 0.5 is not allowed
    assert (beyond <= found_lam[[0, 2]].max() * delta.max()).all()


@pytest.mark.numerical
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nearly_separable_data_are_separated_in_the_end(seed: int) -> None:
    # relative margin 1e-9: the force falls to that, and stays there until ‖w‖ has grown
    gap = 1e-9
    X, y = np.array([[1.0, gap], [1.0, -gap]]), np.array([1.0, -1.0])
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 4, bias=False), nn.LeakyReLU(0.5), nn.Linear(4, 1, bias=False)).double()
    limit = flow_limit(model, torch.from_numpy(X), torch.from_numpy(y), max_steps=250)
    assert limit.status is not FlowStatus.NOT_SEPARATED
    W, a = limit.weights["0.weight"], limit.weights["2.weight"][0]
    z = X @ W.T
    margins = y * (np.where(z > 0, z, 0.5 * z) @ a)
    assert margins.min() > 0
    # no network of norm one has more: f(x_1) − f(x_2) ≤ Σ|a_j|‖w_j‖‖x_1 − x_2‖ ≤ ½ · 2 gap
    assert margins.min() <= 0.5 * gap * (1 + 1e-6)


def test_clarke_multipliers_at_their_bounds_are_exact() -> None:
    # 60 kinks, half of them behind others, a third at 0, a third at b: all equations hold to rounding
    rng = np.random.default_rng(0)
    A, K = 10, 60
    rows, lam, mu = rng.standard_normal((A + K, 600)), rng.uniform(0.1, 1.0, A), np.zeros(K)
    rows[A + 20 : A + 40] = rows[A : A + 10].repeat(2, 0) + rows[A + 40 :]  # gradients that depend on each other
    bends = np.zeros((K, A + K))
    bends[np.arange(K), np.arange(K) % A] = rng.uniform(0.1, 2.0, K)
    bends[np.arange(K // 2), A + K // 2 + np.arange(K // 2)] = rng.uniform(0.0, 0.3, K // 2)
    for k in reversed(range(K)):
        mu[k] = (0.0, 1.0, 0.5)[k % 3] * bends[k] @ np.concatenate([lam, mu])
    w = torch.from_numpy(np.concatenate([lam, mu]) @ rows)
    found_lam, found_mu, residual = clarke_multipliers(Rows([torch.from_numpy(rows)]), w, np.ones(A, bool), bends)
    assert residual < 1e-14
    b = bends @ np.concatenate([found_lam, found_mu])
    assert (found_mu >= 0).all()
    assert (found_mu <= b + 1e-13).all()


def test_a_sample_on_which_every_unit_dies_is_reported_not_claimed() -> None:
    X, y = data(5, 4, 1)
    limit = flow_limit(two_layers(4, 8, 1), X, y)
    assert limit.status is FlowStatus.NOT_SEPARATED
    np.testing.assert_allclose(limit.margin, 0.0, atol=1e-6)


def test_data_that_no_unit_separates_are_reported_not_claimed() -> None:
    X = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])  # along one ray a bias-free network has one sign
    y = np.array([1.0, -1.0, 1.0])
    limit = flow_limit(two_layers(2, 4, 6), X, y, max_steps=200)
    assert limit.status is FlowStatus.NOT_SEPARATED
    assert not limit.status.converged
    assert limit.margin <= 0
    assert limit.log_log_loss == -np.inf
