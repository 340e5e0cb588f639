"""The report of `compare bounded`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from compare.bounded.local_minima import Minimum, minima, minima_section
from compare.bounded.pooling import PooledLimit, pooled_limits, pooling_section
from compare.bounded.signals import gaussian_signals
from compare.bounded.wavelets import Sizes, sizes, wavelet_section
from compare.reports.progress import run_parts
from compare.reports.report import Report, Section

if TYPE_CHECKING:
    from compare.experiments.bounded import BoundedComparison

Found = tuple[str, Any]


def bounded_report(asked: BoundedComparison) -> Report:
    """The sections of the parts that were finished."""
    N, D = asked.points, asked.length
    some = [gaussian_signals(N, D, seed) for seed in asked.seeds]
    parts: list[tuple[str, Callable[[], Found]]] = []
    for seed, signals in zip(asked.seeds, some, strict=True):
        parts.append((f"minima, {signals.name}", partial(tagged, "minima", minima, signals, asked.kernel, seed)))
        for channels in asked.channels:
            run = partial(tagged, "pooling", pooled_limits, signals, asked.kernel, asked.pool, channels, seed)
            parts.append((f"pooling, C={channels}, {signals.name}", run))
    for seed in range(asked.data_sets):
        signals = gaussian_signals(asked.points_in_wavelets, asked.length_in_wavelets, seed)
        parts.append((f"wavelets, {signals.name}", partial(tagged, "wavelets", sizes, signals, asked.kernels)))
    done = run_parts(parts, "Bounded width", show=asked.progress)
    return asked.report(sections(done.results, asked), done, used=[s.used for s in some], seeds=asked.seeds)


def tagged(kind: str, run: Callable[..., Any], *arguments: Any) -> Found:
    """What `run` finds, with its section's name."""
    return kind, run(*arguments)


def sections(results: tuple[Found, ...], asked: BoundedComparison) -> list[Section]:
    """One for each kind of part that has results."""
    least: list[Minimum] = [one for kind, found in results if kind == "minima" for one in found]
    pooled: list[PooledLimit] = [one for kind, found in results if kind == "pooling" for one in found]
    sparse: list[Sizes] = [found for kind, found in results if kind == "wavelets"]
    made = [minima_section(least)] if least else []
    made += [pooling_section(pooled)] if pooled else []
    return made + ([wavelet_section(sparse, asked.kernels)] if len(sparse) > 1 else [])
