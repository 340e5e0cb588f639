"""Two-layer ReLU networks over a grid of sizes: how many limits `flow_limit` finds, in what time, and none wrong.

    python benchmarks/relu_grid.py [--sample 40] [--seed 0] [--time-limit 60] [--late] [--only D,N,WIDTH,LABELS,SEED …]

Cases: D ∈ {2, 5, 20, 100} × N ∈ {10, 30, 100} × width ∈ {10, 50, 200}, Gaussian points, labels at random or of a
teacher with five units, three seeds, torch's own initialization; all 216, or a random sample. An outcome is

    answered        a limit was found
    approaching     a limit was found, by three looks each time closer to it alone
    unfinished      no limit in the CPU time allowed, although a long `descend` reaches a positive smallest margin
    not separated   no positive margin, nor has `descend`; not counted
    WRONG           a claim that the judge disproves

The judge shares no code with the package. It takes the weights of the limit and its multipliers, forms margins and
forces in numpy, and the best gates at kinks by scipy's bounded least squares; the limit is refused if more than `KKT`
of ‖w‖ is left, or if the flow's own margin is above the limit's. With --late the flow is followed until its margin is
within 1e-4 of the point's before that is taken, and the two answers must have one margin.

LABELS of --only may also be a source of `compare.load`, as in 0,0,20,digits:3v8,0; D and N are then those of the data.

Prints a line for each case and a table; the exit code is 0 only when nothing is wrong, at least 95 % are answered and
at most 5 % are approaching.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from scipy.optimize import lsq_linear
from torch import nn

import gd.flow.termination
from compare import load
from gd import Limit, Reached, descend, flow_limit

DIMENSIONS, COUNTS, WIDTHS, LABELS, SEEDS = (2, 5, 20, 100), (10, 30, 100), (10, 50, 200), ("random", "teacher"), 3
KKT = 1e-7  # relative: the limit's own residual is below 1e-9, least squares leave 1e-9
LATE_MARGIN = 1e-4  # relative distance of margins with --late; the default is `gd.flow.termination.CELL_MARGIN`
SAME_MARGIN = 1e-6  # relative: two answers are one
DESCENT_STEPS = 3000
Case = tuple[int, int, int, str, int]


def network(D: int, width: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(D, width, bias=False), nn.ReLU(), nn.Linear(width, 1, bias=False)).double()


def data(D: int, N: int, labels: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if labels not in LABELS:
        table = load(labels)
        return table.X, table.y
    rng = np.random.default_rng([seed, N, D])
    X = rng.standard_normal((N, D))
    if labels == "random":
        return X, rng.choice([-1.0, 1.0], N)
    hidden, output = rng.standard_normal((5, D)), rng.standard_normal(5)
    y = np.where(np.maximum(X @ hidden.T, 0.0) @ output > 0, 1.0, -1.0)
    return X, y * np.where((np.abs(y.sum()) == N) & (np.arange(N) == 0), -1.0, 1.0)  # two classes at least


def kkt_residual(limit: Limit, X: np.ndarray, y: np.ndarray) -> float:
    """‖w − Σ λ_n ∂m_n(w)‖/‖w‖ at unit margin, λ in proportion to `limit.dual`, with the best Clarke gates at kinks.

    By homogeneity Σ λ_n = ½‖w‖² where λ_n > 0 at margins 1 alone. Any λ ≥ 0 proves the point that it fits.
    """
    W, a = (part.squeeze() for part in limit.weights.values())
    W = W.reshape(a.size, -1)
    margins = y * (np.maximum(X @ W.T, 0.0) @ a)
    if margins.min() <= 0:
        return np.inf
    W, a, margins = W / np.sqrt(margins.min()), a / np.sqrt(margins.min()), margins / margins.min()
    square = float((W**2).sum() + (a**2).sum())
    pull = limit.dual / limit.dual.sum() * square / 2.0 * y
    if (np.abs(pull) * (margins - 1.0)).max() > KKT * square:
        return np.inf
    z = X @ W.T
    left = float(((a - np.maximum(z, 0.0).T @ pull) ** 2).sum())
    for j in range(a.size):
        on, bent = z[:, j] > 1e-9 * np.abs(z).max(), np.abs(z[:, j]) <= 1e-9 * np.abs(z).max()
        target = W[j] - a[j] * (X[on].T @ pull[on])
        if bent.any() and a[j] != 0:
            columns = a[j] * X[bent].T * pull[bent]
            target = target - columns @ lsq_linear(columns, target, (0.0, 1.0), method="bvls", tol=1e-15).x
        left += float(target @ target)
    return float(np.sqrt(left / square))


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """TimeoutError after as many seconds of CPU time: other work on the machine does not count."""

    def end(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def outcome(case: Case, time_limit: float, late: bool) -> tuple[str, str]:
    D, N, width, labels, seed = case
    X, y = data(D, N, labels, seed)
    began = time.process_time()
    try:
        with cpu_limit(time_limit):
            limit = flow_limit(network(X.shape[1], width, seed), X, y)
    except TimeoutError:
        path = descend(network(X.shape[1], width, seed), X, y, steps=DESCENT_STEPS)
        return ("unfinished" if float(path.margin[0, -1]) > 0 else "not separated"), f"no limit in {time_limit:g} s"
    seconds = time.process_time() - began
    told = (
        f"{limit.status.name:13} {limit.reached.name:12} {seconds:6.1f} s, {limit.stats['steps']} steps, ln‖w‖ "
        f"{limit.log_norm:.4g}, margin {limit.margin:.6g}, integrated {limit.integrated.margin:.6g}, residual "
        f"{limit.integrated.residual:.1e}, angle {limit.polish_angle:.1e}"
    )
    if not limit.status.converged:
        path = descend(network(X.shape[1], width, seed), X, y, steps=DESCENT_STEPS)
        separated = limit.margin > 0 or float(path.margin[0, -1]) > 0
        return ("unfinished" if separated else "not separated"), told
    residual = kkt_residual(limit, X, y)
    told += f", KKT {residual:.0e}"
    if residual > KKT or limit.integrated.margin > limit.margin * (1.0 + SAME_MARGIN):
        return "WRONG", told
    if late and not np.isclose(limit.margin, later := late_margin(case, time_limit), rtol=SAME_MARGIN):
        return ("WRONG" if later > 0 else "answered"), f"{told}, later {later:.6g}"
    return ("approaching" if limit.reached is Reached.APPROACHING else "answered"), told


def late_margin(case: Case, time_limit: float) -> float:
    """The margin that a later look finds; 0 where it finds none in ten times the time."""
    D, N, width, labels, seed = case
    usual, gd.flow.termination.CELL_MARGIN = gd.flow.termination.CELL_MARGIN, LATE_MARGIN
    try:
        X, y = data(D, N, labels, seed)
        limit = flow_limit(network(X.shape[1], width, seed), X, y, time_limit=10 * time_limit)
    finally:
        gd.flow.termination.CELL_MARGIN = usual
    return limit.margin if limit.status.converged else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, help="as many cases at random instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--time-limit", type=float, default=60.0, help="CPU seconds of the process for each case")
    parser.add_argument("--late", action="store_true", help="follow each answered flow for longer, and compare")
    parser.add_argument("--only", nargs="*", metavar="D,N,WIDTH,LABELS,SEED", help="these cases")
    options = parser.parse_args()
    cases: list[Case] = list(itertools.product(DIMENSIONS, COUNTS, WIDTHS, LABELS, range(SEEDS)))
    if options.only:
        cases = [(int(d), int(n), int(w), kind, int(s)) for d, n, w, kind, s in (c.split(",") for c in options.only)]
    elif options.sample:
        chosen = np.random.default_rng(options.seed).permutation(len(cases))[: options.sample]
        cases = [cases[i] for i in chosen]
    counts: Counter[str] = Counter()
    for case in cases:
        kind, told = outcome(case, options.time_limit, options.late)
        counts[kind] += 1
        print(f"{','.join(map(str, case)):22} {kind:13} {told}", flush=True)
    print(dict(counts))
    total = sum(counts.values()) - counts["not separated"]
    found = counts["answered"] + counts["approaching"]
    print(f"{found} of {total} found ({found / max(total, 1):.1%}), {counts['approaching']} of these approaching")
    good = counts["WRONG"] == 0 and found >= 0.95 * total and counts["approaching"] <= 0.05 * total
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
