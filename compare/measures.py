"""How far apart two predictors are: the angle between them, and what one loses in margin.

Both are invariant under positive scaling of either predictor, because only directions have limits: on separable data
‖β(t)‖ → ∞. Distances between functions are in `compare.function_distance`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.arrays import Array, plain_array, real_array
from solvers.regularizers import Regularizer
from solvers.validation import check_problem, check_regularizer


def angle(a: ArrayLike, b: ArrayLike) -> float:
    """The angle between a and b in radians, in [0, π], to about 1e-15 even where it is tiny or near π:

        ∠(a, b) = 2 atan2( ‖a/‖a‖ − b/‖b‖‖, ‖a/‖a‖ + b/‖b‖‖ ).

    arccos⟨a, b⟩/(‖a‖‖b‖) cannot tell angles below 1e-8 from 0.

    Args:
        a: of any shape, real or complex (then taken as a real vector of twice the length), at any scale from denormal
            to near overflow.
        b: as `a`, of the same shape.

    Returns:
        The angle in radians.

    Raises:
        ValueError: the shapes differ, or a or b is zero (it has no direction) or not finite.

    Reference: Kahan (2006), "How futile are mindless assessments of roundoff in floating-point computation?", §12.

    >>> angle([1.0, 0.0], [1.0, 1e-12])
    1e-12
    >>> round(math.degrees(angle([1.0, 1.0], [-2.0, 0.0])), 12)
    135.0
    """
    u, v = direction(a, "a"), direction(b, "b")
    if np.shape(a) != np.shape(b):
        raise ValueError(f"an angle needs two vectors of one shape, got {np.shape(a)} and {np.shape(b)}")
    return 2.0 * math.atan2(float(np.linalg.norm(u - v)), float(np.linalg.norm(u + v)))


def direction(a: ArrayLike, name: str = "the vector") -> Array:
    """a/‖a‖₂, flattened and real. Its length is right to one rounding, or angles near 0 would see the error.

    Raises ValueError when a is zero, empty, or not finite.
    """
    flat: NDArray[Any] = np.ravel(plain_array(a))
    if np.iscomplexobj(flat):
        flat = np.concatenate([flat.real, flat.imag])
    x = real_array(name, flat)
    largest = float(np.abs(x).max(initial=0.0))
    if not math.isfinite(largest):
        raise ValueError(f"{name} has entries that are not finite, so it has no direction")
    if largest == 0.0:
        raise ValueError(f"{name} is zero, so it has no direction and no angle to anything")
    # powers of two scale exactly; two steps, for the reciprocal of a denormal overflows
    exponent = math.frexp(largest)[1]
    x = np.ldexp(x, -exponent)
    return np.asarray(x / math.sqrt(math.fsum(x * x)))


def normalized_margin(X: ArrayLike, y: ArrayLike, beta: ArrayLike, regularizer: Regularizer | str) -> float:
    """γ(β) = min_n y_n⟨x_n, β⟩ / R(β), the number that is maximal at the predicted limit. Units of X per unit of R.

    For K ≥ 3 classes it is min ⟨β_{y_n} − β_k, x_n⟩ / R(β) over all n and k ≠ y_n.

    Args:
        X: points, shape (N, *β.shape).
        y: labels −1 or +1, shape (N,), or K ≥ 3 classes (then β has a row a class).
        beta: the predictor β, of any shape.
        regularizer: R, or its name, homogeneous of degree one, so that γ does not depend on the scale of β.

    Returns:
        γ(β), negative where β gives a point the wrong sign.

    Raises:
        ValueError: β is zero.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2 and 2a: gradient descent maximizes it at its limit.

    >>> from solvers.regularizers import L2
    >>> normalized_margin([[3.0, 4.0]], [1.0], [6.0, 8.0], L2())
    5.0
    """
    β = real_array("beta", beta)
    regularizer = check_regularizer(regularizer)
    cost = regularizer.value(β)
    if cost == 0.0:
        raise ValueError("the predictor is zero, so it has no normalized margin")
    problem = check_problem(X, y, regularizer)
    return float(problem.margins(β.reshape(problem.shape)).min()) / cost


def margin_gap(X: ArrayLike, y: ArrayLike, beta: ArrayLike, best: ArrayLike, regularizer: Regularizer | str) -> float:
    """1 − γ(β)/γ(β*): the share of the best normalized margin that β misses; 0 at the limit, 1 or more if β errs.

    Args:
        X: points, shape (N, *β.shape).
        y: labels −1 or +1, shape (N,), or K ≥ 3 classes (then β has a row a class).
        beta: the predictor β that is measured, of any shape.
        best: the predictor β* of largest normalized margin, shape of β.
        regularizer: R, or its name, in which both margins are normalized.

    Returns:
        The share, dimensionless.

    Raises:
        ValueError: β or β* is zero.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2 and 2a: the share goes to 0 for convex R.

    >>> from solvers.regularizers import L2
    >>> margin_gap([[1.0, 0.0]], [1.0], [3.0, 4.0], [1.0, 0.0], L2())
    0.4
    """
    best_margin = normalized_margin(X, y, best, regularizer)
    return 1.0 - normalized_margin(X, y, beta, regularizer) / best_margin
