"""Steps of two-layer networks in closed form, held to the same steps from the module's trace (`gd.flow.sliding`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn

from gd import FlowStatus, flow_limit
from gd.flow.homogeneity import measured_degree
from gd.flow.implicit_weights import implicit_weights
from gd.flow.integration import Flow
from gd.flow.kink_states import corrected
from gd.flow.loss_weights import ExponentialWeights
from gd.flow.map_choice import margin_map
from gd.flow.sliding import SlidingMap
from gd.flow.two_layer_map import TwoLayerMap
from gd.flow.unit_walls import UnitWalls


class Mirrored(nn.Module):
    """a φ(−W x): the kinks' own pre-activations are −w·x, and the parameters are columns, output first."""

    def __init__(self, D: int, width: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(width, 1, dtype=torch.float64))
        self.W = nn.Parameter(torch.randn(D, width, dtype=torch.float64))

    def forward(self, X: Tensor) -> Tensor:
        return nn.functional.leaky_relu(-(X @ self.W), 0.2) @ self.a


def layers(activation: nn.Module):
    def build(D: int, width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(D, width, bias=False), activation, nn.Linear(width, 1, bias=False)).double()

    return build


CASES = [
    pytest.param(layers(nn.ReLU()), 6, 8, id="ReLU, N > D"),
    pytest.param(layers(nn.ReLU()), 12, 8, id="ReLU, N < D"),
    pytest.param(layers(nn.LeakyReLU(0.3)), 4, 7, id="leaky"),
    pytest.param(Mirrored, 5, 9, id="mirrored columns"),
]


@pytest.mark.parametrize(("build", "D", "N"), CASES)
def test_every_step_is_that_of_the_trace(build, D, N):
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    model = build(D, 10)
    X, y = torch.from_numpy(rng.standard_normal((N, D))), torch.from_numpy(rng.choice([-1.0, 1.0], N))
    fast, slow = margin_map(model, X, y), SlidingMap(model, X, y)
    assert isinstance(fast, TwoLayerMap)
    loss, slid, changed = ExponentialWeights(), 0, 0
    flow = Flow.begin(fast, fast.start([model]), loss=loss, tolerance=1e-3)
    for _ in range(60):
        carried = None if flow.carried is None else list(flow.carried)
        local, reference = fast.at(flow.theta, carried), slow.at(flow.theta, carried)
        np.testing.assert_allclose(local.margins, reference.margins, atol=1e-13)
        np.testing.assert_allclose(local.gram, reference.gram, atol=1e-10)
        p = torch.from_numpy(flow.weights)
        np.testing.assert_allclose(local.pull(p), reference.pull(p), atol=1e-10)
        np.testing.assert_allclose(local.along_kinks(flow.theta[0]), reference.along_kinks(flow.theta[0]), atol=1e-10)
        np.testing.assert_allclose(local.kink_multipliers(p[0]), reference.kink_multipliers(p[0]), atol=1e-9)
        step, other = (
            one.solve(flow.step, flow.temperature, flow.weights, loss, np.zeros(1, dtype=bool))
            for one in (local, reference)
        )
        np.testing.assert_allclose(step.p, other.p, atol=1e-8)
        np.testing.assert_allclose(step.move, other.move, atol=1e-7 * float(other.move.norm()))
        for one in ("sliding", "open"):  # the sides of kinks that slide are not decided
            assert torch.equal(getattr(step.carried[0], one), getattr(other.carried[0], one))
        slid, before = max(slid, int(step.carried[0].sliding.sum())), flow.carried and flow.carried[0].sliding
        changed += before is not None and not torch.equal(before, step.carried[0].sliding)
        flow.advance()
    assert min(slid, changed) >= 3  # what is compared are steps along kinks, and onto and off them


@pytest.mark.parametrize(("build", "D", "N"), CASES)
def test_a_batch_of_seeds_is_its_runs(build, D, N):
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((N, D)), rng.choice([-1.0, 1.0], N)
    models = []
    for seed, scale in enumerate((1.0, 0.1, 2.0, 1.0)):
        torch.manual_seed(seed)
        models.append(build(D, 12))
        with torch.no_grad():
            for part in models[-1].parameters():
                part.mul_(scale)
    mapping = margin_map(models[0], torch.from_numpy(X), torch.from_numpy(y))
    assert mapping.at_once(models) > len(models)
    alone, counts = [flow_limit(model, X, y) for model in models], []
    together = flow_limit(models, X, y, progress=lambda _, running: counts.append(running))
    assert counts[0] == len(models)  # all at once
    assert len({limit.stats["steps"] for limit in alone}) > 1  # each has its own steps, and leaves at its own time
    assert any(limit.status is FlowStatus.STATIONARY for limit in alone)
    for one, other in zip(together, alone, strict=True):
        assert (one.status, one.reached, one.stats["steps"]) == (other.status, other.reached, other.stats["steps"])
        assert one.margin == pytest.approx(other.margin, rel=1e-8, abs=1e-12)
        assert one.path.log_norm.shape == other.path.log_norm.shape
        np.testing.assert_allclose(one.path.margins, other.path.margins, atol=1e-6 * np.abs(other.path.margins).max())


def test_a_batch_is_no_larger_than_pays():
    X, y = torch.randn(60, 3, dtype=torch.float64), torch.ones(60, dtype=torch.float64)
    models = [layers(nn.ReLU())(3, 300) for _ in range(4)]
    mapping = margin_map(models[0], X, y)
    assert mapping.at_once(models) == 2  # 50,000 kinks
    assert len(flow_limit(models, X, y, max_steps=2)) == 4


def test_a_singular_row_of_a_batch_fails_alone():
    # K = 0 and T below the rounding of nothing: 0·u = r has no solution
    K = np.stack([np.zeros((2, 2)), np.eye(2)])
    T, h, guess = np.array([0.0, 0.1]), np.ones(2), np.full((2, 2), 0.5)
    m = np.array([[1.0, 2.0], [1.0, 2.0]])
    with np.errstate(all="ignore"):
        p, converged = implicit_weights(m, K, h, T, guess, ExponentialWeights())
    assert converged.tolist() == [False, True]
    mu = m[1] + p[1]
    np.testing.assert_allclose(p[1], np.exp(-mu / 0.1) / np.exp(-mu / 0.1).sum(), atol=1e-10)


def test_kinks_that_turn_back_slide_at_once(monkeypatch):
    # rounds of changes in 60 steps: 609, and 918 if every kink that a step would cross is first taken for crossed
    rng = np.random.default_rng(0)
    X, y = torch.from_numpy(rng.standard_normal((30, 10))), torch.from_numpy(rng.choice([-1.0, 1.0], 30))
    torch.manual_seed(0)
    model, rounds = layers(nn.ReLU())(10, 40), 0

    def counted(trial, attempt):
        nonlocal rounds
        rounds += 1
        return corrected(trial, attempt)

    monkeypatch.setattr("gd.flow.two_layer_map.corrected", counted)
    flow_limit(model, X, y, max_steps=60)
    assert rounds < 750


@pytest.mark.parametrize("seed", range(3))
def test_walls_are_projections_and_their_multipliers(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((9, 5)) * [1e6 if seed == 2 else 1.0, 1.0, 1.0, 1.0, 1.0]
    X[1] = 2.0 * X[0] * (1.0 + 1e-12)  # a copy
    sliding = rng.random((9, 7)) < [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0]
    known = UnitWalls(X)
    known.of(rng.random((7, 9)) < 0.5)  # bases of another set do not stay
    walls, v = known.of(sliding.T), rng.standard_normal((7, 5))
    kappa = np.zeros((7, 9))
    kappa[walls.kinks] = walls.multipliers(v)
    length = np.linalg.norm(X, axis=1)
    for j in range(7):
        rows = X[sliding[:, j]] / length[sliding[:, j], None]
        expected = v[j] - np.linalg.pinv(rows, rcond=1e-9) @ (rows @ v[j])
        np.testing.assert_allclose(walls.along(v)[j], expected, atol=1e-9)
        np.testing.assert_allclose(walls.restricted(np.array([j])).along(v[j : j + 1])[0], expected, atol=1e-9)
        np.testing.assert_allclose(v[j] - X.T @ kappa[j], expected, atol=1e-9)
    A, F = rng.standard_normal((2, 7, 9))
    expected = F.T @ F
    for j in range(7):
        rows = X[sliding[:, j]] / length[sliding[:, j], None]
        along = X - X @ np.linalg.pinv(rows, rcond=1e-9) @ rows
        expected += np.outer(A[j], A[j]) * (along @ along.T)
    np.testing.assert_allclose(walls.gram(A, F, X @ X.T), expected, rtol=1e-8, atol=1e-13 * float((X @ X.T).max()))


def test_a_limit_names_the_units_that_die():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((6, 3)), rng.choice([-1.0, 1.0], 6)
    torch.manual_seed(2)
    limit = flow_limit(layers(nn.ReLU())(3, 8), X, y)
    dying = limit.dying_units
    W, a = limit.integrated.weights.values()
    size = np.abs(a[0]) * np.linalg.norm(W, axis=1)
    assert 0 < dying.size < 8
    assert 0.0 < size[dying].max() < 0.1 * np.delete(size, dying).max()  # they are on their way, and the others stay
    assert f"Units that die: {', '.join(map(str, dying))}." in " ".join(repr(limit).split())
    kept = np.delete(np.arange(8), dying)
    W, a = limit.weights.values()
    without = y * (np.maximum(X @ W[kept].T, 0.0) @ a[0, kept])
    np.testing.assert_allclose(without.min(), limit.margin, rtol=1e-8)


def test_a_network_without_any_force_is_given_up():
    model = layers(nn.ReLU())(4, 8)
    rng = np.random.default_rng(1)
    with torch.no_grad():
        model[0].weight.abs_().neg_()
    limit = flow_limit(model, rng.random((6, 4)), [1, -1, 1, 1, -1, 1])
    assert limit.status is FlowStatus.NOT_SEPARATED


@pytest.mark.parametrize("start", [0, 3])
def test_a_flow_that_ends_at_a_critical_point_of_the_loss_is_given_up(start):
    # it took thousands of steps, in which rounding moved the weights
    X, y = np.random.default_rng(3).standard_normal((4, 2)), np.array([1.0, -1.0, 1.0, -1.0])
    torch.manual_seed(start)
    model = layers(nn.ReLU())(2, 2)
    limit = flow_limit(model, X, y)
    assert limit.status is FlowStatus.NOT_SEPARATED
    assert limit.stats["steps"] + limit.stats["rejected"] < 150
    W, a = (np.exp(limit.log_norm) * part for part in limit.weights.values())
    z = X @ W.T
    loss = np.exp(-y * (np.maximum(z, 0.0) @ a[0]))
    assert loss.max() > 1.0  # a margin is negative, and no small change of the weights lowers the loss:
    pull = loss * y
    np.testing.assert_allclose(pull @ np.maximum(z, 0.0), 0.0, atol=1e-7)
    on = np.where(np.abs(z) > 1e-7 * np.abs(z).max(), (z > 0) * 1.0, np.nan)
    for j in range(2):
        sure, bent = on[:, j] == 1, np.isnan(on[:, j])
        force = a[0, j] * (pull[sure] @ X[sure])
        if bent.any():  # within what the gates of kinks can add
            columns = a[0, j] * (pull[bent, None] * X[bent]).T
            force = force + columns @ lsq_linear(columns, -force, (0.0, 1.0)).x
        np.testing.assert_allclose(force, 0.0, atol=1e-7)


def test_the_kind_of_a_network_is_found_by_one_trace(monkeypatch):
    count = 0

    def counted(*given):
        nonlocal count
        count += 1
        return measured_degree(*given)

    monkeypatch.setattr("gd.flow.module_map.measured_degree", counted)
    X, y = torch.randn(5, 3, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    kinds = {nn.ReLU(): TwoLayerMap, nn.Sequential(nn.ReLU(), nn.Linear(4, 4, bias=False), nn.ReLU()): SlidingMap}
    for calls, (middle, kind) in enumerate(kinds.items(), 1):
        found = margin_map(layers(middle)(3, 4), X, y)
        assert type(found) is kind
        assert count == calls


def test_two_layer_flows_have_one_thread_and_give_the_others_back():
    def counts() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    seen: list[set[int]] = []
    torch.manual_seed(0)
    X, y = np.random.default_rng(0).standard_normal((6, 3)), [1, -1, 1, -1, 1, -1]
    with threadpool_limits(2, user_api="blas"):
        before = counts()
        flow_limit(layers(nn.ReLU())(3, 8), X, y, max_steps=60, progress=lambda *_: seen.append(counts()))
        assert seen
        assert all(one == {1} for one in seen)
        assert counts() == before


@pytest.mark.parametrize(("N", "D", "width", "seed"), [(8, 4, 10, 0), (8, 12, 8, 2)])
def test_long_steps_end_where_short_ones_end(monkeypatch, N, D, width, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((N, D)), rng.choice([-1.0, 1.0], N)
    limits = []
    for stretch in (TwoLayerMap.largest_stretch, 3.0):
        monkeypatch.setattr(TwoLayerMap, "largest_stretch", stretch)
        torch.manual_seed(seed)
        limits.append(flow_limit(layers(nn.ReLU())(D, width), X, y))
    long, short = limits
    assert long.status is short.status is FlowStatus.STATIONARY
    assert long.margin == pytest.approx(short.margin, rel=1e-9)
    assert long.integrated.margin == pytest.approx(long.margin, rel=1e-2)  # the flow has come there by itself
