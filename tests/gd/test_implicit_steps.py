"""Steps with an implicit Jacobian along kinks: they solve their equations, however long they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gd.flow.integration import SETTLED, Flow
from gd.flow.kink_tangent import Gates, Metric, Tangent
from gd.flow.kkt import ACTIVE
from gd.flow.loss_weights import ExponentialWeights
from gd.flow.sliding import SlidingMap
from gd.flow.step_rows import extrapolated
from gd.flow.weight_polish import hessian

X = np.random.default_rng(3).standard_normal((3, 6))
LABELS = np.array([-1.0, 1.0, -1.0])


@pytest.fixture(scope="module")
def late() -> Flow:
    """A flow of three layers that slides along four kinks, and soon settles."""
    torch.manual_seed(3)
    widths = (6, 6), (6, 6), (6, 1)
    layers = [part for a, b in widths for part in (nn.Linear(a, b, bias=False), nn.ReLU())]
    mapping = SlidingMap(nn.Sequential(*layers[:-1]).double(), torch.as_tensor(X), torch.as_tensor(LABELS))
    flow = Flow.begin(mapping, 2.0 * mapping.start([mapping.model]), loss=ExponentialWeights(), tolerance=1e-3)
    while float(flow.residual()[0]) > 0.5 * SETTLED:
        assert flow.steps[0] < 120
        flow.advance()
    return flow


def hessian_of_the_force(mapping: SlidingMap, theta: Tensor, gates: Gates, p: Tensor, q: Tensor) -> Tensor:
    def force(t: Tensor) -> Tensor:
        m, z = mapping.pieces.gated(t, gates.open)
        return p @ m - q @ z[gates.kinks]

    return hessian(force, theta)


def test_a_step_far_longer_than_the_whole_hessian_allows_solves_its_equations(late: Flow) -> None:
    mapping, gates = late.mapping, late.carried[0]
    assert gates.kinks.numel() > 0
    noise = torch.randn(late.theta.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theta = late.theta[0] + 1e-6 * noise  # off the kinks, so that the step must lead back
    p = torch.as_tensor(late.weights[0])
    plain = mapping.tangent(theta, gates, Metric())
    rate = mapping.degree * float(p @ plain.local.margins)
    h = 50.0 / rate
    metric = mapping.metric(theta, plain, p, h)
    assert float(torch.linalg.eigvalsh(metric.matrix)[0]) < -1.0  # radial: 1 + hλ − (L − 1)hλ
    tangent = Tangent.of(gates, plain.local, metric)
    assert tangent.solvable
    local = mapping.at(theta[None], [gates])
    new, _, kappa, ok = local._weights(tangent, theta, h, 0.0, late.temperature, late.weights, late.loss)
    assert ok
    new = torch.as_tensor(new[0])
    v = tangent.combine(torch.cat([h * new, -kappa]))
    kappa = tangent.holding(kappa, v)

    # M v + Zᵀκ = hJᵀp − hλθ and z + Zv = 0, by the formulas, with M as it is
    m, Z = plain.local.rows.dense[: tangent.C], plain.local.rows.dense[tangent.C :]
    A = hessian_of_the_force(mapping, theta, gates, p, plain.along_kinks(p[:, None])[:, 0])
    M = (1.0 + h * rate) * torch.eye(theta.numel(), dtype=torch.float64) - h * A
    left, right = M @ v + Z.T @ kappa, h * (m.T @ new) - h * rate * theta
    scale = float(torch.linalg.vector_norm(h * rate * theta))
    assert float(torch.linalg.vector_norm(left - right)) < 1e-9 * scale  # rounding over the conditioning of M
    z = plain.local.z[gates.kinks]
    assert float(z.abs().max()) > 1e-7
    assert float((z + Z @ v).abs().max()) < 1e-12
    # and p are the weights of the margins at the end
    ahead = (plain.local.margins + m @ v).numpy()
    tied = new.numpy() > 1e-6
    implied = -np.log(new.numpy()) * late.temperature[0]
    np.testing.assert_allclose(np.ptp((ahead - implied)[tied]), 0.0, atol=1e-3 * late.temperature[0])


def test_a_direction_that_grows_along_kinks_and_ties_still_forbids_a_long_step(late: Flow) -> None:
    mapping, gates = late.mapping, late.carried[0]
    theta, p = late.theta[0], torch.as_tensor(late.weights[0])
    plain = mapping.tangent(theta, gates, Metric())
    metric = mapping.metric(theta, plain, p, 1.0)
    rows = torch.cat([plain.local.rows.dense[plain.C :], plain.local.rows.dense[: plain.C][p > ACTIVE * p.max()]])
    free = torch.linalg.svd(rows)[2][-1]  # orthogonal to all of them
    saddle = Metric(metric.matrix - 1e3 * torch.outer(free, free), metric.drift, metric.growth, metric.ties)
    assert Tangent.of(gates, plain.local, metric).solvable
    assert not Tangent.of(gates, plain.local, saddle).solvable


def test_long_steps_settle_three_layers(late: Flow) -> None:
    flow = late.restrict(np.array([0]))
    steps, rejected, before = int(flow.steps[0]), int(flow.rejected[0]), float(flow.log_norm[0])
    for _ in range(25):
        flow.advance()
    assert flow.residual()[0] < 1e-6
    # with hλ < 1/(L − 2) = 1 and every second step rejected, 25 attempts gained ln‖w‖ < 10
    assert flow.log_norm[0] - before > 100.0
    assert flow.rejected[0] - rejected <= 3
    assert flow.steps[0] - steps >= 22


def test_an_extrapolated_step_turns_no_dying_weight_into_its_opposite() -> None:
    # w′ = −w by the linearly implicit Euler method: positive, as e^{−h} is, and of order two
    for h in np.geomspace(1e-3, 1e9, 60):
        once, twice = torch.tensor([[1.0 / (1.0 + h)]]).double(), torch.tensor([[(1.0 + h / 2) ** -2]]).double()
        found = float(extrapolated(once, twice))
        assert found > 0
        assert abs(found - np.exp(-h)) <= min(h**3, 1.0 / h)


def test_a_row_that_shrinks_by_half_in_two_short_steps_keeps_its_direction() -> None:
    # 2 · ½u − u is rounding: here 1e-9 of it, across u
    u, across = torch.tensor([[3.0, 4.0]]).double() / 5.0, torch.tensor([[-4.0, 3.0]]).double()
    found = extrapolated(u, 0.5 * u + 1e-9 * across)
    assert float((found / found.norm() - u).norm()) < 1e-7


def test_dying_units_keep_their_direction_in_long_steps() -> None:
    # a unit away from its kinks turns towards s_j Σ p_n y_n [w_j·x_n > 0] x_n, and dies, or lives, in that direction
    rng = np.random.default_rng(0)
    data, y = rng.standard_normal((3, 3)), np.array([1.0, -1.0, 1.0])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5, bias=False), nn.ReLU(), nn.Linear(5, 1, bias=False)).double()
    mapping = SlidingMap(model, torch.as_tensor(data), torch.as_tensor(y))
    flow = Flow.begin(mapping, mapping.start([model]), loss=ExponentialWeights(), tolerance=1e-3)
    while flow.log_norm[0] < 200.0:
        assert flow.steps[0] < 150
        flow.advance()
    W, a = np.split(flow.theta[0].numpy(), [15])
    dying = 0
    for w, output in zip(W.reshape(5, 3), a, strict=True):
        z = data @ w / np.linalg.norm(w)
        pull = np.sign(output) * (flow.weights[0] * y * (z > 0)) @ data
        if np.abs(z).min() > 1e-3:
            np.testing.assert_allclose(w / np.linalg.norm(w), pull / np.linalg.norm(pull), atol=2e-3)
            dying += np.linalg.norm(w) < 1e-12
    assert dying == 2
