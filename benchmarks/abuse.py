"""A day of abuse: 1,000 random and 100 adversarial calls of every function, each answer checked independently.

    python benchmarks/abuse.py [--random 1000] [--seed 0] [--functions max_margin,…] [--show]
    python benchmarks/abuse.py --repeat 500
    python benchmarks/abuse.py --files [--bits 200] [--kills 30] [--mangled 2000] [--seed 0]

Each call ends as one of

    certified       the answer says it is proved, and `abuse_check` finds every claim true
    not certified   the answer itself says that it is not proved (and what it does say is true)
    refused         an error of an intended type; inseparability is checked by a linear program of the check itself
    WRONG           a claim that a check disproves
    TRACEBACK       an error, or a warning, that is none of the intended
    TIMEOUT         more than 60 s

and the exit code is 0 only when the last three are zero. With --files it is the files that are abused instead: bits of
a sweep's store flipped, writers of reports and sweeps killed, files of every kind mangled (`abuse_files`). A seed of -1
is chosen anew, and printed. The certified answers of convex problems are besides compared with Clarabel's through
cvxpy, every tenth. 1,100 calls take about two minutes on one core.
"""

from __future__ import annotations

import argparse
import gc
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from abuse_calls import CALLS, against_cvxpy, margin_regularizers
from abuse_check import Wrong, check_margin, check_refusal, demand
from abuse_data import adversarial_functions, adversarial_margins, dressed, flavoured
from abuse_files import flipped_bits, fuzzed_files, killed_reports, killed_sweeps

from solvers import IllConditionedError, NotSeparableError

Call = tuple[str, str, Callable[[], str]]
"""Function, description, and a function that makes the call, checks the answer, and returns its outcome."""

OUTCOMES = ("certified", "not certified", "refused", "WRONG", "TRACEBACK", "TIMEOUT")
SHARES = {"max_margin": 0.54, "certify": 0.08, "regularization_path": 0.05, "induced_regularizer": 0.1,
          "spectral_factorization": 0.04, "weighted_spline": 0.08, "kernel_interpolant": 0.05, "rich_interpolant": 0.04,
          "flow_limit": 0.02}  # fmt: skip
"""Of the random calls; flow_limit takes a second each, the others milliseconds."""


class TimeOut(Exception):
    """Sixty seconds have passed."""


def outcome(call: Callable[[], str]) -> tuple[str, str]:
    """How one call ends, and the reason where there is one."""

    def stop(number: int, frame: Any) -> None:
        raise TimeOut

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return call(), ""
    except Wrong as claim:
        return "WRONG", str(claim)
    except TimeOut:
        return "TIMEOUT", ""
    except (ValueError, TypeError, IllConditionedError) as error:
        if isinstance(error, np.linalg.LinAlgError) or not clear(str(error)):
            return "TRACEBACK", f"{type(error).__name__}: {error}"
        return "refused", f"{type(error).__name__}: {error}"
    except Exception as error:  # counting these is what the script is for
        return "TRACEBACK", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def clear(message: str) -> bool:
    """Whether an error's text is ours: a sentence, not numpy's or scipy's complaint about something inside."""
    foreign = ("broadcast", "SVD did not", "array must not contain infs", "unsupported operand", "zero-size array",
               "matmul:", "cannot convert float", "is out of bounds", "cannot be safely cast")  # fmt: skip
    return len(message) > 30 and not any(piece in message for piece in foreign)


def checked_margin(X: Any, y: Any, regularizer: Any, **options: Any) -> str:
    """max_margin, checked; data that it refuses as inseparable are held to a linear program."""
    from solvers import max_margin

    before = np.array(X, copy=True) if isinstance(X, np.ndarray) else None
    try:
        solution = max_margin(X, y, regularizer, **options)
    except NotSeparableError as error:
        check_refusal(X, y, error)
        raise
    if before is not None:
        demand(np.array_equal(before, X, equal_nan=True), "the input was written to")
    return check_margin(X, y, regularizer, solution)


def random_calls(count: int, seed: int, functions: tuple[str, ...]) -> Iterator[Call]:
    """`count` calls, the functions in their shares."""
    names = [name for name in SHARES if name in functions]
    shares = np.array([SHARES[name] for name in names])
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        function = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        if function != "max_margin":
            yield function, f"random {i}", lambda function=function, rng=rng: CALLS[function](rng)
            continue
        n, d = int(rng.integers(1, 13)), int(rng.integers(1, 17))
        regularizer, shape, outputs = margin_regularizers(rng, d)
        X, y = flavoured(rng, n, int(np.prod(shape)))
        if outputs > 1:
            y = np.stack([y, *(np.where(X @ rng.standard_normal(X.shape[1]) >= 0, 1.0, -1.0)
                               for _ in range(outputs - 1))], axis=1)  # fmt: skip
        elif len(shape) > 1:
            X = X.reshape(n, *shape)
        options = {"method": "conic"} if regularizer.is_norm and rng.random() < 0.05 else {}
        X = dressed(rng, X)
        yield (f"max_margin {type(regularizer).__name__}", f"random {i}: {regularizer} {np.shape(X)} {options}",
               lambda X=X, y=y, r=regularizer, o=options: checked_margin(X, y, r, **o))  # fmt: skip


def adversarial_calls(functions: tuple[str, ...]) -> Iterator[Call]:
    """The adversarial data given to every function that they fit; a hundred and more."""
    from solvers import L2, Bridge, ConvKernel, FourierBridge

    if "max_margin" in functions:
        for name, X, y in adversarial_margins():
            for r in (L2(), Bridge(1), FourierBridge(1), Bridge(2 / 3), ConvKernel(1), ConvKernel(2)):
                yield f"max_margin {type(r).__name__}", f"{name}, {r}", lambda X=X, y=y, r=r: checked_margin(X, y, r)
    for name, make in adversarial_functions():
        for function in ("weighted_spline", "kernel_interpolant", "rich_interpolant"):
            if function in functions:
                yield function, name, lambda function=function, make=make: CALLS[function](None, make())


def abused_files(options: argparse.Namespace) -> int:
    """Each kind of abuse, and 1 when something happened that must not."""
    bad = 0
    for abuse, count in (
        (flipped_bits, options.bits),
        (killed_reports, options.kills),
        (killed_sweeps, options.kills // 3),
        (fuzzed_files, options.mangled),
    ):
        with tempfile.TemporaryDirectory() as folder:
            counts = abuse(options.seed, count, Path(folder))
        print(f"{abuse.__name__}: " + ", ".join(f"{number} {what}" for what, number in counts.items()), flush=True)
        bad += sum(number for what, number in counts.items() if what.isupper())
    return int(bad > 0)


def repeated(count: int) -> int:
    """Print, for each function, what the process holds before and after so many calls; 1 where it grows with them."""
    from gd import Diagonal, descend, flow_limit
    from solvers import L2, max_margin

    X, y = np.random.default_rng(0).standard_normal((3, 4)), np.array([1.0, -1.0, 1.0])
    bad = 0
    for name, call in {
        "flow_limit": lambda i: flow_limit(Diagonal(4, 2, seed=i % 2), X, y),
        "descend": lambda i: descend(Diagonal(4, 2, seed=i % 2), X, y, steps=20),
        "max_margin": lambda i: max_margin(X, y, L2()),
    }.items():
        for i in range(2 + count // 10):  # caches fill, and the allocator's pools
            call(i)
        before = held()
        for i in range(count):
            call(i)
        after = held()
        print(f"{count} calls of {name}: " + ", ".join(f"{before[k]} → {after[k]} {k}" for k in before), flush=True)
        bad += any(after[k] > before[k] + ALLOWED.get(k, 0) for k in before)
    return int(bad > 0)


ALLOWED = {"MiB": 20}
"""How much more is no growth with the calls: the allocator's fragments. Of all else, nothing."""


def held() -> dict[str, int]:
    """What this process holds: Python objects, resident memory, file handles, threads."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "objects": len(gc.get_objects()),
        "MiB": pages * resource.getpagesize() // 2**20,
        "file handles": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--functions", default=",".join(SHARES))
    parser.add_argument("--show", action="store_true", help="print refusals too")
    parser.add_argument("--repeat", type=int, default=0, help="the same calls so often: does memory grow?")
    parser.add_argument("--files", action="store_true", help="abuse files instead of functions")
    parser.add_argument("--bits", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--mangled", type=int, default=2000)
    options = parser.parse_args()
    if options.seed < 0:
        options.seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {options.seed}")
    if options.repeat:
        return repeated(options.repeat)
    if options.files:
        return abused_files(options)
    functions = tuple(options.functions.split(","))
    counts: Counter[tuple[str, str]] = Counter()
    begun = time.perf_counter()
    for source in (random_calls(options.random, options.seed, functions), adversarial_calls(functions)):
        for function, what, call in source:
            since = time.perf_counter()
            ended, why = outcome(call)
            counts[function, ended] += 1
            if ended in OUTCOMES[3:] or options.show or time.perf_counter() - since > 10:
                print(f"{ended:13} {time.perf_counter() - since:5.1f} s  {function:28} {what}: {why[:300]}", flush=True)
    print(f"\n{'':28}" + "".join(f"{name:>15}" for name in OUTCOMES))
    for function in sorted({function for function, _ in counts}):
        print(f"{function:28}" + "".join(f"{counts[function, name]:15}" for name in OUTCOMES))
    totals = [sum(counts[key] for key in counts if key[1] == name) for name in OUTCOMES]
    print(f"{'all':28}" + "".join(f"{total:15}" for total in totals))
    compared = against_cvxpy(options.seed) if "max_margin" in functions else "not compared"
    print(f"\ncvxpy with Clarabel on the same problems: {compared}; {time.perf_counter() - begun:.0f} s in all")
    return int(sum(totals[3:]) > 0)


if __name__ == "__main__":
    sys.exit(main())
