"""What theory predicts of a margin comparison, and the tables that say whether it holds.

Predictions are about limits, so only the flow's limit is held to them; gradient descent at a finite number of steps is
shown beside it and reads "no prediction".

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

from compare.margin.families import Family
from compare.margin.measure import Run
from compare.reports.report import Check, Column, Value
from gd.status import FlowStatus
from solvers.solution import Solution

FLOW_COLUMNS = (
    Column("network", "network"),
    Column("price", "R(β)"),
    Column("seed", "seed"),
    Column("angle", "angle to β*", unit="rad", format=".2g", about="∠(β, β*); L > 2: β* is reached from the limit."),
    Column(
        "approach",
        "left to Newton",
        unit="rad",
        format=".2g",
        about="∠(last β integrated, its limit): the flow is followed until it is beside the limit, then solved for.",
    ),
    Column("gap", "duality gap", format=".2g", about="1 − 1ᵀα/R(β): the limit judged by its own multipliers α."),
    Column("stationarity", "stationarity", format=".2g", about="Distance of Aᵀα from a subgradient of R, relative."),
    Column("excess", "price over best", format=".2g", about="R(β)/R(best stationary point found) − 1, for L > 2."),
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


def flow_row(run: Run) -> dict[str, Value]:
    """One line of the limits' table."""
    certificate = run.flow.certificate
    best = run.best
    passed = [check.passed for check in run_checks(run)]
    return {
        "network": run.family.label,
        "price": run.family.price,
        "seed": run.seed,
        "angle": run.flow.angle,
        "approach": run.approach,
        "gap": None if certificate is None else certificate.direction_gap,
        "stationarity": None if certificate is None else certificate.stationarity,
        "excess": None if run.convex else run.excess,
        "kkt": relative_kkt(run),
        "support": None if certificate is None else certificate.support_size,
        "best_support": None if best is None else best.certificate.support_size,
        "loss": run.limit.log_log_loss,
        "unique": best.unique if best is not None and run.convex else None,
        "theory": False if False in passed else True if True in passed else None,
    }


def descent_row(run: Run) -> dict[str, Value]:
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
        "theory": None,
    }


def relative_kkt(run: Run) -> float:
    """ε/‖w̃‖ of the limit."""
    return run.limit.kkt_epsilon / run.limit.norm_at_unit_margin


def run_checks(run: Run) -> list[Check]:
    """What theory predicts of one limit, each beside its measurement."""
    family, certificate = run.family, run.flow.certificate
    reference = family.row.reference(family.depth)
    why = no_claim(run)
    if why:
        statement = f"{run.label}: the flow's limit (KKT residual)"
        return [Check.no_prediction(statement, relative_kkt(run), why=why, reference=reference)]
    tolerance = family.row.residual_tolerance
    if certificate is None:
        statement = f"{run.label}: the flow's limit is a KKT point of min ‖w‖ at unit margin"
        return [Check.at_most(statement, relative_kkt(run), tolerance, reference=reference)]
    if certificate.direction_gap is None:
        return stationary_checks(run, certificate.stationarity, reference)
    statement = f"{run.label}: the flow's limit closes the duality gap of min {family.price}"
    checks = [Check.at_most(statement, certificate.direction_gap, tolerance, reference=reference)]
    if run.solution is not None and run.flow.angle is not None:
        checks.append(angle_check(run.solution, run.flow.angle, run, reference))
    return checks


def stationary_checks(run: Run, residual: float, reference: str) -> list[Check]:
    """For p < 1: the limit is stationary, by its residual and by a solver that starts from it; no more is promised."""
    row, price = run.family.row, run.family.price
    statement = f"{run.label}: the flow's limit is a stationary point of min {price}"
    checks = [Check.at_most(statement, residual, row.residual_tolerance, reference=reference)]
    if run.flow.angle is not None:
        statement = f"{run.label}: the solver started at the flow's limit stays there"
        checks.append(Check.at_most(statement, run.flow.angle, row.angle_tolerance, unit="rad", reference=reference))
    if run.excess is not None:
        statement = f"{run.label}: {price} of the flow's limit above the best stationary point found"
        why = "the theorem promises a stationary point, not the best one"
        checks.append(Check.no_prediction(statement, run.excess, why=why, reference=reference))
    return checks


def angle_check(solution: Solution, measured: float, run: Run, reference: str) -> Check:
    """The angle to the solver's answer, predicted to be 0 where that answer is the only one."""
    statement = f"{run.label}: the flow's limit is the solver's predictor"
    if solution.unique:
        tolerance = run.family.row.angle_tolerance
        return Check.at_most(statement, measured, tolerance, unit="rad", reference=reference)
    why = "the explicit problem has several minimizers" if solution.unique is False else "uniqueness of β* is not known"
    return Check.no_prediction(statement, measured, unit="rad", why=why, reference=reference)


def no_claim(run: Run) -> str:
    """Why no prediction is made for this run; empty where one is."""
    if run.limit.status is FlowStatus.LOCKED:
        return run.trajectory.sign_locked[run.index] or str(run.limit.status)
    return "" if run.limit.status.converged else str(run.limit.status)


def family_checks(runs: Sequence[Run]) -> list[Check]:
    """The checks of one family, those of equal meaning over several seeds as one, with the worst measurement."""
    grouped: dict[tuple[str, float | None, bool], list[tuple[Run, Check]]] = {}
    for run in runs:
        for check in run_checks(run):
            meaning = check.statement.removeprefix(run.label)
            grouped.setdefault((meaning, check.tolerance, check.passed is None), []).append((run, check))
    return [worst(members, meaning, runs[0].family) for (meaning, _, _), members in grouped.items()]


def worst(members: Sequence[tuple[Run, Check]], meaning: str, family: Family) -> Check:
    """One check for several seeds: the largest measurement, NaN above all."""
    run, check = max(members, key=lambda m: math.inf if math.isnan(m[1].measured or 0.0) else m[1].measured or 0.0)
    if len(members) == 1:
        return check
    statement = f"{family.label}, {len(members)} seeds{meaning} (worst: seed {run.seed})"
    return Check(statement, check.measured, check.unit, check.tolerance, check.passed, check.reference, check.reason)


def filled(
    rows: Sequence[Mapping[str, Value]], columns: Sequence[Column]
) -> tuple[tuple[Column, ...], tuple[Mapping[str, Value], ...]]:
    """The columns that at least one row fills (verdicts always), and the rows cut down to them."""
    kept = tuple(c for c in columns if c.format == "verdict" or any(row.get(c.key) is not None for row in rows))
    keys = {column.key for column in kept}
    return kept, tuple({key: value for key, value in row.items() if key in keys} for row in rows)
