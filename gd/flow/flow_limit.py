"""`flow_limit`: where gradient flow ends, with the evidence that it ends there.

The normalized flow is integrated from the model's own parameters (`gd.flow.integration`); as it settles, a limit is
looked for (`gd.flow.follow`) and taken on proof (`gd.flow.termination`). Here data and models are checked, and the
margin map that suits the network is chosen. The squared loss has another flow: `gd.squared.squared_flow`.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_count, check_data, check_models, choose_device, on_cpu
from gd.flow.data_scale import data_scale
from gd.flow.follow import Run
from gd.flow.integration import Flow
from gd.flow.limit import Limit
from gd.flow.loss_weights import CrossEntropyWeights, ExponentialWeights, FlowWeights, LogisticWeights
from gd.flow.map_choice import margin_map
from gd.flow.margin_map import MarginMap
from gd.flow.reduced_map import in_few_coordinates
from gd.forward_pass import check_fixed_function, check_forward_pass
from gd.gradient_mode import with_gradients
from gd.losses import Loss, Squared, find_loss
from gd.networks.declaration import declared
from gd.networks.linear_network import LinearNetwork
from gd.squared.linear_flow import LARGEST, linear_flow_limit, with_predictions
from gd.squared.regression_limit import RegressionLimit
from gd.squared.squared_flow import squared_flow_limit
from gd.squared.squared_limit import SquaredLimit
from solvers.labels import label_names
from solvers.problem import MarginProblem
from solvers.regularizers import L2
from solvers.separability import raise_if_not_separable
from solvers.threads import threads_for
from solvers.validation import check_problem

FLOWS: dict[str, Callable[[Tensor], FlowWeights]] = {
    "exponential": lambda _: ExponentialWeights(),
    "logistic": lambda _: LogisticWeights(),
    "cross entropy": lambda values: CrossEntropyWeights(math.prod(values.shape[1:])),
}
"""The weights of each loss, for targets of these values."""
Progress = Callable[[int, int], None]
MANY_KINKS = 8000
"""Kinks from which on the user is warned, where the network is no stack of matrices. (Measured on one core with 60
digits and a 3×3 convolution: 8,640 kinks took 39 s, and 30,720 had no answer after 40 s.)"""


@overload
def flow_limit(  # type: ignore[overload-overlap]  # "squared" is also a str
    model: LinearNetwork | Sequence[LinearNetwork],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: Literal["squared"] | Squared,
    tol: float | None = None,
    max_steps: int | None = None,
    time_limit: float = math.inf,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> RegressionLimit: ...
@overload
def flow_limit(  # type: ignore[overload-overlap]  # "squared" is also a str
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: Literal["squared"] | Squared,
    tol: float | None = None,
    max_steps: int | None = None,
    time_limit: float = math.inf,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> SquaredLimit: ...
@overload
def flow_limit(
    model: nn.Module,
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str | Loss = "exponential",
    seed: int = 0,
    tol: float | None = None,
    settle: float | None = None,
    max_steps: int | None = None,
    time_limit: float = math.inf,
    path_tolerance: float | None = None,
    snapshots_per_decade: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Limit: ...
@overload
def flow_limit(
    model: Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str | Loss = "exponential",
    seed: int = 0,
    tol: float | None = None,
    settle: float | None = None,
    max_steps: int | None = None,
    time_limit: float = math.inf,
    path_tolerance: float | None = None,
    snapshots_per_decade: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> list[Limit]: ...


@with_gradients
def flow_limit(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    loss: str | Loss = "exponential",
    seed: int = 0,
    tol: float | None = None,
    settle: float | None = None,
    max_steps: int | None = None,
    time_limit: float = math.inf,
    path_tolerance: float | None = None,
    snapshots_per_decade: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Limit | list[Limit] | SquaredLimit:
    """The limit direction of gradient flow on a margin loss,

        dw/dt = −∇_w Σ_n ℓ(y_n f(x_n; w)),    w(0) = the model's parameters,    w(t)/‖w(t)‖ → ?,

    for a network f homogeneous of degree L in its weights, ℓ(m) = e^{−m} or ln(1 + e^{−m}).

    Args:
        model: a network of this package or any `torch.nn.Module` without biases; or several of one architecture. Those
            of this package and two-layer (leaky) ReLU networks, of several seeds say, are integrated as one batch, each
            with its own steps; others one after the other. Models are not modified, and parameters that do not require
            a gradient stay as they are.
        X: inputs, shape (N, …).
        y: labels of any two values, shape (N,), or ±1, (N, M), for M tasks of their own (then every (n, m) is a
            constraint); or K ≥ 3 classes, shape (N,), integers or strings, for a network of K outputs (then the margins
            are f_{y_n}(x_n) − f_k(x_n), k ≠ y_n, shape (N, K − 1)).
        loss: "exponential", "logistic", "cross entropy", or that loss as an object. With classes the first two sum over
            all N(K − 1) margins, and the third is Σ_n ln(1 + Σ_k e^{−m_nk}). "squared" (or `gd.Squared()`), with real
            targets y, is another flow with another answer: the `SquaredLimit` of `gd.squared_flow_limit`, which has
            more parameters; for linear networks a `RegressionLimit`, with the predicted interpolant beside it.
        seed: of the random probes that measure homogeneity.
        tol: largest relative duality gap (where R is a norm), or relative KKT residual ε/‖w̃‖ (elsewhere), of a limit
            called found; 1e-9 unless given. With the squared loss the largest residual, 1e-10 unless given.
        settle: follow the flow on after its limit was found, within `max_steps` and `time_limit`, until its own
            smallest margin changed by no more than this, relatively, each of the last two times that ln‖w‖ grew by a
            quarter, and its direction turned by no more than this times ln‖w‖. Where units die slowly a limit is known
            long before; ask for this where `Limit.integrated` is to be compared. Unless given, the flow stops soon
            after.
        max_steps: attempted steps per model before giving up; 20,000 unless given (squared loss: 10,000;
            linear networks with up to 1,000 weights, which are integrated on the CPU: 100,000).
        time_limit: seconds after which no step and no search for a limit starts; the limit is then UNFINISHED unless it
            was found, with everything that is known by then. No limit unless given.
        path_tolerance: angle in radians by which one step of the path may err; 1e-3 unless given.
        snapshots_per_decade: density of the recorded path in τ; 40 unless given.
        device: CUDA where there is one and the Jacobian has 10⁶ entries (below, the CPU is faster), else the CPU,
            unless given. Always float64.
        progress: called with (attempted steps, models still running) every 50 steps, and once a second.

    Warns where a network other than a stack of matrices has 8,000 ReLUs and maxima over all points, and is slow.

    Memory: O((N + K) P) for N constraints, P > 3,000 weights and K ReLUs at zero that the flow slides along.

    Returns:
        A `Limit`, or a list of them in the order of the models. Read `status`: only OPTIMAL and STATIONARY say where
        the flow ends as the theorems predict it.

    Raises:
        NotHomogeneousError: the module has a bias behind its first layer or otherwise does not scale (with the measured
            deviation, and the degree in each layer's parameters).
        NotSeparableError: linear networks, when no predictor separates the data (with its Farkas certificate).
        ValueError: data not finite, of wrong shape, or so large or small that margins or squares of lengths leave
            float64 (1e±290 with two ReLU layers, 1e±145 with one, 1e±150 for linear networks of this package), labels
            not ±1, unknown loss, a mixed batch, zero weights; the forward pass is compiled, does not take X, gives no
            tensor or another number of outputs than there are labels, or has layers in training mode that differ in
            evaluation mode (dropout, batch normalization); or it has kinks that cannot be located: it jumps, draws
            random numbers, branches on the weights' values, or applies an operation to them that is not known to be
            smooth or piecewise smooth.
        TypeError: `settle`, `path_tolerance` or `snapshots_per_decade` with the squared loss, whose flow has none.

    Reference: Lyu, Li (2020), Theorems 4.1 and 4.4; Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2, 2a.

    >>> import numpy as np
    >>> from gd.networks.linear import Diagonal
    >>> limit = flow_limit(Diagonal(3, 2, seed=0), [[2.0, 1.0, 1.0], [-1.0, -3.0, 1.0]], [1.0, -1.0])
    >>> limit.status.name, np.round(limit.predictor, 12) + 0.0
    ('OPTIMAL', array([0.4, 0.2, 0. ]))
    """
    began = time.monotonic()
    chosen = find_loss(loss)
    models = check_models(model)
    if max_steps is not None:
        check_count("max_steps", max_steps)
    if not time_limit > 0:
        raise ValueError(f"time_limit is in seconds and must be positive, got {time_limit!r}")
    if not chosen.margin:
        if path_tolerance is not None or snapshots_per_decade is not None or settle is not None:
            raise TypeError(
                "with loss='squared' there is no settle, no path_tolerance and no snapshots_per_decade; use accuracy= "
                "and times= of `squared_flow_limit` instead"
            )
        deadline = began + time_limit
        return _squared_limit(model, X, y, 1e-10 if tol is None else tol, max_steps, deadline, device, progress)
    if chosen.name not in FLOWS:
        raise ValueError(f"loss must be {', '.join(map(repr, FLOWS))} or 'squared', got {loss!r}")
    tol, max_steps = 1e-9 if tol is None else tol, 20_000 if max_steps is None else max_steps
    path_tolerance = 1e-3 if path_tolerance is None else path_tolerance
    if settle is not None and not 0 < settle < 1:
        raise ValueError(f"settle is a relative change and must lie in (0, 1), got {settle!r}")
    if not (0 < tol < 1 and 0 < path_tolerance < 1):
        raise ValueError(f"tol and path_tolerance must lie in (0, 1), got {tol!r} and {path_tolerance!r}")
    inputs, targets = check_data(models[0], X, y, chosen)
    targets.check_outputs(check_forward_pass(models[0], inputs))
    for one in models:
        check_fixed_function(one, inputs)
    if declared(models[0]).linear_network is not None:
        separable = check_problem(inputs.numpy(), y, L2())
        raise_if_not_separable(separable.signed_rows, separable.label_shape)
    scale = data_scale(models[0], inputs, seed)
    inputs = inputs / scale.size
    where = choose_device(device, models, targets.values.numel())
    mapping = margin_map(models[0], inputs.to(where), targets.values.to(where), seed, targets.to(where, torch.float64))
    if (most := mapping.at_once(models)) < len(models):
        batches = [models[i : i + most] for i in range(0, len(models), most)]
        return [
            limit
            for batch in batches
            for limit in flow_limit(
                batch,
                X,
                y,
                loss=loss,
                seed=seed,
                tol=tol,
                settle=settle,
                max_steps=max_steps,
                time_limit=max(began + time_limit - time.monotonic(), 1e-3),
                path_tolerance=path_tolerance,
                snapshots_per_decade=snapshots_per_decade,
                device=device,
                progress=progress,
            )
        ]
    if mapping.kinks_one_by_one >= MANY_KINKS:
        warnings.warn(
            f"{type(models[0]).__name__} has {mapping.kinks_one_by_one:,} ReLUs and maxima over all points, followed "
            "one by one: a convolution with 8,640 took 20 to 70 s on one core, one with 30,720 had none after 40 s; "
            "time_limit= hands back what is known by then",
            stacklevel=3,
        )
    start = mapping.start(models)
    if not (torch.isfinite(start).all() and bool((torch.linalg.vector_norm(start, dim=1) > 0).all())):
        raise ValueError("the parameters must be finite and not all zero: at w = 0 gradient flow has no direction")
    mapping, start = in_few_coordinates(mapping, start)
    flow = Flow.begin(
        mapping,
        start,
        loss=FLOWS[chosen.name](targets.values),
        tolerance=path_tolerance,
        longer=scale.log_length(mapping.degree),
    )
    problem = _induced_problem(mapping, start, inputs, y)
    if problem is not None and declared(models[0]).linear_network is None:
        raise_if_not_separable(problem.signed_rows, problem.label_shape)
    density = 40 if snapshots_per_decade is None else snapshots_per_decade
    run = Run(models, mapping, problem, targets.values, tol, settle, density, label_names(on_cpu(y)))
    with threads_for(mapping.largest_product):
        found = run.to_the_end(flow, int(max_steps), began + time_limit, progress)
    limits = [scale.restored(limit) for limit in found]
    return limits[0] if isinstance(model, nn.Module) else limits


def _squared_limit(
    model: nn.Module | Sequence[nn.Module],
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    tol: float,
    max_steps: int | None,
    deadline: float,
    device: str | torch.device | None,
    progress: Progress | None,
) -> SquaredLimit:
    """Of linear networks with their predictions; of small ones by an integrator of high order."""
    models = check_models(model)
    networks = [network for one in models if (network := declared(one).linear_network) is not None]
    steps = 10_000 if max_steps is None else max_steps
    options: dict[str, Any] = {"tol": tol, "device": device, "progress": progress}
    options["time_limit"] = max(deadline - time.monotonic(), 1e-3)
    if len(networks) < len(models):
        return squared_flow_limit(models, X, y, max_steps=steps, **options)
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie in (0, 1), got {tol!r}")
    inputs, checked = check_data(models[0], X, y, Squared())
    targets = checked.values
    if sum(p.numel() for p in models[0].parameters() if p.requires_grad) <= LARGEST:
        steps = 100_000 if max_steps is None else max_steps
        return linear_flow_limit(
            models, networks, inputs, targets, tol=tol, max_steps=steps, progress=progress, deadline=deadline
        )
    limit = squared_flow_limit(models, X, y, max_steps=steps, **options)
    ends = [declared(limit.load(copy.deepcopy(one), k)).linear_network for k, one in enumerate(models)]
    predictors = np.stack([end.predictor for end in ends if end is not None])
    return with_predictions(limit, networks, inputs, targets, predictors, limit.error)


def _induced_problem(mapping: MarginMap, start: Tensor, X: Tensor, y: ArrayLike | Tensor) -> MarginProblem | None:
    """The constraints on β where the network is a linear predictor, as measured; else None."""
    return None if mapping.predictors(start[:1]) is None else check_problem(X.numpy(), y, L2())
