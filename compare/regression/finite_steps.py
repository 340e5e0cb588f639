"""Gradient descent with finite steps on a two-layer diagonal network: exactly a flow, from another start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from compare.regression.initial_scales import unbiased
from compare.regression.interpolants import EXACT, Reached, distance, interpolant_check, no_prediction
from compare.regression.regression_data import RegressionData
from compare.reports.report import Check, Column, Section
from compare.reports.tables import table_of
from gd.descent.descend import descend
from gd.descent.schedule import ConstantStep, DecayingStep, Schedule
from gd.optimizers.gradient_descent import GradientDescent
from solvers.arrays import Array
from solvers.interpolation.min_norm import Interpolation, min_norm

STEPS = "Even, Pesme, Gunasekar, Flammarion (2023), Theorem 1"


@dataclass(frozen=True)
class StepRun:
    """One run of gradient descent."""

    how: str
    network: Reached
    residual: float
    """max |Xβ − y| at the end, relative to the largest |y|."""
    effective: Interpolation | None = field(repr=False)
    """The least potential of its effective start among all β with its outputs; None for momentum."""
    flow: Interpolation = field(repr=False)
    """The flow's, from the start alone."""
    growth: Array = field(repr=False)
    """ρ±, shape (2, D)."""
    check: Check


@dataclass(frozen=True)
class Steps:
    """How a run takes its steps."""

    how: str
    schedule: Schedule
    momentum: float = 0.0
    batch_size: int | None = None


def kinds(data: RegressionData, flow: Interpolation, alpha: float, shares: Sequence[float]) -> list[Steps]:
    """Constant steps of each share of 1/λ, decaying ones, minibatches, and momentum.

    λ = ‖X‖² max(w₁² + w₂²) bounds the Hessian of the loss where it is fitted; w₁² + w₂² = √(4β² + α⁴).
    """
    largest = float(np.linalg.norm(data.X, 2)) ** 2 * float(np.hypot(2.0 * flow.beta, alpha**2).max())
    share, half = max(shares), max(1, data.X.shape[0] // 2)
    step = share / largest
    return [
        *(Steps(f"constant, {each:g}/λ", ConstantStep(each / largest)) for each in shares),
        Steps(f"decaying, {share:g}/λ·t^(−1/4)", DecayingStep(step, 0.25)),
        Steps(f"minibatches of {half}, {share:g}/λ", ConstantStep(step), batch_size=half),
        Steps(f"momentum 0.9, {0.1 * share:g}/λ", ConstantStep(0.1 * step), momentum=0.9),
    ]


def flow_prediction(data: RegressionData, alpha: float) -> Interpolation:
    """The flow's limit from equal coefficients α."""
    potential = unbiased(data.X.shape[1], 2, alpha).potential
    assert potential is not None
    return min_norm(data.X, data.y, potential)


def step_runs(data: RegressionData, alpha: float, shares: Sequence[float], steps: int, seed: int) -> list[StepRun]:
    """One run of each kind."""
    flow = flow_prediction(data, alpha)
    return [step_run(data, alpha, kind, steps, seed, flow) for kind in kinds(data, flow, alpha, shares)]


def step_run(data: RegressionData, alpha: float, kind: Steps, steps: int, seed: int, flow: Interpolation) -> StepRun:
    """One run, and what is known of its end."""
    path = descend(
        unbiased(data.X.shape[1], 2, alpha),
        data.X,
        data.y,
        loss="squared",
        steps=steps,
        optimizer=GradientDescent(momentum=kind.momentum),
        schedule=kind.schedule,
        batch_size=kind.batch_size,
        seed=seed,
        snapshots=2,
    )
    assert path.predictor is not None
    assert path.effective_potential is not None
    beta = path.predictor[0]
    outputs = data.X @ beta
    network = Reached(f"diagonal, L=2, α = {alpha:g}, {kind.how}", beta, 0.0)
    residual = float(np.abs(outputs - data.y).max() / np.abs(data.y).max())
    (potential,) = path.effective_potential
    effective = None if potential is None else min_norm(data.X, outputs, potential)
    growth = np.zeros((2, beta.size)) if path.effective_growth is None else path.effective_growth[0]
    return StepRun(kind.how, network, residual, effective, flow, growth, step_check(network, effective, flow))


def step_check(network: Reached, effective: Interpolation | None, flow: Interpolation) -> Check:
    """The run is exactly the least potential of its effective start, wherever it was stopped; none with momentum."""
    if effective is None:
        why = "with momentum a step is no multiple of the gradient, and no effective start is known"
        return no_prediction(network, "distance to the flow's limit", distance(network.predictor, flow.beta), why)
    claim = "the least potential of its effective start among all β with its outputs"
    return interpolant_check(network, claim, effective, reference=STEPS, resolution=EXACT)


def step_section(data: RegressionData, runs: Sequence[StepRun]) -> Section:
    """The table and its checks."""
    text = (
        "A gradient step of any size multiplies w₁ ± w₂ by 1 ± γg, g = Xᵀ(y − Xβ). So at every step β is exactly the "
        "least potential, among all predictors with its outputs Xβ, of another start: (w₁ ± w₂)·e^{ρ±} with "
        "ρ± = Σ (ln|1 ± γg| ∓ γg), which is accumulated along the run; the multipliers are solved from ρ±, X and Xβ. "
        "In the limit Xβ = y. The least potential of the start itself that fits is the flow's limit."
    )

    def to(run: StepRun, other: Interpolation | None) -> float | None:
        return None if other is None else distance(run.network.predictor, other.beta)

    columns, rows = table_of(
        runs,
        (Column("how", "steps"), lambda r: r.how),
        (Column("residual", "residual", format=".1e", about="max |Xβ − y|/max |y|."), lambda r: r.residual),
        (Column("effective", "to the effective start's", format=".1e"), lambda r: to(r, r.effective)),
        (Column("flow", "to the flow's limit", format=".1e"), lambda r: to(r, r.flow)),
        (Column("verdict", "theory", format="verdict"), lambda r: r.check.verdict),
    )
    return Section(f"{data.name}: finite steps, depth 2", text, columns, rows, [r.check for r in runs])
