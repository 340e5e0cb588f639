"""What a function of one variable says about itself so that it can be compared exactly: where it changes its formula.

A class of functions takes part by a method `as_piecewise`; scipy's splines and callables with `knots` need none. Any
other callable is a function of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.interpolate import PPoly

from solvers.arrays import Array

Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Piecewise:
    """A function by its cuts, its values given the piece they belong to, and its slope."""

    cuts: Array
    linear: tuple[Array, Array] | None
    """Slopes and intercepts, one more than cuts, for a piecewise-linear function."""
    value: Function
    slope: Function | None = None
    monotone_slope: bool = False
    """Whether the slope is monotone between cuts."""
    plain: bool = False
    """Whether nothing is known of it, not even where it changes its formula."""

    def on(self, x: Array, middle: Array) -> Array:
        """Values at x, on the piece around `middle`: at a jump the side is that of the piece."""
        if self.linear is None:
            return self.value(x)
        k = np.searchsorted(self.cuts, middle)
        return self.linear[0][k] * x + self.linear[1][k]


@runtime_checkable
class HasPieces(Protocol):
    """A function that knows its pieces."""

    def as_piecewise(self) -> Piecewise:
        """Its pieces."""


def piecewise(f: Any) -> Piecewise:
    """The pieces of a function: those it says, those of a scipy spline, or those between its `knots`.

    Of any other function nothing is known but its values. Raises TypeError for what cannot be called.
    """
    if isinstance(f, HasPieces):
        return f.as_piecewise()
    if isinstance(f, PPoly) and f.c.shape[0] == 2:  # a piece is c[1] + c[0] (x − its start)
        return Piecewise(f.x[1:-1], (f.c[0], f.c[1] - f.c[0] * f.x[:-1]), f)
    knots = getattr(f, "knots", getattr(f, "x", None))
    if callable(f) and knots is not None:
        return smooth_between(np.asarray(knots, dtype=np.float64), f)
    if not callable(f):
        raise TypeError(f"{type(f).__name__} is no function of one variable: a network, a spline, or any callable")
    return Piecewise(np.zeros(0), None, lambda x: values_of(f, x), plain=True)


def values_of(f: Any, x: Array) -> Array:
    """f at every x, where f takes arrays or single numbers. Raises TypeError where it gives no number for each."""
    try:
        values = np.asarray(f(x), dtype=np.float64)
    except (TypeError, ValueError):  # of numbers alone, as those of `math`
        values = np.array([f(float(each)) for each in x.ravel()], dtype=np.float64).reshape(x.shape)
    if values.ndim and values.shape != x.shape:
        raise TypeError(f"{type(f).__name__} gave values of shape {values.shape} for x of shape {x.shape}")
    return np.broadcast_to(values, x.shape)


def smooth_between(knots: Array, f: Function) -> Piecewise:
    """A function of which nothing is known between its knots but that it is smooth."""
    return Piecewise(knots, None, f)


def with_linear_density(knots: Array, density: Array, f: Function, derivative: Function) -> Piecewise:
    """A function with f″ = ζℓ, ζ ≥ 0 and ℓ linear between knots: f′ is monotone between those and the zeros of ℓ."""
    a, b, p, q = knots[:-1], knots[1:], density[:-1], density[1:]
    turning = p * q < 0
    zeros = (a + (b - a) * np.divide(p, p - q, out=np.zeros_like(p), where=turning))[turning]
    return Piecewise(np.sort(np.concatenate([knots, zeros])), None, f, derivative, True)
