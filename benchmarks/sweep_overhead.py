"""What a sweep costs in addition to its cells: overhead per cell, and scaling over workers.

    python benchmarks/sweep_overhead.py [--cells 10000] [--jobs 1,2,4,8]

**Overhead** is what the wall-clock holds beyond the cells' own work: (wall − Σ cell seconds / workers) / cells, with
cells that do nothing and with real ones (an explicit solution in 6 dimensions). The start of the workers is in it.
**Scaling** is with cells that wait 20 ms, so that it measures the sweep and not how many cores the machine has, and
with cells that compute for as long, where no more than the cores can be had.
Every line is one run on an empty folder; the store is on the disk of the temporary folder, or of TMPDIR.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time

from calibration import calibration_line

from compare.sweep.batch import Measure
from compare.sweep.cell import Cell
from compare.sweep.frame import load_sweep
from compare.sweep.measure import measure_cell
from compare.sweep.plan import plan_of
from compare.sweep.sweep import run_sweep


def nothing(cell: Cell) -> dict[str, object]:
    """A cell that does nothing."""
    return {"value": cell.seed}


def waits(cell: Cell) -> dict[str, object]:
    """20 ms of waiting."""
    time.sleep(0.02)
    return {"value": cell.seed}


def computes(cell: Cell) -> dict[str, object]:
    """20 ms of one core."""
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return {"value": cell.seed}


def line(name: str, cells: int, jobs: int, measure: Measure) -> None:
    """One run."""
    grid = {"data": "synthetic:4,6,{seed}", "network": "diagonal", "seed": {"from": 0, "to": cells - 1}}
    plan = plan_of({"grid": {**grid, "method": "max_margin"}})
    with tempfile.TemporaryDirectory() as folder:
        result = run_sweep(plan, folder, jobs=jobs, measure=measure)
        began = time.perf_counter()
        frame = load_sweep(folder)
        loading = time.perf_counter() - began
    assert len(frame) == result.done == cells, (len(frame), result)
    overhead = (result.seconds - result.worked / jobs) / cells
    print(
        f"{name:26} {cells:6} {jobs:4} {result.seconds:9.2f} {result.worked:9.2f} {1e3 * overhead:12.3f} "
        f"{cells / result.seconds:9.0f} {result.worked / result.seconds:8.2f} {loading:8.2f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", type=int, default=10_000)
    options.add_argument("--jobs", default="1,2,4,8")
    chosen = options.parse_args()
    print(calibration_line())
    workers = [int(n) for n in chosen.jobs.split(",")]
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'cells':26} {'number':>6} {'jobs':>4} {'wall s':>9} {'work s':>9} {'overhead ms':>12} {'cells/s':>9} "
        f"{'work/wall':>8} {'load s':>8}"
    )
    for jobs in workers[:2]:
        line("that do nothing", chosen.cells, jobs, nothing)
        line("explicit solution, D = 6", chosen.cells, jobs, measure_cell)
    for jobs in workers:
        line("that wait 20 ms", 300 * jobs, jobs, waits)
    for jobs in workers:
        line("that compute 20 ms", 100 * jobs, jobs, computes)


if __name__ == "__main__":
    main()
