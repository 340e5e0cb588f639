"""The true largest distance: against fine grids from above, closed forms, and functions built to fool a grid."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from compare.function_distance import l2_distance, uniform_distance
from gd.networks.wide_relu import LinearPieces, WideReLU
from solvers.splines.initial_distributions import GaussianInit, UniformInit
from solvers.splines.kernel_interpolant import kernel_interpolant
from solvers.splines.rich_regime import piecewise_linear, rich_interpolant
from solvers.splines.weighted_spline import weighted_spline

X, Y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([1.5, 0.5, 1.5, 0.5, 1.5])


def pieces_of(seed: int, anti_symmetric: bool = False) -> LinearPieces:
    return WideReLU(30, GaussianInit(), anti_symmetric, seed=seed).pieces()


@given(seed=st.integers(0, 1000), low=st.floats(-3, 0), length=st.floats(0.1, 4))
@settings(max_examples=30, deadline=None)
def test_network_against_spline_is_the_limit_of_fine_grids(seed: int, low: float, length: float) -> None:
    """Never below the best of 20001 points, and above it by no more than a parabola fits between two of them."""
    network, spline = pieces_of(seed), weighted_spline(X, Y, GaussianInit(1.0, 0.3))
    interval = (low, low + length)
    grid = np.linspace(*interval, 20_001)
    sampled = float(np.abs(network(grid) - spline(grid)).max())
    found = uniform_distance(network, spline, interval)
    slope = np.abs(network.slopes).max() + np.abs(spline.derivative(1)(grid)).max()
    assert sampled - 1e-12 <= found <= sampled + slope * length / 20_000


def test_a_spike_between_grid_points_is_found() -> None:
    spike = piecewise_linear(np.array([0.3, 0.3 + 1e-7, 0.3 + 2e-7]), np.array([0.0, 5.0, 0.0]), (0.0, 0.0))
    flat = weighted_spline([0.0, 1.0], [0.0, 0.0])
    assert uniform_distance(spike, flat, (0.0, 1.0)) == pytest.approx(5.0, rel=1e-9)
    assert np.abs(spike(np.linspace(0, 1, 101))).max() == 0.0


def test_both_sides_of_a_jump_count() -> None:
    step = LinearPieces(np.array([0.5]), np.array([0.0, 0.0]), np.array([0.0, 2.0]))
    half = LinearPieces(np.array([0.5]), np.array([0.0, 0.0]), np.array([3.0, 2.0]))
    assert uniform_distance(step, half, (0.0, 1.0)) == 3.0
    assert uniform_distance(half, step, (0.6, 1.0)) == 0.0
    assert l2_distance(step, half, (0.0, 1.0)) == pytest.approx(np.sqrt(4.5))


def test_closed_form_interior_maximum() -> None:
    """Chord of the cubic x³ on [0, 1] as a natural-spline piece: x − x³ peaks at 1/√3 with 2/(3√3)."""
    x, y = [0.0, 1.0, 2.0], [0.0, 1.0, 0.0]
    dots, spline = rich_interpolant(x, y), weighted_spline(x, y)
    assert uniform_distance(dots, spline, (0.0, 2.0)) == pytest.approx(3**-1.5, rel=1e-14)
    assert uniform_distance(spline, dots, (0.0, 2.0)) == pytest.approx(3**-1.5, rel=1e-14)


def test_smooth_against_smooth() -> None:
    natural, weighted = CubicSpline(X, Y, bc_type="natural"), weighted_spline(X, Y, GaussianInit())
    grid = np.linspace(-2, 2, 400_001)
    sampled = np.abs(natural(grid) - weighted(grid)).max()
    assert uniform_distance(natural, weighted, (-2, 2)) == pytest.approx(sampled, abs=1e-9)
    assert uniform_distance(natural, weighted_spline(X, Y), (-2, 2)) < 1e-13
    penalized = kernel_interpolant(X, Y, UniformInit(1.0, 2.0), "penalized")
    gap = uniform_distance(penalized, weighted_spline(X, Y, UniformInit(1.0, 2.0)), (-2, 2))
    assert 0.003 < gap < 0.01


def test_metric() -> None:
    f, g, h = pieces_of(1), pieces_of(2), weighted_spline(X, Y)
    for distance in (uniform_distance, l2_distance):
        assert distance(f, f, (-2, 2)) == 0.0
        assert distance(f, g, (-2, 2)) == distance(g, f, (-2, 2))
        assert distance(f, h, (-2, 2)) <= distance(f, g, (-2, 2)) + distance(g, h, (-2, 2)) + 1e-12
    assert l2_distance(f, h, (-2, 2)) <= uniform_distance(f, h, (-2, 2))
    assert uniform_distance(f, h, (-1, 1)) <= uniform_distance(f, h, (-2, 2))


def test_l2_against_a_fine_sum() -> None:
    f, h = pieces_of(3), weighted_spline(X, Y)
    middle = (np.arange(400_000) + 0.5) / 100_000 - 2.0
    assert l2_distance(f, h, (-2, 2)) == pytest.approx(np.sqrt(np.mean((f(middle) - h(middle)) ** 2)), rel=1e-8)


def test_plain_functions() -> None:
    """A kink that nobody tells, constants, and functions of single numbers."""
    assert uniform_distance(lambda x: np.abs(x - 0.3), (0.3).__mul__, (-1, 1)) == pytest.approx(1.6, abs=1e-12)
    assert uniform_distance(math.cos, lambda x: 0.0, (0, 20)) == pytest.approx(1.0, abs=1e-12)
    assert l2_distance(np.sin, lambda x: 0.0, (0, 2 * np.pi)) == pytest.approx(np.sqrt(0.5), abs=1e-12)


def test_refusals() -> None:
    with pytest.raises(TypeError, match="float is no function of one variable"):
        uniform_distance(1.0, pieces_of(0), (0, 1))
    with pytest.raises(TypeError, match=r"values of shape \(1,\)"):
        uniform_distance(lambda x: x[:1], pieces_of(0), (0, 1))
    with pytest.raises(ValueError, match="low < high"):
        uniform_distance(pieces_of(0), pieces_of(1), (1, 1))
