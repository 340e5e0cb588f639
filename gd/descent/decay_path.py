"""A homogeneous network trained with weight decay, for a falling sequence of decays.

    minimize over w:   Σ_n exp(−m_n(w)) + (λ/2)‖w‖²,      m_n(w) = y_n f(x_n; w)                                   (1)

Explicit control of ‖w‖, where gradient flow controls it implicitly. As λ → 0 global minimizers tend, in direction, to
the largest normalized margin. They do so like 1/ln(1/λ), so λ has to be exp(−10⁶) for six digits: what is minimized is
the logarithm of (1), which has the same stationary points and is a number of ordinary size for every λ,

    F(w) = ln( e^{a} + e^{b} ),     a = ln Σ_n e^{−m_n(w)},     b = ln(λ/2) + 2 ln‖w‖.

Newton's method with a trust region; the next decay starts where the last one ended, stretched by the growth of ln(1/λ).

Reference: Wei, Lee, Liu, Ma (2019), "Regularization matters", Theorem 4.1, for the limit λ → 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from gd.flow.weight_polish import gradients, hessian
from gd.gradient_mode import with_gradients
from gd.networks.linear_network import LinearNetwork
from solvers.arrays import Array

LARGEST = 600
"""Weights up to which (1) is minimized: every step factors the Hessian."""


@dataclass(frozen=True)
class Decayed:
    """A stationary point of (1)."""

    log_decay: float
    """ln λ."""
    beta: Array = field(repr=False)
    """The predictor."""
    square: float
    """‖w‖²."""
    log_loss: float
    """ln Σ exp(−m_n)."""
    margin: float
    """min_n m_n, not normalized."""
    residual: float
    """‖w‖‖∇F(w)‖, dimensionless."""


@with_gradients
def decay_path(
    model: LinearNetwork, X: Array, y: Array, log_decays: Sequence[float], *, max_steps: int = 500
) -> list[Decayed]:
    """Train from the model's weights at each decay in turn; the model itself is left alone.

    Args:
        model: a linear network of depth L.
        X: points, (N, …) as the model takes them.
        y: labels ±1, (N,).
        log_decays: ln λ, descending and below zero.
        max_steps: of Newton's method for each decay.

    Returns:
        A stationary point for each decay.

    Raises:
        ValueError: decays do not descend, or the model has too many weights.
    """
    shapes = [tuple(w.shape) for w in model.weights]
    sizes = [int(np.prod(shape)) for shape in shapes]
    if list(log_decays) != sorted(set(log_decays), reverse=True) or not log_decays or log_decays[0] >= 0:
        raise ValueError(f"ln λ must descend from below zero, got {list(log_decays)}")
    if sum(sizes) > LARGEST:
        raise ValueError(f"decay_path takes up to {LARGEST} weights, got {sum(sizes)}")
    A = torch.as_tensor(np.asarray(y)[:, None] * np.asarray(X).reshape(len(X), -1))

    def predictor(w: Tensor) -> Tensor:
        parts = [p.reshape(shape) for p, shape in zip(torch.split(w, sizes), shapes, strict=True)]
        return model.P(parts)

    def loss(w: Tensor) -> Tensor:
        return torch.logsumexp(-(A @ predictor(w).flatten()), 0)

    w = torch.cat([v.detach().flatten() for v in model.weights]).double()
    found: list[Decayed] = []
    for log_decay in log_decays:
        if found:  # min m ~ ln(1/λ), so ‖w‖ grows like its L-th root
            w = w * (log_decay / found[-1].log_decay) ** (1.0 / model.depth)
        w, residual = _stationary(loss, w, log_decay, max_steps)
        with torch.no_grad():
            beta = predictor(w)
            found.append(
                Decayed(
                    log_decay,
                    np.asarray(beta),
                    float(w @ w),
                    float(loss(w)),
                    float((A @ beta.flatten()).min()),
                    residual,
                )
            )
    return found


def _stationary(loss: Callable[[Tensor], Tensor], w: Tensor, log_decay: float, max_steps: int) -> tuple[Tensor, float]:
    """A minimizer of F near w, in units of ‖w‖."""
    unit = float(torch.linalg.vector_norm(w))

    def F(v: Tensor) -> Tensor:
        norm = log_decay - np.log(2.0) + torch.log(v @ v) + 2.0 * np.log(unit)
        return torch.logsumexp(torch.stack([loss(unit * v), norm]), 0)

    def gradient(v: Tensor) -> Tensor:
        return gradients(lambda t: F(t)[None], v)[0]

    answer = minimize(
        lambda v: float(F(torch.as_tensor(v))),
        (w / unit).numpy(),
        jac=lambda v: gradient(torch.as_tensor(v)).numpy(),
        hess=lambda v: hessian(F, torch.as_tensor(v)).numpy(),
        method="trust-exact",
        options={"maxiter": max_steps, "gtol": 1e-10},
    )
    v = torch.as_tensor(answer.x)
    residual = float(torch.linalg.vector_norm(gradient(v)) * torch.linalg.vector_norm(v))
    return unit * v, residual
