"""`flow_limit`: where gradient flow ends, with the evidence that it ends there.

The normalized flow is integrated from the model's own parameters (`integration`); as it settles, the KKT system that it
identifies is solved, and the answer is believed on proof (`arrival`). Here is the door: data and models are checked,
and the margin map that suits the architecture is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_data
from gd.flow.arrival import Run
from gd.flow.integration import Flow
from gd.flow.limit import Limit
from gd.flow.margin_map import FullyConnectedMap, MarginMap, ProductMap, same_architecture
from gd.flow.module_map import ModuleMap
from gd.flow.multi_channel_map import MultiChannelMap
from gd.flow.sliding import SlidingMap
from gd.losses import find_loss
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
from gd.networks.multi_channel import MultiChannelCNN
from gd.squared_loss.flow import squared_flow_limit
from solvers.problem import MarginProblem
from solvers.regularizers import L2
from solvers.separability import raise_if_not_separable
from solvers.validation import check_problem


@overload
def flow_limit(model: nn.Module, X: ArrayLike | Tensor, y: ArrayLike | Tensor, **options: Any) -> Limit: ...
@overload
def flow_limit(
    model: Sequence[nn.Module], X: ArrayLike | Tensor, y: ArrayLike | Tensor, **options: Any
) -> list[Limit]: ...


def flow_limit(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str = "exponential",
    seed: int = 0,
    tol: float | None = None,
    device: str | torch.device | None = None,
    path_tolerance: float = 1e-3,
    max_steps: int | None = None,
    snapshots_per_decade: int = 40,
    progress: Callable[[int, float], None] | None = None,
    **options: Any,
) -> Limit | list[Limit]:
    """The limit direction of gradient flow on a margin loss,

        dw/dt = −∇_w Σ_n ℓ(y_n f(x_n; w)),    w(0) = the model's parameters,    w(t)/‖w(t)‖ → ?,

    for a network f homogeneous of degree L in its weights, ℓ(m) = e^{−m} or ln(1 + e^{−m}).

    Args:
        model: a network of this package or any `torch.nn.Module` without biases; or several of one architecture, which
            are integrated as one batch, each with its own steps. Models are not modified.
        X: inputs, shape (N, …).
        y: labels ±1, shape (N,), or (N, M) for M outputs (then every (n, m) is a constraint).
        loss: "exponential" or "logistic". "squared" is another flow with another answer, a `SquaredLimit`: `tol`
            (there the largest residual), `max_steps`, `device` and `**options` go to `gd.squared_flow_limit`.
        seed: of the random probes that measure homogeneity.
        tol: largest relative duality gap (convex) and relative KKT residual ε/‖w̃‖ of a limit called found; 1e-9
            unless given.
        device: CUDA where there is one, else the CPU, unless given. Always float64.
        path_tolerance: angle in radians by which one step of the path may err.
        max_steps: attempted steps per model before giving up; 20,000 unless given.
        snapshots_per_decade: density of the recorded path in τ.
        progress: called with (attempted steps, models still running) every 50 steps.

    Returns:
        A `Limit`, or a list of them in the order of the models. Read `status`: only OPTIMAL and STATIONARY say where
        the flow ends as the theorems predict it.

    Raises:
        NotHomogeneousError: the module has a bias or otherwise does not scale (with the measured deviation).
        NotSeparableError: linear networks, when no predictor separates the data (with its Farkas certificate).
        ValueError: data not finite or of wrong shape, labels not ±1, unknown loss, a mixed batch, zero weights.

    Reference: Lyu, Li (2020), Theorems 4.1 and 4.4; Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2, 2a.

    >>> import numpy as np
    >>> from gd.networks.linear import Diagonal
    >>> limit = flow_limit(Diagonal(3, 2, seed=0), [[2.0, 1.0, 1.0], [-1.0, -3.0, 1.0]], [1.0, -1.0])
    >>> limit.status.name, np.round(limit.predictor, 12) + 0.0
    ('OPTIMAL', array([0.4, 0.2, 0. ]))
    """
    if loss == "squared":
        if progress is not None or path_tolerance != 1e-3 or snapshots_per_decade != 40:
            raise TypeError(
                "with loss='squared' there is no path_tolerance, snapshots_per_decade or progress; use accuracy= and "
                "times= of `squared_flow_limit` instead"
            )
        shared = {"tolerance": tol, "max_steps": max_steps, "device": device}
        options = {name: value for name, value in shared.items() if value is not None} | options
        return squared_flow_limit(model, X, y, **options)  # type: ignore[return-value, arg-type, unused-ignore]
    tol, max_steps = 1e-9 if tol is None else tol, 20_000 if max_steps is None else max_steps
    if options:
        raise TypeError(f"flow_limit does not take {', '.join(sorted(options))} with loss={loss!r}")
    if loss not in ("exponential", "logistic"):
        raise ValueError(f"loss must be 'exponential', 'logistic' or 'squared', got {loss!r}")
    if not (0 < tol < 1 and 0 < path_tolerance < 1):
        raise ValueError(f"tol and path_tolerance must lie in (0, 1), got {tol!r} and {path_tolerance!r}")
    models = [model] if isinstance(model, nn.Module) else list(model)
    if not models:
        raise ValueError("model is an empty list; give one network or several of one architecture")
    same_architecture(models)
    inputs, labels = check_data(models[0], X, y, find_loss(loss))
    problem = _induced_problem(models[0], inputs, labels)
    where = torch.device(device) if device is not None else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mapping = margin_map(models[0], inputs.to(where), labels.to(where), seed)
    start = mapping.start(models)
    if not (torch.isfinite(start).all() and bool((torch.linalg.vector_norm(start, dim=1) > 0).all())):
        raise ValueError("the parameters must be finite and not all zero: at w = 0 gradient flow has no direction")
    flow = Flow.begin(mapping, start, logistic=loss == "logistic", tolerance=path_tolerance)
    run = Run(models, mapping, problem, labels, tol, snapshots_per_decade)
    limits = run.to_the_end(flow, max_steps, progress)
    return limits[0] if isinstance(model, nn.Module) else limits


def margin_map(model: nn.Module, X: Tensor, y: Tensor, seed: int = 0) -> MarginMap:
    """The margin map of a model: in closed form for the linear networks here, by `torch.func` for any other."""
    if type(model) is Diagonal or (type(model) is Convolutional and model.full_width):
        return ProductMap(model, X, y)
    if type(model) is FullyConnected:
        return FullyConnectedMap(model, X, y)
    if type(model) is MultiChannelCNN:
        return MultiChannelMap(model, X, y)
    if y.numel() == X.shape[0] and (sliding := SlidingMap(model, X, y, seed)).n_units:
        return sliding
    return ModuleMap(model, X, y, seed)


def _induced_problem(model: nn.Module, X: Tensor, y: Tensor) -> MarginProblem | None:
    """The constraints on β for a linear network, refused here when no β satisfies them."""
    if not isinstance(model, LinearNetwork):
        return None
    problem = check_problem(X.numpy(), y.numpy(), L2())
    raise_if_not_separable(problem.A, problem.label_shape)
    return problem
