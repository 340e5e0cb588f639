"""Steepest descent with decoupled weight decay on a linear predictor: its loss beside the least one in a ball.

    w ← (1 − η_t λ) w − η_t u_t,      u_t = argmax { ⟨∇L(w_t), u⟩ : ‖u‖ ≤ 1 },

is the Frank–Wolfe method on { ‖w‖ ≤ 1/λ } with steps γ_t = η_t λ. For convex L, η_t → 0 and Σ η_t = ∞ it ends at the
least loss there. Losses are compared: the weights of least loss need not be unique. Steps are 2/(λ(t + 1)).

Reference: Jaggi (2013), Theorem 1, for the method; Xie, Li (2024), "Implicit bias of AdamW: ℓ∞ norm constrained
optimization", for sign descent and AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from compare.data.dataset import Dataset
from compare.margin.evidence import LEFT
from compare.reports.report import Check, Column, Evidence, Section, Value
from gd.descent.descend import descend
from gd.descent.schedule import DecayingStep
from gd.networks.linear import FullyConnected
from gd.optimizers.steepest import SteepestDescent
from gd.optimizers.weight_norm import EntrywiseNorm, SpectralNorm, WeightNorm
from solvers.arrays import Array
from solvers.margin_losses import Loss
from solvers.regularization_path import regularization_path
from solvers.regularizers import L2, Bridge, Regularizer, Schatten

RESOLUTION = 1e-3
"""Relative differences of losses that count as 0. Measured after 1,000 steps: 1e-7 to 3e-5."""
REFERENCE = "Jaggi (2013), Theorem 1, on the ball of radius 1/λ"
NORMS: tuple[tuple[WeightNorm, Regularizer], ...] = (
    (EntrywiseNorm(math.inf), Bridge(math.inf)),
    (EntrywiseNorm(1.0), Bridge(1.0)),
    (EntrywiseNorm(2.0), L2()),
)
OF_MATRICES: tuple[tuple[WeightNorm, Regularizer], ...] = ((SpectralNorm(), Schatten(math.inf)),)
COLUMNS = (
    Column("optimizer", "optimizer"),
    Column("norm", "norm"),
    Column("radius", "1/λ", format=".4g"),
    Column("size", "λ‖w‖", format=".6f", about="At the end; 1 is the boundary of the ball."),
    Column("excess", "loss above the least", format=".2e", about="L(w)/min L − 1, the minimum in the ball."),
    Column("gap", "its gap", format=".1e", about="Proved bound on the computed minimum, relative."),
)


@dataclass(frozen=True)
class DecayedDescent:
    """One optimizer with decay λ."""

    name: str
    norm: Regularizer
    decay: float
    losses: Array = field(repr=False)
    """ln L at the snapshots, which are log-spaced in the steps."""
    weights: Array = field(repr=False)
    """w at the end."""


def decayed(dataset: Dataset, loss: Loss, decay: float, steps: int) -> list[DecayedDescent]:
    """Sign, coordinate and normalized gradient descent; for several classes spectral descent as well."""
    found, outputs = [], 1 if len(dataset.classes) == 2 else len(dataset.classes)
    for weight_norm, norm in NORMS if outputs == 1 else (*NORMS, *OF_MATRICES):
        optimizer = SteepestDescent(in_norm=weight_norm, weight_decay=decay)
        network = FullyConnected(dataset.X.shape[1], 1, outputs=outputs, scale=1e-6, seed=0)
        run = descend(
            network,
            dataset.X,
            dataset.y,
            loss=loss,
            steps=steps,
            optimizer=optimizer,
            schedule=DecayingStep(2.0 / decay, 1.0),
        )
        assert run.predictor is not None
        found.append(DecayedDescent(optimizer.name, norm, decay, run.log_loss[0], run.predictor[0]))
    return found


def least_log_loss(dataset: Dataset, loss: Loss, norm: Regularizer, radius: float) -> tuple[float, float]:
    """ln min { L(w) : ‖w‖ ≤ radius }, and the relative gap of that minimum."""
    path = regularization_path(dataset.X, dataset.y, [radius], norm, loss=loss, tol=1e-8)
    value, gap = float(path.losses[0]), float(path.gaps[0])
    return (value, gap) if loss == "exponential" else (math.log(value), gap / value)


def decay_check(run: DecayedDescent, least: float) -> Check:
    """That the loss ends at the one whose logarithm is `least`; uncertain by ten times what it lost of late."""
    now, then = (abs(math.expm1(run.losses[at] - least)) for at in (-1, -1 - run.losses.size // 8))
    statement = f"{run.name} with decoupled decay {run.decay:g} ends at the least loss in the ball"
    return Check.of(statement, Evidence(now, LEFT * abs(now - then)), RESOLUTION, reference=REFERENCE)


def decay_section(dataset: Dataset, loss: Loss, decay: float, steps: int) -> Section:
    """The runs, and what the explicit side says."""
    runs = decayed(dataset, loss, decay, steps)
    least = [least_log_loss(dataset, loss, run.norm, 1.0 / decay) for run in runs]
    rows: Iterable[dict[str, Value]] = [
        {
            "optimizer": run.name,
            "norm": run.norm.formula,
            "radius": 1.0 / decay,
            "size": run.norm.value(np.asarray(run.weights)) * decay,
            "excess": float(np.expm1(run.losses[-1] - value)),
            "gap": gap,
        }
        for run, (value, gap) in zip(runs, least, strict=True)
    ]
    text = (
        "w ← (1 − η λ)w − η u, u the steepest direction of length one in the optimizer's norm: the Frank–Wolfe method "
        f"on the ball of radius 1/λ. Steps are 2/(λ(t + 1)), {steps} of them."
    )
    checks = [decay_check(run, value) for run, (value, _) in zip(runs, least, strict=True)]
    return Section(f"{dataset.name}: decoupled weight decay", text, COLUMNS, list(rows), checks)
