"""Angle to the limit against wall-clock, for every schedule of `descend` and for `flow_limit`, in one run.

    python benchmarks/angle_against_time.py [--points 10] [--dim 20] [--steps 10000] [--seed 0] [--out FIGURE.svg]

Gaussian points with random labels; the limit is the certified optimum of the induced problem. Prints, per network and
method, the final angle, the seconds taken, the fitted exponent a of angle ~ t^a over the last two decades of steps, and
what is proved about the method there. With --out also draws angle against seconds.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from compare.measures import angle
from gd.descend import SCHEDULES, descend
from gd.flow_limit import flow_limit
from gd.linear_network import LinearNetwork
from gd.networks import Convolutional, Diagonal, FullyConnected
from solvers.max_margin import max_margin

NETWORKS: dict[str, Any] = {
    "linear predictor": lambda dim: FullyConnected(dim, 1),
    "diagonal, depth 2": lambda dim: Diagonal(dim, 2),
    "convolutional, depth 2": lambda dim: Convolutional(dim, 2),
}


def fitted_exponent(steps: np.ndarray, angles: np.ndarray) -> float:
    """The slope of log angle against log step over the last two decades; NaN where the angle is zero or unknown."""
    late = (steps >= steps[-1] / 100) & (angles > 0)
    return float(np.polyfit(np.log(steps[late]), np.log(angles[late]), 1)[0]) if late.sum() > 2 else float("nan")


def curves(network: LinearNetwork, X: np.ndarray, y: np.ndarray, steps: int) -> list[dict[str, Any]]:
    """One row per method: seconds and angles (degrees) along the way."""
    best = max_margin(X, y, network.regularizer).beta
    rows = []
    for schedule in SCHEDULES.values():
        path = descend(network, X, y, steps=steps, schedule=schedule, device="cpu")
        degrees = np.degrees([angle(beta, best) for beta in path.predictors[0]])
        row = {"method": schedule.name, "seconds": path.elapsed, "degrees": degrees, "claim": path.schedule}
        rows.append(row | {"exponent": fitted_exponent(path.steps, degrees), "status": str(path.status[0])})
    began = time.perf_counter()
    limit = flow_limit(network, X, y, device="cpu")
    seconds = time.perf_counter() - began
    degrees = np.degrees([angle(limit.predictor, best)])
    rows.append(
        {"method": "flow_limit", "seconds": np.array([seconds]), "degrees": degrees, "exponent": float("nan")}
        | {"claim": "certified limit", "status": limit.status.name}
    )
    return rows


def draw(results: dict[str, list[dict[str, Any]]], out: str) -> None:
    """Angle in degrees against seconds, one panel per network, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "angle against time"
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(results), figsize=(5 * len(results), 4), sharey=True, layout="constrained")
    for panel, (name, rows) in zip(np.atleast_1d(panels), results.items(), strict=True):
        for row in rows:
            marker = "*" if len(row["seconds"]) == 1 else None
            panel.loglog(row["seconds"], np.maximum(row["degrees"], 1e-9), marker=marker, ms=14, label=row["method"])
        panel.set(title=name, xlabel="wall-clock seconds")
    np.atleast_1d(panels)[0].set_ylabel("angle to the limit, degrees")
    np.atleast_1d(panels)[0].legend()
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("points", 10), ("dim", 20), ("steps", 10_000), ("seed", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    X, y = rng.standard_normal((given.points, given.dim)), np.where(rng.random(given.points) < 0.5, -1.0, 1.0)
    results = {}
    for name, build in NETWORKS.items():
        rows = results[name] = curves(build(given.dim), X, y, given.steps)
        print(f"\n{name}: N = {given.points}, D = {given.dim}, {given.steps} steps")
        for row in rows:
            print(
                f"  {row['method']:22s} {row['degrees'][-1]:9.2e}°  {row['seconds'][-1]:7.2f} s  "
                f"t^{row['exponent']:5.2f}  {row['claim']}"
            )
    if given.out:
        draw(results, given.out)


if __name__ == "__main__":
    main()
