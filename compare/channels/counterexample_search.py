"""The conjecture search: is there a predictor for which C channels cost more than many?

For R input channels and kernels of K taps, C ≥ R·K channels are enough by theorem, and C ≥ R is conjectured to be.
For images no C below the number of taps is covered by a theorem. The search (`solvers.conv_kernel.gap_search`) draws
instances, ascends the gap, and keeps the largest. Every generation is a function of (seed, number), so a search that
was stopped goes on from its file and ends where an uninterrupted one ends.

Two words are used with care:

- CANDIDATE: the cost found with C channels, the best of many local searches, lies above a proved lower bound of the
  convex value. A better local minimum could still close the gap.
- CERTIFIED: the cost with C channels has a proved *lower* bound above the convex value
  (`solvers.conv_kernel.rank_certificate`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.data.load import DataError
from compare.reports.curves import Curve, curve_plot
from compare.reports.progress import Done, run_parts
from compare.reports.provenance import DataUsed
from compare.reports.report import Check, Column, Figure, Report, Section
from compare.reports.wording import counted, number
from solvers.agreements import Agreements, near
from solvers.arrays import Array
from solvers.conv_kernel.gap_search import SearchPlan, generation
from solvers.conv_kernel.rank_certificate import one_kernel_bound
from solvers.induced_regularizer import induced_regularizer
from solvers.storage import Stored

if TYPE_CHECKING:
    from compare.experiments.conjecture import ConjectureSearch


NOISE = 1e-7
"""Relative gap below which two certified solvers' tolerances and local searches cannot tell values apart."""
REFERENCE = "Jagadeesan, Razenshteyn, Gunasekar (2021)"


class GapEvidence(Enum):
    """What is known about an instance. The value is the sentence to read."""

    CERTIFIED = "Certified: the cost with C channels has a proved lower bound above the convex value."
    CANDIDATE = "Candidate: the best local search with C channels lies above the proved convex bound; that is no proof."
    NONE = "No gap: C channels attain the convex value to the accuracy of the search."

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Verification:
    """An instance found anew, by the solvers and not by the search."""

    evidence: GapEvidence
    gap: float
    """Lowest cost found with C channels over the proved convex lower bound, minus one."""
    certified_gap: float
    """Proved lower bound with C channels over the convex value, minus one; nan where there is no such bound."""


@dataclass(frozen=True)
class Search(Stored):
    """A search and how far it has come."""

    plan: SearchPlan
    seed: int
    largest: tuple[float, ...] = ()
    """Largest gap of each generation finished."""
    kinds: tuple[str, ...] = ()
    """What the best instance of each generation grew from."""
    best_gap: float = -np.inf
    instance: Array | None = None

    def agreements(self) -> Agreements:
        """What holds between its fields."""
        plan, instance = self.plan, self.instance
        shape = plan.grid if plan.in_channels == 1 else (plan.in_channels, *plan.grid)
        yield len(self.kinds) == len(self.largest), "kinds are as many as largest"
        yield near(self.best_gap, max((-np.inf, *self.largest))), "best_gap is the largest of largest"
        yield (instance is None) == (self.best_gap == -np.inf), "instance is there where a gap was found"
        yield instance is None or instance.shape == shape, "instance has the shape that the plan says"

    def record(self, gap: float, kind: str, instance: Array) -> Search:
        """One generation more."""
        better = gap > self.best_gap
        return replace(
            self,
            largest=(*self.largest, gap),
            kinds=(*self.kinds, kind),
            best_gap=gap if better else self.best_gap,
            instance=instance if better else self.instance,
        )


def theorem(plan: SearchPlan) -> bool:
    """Whether C channels are proved to be enough."""
    signals = len(plan.grid) == 1 and plan.in_channels == 1
    return signals or plan.out_channels >= plan.in_channels * int(np.prod(plan.kernel))


def verify(instance: Array, plan: SearchPlan, *, restarts: int = 32, seed: int = 0) -> Verification:
    """Verify an instance by the solvers alone: convex bound, best of `restarts`, a proof where there is one.

    A proof exists for images with one input channel, 2 × 2 kernels and C = 1.
    """
    kernel: Any = plan.kernel if len(plan.kernel) > 1 else plan.kernel[0]
    answer = induced_regularizer(
        instance, kernel, in_channels=plan.in_channels, out_channels=plan.out_channels, n_starts=restarts, seed=seed
    )
    gap = answer.value / answer.lower_bound - 1.0
    proved = float("nan")
    if plan.kernel == (2, 2) and plan.in_channels == plan.out_channels == 1 and min(plan.grid) >= 3:
        bound = one_kernel_bound(instance, n_starts=restarts, seed=seed)
        proved = bound.excess
        if bound.certified:
            return Verification(GapEvidence.CERTIFIED, gap, proved)
    return Verification(GapEvidence.CANDIDATE if gap > NOISE else GapEvidence.NONE, gap, proved)


def run_search(asked: ConjectureSearch) -> tuple[Search, Done[None]]:
    """Run, or continue, a search until all generations are finished; the search, and whether it was interrupted.

    Raises DataError when the file holds another search.
    """
    plan, path = plan_of(asked), asked.state
    search = Search(plan, asked.seed)
    if path is not None and path.exists():
        search = Search.load(path)
        if (search.plan, search.seed) != (plan, asked.seed):
            raise DataError(f"{str(path)!r} holds a search with another plan or seed; name another file or remove it")
    state = [search]

    def generate(number: int) -> None:
        found = generation(plan, (asked.seed, number))
        state[0] = state[0].record(float(found.gaps[0]), found.kinds[0], found.instances[0])
        if path is not None:
            state[0].save(path)

    parts = [(f"generation {n}", partial(generate, n)) for n in range(len(search.largest), asked.generations)]
    done = run_parts(parts, "Searching", show=asked.progress)
    return state[0], done


def plan_of(asked: ConjectureSearch) -> SearchPlan:
    """The networks, and how hard to look, as the search itself takes them."""
    grid, kernel, out_channels = tuple(asked.grid), tuple(asked.kernel), asked.channels_out or asked.channels_in
    return SearchPlan(
        grid, kernel, asked.channels_in, out_channels, asked.batch, asked.restarts, asked.ascents, asked.iterations
    )


def search_report(asked: ConjectureSearch) -> Report:
    """What a search found, its best instance verified anew."""
    search, done = run_search(asked)
    plan = search.plan
    network = f"K = {'×'.join(map(str, plan.kernel))}, R = {plan.in_channels}, C = {plan.out_channels}"
    if search.instance is None:
        return asked.report([Section(f"{network}: nothing finished")], done, seeds=[search.seed])
    found = verify(search.instance, plan, restarts=asked.verifications)
    columns = (
        Column("generation", "generation"),
        Column("kind", "grown from"),
        Column("gap", "largest gap", format=".3e", about="(lowest cost with C channels)/(proved convex bound) − 1."),
    )
    rows: list[dict[str, Any]] = [
        {"generation": i, "kind": kind, "gap": gap}
        for i, (kind, gap) in enumerate(zip(search.kinds, search.largest, strict=True))
    ]
    text = (
        f"{counted(len(search.largest), 'generation')} of {counted(plan.batch, 'instance')}, "
        f"{counted(plan.restarts, 'restart')}, {counted(plan.ascents, 'ascent step')}. The largest gap, verified by "
        f"the solvers with {counted(asked.verifications, 'restart')} of their own: {number(found.gap, '.3e')}.\n\n"
        f"{found.evidence}"
    )
    checks = (gap_check(plan, found, network),)
    figures = (figure(search),) if len(search.largest) > 1 else ()  # one dot is in the table
    section = Section(f"Search: {network}", text, columns, rows, checks, figures)
    return asked.report([section], done, used=[used(search.instance)], seeds=[search.seed])


def gap_check(plan: SearchPlan, found: Verification, network: str) -> Check:
    """The gap is 0 where a theorem says so; elsewhere it is a finding."""
    statement = f"{network}, grid {'×'.join(map(str, plan.grid))}: no predictor costs more than the convex value"
    if theorem(plan):
        proved = f"{REFERENCE}, theorem"
        return Check.at_most(statement, found.gap, NOISE, reference=proved, reason=str(found.evidence))
    conjectured = len(plan.grid) == 1 and plan.out_channels >= plan.in_channels
    why = ("conjectured, not proved. " if conjectured else "no theorem covers it. ") + str(found.evidence)
    if found.evidence is GapEvidence.CERTIFIED:
        why += f" Proved gap: {number(found.certified_gap, '.2e')}."
    return Check.no_prediction(statement, found.gap, why=why, reference=REFERENCE)


def used(instance: Array) -> DataUsed:
    """The best instance, by hash."""
    content = np.ascontiguousarray(instance, dtype="<f8").tobytes()
    return DataUsed("largest gap's instance", hashlib.sha256(content).hexdigest())


def figure(search: Search) -> Figure:
    """Largest gap by generation, on a log axis; what is below rounding is drawn at 1e-16."""
    gaps = np.maximum(np.array(search.largest), 1e-16)
    generation = np.arange(gaps.size)
    names = ("generation", "largest gap [relative]")
    curves = [
        Curve("generation", generation, gaps, "o", 0, look={"markersize": 4}),
        Curve("largest so far", generation, np.maximum.accumulate(gaps), "-", 1),
        Curve("accuracy of the search", generation, np.full(gaps.size, NOISE), ":", 7, look={"linewidth": 1}),
    ]
    caption = "Largest gap found in each generation."
    found = curve_plot("gap-by-generation", caption, curves, ("generation", "relative gap"), log="y")
    return replace(found, data=dict(zip(names, (generation, search.largest), strict=True)))
