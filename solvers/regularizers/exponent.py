"""The exponent p of a power norm, as it is checked and as it is printed."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from numbers import Real

import numpy as np

from solvers.arrays import Array
from solvers.extended_precision import power_of_two

SMALLEST = 1e-140
"""Entries down to this size, and up to its reciprocal, have squares whose sums are ordinary numbers."""

_SUBSCRIPTS = str.maketrans("0123456789/", "₀₁₂₃₄₅₆₇₈₉⁄")


def is_exponent(p: object) -> bool:
    """Whether p is a positive number, or infinite."""
    return not isinstance(p, bool) and isinstance(p, Real) and float(p) > 0


def check_exponent(name: str, p: float, infinity: str = "") -> None:
    """Raise ValueError unless 0 < p ≤ 1 or p = 2: the values 2/L with L = 1, 2, 3, …, and those between below 1.

    `infinity` says what p = ∞ is, where that is one more.
    """
    if not (is_exponent(p) and (p <= 1 or p == 2 or (infinity and p == np.inf))):
        raise ValueError(
            f"{name}(p={p!r}): p must be a number with 0 < p ≤ 1, or 2{f', or inf {infinity}' if infinity else ''}; "
            "p = 2/L is the exponent of a network of depth L, 2/3 at depth 3"
        )


def conjugate(p: float) -> float:
    """q with 1/p + 1/q = 1, for p ≥ 1.

    >>> conjugate(1.0), conjugate(1.5), conjugate(float("inf"))
    (inf, 3.0, 1.0)
    """
    return np.inf if p == 1 else 1.0 if p == np.inf else p / (p - 1.0)


def subscript(p: float) -> str:
    """p as it is written under a norm.

    >>> subscript(2.0), subscript(1.0), subscript(2 / 3), subscript(0.3)
    ('₂', '₁', '₂⁄₃', '₃⁄₁₀')
    """
    if p == np.inf:
        return "∞"
    return str(Fraction(p).limit_denominator(1000)).translate(_SUBSCRIPTS)


def power_norm(magnitudes: Array, p: float) -> float:
    """(Σ m^p)^{1/p} for m ≥ 0, scaled by the largest: m^p over- and underflows long before the norm does."""
    largest = float(magnitudes.max(initial=0.0))
    if largest == 0.0:
        return 0.0
    return largest * float(np.sum((magnitudes / largest) ** p) ** (1.0 / p))


def shrinkage(magnitudes: Array, radius: float) -> Array:
    """Factors (1 − τ/m)₊ with τ ≥ 0 such that Σ (m − τ)₊ ≤ radius: the projection onto the ℓ1 ball."""
    if float(magnitudes.sum()) <= radius:
        return np.ones_like(magnitudes)
    # in differences to the largest: a radius far below the magnitudes keeps its digits
    largest = float(magnitudes.max())
    below = np.sort((largest - magnitudes).reshape(-1))
    size = radius + np.cumsum(below)  # k (max − τ) if the k largest stay
    count = np.flatnonzero(below * np.arange(1, below.size + 1) < size)[-1] + 1
    kept = np.maximum(size[count - 1] / count - (largest - magnitudes), 0.0)
    return np.asarray(kept / np.maximum(magnitudes, 1e-300))


def in_range(norm: Callable[[Array], float], x: Array) -> float:
    """norm(x), 1-homogeneous; squares of very large or small entries would leave float64's range, so x is scaled.

    >>> round(in_range(lambda x: float(np.linalg.norm(x)), np.array([3e200, 4e200])) / 1e200, 12)
    5.0
    """
    largest = float(np.abs(x).max(initial=0.0))
    if SMALLEST < largest < 1.0 / SMALLEST or largest == 0.0:
        return norm(x)
    if not np.isfinite(largest):
        return largest
    scale = power_of_two(largest)
    return norm(x / scale) * scale
