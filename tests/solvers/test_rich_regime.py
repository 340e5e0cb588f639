"""Least total variation of the slope: against linear programs on a grid, and against every claim about its set."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from solvers.splines.rich_regime import rich_interpolant


def linear_program(x: np.ndarray, y: np.ndarray, linear: str, objective_at: int | None = None, sign: float = 0.0):
    """min R over piecewise-linear g bending on a grid that holds the data, beyond it, and `extra` points between.

    Unknowns: jumps p, m ≥ 0 at the grid, slope a and value c at the left end, and the bound r. With `objective_at`
    the smallest (sign = 1) or largest (−1) value there among the minimizers.
    """
    inner = np.unique(np.concatenate([np.linspace(p, q, 9) for p, q in pairwise(x)]))
    grid = np.concatenate([[x[0] - 1.0], inner, [x[-1] + 1.0]])
    n = grid.size

    def row(t: float) -> np.ndarray:
        ramp = np.maximum(t - grid, 0.0)
        return np.concatenate([ramp, -ramp, [t, 1.0, 0.0]])

    equal = np.stack([row(t) for t in x])
    upper = [np.concatenate([np.ones(2 * n), [0.0, 0.0, -1.0]])]
    if linear == "penalized":  # |2a + Σ(p − m)| ≤ r
        ends = np.concatenate([np.ones(n), -np.ones(n), [2.0, 0.0]])
        upper += [np.append(ends, -1.0), np.append(-ends, -1.0)]
    cost = np.concatenate([np.zeros(2 * n + 2), [1.0]])
    bounds = [(0, None)] * (2 * n) + [(None, None)] * 3
    best = linprog(cost, np.stack(upper), np.zeros(len(upper)), equal, y, bounds).fun
    if objective_at is None:
        return best
    limits = np.append(np.zeros(len(upper)), best * (1 + 1e-9))
    found = linprog(sign * row(grid[objective_at]), np.vstack([*upper, cost]), limits, equal, y, bounds)
    return grid[objective_at], sign * found.fun


CASES = [
    ([0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 0.0, 1.0]),
    ([-2.0, -1.0, 0.0, 1.0, 2.0], [1.5, 0.5, 1.5, 0.5, 1.5]),
    ([0.0, 1.0, 2.0, 4.0, 5.0], [0.0, 1.0, 3.0, 10.0, 20.0]),
    ([0.0, 1.0], [0.0, 2.0]),
    ([0.0, 0.5, 1.0, 1.7, 2.0, 3.0], [0.0, 1.0, 1.2, 0.0, -3.0, -1.0]),
]


@pytest.mark.parametrize(("x", "y"), CASES)
@pytest.mark.parametrize("linear", ["free", "penalized"])
def test_value_is_the_linear_program(x: list[float], y: list[float], linear: str) -> None:
    g = rich_interpolant(x, y, linear)
    assert g.value == pytest.approx(linear_program(np.array(x), np.array(y), linear), rel=1e-8, abs=1e-8)
    for minimizer in (g.joined_dots, g.sparsest):
        np.testing.assert_allclose(minimizer(x), y, atol=1e-12)
        slopes = minimizer.c[0]
        norm = np.abs(np.diff(slopes)).sum()
        if linear == "penalized":
            norm = max(norm, abs(slopes[0] + slopes[-1]))
        assert norm == pytest.approx(g.value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("x", "y"), CASES)
def test_bounds_are_the_extremes_of_the_set_of_minimizers(x: list[float], y: list[float]) -> None:
    g, n = rich_interpolant(x, y), 1 + 8 * (len(x) - 1)
    for at in range(1, n + 1, 3):
        t, low = linear_program(np.array(x), np.array(y), "free", at, 1.0)
        _, high = linear_program(np.array(x), np.array(y), "free", at, -1.0)
        # a grid of bends can only miss the lower envelope's corner, never undercut it; 1e-6 for the loosened optimum
        assert float(g.lower(t)) <= low + 1e-6
        assert float(g.upper(t)) >= high - 1e-6
        assert low - float(g.lower(t)) < 0.3 * (high - low) + 1e-6
        assert high - low > 1e-5 or float(g.upper(t) - g.lower(t)) < 1e-6 or not g.unique


@given(seed=st.integers(0, 10**6), m=st.integers(2, 9))
@settings(max_examples=60, deadline=None)
def test_sparsest_has_the_same_value_and_bends_no_more(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.cumsum(rng.uniform(0.2, 1.0, m)), rng.integers(-3, 4, m).astype(float)
    g = rich_interpolant(x, y)
    assert np.abs(np.diff(g.sparsest.c[0])).sum() == pytest.approx(g.value, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(g.sparsest(x), y, atol=1e-9)
    signs = np.sign(np.diff(np.diff(y) / np.diff(x)).round(12))
    runs = np.split(signs, np.flatnonzero(np.diff(signs)) + 1)
    fewest = sum((run.size + 1) // 2 for run in runs if run.size and run[0] != 0)
    assert np.count_nonzero(np.abs(np.diff(g.sparsest.c[0])) > 1e-9) == fewest
    at = np.linspace(x[0], x[-1], 101)
    assert np.all(g.lower(at) <= g.sparsest(at) + 1e-9)
    assert np.all(g.upper(at) >= g.sparsest(at) - 1e-9)


def test_unique_where_bends_alternate_and_not_otherwise() -> None:
    assert rich_interpolant([-2, -1, 0, 1, 2], [1.5, 0.5, 1.5, 0.5, 1.5]).unique
    assert not rich_interpolant([0, 1, 2, 3], [1, 0, 0, 1]).unique
    assert not rich_interpolant([0, 1], [0, 2], "penalized").unique  # where beyond the data it bends is free
    assert rich_interpolant([0, 1], [0, 2], "penalized").value == 2.0


@pytest.mark.parametrize(("slope", "offset"), [(3.0, 0.0), (-0.7, 1e3), (1e-3, -5.0)])
def test_points_on_a_line_have_the_line(slope: float, offset: float) -> None:
    """0.1·i and slope·x are rounded, and joining the dots then bends by rounding at every point."""
    x = np.arange(30) * 0.1
    g = rich_interpolant(x, slope * x + offset)
    assert (g.value, g.unique, g.sparsest.x[1:-1].size) == (0.0, True, 1)
    bent = rich_interpolant(x, slope * x + offset + 1e-9 * np.maximum(x - 1.0, 0.0))
    assert bent.value == pytest.approx(1e-9, rel=1e-2)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="one distinct x"):
        rich_interpolant([1.0, 1.0], [2.0, 2.0])
    with pytest.raises(ValueError, match="choose 'free'"):
        rich_interpolant([0, 1], [0, 2], "none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"data's interval \[0, 3\]"):
        rich_interpolant([0, 1, 2, 3], [1, 0, 0, 1]).lower(4.0)
