from dataclasses import replace

import numpy as np
import pytest

from compare.data.load import Dataset, load
from compare.experiments.initial_scale import compare_scales
from compare.margin.loss_clock import clock_of_log_loss
from compare.margin.scale_paths import network, path_checks, paths
from compare.measures import angle
from compare.reports.drawing import svg
from compare.reports.verdict import Verdict
from solvers.solution import Uniqueness


@pytest.fixture(scope="module")
def report():
    return compare_scales(load("synthetic:6,10,1"), inits=(0.01, 10.0))


@pytest.mark.parametrize("name", ["diagonal", "convolutional"])
@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_the_start_is_the_kernel_that_the_text_says(name, scale):
    import torch

    model = network(name, 6, scale)
    assert not model.predictor.any()
    # K = Σ_l (∂β/∂w_l)(∂β/∂w_l)ᵀ = α² I
    weights = [w.detach() for w in model.weights]
    blocks = [
        torch.autograd.functional.jacobian(lambda w, i=i: model.P([*weights[:i], w, *weights[i + 1 :]]), weights[i])
        for i in range(2)
    ]
    kernel = sum(np.asarray(block @ block.T) for block in blocks)
    np.testing.assert_allclose(kernel, scale**2 * np.eye(6), atol=1e-14 * scale**2)


def test_every_scale_ends_at_the_same_max_margin(report):
    assert report.failures == ()
    assert len(report.checks) == 4
    for section in report.sections:
        assert {row["theory"] for row in section.rows} == {Verdict.CONFIRMED}
        assert all(row["rich"] < 1e-5 and row["gap"] < 1e-9 for row in section.rows)


def test_a_flow_that_ends_elsewhere_is_rejected():
    data = load("synthetic:6,10,1")
    (path,) = paths(data, "diagonal", (1.0,))
    (check,) = path_checks(path, data)
    assert check.verdict is Verdict.CONFIRMED
    limit, beta = path.limit, path.kernel.beta  # as if the kernel regime were for ever
    stayed = replace(limit.path, predictors=np.broadcast_to(beta, limit.path.predictors.shape))
    off = replace(limit, integrated=replace(limit.integrated, predictor=beta), path=stayed)
    (check,) = path_checks(replace(path, limit=off), data)
    assert check.verdict is Verdict.REFUTED
    assert check.measured == pytest.approx(angle(beta, path.rich.beta))
    for moving in (replace(off, path=limit.path), replace(off, integrated=replace(off.integrated, growth=1.0))):
        (check,) = path_checks(replace(path, limit=moving), data)
        assert check.verdict is Verdict.NOT_REACHED
    several = replace(path.rich, unique=Uniqueness.NOT_UNIQUE)
    (check,) = path_checks(replace(path, rich=several, limit=off), data)
    assert (check.verdict, check.unit) == (Verdict.REFUTED, "")  # then it is R that is measured


def test_a_large_start_stays_longer_with_the_kernel(report):
    for section in report.sections:
        small, large = section.rows
        # at α = 10 weights have moved by a share of 1/α² when the ℓ2 margin is reached; at 0.01 the kernel is gone
        assert np.degrees(large["kernel"]) < 5.0 < np.degrees(small["kernel"])


def test_plots(report):
    for section in report.sections:
        for figure in section.figures:
            assert svg(figure).startswith("<svg")


def test_the_clock():
    np.testing.assert_allclose(clock_of_log_loss(np.array([-1.0, -np.e, -np.exp(3.0)])), [0.0, 1.0, 3.0])
    assert np.isnan(clock_of_log_loss(np.array([0.0, 2.0, np.nan, -np.inf]))).all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [({"inits": []}, "> 0"), ({"inits": [0.0]}, "> 0"), ({"architectures": ["relu"]}, "relu")],
)
def test_bad_input(change, complaint):
    data = Dataset("d", np.ones((1, 2)), np.ones(1), ("a", "b"))
    with pytest.raises(ValueError, match=complaint):
        compare_scales(data, **change)
