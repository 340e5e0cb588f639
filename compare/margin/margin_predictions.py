"""What theory predicts of a margin comparison, and the tables that say whether it holds.

Predictions are about limits, so only the flow is held to them, by what was measured on the network where its
integration ended (`compare.margin.evidence`); gradient descent at a finite number of steps is shown as well and reads
"no prediction".

    R a norm     the flow ends at the solver's β*, where that is the only minimizer (angle); else at some minimizer
                 (R(β)/R(β*) − 1 at margin one)
    R nonconvex  (p = 2/L < 1) the flow's β and loss weights p end at a KKT pair of that problem: Aᵀp is a subgradient
                 of R up to a factor. That the point is the best one is not predicted
    R unknown, or only conjectured to be what is minimized (fully connected, several classes, L ≥ 2)
                 the flow ends at a KKT point of min ‖w‖² s.t. margins ≥ 1

An initialization that fixes signs makes no claim; a network that is still moving is not reached.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from compare.margin.evidence import (
    ANGLE_RESOLUTION,
    RESOLUTION,
    of_angle,
    of_kkt,
    of_optimum,
    of_own_gap,
    of_stationarity,
    one_size,
)
from compare.margin.families import Family
from compare.margin.flow_and_solution import FlowAndSolution
from compare.reports.report import Check, Column, Value, Verdict
from gd.flow.limit import Limit
from gd.status import FlowStatus
from solvers.problem import MarginProblem
from solvers.regularizers import Regularizer
from solvers.solution import Solution
from solvers.validation import check_problem

KKT = "Lyu and Li (2020), Theorem 4.4"
FLOW_COLUMNS = (
    Column("network", "network"),
    Column("regularizer", "R(β)"),
    Column("seed", "seed"),
    Column(
        "angle",
        "angle to β*",
        unit="rad",
        format=".2g",
        about="∠(β, β*), β where the integration ended, before any polish; L > 2: β* is reached from the limit.",
    ),
    Column("polish", "polish moved", unit="rad", format=".2g", about="∠(β integrated, β polished by Newton's method)."),
    Column("gap", "polished gap", format=".2g", about="1 − 1ᵀα/R(β): the polished point, by its own multipliers α."),
    Column(
        "stationarity", "stationarity", format=".2g", about="Of the polished point: Aᵀα against a subgradient of R."
    ),
    Column("excess", "R over best", format=".2g", about="R(β)/R(best stationary point found) − 1, for L > 2."),
    Column("kkt", "KKT residual", format=".2g", about="Polished: ‖w − Σ λₙ∇mₙ‖/‖w‖ in weight space, at unit margin."),
    Column("support", "support", about="Nonzero coefficients of the limit (of β̂ for convolutional networks)."),
    Column("best_support", "support of best", about="Of β*; for L > 2, of the best stationary point found."),
    Column("loss", "ln(−ln loss)", format=".3g", about="Where the integration ended."),
    Column("unique", "β* unique"),
    Column("theory", "theory", format="verdict"),
)

DESCENT_COLUMNS = (
    Column("network", "network"),
    Column("seed", "seed"),
    Column("steps", "steps"),
    Column("loss", "−ln loss", unit="nats", format=".4g", about="→ ∞ is a hypothesis of every theorem here."),
    Column("angle", "angle to β*", unit="rad", format=".3g"),
    Column("gap", "margin gap", format=".2g", about="1 − γ(β)/γ(β*), γ(β) = minₙ yₙ⟨xₙ, β⟩/R(β)."),
    Column(
        "turn", "w turned", unit="rad", format=".2g",
        about="Angle of w/‖w‖ since the snapshot before (snapshots are log-spaced); → 0 is a hypothesis.",
    ),
    Column("gradient_turn", "gradient turned", unit="rad", format=".2g", about="The same for ∇_β loss."),
    Column("locked", "signs locked", about="Whether the initialization keeps coefficients of β from changing sign."),
    Column("theory", "theory", format="verdict", about="Theory predicts the limit, and no rate for these networks."),
)  # fmt: skip


def flow_row(run: FlowAndSolution) -> dict[str, Value]:
    """One line of the limits' table."""
    certificate = run.flow.certificate
    best, family = run.best, run.family
    conjectured = family.row.conjectured(family.depth)  # then the verdict is on the KKT point of the weights
    formula = family.formula if run.convex or best is None else f"{family.formula}, β* from the limit"
    return {
        "network": family.label,
        "regularizer": f"‖w‖₂; {family.formula} is a conjecture, not judged here" if conjectured else formula,
        "seed": run.seed,
        "angle": run.angle,
        "polish": run.polish,
        "gap": None if certificate is None else certificate.direction_gap,
        "stationarity": None if certificate is None else certificate.stationarity,
        "excess": None if run.convex else run.excess,
        "kkt": kkt_residual(run.limit),
        "support": None if certificate is None else certificate.support_size,
        "best_support": None if best is None else best.certificate.support_size,
        "loss": run.limit.log_log_loss,
        "unique": best.unique.known if best is not None and run.convex else None,
        "theory": Verdict.of_all(check.verdict for check in run_checks(run)),
    }


def descent_row(run: FlowAndSolution) -> dict[str, Value]:
    """One line of plain gradient descent's table."""
    measured = run.trajectory.hypotheses(run.index)
    return {
        "network": run.family.label,
        "seed": run.seed,
        "steps": int(run.trajectory.last_step[run.index]),
        "loss": -measured.log_loss,
        "angle": run.descent.angle,
        "gap": run.descent.margin_gap,
        "turn": measured.direction_change,
        "gradient_turn": measured.gradient_change,
        "locked": measured.sign_locked is not None,
        "theory": Verdict.NO_PREDICTION,
    }


def kkt_residual(limit: Limit) -> float:
    """ε/‖w̃‖: the distance to a KKT point in weight space at unit margin, relative."""
    return limit.kkt_epsilon / limit.norm_at_unit_margin


def run_checks(run: FlowAndSolution) -> list[Check]:
    """What theory predicts of one limit, each with its measurement on the network."""
    family, limit, regularizer = run.family, run.limit, run.family.regularizer
    about = {"reference": family.row.reference(family.depth)}
    if limit.status is FlowStatus.LOCKED:
        why = run.trajectory.sign_locked[run.index] or str(limit.status)
        return [
            Check.no_prediction(f"{run.label}: the flow's limit (KKT residual)", kkt_residual(limit), why=why, **about)
        ]
    about["reason"] = "" if limit.status.converged else str(limit.status)
    if regularizer is None or family.row.conjectured(family.depth):
        about["reference"] = KKT
        statement = f"{run.label}: the flow ends at a KKT point of min ‖w‖ at unit margin"
        found = of_kkt(limit, family.models[run.index], family.X, run.y)
        return [Check.of(statement, found, RESOLUTION, **about), *conjecture(run)]
    problem = check_problem(family.X, run.y, regularizer)
    if run.convex and run.solution is None:
        statement = f"{run.label}: the flow's own loss weights prove its β a minimizer of {family.formula}"
        about["reason"] = "; ".join(filter(None, [about["reason"], "no solver of R is known"]))
        return [Check.of(statement, of_own_gap(limit, problem, regularizer), RESOLUTION, **about)]
    if not run.convex or run.solution is None:
        statement = f"{run.label}: the flow's β and loss weights end at a KKT pair of min {family.formula}"
        if one_size(limit, regularizer):
            about["reason"] = "; ".join(filter(None, [about["reason"], "all coefficients of one size: any p passes"]))
        return [
            Check.of(statement, of_stationarity(limit, problem, regularizer), RESOLUTION, **about),
            *excess_over_best(run),
        ]
    return [optimum_check(run.label, limit, problem, run.solution, regularizer, **about)]


def conjecture(run: FlowAndSolution) -> list[Check]:
    """What is conjectured of a network with several outputs: how far its polished limit is from the optimum of R."""
    certificate, formula = run.limit.certificate, run.family.formula
    if certificate is None or run.family.regularizer is None:
        return []
    why = "conjectured in the discussion of Gunasekar et al. (2018), not proved"
    if certificate.direction_gap is None:
        return [Check.no_prediction(f"{run.label}: stationarity in {formula}", certificate.stationarity, why=why)]
    statement = f"{run.label}: duality gap of the polished limit in {formula}"
    return [Check.no_prediction(statement, certificate.direction_gap, why=why)]


def optimum_check(
    subject: str,
    limit: Limit,
    problem: MarginProblem,
    solution: Solution,
    regularizer: Regularizer,
    *,
    reference: str,
    reason: str,
) -> Check:
    """That the flow ends at the certified optimum of a norm: by the angle where it is the only one, else by R."""
    excess, formula = of_optimum(limit, problem, solution, regularizer), regularizer.formula
    if not solution.unique:
        statement = f"{subject}: the flow ends at a minimizer of {formula}, of which there may be several"
        return Check.of(statement, excess, RESOLUTION, reference=reference, reason=reason)
    statement, found = (
        f"{subject}: the flow ends at the solver's predictor, min {formula}",
        of_angle(limit, solution, excess),
    )
    return Check.of(statement, found, ANGLE_RESOLUTION, unit="rad", reference=reference, reason=reason)


def excess_over_best(run: FlowAndSolution) -> list[Check]:
    """For p < 1: how far the limit is above the best stationary point found, of which nothing is promised."""
    if run.excess is None:
        return []
    statement = f"{run.label}: {run.family.formula} of the flow's limit above the best stationary point found"
    why = "the theorem promises a stationary point, not the best one"
    return [Check.no_prediction(statement, run.excess, why=why, reference=run.family.row.reference(run.family.depth))]


def families_checks(runs: Sequence[FlowAndSolution]) -> tuple[Check, ...]:
    """The checks of all families, in order."""
    grouped = groupby(runs, key=lambda run: id(run.family))
    return tuple(check for _, members in grouped for check in family_checks(list(members)))


def family_checks(runs: Sequence[FlowAndSolution]) -> list[Check]:
    """The checks of one family, those of equal meaning over several seeds as one, with the worst measurement."""
    grouped: dict[tuple[str, Verdict], list[tuple[FlowAndSolution, Check]]] = {}
    for run in runs:
        for check in run_checks(run):
            meaning = check.statement.removeprefix(run.label)
            grouped.setdefault((meaning, check.verdict), []).append((run, check))
    return [worst(members, meaning, runs[0].family) for (meaning, _), members in grouped.items()]


def worst(members: Sequence[tuple[FlowAndSolution, Check]], meaning: str, family: Family) -> Check:
    """One check for several seeds: the largest measurement, NaN above all."""
    run, check = max(members, key=lambda m: math.inf if math.isnan(m[1].measured or 0.0) else m[1].measured or 0.0)
    if len(members) == 1:
        return check
    return replace(check, statement=f"{family.label}, {len(members)} seeds{meaning} (worst: seed {run.seed})")


def filled(
    rows: Sequence[Mapping[str, Value]], columns: Sequence[Column]
) -> tuple[tuple[Column, ...], tuple[Mapping[str, Value], ...]]:
    """The columns that at least one row fills (verdicts always), and the rows cut down to them."""
    kept = tuple(c for c in columns if c.format == "verdict" or any(row.get(c.key) is not None for row in rows))
    keys = {column.key for column in kept}
    return kept, tuple({key: value for key, value in row.items() if key in keys} for row in rows)
