"""Timings of the weighted spline and of squared-loss flow, each with what it is compared to in the same run.

    python benchmarks/spline.py

1. 10⁶ knots: `weighted_spline` against scipy's natural CubicSpline, and evaluation at 10⁶ points. Target: at most
   twice scipy's time for each; the certificate at most 1 s. Five knots: at most 1 ms.
2. Flow of a wide network to residual 1e-10 against plain gradient descent at half the stated bound 2/λ_max, run to the
   same residual, on the five points: the same function to 1e-6 at a hundredth of the wall-clock time. Plain descent
   runs as a tight loop over all weights with analytic gradients, the fastest form we know of it.
3. 10⁶ units: seconds to residual 1e-10.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from calibration import calibration_line
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from gd.networks.wide_relu import WideReLU
from gd.squared.squared_flow import squared_flow_limit, stable_step
from gd.squared.tangent import tangent_bundle
from solvers.splines.initial_distributions import GaussianInit, UniformInit
from solvers.splines.weighted_spline import weighted_spline

X, Y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([1.5, 0.5, 1.5, 0.5, 1.5])


def best_of(repeats: int, run: Callable[[], object]) -> float:
    """Shortest of several runs, in seconds: the least disturbed."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def splines() -> None:
    """Construction and evaluation at 10⁶ knots, and construction at 5."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-2.0, 2.0, 10**6))
    y, at = np.sin(3.0 * x), rng.uniform(-2.0, 2.0, 10**6)
    points = {"sorted": np.sort(at), "random": at}
    scipy_time = best_of(5, lambda: CubicSpline(x, y, bc_type="natural"))
    cubic = CubicSpline(x, y, bc_type="natural")
    peer = {order: best_of(3, lambda p=p: cubic(p)) for order, p in points.items()}
    print(
        f"scipy natural CubicSpline, 1e6 knots: {scipy_time:.3f} s; "
        f"1e6 points, sorted and random: {peer['sorted']:.3f} s and {peer['random']:.3f} s"
    )
    for init in (None, GaussianInit(1.0, 1.0), UniformInit(1.0, 1.0)):
        ours = best_of(5, lambda init=init: weighted_spline(x, y, init))
        spline = weighted_spline(x, y, init)
        ratio = {order: best_of(3, lambda p=p, g=spline: g(p)) / peer[order] for order, p in points.items()}
        certificate = best_of(1, lambda spline=spline: spline.certificate)
        small = best_of(50, lambda init=init: weighted_spline(X, Y, init))
        print(
            f"weighted_spline, {init}: {ours / scipy_time:.2f} of scipy ({ours:.3f} s); 1e6 points, sorted and random: "
            f"{ratio['sorted']:.1f} and {ratio['random']:.1f} of scipy; certificate {certificate:.2f} s; "
            f"5 knots {1e3 * small:.3f} ms"
        )


def plain_descent(
    net: WideReLU, y: NDArray[np.float64], fraction: float, residual: float
) -> tuple[int, float, WideReLU]:
    """Gradient descent on ½‖r‖² with the step fraction·2/λ_max, to the residual: steps, seconds, the network."""
    step = fraction * stable_step(net, X[:, None], y)
    targets = torch.from_numpy(y)
    x = torch.from_numpy(X)
    signs, half_signs = net.signs, net.half_signs
    start = time.process_time()
    with torch.no_grad():
        a, d, w, b = (net.get_parameter(name).clone() for name in ("outer", "offset", "weight", "bias"))
        steps = 0
        while True:
            act = torch.relu(x[:, None] * w + b)
            r = act @ (signs * a) + half_signs @ d - targets
            if steps % 100 == 0 and float(r.abs().max()) <= residual:
                break
            q = step * r
            inner = (act > 0) * (signs * a)
            a = a - signs * (q @ act)
            d = d - half_signs * q.sum()
            w = w - (q * x) @ inner
            b = b - q @ inner
            steps += 1
    seconds = time.process_time() - start
    with torch.no_grad():
        for name, value in (("outer", a), ("offset", d), ("weight", w), ("bias", b)):
            net.get_parameter(name).copy_(value)
    return steps, seconds, net


def flow_against_descent(width: int = 10_000) -> None:
    """The same function, two ways."""
    squared_flow_limit(WideReLU(10, GaussianInit(), seed=0), X[:2, None], Y[:2])  # torch's first call is slow
    for init in (UniformInit(1.0, 2.0), GaussianInit(1.0, 1.0)):
        make = lambda init=init: WideReLU(width, init, seed=0)  # noqa: E731
        start = time.process_time()
        limit = squared_flow_limit(make(), X[:, None], Y, tol=1e-10, accuracy=1e-3)
        ours = time.process_time() - start
        followed = limit.load(make())
        steps, seconds, plain = plain_descent(make(), Y, 0.5, 1.5e-10)
        grid = torch.linspace(-2.5, 2.5, 2001, dtype=torch.float64)[:, None]
        with torch.no_grad():
            gap = float((followed(grid) - plain(grid)).abs().max())
        bundle = tangent_bundle([make()], torch.from_numpy(X[:, None]), torch.from_numpy(Y), torch.device("cpu"))
        values = torch.linalg.eigvalsh(bundle.at(bundle.start).kernel)[0]
        print(
            f"width {width}, {init}: flow {ours:.3f} s ({limit.steps[0]} steps), plain GD {seconds:.2f} s "
            f"({steps} steps, λ_max/λ_min {float(values[-1] / values[0]):.0f}): {seconds / ours:.0f} times, "
            f"functions {gap:.1e} apart"
        )


def million_units() -> None:
    """Half a million units in each half."""
    net = WideReLU(500_000, GaussianInit(1.0, 1.0), seed=0)
    start = time.process_time()
    limit = squared_flow_limit(net, X[:, None], Y)
    seconds = time.process_time() - start
    print(f"10⁶ units: {seconds:.2f} s to residual {limit.residual[0]:.1e} in {limit.steps[0]} step(s)")


if __name__ == "__main__":
    print(calibration_line())
    splines()
    flow_against_descent()
    million_units()
