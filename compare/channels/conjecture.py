"""The conjecture hunt: is there a predictor for which C channels cost more than many?

For R input channels and kernels of K taps, C ≥ R·K channels are enough by theorem, and C ≥ R is conjectured to be.
For images no C below the number of taps is covered by a theorem. The hunt (`gd.multi_channel_search`) draws instances,
climbs the gap, and keeps the largest; every generation is a function of (seed, number), so a hunt stopped anywhere goes
on from its file and ends where an uninterrupted one ends.

Two words are used with care:

- CANDIDATE: the price found with C channels, the best of many local searches, lies above a proved lower bound of the
  convex price. A better local minimum could still close the gap.
- CERTIFIED: the price with C channels has a proved *lower* bound above the convex price
  (`solvers.conv_kernel.rank_certificate`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compare.data.load import DataError
from compare.reports.atomic import write_text
from compare.reports.progress import run_parts
from compare.reports.provenance import DataUsed, Provenance
from compare.reports.report import Check, Column, Figure, Report, Section
from gd.multi_channel_search import HuntPlan, generation
from solvers.conv_kernel.rank_certificate import one_kernel_bound
from solvers.induced_regularizer import induced_regularizer

Array = NDArray[np.float64]

NOISE = 1e-7
"""Relative gap below which two certified solvers' tolerances and local searches cannot tell prices apart."""
REFERENCE = "Jagadeesan, Razenshteyn, Gunasekar (2021)"


class Verdict(Enum):
    """What is known about an instance. The value is the sentence to read."""

    CERTIFIED = "Certified: the price with C channels has a proved lower bound above the convex price."
    CANDIDATE = "Candidate: the best local search with C channels lies above the proved convex bound; that is no proof."
    NONE = "No gap: C channels attain the convex price to the accuracy of the search."

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Verification:
    """An instance judged anew, by the solvers and not by the hunt."""

    verdict: Verdict
    gap: float
    """Best price found with C channels over the proved convex lower bound, minus one."""
    certified_gap: float
    """Proved lower bound with C channels over the convex price, minus one; nan where there is no such bound."""


@dataclass(frozen=True)
class Hunt:
    """A hunt and how far it has come."""

    plan: HuntPlan
    seed: int
    largest: tuple[float, ...] = ()
    """Largest gap of each generation finished."""
    kinds: tuple[str, ...] = ()
    """What the best instance of each generation grew from."""
    best_gap: float = -np.inf
    instance: Array | None = None

    def record(self, gap: float, kind: str, instance: Array) -> Hunt:
        """One generation more."""
        better = gap > self.best_gap
        return replace(
            self,
            largest=(*self.largest, gap),
            kinds=(*self.kinds, kind),
            best_gap=gap if better else self.best_gap,
            instance=instance if better else self.instance,
        )

    def save(self, path: Path) -> None:
        """Write everything, floats to the last bit, by atomic rename."""
        content = {
            "what": "conjecture hunt",
            "plan": asdict(self.plan),
            "seed": self.seed,
            "largest": [float(gap).hex() for gap in self.largest],
            "kinds": list(self.kinds),
            "best_gap": float(self.best_gap).hex(),
            "shape": None if self.instance is None else list(self.instance.shape),
            "instance": None if self.instance is None else [float(x).hex() for x in self.instance.ravel()],
        }
        write_text(path, json.dumps(content, indent=1))

    @classmethod
    def load(cls, path: Path) -> Hunt:
        """Read what `save` wrote. Raises DataError when the file is not that."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            plan = content["plan"]
            plan = HuntPlan(**{**plan, "grid": tuple(plan["grid"]), "kernel": tuple(plan["kernel"])})
            instance = content["instance"]
            if instance is not None:
                instance = np.array([float.fromhex(x) for x in instance]).reshape(content["shape"])
            gaps = tuple(float.fromhex(x) for x in content["largest"])
            return cls(
                plan, int(content["seed"]), gaps, tuple(content["kinds"]), float.fromhex(content["best_gap"]), instance
            )
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{str(path)!r} is not a hunt's file ({type(error).__name__}: {error})") from error


def theorem(plan: HuntPlan) -> bool:
    """Whether C channels are proved to be enough."""
    signals = len(plan.grid) == 1 and plan.in_channels == 1
    return signals or plan.out_channels >= plan.in_channels * int(np.prod(plan.kernel))


def verify(instance: Array, plan: HuntPlan, *, restarts: int = 32, seed: int = 0) -> Verification:
    """Judge an instance by the solvers alone: convex bound, best of `restarts`, a proof where there is one.

    A proof exists for images with one input channel, 2 × 2 kernels and C = 1.
    """
    kernel: Any = plan.kernel if len(plan.kernel) > 1 else plan.kernel[0]
    answer = induced_regularizer(
        instance,
        kernel,
        in_channels=plan.in_channels,
        out_channels=plan.out_channels,
        n_starts=restarts,
        seed=seed,
    )
    gap = answer.value / answer.lower_bound - 1.0
    proved = float("nan")
    if plan.kernel == (2, 2) and plan.in_channels == plan.out_channels == 1 and min(plan.grid) >= 3:
        bound = one_kernel_bound(instance, n_starts=restarts, seed=seed)
        proved = bound.excess
        if bound.certified:
            return Verification(Verdict.CERTIFIED, gap, proved)
    return Verification(Verdict.CANDIDATE if gap > NOISE else Verdict.NONE, gap, proved)


def run_hunt(
    plan: HuntPlan,
    seed: int,
    generations: int,
    *,
    path: Path | None = None,
    device: str | None = None,
    progress: bool = False,
) -> tuple[Hunt, str]:
    """Run, or go on with, a hunt until `generations` are finished; the hunt, and a note when it was interrupted.

    Raises DataError when `path` holds another hunt.
    """
    hunt = Hunt(plan, seed)
    if path is not None and path.exists():
        hunt = Hunt.load(path)
        if (hunt.plan, hunt.seed) != (plan, seed):
            raise DataError(f"{str(path)!r} holds a hunt with another plan or seed; name another file or remove it")
    state = [hunt]

    def one(number: int) -> Callable[[], None]:
        def run() -> None:
            found = generation(plan, (seed, number), device)
            state[0] = state[0].record(float(found.gaps[0]), found.kinds[0], found.instances[0])
            if path is not None:
                state[0].save(path)

        return run

    parts = [(f"generation {n}", one(n)) for n in range(len(hunt.largest), generations)]
    done = run_parts(parts, "Hunting", show=progress)
    return state[0], done.note


def report(hunt: Hunt, note: str = "", *, restarts: int = 32) -> Report:
    """What a hunt found, its best instance verified anew."""
    plan = hunt.plan
    network = f"K = {'×'.join(map(str, plan.kernel))}, R = {plan.in_channels}, C = {plan.out_channels}"
    provenance = Provenance.collect(seeds=[hunt.seed])
    notes = (note,) if note else ()
    if hunt.instance is None:
        return Report("Conjecture hunt", (Section(f"{network}: nothing finished"),), provenance, notes, False)
    judged = verify(hunt.instance, plan, restarts=restarts)
    columns = (
        Column("generation", "generation"),
        Column("kind", "grown from"),
        Column("gap", "largest gap", format=".3e", about="(best price with C channels)/(proved convex bound) − 1."),
    )
    rows: list[dict[str, Any]] = [
        {"generation": i, "kind": kind, "gap": gap}
        for i, (kind, gap) in enumerate(zip(hunt.kinds, hunt.largest, strict=True))
    ]
    statement = f"{network}, grid {'×'.join(map(str, plan.grid))}: no predictor costs more than the convex price"
    if theorem(plan):
        proved = f"{REFERENCE}, theorem"
        check = Check.at_most(statement, judged.gap, NOISE, reference=proved, reason=str(judged.verdict))
    else:
        conjectured = len(plan.grid) == 1 and plan.out_channels >= plan.in_channels
        why = ("conjectured, not proved. " if conjectured else "no theorem covers it. ") + str(judged.verdict)
        if judged.verdict is Verdict.CERTIFIED:
            why += f" Proved gap: {judged.certified_gap:.2e}."
        check = Check.no_prediction(statement, judged.gap, why=why, reference=REFERENCE)
    text = (
        f"{len(hunt.largest)} generations of {plan.batch} instances, {plan.restarts} restarts, {plan.climbs} climbs. "
        f"The largest gap, verified by the solvers with {restarts} restarts of their own: {judged.gap:.3e}.\n\n"
        f"{judged.verdict}"
    )
    section = Section(f"Hunt: {network}", text, columns, tuple(rows), (check,), (figure(hunt),))
    digest = Provenance.collect([used(hunt.instance)], seeds=[hunt.seed])
    return Report("Conjecture hunt", (section,), digest, notes, not note)


def used(instance: Array) -> DataUsed:
    """The best instance, by hash."""
    import hashlib

    content = np.ascontiguousarray(instance, dtype="<f8").tobytes()
    return DataUsed("largest gap's instance", hashlib.sha256(content).hexdigest())


def figure(hunt: Hunt) -> Figure:
    """Largest gap by generation, on a log axis; what is below rounding is drawn at 1e-16."""
    gaps = np.maximum(np.array(hunt.largest), 1e-16)
    best = np.maximum.accumulate(gaps)

    def draw(canvas: Any) -> None:
        axes = canvas.subplots()
        axes.semilogy(np.arange(gaps.size), gaps, "o", markersize=4, color="C0", label="generation")
        axes.semilogy(np.arange(gaps.size), best, color="C1", label="largest so far")
        axes.axhline(NOISE, color="C7", linewidth=1, linestyle=":", label="accuracy of the search")
        axes.set_xlabel("generation")
        axes.set_ylabel("relative gap")
        axes.legend()

    data = {"generation": list(range(gaps.size)), "largest gap [relative]": list(hunt.largest)}
    return Figure("gap-by-generation", "Largest gap found in each generation.", draw, data)


def quick() -> Report:
    """The part of bare `implicitbias compare`: one generation each where one channel is enough and where it is not."""
    signals, first_note = run_hunt(HuntPlan((8,), (2,), 1, 1, 5, 3, 1, 30), 0, 1)
    images, note = run_hunt(HuntPlan((4, 4), (2, 2), 1, 1, 5, 3, 1, 30), 0, 1)
    reports = [report(signals, first_note, restarts=8), report(images, note, restarts=8)]
    return Report.merge(reports, "Conjecture hunt")
