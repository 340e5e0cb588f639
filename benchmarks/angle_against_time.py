"""Angle to the limit against wall-clock and against the loss, for every schedule of `descend` and for `flow_limit`.

    python benchmarks/angle_against_time.py [--points 10] [--dim 20] [--steps 10000] [--seed 0] [--out FIGURE.svg]

Gaussian points with random labels; the limit is the certified optimum of the induced problem. Prints, per network and
method, the final angle, the seconds taken, the fitted exponent a of angle ~ t^a over the last two decades of steps, and
what is proved about the method there. With --out also draws angle against seconds and, below, against how small the
loss has become: the schedules that follow the gradient lie on the flow's curve there, so it is the same path. On deep
networks the flow goes on from losses of exp(−10⁵), where descent stops, to exp(−10¹²) and less, and its last point is
the solution of the KKT system found next to it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from calibration import calibration_line

from compare.measures import angle
from gd.descent.descend import SCHEDULES, descend
from gd.flow.flow_limit import flow_limit
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
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


def log_log(log_loss: np.ndarray) -> np.ndarray:
    """ln(−ln loss); NaN while the loss is not below one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(log_loss < 0, np.log(-log_loss), np.nan)


def flow_row(network: LinearNetwork, X: np.ndarray, y: np.ndarray, best: np.ndarray) -> dict[str, Any]:
    """The flow's path, and its limit as the last point."""
    flow_limit(network, X[:2], y[:2], max_steps=3, device="cpu")  # imports and first calls are not what is timed
    began = time.perf_counter()
    limit = flow_limit(network, X, y, device="cpu")
    seconds = time.perf_counter() - began
    path = limit.path
    # past 10^308 the loss is known by its double logarithm alone: ln γ + L ln‖w‖
    late = np.log(np.maximum(path.margins.min(axis=1), 1e-300)) + network.degree * path.log_norm
    predictors = [*path.predictors, limit.predictor]
    return {
        "method": "flow_limit",
        "seconds": np.append(path.elapsed, seconds),
        "log_log_loss": np.append(np.where(late > 40, late, log_log(path.log_loss)), limit.log_log_loss),
        "degrees": np.degrees([angle(beta, best) for beta in predictors]),
        "exponent": float("nan"),
        "claim": "certified limit",
        "status": limit.status.name,
    }


def curves(network: LinearNetwork, X: np.ndarray, y: np.ndarray, steps: int) -> list[dict[str, Any]]:
    """One row per method: seconds and angles (degrees) along the way."""
    best = max_margin(X, y, network.regularizer).beta
    rows = []
    for schedule in SCHEDULES.values():
        path = descend(network, X, y, steps=steps, schedule=schedule, device="cpu")
        degrees = np.degrees([angle(beta, best) for beta in path.predictors[0]])
        row = {"method": schedule.name, "seconds": path.elapsed, "degrees": degrees, "claim": path.schedule}
        row["log_log_loss"] = log_log(path.log_loss[0])
        rows.append(row | {"exponent": fitted_exponent(path.steps, degrees), "status": str(path.status[0])})
    rows.append(flow_row(network, X, y, best))
    return rows


def draw(results: dict[str, list[dict[str, Any]]], out: str) -> None:
    """Angle in degrees against seconds (above) and against log₁₀(−ln loss) (below), one column per network."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "angle against time"
    from matplotlib import pyplot as plt

    size = (5 * len(results), 7)
    figure, panels = plt.subplots(2, len(results), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for (above, below), (name, rows) in zip(panels.T, results.items(), strict=True):
        for row in rows:
            degrees = np.maximum(row["degrees"], 1e-9)
            wide = {"lw": 4.5, "alpha": 0.45, "zorder": 1, "marker": "*", "ms": 12}  # the others are seen on it
            style = wide if row["method"] == "flow_limit" else {"lw": 1.2}
            heuristic = " (heuristic)" if "heuristic" in row["claim"] else ""
            style |= {"markevery": [degrees.size - 1], "label": row["method"] + heuristic}
            above.loglog(np.maximum(row["seconds"], 1e-4), degrees, **style)
            below.semilogy(row["log_log_loss"] / np.log(10), degrees, **style)
        above.set(title=name, xlabel="wall-clock (s)")
        below.set(xlabel="log₁₀(−ln loss)")
        if below.dataLim.x1 > 20:  # as in the reports: linear as far as descent gets, logarithmic beyond
            below.set_xscale("symlog", linthresh=10, linscale=2)
            below.set(
                xlim=(below.dataLim.x0 - 0.5, 1.2 * below.dataLim.x1),
                xticks=[0, 5, 10, 100],
                xticklabels=["0", "5", "10", "100"],
            )
        above.legend(fontsize=7)
    for axis in panels[:, 0]:
        axis.set_ylabel("angle to the limit (degrees)")
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("points", 10), ("dim", 20), ("steps", 10_000), ("seed", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out")
    given = parser.parse_args()
    print(calibration_line())
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
