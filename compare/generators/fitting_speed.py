"""Iterations to fit an image and to fit noise or a checkerboard: the tables, and what is predicted of them.

Four architectures at several overparameterizations (Heckel & Hand, Figure 2). Predicted are an order of magnitude for
i and ii, and for iii and iv a smaller effect that vanishes when the network is highly overparameterized.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from compare.experiments.generators import ORDER_OF_MAGNITUDE
from compare.generators.fit_pairs import NUMERAL, Fit, middle
from compare.generators.generator_figures import curve_figure, gallery
from compare.reports.report import Check, Column, Evidence, Section, Value
from compare.reports.verdict import Verdict
from solvers.arrays import Array

if TYPE_CHECKING:
    from compare.experiments.generators import GeneratorComparison

REFERENCE = "Heckel & Soltanolkotabi (2020), Section 2"
HAND = "Heckel & Hand (2019), Figure 2"
STRUCTURED = ("i", "ii")
"""The kinds for which the order of magnitude is claimed."""
HIGH = 16.0
"""Parameters per output number from which a network is highly overparameterized: the largest of the paper's figure."""
VANISHED = math.sqrt(ORDER_OF_MAGNITUDE)
"""Half an order of magnitude: an effect below it is nearer to none than to the order of magnitude of i and ii."""

COLUMNS = (
    Column("kind", "kind"),
    Column("factor", "parameters / pixels", "", ".2f", "The overparameterization reached."),
    Column("channels", "channels"),
    Column("depth", "layers"),
    Column("image", "image"),
    Column("image_steps", "image", "iterations", "", "First iteration at the level: median of seeds (least–largest)."),
    Column("noise_steps", "noise", "iterations", "", "The same for noise of the image's mean and variance."),
    Column("ratio", "noise / image", "", "", "Per seed: median (least–largest); ≥ where noise was stopped before."),
)


def steps_section(fits: Sequence[Fit], plan: GeneratorComparison) -> Section:
    """Iterations for the image and for noise, the ratio, and what is predicted of it."""
    text = (
        "Each generator is fitted to an image and to noise of the same mean and variance (its pixels in random order), "
        "from the same starts. Counted is the first iteration whose mean squared error is at most "
        f"{100 * plan.fraction:g} % of the target's variance.\n\n"
        "Predicted: an order of magnitude and more for i (bilinear upsampling) and ii (fixed interpolation), whose "
        "smooth fixed filters favour smooth images. For iii (learned convolutions) and iv (deconvolutions) a smaller "
        f"effect, which essentially vanishes when the network is highly overparameterized: at {HIGH:g}× and more, a "
        f"ratio below {VANISHED:.2g}, half an order of magnitude."
    )
    figures = [curve_figure(fits, factor, plan.fraction) for factor in dict.fromkeys(f.asked for f in fits)]
    figures += [gallery(f) for f in fits if f.asked == middle(g.asked for g in fits) and f.noise_path is not None]
    return Section(
        "Iterations to fit an image and to fit noise",
        text,
        COLUMNS,
        tuple(row(f) for f in fits),
        tuple(checks(fits, plan)),
        figures,
    )


def span(values: Array, form: str = ".0f", prefix: str = "") -> str:
    """Median (least–largest), in words where a seed never got there."""
    if np.isinf(values).all():
        return "not reached"
    if np.isinf(values).any():
        return f"{np.isinf(values).sum()} of {values.size} seeds not reached"
    if np.isnan(values).any():
        return ""
    if values.size == 1:
        return f"{prefix}{values[0]:{form}}"
    return f"{prefix}{np.median(values):{form}} ({values.min():{form}}–{values.max():{form}})"


def row(fit: Fit) -> dict[str, Value]:
    """One line of the table."""
    noise = "" if fit.noise_steps is None else span(fit.noise_steps)
    if fit.noise_steps is not None and np.isinf(fit.noise_steps).all():
        noise = f"> {fit.noise_limit}"
    return {
        "kind": f"{NUMERAL[fit.kind]} {fit.kind}",
        "factor": fit.reached,
        "channels": fit.channels,
        "depth": fit.depth,
        "image": fit.image.name,
        "image_steps": "unstable" if "image" in fit.unstable_on else span(fit.image_steps),
        "noise_steps": "unstable" if "noise" in fit.unstable_on else noise,
        "ratio": "" if fit.unstable_on else span(fit.ratios, ".3g", "≥ " if fit.bound_only else ""),
    }


def board_section(fits: Sequence[Fit], plan: GeneratorComparison) -> Section:
    """The same with a checkerboard in place of noise."""
    text = (
        "Each generator is fitted to an image, and to a checkerboard whose pixels alternate between 1 and 0. Counted "
        f"is the first iteration at {100 * plan.fraction:g} % of the target's own variance. Predicted: the effect "
        "exists for unnatural images other than noise, too."
    )
    about = {
        "noise_steps": Column("noise_steps", "checkerboard", "iterations", "", "The same for alternating pixels."),
        "ratio": Column("ratio", "checkerboard / image", "", "", COLUMNS[-1].about),
    }
    columns = [about.get(column.key, column) for column in COLUMNS]
    found = [order_of_magnitude(fit, where(fit), plan, "the checkerboard") for fit in fits]
    return Section("Iterations to fit an image and to fit a checkerboard", text, columns, [row(f) for f in fits], found)


def where(fit: Fit) -> str:
    """Which fit: architecture, overparameterization, image."""
    return f"{NUMERAL[fit.kind]} {fit.kind}, {fit.asked:g}×, {fit.image.name}"


def checks(fits: Sequence[Fit], plan: GeneratorComparison) -> list[Check]:
    """i and ii: every seed's ratio at least 10. iii and iv: less than i, falling with the number of parameters, and
    next to nothing at 16 times and more."""
    made = [order_of_magnitude(fit, where(fit), plan) for fit in fits if NUMERAL[fit.kind] in STRUCTURED]
    first = {(fit.asked, fit.image.name): fit for fit in fits if NUMERAL[fit.kind] == "i"}
    for fit in fits:
        if NUMERAL[fit.kind] not in STRUCTURED:
            if (beside := first.get((fit.asked, fit.image.name))) is not None:
                made.append(smaller_effect(fit, beside, plan))
            if fit.reached >= HIGH:
                made.append(vanished_effect(fit, plan))
    free: dict[tuple[str, str], list[Fit]] = {}
    for fit in sorted(fits, key=lambda fit: fit.asked):
        if NUMERAL[fit.kind] not in STRUCTURED:
            free.setdefault((fit.kind, fit.image.name), []).append(fit)
    return made + [falling_effect(several, plan) for several in free.values() if len(several) > 1]


def smaller_effect(fit: Fit, beside: Fit, plan: GeneratorComparison) -> Check:
    """Noise / image iterations of iii or iv over those of i are below 1, for the worst seed.

    Where noise was stopped a ratio is a lower bound, and the quotient is known from one side only.
    """
    statement = f"the effect is smaller than that of i bilinear ({where(fit)})"
    reason = "measured: (noise / image) over (noise / image of i), worst seed"
    reason += "; noise was stopped for i, so at most this" * beside.bound_only
    return effect_below(statement, fit, beside, plan, reason)


def falling_effect(several: Sequence[Fit], plan: GeneratorComparison) -> Check:
    """Noise / image iterations fall from each overparameterization to the next one, or are below half an order of
    magnitude there, for the worst seed.

    Nothing is decided where they are below that from the first on: then there is no effect that could fall.
    """
    first = several[0]
    factors = "× → ".join(f"{fit.asked:g}" for fit in several)
    place = f"{NUMERAL[first.kind]} {first.kind}, {first.image.name}"
    statement = f"the effect falls with the overparameterization, {factors}×, until it vanishes ({place})"
    ratios = ", ".join(span(fit.ratios, ".3g", "≥ " if fit.bound_only else "") or "not known" for fit in several)
    reason = f"measured: noise / image over the same, or {VANISHED:.2g}, before; worst pair and seed; they are {ratios}"
    pairs = pairwise(several)
    found = Check.worst(effect_below(statement, fit, beside, plan, reason, VANISHED) for beside, fit in pairs)
    if found.verdict is Verdict.CONFIRMED and (first.ratios < VANISHED).any():
        why = f"no effect of at least {VANISHED:.2g} at the first; noise / image are {ratios}"
        return Check.not_reached(statement, None, why=why, reference=HAND)
    return found


def effect_below(
    statement: str, fit: Fit, beside: Fit, plan: GeneratorComparison, reason: str, least: float = 0.0
) -> Check:
    """That noise / image iterations of one fit are less than those of another, or than `least`, for the worst seed."""
    if (why := unknown((fit, beside), plan)) is not None:
        return Check.not_reached(statement, None, why=why, reference=HAND)
    assert fit.noise_steps is not None
    assert beside.noise_steps is not None
    quotients = fit.ratios / np.maximum(beside.ratios, least)
    seeds = zip(quotients, np.isinf(fit.noise_steps), np.isinf(beside.noise_steps), strict=True)
    return Check.worst(
        Check.of(
            statement,
            Evidence(quotient, math.inf if (ours and quotient <= 1.0) or (theirs and quotient > 1.0) else 0.0),
            1.0,
            unit="×",
            reference=HAND,
            reason=reason,
        )
        for quotient, ours, theirs in seeds
    )


def vanished_effect(fit: Fit, plan: GeneratorComparison) -> Check:
    """Noise / image iterations are below half an order of magnitude, for the worst seed."""
    statement = f"the effect essentially vanishes ({where(fit)})"
    if (why := unknown((fit,), plan)) is not None:
        return Check.not_reached(statement, None, why=why, reference=HAND)
    assert fit.noise_steps is not None
    level = f"to {100 * plan.fraction:g} % of the variance"
    reason = f"measured: noise iterations / image iterations {level}, worst seed" + "; a lower bound" * fit.bound_only
    return Check.worst(
        Check.of(
            statement,
            Evidence(ratio, math.inf if bound and ratio <= VANISHED else 0.0),
            VANISHED,
            unit="×",
            reference=HAND,
            reason=reason,
        )
        for ratio, bound in zip(fit.ratios, np.isinf(fit.noise_steps), strict=True)
    )


def unknown(fits: Iterable[Fit], plan: GeneratorComparison) -> str | None:
    """Why a ratio of one of these fits is not known, or None where all are."""
    for fit in fits:
        if fit.unstable_on:
            return astray(fit.unstable_on, plan)
        if fit.noise_steps is None or np.isnan(fit.ratios).any():
            return (
                f"the image was not fitted to {100 * plan.fraction:g} % of its variance within {plan.longest_image} "
                f"iterations ({where(fit)}): too few parameters, or too few iterations"
            )
    return None


def order_of_magnitude(fit: Fit, place: str, plan: GeneratorComparison, other: str = "noise") -> Check:
    """Iterations for noise, or `other`, over image iterations at least 10, for the worst seed.

    Where noise was stopped its ratio is a lower bound: below 10 that decides nothing.
    """
    statement = f"{other} takes at least {ORDER_OF_MAGNITUDE:g} times as many iterations as the image ({place})"
    if (why := unknown((fit,), plan)) is not None:
        return Check.not_reached(statement, None, why=why, reference=REFERENCE)
    assert fit.noise_steps is not None
    stopped = np.isinf(fit.noise_steps)
    level = f"to {100 * plan.fraction:g} % of the variance"
    reason = f"measured: {other} iterations / image iterations {level}, worst seed"
    reason += "; a lower bound" * bool(stopped.any())
    about = {"unit": "×", "reference": REFERENCE, "reason": reason}
    return Check.worst(
        Check.at_least(
            statement,
            Evidence(ratio, math.inf if bound and ratio < ORDER_OF_MAGNITUDE else 0.0),
            ORDER_OF_MAGNITUDE,
            **about,
        )
        for ratio, bound in zip(fit.ratios, stopped, strict=True)
    )


def astray(targets: Sequence[str], plan: GeneratorComparison) -> str:
    """Why an unstable fit says nothing."""
    return (
        f"gradient descent was unstable on the {' and the '.join(targets)} with step {plan.step_size:g} (the error "
        "came back, or stayed above that of a constant); take a smaller one (--step), or more iterations"
    )
