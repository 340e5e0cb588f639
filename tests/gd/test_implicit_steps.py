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
