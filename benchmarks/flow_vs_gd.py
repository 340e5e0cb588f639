"""The flow beside gradient descent: angle to the limit against wall-clock, and against how small the loss has become.

    python benchmarks/flow_vs_gd.py [--points 10] [--dim 20] [--steps 20000] [--seed 0] [--out flow_vs_gd]

One run, one machine, one thread: every schedule of `descend`, then `flow_limit`, on the same Gaussian points from the
same initial weights, each with its own path. The right-hand panels show why descent is not enough, and that the flow is
the same path: over the losses that descent reaches the curves lie on one another, and then the flow goes on to losses
of exp(−e^{200}). Writes OUT.csv (network, method, step or τ, seconds, ln(−ln loss), angle in degrees) and OUT.svg.
Angles below 1e-10 degrees are rounding and are drawn there. Schedules without theory for a network are marked
heuristic, as `descend` labels them.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from compare.measures import angle
from gd.descend import SCHEDULES, descend
from gd.flow_limit import flow_limit
from gd.linear_network import LinearNetwork
from gd.networks import Convolutional, Diagonal, FullyConnected
from solvers.max_margin import max_margin

ROUNDING_DEGREES = 1e-10


class Point(NamedTuple):
    """One point of one method's path."""

    network: str
    method: str
    position: float
    """Step for descent, τ for the flow; inf for the flow's limit."""
    seconds: float
    log_log_loss: float
    """ln(−ln loss), nats; NaN while the loss is not below one."""
    degrees: float


def log_log(log_loss: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(log_loss < 0, np.log(-log_loss), np.nan)


def measure(name: str, network: LinearNetwork, X: np.ndarray, y: np.ndarray, steps: int) -> Iterable[Point]:
    assert network.regularizer is not None
    best = max_margin(X, y, network.regularizer).beta
    flow_limit(network, X[:2], y[:2], max_steps=3)  # imports and first calls are not what is timed
    for schedule in SCHEDULES.values():
        run = descend(network, X, y, steps=steps, schedule=schedule, device="cpu")
        assert run.predictors is not None
        heuristic = " (heuristic)" if "heuristic" in run.schedule else ""
        for step, seconds, loss, beta in zip(
            run.steps, run.elapsed, log_log(run.log_loss[0]), run.predictors[0], strict=True
        ):
            yield Point(name, schedule.name + heuristic, step, seconds, loss, np.degrees(angle(beta, best)))
    limit = flow_limit(network, X, y, device="cpu")
    path = limit.path
    assert path.predictors is not None
    assert limit.predictor is not None
    # past 10^308 the loss is known by its double logarithm alone: L ρ + ln γ
    losses = log_log(path.log_loss)
    late = np.log(np.maximum(path.margins.min(axis=1), 1e-300)) + network.degree * path.log_norm
    losses = np.where(late > 40, late, losses)
    for tau, seconds, loss, beta in zip(path.tau, path.elapsed, losses, path.predictors, strict=True):
        yield Point(name, "flow", tau, seconds, loss, np.degrees(angle(beta, best)))
    total = float(limit.stats["seconds"])
    yield Point(name, "flow", np.inf, total, limit.log_log_loss, np.degrees(angle(limit.predictor, best)))


def draw(points: list[Point], out: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "flow_vs_gd"
    import matplotlib.pyplot as plt

    networks = list(dict.fromkeys(p.network for p in points))
    methods = list(dict.fromkeys(p.method.removesuffix(" (heuristic)") for p in points))
    figure, axes = plt.subplots(len(networks), 2, figsize=(10.0, 3.0 * len(networks)), squeeze=False, sharey="row")
    for row, network in zip(axes, networks, strict=True):
        for method in dict.fromkeys(p.method for p in points if p.network == network):
            mine = [p for p in points if p.network == network and p.method == method]
            degrees = np.maximum([p.degrees for p in mine], ROUNDING_DEGREES)
            style = {
                "color": f"C{methods.index(method.removesuffix(' (heuristic)'))}",
                "lw": 2.0 if method == "flow" else 1.2,
                "marker": "o" if method == "flow" else None,
                "ms": 3,
                "markevery": [len(mine) - 1],
            }
            row[0].plot([max(p.seconds, 1e-4) for p in mine], degrees, label=method, **style)
            row[1].plot([p.log_log_loss / np.log(10) for p in mine], degrees, **style)
        row[0].set(xscale="log", yscale="log", xlabel="wall-clock (s)", title=network)
        row[0].set_ylabel("angle to the limit (degrees)")
        row[1].set(xlabel="log₁₀(−ln loss)", title=f"{network}: the same path")
        row[0].legend(fontsize=7)
        for axis in row:
            axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--dim", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("flow_vs_gd"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    X, y = rng.standard_normal((options.points, options.dim)), rng.choice([-1.0, 1.0], options.points)
    networks = {
        "fully connected, depth 2": FullyConnected(options.dim, 2, scale=0.1, seed=options.seed),
        "diagonal, depth 2": Diagonal(options.dim, 2, scale=0.1, seed=options.seed),
        "convolutional, depth 2": Convolutional(options.dim, 2, scale=0.1, seed=options.seed),
    }
    points = [p for name, network in networks.items() for p in measure(name, network, X, y, options.steps)]
    with options.out.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["network", "method", "step_or_tau", "seconds", "ln_minus_ln_loss", "angle_degrees"])
        writer.writerows(points)
    draw(points, options.out.with_suffix(".svg"))
    print(f"{'network':26} {'method':28} {'seconds':>9} {'ln(−ln loss)':>13} {'angle (degrees)':>16}")
    last = {(p.network, p.method): p for p in points}
    for p in last.values():
        print(f"{p.network:26} {p.method:28} {p.seconds:9.3f} {p.log_log_loss:13.1f} {p.degrees:16.2e}")


if __name__ == "__main__":
    main()
