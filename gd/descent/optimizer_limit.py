"""`optimizer_limit`: where an optimizer ends on separable data, in the norm that it is steepest descent in.

A sign flow is not integrated: it slides along the kinks of its right side. Instead normalized steps are run and bound
the optimum from both sides (`Trajectory.gap`), and from where they end the KKT system of the max-margin problem is
solved (`gd.descent.kkt_system`). What comes out is certified by data, norm and multipliers alone; where it is not
certified, the run is made longer, four times each time.
"""

from __future__ import annotations

import time

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_count
from gd.descent.descend import Progress, descend
from gd.descent.limit_search import OptimizerLimit, search_of
from gd.descent.schedule import Schedule
from gd.gradient_mode import with_gradients
from gd.losses import Loss, find_loss
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.table import find_optimizer
from gd.optimizers.torch_optimizer import Factory
from solvers.regularizers import Regularizer
from solvers.validation import check_tolerance

FIRST = 2000
"""Steps of the first run: the bounds are a few percent apart on random data of ten to twenty points."""


@with_gradients
def optimizer_limit(
    model: nn.Module,
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    optimizer: str | Optimizer | Factory = "sign",
    schedule: str | Schedule | None = None,
    rescaled: bool = False,
    loss: str | Loss = "exponential",
    regularizer: Regularizer | str | None = None,
    tol: float = 1e-9,
    bound: float = 0.03,
    max_steps: int = 128_000,
    time_limit: float | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> OptimizerLimit:
    """Run an optimizer until its bounds are small, and finish on the active set:

        min ‖w‖  s.t.  y_n f(x_n; w) ≥ 1,    ‖·‖ the norm in which the optimizer is steepest descent.

    For a linear predictor that is min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1, and the answer is certified. For any other smooth
    homogeneous network it is a nonconvex problem, and a KKT point near the run's direction is stationary, no more.

    Args:
        model: a linear predictor (`FullyConnected(D, 1)`), or any homogeneous module. It starts from its own weights
            and is not modified.
        X: inputs, shape (N, …).
        y: labels ±1, shape (N,) or (N, M) for M outputs; or K ≥ 3 classes, shape (N,), integers or strings, for a
            network of K outputs: then the margins are f_{y_n}(x_n) − f_k(x_n), k ≠ y_n.
        optimizer: as in `descend`, one with a norm: of those by name all but "adagrad".
        schedule: as in `descend`; deep networks have no default step, so give one, as `DecayingStep(0.01)`.
        rescaled: as in `descend`. Without it momentum, Adam's ε and constant steps see the raw gradient.
        loss: "exponential", "logistic", or that loss as an object.
        regularizer: R, or its name, that the answer is certified in, where the network is a linear predictor in other
            parameters, such as Bridge(inf) for sign descent on a diagonal network. The optimizer's own norm for a
            linear predictor.
        tol: the largest relative violation of a certificate, or KKT residual, of a limit called found.
        bound: the relative distance of the run's own bounds that is small enough to finish from, unless the finished
            optimum is unique, which makes it the limit wherever the run is.
        max_steps: steps of the longest run; runs have 2,000, then 8,000, 32,000, …
        time_limit: seconds after which no longer run is begun; none unless given.
        seed: as in `descend`.
        device: of the runs, as in `descend`.
        progress: called with (steps done, steps) of each run at its snapshots.

    Returns:
        OptimizerLimit. Read `status`; where the optimum is not unique, `predictor` is the optimum next to the run's
        direction and `face` says what else is optimal. Which optimum an optimizer picks is not known in general.

    Raises:
        NotSeparableError: linear networks, when no predictor separates the data.
        ValueError: as `descend`; several models; the squared loss; an optimizer without a norm or with weight decay,
            which ends at no margin; a network that is not homogeneous.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), *Characterizing implicit bias in terms of optimization geometry*,
    Theorem 5; Tsilivis, Gronich, Vardi, Kempe (2024) for homogeneous networks.

    >>> from gd.networks.linear import FullyConnected
    >>> A = [[3.0, 1.0, 0.0, 2.0], [1.0, -2.0, 3.0, 1.0], [-2.0, 1.0, 1.0, 5.0]]
    >>> limit = optimizer_limit(FullyConnected(4, 1, seed=0), A, [1, 1, 1], optimizer="sign")
    >>> limit.status.name, limit.unique.name, (68 * limit.predictor).round(9).tolist()
    ('OPTIMAL', 'UNIQUE', [12.0, 2.0, 15.0, 15.0])
    """
    began, chosen, chosen_loss = time.monotonic(), find_optimizer(optimizer), find_loss(loss)
    max_steps = check_count("max_steps", max_steps)
    search = search_of(model, X, y, chosen, chosen_loss, regularizer, check_tolerance(tol), bound)
    steps = min(FIRST, max_steps)
    while True:
        run = descend(
            model, X, y, optimizer=chosen, schedule=schedule, rescaled=rescaled, loss=chosen_loss, steps=steps,
            seed=seed, device=device, progress=progress,
        )  # fmt: skip
        limit, spent = search.limit(run), time.monotonic() - began
        # the next run takes four times as long as this one, and all before it took a third of this one
        late = time_limit is not None and spent > time_limit
        if search.settled(limit) or steps >= max_steps or late:
            return limit
        steps = min(4 * steps, max_steps)
