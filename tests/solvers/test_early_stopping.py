"""Early stopping as a filter: against the iteration itself, its limits, its error split, its best time."""

import numpy as np
import pytest

from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel, triangle_kernel
from solvers.filters.early_stopping import early_stopping_filter, tikhonov_filter, truncated_filter
from solvers.filters.early_stopping_error import best_stopping_time, predicted_error

RNG = np.random.default_rng(0)
LINE = dual_kernel(gaussian_kernel(24, 0.08))
PLANE = dual_kernel(triangle_kernel((6, 5), 2))


@pytest.mark.parametrize("kernel", [LINE, PLANE])
@pytest.mark.parametrize("factor", [1, 2])  # ½‖·‖², and ‖·‖² at half the step
@pytest.mark.parametrize("fraction", [0.3, 1.0, 1.7])  # of 1/σ²_max: slow, the usual, and overshooting
def test_the_filter_is_gradient_descent_step_by_step(kernel, factor, fraction):
    """x ← x − η·factor·Σ(x − y), Σ dense; 50 steps of 1e-16 relative rounding each."""
    y = RNG.standard_normal(kernel.shape)
    step, matrix = fraction / (factor * kernel.largest), kernel.matrix()
    x = np.zeros(kernel.size)
    for t in range(50):
        np.testing.assert_allclose(early_stopping_filter(kernel, factor * step, t)(y).ravel(), x, atol=1e-11)
        x = x - step * factor * matrix @ (x - y.ravel())
    assert np.linalg.norm(early_stopping_filter(kernel, factor * step, 49)(y).ravel() - x) > 1e-6  # one step late


def test_limits_and_accuracy_for_tiny_eigenvalues():
    y = RNG.standard_normal(24)
    step = 1 / LINE.largest
    np.testing.assert_allclose(early_stopping_filter(LINE, step, 0)(y), 0, atol=0)
    np.testing.assert_allclose(early_stopping_filter(LINE, step, np.inf)(y), y, atol=1e-12)
    low_rank = dual_kernel(np.ones(8))
    np.testing.assert_allclose(early_stopping_filter(low_rank, 0.01, np.inf)(np.arange(8.0)), 3.5, atol=1e-12)
    tiny = early_stopping_filter(LINE, 1e-18, 10).gains  # 1 − (1 − x)^t rounds to zero if written so
    np.testing.assert_allclose(tiny, 10 * 1e-18 * LINE.eigenvalues, rtol=1e-12)


def test_several_times_and_several_signals_at_once():
    filters = early_stopping_filter(PLANE, 0.1, [1, 5, 9])
    y = RNG.standard_normal((6, 5))
    assert filters(y).shape == (3, 6, 5)
    np.testing.assert_allclose(filters(y)[1], early_stopping_filter(PLANE, 0.1, 5)(y))


def test_tikhonov_is_ridge_regression_in_the_weights():
    """min ½‖J c − y‖² + ½λ‖c‖² with J = Σ^{1/2}, by dense normal equations."""
    values, vectors = LINE.eigenvectors()
    root = (vectors * np.sqrt(values)) @ vectors.T
    y = RNG.standard_normal(24)
    c = np.linalg.solve(root.T @ root + 0.3 * np.eye(24), root.T @ y)
    np.testing.assert_allclose(tikhonov_filter(LINE, 0.3)(y), root @ c, atol=1e-12)
    np.testing.assert_allclose(tikhonov_filter(LINE, 0.0)(y), y, atol=1e-12)


def test_truncation_keeps_the_leading_eigenvectors_and_never_half_a_pair():
    values, vectors = LINE.eigenvectors()
    y = RNG.standard_normal(24)
    np.testing.assert_allclose(truncated_filter(LINE, 5)(y), vectors[:, :5] @ vectors[:, :5].T @ y, atol=1e-12)
    assert truncated_filter(LINE, 4).gains.sum() == 3
    assert truncated_filter(LINE, 24).gains.sum() == 24
    assert truncated_filter(LINE, 0).gains.sum() == 0
    assert values[3] == pytest.approx(values[4])


@pytest.mark.parametrize("kernel", [LINE, PLANE])
def test_error_split_for_given_noise_is_the_error(kernel):
    x, e = RNG.standard_normal(kernel.shape), RNG.standard_normal(kernel.shape)
    steps = [0, 1, 3, 30, np.inf]
    split = predicted_error(kernel, x, e, 1 / kernel.largest, steps)
    outputs = early_stopping_filter(kernel, 1 / kernel.largest, steps)(x + e)
    np.testing.assert_allclose(split.total, [np.sum((o - x) ** 2) for o in outputs], rtol=1e-10)
    assert split.total[0] == pytest.approx(np.sum(x**2))  # t = 0: nothing learned
    assert split.total[-1] == pytest.approx(np.sum(e**2))  # t = ∞: all the noise learned


def test_expected_error_is_the_mean_over_noise():
    x = np.sin(2 * np.pi * np.arange(24) / 24)
    expected = predicted_error(LINE, x, 0.5, 1 / LINE.largest, [2, 20])
    draws = 0.5 * np.random.default_rng(1).standard_normal((4000, 24))
    totals = np.array([predicted_error(LINE, x, e, 1 / LINE.largest, [2, 20]).total for e in draws])
    standard_error = totals.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(totals.mean(axis=0) - expected.total) < 4 * standard_error).all()
    assert (standard_error < 0.01 * expected.total).all()  # so that a factor, or a lost term, would be seen
    assert (np.diff(expected.signal) < 0).all()
    assert (np.diff(expected.noise) > 0).all()


@pytest.mark.parametrize("level", [0.03, 0.3, 2.0])
def test_best_stopping_time_is_the_brute_force_minimum(level):
    x = np.sin(2 * np.pi * 3 * np.arange(24) / 24) + np.sign(np.arange(24) - 12.5)
    step = 0.02 / LINE.largest
    best = best_stopping_time(LINE, x, level, step, longest=20_000)
    totals = predicted_error(LINE, x, level, step, np.arange(20_001)).total
    assert best.step == np.argmin(totals)
    assert best.error == pytest.approx(totals.min())
    assert not best.at_limit


def test_stopping_time_edges():
    x = np.sin(2 * np.pi * np.arange(24) / 24)
    assert best_stopping_time(LINE, x, 0.0, 0.1, longest=1000).at_limit  # no noise: never stop
    assert best_stopping_time(LINE, 0 * x, 1.0, 0.1).step == 0  # no signal: never start
    early, late = (best_stopping_time(LINE, x, s, 1e-6).step for s in (1.0, 0.5))
    assert early < late  # the bracket of whole numbers here is wider than 4096
    around = predicted_error(LINE, x, 1.0, 1e-6, early + np.array([-20_000, -100, 100, 20_000])).total
    assert (around >= best_stopping_time(LINE, x, 1.0, 1e-6).error).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: early_stopping_filter(LINE, 2 / LINE.largest, 1), "does not converge"),
        (lambda: early_stopping_filter(LINE, 2 * 1.5 / LINE.largest, 1), "does not converge"),
        (lambda: early_stopping_filter(LINE, 0.0, 1), "positive"),
        (lambda: early_stopping_filter(LINE, 0.1, 1.5), "whole numbers"),
        (lambda: early_stopping_filter(LINE, 0.1, -1), "whole numbers"),
        (lambda: early_stopping_filter(LINE, np.nan, 1), "positive"),
        (lambda: early_stopping_filter(LINE, 0.1, 1)(np.ones(23)), "signals of shape"),
        (lambda: early_stopping_filter(LINE, 0.1, 1)(np.full(24, np.nan)), "24 NaN"),
        (lambda: tikhonov_filter(LINE, -1.0), "ridge"),
        (lambda: truncated_filter(LINE, 25), "rank"),
        (lambda: predicted_error(LINE, np.ones(23), 0.1, 0.1, 1), "signal of shape"),
        (lambda: predicted_error(LINE, np.ones(24), -0.1, 0.1, 1), "standard deviation"),
        (lambda: predicted_error(LINE, np.full(24, np.inf), 0.1, 0.1, 1), "finite"),
        (lambda: best_stopping_time(LINE, np.ones(24), 0.1, 0.1, longest=0), "longest"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
