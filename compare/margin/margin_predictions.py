"""What theory predicts of a margin comparison, and the tables that say whether it holds.

Predictions are about limits, so only the flow's limit is held to them; gradient descent at a finite number of steps is
shown as well and reads "no prediction".

    R a norm     the limit closes the duality gap of min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1; where the minimizer is unique, its
                 angle to the solver's answer is 0
    R nonconvex  (p = 2/L < 1) the limit is a stationary point of that problem: its residual is 0, and the solver
                 started there stays there. That it is the best one is not predicted
    R unknown    the limit is a KKT point of min ‖w‖² s.t. y_n f(x_n; w) ≥ 1

A limit that was not reached, or an initialization that fixes signs, makes no claim: the row says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from compare.margin.architectures import ANGLE_TOLERANCE, RESIDUAL_TOLERANCE
from compare.margin.families import Family
from compare.margin.flow_and_solution import FlowAndSolution
from compare.reports.report import Check, Column, Value, Verdict
from gd.flow.limit import Limit
from gd.status import FlowStatus
from solvers.solution import Solution

FLOW_COLUMNS = (
    Column("network", "network"),
    Column("regularizer", "R(β)"),
    Column("seed", "seed"),
    Column("angle", "angle to β*", unit="rad", format=".2g", about="∠(β, β*); L > 2: β* is reached from the limit."),
    Column(
        "approach",
        "left to Newton",
        unit="rad",
        format=".2g",
        about="∠(last β integrated, its limit): the flow is followed until it is close to the limit, then solved for.",
    ),
    Column("gap", "duality gap", format=".2g", about="1 − 1ᵀα/R(β): the limit certified by its own multipliers α."),
    Column("stationarity", "stationarity", format=".2g", about="Distance of Aᵀα from a subgradient of R, relative."),
    Column("excess", "R over best", format=".2g", about="R(β)/R(best stationary point found) − 1, for L > 2."),
    Column("kkt", "KKT residual", format=".2g", about="‖w − Σ λₙ∇mₙ‖/‖w‖ in weight space, at unit margin."),
    Column("support", "support", about="Nonzero coefficients of the limit (of β̂ for convolutional networks)."),
    Column("best_support", "support of best", about="Of β*; for L > 2, of the best stationary point found."),
    Column("loss", "ln(−ln loss)", format=".3g", about="Where the integration was when the limit was identified."),
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
    best = run.best
    return {
        "network": run.family.label,
        "regularizer": run.family.formula,
        "seed": run.seed,
        "angle": run.flow.angle,
        "approach": run.approach,
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


def not_reached(subject: str, limit: Limit, why: str, reference: str) -> Check:
    """The check of a limit that was not reached: what is known is its KKT residual, and why it is not tested."""
    statement = f"{subject}: the flow's limit (KKT residual)"
    make = Check.no_prediction if limit.status is FlowStatus.LOCKED else Check.not_reached
    return make(statement, kkt_residual(limit), why=why, reference=reference)


def run_checks(run: FlowAndSolution) -> list[Check]:
    """What theory predicts of one limit, each with its measurement."""
    family, certificate = run.family, run.flow.certificate
    reference = family.row.reference(family.depth)
    why = no_claim(run)
    if why:
        return [not_reached(run.label, run.limit, why, reference)]
    tolerance = RESIDUAL_TOLERANCE
    if certificate is None:
        statement = f"{run.label}: the flow's limit is a KKT point of min ‖w‖ at unit margin"
        return [Check.at_most(statement, kkt_residual(run.limit), tolerance, reference=reference)]
    if certificate.direction_gap is None:
        return stationary_checks(run, certificate.stationarity, reference)
    statement = f"{run.label}: the flow's limit closes the duality gap of min {family.formula}"
    checks = [Check.at_most(statement, certificate.direction_gap, tolerance, reference=reference)]
    if run.solution is not None and run.flow.angle is not None:
        checks.append(angle_check(run.solution, run.flow.angle, run, reference))
    return checks


def stationary_checks(run: FlowAndSolution, residual: float, reference: str) -> list[Check]:
    """For p < 1: the limit is stationary, by its residual and by a solver that starts from it; no more is promised."""
    statement = f"{run.label}: the flow's limit is a stationary point of min {run.family.formula}"
    checks = [Check.at_most(statement, residual, RESIDUAL_TOLERANCE, reference=reference)]
    if run.flow.angle is not None:
        statement = f"{run.label}: the solver started at the flow's limit stays there"
        checks.append(Check.at_most(statement, run.flow.angle, ANGLE_TOLERANCE, unit="rad", reference=reference))
    if run.excess is not None:
        statement = f"{run.label}: {run.family.formula} of the flow's limit above the best stationary point found"
        why = "the theorem promises a stationary point, not the best one"
        checks.append(Check.no_prediction(statement, run.excess, why=why, reference=reference))
    return checks


def angle_check(solution: Solution, measured: float, run: FlowAndSolution, reference: str) -> Check:
    """The angle to the solver's answer, predicted to be 0 where that answer is the only one."""
    statement = f"{run.label}: the flow's limit is the solver's predictor"
    if solution.unique:
        tolerance = ANGLE_TOLERANCE
        return Check.at_most(statement, measured, tolerance, unit="rad", reference=reference)
    several = solution.unique.known is False
    why = "the explicit problem has several minimizers" if several else "uniqueness of β* is not known"
    return Check.no_prediction(statement, measured, unit="rad", why=why, reference=reference)


def no_claim(run: FlowAndSolution) -> str:
    """Why no prediction is tested on this run; empty where one is."""
    if run.limit.status is FlowStatus.LOCKED:
        return run.trajectory.sign_locked[run.index] or str(run.limit.status)
    return "" if run.limit.status.converged else str(run.limit.status)


def families_checks(runs: Sequence[FlowAndSolution]) -> tuple[Check, ...]:
    """The checks of all families, in order."""
    grouped = groupby(runs, key=lambda run: id(run.family))
    return tuple(check for _, members in grouped for check in family_checks(list(members)))


def family_checks(runs: Sequence[FlowAndSolution]) -> list[Check]:
    """The checks of one family, those of equal meaning over several seeds as one, with the worst measurement."""
    grouped: dict[tuple[str, float | None, bool], list[tuple[FlowAndSolution, Check]]] = {}
    for run in runs:
        for check in run_checks(run):
            meaning = check.statement.removeprefix(run.label)
            grouped.setdefault((meaning, check.tolerance, check.verdict.tested), []).append((run, check))
    return [worst(members, meaning, runs[0].family) for (meaning, _, _), members in grouped.items()]


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
