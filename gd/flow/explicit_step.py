"""Explicit steps for the first part of a flow with kinks: Runge-Kutta-Chebyshev formulas of order two.

An implicit step finds the states of all kinks at its end, in rounds that each cost a Jacobian (`gd.flow.kink_states`).
That is what a flow needs that slides along kinks and ties for ever, and dear where filters of a convolution cross
hundreds of kinks in a step. While ‖w‖ is small, the flow is only mildly stiff. It is the gradient flow of the smoothed
margin at held temperature T, so the eigenvalues of its Jacobian are real, and of size

    ϱ = Σ_n p_n ‖∇m_n‖² / T + curvature of the margins                                                       (1)

at most: the part of the weights p is their covariance of the gradients over T, and at most its trace. A formula with s
stages is stable along a real interval of length 0.65 (s² − 1), so a step of length h costs √(1.54 hϱ) gradients of the
loss and nothing else. Where it crosses a kink, or chatters across one that attracts the flow, its error shows the jump
of the force and holds it short. Once such steps no longer lead as far as an implicit one for as many gradients as that
costs, at most `GRADIENTS`, the flow is stiff and stays implicit.

Reference: Sommeijer, Shampine, Verwer (1998), "RKC: an explicit solver for parabolic PDEs", section 2; Hairer, Wanner
(1996), section IV.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

SHARE = 0.01
"""Of the tolerance of an implicit step, for one of the explicit ones, which are many and cheap. At ten times as much a
network of three classes (8 → 15 → 3) ended elsewhere than at smaller tolerances."""
GRADIENTS = 1000
"""After which the flow is stiff, if they did not lead as far as an implicit step; one for each kink where there are
fewer: then an implicit step costs no more. (1-D max pooling, 15 points and 32 units: 16 s with, 29 s without.)"""
TURN = 2.0  # times the root of the tolerance: radians that an implicit step turns
STRETCH = 0.5  # of |θ|, after which a step ends in any case
DAMPING = 2.0 / 13.0


@dataclass(frozen=True)
class Explicit:
    """Where a number of explicit steps lead."""

    theta: Tensor
    elapsed: float
    """The time that was integrated."""
    step: float
    """To begin the next ones with."""
    stiff: bool
    """Whether so many gradients did not lead far."""


Force = Callable[[Tensor], Tensor]


def explicit_steps(
    force: Force, theta: Tensor, radius: float, h: float, tolerance: float, gradients: int = GRADIENTS
) -> Explicit:
    """θ′ = force(θ) from θ (P,), until θ has turned or grown as in one implicit step, or the gradients are spent.

    Args:
        force: the right side.
        theta: not zero.
        radius: a bound of the right side's Jacobian, as (1).
        h: the first step to try.
        tolerance: of an implicit step, radians.
        gradients: how many may be computed.
    """
    start, elapsed, spent = theta, 0.0, 1
    slope = force(theta)
    while True:
        stages = 1 + math.isqrt(1 + int(1.54 * h * radius))
        if stages > gradients - spent:
            return Explicit(theta, elapsed, h, stiff=True)
        stages = max(stages, 2)
        there = chebyshev_step(force, theta, slope, h, stages)
        last = force(there)
        spent += stages
        error = float(torch.linalg.vector_norm(0.8 * (theta - there) + 0.4 * h * (slope + last)))
        error /= float(torch.linalg.vector_norm(there))
        factor = 0.8 * (SHARE * tolerance / max(error, 1e-300)) ** (1.0 / 3.0) if math.isfinite(error) else 0.2
        if factor >= 0.8:
            theta, slope, elapsed = there, last, elapsed + h
            if _far(start, theta, TURN * tolerance**0.5):
                return Explicit(theta, elapsed, h * min(factor, 3.0), stiff=False)
        h *= min(max(factor, 0.2), 3.0)


def chebyshev_step(force: Force, y: Tensor, slope: Tensor, h: float, stages: int) -> Tensor:
    """One step of length h with so many stages, at least 2, from y where the force is `slope`."""
    begin, rest = _coefficients(stages)
    before, now, first = y, y + begin * h * slope, h * slope
    for mu, nu, step, start in rest:
        after = (1.0 - mu - nu) * y + mu * now + nu * before + step * h * force(now) - start * first
        before, now = now, after
    return now


@lru_cache(maxsize=256)
def _coefficients(stages: int) -> tuple[float, tuple[tuple[float, float, float, float], ...]]:
    """μ̃ of the first stage; μ, ν, μ̃ and −γ̃ of each other one."""
    w0 = 1.0 + DAMPING / stages**2
    # the Chebyshev polynomials T_j(w0) and their first two derivatives
    t, d, dd = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for j in range(2, stages + 1):
        t.append(2.0 * w0 * t[j - 1] - t[j - 2])
        d.append(2.0 * w0 * d[j - 1] + 2.0 * t[j - 1] - d[j - 2])
        dd.append(2.0 * w0 * dd[j - 1] + 4.0 * d[j - 1] - dd[j - 2])
    w1 = d[stages] / dd[stages]
    b = [0.0, 1.0 / w0, *(dd[j] / d[j] ** 2 for j in range(2, stages + 1))]
    b[0] = b[2]
    rest = []
    for j in range(2, stages + 1):
        step = 2.0 * w1 * b[j] / b[j - 1]
        rest.append((2.0 * w0 * b[j] / b[j - 1], -b[j] / b[j - 2], step, (1.0 - b[j - 1] * t[j - 1]) * step))
    return w1 * b[1], tuple(rest)


def _far(start: Tensor, theta: Tensor, turn: float) -> bool:
    size, before = float(torch.linalg.vector_norm(theta)), float(torch.linalg.vector_norm(start))
    turned = float(torch.linalg.vector_norm(theta / size - start / before))
    return turned >= turn or not 1.0 - STRETCH < size / before < 1.0 + STRETCH
