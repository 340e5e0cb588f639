"""`descend`: gradients against differences, batches against single runs, limits that are known exactly, bad input."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from gd import (
    SCHEDULES,
    ArmijoLineSearch,
    ConstantStep,
    Convolutional,
    Diagonal,
    FullyConnected,
    LossNormalized,
    RunStatus,
    descend,
)
from gd.descent.objective import Objective
from gd.losses import LOSSES
from gd.recording import snapshot_steps

RNG = np.random.default_rng(7)
X = RNG.standard_normal((6, 5))
Y = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
IMAGES = RNG.standard_normal((6, 3, 4))
NETWORKS = {
    "fully connected": (lambda depth, seed=0, **k: FullyConnected(5, depth, seed=seed, **k), X),
    "diagonal": (lambda depth, seed=0, **k: Diagonal(5, depth, seed=seed, **k), X),
    "convolutional": (lambda depth, seed=0, **k: Convolutional(5, depth, seed=seed, **k), X),
    "image": (lambda depth, seed=0, **k: Convolutional((3, 4), depth, seed=seed, **k), IMAGES),
    "zero padded": (lambda depth, seed=0, **k: Convolutional(5, depth, kernel=3, padding="zero", seed=seed, **k), X),
}


class Product(nn.Module):
    """A user's own module computing what `Diagonal` computes, and started where one is."""

    def __init__(self, network: Diagonal) -> None:
        super().__init__()
        self.factors = nn.ParameterList([nn.Parameter(w.detach().clone()) for w in network.weights])

    def compose(self) -> torch.Tensor:
        return torch.stack(list(self.factors)).prod(dim=0)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return X @ self.compose()


def objective(models, inputs, targets, loss: str) -> Objective:
    return Objective(models, torch.from_numpy(inputs), torch.from_numpy(targets), LOSSES[loss])


@pytest.mark.parametrize("loss", ["exponential", "logistic", "squared"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_gradient_equals_central_differences(kind, loss):
    build, inputs = NETWORKS[kind]
    L = objective([build(3, seed, scale=0.7) for seed in (0, 1)], inputs, Y, loss)
    gradient = L.gradient(L.start)
    direction = torch.randn(L.start.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    h = 1e-5
    value = (lambda W: L.log_loss(W)) if loss != "squared" else (lambda W: L.log_loss(W).exp())
    difference = (value(L.start + h * direction) - value(L.start - h * direction)) / (2 * h)
    # error h²·(third derivative, order 10²) + 1e-16/h: about 1e-8
    np.testing.assert_allclose((gradient.direction * direction).sum(1), difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", NETWORKS)
def test_curvature_bounds_the_hessian(kind):
    """‖∇² log L‖ ≤ the bound behind the default steps, at random weights of several scales and depths."""
    build, inputs = NETWORKS[kind]
    cases = [(1, 1.0, "exponential"), (2, 0.1, "logistic"), (3, 1.0, "exponential"), (3, 0.5, "squared")]
    for depth, scale, loss in cases:
        L = objective([build(depth, 2, scale=scale)], inputs, Y, loss)

        def phi(w: torch.Tensor, L: Objective = L, squared: bool = loss == "squared") -> torch.Tensor:
            value = L.loss.log_value(L.outputs(w[None]), L.y)[0]
            return value.exp() if squared else value

        hessian = torch.autograd.functional.hessian(phi, L.start[0])
        norm = float(torch.linalg.matrix_norm(hessian, 2))
        assert norm <= float(L.curvature(L.start)[0]) * (1 + 1e-12)
    # and at depth 1 it is max ‖x‖², not merely above it
    L = objective([build(1)], inputs, Y, "exponential")
    assert float(L.curvature(L.start)[0]) == pytest.approx((inputs.reshape(6, -1) ** 2).sum(1).max(), rel=1e-14)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", ["fully connected", "diagonal", "convolutional", "image"])
def test_batch_equals_separate_runs(kind, schedule):
    """Runs of a batch do not see each other, though they share every kernel.

    To 1e-12, relative, after 60 steps; after 10 for the line search, whose longest steps multiply the rounding
    differences between one product of matrices and several by an order of magnitude each.
    """
    build, inputs = NETWORKS[kind]
    steps = 10 if schedule == "armijo" else 60
    models = [build(2, seed, scale=scale) for seed, scale in [(0, 0.3), (1, 0.3), (0, 0.05)]]
    batch = descend(models, inputs, Y, steps=steps, schedule=schedule, snapshots=5)
    for run, model in enumerate(models):
        alone = descend(model, inputs, Y, steps=steps, schedule=schedule, snapshots=5)
        scale = np.abs(alone.predictor).max()
        np.testing.assert_allclose(batch.predictor[run], alone.predictor[0], rtol=0, atol=1e-12 * scale)
        np.testing.assert_allclose(batch.log_loss[run], alone.log_loss[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("schedule", [LossNormalized(0.01), ArmijoLineSearch(), ConstantStep(0.01)])
def test_any_module_runs_like_the_linear_network_it_is(schedule):
    """Functional calls under vmap and P with a batch axis compute the same."""
    networks = [Diagonal(5, 3, scale=0.5, seed=seed) for seed in (0, 1)]
    steps = 10 if isinstance(schedule, ArmijoLineSearch) else 60  # as above
    linear = descend(networks, X, Y, steps=steps, schedule=schedule, loss="logistic")
    general = descend([Product(n) for n in networks], X, Y, steps=steps, schedule=schedule, loss="logistic")
    assert general.degree == linear.degree == 3
    np.testing.assert_allclose(general.predictors, linear.predictors, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(general.margin, linear.margin, rtol=1e-10, atol=1e-12)


def test_frozen_parameters_stay_and_buffers_are_each_runs_own():
    class Masked(Product):
        def __init__(self, network: Diagonal, mask: list[float]) -> None:
            super().__init__(network)
            self.factors[0].requires_grad_(False)
            self.register_buffer("mask", torch.tensor(mask, dtype=torch.float64))

        def compose(self) -> torch.Tensor:
            return super().compose() * self.mask

    masks = [1.0, 1.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0, 1.0]
    models = [Masked(Diagonal(5, 2, seed=seed), mask) for seed, mask in enumerate(masks)]
    path = descend(models, X, Y, steps=30)
    assert list(path.parameters) == ["factors.1"]
    assert path.degree == 1, "only the trained factor is scaled"
    for run, (model, mask) in enumerate(zip(models, masks, strict=True)):
        expected = model.factors[0].detach().numpy() * path.parameters["factors.1"][run] * mask
        np.testing.assert_allclose(path.predictor[run], expected, rtol=1e-14)
        np.testing.assert_allclose(path.load(model, run).compose().detach(), expected, rtol=1e-14)


def test_degree_is_measured_and_a_bias_has_none():
    class Biased(Product):
        def forward(self, X: torch.Tensor) -> torch.Tensor:
            return super().forward(X) + self.factors[0][0]

    path = descend(Biased(Diagonal(5, 2)), X, Y, steps=5)
    assert path.degree is None
    assert np.isnan(path.margin).all()
    assert np.isfinite(path.log_loss).all()


def test_several_outputs():
    """Labels (N, M): L = Σ_{nm} e^{−y_nm f_m(x_n)}; depth 1 is M separate predictors with one loss."""
    labels = np.stack([Y, Y[::-1], -Y], axis=1)
    network = FullyConnected(5, 1, outputs=3, scale=0.3)
    path = descend(network, X, labels, steps=50, schedule=ConstantStep(1e-3))
    W = network.weights[0].detach().numpy().copy()
    for _ in range(50):
        W += 1e-3 * (labels * np.exp(-labels * (X @ W.T))).T @ X
    np.testing.assert_allclose(path.predictor[0], W, rtol=1e-12, atol=1e-14)
    assert path.log_loss[0, -1] == pytest.approx(np.log(np.exp(-labels * (X @ W.T)).sum()), rel=1e-12)


def test_squared_loss_ends_at_the_interpolant_nearest_to_the_start():
    """A linear predictor under the squared loss: w_∞ = w_0 + X⁺(y − X w_0), exactly."""
    points, targets = X[:3], np.array([0.3, -1.2, 2.0])
    for schedule in (ConstantStep(), ArmijoLineSearch()):
        model = FullyConnected(5, 1, scale=1.0)
        start = model.predictor
        path = descend(model, points, targets, loss="squared", schedule=schedule, steps=1000)
        limit = start + np.linalg.pinv(points) @ (targets - points @ start)
        np.testing.assert_allclose(path.predictor[0], limit, atol=1e-7)  # √ of L rounded at 1e-16


def test_image_targets_and_recorded_outputs():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6, bias=False), nn.Unflatten(1, (2, 3))).double()
    for p, seed in zip(model.parameters(), range(9), strict=False):
        p.data = 0.5 * torch.randn(p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    before = [p.detach().clone() for p in model.parameters()]
    targets = torch.from_numpy(RNG.standard_normal((3, 2, 3)))
    inputs = torch.from_numpy(RNG.standard_normal((3, 4)))
    path = descend(model, inputs, targets, loss="squared", schedule=ConstantStep(0.02), steps=400, record_outputs=True)
    assert path.outputs.shape == (1, len(path.steps), 3, 2, 3)
    assert path.predictors is None
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True)), "the module was modified"
    np.testing.assert_allclose(path.load(model)(inputs).detach(), path.outputs[0, -1], rtol=1e-12)
    assert path.log_loss[0, -1] == pytest.approx(
        np.log(0.5 * ((path.outputs[0, -1] - targets.numpy()) ** 2).sum()), rel=1e-10
    )


def test_a_run_that_explodes_stops_and_the_others_go_on():
    models = [Diagonal(5, 3, scale=scale) for scale in (0.3, 8.0)]
    path = descend(models, X, Y, steps=40, schedule=ConstantStep(1e-2), snapshots=40)
    assert path.status == (RunStatus.FINISHED, RunStatus.NONFINITE)
    stop = path.last_step[1]
    assert 0 <= stop < 40
    assert path.last_step[0] == 40
    kept = path.steps <= stop
    assert np.isfinite(path.log_loss[1][kept]).all(), "what came before the stop is kept"
    assert np.isnan(path.log_loss[1][~kept]).all()
    assert np.isfinite(path.predictor).all()
    np.testing.assert_array_equal(path.predictor[1], path.predictors[1][kept][-1])
    alone = descend(models[0], X, Y, steps=40, schedule=ConstantStep(1e-2), snapshots=40)
    np.testing.assert_allclose(path.log_loss[0], alone.log_loss[0], rtol=1e-13)
    assert np.isfinite(path.hypotheses(1).log_loss)


def test_constant_step_stalls_where_the_gradient_underflows():
    """At loss e^{−1000} the constant step is 0 in float64; the normalized one still moves. And log L is a number."""
    model = FullyConnected(2, 1)
    with torch.no_grad():
        model.weights[0].copy_(torch.tensor([[1000.0, 0.0]]))
    data = np.array([[1.0, 0.5], [1.0, -0.4]]), np.array([1.0, 1.0])
    constant = descend(model, *data, steps=20, schedule=ConstantStep(0.1))
    assert constant.status == (RunStatus.STALLED,)
    assert constant.log_loss[0, -1] == pytest.approx(-1000 + np.log(2))
    normalized = descend(model, *data, steps=20, schedule="normalized")
    assert normalized.status == (RunStatus.FINISHED,)
    assert normalized.log_loss[0, -1] < -1010


def test_hypotheses_are_measured():
    """They hold for a linear predictor run fast, and the loss hypothesis fails where the sign is locked."""
    path = descend(FullyConnected(5, 1), X[:3], Y[:3], schedule="accelerated", steps=3000)
    measured = path.hypotheses()
    assert measured.log_loss < -1e4
    assert measured.margin > 0
    assert measured.direction_change < 1e-3
    assert measured.gradient_change < 1e-3
    assert measured.sign_locked is None
    balanced = Diagonal(2, 2, initialization="balanced", seed=1)
    against = [[-float(np.sign(balanced.predictor[0])), 0.0]]  # a point that needs the sign the network cannot take
    locked = descend(balanced, against, [1.0], steps=300).hypotheses()
    assert locked.log_loss >= 0
    assert "cannot change sign" in locked.sign_locked


def test_direction_change_is_the_angle_between_snapshots():
    path = descend(FullyConnected(5, 1, scale=1.0), X, Y, steps=50, snapshots=6, schedule=LossNormalized(0.05))
    for s in range(1, len(path.steps)):
        u, v = (path.predictors[0, i] / np.linalg.norm(path.predictors[0, i]) for i in (s - 1, s))
        turned = np.arctan2(np.linalg.norm(v - (u @ v) * u), u @ v)
        assert path.direction_change[0, s] == pytest.approx(turned, rel=1e-9)


def test_float32_integers_frames_and_tensors_are_taken():
    import pandas as pd

    reference = descend(Diagonal(5, 2), X.round(), Y, steps=20).predictor
    for inputs, labels in [
        (X.round().astype(int), Y.astype(int)),
        (np.asfortranarray(X.round()), Y.astype(np.float32)),
        (torch.from_numpy(X.round()).float(), torch.from_numpy(Y)),
        (pd.DataFrame(X.round()), pd.Series(Y)),
        (X.round().tolist(), Y.tolist()),
    ]:
        np.testing.assert_array_equal(descend(Diagonal(5, 2), inputs, labels, steps=20).predictor, reference)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.full((6, 5), np.nan)}, "X must be finite; .*30 such"),
        ({"X": X[:, 0]}, "at least one feature"),
        ({"X": np.zeros((0, 5))}, "at least one point"),
        ({"X": X + 1j}, "real numbers"),
        ({"X": X[:, :4]}, "takes \\(5,\\)"),
        ({"y": Y[:5]}, "one label per row"),
        ({"y": np.zeros(len(Y))}, "one class"),
        ({"y": np.stack([Y, Y], axis=1)}, "do not match the network's outputs"),
        ({"y": Y * 0.5}, "must be"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"loss": "squared", "y": Y[:4]}, "one target per row"),
        ({"loss": "squared", "schedule": "normalized"}, "defined through the gradient of log L"),
        ({"schedule": "nesterov"}, "schedule must be one of"),
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"model": []}, "at least one network"),
        ({"model": nn.ReLU()}, "no parameters"),
        ({"model": [Diagonal(5, 2), Diagonal(5, 3)]}, "one architecture"),
        ({"model": [Diagonal(5, 1), FullyConnected(5, 1)]}, "one architecture"),
        ({"model": [Convolutional(5, 2), Convolutional(5, 2, padding="zero")]}, "one architecture"),
        ({"model": Product(Diagonal(5, 2)), "schedule": "normalized"}, "no safe step size is known for Product"),
        ({"model": Diagonal(5, 3, scale=1e150)}, "outputs of Diagonal on X are not all finite numbers"),
    ],
)
def test_bad_input_gets_one_clear_error(arguments, message):
    given = {"model": Diagonal(5, 2), "X": X, "y": Y, "steps": 5} | arguments
    with pytest.raises(ValueError, match=message):
        descend(given.pop("model"), given.pop("X"), given.pop("y"), **given)


def test_edge_sizes():
    for inputs, labels in [(X[:1], Y[:1]), (np.vstack([X[:2]] * 5), np.tile(Y[:2], 5))]:
        path = descend(Convolutional(5, 2, scale=0.5), inputs, labels, steps=200)
        assert path.status == (RunStatus.FINISHED,)
        assert path.log_loss[0, -1] < 0
    assert descend(Diagonal(1, 2, scale=0.5, seed=1), [[2.0], [-1.0]], [1, -1], steps=200).log_loss[0, -1] < -10
    for size in (1e-8, 1e8):
        path = descend(FullyConnected(5, 1), size * X[:3], Y[:3], steps=500)
        assert np.isfinite(path.log_loss).all()


def test_snapshots_are_log_spaced_and_progress_is_told():
    seen: list[int] = []
    path = descend(Diagonal(5, 2), X, Y, steps=100, snapshots=9, progress=lambda done, total: seen.append(done))
    assert seen == path.steps.tolist() == snapshot_steps(100, 9).tolist()
    assert (seen[0], seen[-1]) == (0, 100)
    assert path.elapsed.shape == path.steps.shape
    assert 0 <= path.elapsed[0] <= path.elapsed[-1] <= path.seconds
    assert (np.diff(path.elapsed) >= 0).all()
    assert snapshot_steps(1, 2).tolist() == [0, 1]


def test_gd_needs_no_cvxpy():
    code = (
        "import sys; sys.modules['cvxpy'] = None\n"
        "import gd; print(gd.descend(gd.Diagonal(2, 2), [[1., 2.]], [1], steps=3).status[0].name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "FINISHED", done.stderr
