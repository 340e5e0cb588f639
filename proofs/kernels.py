"""Kernels as exact rationals: where the numbers of a user come in."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from flint import fmpq
from numpy.typing import ArrayLike


def rational_kernels(summands: Sequence[ArrayLike]) -> list[list[fmpq]]:
    """One or more vectors of one length K ≥ 1; floats are the binary fractions that they are, texts the rationals
    that they say.

    Raises:
        ValueError: when kernels differ in length, are empty, are no vectors, or hold what is not a finite real number.
    """
    kernels = [_rationals(a) for a in summands]
    lengths = sorted({len(a) for a in kernels})
    if len(lengths) != 1 or lengths == [0]:
        raise ValueError(f"the kernels must share one length K ≥ 1, got {len(kernels)} kernels of lengths {lengths}")
    return kernels


def _rationals(a: ArrayLike) -> list[fmpq]:
    entries = list(a) if isinstance(a, (list, tuple)) else list(np.atleast_1d(np.asarray(a)))
    if any(np.ndim(entry) > 0 for entry in entries):
        raise ValueError(
            f"each kernel must be one vector of length K, got an array of shape {np.shape(a)}; "
            "pass several kernels as separate arguments"
        )
    try:
        exact = [number(v) for v in entries]
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"the kernels must be finite real numbers; {error}") from error
    return [fmpq(v.numerator, v.denominator) for v in exact]


def number(value: object) -> Fraction:
    """Python's and numpy's numbers as they are, sympy rationals and texts through what they print."""
    if isinstance(value, (int, float, Fraction)):
        return Fraction(value)
    return Fraction(value.item()) if isinstance(value, (np.integer, np.floating)) else Fraction(str(value))
