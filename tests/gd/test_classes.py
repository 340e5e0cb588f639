"""Several classes: losses of score differences, networks with one output a class, and their flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

import gd.flow.fully_connected_map
import gd.flow.many_margins as many
import gd.flow.product_map
from gd import Convolutional, Diagonal, FullyConnected, descend, flow_limit
from gd.data import check_data
from gd.flow.implicit_weights import explicit_weights, implicit_weights
from gd.flow.loss_weights import CrossEntropyWeights, ExponentialWeights, FlowWeights, LogisticWeights
from gd.flow.margin_products import SampleProducts
from gd.flow.module_map import ModuleMap
from gd.losses import CrossEntropy, find_loss
from gd.targets import ClassTargets, Targets
from solvers import NotSeparableError, max_margin
from solvers.classes import find_classes

X = np.array([[2.0, 1.0, 0.0], [0.0, 2.0, 1.0], [1.0, 0.0, 3.0], [3.0, -1.0, 1.0]])
y = np.array([0, 1, 2, 0])
LOSSES = ("exponential", "logistic", "cross entropy")


class TwoLayers(nn.Module):
    """A user's own network, W₂ max(W₁x, 0), with one output a class."""

    def __init__(self, width: int = 6, classes: int = 3, rectified: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(3, width, bias=False, dtype=torch.float64)
        self.second = nn.Linear(width, classes, bias=False, dtype=torch.float64)
        self.rectified = rectified

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        found: torch.Tensor = self.second(torch.relu(hidden) if self.rectified else hidden)
        return found


def targets_of(labels: Any) -> ClassTargets:
    classes = find_classes(labels)
    assert classes is not None
    return ClassTargets.of(classes)


def test_cross_entropy_is_that_of_torch() -> None:
    scores = 3.0 * torch.randn(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets, loss = targets_of(y), CrossEntropy()
    log_value = loss.log_value(targets.compared(scores), targets.values)
    leaf = scores[0].clone().requires_grad_()
    expected = nn.functional.cross_entropy(leaf, torch.from_numpy(y), reduction="sum")
    assert float(log_value.exp()) == pytest.approx(float(expected.detach()), rel=1e-14)
    slope = targets.spread(loss.slope(targets.compared(scores), targets.values, log_value))[0]
    torch.testing.assert_close(slope * log_value.exp(), torch.autograd.grad(expected, leaf)[0], rtol=1e-12, atol=1e-14)
    far = loss.log_value(1e6 * torch.ones(1, 4, 2, dtype=torch.float64), targets.values)
    assert float(far) == pytest.approx(-1e6 + np.log(8.0), rel=1e-14)
    two = torch.tensor([[0.3, -2.0]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    assert float(loss.log_value(*two)) == pytest.approx(float(find_loss("logistic").log_value(*two)), rel=1e-15)


def test_spread_is_the_adjoint_of_compared() -> None:
    targets, generator = targets_of(y), torch.Generator().manual_seed(1)
    f = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator)
    g = torch.randn(2, 4, 2, dtype=torch.float64, generator=generator)
    assert float((targets.compared(f) * g).sum()) == pytest.approx(float((f * targets.spread(g)).sum()), rel=1e-13)
    W = torch.randn(3, 3, dtype=torch.float64, generator=generator)
    by_rows = targets.rows(torch.from_numpy(X)).flatten(1) @ W.flatten()
    torch.testing.assert_close(by_rows, targets.margins(torch.from_numpy(X) @ W.T).flatten())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("build", "value"),
    [
        (lambda: FullyConnected(3, 1, outputs=3), 0.8000547866),
        (lambda: FullyConnected(3, 2, outputs=3), 1.1266221818),
        (lambda: Diagonal(3, 2, outputs=3), 122 / 65),
        (lambda: Convolutional(3, 2, outputs=3), 2.0181044205),
    ],
    ids=["linear", "fully connected", "diagonal", "convolutional"],
)
def test_flows_end_at_values_known_beforehand(build: Callable[[], Any], value: float, loss: str) -> None:
    network = build()
    limit = flow_limit(network, X, y, loss=loss)
    assert limit.status.name == "OPTIMAL"
    assert limit.dual.shape == limit.active.shape == (4, 2)
    assert network.regularizer.value(limit.predictor) == pytest.approx(value, abs=1e-8)
    # the integrated direction is evidence by itself; settled at T = 1e-8 it is within a few times that
    before = limit.integrated.predictor
    solution = max_margin(X, y, network.regularizer)
    assert network.regularizer.value(before) / solution.objective - 1.0 <= 1e-5


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_units_of_the_data_do_not_matter(scale: float) -> None:
    # at 1e4 samples start misclassified by hundreds of temperatures
    limit = flow_limit(FullyConnected(3, 2, outputs=3), scale * X, y, loss="cross entropy")
    assert limit.status.name == "OPTIMAL"
    assert limit.predictor is not None
    assert float(np.linalg.norm(scale * limit.predictor, "nuc")) == pytest.approx(1.1266221818, abs=1e-8)


def test_labels_may_be_words_and_decide_the_limit() -> None:
    network = FullyConnected(3, 1, outputs=3)
    words = flow_limit(network, X, ["a", "b", "c", "a"]).predictor
    np.testing.assert_allclose(words, flow_limit(network, X, y).predictor, atol=1e-9)
    other = flow_limit(network, X, [0, 2, 1, 0]).predictor
    assert words is not None
    assert other is not None
    np.testing.assert_allclose(other, words[[0, 2, 1]], atol=1e-8)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("initialization", ["gaussian", "balanced", "unbiased"])
def test_copies_share_no_weights(outputs: int, initialization: Any) -> None:
    rng = np.random.default_rng(0)
    for network in (
        Diagonal(4, 2, outputs=outputs, initialization=initialization),
        Convolutional((2, 2), 3, outputs=outputs, initialization=initialization),
    ):
        points = torch.from_numpy(rng.standard_normal((5, *network.shape)))
        scores = network(points).reshape(5, -1)
        for k in range(outputs):
            alone = type(network)(network.shape if len(network.shape) > 1 else network.shape[0], network.depth)
            with torch.no_grad():
                for mine, whole in zip(alone.weights, network.weights, strict=True):
                    mine.copy_(whole.reshape(outputs, *network.shape)[k])
            torch.testing.assert_close(alone(points), scores[:, k])
            np.testing.assert_array_equal(
                np.ravel(network.locked_signs.reshape(outputs, -1)[k]), np.ravel(alone.locked_signs)
            )


@pytest.mark.parametrize("rectified", [False, True])
def test_own_modules_with_one_output_a_class(rectified: bool) -> None:
    limit = flow_limit(TwoLayers(rectified=rectified), X, y, loss="cross entropy")
    assert limit.status.name == "STATIONARY"
    assert limit.kkt_epsilon <= 1e-8
    scores = TwoLayers(rectified=rectified)
    with torch.no_grad():
        for name, parameter in scores.named_parameters():
            parameter.copy_(torch.from_numpy(limit.weights[name]))
        found = scores(torch.from_numpy(X)).numpy()
    own = found[np.arange(4), y][:, None]
    others = np.array([[found[n, k] for k in range(3) if k != y[n]] for n in range(4)])
    assert (own - others).min() == pytest.approx(limit.margin, rel=1e-9)
    if rectified:
        assert limit.predictor is None
        return
    # linear: β is what the module does to the unit vectors, scaled to margin one
    assert limit.predictor is not None
    np.testing.assert_allclose(
        limit.predictor, scores(torch.eye(3, dtype=torch.float64)).detach().numpy().T / limit.margin, rtol=1e-12
    )
    assert limit.path.predictors is not None
    assert limit.path.predictors.shape[1:] == (3, 3)


def test_own_linear_modules_refuse_what_no_predictor_separates() -> None:
    twice = np.vstack([X, X])
    for labels in (np.append(y, (y + 1) % 3), np.tile([[1, -1], [1, 1], [-1, 1], [1, 1]], (2, 1)) * np.ones((8, 1))):
        conflicting = labels if labels.ndim == 1 else np.vstack([labels[:4], -labels[4:]])
        with pytest.raises(NotSeparableError):
            flow_limit(TwoLayers(classes=3 if labels.ndim == 1 else 2, rectified=False), twice, conflicting)


def test_a_trace_gives_the_margins_of_the_closed_form() -> None:
    targets, points = targets_of(y), torch.from_numpy(X)
    for network in (FullyConnected(3, 3, outputs=3), Diagonal(3, 2, outputs=3), Convolutional(3, 2, outputs=3)):
        closed = targets.closed_form(network, points)
        traced = ModuleMap(network, points, targets.values, targets=targets)
        assert closed is not None
        p = torch.rand(1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        ours, theirs = closed.at(closed.start([network])), traced.at(traced.start([network]))
        torch.testing.assert_close(ours.margins, theirs.margins)
        torch.testing.assert_close(ours.gram, theirs.gram)
        assert float((ours.pull(p).abs() ** 2).sum()) == pytest.approx(float(theirs.pull(p).square().sum()), rel=1e-10)


def test_products_with_the_data_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    points = torch.randn(30, 6, dtype=torch.float64)
    tasks = Targets(torch.sign(torch.randn(30, 3, dtype=torch.float64)))
    p = torch.rand(2, 90, dtype=torch.float64)
    for targets, outputs in ((targets_of(np.arange(30) % 4), 4), (tasks, 3)):
        for network in (Diagonal(6, 2, outputs=outputs), Convolutional((2, 3), 3, outputs=outputs)):
            x = points.reshape(30, *network.shape)
            maps = []
            for many_from in (10**9, 0):
                monkeypatch.setattr(gd.flow.product_map, "MANY", many_from)
                maps.append(network._product_map(x, targets))
                theta = maps[0].start([network]) * torch.tensor([[1.0], [2.0]])
                maps.append(maps[-1].at(theta))
            dense, local, samples, other = maps
            assert isinstance(samples._products, SampleProducts)
            torch.testing.assert_close(samples.margins(theta), dense.margins(theta), rtol=1e-13, atol=1e-15)
            torch.testing.assert_close(other.pull(p), local.pull(p), rtol=1e-13, atol=1e-14)
            np.testing.assert_allclose(other.squares, local.squares, rtol=1e-13)
            gram, K = other._grams(1), local.gram[1].numpy()
            np.testing.assert_allclose(gram.times(p[0].numpy()), K @ p[0].numpy(), rtol=1e-12)
            some = np.array([3, 50, 7])
            np.testing.assert_allclose(gram.block(some), K[np.ix_(some, some)], rtol=1e-12, atol=1e-15)


def test_newton_that_leaves_the_few_samples_asks_for_a_shorter_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would factorize ever larger matrices, and not converge."""
    rng = np.random.default_rng(3)
    J, m = rng.standard_normal((60, 8)), rng.random(60)
    guess = np.full(60, 1e-12)
    guess[0] = 1.0
    sizes = []
    monkeypatch.setattr(many, "LARGEST_BLOCK", 20)
    change = many._newton_change
    monkeypatch.setattr(many, "_newton_change", lambda *a: (sizes.append(a[-1][2].size), change(*a))[1])
    found = many.weights_of_many(m, gram_of(J @ J.T), 100.0, 1e-3, guess, ExponentialWeights())
    assert not found[1]
    assert max(sizes, default=0) <= 20


@pytest.mark.parametrize("schedule", ["armijo", "normalized", "constant"])
def test_descent_of_the_cross_entropy(schedule: str) -> None:
    networks = [FullyConnected(3, 2, outputs=3, seed=seed) for seed in (0, 1)]
    path = descend(networks, X, y, loss="cross entropy", schedule=schedule, steps=300, record_outputs=True)
    assert path.outputs is not None
    assert path.outputs.shape[2:] == (4, 3)
    assert (np.diff(path.log_loss, axis=1) <= 1e-9).all() or schedule == "normalized"
    assert (path.margin[:, -1] > 0).all()


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="tasks of their own"):
        flow_limit(FullyConnected(3, 1, outputs=2), X, np.ones((4, 2)), loss="cross entropy")
    with pytest.raises(ValueError, match=r"\(4, 3\).*K outputs for K classes"):
        descend(FullyConnected(3, 1, outputs=2), X, y)
    with pytest.raises(ValueError, match=r"real numbers.*squared"):
        flow_limit(FullyConnected(3, 1, outputs=3), X, [0.5, 1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="one label per row"):
        check_data(FullyConnected(3, 1, outputs=3), X, [0, 1, 2], find_loss("exponential"))
    with pytest.raises(ValueError, match="narrow kernels and zero padding have one output"):
        Convolutional(6, 2, kernel=3, outputs=3)


# ---- thousands of constraints ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [ExponentialWeights(), LogisticWeights(), CrossEntropyWeights(3)], ids=str)
def test_linearized_equations_are_the_derivative(weights: FlowWeights) -> None:
    rng = np.random.default_rng(0)
    m, p, T, h = rng.standard_normal((1, 6)), rng.random((1, 6)), np.array([0.7]), 0.3
    K = (lambda J: J @ J.T)(rng.standard_normal((6, 4)))
    # at a solution p ∝ φ of the equation without ν, so that the symmetric form is the derivative
    p = np.exp(weights.log_phi(m, T))
    at, du, dnu = weights.linearized(m, p, T), 1e-6 * rng.standard_normal((1, 6)), 1e-6

    def residual(u: np.ndarray, nu: float) -> np.ndarray:
        return np.log(p * (1.0 + u)) - weights.log_phi(m + h * (p * u) @ K, T) + nu

    change = residual(du, dnu)
    psi_share = weights.linearized(m, p * np.exp(change), T).r  # T G⁻¹ applied to the change of ψ
    expected = T[:, None] * du + at.a * at.sums(p * du) + h * (p * du) @ K + dnu * at.t
    np.testing.assert_allclose(psi_share - at.r, expected, atol=1e-10)


def gram_of(K: np.ndarray) -> many.Gram:
    return many.Gram(lambda p: K @ p, lambda kept: K[np.ix_(kept, kept)], np.diag(K).copy())


@pytest.mark.parametrize(
    ("weights", "h"),
    # longer steps are a convex problem with the exponential loss alone; the flow takes shorter ones with the others
    [(w, h) for w in (ExponentialWeights(), LogisticWeights(), CrossEntropyWeights(3)) for h in (1e-3, 1.0)]
    + [(ExponentialWeights(), 30.0)],
    ids=str,
)
def test_newton_on_few_samples_solves_the_same_equations(weights: FlowWeights, h: float) -> None:
    rng = np.random.default_rng(1)
    J, m, T = rng.standard_normal((60, 8)), rng.random(60) + 1.0, 0.1
    K, guess = J @ J.T, np.full(60, 1.0 / 60)
    p, converged = many.weights_of_many(m, gram_of(K), h, T, guess, weights)
    assert converged
    np.testing.assert_allclose(p, explicit_weights((m + h * K @ p)[None], np.array([T]), weights)[0], atol=1e-9)
    dense, _ = implicit_weights(m[None], K[None], np.array([h]), np.array([T]), guess[None], weights)
    np.testing.assert_allclose(p, dense[0], atol=1e-9)


def test_stages_follow_the_flow_of_held_gradients() -> None:
    rng = np.random.default_rng(2)
    J, m, T, h = rng.standard_normal((40, 8)), rng.random(40) + 1.0, 0.05, 1.0
    K = J @ J.T

    def force(P: np.ndarray) -> np.ndarray:
        return np.asarray(explicit_weights((m + K @ P)[None], np.array([T]), ExponentialWeights())[0])

    exact = solve_ivp(lambda _, P: force(P), (0.0, h), np.zeros(40), method="LSODA", rtol=1e-9, atol=1e-12).y[:, -1]
    errors = []
    for parts in (1, 4, 16):
        P = np.zeros(40)
        for _ in range(parts):
            p, enough = many._weights_by_stages(m + K @ P, gram_of(K), h / parts, T, ExponentialWeights())
            assert enough
            assert p.sum() == pytest.approx(1.0, abs=1e-12)
            P = P + h / parts * p
        errors.append(float(np.linalg.norm(J.T @ (P - exact)) / np.linalg.norm(J.T @ exact)))
    assert errors[0] <= 0.3
    assert errors[1] <= 0.5 * errors[0]
    assert errors[2] <= 0.5 * errors[1]
    assert not many._weights_by_stages(m, gram_of(K), 1e6, T, ExponentialWeights())[1]


@pytest.mark.parametrize("block", [1000, 0], ids=["newton", "stages"])
@pytest.mark.parametrize("depth", [1, 2])
def test_many_constraints_end_where_few_do(depth: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    points = rng.standard_normal((30, 6))
    labels = (points @ rng.standard_normal((6, 3))).argmax(axis=1)
    network = FullyConnected(6, depth, outputs=3)
    few = flow_limit(network, points, labels, loss="cross entropy")
    monkeypatch.setattr(gd.flow.fully_connected_map, "MANY", 0)
    # with no block at all the steps are explicit until few samples matter
    monkeypatch.setattr(many, "LARGEST_BLOCK", max(block, 20))
    limit = flow_limit(network, points, labels, loss="cross entropy")
    assert limit.status.name == few.status.name == "OPTIMAL"
    np.testing.assert_allclose(limit.predictor, few.predictor, atol=1e-6)
