"""Gradient flow of the squared loss, followed in function space to its end.

    w′ = −∇½‖r‖² = −J(w)ᵀ r,      r = f(X; w) − y,      so      r′ = −Θ r,   Θ = J Jᵀ  (N × N).

Where J does not move, training the output layer or the linearized network, one step reaches t = ∞ and is exact;
`linear_limit` is that step without the machinery. Elsewhere it takes the exponential steps of
`gd.squared.exponential_steps`. Time is that of w′ = −∇½‖r‖²: a step η of plain gradient descent is a time of η.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_count, check_data, check_models, choose_device, finite_tensor, on_cpu
from gd.forward_pass import check_fixed_function, check_forward_pass
from gd.gradient_mode import with_gradients
from gd.losses import Squared
from gd.squared.exponential_steps import Integration
from gd.squared.squared_limit import SquaredLimit
from gd.squared.tangent import TangentBundle, tangent_bundle
from solvers.arrays import Array
from solvers.search import deadline_after


@with_gradients
def squared_flow_limit(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    tol: float = 1e-10,
    accuracy: float = 1e-4,
    times: ArrayLike = (),
    grid: ArrayLike | Tensor | None = None,
    stop_at_last_time: bool = False,
    max_steps: int = 10_000,
    device: str | torch.device | None = None,
    progress: Callable[[int, int], None] | None = None,
    time_limit: float = math.inf,
) -> SquaredLimit:
    """Follow gradient flow of ½ Σ (f(x_n; w) − y_n)²,

        w′ = −J(w)ᵀ(f(X; w) − y),    until  max_n |f(x_n) − y_n| ≤ tol · max(1, max|y|).

    Args:
        model: a network, or several of one architecture, which run as one batch, each with its own steps. Not modified.
        X: inputs, shape (N, …); (N, 1) for `WideReLU`.
        y: targets of the outputs' shape.
        tol: of the residual, relative to max(1, max|y|).
        accuracy: largest error estimate of a step, relative to the distance the weights have moved so far. The kept
            result is of one order higher: for widths of some hundreds and more, functions come out right to about
            a thousandth of it.
        times: ascending times > 0, shape (S,), at which f is recorded, besides the end.
        grid: further inputs, shape (G, …), at which f is recorded at these times.
        stop_at_last_time: end at the last of `times` instead of at the limit.
        max_steps: accepted and rejected together.
        device: CUDA where there is one and the Jacobian has 10⁶ entries (below, the CPU is faster), else the CPU,
            unless given. Always float64.
        progress: called with (attempted steps, networks still running) every 50 steps.
        time_limit: seconds after which no step is taken; networks that still run are then UNFINISHED.

    Returns:
        The limit; read `status` before the weights.

    Raises:
        ValueError: data that do not fit, times that do not ascend, or an output that becomes not finite.

    Reference: Jin, Montúfar (2023), section 3, for the linearized flow; Hochbruck, Ostermann (2010), *Exponential
    integrators*, for the method.

    >>> from gd.networks.wide_relu import WideReLU
    >>> from solvers.splines.initial_distributions import UniformInit
    >>> net = WideReLU(2000, UniformInit(1.0, 2.0), seed=0)
    >>> limit = squared_flow_limit(net, [[-1.0], [0.0], [1.0]], [0.0, 1.0, 0.0])
    >>> limit.status[0].name, bool(limit.residual[0] < 1e-10)
    ('FITTED', True)
    """
    began, deadline = time.perf_counter(), deadline_after(time_limit)
    max_steps = check_count("max_steps", max_steps)
    bundle, targets = _bundle(model, X, y, device)
    where = bundle.start.device
    stops = np.asarray(on_cpu(times), dtype=np.float64).ravel()
    if stops.size and (stops[0] <= 0 or np.any(np.diff(stops) <= 0) or not np.isfinite(stops).all()):
        raise ValueError("times must be finite, positive and ascending")
    if stop_at_last_time and not stops.size:
        raise ValueError("stop_at_last_time needs `times`")
    if not (0 < tol < 1 and 0 < accuracy < 1):
        raise ValueError(f"tol and accuracy must lie in (0, 1), got {tol!r} and {accuracy!r}")
    with torch.no_grad():
        points = None if grid is None else finite_tensor("grid", grid).to(where)
        run = Integration(bundle, targets.flatten(), tol, accuracy, stops, points, stop_at_last_time)
        for attempt in range(max_steps):
            if not bool(run.open.any()) or time.monotonic() >= deadline:
                break
            run.step()
            run.drop_finished()
            if progress is not None and attempt % 50 == 49:
                progress(attempt + 1, int(run.open.sum()))
        run.restore()
        return run.result(time.perf_counter() - began)


def _bundle(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    device: str | torch.device | None,
) -> tuple[TangentBundle, Tensor]:
    """The tangents of checked models on checked data, and the checked targets."""
    models = check_models(model)
    inputs, checked = check_data(models[0], X, y, Squared())
    for one in models:
        check_forward_pass(one, inputs)
        check_fixed_function(one, inputs)
    targets = checked.values
    where = choose_device(device, models, targets.numel())
    return tangent_bundle(models, inputs, targets, where), targets.to(where)


@with_gradients
def linear_limit(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    device: str | torch.device | None = None,
) -> Mapping[str, Array]:
    """The limit in closed form where f is linear in the trained weights (train="output" or "linearized"):

        w(∞) = w(0) − Jᵀ Θ⁻¹ (f(X; w(0)) − y),      the weights nearest to w(0) that fit.

    Returns the parameters by name, each (B, …). For other networks this is one Gauss–Newton step, and no limit.

    Raises ValueError for data that do not fit and where Θ is singular (fewer effective units than points).
    """
    with torch.no_grad():
        bundle, targets = _bundle(model, X, y, device)
        tangent = bundle.at(bundle.start)
        factor, failed = torch.linalg.cholesky_ex(tangent.kernel)
        if bool(failed.any()):
            raise ValueError(
                f"the tangent kernel of run {int(failed.nonzero()[0])} is singular: the network is too narrow to fit "
                f"{targets.numel()} values, so no weights nearest to the start fit them"
            )
        right = (tangent.outputs - targets.flatten()).unsqueeze(-1)
        W = bundle.start - tangent.pull(torch.cholesky_solve(right, factor).squeeze(-1))
        return {name: part.cpu().numpy().copy() for name, part in bundle.named(W).items()}


@with_gradients
def stable_step(
    model: nn.Module, X: ArrayLike | Tensor, y: ArrayLike | Tensor, *, device: str | torch.device | None = None
) -> float:
    """The bound 2/λ_max(Θ(0)) below which plain gradient descent on ½‖r‖² converges for a wide network.

    In the paper's notation 2/(n λ_max), with Θ = n Θ̂_n for n units. A step is given to `descend` as a fraction of it.

    Reference: Jin and Montúfar (2023), the learning-rate condition of Theorem 1.
    """
    with torch.no_grad():
        bundle, _ = _bundle(model, X, y, device)
        return 2.0 / float(torch.linalg.eigvalsh(bundle.at(bundle.start).kernel)[0, -1])
