"""The way there: training compared with smoothing splines of falling λ.

A wide network at time t is (I − e^{−tΘ}) y on the data, a smoothing spline with weight λ is (I + λΘ⁻¹)⁻¹ y. Both filter
the same modes, 1 − e^{−tμ} and μ/(μ + λ), and agree at λ → 0 and t → ∞ and for no time between: the smoothing
spline is an approximation of the trajectory, and how good a one is measured here, at λ = 1/(t n), where the two
filters agree to first order in μ, and at the λ nearest in sup norm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar

from compare.spline.spline_cases import SplineCase
from compare.spline.width_rates import corrected_problem
from gd.networks.wide_relu import WideReLU
from gd.squared.squared_flow import squared_flow_limit
from solvers.arrays import Array
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.weighted_spline import weighted_spline


@dataclass(frozen=True)
class TrajectoryStudy:
    """One wide network along training and the smoothing splines, on a grid."""

    grid: Array = field(repr=False)
    """Shape (G,)."""
    times: Array
    """n·t, the time in units of the limiting kernel's, shape (T,)."""
    network: Array = field(repr=False)
    """f_t on the grid, shape (T, G)."""
    at_inverse_time: Array = field(repr=False)
    """Smoothing splines with λ = 1/(n t), shape (T, G)."""
    nearest: Array = field(repr=False)
    """Smoothing splines at the nearest λ, shape (T, G)."""
    smoothing: Array
    """The nearest λ, shape (T,)."""

    def distance(self, splines: Array) -> Array:
        """max over the grid of |network − splines| at every time, shape (T,)."""
        return np.asarray(np.abs(self.network - splines).max(axis=1))


def trajectory_study(
    case: SplineCase, init: InitialDistribution, *, width: int = 20_000, snapshots: int = 12, seed: int = 0
) -> TrajectoryStudy:
    """Train one network of `width` units a half on corrected data; at log-spaced times find its smoothing spline."""
    y, _ = corrected_problem(case, init)
    grid = np.linspace(*case.interval, 401)
    values = np.linalg.eigvalsh(init.kernel(case.x[:, None], case.x))
    times = np.geomspace(0.3 / values[-1], 10.0 / max(values[0], 1e-6 * values[-1]), snapshots)
    net = WideReLU(width, init, seed=seed)
    flow = squared_flow_limit(net, case.x[:, None], y, times=times / width, grid=grid[:, None], accuracy=1e-3)
    network = flow.grid_outputs[0, :-1]
    direct, nearest, smoothing = np.empty_like(network), np.empty_like(network), np.empty_like(times)
    for k, t in enumerate(times):

        def spline(log_smoothing: float) -> Array:
            return weighted_spline(case.x, y, init, smoothing=float(np.exp(log_smoothing)))(grid)

        def gap(log_smoothing: float, k: int = k) -> float:
            return float(np.abs(spline(log_smoothing) - network[k]).max())

        centre = -float(np.log(t))
        found = minimize_scalar(gap, bounds=(centre - 6.0, centre + 6.0), method="bounded")
        direct[k], nearest[k], smoothing[k] = spline(centre), spline(float(found.x)), np.exp(found.x)
    return TrajectoryStudy(grid, times, network, direct, nearest, smoothing)
