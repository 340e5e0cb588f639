"""The report of `compare path`: predictions of the flow's limit, fitted rates, and the distance of the two paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compare.margin.decayed_descent import decay_section
from compare.margin.two_paths import (
    DIRECTION,
    LOSS,
    MATCHED,
    OFFSET,
    TwoPaths,
    loss_on,
    measure,
    of_direction,
    of_finite_part,
    of_loss,
    of_split,
    rates,
)
from compare.measures import angle
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Figure, Report, Section, Value
from compare.reports.wording import counted
from solvers.logistic_limit import LogisticLimit

if TYPE_CHECKING:
    from compare.experiments.path import PathComparison

THEOREM = "Ji, Telgarsky (2019), main theorem"
SOUDRY = "Soudry et al. (2018)"
RESOLVED = 1e-13
"""Of the size of a limit: what the flow's integration leaves, as measured on iris 1v2 and partial:40,6,0."""

RATE_COLUMNS = (
    Column("name", "what decays"),
    Column("exponent", "fitted exponent", format=".3f", about="a of y ∝ x^{−a}, by least squares in the logarithms."),
    Column("halfwidth", "± (95 %)", format=".2g", about="Half the width of its confidence interval."),
    Column("drift", "later half", format="+.2g", about="By how much the exponent of the later half is larger."),
    Column("proved", "proved", about="An upper bound: the decay may be faster."),
    Column("reference", "reference"),
)
PATH_COLUMNS = (
    Column("time", "ln t"),
    Column("norm", "‖w(t)‖", format=".4g"),
    Column(
        "distance", "distance", format=".2e", about="‖w(t) − β(c)‖/‖w(t)‖, β(c) of least loss with ‖β‖ ≤ c = ‖w(t)‖."
    ),
    Column("angle", "angle", unit="rad", format=".2g"),
    Column("gap", "gap", format=".1e", about="Proved bound on the loss of β(c) above the least one, relative."),
)


def path_report(asked: PathComparison) -> Report:
    """One data set."""
    dataset = asked.dataset()
    loss = loss_on(dataset, asked)
    parts = [
        ("both paths", lambda: sections(measure(dataset, asked))),
        ("weight decay", lambda: [decay_section(dataset, loss, asked.decay, asked.steps)]),
    ]
    return asked.report_of_parts(parts, "Paths", lambda found: found, dataset)


def sections(paths: TwoPaths) -> list[Section]:
    """The limit with its rates, and the two paths."""
    name, S = paths.dataset.name, paths.limit.separable
    rest = f"stay bounded; those rows span {counted(len(paths.limit.subspace), 'dimension')}."
    margins = f"All {S.size} margins grow like ln t." if S.all() else f"All {S.size} margins {rest}"
    if S.any() and not S.all():
        margins = f"{int(S.sum())} of {S.size} margins grow like ln t, the others {rest}"
    text = (
        f"Gradient flow of a linear predictor from zero. {margins} {paths.limit.certificate.proof} {paths.flow.status}"
    )
    rows: list[dict[str, Value]] = [
        {
            "name": rate.name,
            "exponent": rate.exponent,
            "halfwidth": rate.halfwidth,
            "drift": rate.drift,
            "proved": rate.says,
            "reference": rate.reference,
        }
        for rate in rates(paths)
    ]
    checks = [*limit_checks(paths, paths.limit), *(rate.check for rate in rates(paths))]
    return [
        Section(f"{name}: where gradient flow goes", text, RATE_COLUMNS, rows, checks, limit_plots(paths)),
        path_section(paths),
    ]


def limit_checks(paths: TwoPaths, limit: LogisticLimit) -> list[Check]:
    """What `limit` predicts of the flow; a part that is empty predicts nothing."""
    S = limit.separable
    theorem = SOUDRY if S.all() else THEOREM
    growing = "the margins that grow are those of the separable part" if S.any() else "no margin grows: none separates"
    checks = [
        Check.of(growing, of_split(paths, S), 0.0, reference=theorem),
        direction_check(paths, limit.direction, theorem),
        Check.of("the loss tends to its infimum", of_loss(paths, limit.loss), LOSS, reference=theorem),
    ]
    return checks if S.all() else [*checks, finite_part_check(paths, limit)]


def direction_check(paths: TwoPaths, direction: Any, reference: str = THEOREM) -> Check:
    """w/ln t tends to this direction, which is 0 where no part of the data separates."""
    separable = paths.limit.separable.any()
    statement = f"w/ln t tends to {'the max margin of the separable part' if separable else '0: w stays bounded'}"
    return Check.of(statement, of_direction(paths, direction), DIRECTION, reference=reference)


def finite_part_check(paths: TwoPaths, limit: LogisticLimit) -> Check:
    """The part of w in the span of the rows that do not separate tends to this finite part."""
    statement = "in the span of the other rows w tends to the minimizer of their loss"
    return Check.of(statement, of_finite_part(paths, limit), OFFSET, reference=THEOREM)


def path_section(paths: TwoPaths) -> Section:
    """The optimization path beside the regularization path, at equal norms."""
    text = "w(t), and the predictor of least loss with the same norm: at finite norms these are two curves."
    if paths.limit.separable.any():
        text += (
            " Both go to infinity in one direction (Rosset, Zhu, Hastie 2004 for the second, on data that separate)."
        )
    w, β = paths.matched, paths.regularized
    rows: list[dict[str, Value]] = [
        {
            "time": float(s),
            "norm": float(np.linalg.norm(a)),
            "distance": float(d),
            "angle": angle(a, b),
            "gap": float(g),
        }
        for s, a, b, d, g in zip(MATCHED, w, β, paths.distances, paths.gaps, strict=True)
    ]
    why = "no theorem bounds the distance of the two paths at equal norms"
    last = Check.no_prediction("distance of the paths at the last matched norm", float(paths.distances[-1]), why=why)
    curve = Curve("", MATCHED, paths.distances, "o-", names=("ln t", "distance / norm"))
    caption = "Distance of the optimization path from the regularization path at equal norms, relative to the norm."
    plot = curve_plot("paths-apart", caption, [curve], ("ln t", "‖w(t) − β(‖w(t)‖)‖/‖w(t)‖"), log="y")
    return Section(f"{paths.dataset.name}: the two paths at equal norms", text, PATH_COLUMNS, rows, [last], [plot])


def limit_plots(paths: TwoPaths) -> list[Figure]:
    """The distance of w/ln t from the direction, and of the loss and the offset from their limits."""
    times, limit = paths.flow.log_times, paths.limit
    later, plots = times > 1.0, []
    if limit.separable.any():
        apart = [
            np.linalg.norm(w / s - limit.direction)
            for w, s in zip(paths.flow.predictors[later], times[later], strict=True)
        ]
        line = Curve("", times[later], apart, "o-", names=("ln t", "distance"))
        guide = Curve("1/ln t", times[later], apart[-1] * times[-1] / times[later], "--", colour=7)
        caption = "Distance of w/ln t from the max margin of the separable part."
        plots.append(curve_plot("direction", caption, [line, guide], ("ln t", "‖w/ln t − direction‖"), log="xy"))
    early = times <= 40.0
    curves = [
        Curve("loss", times[early], np.exp(paths.flow.log_loss[early]) - limit.loss, "o-", names=("ln t, loss", "loss"))
    ]
    if not limit.separable.all():
        offset = [np.linalg.norm(limit.project(w) - limit.finite_part) for w in paths.flow.predictors[early]]
        curves.append(Curve("offset", times[early], offset, "s-", names=("ln t, offset", "offset")))
    if len(curves) == 1:  # the infimum is 0
        caption = "The loss above its infimum."
        return [*plots, curve_plot("bounded", caption, curves, ("ln t", "loss − infimum"), log="y")]
    caption = "Distance of the loss from its infimum, and of the part of w that stays bounded from its limit."
    floor = RESOLVED * max(1.0, limit.loss, float(np.linalg.norm(limit.finite_part)))
    return [*plots, curve_plot("bounded", caption, curves, ("ln t", "distance from the limit"), log="y", floor=floor)]
