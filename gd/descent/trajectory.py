"""What gradient descent did: a record at log-spaced steps, and the hypotheses of the theorems as measured on it.

The theorems on separable data assume three things of a run: that the loss goes to zero, that the weights converge in
direction to a positive margin, and that the gradients ∇_β L converge in direction. No finite run shows a limit, but
each leaves a number: log L, and the angles by which the two directions still turned from one snapshot to the next.
Snapshots are log-spaced, so a direction that converges like 1/log t keeps turning visibly and one that has converged
does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from gd.descent.bounds import Bounds, LossWeights, bounds
from gd.status import RunStatus
from solvers.arrays import Array
from solvers.card import Card
from solvers.plots import axes_for, legend_below, many_decades
from solvers.prediction import labels_of, scores
from solvers.regularizers import Regularizer
from solvers.regularizers.hyperbolic_entropy import HyperbolicEntropy
from solvers.validation import check_regularizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = 8
"""Runs that a picture names."""


@dataclass(frozen=True, repr=False)
class Hypotheses(Card):
    """The theorems' hypotheses, measured at the last snapshot of one run.

    Reference: Gunasekar et al. (2018), the assumptions of Theorems 1 and 2.

    >>> from gd import Diagonal, descend
    >>> run = descend(Diagonal(2, 2, seed=0), [[2.0, 1.0], [-1.0, -3.0]], [1.0, -1.0], steps=100)
    >>> run.hypotheses().margin > 0
    True
    """

    log_loss: float
    """log L, in nats; → −∞ is assumed."""
    margin: float
    """min_n y_n f(x_n; w)/‖w‖^L; > 0 is assumed. NaN where the network is not homogeneous or there are no labels."""
    direction_change: float
    """Angle in radians by which w/‖w‖ turned since the snapshot before; → 0 is assumed."""
    gradient_change: float
    """The same for ∇_β L (∇_w L where the network has no linear predictor); → 0 is assumed."""
    sign_locked: str | None
    """Which coefficients of β the initialization keeps from changing sign, in words; None where none is."""


@dataclass(frozen=True, repr=False)
class Trajectory(Card):
    """B runs of gradient descent on one architecture, at S log-spaced steps. NaN after a run has stopped.

    The run axis B comes first everywhere, also when one network was given.
    """

    steps: NDArray[np.int64]
    """Step counts of the snapshots, shape (S,); the first is 0."""
    elapsed: Array
    """Wall-clock seconds at the snapshots, of all runs together, snapshots included, shape (S,)."""
    log_loss: Array
    """log L, nats, shape (B, S)."""
    weight_norm: Array
    """‖w‖₂, shape (B, S)."""
    margin: Array
    """Normalized margin min_n y_n f(x_n; w)/‖w‖^L, shape (B, S)."""
    direction_change: Array
    """Radians between w and w at the snapshot before, shape (B, S); NaN at the first."""
    gradient_change: Array
    """Radians between ∇_β L (or ∇_w L) and itself at the snapshot before, shape (B, S); NaN at the first."""
    predictors: Array | None = field(repr=False)
    """β at every snapshot, shape (B, S, *shape of β); None for networks without one."""
    predictor: Array | None = field(repr=False)
    """β of the weights at the end, shape (B, *shape of β)."""
    outputs: Array | None = field(repr=False)
    """f(X; w) at every snapshot, shape (B, S, N, …), where recording them was asked for."""
    parameters: Mapping[str, Array] = field(repr=False)
    """Weights at the end, by parameter name, each of shape (B, …)."""
    status: tuple[RunStatus, ...]
    """How each run ended, B of them."""
    last_step: NDArray[np.int64]
    """The step that the weights at the end belong to, shape (B,)."""
    degree: float | None
    """L with f(x; c·w) = c^L f(x; w); None where the network is not homogeneous."""
    loss: str
    """The name of the loss."""
    schedule: str
    """The schedule, with the rate proved for it here or the word heuristic."""
    heuristic: bool
    """Whether no theorem covers this schedule on this network."""
    sign_locked: tuple[str | None, ...] = field(repr=False)
    """Which coefficients of β each initialization keeps from changing sign, in words; None where none is."""
    seconds: float
    """Wall-clock time of all runs together, in seconds."""
    optimizer: str
    """The optimizer, in words."""
    rescaled: bool
    """Whether the optimizer saw gradients divided by the loss, ∇ log L: a fixed ε then vanishes, and momentum weighs
    old gradients as much as if the loss had not fallen."""
    batch_size: int | None
    """Points in a minibatch; None for full batches."""
    norm: Array | None
    """‖w‖ in the optimizer's norm, shape (B, S); None where no norm is known for it."""
    boundary: float | None
    """1/λ, the radius in the optimizer's norm that decoupled weight decay λ ends inside; None without such decay."""
    stationarity: Array | None
    """The relative KKT residual of min ‖w‖ s.t. margins ≥ 1 in the optimizer's norm, shape (B, S),

        1 − L·min_n m_n·Σp / (‖w‖·‖Σ_n p_n ∇m_n(w)‖°),

    the smaller of those with p = p_t and with its mean since the snapshot before. Zero exactly at KKT points; that is
    stationarity, not optimality. At least 1 where a margin is not positive; None where no norm or no degree is known.
    """
    preconditioner: Mapping[str, Array] | None = field(repr=False)
    """Q at the end by parameter name, each (B, …), where the optimizer steps along Q⁻¹∇L with Q of its own history."""
    loss_weights: LossWeights | None = field(repr=False)
    """The p_t and their sums, for `gap`; None where there are no labels."""
    raw_margin: Array = field(repr=False)
    """min_n y_n f(x_n; w), shape (B, S); NaN where there are no labels."""
    predictor_norm: Regularizer | None = field(repr=False)
    """The norm of β whose margin the optimizer maximizes, for linear predictors; None elsewhere."""
    effective_growth: Array | None = field(default=None, repr=False)
    """ρ± of two-layer diagonal networks on the squared loss, shape (B, 2, D): by how much finite steps changed the
    start, (w₁ ± w₂)·e^{ρ±} (`gd.squared.effective_start`); None for other networks and losses."""
    effective_potential: tuple[HyperbolicEntropy | None, ...] | None = field(default=None, repr=False)
    """Two-layer diagonal networks on the squared loss: for each run the potential of its effective start
    (`gd.squared.effective_start`): a run that fits the data ends exactly at its least value; None for a run with steps
    that are no gradient steps (momentum). None for other networks and losses."""

    classes: NDArray[Any] = field(default_factory=lambda: np.array([-1.0, 1.0]), repr=False)
    """The labels as they were given, in order: those that stand for −1 and +1, or all K."""

    def predict(self, X: ArrayLike, run: int = 0) -> NDArray[Any]:
        """The label of each point by the weights at the end of one run, (N,), as `y` was given; (N, M) for M tasks.

        Raises ValueError where the network is not a linear predictor (use `load`), there were no labels, or X holds
        points of another shape.
        """
        if self.predictor is None or self.loss_weights is None:
            raise ValueError("there are no labels, or no linear predictor: put the weights into the network by load()")
        rows = self.loss_weights.current.ndim == 4
        return labels_of(scores(X, self.predictor[run], 0.0, rows=rows), self.classes)

    @property
    def runs(self) -> int:
        """B."""
        return len(self.status)

    def gap(self, regularizer: Regularizer | str | None = None) -> Bounds:
        """What the run proves about min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1 at every snapshot, by weak duality,

            1/R°(Aᵀp̄) ≤ R* ≤ R(β_t)/min_n (Aβ_t)_n,    A = diag(y)X, p̄ a mean of the loss weights p_t.

        Args:
            regularizer: R, any norm of β, or its name; for linear predictors the optimizer's own unless given.

        Returns:
            Bounds: both sides, and which mean p̄ proves the lower one.

        Raises:
            ValueError: the network is not a linear predictor, R is not a norm, or no R was given and none is known.
        """
        if self.loss_weights is None or self.loss_weights.total_image is None or self.predictors is None:
            raise ValueError(
                "only a network f(x) = ⟨x, β⟩ trained on labels has such bounds; for another homogeneous network read "
                "`stationarity`"
            )
        chosen = self.predictor_norm if regularizer is None else check_regularizer(regularizer)
        if chosen is None:
            raise ValueError(
                f"no norm of β is known for {self.optimizer} on this network: give one, as in gap(Bridge(inf))"
            )
        return bounds(self.steps, self.predictors, self.raw_margin, self.loss_weights, chosen)

    def hypotheses(self, run: int = 0) -> Hypotheses:
        """The theorems' hypotheses as measured at the last snapshot that this run reached."""
        reached = np.flatnonzero(~np.isnan(self.log_loss[run]))
        last = int(reached[-1])
        return Hypotheses(
            log_loss=float(self.log_loss[run, last]),
            margin=float(self.margin[run, last]),
            direction_change=float(self.direction_change[run, last]),
            gradient_change=float(self.gradient_change[run, last]),
            sign_locked=self.sign_locked[run],
        )

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the normalized margin of each run over its steps; the loss where there is no margin.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes: steps across; min margin at ‖w‖ = 1 in units of f, or L in its own, upwards.
        """
        chosen: Axes = axes_for(axes)
        margins = bool(np.isfinite(self.margin).any())
        for run, values in enumerate(self.margin if margins else np.exp(self.log_loss)):
            chosen.plot(self.steps, values, ".-", label=f"run {run}")
        label, scale = ("min margin at ‖w‖ = 1 [units of f]", "linear") if margins else (f"{self.loss} loss", "log")
        chosen.set(xlabel="steps", ylabel=label, title=f"{self.optimizer}, {self.loss} loss", yscale=scale)
        many_decades(chosen, self.steps.astype(np.float64))
        if 1 < self.runs <= MOST_NAMED:
            legend_below(chosen)
        return chosen

    def load(self, model: nn.Module, run: int = 0) -> nn.Module:
        """Copy the weights at the end of one run into a module of the same architecture, and return it."""
        with torch.no_grad():
            for name, values in self.parameters.items():
                model.get_parameter(name).copy_(torch.from_numpy(values[run]))
        return model
