"""Limits that were wrong once: each kind with its right value and how that value is known.

Where a value is not derived in a line, it comes from `raw_flow`, gradient flow of the raw weights by LSODA, which
shares
no code with `gd`; or from the same function written in another way (a batch and the single calls, `nn.ReLU` and a
rectifier in place). Directions are compared to 1e-6 where both sides are polished points, and to 2e-4 where one side is
the raw flow at temperature 1e-8 (the square root of that where a multiplier vanishes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from raw_flow import DiagonalNetwork, TwoLayerNetwork, raw_flow
from torch import Tensor, nn

from gd import Convolutional, Diagonal, FlowStatus, FullyConnected, Limit, MultiChannelCNN, flow_limit
from solvers import L2, max_margin

Array = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def unit(v: Any) -> Array:
    v = np.asarray(v, dtype=float).ravel()
    return np.asarray(v / np.linalg.norm(v))


def parameter(values: Any) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def with_weights(model: nn.Module, *weights: Any) -> Any:
    """The model with its parameters overwritten, in their order."""
    with torch.no_grad():
        for p, w in zip(model.parameters(), weights, strict=True):
            p.copy_(torch.as_tensor(w, dtype=torch.float64).reshape(p.shape))
    return model


def gaussian_data(N: int, D: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, D)), np.where(np.arange(N) % 2 == 0, 1.0, -1.0)


def same_limit(a: Limit, b: Limit, accuracy: float = 1e-6) -> None:
    """Two limits of one flow: margins and directions agree, and both were found."""
    assert a.status.converged == b.status.converged
    np.testing.assert_allclose(a.margin, b.margin, rtol=accuracy)
    np.testing.assert_allclose(a.direction, b.direction, atol=accuracy)


# ── A batch is of one function ───────────────────────────────────────────────────────────────────────────────────────


class RandomFeatures(nn.Module):
    """tanh(X F) a with F a buffer: linear in a, so the limit is the max-margin a for these features."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.register_buffer("F", torch.from_numpy(rng.standard_normal((2, 6))))
        self.a = parameter(0.1 * np.ones(6))

    def features(self, X: Tensor) -> Tensor:
        return torch.tanh(X @ self.F)

    def forward(self, X: Tensor) -> Tensor:
        return self.features(X) @ self.a


class Sloped(nn.Module):
    """Σ a_j lrelu(w_j·x) whose slope is a plain Python attribute."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        rng = np.random.default_rng(3)
        self.slope, self.W, self.a = slope, parameter(rng.standard_normal((4, 2))), parameter(rng.standard_normal(4))

    def forward(self, X: Tensor) -> Tensor:
        z = X @ self.W.T
        return torch.where(z > 0, z, self.slope * z) @ self.a


class HeldFactor(nn.Module):
    """⟨x, u ⊙ v⟩ with v held by requires_grad: linear in u."""

    def __init__(self, v: Any) -> None:
        super().__init__()
        self.u, self.v = parameter([0.1, 0.1]), parameter(v)
        self.v.requires_grad_(False)

    def forward(self, X: Tensor) -> Tensor:
        return X @ (self.u * self.v)


class Swapped(nn.Module):
    """Two matrices applied in an order that a subclass's attribute, not a parameter, decides."""

    def __init__(self, first: str) -> None:
        super().__init__()
        rng = np.random.default_rng(5)
        self.first, self.A, self.B = first, parameter(rng.standard_normal(2)), parameter(rng.standard_normal(2))

    def forward(self, X: Tensor) -> Tensor:
        w, scale = (self.A, self.B) if self.first == "A" else (self.B, self.A)
        return (X @ w) * scale.abs().sum()


@pytest.mark.parametrize("opposite", [(-1.0,), (-1.0, -0.25), (-3.0,)])
def test_a_unit_crosses_where_one_sample_turns_off_and_its_opposite_turns_on(opposite: tuple[float, ...]) -> None:
    """On one input the kinks of x = 1 and x < 0 are one point. The unit with a < 0 is pushed to it from the right and
    away from it on the left, so it crosses, and each side of the data gets a unit: |w| = |a| and w_A² = r w_B², with
    r = |x| of the smallest negative x, so that both margins are w_A².
    """
    X = [[1.0], *([x] for x in opposite)]
    net = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    limit = flow_limit(with_weights(net, [[0.5], [0.1]], [[0.5, -0.3]]), X, [1.0] + [-1.0] * len(opposite))
    r = min(abs(x) for x in opposite)
    assert limit.status is FlowStatus.STATIONARY
    np.testing.assert_allclose(limit.margin, 0.5 / (1.0 + 1.0 / r), rtol=1e-9)
    np.testing.assert_allclose(limit.weights["0.weight"].ravel(), limit.weights["2.weight"].ravel(), atol=1e-9)


def activated(activation: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(2, 4, bias=False), activation, nn.Linear(4, 1, bias=False)).double()


class HiddenLayers(nn.Module):
    """a φ(Wx), with a slope and an order of the weights that no name or shape tells."""

    def __init__(self, slope: float, *, transposed: bool = False) -> None:
        super().__init__()
        rng = np.random.default_rng(2)
        self.slope, self.transposed = slope, transposed
        self.W, self.a = parameter(rng.standard_normal((2, 2))), parameter(rng.standard_normal(2))

    def forward(self, X: Tensor) -> Tensor:
        return nn.functional.leaky_relu(X @ (self.W.T if self.transposed else self.W), self.slope) @ self.a


MIXED: dict[str, Callable[[], list[nn.Module]]] = {
    "activations": lambda: [activated(nn.Identity()), activated(nn.LeakyReLU(0.5))],
    "slopes of one activation": lambda: [activated(nn.LeakyReLU(0.1)), activated(nn.LeakyReLU(0.6))],
    "buffers": lambda: [RandomFeatures(0), RandomFeatures(1)],
    "python attributes": lambda: [Sloped(0.2), Sloped(0.7)],
    "slopes of two layers": lambda: [HiddenLayers(0.0), HiddenLayers(0.4)],
    "order of the weights": lambda: [HiddenLayers(0.0), HiddenLayers(0.0, transposed=True)],
    "held parameters": lambda: [HeldFactor([1.0, 1.0]), HeldFactor([1.0, 3.0])],
    "order of the layers": lambda: [Swapped("A"), Swapped("B")],
}


@pytest.mark.parametrize("kind", MIXED)
def test_a_batch_gives_the_limits_of_the_single_calls_or_is_refused(kind: str) -> None:
    # the truth is the single call: batching is a matter of speed
    X, y = np.random.default_rng(0).standard_normal((3, 2)), np.array([1.0, -1.0, 1.0])
    models = MIXED[kind]()
    alone = [flow_limit(model, X, y) for model in models]
    assert np.abs(alone[0].direction - alone[1].direction).max() > 1e-3  # else the test could not fail
    try:
        together = flow_limit(models, X, y)
    except ValueError as error:
        if "batch" not in str(error):  # "a mixed batch" is refused with a sentence
            raise
        return
    for one, other in zip(together, alone, strict=True):
        same_limit(one, other)


@pytest.mark.parametrize("seed", [0, 1])
def test_random_features_in_a_batch_end_at_their_own_max_margin(seed: int) -> None:
    # linear in a, so β* of the ℓ2 problem in the features is the limit, whatever the start (Soudry et al. 2018)
    X, y = np.random.default_rng(0).standard_normal((3, 2)), np.array([1.0, -1.0, 1.0])
    models = [RandomFeatures(0), RandomFeatures(1)]
    with torch.no_grad():
        features = models[seed].features(torch.from_numpy(X)).numpy()
    expected = max_margin(features, y, L2()).beta
    try:
        limit = flow_limit(models, X, y)[seed]
    except ValueError:
        limit = flow_limit(models[seed], X, y)
    np.testing.assert_allclose(unit(limit.weights["a"]), unit(expected), atol=1e-6)


# ── Frozen layers ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_frozen_layer_of_a_diagonal_network_stays_and_the_rest_is_linear() -> None:
    # w_1 = 1 frozen: f(x) = ⟨x, w_2⟩ with one point, so w_2 ∝ x = (1, ½), β ∝ (0.894, 0.447)
    model = with_weights(Diagonal(2, 2), [1.0, 1.0], [0.1, 0.1])
    model.weights[0].requires_grad_(False)
    limit = flow_limit(model, [[1.0, 0.5]], [1.0])
    np.testing.assert_allclose(unit(limit.predictor), unit([1.0, 0.5]), atol=1e-7)
    if "weights.0" in limit.weights:  # a frozen layer is no part of the direction; where it is listed, unchanged
        np.testing.assert_allclose(limit.weights["weights.0"], [1.0, 1.0])


def test_a_frozen_diagonal_layer_weighs_the_coordinates() -> None:
    # w_1 = s frozen: margins ⟨y x ⊙ s, w_2⟩, so w_2 is the ℓ2 max margin of the data X ⊙ s, and β = s ⊙ w_2
    X, y = gaussian_data(3, 4, 0)
    s = np.array([2.0, -1.0, 0.5, 3.0])
    model = with_weights(Diagonal(4, 2), s, 0.1 * np.ones(4))
    model.weights[0].requires_grad_(False)
    limit = flow_limit(model, X, y)
    expected = s * max_margin(X * s, y, L2()).beta
    np.testing.assert_allclose(unit(limit.predictor), unit(expected), atol=1e-6)
    np.testing.assert_allclose(model.weights[0].detach(), s)


def test_a_frozen_first_layer_of_a_fully_connected_network_makes_features() -> None:
    # W_1 frozen: margins ⟨y W_1 x, w_2⟩, the ℓ2 max margin of the features X W_1ᵀ, and β = W_1ᵀ w_2
    X, y = gaussian_data(3, 3, 1)
    model = FullyConnected(3, 2, seed=0)
    W = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0], [3.0, 0.0, 0.5]])
    with torch.no_grad():
        model.weights[0].copy_(torch.from_numpy(W))
    model.weights[0].requires_grad_(False)
    limit = flow_limit(model, X, y)
    expected = W.T @ max_margin(X @ W.T, y, L2()).beta
    np.testing.assert_allclose(unit(limit.predictor), unit(expected), atol=1e-6)


def test_a_frozen_last_layer_of_a_convolution_makes_features() -> None:
    # f(x) = Σ_d w_2[d] D^{−1/2} Σ_k w_1[k] x[(d+k) mod D]: with w_2 frozen linear in w_1, features
    # φ(x)[k] = D^{−1/2} Σ_d w_2[d] x[(d+k) mod D], and β[j] = D^{−1/2} Σ_k w_1[k] w_2[(j−k) mod D]
    X, y = gaussian_data(3, 4, 2)
    w2, D = np.array([1.0, -0.5, 2.0, 0.3]), 4
    model = Convolutional(4, 2, seed=0)
    with torch.no_grad():
        model.weights[1].copy_(torch.from_numpy(w2))
    model.weights[1].requires_grad_(False)
    limit = flow_limit(model, X, y)
    ahead = (np.arange(D)[:, None] + np.arange(D)) % D  # [k, d]
    w1 = max_margin(X[:, ahead] @ w2 / np.sqrt(D), y, L2()).beta
    beta = [w1 @ w2[(j - np.arange(D)) % D] for j in range(D)]
    np.testing.assert_allclose(unit(limit.predictor), unit(beta), atol=1e-6)


def test_a_frozen_layer_of_a_multi_channel_network_makes_features() -> None:
    # V frozen: features φ(x)[c, k] = Σ_d v_c[d] x[(d+k) mod D]
    X, y = gaussian_data(3, 4, 3)
    model = MultiChannelCNN(4, 2, 1, 2, scale=1.0, seed=0)
    model.weights[1].requires_grad_(False)
    V = model.weights[1].detach().numpy()
    limit = flow_limit(model, X, y)
    ahead = (np.arange(2)[:, None] + np.arange(4)) % 4
    features = np.einsum("nkd,cd->nck", X[:, ahead], V).reshape(3, -1)
    expected = max_margin(features, y, L2()).beta
    np.testing.assert_allclose(y * (X @ unit(limit.predictor)) / (y * (X @ unit(limit.predictor))).min(),
                               y * (features @ expected), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("v", [[1.0, 1.0], [1.0, 4.0]])
def test_a_frozen_parameter_of_an_own_module(v: list[float]) -> None:
    # linear in u with features x ⊙ v; one point: u ∝ x ⊙ v
    limit = flow_limit(HeldFactor(v), [[1.0, 0.5]], [1.0])
    np.testing.assert_allclose(unit(limit.weights["u"]), unit([1.0, 0.5 * v[1]]), atol=1e-7)
    assert "v" not in limit.weights or np.allclose(limit.weights["v"], v)


# ── Locked signs, and saddles that the flow leaves ───────────────────────────────────────────────────────────────────

NEGATIVE = np.array([[1.0, -2.0], [1.0, -3.0]])
"""With y = 1 the ℓ1 optimum is (0, −½), value ½; (1, 0), value 1, is optimal among β ≥ 0 and a saddle otherwise."""


class Product(nn.Module):
    """A user's own ⟨x, u ⊙ v⟩."""

    def __init__(self, u: Any, v: Any) -> None:
        super().__init__()
        self.u, self.v = parameter(u), parameter(v)

    def forward(self, X: Tensor) -> Tensor:
        return X @ (self.u * self.v)


def raw_predictor(u: Any, v: Any, X: Array) -> Array:
    """β at unit margin where the raw flow settles; the test fails where it does not."""
    path = raw_flow(DiagonalNetwork(len(u), 2), X, np.ones(len(X)), np.concatenate([u, v]))
    assert path.settled, path.reason
    w = path.directions[-1]
    beta = w[: len(u)] * w[len(u) :]
    return np.asarray(beta / (X @ beta).min())


# The first entry is tied (|u_1| = |v_1|: β_1 keeps its sign, harmlessly), the second is not and passes zero. The
# flow has
# u_2 ± v_2 = (u_2 ± v_2)(0) e^{±a(s)}, so a start with u_2 ≠ v_2 leaves the saddle when e^{a} has undone the ratio.
UNLOCKED = {
    "tied at 0.1, other at 1e-6": ([0.1, 1e-6], [0.1, 1.5e-6]),
    "tied at 0.1, other at 1e-3": ([0.1, 1e-3], [0.1, 1.1e-3]),
    "tied at 0.5, other at 1e-9": ([0.5, 1e-9], [0.5, 2e-9]),
    "not tied, other at 1e-6": ([0.1, 1e-6], [0.2, 1.5e-6]),
}


@pytest.mark.parametrize("start", UNLOCKED)
def test_a_tied_entry_does_not_lock_the_others(start: str) -> None:
    u, v = UNLOCKED[start]
    np.testing.assert_allclose(raw_predictor(u, v, NEGATIVE), [0.0, -0.5], atol=1e-6)  # the raw weights end there
    limit = flow_limit(with_weights(Diagonal(2, 2), u, v), NEGATIVE, np.ones(2))
    assert limit.status is FlowStatus.OPTIMAL
    np.testing.assert_allclose(limit.predictor, [0.0, -0.5], atol=1e-9)


def test_an_entry_that_is_really_locked_is_reported_locked() -> None:
    # u = v entrywise is conserved: β = u² ≥ 0, and the best such β is (1, 0)
    limit = flow_limit(with_weights(Diagonal(2, 2), [0.1, 0.1], [0.1, 0.1]), NEGATIVE, np.ones(2))
    assert limit.status is FlowStatus.LOCKED
    np.testing.assert_allclose(limit.predictor, [1.0, 0.0], atol=1e-6)


def test_one_locked_entry_beside_free_ones_is_optimal_among_its_signs() -> None:
    # β_2 is locked at ≥ 0 (u_2 = v_2), β_1 and β_3 are free. min ‖β‖₁ s.t. β_1 − 2β_2 + ½β_3 ≥ 1,
    # β_1 − 3β_2 + ¼β_3 ≥ 1, β_2 ≥ 0: β = (1, 0, 0). Without the lock (0, −½, 0) would be better.
    X = np.array([[1.0, -2.0, 0.5], [1.0, -3.0, 0.25]])
    limit = flow_limit(with_weights(Diagonal(3, 2), [0.1, 0.1, 0.1], [0.2, 0.1, -0.05]), X, np.ones(2))
    assert limit.status is FlowStatus.LOCKED
    np.testing.assert_allclose(limit.predictor, [1.0, 0.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-9])
@pytest.mark.parametrize("difference", [1e-2, 1e-8])
@pytest.mark.parametrize("built", ["own module", "Diagonal"])
def test_the_flow_leaves_a_saddle_on_its_way(built: str, scale: float, difference: float) -> None:
    u, v = [0.1, scale], [0.1, scale * (1.0 + difference)]
    np.testing.assert_allclose(raw_predictor(u, v, NEGATIVE), [0.0, -0.5], atol=1e-6)
    model = Product(u, v) if built == "own module" else with_weights(Diagonal(2, 2), u, v)
    limit = flow_limit(model, NEGATIVE, np.ones(2))
    assert limit.status.converged
    w = list(limit.weights.values())
    beta = w[0] * w[1] / limit.margin
    np.testing.assert_allclose(beta, [0.0, -0.5], atol=1e-6)


def test_a_saddle_that_this_start_cannot_leave_is_not_called_free_of_negative_curvature() -> None:
    # u = v exactly: the flow ends at (1, 0), where (u_2, v_2) = (t, −t), u_1² = 1 − 2t² keeps the margins ≥ 1 and has
    # ‖w‖² = 2 − 2t² < 2. STATIONARY says "no negative curvature", so it may not be the answer.
    limit = flow_limit(Product([0.1, 0.1], [0.1, 0.1]), NEGATIVE, np.ones(2), max_steps=400)
    np.testing.assert_allclose(limit.weights["u"] * limit.weights["v"] / limit.margin, [1.0, 0.0], atol=1e-3)
    assert limit.status is not FlowStatus.STATIONARY
    assert limit.status is not FlowStatus.OPTIMAL


# ── Samples that wake late ───────────────────────────────────────────────────────────────────────────────────────────


class Unit(nn.Module):
    """f(x) = v·relu(w·x)."""

    def __init__(self, w: Any, v: float) -> None:
        super().__init__()
        self.w, self.v = parameter(w), parameter(v)

    def forward(self, X: Tensor) -> Tensor:
        return self.v * torch.relu(X @ self.w)


@pytest.mark.parametrize("eps", [0.5, 0.3, 0.2, 0.15, 0.1, 0.05, 0.01])
def test_a_sample_wakes_in_finite_time(eps: float) -> None:
    # While sample 2, (ε, −1), sleeps only w_1 and v grow, and w_1 = 1/ε comes in finite time (however long: the loss of
    # the live sample is then e^{−1/ε²}). It wakes with w·x_2 = 0 and is fitted as well. Both margins are active:
    # v w_1 = v(ε w_1 − w_2), so w ∝ (1, ε − 1); v = |w|, conserved differences having lost their weight.
    X = np.array([[1.0, 0.0], [eps, -1.0]])
    limit = flow_limit(Unit([1.0, 1.0], 1.5), X, np.ones(2))
    assert limit.status.converged
    np.testing.assert_allclose(unit(limit.weights["w"]), unit([1.0, eps - 1.0]), atol=1e-6)
    np.testing.assert_allclose(limit.weights["v"], np.sqrt(0.5), atol=1e-6)


def test_a_sample_that_wakes_late_in_three_dimensions() -> None:
    # (ε, −1, 0) sleeps until w_1 = 1/ε; (1, 0, 1) is live. Three equal margins are not needed: raw flow
    X = np.array([[1.0, 0.0, 1.0], [0.1, -1.0, 0.0], [0.5, 0.0, -0.2]])
    start = [1.0, 1.0, 0.2, 1.8]
    path = raw_flow(TwoLayerNetwork(3, 1, "relu"), X, np.ones(3), np.array(start))
    assert path.settled, path.reason
    assert path.margins.min() > 0
    limit = flow_limit(Unit(start[:3], start[3]), X, np.ones(3))
    assert limit.status.converged
    np.testing.assert_allclose(limit.direction, path.directions[-1], atol=2e-4)


def test_a_sample_that_never_wakes_is_not_separated() -> None:
    # x_2 = (−1, 0): only w_1 moves, upwards, so w·x_2 < 0 for ever
    limit = flow_limit(Unit([1.0, 1.0], 1.5), [[1.0, 0.0], [-1.0, 0.0]], np.ones(2))
    assert limit.status is FlowStatus.NOT_SEPARATED


# ── Multipliers that are not unique ──────────────────────────────────────────────────────────────────────────────────

TIGHT = {
    # rows y_n x_n and β*: feasible with every margin 1 at β*, and β* = Σ λ_n y_n x_n with λ ≥ 0 in more than one way
    "three points in 2-D": ([[1, 1], [2, 1], [1, -1], [1, 2]], [1, 0]),  # (1,±1) tight, (1,2) tight, (2,1) slack
    "four points in 2-D": ([[1, 1], [1, -1], [1, 2], [1, -3]], [1, 0]),
    "five points in 3-D": ([[1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [1, 1, 1]], [1, 0, 0]),
    "a square in 3-D": ([[1, 1, 1], [1, -1, -1], [1, 1, -1], [1, -1, 1]], [1, 0, 0]),
    "duplicates in 2-D": ([[2, 1], [2, 1], [1, -1], [1, -1]], None),  # β* from the solver
}


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("data", TIGHT)
def test_fully_connected_with_multipliers_that_are_not_unique(data: str, depth: int) -> None:
    # (1, 0, …) has margin 1 on every row listed as tight and is a nonnegative combination of them: KKT of a convex
    # problem, hence β*. In a linear predictor's parameters there is no saddle at all, and Theorem 1 covers every L.
    rows, expected = np.array(TIGHT[data][0], dtype=float), TIGHT[data][1]
    if expected is None:
        expected = max_margin(rows, np.ones(len(rows)), L2()).beta
    signs = np.where(np.arange(len(rows)) % 3 == 2, -1.0, 1.0)
    limit = flow_limit(FullyConnected(rows.shape[1], depth, seed=0), rows * signs[:, None], signs, max_steps=4000)
    assert limit.status is FlowStatus.OPTIMAL
    np.testing.assert_allclose(limit.predictor, expected, atol=1e-6)
    assert (limit.dual >= 0).all()


def test_the_four_points_of_the_first_report() -> None:
    X, y = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, -1.0], [-1.0, -2.0]]), np.array([1.0, 1.0, 1.0, -1.0])
    for depth in (1, 2, 3):
        limit = flow_limit(FullyConnected(2, depth, seed=0), X, y, max_steps=4000)
        assert limit.status is FlowStatus.OPTIMAL
        np.testing.assert_allclose(limit.predictor, [1.0, 0.0], atol=1e-6)


# ── One function, written in several ways ────────────────────────────────────────────────────────────────────────────


class Written(nn.Module):
    """Σ_j b_j max(w_j·x, 0), the rectifier written in a way that `how` names."""

    def __init__(self, how: str, H: int = 5) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Linear(2, H, bias=False), nn.Linear(H, 1, bias=False)
        self.how = how
        with torch.no_grad():  # |b_j| > |w_j|: signs are kept, so the flow is unique at its kinks
            self.b.weight.copy_(1.1 * self.b.weight.sign() * self.a.weight.norm(dim=1))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(WAYS[self.how](h))


def unused(apply: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """A rectifier in place whose return value is thrown away."""

    def rectify(h: Tensor) -> Tensor:
        apply(h)
        return h

    return rectify


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "nn.ReLU": nn.ReLU(),
    "torch.relu": torch.relu,
    "F.relu in place, unused": unused(lambda h: nn.functional.relu(h, inplace=True)),
    "relu_, unused": unused(lambda h: h.relu_()),
    "nn.ReLU(inplace), unused": unused(nn.ReLU(inplace=True)),
    "clamp_, unused": unused(lambda h: h.clamp_(min=0)),
    "clamp": lambda h: h.clamp(min=0),
    "clamp_min": lambda h: h.clamp_min(0.0),
    "torch.clamp": lambda h: torch.clamp(h, 0.0),
    "where": lambda h: torch.where(h > 0, h, torch.zeros_like(h)),
    "where, a number": lambda h: torch.where(h > 0, h, 0.0),
    "abs": lambda h: (h + h.abs()) / 2,
    "torch.abs": lambda h: 0.5 * (h + torch.abs(h)),
    "maximum": lambda h: torch.maximum(h, torch.zeros_like(h)),
    "max of a stack": lambda h: torch.stack([h, torch.zeros_like(h)]).max(dim=0).values,
    "times the sign": lambda h: h * (h > 0),
    "masked_fill": lambda h: h.masked_fill(h < 0, 0.0),
    "threshold": lambda h: nn.functional.threshold(h, 0.0, 0.0),
    "two rows": lambda h: torch.relu(h.reshape(-1, 1)).reshape(h.shape),
    "transposed": lambda h: torch.relu(h.T).T,
}


@pytest.fixture(scope="module")
def written_as_relu() -> dict[int, Limit]:
    X, y = kinked_data()
    return {H: flow_limit(Written("nn.ReLU", H), X, y, max_steps=3000) for H in (4, 5)}


def kinked_data() -> tuple[Array, Array]:
    """Four points on which the flow slides along kinks and separates; the raw flow settles there for 4 and 5 units."""
    return np.random.default_rng(2).standard_normal((4, 2)), np.array([1.0, -1.0, 1.0, -1.0])


@pytest.mark.parametrize("how", [way for way in WAYS if way != "nn.ReLU"])
def test_the_same_function_has_the_same_limit(how: str, written_as_relu: dict[int, Limit]) -> None:
    X, y = kinked_data()
    reference = written_as_relu[5]
    assert reference.status.converged
    same_limit(flow_limit(Written(how), X, y, max_steps=3000), reference)


def test_a_transposed_layout_with_as_many_units_as_samples(written_as_relu: dict[int, Limit]) -> None:
    # H = N = 4: rows of the pre-activation are units, not samples, and no shape tells
    X, y = kinked_data()
    reference = written_as_relu[4]
    assert reference.status.converged
    same_limit(flow_limit(Written("transposed", 4), X, y, max_steps=3000), reference)


def test_the_limit_of_the_function_itself_is_the_raw_flow_s(written_as_relu: dict[int, Limit]) -> None:
    X, y = kinked_data()
    for H, limit in written_as_relu.items():
        start = torch.cat([p.detach().flatten() for p in Written("nn.ReLU", H).parameters()]).numpy()
        path = raw_flow(TwoLayerNetwork(2, H, "relu"), X, y, start)
        assert path.settled, path.reason
        np.testing.assert_allclose(limit.margin, path.margins.min(), rtol=1e-4)


def test_a_flow_that_separates_is_not_called_not_separated() -> None:
    # A draw on which two kinks slide while one sample has margin 0. The raw flow (LSODA, raw_flow.py here) goes on to
    # margin 0.105819 where its rounding lets it pass the kinks; on other processors it chatters there to its last step.
    X, y = np.random.default_rng(22).standard_normal((4, 2)), np.array([1.0, -1.0, 1.0, -1.0])
    limit = flow_limit(Written("nn.ReLU", 4), X, y, max_steps=3000)
    assert limit.status.converged
    assert limit.margin == pytest.approx(0.105819, rel=1e-4)


class Tokens(nn.Module):
    """Σ_t Σ_j b_j relu(w_j·x_t) for inputs (N, T, d), the layers applied to (N·T, d) or token by token."""

    def __init__(self, flat: bool) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.a, self.b, self.flat = nn.Linear(2, 4, bias=False), nn.Linear(4, 1, bias=False), flat
        with torch.no_grad():
            self.b.weight.copy_(1.1 * self.b.weight.sign() * self.a.weight.norm(dim=1))
        self.double()

    def forward(self, X: Tensor) -> Tensor:
        if self.flat:
            rows = self.b(torch.relu(self.a(X.reshape(-1, X.shape[-1]))))
            return rows.reshape(X.shape[0], -1).sum(1)
        return self.b(torch.relu(self.a(X))).sum((1, 2))


@pytest.mark.parametrize("T", [2, 3])
def test_tokens_as_rows(T: int) -> None:
    X, y = np.random.default_rng(0).standard_normal((4, T, 2)), np.array([1.0, -1.0, 1.0, -1.0])
    reference = flow_limit(Tokens(flat=False), X, y, max_steps=3000)
    assert reference.status.converged
    same_limit(flow_limit(Tokens(flat=True), X, y, max_steps=3000), reference)


class Pooled(nn.Module):
    """The largest of k linear functions, by max-pooling or by `max`; f = max_j w_j·x − max_j u_j·x."""

    def __init__(self, pooling: bool) -> None:
        super().__init__()
        rng = np.random.default_rng(6)
        self.pooling, self.W = pooling, parameter(rng.standard_normal((4, 2)))

    def forward(self, X: Tensor) -> Tensor:
        z = X @ self.W.T
        if self.pooling:
            pair = nn.functional.max_pool1d(z[:, None, :], 2)[:, 0]
        else:  # max(a, b) = b + relu(a − b)
            pair = z[:, 1::2] + torch.relu(z[:, ::2] - z[:, 1::2])
        return pair[:, 0] - pair[:, 1]


@pytest.mark.parametrize("seed", [0, 2])
def test_max_pooling_is_the_maximum(seed: int) -> None:
    # both are the same function of the same weights, so the limits agree, on ties of the pool as well
    X, y = np.random.default_rng(seed).standard_normal((5, 2)), np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    reference = flow_limit(Pooled(pooling=False), X, y, max_steps=3000)
    assert reference.status.converged
    same_limit(flow_limit(Pooled(pooling=True), X, y, max_steps=3000), reference)


def test_max_pooling_of_two_units() -> None:
    # f = max(w·x, u·x): (1, 1) is served by w = (a, b), (1, −1) by u = (a, −b), both margins are a + b. The least norm
    # 2(a² + b²) with a + b = 1 has a = b = ½; the start is symmetric, and so is its flow.
    class Larger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W = parameter([[0.3, 0.1], [0.3, -0.1]])

        def forward(self, X: Tensor) -> Tensor:
            return nn.functional.max_pool1d((X @ self.W.T)[:, None, :], 2)[:, 0, 0]

    limit = flow_limit(Larger(), [[1.0, 1.0], [1.0, -1.0]], np.ones(2), max_steps=3000)
    assert limit.status.converged
    np.testing.assert_allclose(limit.weights["W"], [[0.5, 0.5], [0.5, -0.5]], atol=1e-6)


class PooledConvolution(nn.Module):
    """Two filters, the larger of neighbours, and output weights; by max-pooling, or by max(a, b) = b + relu(a − b)."""

    def __init__(self, pooling: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.pooling = pooling
        self.filters, self.outputs = nn.Conv1d(1, 2, 2, bias=False), nn.Linear(2, 1, bias=False)
        self.double()

    def forward(self, X: Tensor) -> Tensor:
        z = self.filters(X[:, None, :])
        if self.pooling:
            larger = nn.functional.max_pool1d(z, 2)[:, :, 0]
        else:
            larger = z[:, :, 1] + torch.relu(z[:, :, 0] - z[:, :, 1])
        return self.outputs(larger)


def test_a_step_on_which_no_kink_attracts() -> None:
    # such a step was "zero-size array to reduction operation"
    X, y = np.random.default_rng([3, 3, 4]).standard_normal((3, 4)), np.array([1.0, -1.0, 1.0])
    pooled, written = (flow_limit(PooledConvolution(pooling), X, y, max_steps=300) for pooling in (True, False))
    assert pooled.status.converged
    same_limit(pooled, written)


# ── Complex weights, and linear modules outside `LinearNetwork` ──────────────────────────────────────────────────────


class ComplexLinear(nn.Module):
    """Re⟨x, w⟩ with complex w, or its modulus."""

    def __init__(self, modulus: bool) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.1 + 0.2j, 0.3 - 0.1j], dtype=torch.complex128))
        self.modulus = modulus

    def forward(self, X: Tensor) -> Tensor:
        z = X.to(torch.complex128) @ self.w
        return z.abs() if self.modulus else z.real


class ComplexLayer(nn.Module):
    """The real part of a complex nn.Linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(2, 1, bias=False, dtype=torch.complex128)

    def forward(self, X: Tensor) -> Tensor:
        return self.linear(X.to(torch.complex128)).real[:, 0]


COMPLEX: dict[str, Callable[[], nn.Module]] = {
    "real part": lambda: ComplexLinear(modulus=False),
    "modulus": lambda: ComplexLinear(modulus=True),
    "nn.Linear": ComplexLayer,
}


@pytest.mark.parametrize("which", COMPLEX)
@pytest.mark.filterwarnings("ignore:Casting complex values:UserWarning")
def test_complex_parameters_are_refused(which: str) -> None:
    # their imaginary parts would be dropped; real pairs (torch.view_as_real) say the same
    with pytest.raises((ValueError, TypeError), match="complex"):
        flow_limit(COMPLEX[which](), [[1.0, 0.5], [0.2, 1.0]], np.ones(2), max_steps=200)


class Bilinear(nn.Module):
    """⟨x, A b⟩: linear in x, not a `LinearNetwork`."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.A, self.b = parameter(rng.standard_normal((3, 2))), parameter(rng.standard_normal(2))

    def forward(self, X: Tensor) -> Tensor:
        return X @ (self.A @ self.b)


def linear_modules() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "one nn.Linear": nn.Linear(3, 1, bias=False).double(),
        "two nn.Linear": nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 1, bias=False)).double(),
        "three nn.Linear": nn.Sequential(
            nn.Linear(3, 3, bias=False), nn.Identity(), nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False)
        ).double(),
        "own bilinear module": Bilinear(),
        "own product": Product([0.1, 0.2, 0.3], [0.3, -0.1, 0.2]),
    }


@pytest.mark.parametrize("which", linear_modules())
def test_a_linear_module_has_a_predictor(which: str) -> None:
    # β is the module applied to the identity: f(e_d; w) at the limit's weights, scaled to unit margin
    X, y = gaussian_data(3, 3, 4)
    model = linear_modules()[which]
    limit = flow_limit(model, X, y)
    assert limit.status.converged
    assert limit.predictor is not None
    weights = {name: torch.from_numpy(np.asarray(w)) for name, w in limit.weights.items()}
    with torch.no_grad():
        beta = torch.func.functional_call(model, weights, (torch.eye(3, dtype=torch.float64),)).numpy().ravel()
    np.testing.assert_allclose(limit.predictor, beta / limit.margin, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose((y * (X @ limit.predictor)).min(), 1.0, rtol=1e-9)
    if which != "own product":  # Gunasekar et al. (2018), Theorem 1: ℓ2 at every depth
        np.testing.assert_allclose(limit.predictor, max_margin(X, y, L2()).beta, atol=1e-6)


def test_a_module_that_is_not_linear_has_no_predictor() -> None:
    X, y = kinked_data()
    assert flow_limit(Written("nn.ReLU"), X, y, max_steps=3000).predictor is None


# ── Conserved quantities along the reference's own path ──────────────────────────────────────────────────────────────


def test_the_reference_conserves_what_gradient_flow_conserves() -> None:
    # u² − v² of a diagonal network is constant; in unit directions it falls like e^{−2 ln‖w‖}
    u, v = np.array([0.4, 0.2, 0.3]), np.array([0.1, -0.5, 0.2])
    X, y = gaussian_data(3, 3, 7)
    path = raw_flow(DiagonalNetwork(3, 2), X, y, np.concatenate([u, v]))
    early = path.log_norm < 5.0
    scale = np.exp(2 * path.log_norm[early])[:, None]
    conserved = scale * (path.directions[early, :3] ** 2 - path.directions[early, 3:] ** 2)
    np.testing.assert_allclose(conserved, np.broadcast_to(u**2 - v**2, conserved.shape), atol=1e-5)
