"""Schedules on linear predictors at the rates that are proved for them, and on deep networks within their claims."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy.optimize import nnls

from gd import (
    SCHEDULES,
    ArmijoLineSearch,
    ConstantStep,
    Convolutional,
    Diagonal,
    DualAcceleration,
    FullyConnected,
    LossNormalized,
    ProgressiveRescaling,
    descend,
)

N, D = 10, 20
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D))
Y = np.sign(RNG.standard_normal(N))


def largest_margin(X: np.ndarray, y: np.ndarray) -> float:
    """max over ‖β‖₂ = 1 of min_n y_n⟨x_n, β⟩, from the least-distance problem by Lawson and Hanson's NNLS."""
    A = y[:, None] * X
    E = np.vstack([A.T, np.ones(len(y))])
    target = np.append(np.zeros(X.shape[1]), 1.0)
    residual = E @ nnls(E, target)[0] - target
    return float(1.0 / np.linalg.norm(residual[:-1] / residual[-1]))


MARGIN = largest_margin(X, Y)


@lru_cache
def gaps(schedule, steps: int = 5000, loss: str = "exponential") -> tuple[np.ndarray, np.ndarray]:
    """Step counts and relative margin gaps 1 − margin/MARGIN of a linear predictor."""
    path = descend(FullyConnected(D, 1), X, Y, steps=steps, schedule=schedule, loss=loss, snapshots=41)
    return path.steps, 1.0 - path.margin[0] / MARGIN


def slope(steps: np.ndarray, gap: np.ndarray, start: int) -> float:
    """Fitted exponent a of gap ~ t^a from step `start` on."""
    late = steps >= start
    return float(np.polyfit(np.log(steps[late]), np.log(gap[late]), 1)[0])


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_constant_step_converges_like_one_over_log(loss):
    """gap·log t tends to a constant: it changes by less than a third while t grows a hundredfold; in particular the
    gap after 5000 steps is still 5% and more, which no power of t with exponent below −0.3 would leave."""
    steps, gap = gaps("constant", loss=loss)
    late = steps >= 100
    scaled = (gap * np.log(np.maximum(steps, 1)))[late]
    assert scaled.max() / scaled.min() < 3
    assert gap[-1] > 0.05
    assert -0.45 < slope(steps, gap, 1000) < -0.1


def test_normalized_steps_converge_like_one_over_t():
    steps, gap = gaps("normalized")
    assert slope(steps, gap, 500) == pytest.approx(-1.0, abs=0.1)


def test_decaying_normalized_steps_converge_like_one_over_root_t():
    """With η_t = η/√(t + 1), Σ η ~ √t: log t/√t is proved, so the exponent lies near −1/2, and well above −1."""
    steps, gap = gaps(LossNormalized(decay=0.5))
    assert -0.65 < slope(steps, gap, 500) < -0.4


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_dual_acceleration_converges_like_one_over_t_squared(loss):
    steps, gap = gaps("accelerated", loss=loss)
    assert slope(steps, gap, 500) == pytest.approx(-2.0, abs=0.15)
    # with ‖x_n‖ ≤ 1 after scaling, gap·γ ≤ 4(1 + log N)(1 + 2 log(t + 1))/(γ (t + 1)²)
    gamma = MARGIN / np.linalg.norm(X, axis=1).max()
    if loss == "exponential":
        bound = 4 * (1 + np.log(N)) * (1 + 2 * np.log(steps + 1)) / (gamma * (steps + 1) ** 2)
        assert (gap * gamma <= bound).all()


def test_progressive_rescaling_converges_geometrically_where_its_assumption_holds():
    """Orthogonal rows: every point is a support vector. From step 1000 to 2000 the radius grows by 1.05^200 = 17,000.

    The gap follows 1/radius, to within the constants; a 1/t method would halve it.
    """
    rows = np.eye(4) * np.array([1.0, 1.2, 1.5, 2.0])
    schedule = ProgressiveRescaling(period=5, growth=1.05)
    path = descend(FullyConnected(4, 1), rows, np.ones(4), steps=2000, schedule=schedule, snapshots=200)
    gap = 1.0 - path.margin[0] / largest_margin(rows, np.ones(4))
    at_1000, at_2000 = (gap[np.abs(path.steps - t).argmin()] for t in (1000, 2000))
    assert 0 <= at_2000 < 1e-3 * at_1000
    assert at_2000 < 1e-6


def test_progressive_rescaling_beats_plain_steps_and_a_clock_that_is_too_fast_does_not():
    """The adaptive radius passes 1/t by an order of magnitude; with radii raised too fast the direction freezes."""
    _, plain = gaps("normalized")
    _, adaptive = gaps("rescaled")
    _, hasty = gaps(ProgressiveRescaling(period=5, growth=1.2))
    assert adaptive[-1] < 0.5 * plain[-1]
    assert hasty[-1] > 5 * plain[-1]


@pytest.mark.parametrize("seed", [0, 1])
def test_radii_raised_on_the_gap_never_freeze(seed):
    """Each stage ends with γ* − γ ≤ (1 + log N)/R_k, so at the next radius (γ* − γ)‖w‖ ≤ growth·(1 + log N)."""
    rng = np.random.default_rng(seed)
    points, labels = rng.standard_normal((N, D)), np.where(rng.random(N) < 0.5, -1.0, 1.0)
    path = descend(FullyConnected(D, 1), points, labels, steps=4000, schedule=ProgressiveRescaling(growth=2.0))
    gap = largest_margin(points, labels) - path.margin[0, -1]
    assert path.weight_norm[0, -1] > 500, "it was moved out, several times"
    assert gap * path.weight_norm[0, -1] <= 2.0 * (1.0 + np.log(N))


def test_methods_rank_as_their_rates_do():
    constant, normalized, accelerated = (gaps(name)[1][-1] for name in ("constant", "normalized", "accelerated"))
    assert accelerated < 0.01 * normalized
    assert normalized < 0.1 * constant


def test_line_search_on_log_loss_gets_far_below_the_smallest_float():
    _, gap = gaps("armijo", steps=2000)
    assert gap[-1] < 3e-3
    path = descend(Diagonal(D, 2), X, Y, steps=1500, schedule="armijo")
    assert path.log_loss[0, -1] < -1000  # the smallest float is e^{−745}


def test_line_search_does_not_run_off_where_one_point_dominates():
    """Two points at an acute angle: while one dominates, log L is linear along its gradient, any step is accepted, and
    without the bound on the predicted decrease the weights overflow while their direction stays wrong."""
    points, labels = np.array([[2.0, 1.0], [-1.0, -3.0]]), np.array([1.0, -1.0])
    bounded = descend(FullyConnected(2, 1), points, labels, steps=200)
    assert bounded.margin[0, -1] == pytest.approx(largest_margin(points, labels), rel=2e-2)
    assert abs(bounded.log_loss[0, -1]) < 200 * 10.0 + 10
    unbounded = descend(FullyConnected(2, 1), points, labels, steps=200, schedule=ArmijoLineSearch(0.1, longest=1e300))
    assert unbounded.margin[0, -1] < 0.95 * largest_margin(points, labels) or unbounded.weight_norm[0, -1] > 1e10


@pytest.mark.parametrize("schedule", ["constant", "normalized", "armijo"])
@pytest.mark.parametrize("build", [FullyConnected, Diagonal, Convolutional])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_default_steps_never_raise_the_loss(build, schedule, depth):
    """The documented defaults are safe: log L falls at every single step, to rounding."""
    models = [build(D, depth, seed=seed, scale=scale) for seed, scale in [(0, 0.1), (1, 0.5)]]
    for loss in ("exponential", "logistic"):
        path = descend(models, X, Y, steps=100, schedule=schedule, snapshots=400, loss=loss)
        assert len(path.steps) > 30
        rise = np.diff(path.log_loss, axis=1) / (1.0 + np.abs(path.log_loss[:, 1:]))
        assert rise.max() < 1e-12
        assert (path.log_loss[:, -1] < path.log_loss[:, 0]).all()


def test_momentum_recursion_is_the_printed_one():
    """Ten steps by hand: g_t = t/(t+1)(g_{t−1} + d_t), w_{t+1} = w_t − η(g_t + d_t), d_t = −Aᵀ softmax(−Aw)."""
    model = FullyConnected(D, 1)
    w, g, A = model.predictor, np.zeros(D), Y[:, None] * X
    for t in range(10):
        p = np.exp(-A @ w) / np.exp(-A @ w).sum()
        d = -A.T @ p
        g = t / (t + 1) * (g + d)
        w = w - 0.02 * (g + d)
    path = descend(model, X, Y, steps=10, schedule=DualAcceleration(0.02))
    np.testing.assert_allclose(path.predictor[0], w, rtol=1e-12, atol=1e-14)


def test_rescaling_keeps_the_weights_in_the_ball_and_lifts_on_the_clock():
    schedule = ProgressiveRescaling(step_size=0.02, warmup=20, period=4, growth=1.5)
    path = descend(FullyConnected(D, 1), X, Y, steps=60, schedule=schedule, snapshots=2000)
    norm = dict(zip(path.steps.tolist(), path.weight_norm[0].tolist(), strict=True))
    base = norm[20]
    for t, value in norm.items():
        if t > 20:
            lifts = (t - 20) // 4
            assert value <= base * 1.5**lifts * (1 + 1e-12)
            if (t - 20) % 4 == 0:
                assert value == pytest.approx(base * 1.5**lifts, rel=1e-12)


def test_theory_for_linear_predictors_only_is_labelled_heuristic_elsewhere():
    for schedule in (DualAcceleration(), ProgressiveRescaling(period=5)):
        assert not schedule.heuristic(1)
        assert "(proved: " in schedule.label(1)
        for degree in (2, 3, None):
            assert schedule.heuristic(degree)
            assert "heuristic here" in schedule.label(degree)
        path = descend(Diagonal(D, 2), X, Y, steps=5, schedule=schedule)
        assert path.heuristic
        assert "heuristic" in path.schedule
    for name in ("constant", "normalized", "armijo"):
        assert not SCHEDULES[name].heuristic(3)
    assert "O(1/log t)" in SCHEDULES["constant"].label(1)
    assert "no rate proved" in SCHEDULES["constant"].label(3)
    assert "O(1/t)" in SCHEDULES["normalized"].label(1)
    assert "√t" in LossNormalized(decay=0.5).label(1)
    assert SCHEDULES["rescaled"].heuristic(1), "radii raised on the gap are not the theorem's"
    assert "proved for fixed periods" in SCHEDULES["rescaled"].label(1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConstantStep(0.0), "positive number"),
        (lambda: ConstantStep(float("inf")), "positive number"),
        (lambda: LossNormalized(-1.0), "positive number"),
        (lambda: LossNormalized(decay=1.0), "decay"),
        (lambda: ArmijoLineSearch(decrease=1.0), "decrease"),
        (lambda: ArmijoLineSearch(longest=0.0), "longest"),
        (lambda: DualAcceleration(0.0), "positive number"),
        (lambda: ProgressiveRescaling(growth=1.0), "growth > 1"),
        (lambda: ProgressiveRescaling(period=0), "period"),
    ],
)
def test_bad_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
