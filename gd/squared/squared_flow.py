"""Gradient flow of the squared loss, followed in function space to its end.

    w′ = −∇½‖r‖² = −J(w)ᵀ r,      r = f(X; w) − y,      so      r′ = −Θ r,   Θ = J Jᵀ  (N × N).

Θ hardly moves when the network is wide, so a step should be as long as Θ stays put, not as short as its largest
eigenvalue asks (plain gradient descent needs η < 2/λ_max and then λ_max/λ_min steps per digit). One step of length h:

    r(t) ≈ e^{−tΘ̄} r,   p = ∫_0^h e^{−tΘ̄} r dt,   q = ∫_0^h ψ(t) e^{−tΘ̄} r dt,     by eigenvectors of Θ̄,
    predict  w₁ = w − J₀ᵀ p     with Θ̄ = Θ₀                           (exponential Euler, order 1),
    correct  w* = w − J₀ᵀ (p − q) − J₁ᵀ q   with Θ̄ = ½(Θ₀ + Θ₁)    (order 2: J(t) = J₀ + ψ(t)(J₁ − J₀)),

where ψ, from 0 to 1, is how much of the step's movement is done by time t (t/h for short steps, the decay of r for
long ones; with t/h throughout, a step to t = ∞ would see J₀ only). ‖w* − w₁‖ is the error estimate, of w₁ although w*
is kept, measured against how far the weights have moved so far; h follows it.

Where J does not move, training the output layer or the linearized network, one step reaches t = ∞ and is exact;
`linear_limit` is that step without the machinery. r is recomputed from the weights at every step, so errors of Θ̄ do
not accumulate in the residual. Time is that of w′ = −∇½‖r‖²: a step η of plain gradient descent is a time of η.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.data import check_data, check_models, choose_device, finite_tensor, on_cpu
from gd.gradient_mode import with_gradients
from gd.losses import Squared
from gd.squared.squared_limit import SquaredLimit
from gd.squared.tangent import TangentBundle, tangent_bundle
from gd.status import SquaredStatus
from solvers.arrays import Array


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
    began = time.perf_counter()
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
        run = _Integration(bundle, targets.flatten(), tol, accuracy, stops, points, stop_at_last_time)
        for attempt in range(max_steps):
            if not bool(run.open.any()):
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


_STATE = ("W", "t", "h", "error", "next", "steps", "rejected", "degenerate", "outputs", "grid_outputs")
"""What `_Integration` holds of each run, run axis first."""


class _Integration:
    """The state of all runs, each with its own time and step; runs that are done stay where they are."""

    def __init__(
        self,
        bundle: TangentBundle,
        y: Tensor,
        tol: float,
        accuracy: float,
        times: Array,
        grid: Tensor | None,
        stop_at_last_time: bool,
    ) -> None:
        self.bundle, self.all_runs = bundle, bundle
        self.y, self.accuracy, self.grid = y, accuracy, grid
        self.goal = tol * max(1.0, float(y.abs().max()))
        self.stop_at_last_time = stop_at_last_time
        self.W = bundle.start.clone()
        runs = self.W.shape[0]
        self.times = torch.from_numpy(np.append(times, np.inf)).to(self.W)
        self.tangent = bundle.at(self.W)
        self.next = torch.zeros(runs, dtype=torch.int64, device=self.W.device)
        self.t, self.error, self.h = (self.W.new_zeros(runs) for _ in range(3))
        self.steps, self.rejected = torch.zeros_like(self.next), torch.zeros_like(self.next)
        self.degenerate = torch.zeros(runs, dtype=torch.bool, device=self.W.device)
        self.h += float("inf")  # the error estimate decides; a frozen Θ takes the flow to its end at once
        self.outputs = self.W.new_full((runs, times.size + 1, y.numel()), float("nan"))
        self.grid_outputs = self.W.new_full((runs, times.size + 1, 0 if grid is None else len(grid)), float("nan"))
        self.rows = torch.arange(runs, device=self.W.device)
        self.parked: dict[str, Tensor] = {}
        self._close()

    def drop_finished(self) -> None:
        """Park the finished runs once they are half of those carried along; a few stubborn runs then cost a few."""
        if bool(self.open.any()) and 2 * int(self.open.sum()) <= self.rows.numel():
            self._park()
            kept = self.open.nonzero().flatten()
            self.rows = self.rows[kept]
            self._carry({name: getattr(self, name)[kept] for name in _STATE}, self.all_runs.subset(self.rows))

    def restore(self) -> None:
        """All runs again, as they ended."""
        self._park()
        self._carry(self.parked, self.all_runs)

    def _carry(self, state: dict[str, Tensor], bundle: TangentBundle) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.bundle = bundle
        self.tangent = bundle.at(self.W)
        self._close()

    def _park(self) -> None:
        for name in _STATE:
            value = getattr(self, name)
            self.parked.setdefault(name, value.clone())[self.rows] = value

    @property
    def r(self) -> Tensor:
        return self.tangent.outputs - self.y

    def _close(self) -> None:
        """Which runs go on."""
        worst = self.r.abs().amax(dim=1)
        if not bool(torch.isfinite(worst).all()):
            raise ValueError("the network's output is not finite; rescale the data or the initialization")
        self.fitted = worst <= self.goal
        last = self.next == self.times.numel() - 1
        at_end = last if self.stop_at_last_time else last & self.fitted
        self.open = ~(at_end | (self.degenerate & last))

    def step(self) -> None:
        """One step of every open run: predict, correct, accept or take back."""
        due = self.times[self.next]
        h = torch.minimum(self.h, due - self.t)
        r = torch.where(self.open.unsqueeze(1), self.r, 0.0)
        first = self.tangent
        values, vectors = torch.linalg.eigh(first.kernel)
        predicted = first.pull(_integrals(values, vectors, r, h)[0])
        second = self.bundle.at(self.W - predicted)
        mean, modes = torch.linalg.eigh(0.5 * (first.kernel + second.kernel))
        p, q = _integrals(mean, modes, r, h)
        change = first.pull(p - q) + second.pull(q)
        trial = self.W - change
        moved = torch.linalg.vector_norm(trial - self.bundle.start, dim=1)
        error = torch.linalg.vector_norm(change - predicted, dim=1) / moved.clamp(min=torch.finfo(r.dtype).tiny)
        # a unit that data hold on its kink chatters at any h; shorter than plain gradient descent is no gain
        shortest = (0.1 if self.bundle.has_kinks else 0.0) / first.kernel.diagonal(dim1=1, dim2=2).sum(dim=1)
        accepted = self.open & ((error <= self.accuracy) | (h <= shortest))
        self._advance(accepted, trial, h, due, error)
        self.rejected += self.open & ~accepted
        # the estimate is of order h²
        factor = (0.8 * (self.accuracy / error.clamp(min=1e-300)) ** 0.5).clamp(0.1, 10.0)
        slowest = values[:, 0].clamp(min=1e-300)
        finite = torch.where(torch.isfinite(h), h, 1.0 / slowest)
        grown = torch.where(error <= 1e-3 * self.accuracy, float("inf"), finite * factor)
        grown = torch.maximum(grown, shortest)
        # a step cut short by a snapshot says little about how long the next may be
        grown = torch.where(accepted & (h < self.h), torch.maximum(self.h, grown), grown)
        self.h = torch.where(self.open, grown, self.h)
        self._close()

    def _advance(self, accepted: Tensor, trial: Tensor, h: Tensor, due: Tensor, error: Tensor) -> None:
        if not bool(accepted.any()):
            return
        before = self.r.abs().amax(dim=1)
        self.W = torch.where(accepted.unsqueeze(1), trial, self.W)
        self.t = torch.where(accepted, self.t + h, self.t)
        self.error += torch.where(accepted, error, 0.0)
        self.steps += accepted
        self.tangent = self.bundle.at(self.W)
        # a step to t = ∞ that leaves most of the residual met a singular kernel, and so will the next
        stuck = torch.isinf(h) & (self.r.abs().amax(dim=1) > 0.5 * before)
        self.degenerate |= accepted & stuck
        reached = accepted & torch.isfinite(due) & (self.t >= due * (1 - 1e-14))
        self._snapshot(reached, self.next)
        self.next += reached
        self.t = torch.where(torch.isinf(self.t), torch.zeros_like(self.t), self.t)

    def _snapshot(self, which: Tensor, index: Tensor) -> None:
        runs = which.nonzero().flatten()
        if not runs.numel():
            return
        self.outputs[runs, index[runs]] = self.tangent.outputs[runs]
        if self.grid is not None:
            self.grid_outputs[runs, index[runs]] = self.bundle.values(self.W, self.grid)[runs]

    def result(self, seconds: float) -> SquaredLimit:
        last = torch.full_like(self.next, self.times.numel() - 1)
        self._snapshot(torch.ones_like(self.open), last)
        arrays = {name: value.cpu().numpy() for name, value in vars(self).items() if isinstance(value, Tensor)}
        return SquaredLimit(
            weights={name: part.cpu().numpy().copy() for name, part in self.bundle.named(self.W).items()},
            residual=self.r.abs().amax(dim=1).cpu().numpy(),
            status=tuple(self._status(run) for run in range(len(self.W))),
            steps=arrays["steps"],
            rejected=arrays["rejected"],
            movement=torch.linalg.vector_norm(self.W - self.bundle.start, dim=1).cpu().numpy(),
            error=arrays["error"],
            times=np.append(arrays["times"][:-1], float("inf")),
            outputs=arrays["outputs"],
            grid_outputs=arrays["grid_outputs"],
            seconds=seconds,
        )

    def _status(self, run: int) -> SquaredStatus:
        if bool(self.open[run]):
            return SquaredStatus.UNFINISHED
        if bool(self.fitted[run]):
            return SquaredStatus.FITTED
        return SquaredStatus.STOPPED_IN_TIME if self.stop_at_last_time else SquaredStatus.DEGENERATE


def _integrals(values: Tensor, vectors: Tensor, r: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """p = ∫_0^h e^{−tΘ} r dt and q = ∫_0^h ψ(t) e^{−tΘ} r dt; h = ∞ allowed; both 0 on the null space of Θ.

    In modes, with φ_j = ∫_0^h e^{−λ_j t} dt and φ_jk = ∫_0^h e^{−(λ_j + λ_k)t} dt,

        ψ(t) ∝ Σ_k c_k (1 − e^{−λ_k t}),   c_k = r_k²/λ_k   (the square of how far mode k moves the weights),
        q_j = r_j Σ_k c_k (φ_j − φ_jk) / Σ_k c_k λ_k φ_k.
    """
    smallest = torch.finfo(r.dtype).eps * r.shape[-1] * values[:, -1:]
    positive = values > smallest
    rate = torch.where(positive, values, 1.0)
    r = (vectors.mT @ r.unsqueeze(-1)).squeeze(-1)
    share = torch.where(positive, r.square() / rate, 0.0)
    h = h.unsqueeze(1)
    alone = -torch.expm1(-rate * h) / rate
    pairs = rate.unsqueeze(2) + rate.unsqueeze(1)
    # φ_j − φ_jk = ∫ e^{−λ_j t}(1 − e^{−λ_k t}) dt ≈ λ_k h²/2 for small h, where the difference would cancel
    z = pairs * h.unsqueeze(2)
    together = torch.where(
        z < 1e-6, 0.5 * rate.unsqueeze(1) * h.unsqueeze(2) ** 2, alone.unsqueeze(2) + torch.expm1(-z) / pairs
    )
    moved = (share * rate * alone).sum(dim=1, keepdim=True)
    ramp = (together @ share.unsqueeze(-1)).squeeze(-1) / torch.where(moved > 0, moved, 1.0)
    # Θv = 0 means Jᵀv = 0: such a mode moves no weight, at any h
    p = torch.where(positive, alone, 0.0) * r
    q = torch.where(positive, ramp, 0.0) * r
    return (vectors @ p.unsqueeze(-1)).squeeze(-1), (vectors @ q.unsqueeze(-1)).squeeze(-1)
