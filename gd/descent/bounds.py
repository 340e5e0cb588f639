"""What a trajectory proves by itself: weak duality at every snapshot.

With A = diag(y)X, R a norm of the predictor, and any p̄ ≥ 0 with Σp̄ = 1,

    1/R°(Aᵀp̄)  ≤  R* = min { R(β) : Aβ ≥ 1 }  ≤  R(β_t)/min_n (Aβ_t)_n,                                              (1)

the right side where the smallest margin is positive. Training hands over the p̄: the loss weights p_t ∝ e^{−m_n} of its
steps. One p_t jumps about where the optimizer does, and means over steps settle, so the bound is taken at means over
windows that end at the snapshot and begin at the start, or 1, 2, 4, … snapshots before it, and at p_t alone; whichever
proves most is kept and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array
from solvers.card import Card
from solvers.regularizers import Regularizer

LAYERS = 10.0
"""Times the rounding of one scalar product: what a margin may be off that was computed through several layers."""


@dataclass(frozen=True, repr=False)
class LossWeights(Card):
    """The loss weights of a run's steps at its snapshots, and what they make of the data."""

    current: Array = field(repr=False)
    """p_t, shape (B, S, *shape of y)."""
    total: Array = field(repr=False)
    """Σ p over the steps 0 … t, the same shape; of the minibatches where there are some."""
    current_image: Array | None = field(repr=False)
    """Aᵀp_t, shape (B, S, *shape of β); None where the outputs are not known to be ⟨x, β⟩."""
    total_image: Array | None = field(repr=False)
    """Aᵀ Σ p, the same shape; None likewise."""
    largest: Array = field(repr=False)
    """max_n |x_nd|, of the shape of one input."""
    epsilon: float
    """The relative rounding of the run's arithmetic: 2.2e-16 in float64."""

    def image_error(self, steps: int, mass: float, shape: tuple[int, ...]) -> Array:
        """A bound of the rounding of a sum of that many steps' images, entrywise: γ Σp max_n |x_nd|."""
        terms = self.epsilon * (steps + self.current[0, 0].size)
        return np.broadcast_to(terms * mass * self.largest.reshape(-1), (*shape[:-1], self.largest.size)).reshape(shape)

    def margin_error(self, beta: Array) -> float:
        """A bound of the rounding of the margins of β."""
        D = self.largest.size
        return LAYERS * self.epsilon * D * float((np.abs(beta).reshape(-1, D) @ self.largest.reshape(-1)).max())

    def mean(self, run: int, first: int, last: int) -> Array:
        """The mean p̄ of the steps after snapshot `first` up to snapshot `last`, of sum 1; the shape of y."""
        p = np.asarray(self.total[run, last] - self.total[run, first])
        return np.asarray(p / p.sum())


@dataclass(frozen=True, repr=False)
class Bounds(Card):
    """Both sides of min R(β) s.t. margins ≥ 1 at every snapshot of B runs.

    Both are widened by what the rounding of sums may have moved, so they hold where Aᵀp̄ cancels and in float32;
    `certify(X, y, β, R, dual=p̄)` repeats one of them in careful arithmetic.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), *Characterizing implicit bias in terms of optimization geometry*,
    section 3: the dual of the max-margin problem in a norm.

    >>> from gd import FullyConnected, descend
    >>> run = descend(FullyConnected(2, 1), [[2.0, 1.0], [-1.0, -3.0]], [1, -1], optimizer="sign", steps=500)
    >>> bool(run.gap().lower[0, -1] < 1 / 3 < run.gap().upper[0, -1])
    True
    """

    regularizer: Regularizer
    """R."""
    upper: Array
    """R(β_t)/min margin, shape (B, S); inf where the smallest margin is not positive."""
    lower: Array
    """The largest 1/R°(Aᵀp̄) proved up to the snapshot, shape (B, S)."""
    windows: NDArray[np.int64]
    """The steps (first, last) whose mean p̄ proves `lower`, shape (B, S, 2); a single step where they are equal."""

    @property
    def relative(self) -> Array:
        """1 − lower/upper, shape (B, S): the relative duality gap of the iterate; 1 where `upper` is infinite."""
        return 1.0 - self.lower / self.upper

    @property
    def margin(self) -> Array:
        """min margin/R(β_t), shape (B, S): what the optimizer maximizes; the best possible is 1/R*."""
        return 1.0 / self.upper


def bounds(steps: NDArray[np.int64], predictors: Array, margins: Array, p: LossWeights, R: Regularizer) -> Bounds:
    """The bounds (1) from snapshots: β (B, S, …), smallest raw margins (B, S), and loss weights with images.

    Raises ValueError where R has no dual norm, or is not defined for predictors of this shape, NotImplementedError
    where a norm leaves its dual norm out.
    """
    if not R.has_dual_norm:
        raise ValueError(f"{R} is not a norm, so weak duality bounds nothing; for its stationary points use `certify`")
    R.check_shape(predictors.shape[2:])
    runs, count = margins.shape
    upper, lower = np.full((runs, count), np.inf), np.zeros((runs, count))
    windows = np.zeros((runs, count, 2), dtype=np.int64)
    for b in range(runs):
        best, window = 0.0, (0, 0)
        for s in range(count):
            if np.isnan(margins[b, s]):  # the run has stopped
                upper[b, s] = lower[b, s] = np.nan
                continue
            margin = margins[b, s] - p.margin_error(predictors[b, s])
            if margin > 0:
                upper[b, s] = R.value(predictors[b, s]) * (1.0 + p.epsilon) / margin
            rounding = _rounding(p, b, s, int(steps[s]), R)
            for first, last, mass, image in _means(steps, p, b, s):
                dual = R.dual_norm(image) + rounding[first != last]
                proved = (1.0 - 2.0 * p.epsilon * (last + 2)) * mass / dual if dual > 0 else np.inf
                if mass > 0 and proved > best:
                    best, window = proved, (first, last)
            lower[b, s], windows[b, s] = best, window
    return Bounds(R, upper, lower, windows)


def _rounding(p: LossWeights, b: int, s: int, steps: int, R: Regularizer) -> tuple[float, float]:
    """What rounding may have moved R°(Aᵀp) of one step, and of sums since the start.

    An error δ with |δ| ≤ e entrywise has R°(δ) ≤ √size R°(e): monotone norms need no factor, and the others here, of
    singular values and of spectra, are within √size of the Euclidean one.
    """
    assert p.current_image is not None
    shape = p.current_image.shape[2:]
    widened = float(np.sqrt(np.prod(shape)))
    one, sums = (
        p.image_error(0, float(p.current[b, s].sum()), shape),
        p.image_error(steps, float(p.total[b, s].sum()), shape),
    )
    return widened * R.dual_norm(one), widened * R.dual_norm(sums)


def _means(steps: NDArray[np.int64], p: LossWeights, b: int, s: int) -> Iterator[tuple[int, int, float, Array]]:
    """(first step, last step, Σp, Aᵀp) of the sums whose bounds are compared at snapshot s."""
    last = int(steps[s])
    assert p.current_image is not None
    assert p.total_image is not None
    yield last, last, float(p.current[b, s].sum()), p.current_image[b, s]
    yield 0, last, float(p.total[b, s].sum()), p.total_image[b, s]
    back = 1
    while back <= s:
        before = s - back
        weights = p.total[b, s] - p.total[b, before]
        yield int(steps[before]) + 1, last, float(weights.sum()), p.total_image[b, s] - p.total_image[b, before]
        back *= 2
