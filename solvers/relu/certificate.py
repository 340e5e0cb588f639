"""The certificate of a two-layer ReLU network: its value, and what multipliers prove about every other network.

For any multipliers α ≥ 0 and any network f(x) = Σ_j a_j σ(w_j · x) with margins ≥ 1, of any width,

    Σ_n α_n ≤ Σ_n α_n y_n f(x_n) = Σ_j a_j g(w_j) ≤ Σ_j |a_j|‖w_j‖₂ · max_{‖u‖₂ ≤ 1} |g(u)|,

    g(u) = Σ_n α_n y_n σ(u · x_n),

so Σα over that maximum is a lower bound. The code here takes data, weights and multipliers, and nothing about how they
were found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np

from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.relu.largest_unit import LargestUnit, activation, largest_unit, local_maxima
from solvers.solution import Status


class GlobalOptimum(Enum):
    """Whether a network has the least norm among two-layer networks of every width. The value is the sentence."""

    GLOBAL = "Global: multipliers prove that no network of any width has a smaller norm at margin one."
    NOT_GLOBAL = "Not global: another network has a smaller norm at margin one; it may have more units."
    UNKNOWN = "Not known: no multipliers prove that it is global, and no network of smaller norm proves that it is not."

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, repr=False)
class ReluSolution(Card):
    """A two-layer network f(x) = Σ_j a_j σ(w_j · x) with margins of at least one, and what is proved about its norm."""

    value: float
    """Σ_j |a_j|‖w_j‖₂, which is ½‖θ‖² once every unit is balanced, |a_j| = ‖w_j‖."""
    neurons: Array = field(repr=False)
    """w_j, unit vectors, shape (units, D)."""
    output_weights: Array = field(repr=False)
    """a_j, shape (units,)."""
    dual: Array = field(repr=False)
    """Multipliers α ≥ 0, shape (N,), scaled by the proved bound on the largest response; Σα is `lower_bound`."""
    lower_bound: float
    """No network of any width has a smaller value."""
    status: Status
    """OPTIMAL where the gap is closed by exact enumeration; BOUNDED where the responses are only bounded from above."""
    gap: float
    """(value − lower_bound) / value; inf without a network."""
    sampled_maximum: float | None
    """The largest response found to `dual` scaled to the sum `value`, where units were sampled; it proves nothing.

    None after enumeration. A search that has found everything ends at 1."""
    slope: float = 0.0
    """The slope s of σ(t) = max(t, s t)."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """How it was found: `rounds`."""

    def __call__(self, X: Array) -> Array:
        """f at the rows of X (N, D), shape (N,)."""
        return np.asarray(activation(real_array("X", X) @ self.neurons.T, self.slope) @ self.output_weights)


@dataclass(frozen=True, repr=False)
class ReluCertificate(Card):
    """Whether a network's norm is the least, and the evidence."""

    verdict: GlobalOptimum
    """GLOBAL, NOT_GLOBAL or UNKNOWN; prints a sentence."""
    value: float
    """Σ_j |a_j|‖w_j‖₂ of the network scaled to margin one."""
    margin: float
    """min_n y_n f(x_n) of the network as given."""
    lower_bound: float
    """No network of any width has a smaller value at margin one."""
    gap: float
    """(value − lower_bound) / value."""
    dual: Array = field(repr=False)
    """The multipliers of `lower_bound`, shape (N,)."""
    cheaper: ReluSolution | None
    """A network of smaller value, where NOT_GLOBAL; its number of units is `cheaper.output_weights.size`."""
    entering_unit: Array | None = field(repr=False)
    """The unit vector, shape (D,), that responds most to the multipliers of the network with its own gates held.

    None where these have no multipliers."""
    largest_response: float | None
    """The response of `entering_unit`. Where it is above 1 the unit lowers the value, unless other multipliers pass."""
    sampled_maximum: float | None
    """The largest response found to `dual` scaled to the sum `value`, where units were sampled; it proves nothing."""


def value_at_margin_one(
    points: Array, labels: Array, neurons: Array, outputs: Array, slope: float
) -> tuple[float, float]:
    """Σ_j |a_j|‖w_j‖₂ / margin (inf for a margin ≤ 0), and the margin min_n y_n f(x_n)."""
    margin = float((labels * (activation(points @ neurons.T, slope) @ outputs)).min())
    norm = float(np.abs(outputs) @ np.linalg.norm(neurons, axis=1))
    return (norm / margin if margin > 0 else np.inf), margin


@dataclass(frozen=True)
class DualBound:
    """What multipliers prove."""

    value: float
    """Σα: no network of any width has a smaller value."""
    dual: Array
    """α ≥ 0, scaled by the proved bound on the largest response."""
    largest: LargestUnit
    """The unit that responds most to the multipliers as they were given."""


def dual_bound(
    points: Array,
    labels: Array,
    dual: Array,
    slope: float,
    max_rank: int,
    n_starts: int,
    seed: int,
    deadline: float = np.inf,
) -> DualBound:
    """The bound of any multipliers. Where the rank is too large for the cells, units are sampled to be reported, until
    the deadline."""
    alpha = np.maximum(dual, 0.0)
    weights = labels * alpha
    found = largest_unit(points, weights, slope, max_rank=max_rank)
    if not found.exact:
        random = np.random.default_rng(seed).standard_normal((n_starts, points.shape[1]))
        units, responses = local_maxima(points, weights, slope, np.concatenate([points, -points, random]), deadline)
        found = replace(found, unit=units[0], response=abs(float(responses[0])))
    alpha = alpha / found.upper_bound if found.upper_bound > 0 else np.zeros_like(alpha)
    return DualBound(float(alpha.sum()), alpha, found)
