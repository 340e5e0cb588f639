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
from gd.optimizers.adam import Adam
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.steepest import SteepestDescent
from gd.optimizers.weight_norm import EntrywiseNorm, SpectralNorm, WeightNorm
from solvers.arrays import Array
from solvers.margin_losses import Loss
from solvers.regularization_path import regularization_path
from solvers.regularizers import L2, Bridge, Regularizer, Schatten

RESOLUTION = 1e-3
"""Relative differences of losses that count as 0. Measured after 1,000 steps: 1e-7 to 3e-5."""
REFERENCE = "Jaggi (2013), Theorem 1, on the ball of radius 1/λ"
NORMS = (Bridge(math.inf), Bridge(1.0), L2())
COLUMNS = (
    Column("optimizer", "optimizer"),
    Column("norm", "norm"),
    Column("radius", "1/λ", format=".4g"),
    Column("size", "λ‖w‖", format=".6f", about="At the end; 1 is the boundary of the ball."),
    Column("excess", "loss above the least", format=".2e", about="L(w)/min L − 1, the minimum in the ball."),
    Column("gap", "its gap", format=".1e", about="Proved bound on the computed minimum, relative."),
)


@dataclass(frozen=True)
class Decayed:
    """An optimizer with decay λ, and the norm of its ball."""

    optimizer: Optimizer
    norm: Regularizer
    proved: bool = True
    """Whether it is the Frank–Wolfe method. With momentum, and for Adam, the end is a KKT point if there is one."""


def optimizers(decay: float, outputs: int) -> list[Decayed]:
    """Sign, coordinate and normalized gradient descent, Signum, AdamW; for several outputs spectral descent, Muon."""

    def steepest(norm: WeightNorm, momentum: float = 0.0) -> Optimizer:
        return SteepestDescent(in_norm=norm, weight_decay=decay, momentum=momentum)

    sign, spectral = EntrywiseNorm(math.inf), SpectralNorm()
    found = [
        Decayed(steepest(sign), NORMS[0]),
        Decayed(steepest(EntrywiseNorm(1.0)), NORMS[1]),
        Decayed(steepest(EntrywiseNorm(2.0)), NORMS[2]),
        Decayed(steepest(sign, 0.9), NORMS[0], proved=False),
        Decayed(Adam(weight_decay=decay), NORMS[0], proved=False),
    ]
    if outputs == 1:
        return found
    of_matrices = Schatten(math.inf)
    return [*found, Decayed(steepest(spectral), of_matrices), Decayed(steepest(spectral, 0.95), of_matrices, False)]


@dataclass(frozen=True)
class DecayedDescent:
    """One run."""

    decayed: Decayed
    decay: float
    losses: Array = field(repr=False)
    """ln L at the snapshots, which are log-spaced in the steps."""
    weights: Array = field(repr=False)
    """w at the end."""

    @property
    def name(self) -> str:
        """The optimizer's."""
        return self.decayed.optimizer.name

    @property
    def norm(self) -> Regularizer:
        """Of the ball."""
        return self.decayed.norm


def decayed(dataset: Dataset, loss: Loss, decay: float, steps: int) -> list[DecayedDescent]:
    """A run of each optimizer, from nearly zero."""
    found, outputs = [], 1 if len(dataset.classes) == 2 else len(dataset.classes)
    for one in optimizers(decay, outputs):
        run = descend(
            FullyConnected(dataset.X.shape[1], 1, outputs=outputs, scale=1e-6, seed=0),
            dataset.X,
            dataset.y,
            loss=loss,
            steps=steps,
            optimizer=one.optimizer,
            schedule=DecayingStep(2.0 / decay, 1.0),
        )
        assert run.predictor is not None
        found.append(DecayedDescent(one, decay, run.log_loss[0], run.predictor[0]))
    return found


def least_log_loss(dataset: Dataset, loss: Loss, norm: Regularizer, radius: float) -> tuple[float, float]:
    """ln min { L(w) : ‖w‖ ≤ radius }, and the relative gap of that minimum."""
    path = regularization_path(dataset.X, dataset.y, [radius], norm, loss=loss, tol=1e-8)
    value, gap = float(path.losses[0]), float(path.gaps[0])
    return (value, gap) if loss == "exponential" else (math.log(value), gap / value)


def decay_check(run: DecayedDescent, least: float, gap: float) -> Check:
    """That the loss ends at the least, of logarithm at most `least` and relatively less by at most `gap`.

    It is uncertain by ten times what it lost of late, and by the gap.
    """
    now, then = (abs(math.expm1(run.losses[at] - least)) for at in (-1, -1 - run.losses.size // 8))
    statement = f"{run.name} with decoupled decay {run.decay:g} ends at the least loss in the ball"
    if not run.decayed.proved:
        why = "with momentum, and for Adam, only a KKT point is promised, and only if the weights converge"
        return Check.no_prediction(statement, now, why=why, reference="Xie, Li (2024)")
    return Check.of(statement, Evidence(now, LEFT * abs(now - then) + gap), RESOLUTION, reference=REFERENCE)


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
    checks = [decay_check(run, *found) for run, found in zip(runs, least, strict=True)]
    return Section(f"{dataset.name}: decoupled weight decay", text, COLUMNS, list(rows), checks)
