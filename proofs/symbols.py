"""Indeterminates by what is assumed of them, and many equations as one.

A name such as "t0:3" gives a tuple of three symbols, "t s" one symbol a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from sympy import Integer, symbols

real = partial(symbols, real=True)
complex_ = partial(symbols, complex=True)
nonnegative = partial(symbols, nonnegative=True)
positive = partial(symbols, positive=True)
integer = partial(symbols, integer=True)
whole = partial(symbols, integer=True, positive=True)
"""1, 2, 3, …: sizes and depths."""


def dot(left: Iterable[Any], right: Iterable[Any]) -> Any:
    """Σ_i left_i right_i."""
    return sum((u * v for u, v in zip(left, right, strict=True)), Integer(0))


def tagged(values: Sequence[Any]) -> Any:
    """Σ_i t_i values_i with indeterminate t: two such sums are equal only if all their entries are."""
    return dot(real(f"t0:{len(values)}"), values)
