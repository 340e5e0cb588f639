"""`gd.flow_limit` against gradient flow of the raw weights (scipy's LSODA), on random and degenerate small cases.

    python benchmarks/against_raw_flow.py [--per-family 16] [--seed 0] [--families "diagonal L=2,…"] [--show]

The reference integrator and the comparison live in `tests/gd/raw_flow.py` and `tests/gd/raw_flow_cases.py` and share no
code with `gd`. Prints a table of families against outcomes with CPU seconds, and every case that is not "same point".
The exit code is 0 only when no case is WRONG.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "gd"))

import numpy as np
import torch
from raw_flow_cases import FAMILIES, Outcome, case, examine


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-family", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds for each side of a case")
    parser.add_argument("--show", action="store_true", help="print the cases that agree too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    table, times = {}, {}
    for family in given.families.split(","):
        table[family], seconds = Counter(), []
        for i in range(given.per_family):
            one = case(family, FAMILIES[family], i, given.seed)
            verdict, limit_seconds, raw_seconds = examine(one, seconds=given.seconds)
            table[family][verdict.outcome] += 1
            seconds.append((limit_seconds, raw_seconds))
            if given.show or verdict.outcome is not Outcome.SAME:
                distance = f"{verdict.distance:.1e} rad"
                print(f"{verdict.outcome!s:10s}  {one.name}: {verdict.reason} ({distance}; {limit_seconds:.1f} s, "
                      f"{raw_seconds:.1f} s)", flush=True)  # fmt: skip
        times[family] = np.mean(seconds, axis=0)
    print(f"\n{'family':28s}" + "".join(f"{outcome!s:>12s}" for outcome in Outcome) + "   flow_limit   raw flow")
    for family, counts in table.items():
        row = "".join(f"{counts[outcome]:12d}" for outcome in Outcome)
        print(f"{family:28s}{row}{times[family][0]:11.2f} s{times[family][1]:9.2f} s")
    total = sum(table.values(), Counter())
    print(f"{'all ' + str(total.total()):28s}" + "".join(f"{total[outcome]:12d}" for outcome in Outcome))
    raise SystemExit(bool(total[Outcome.WRONG]))


if __name__ == "__main__":
    main()
