"""Fitting generators: the update rules step by step, the curves, the stopping rules against their definitions."""

import numpy as np
import pytest
import torch

from gd.images.conv_generator import ConvGenerator
from gd.images.descend_image import descend_image
from gd.images.stopping_rules import NoiseLevel, Oracle, RunningVariance
from gd.images.two_layer_generator import TwoLayerGenerator
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
from solvers.filters.early_stopping import early_stopping_filter

RNG = np.random.default_rng(0)
IMAGE = 0.5 + 0.4 * np.outer(np.sin(np.arange(8) / 2), np.cos(np.arange(12) / 3))[None]


def small(seeds=(0, 1), kind="bilinear", **options):
    return ConvGenerator(kind, 6, 3, 1, (8, 12), seeds=seeds, dtype=torch.float64, **options)


@pytest.mark.parametrize("reduction", ["mean", "sum", "half_sum"])
@pytest.mark.parametrize("optimizer", ["gd", "momentum"])
def test_the_update_rule_written_out(reduction, optimizer):
    net = small(seeds=(3,))
    step = {"mean": 0.5, "sum": 0.5 / 96, "half_sum": 1.0 / 96}[reduction]
    path = descend_image(net, IMAGE, steps=6, step=step, optimizer=optimizer, reduction=reduction, momentum=0.8)
    weights, velocity, losses = list(net.parameters()), None, []
    for _ in range(7):
        losses.append(((net()[0] - torch.as_tensor(IMAGE)) ** 2).mean())
        gradient = torch.autograd.grad(losses[-1], weights)  # the three steps above are one step of the mean
        velocity = [g + 0.8 * v for g, v in zip(gradient, velocity, strict=True)] if velocity else list(gradient)
        with torch.no_grad():
            for w, g, v in zip(weights, gradient, velocity, strict=True):
                w -= 0.5 * (v if optimizer == "momentum" else g)
    np.testing.assert_allclose(path.mse[:, 0], [x.item() for x in losses], rtol=1e-10)
    np.testing.assert_allclose(path.loss, path.mse * {"mean": 1, "sum": 96, "half_sum": 48}[reduction])


def test_a_batch_is_its_members_and_the_model_is_left_alone():
    before = [p.detach().clone() for p in small().parameters()]
    net, targets = small(), np.stack([IMAGE, 1 - IMAGE])
    together = descend_image(net, targets, steps=30, step=0.01, optimizer="adam")
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    for b in range(2):
        alone = descend_image(small(seeds=(b,)), targets[b], steps=30, step=0.01, optimizer="adam")
        np.testing.assert_allclose(together.mse[:, b], alone.mse[:, 0], rtol=1e-6)  # Adam's √v amplifies rounding


def test_descend_is_the_same_function():
    from gd.descent.descend import descend

    direct = descend_image(small(), IMAGE, steps=5, step=0.5, optimizer="momentum")
    np.testing.assert_array_equal(descend(small(), IMAGE, steps=5, step=0.5, optimizer="momentum").mse, direct.mse)
    with pytest.raises(ValueError, match="has no inputs X"):
        descend(small(), IMAGE, IMAGE, steps=5)
    with pytest.raises(ValueError, match="targets y are missing"):
        descend(torch.nn.Linear(2, 1), np.ones((3, 2)))


def test_curves_snapshots_and_distances():
    path = descend_image(small(), IMAGE, steps=40, step=0.5, snapshots=[0, 7], clean=IMAGE + 0.1)
    assert path.steps.tolist() == [0, 7, 40]
    assert path.taken == 40
    np.testing.assert_allclose(((path.outputs - IMAGE) ** 2).mean(axis=(2, 3, 4)), path.mse[path.steps], rtol=1e-12)
    np.testing.assert_allclose(((path.outputs - IMAGE - 0.1) ** 2).mean(axis=(2, 3, 4)), path.clean_mse[path.steps])
    assert (path.distances[0] == 0).all()
    start, end = small().coefficients, path.model.coefficients
    for layer in range(4):
        a, b = start[layer][1].detach(), end[layer][1].detach()
        expected = torch.linalg.norm(b - a) / (torch.linalg.norm(b) + torch.linalg.norm(a))
        assert path.distances[-1, layer, 1] == pytest.approx(expected.item(), rel=1e-12)


def test_iterations_to_a_level():
    path = descend_image(small(), IMAGE, steps=60, step=0.5)
    level = float(path.mse[25, 0])
    first = path.iterations_to(level)
    assert first[0] == np.flatnonzero(path.mse[:, 0] <= level)[0]
    assert np.isinf(path.iterations_to(1e-30)).all()
    with pytest.raises(ValueError, match="positive"):
        path.iterations_to(0.0)


def test_two_layer_generator_follows_the_filter_through_this_loop_for_each_reduction():
    u = gaussian_kernel(32, 0.08)
    kernel, y = dual_kernel(u), np.sin(2 * np.pi * np.arange(32) / 16)
    step = 0.5 / kernel.largest
    for reduction, factor in (("half_sum", 1.0), ("sum", 0.5), ("mean", 16.0)):
        net = TwoLayerGenerator(32, 4096, u)
        path = descend_image(net, y, steps=12, step=step * factor, reduction=reduction, snapshots=[1, 12])
        predicted = early_stopping_filter(kernel, step, path.steps)(y)
        error = np.linalg.norm(path.outputs[1:, 0] - predicted[1:], axis=1) / np.linalg.norm(predicted[1:], axis=1)
        assert error.max() < 0.06  # one draw at k = 4096: 3/√k


def test_measurements_fit_what_was_measured():
    keep = torch.zeros(8, 12, dtype=torch.float64)
    keep[::2] = 1
    path = descend_image(
        small(output="linear"),
        (torch.as_tensor(IMAGE) * keep),
        steps=300,
        step=0.3,
        optimizer="momentum",
        measurement=lambda x: x * keep,
        clean=IMAGE,
    )
    seen = ((path.output - IMAGE) ** 2 * keep.numpy()).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(path.mse[-1], seen, rtol=1e-9)
    assert (path.mse[-1] < 0.1 * path.mse[0]).all()
    assert path.clean_mse is not None
    assert (path.clean_mse[-1] > path.mse[-1]).all()


def test_oracle_and_noise_level_are_their_definitions():
    noisy = np.clip(IMAGE + 0.1 * RNG.standard_normal(IMAGE.shape), 0, 1)
    rules = (Oracle(IMAGE), NoiseLevel(0.15))
    path = descend_image(
        small(), noisy, steps=150, step=0.02, optimizer="adam", rules=rules, clean=IMAGE, snapshots=range(151)
    )
    assert path.clean_mse is not None
    np.testing.assert_array_equal(path.stops["oracle"].step, path.clean_mse.argmin(axis=0))
    np.testing.assert_array_equal(path.stops["noise level"].step, path.iterations_to(0.15**2))
    for stop in path.stops.values():
        for b in range(2):
            np.testing.assert_array_equal(stop.output[b], path.outputs[stop.step[b], b])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_running_variance_is_its_definition(dtype):
    """Against the variance of every window computed anew; outputs here are far from constant, so 1e-4 is ample."""
    outputs = [
        torch.as_tensor(np.sin(0.1 * t) * np.ones((2, 5)) + 5 + 0.02 * t * RNG.standard_normal((2, 5))).to(dtype)
        for t in range(80)
    ]
    watch = RunningVariance(window=6, max_stale_steps=20).watch(outputs[0])
    least, since, chosen = np.full(2, np.inf), np.zeros(2), np.full(2, -1)
    for t, x in enumerate(outputs):
        watch.observe(t, x, x[:, 0])
        if t < 5:
            continue
        stack = np.stack([o.double().numpy() for o in outputs[t - 5 : t + 1]])
        spread = ((stack - stack.mean(axis=0)) ** 2).sum(axis=(0, 2))
        np.testing.assert_allclose(watch.spread.numpy(), spread, rtol=1e-9)
        for b in range(2):
            if since[b] >= 20:
                continue
            since[b] += 1
            if spread[b] < least[b]:
                least[b], chosen[b], since[b] = spread[b], t, 0
    np.testing.assert_array_equal(watch.stop().step, chosen)
    assert watch.finished


def test_rules_end_the_run_early():
    path = descend_image(small(), IMAGE, steps=5000, step=0.5, rules=(NoiseLevel(0.25),))
    assert path.taken < 200
    never = descend_image(small(), IMAGE, steps=100, step=0.5, rules=(NoiseLevel(1e-9),))
    assert never.stops["noise level"].step.tolist() == [-1, -1]
    assert np.isnan(never.stops["noise level"].output).all()


def test_a_diverging_network_is_marked():
    net = small(output="linear")  # γ and β feed a linear output: beyond the stable step they grow without bound
    y = np.stack([IMAGE, net()[1].detach().numpy()])  # the second is fitted already and stays, whatever the step
    path = descend_image(net, y, steps=400, step=1e3)
    assert path.diverged.tolist() == [True, False]
    assert path.mse[-1, 1] < 1e-20


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: descend_image(small(), np.full((1, 8, 12), np.nan), steps=1, step=1.0), "96 of its 96"),
        (lambda: descend_image(small(), np.ones((8, 12)), steps=1, step=1.0), "has shape"),
        (lambda: descend_image(small(), 2 * np.ones((1, 8, 12)), steps=1, step=1.0), "sigmoid"),
        (lambda: descend_image(small(), IMAGE, steps=0, step=1.0), "steps"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=-1.0), "step size"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=1.0, optimizer="lbfgs"), "optimizer"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=1.0, reduction="max"), "reduction"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=1.0, momentum=1.0), "momentum"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=1.0, snapshots=1), "snapshots"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=1.0, rules=(NoiseLevel(1.0),) * 2), "different names"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=1.0, rules=(Oracle(np.ones(5)),)), "oracle"),
        (lambda: NoiseLevel(0.0), "positive"),
        (lambda: RunningVariance(window=1), "window"),
        (lambda: descend_image(small(), IMAGE, steps=1, step=1.0, rules=(NoiseLevel((1.0, 1.0, 1.0)),)), "3 entries"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
