"""Two-layer ReLU networks of several seeds, one after the other and as one batch of `flow_limit`.

    python benchmarks/relu_batch.py [--seeds 10]

Gaussian points, random labels, torch's own initialization. Prints processor seconds of both, their ratio, and the
largest relative difference of a margin; the exit code is 0 only where statuses are the same and margins agree to 1e-8.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from relu_grid import data, network

from gd import Limit, flow_limit

CASES = (2, 6, 10), (5, 20, 50), (20, 30, 50), (20, 50, 50)
"""D, N and the number of units."""
SAME_MARGIN = 1e-8


def timed(models: list[torch.nn.Module], X: np.ndarray, y: np.ndarray) -> tuple[list[Limit], float]:
    began = time.process_time()
    limits = flow_limit(models, X, y)
    return limits, time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="networks of each size")
    seeds, good = range(parser.parse_args().seeds), True
    flow_limit(network(2, 3, 0), *data(2, 4, "random", 0), max_steps=3)  # imports are not what is timed
    for D, N, width in CASES:
        X, y = data(D, N, "random", 0)
        models: list[torch.nn.Module] = [network(D, width, seed) for seed in seeds]
        alone = [timed([model], X, y) for model in models]
        together, seconds = timed(models, X, y)
        limits, before = [limit for (limit,), _ in alone], sum(one for _, one in alone)
        apart = max(abs(a.margin - b.margin) / max(b.margin, 1e-300) for a, b in zip(together, limits, strict=True))
        same = [limit.status for limit in together] == [limit.status for limit in limits]
        good &= same and apart <= SAME_MARGIN
        ratio, answered = before / seconds, sum(limit.status.converged for limit in together)
        print(
            f"{D} → {width} → 1, N = {N}: alone {before:.1f} s, together {seconds:.1f} s, {ratio:.1f} times; "
            f"{answered} of {len(models)} answered, {'same' if same else 'OTHER'} statuses, margins apart {apart:.0e}",
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
