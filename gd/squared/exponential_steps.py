"""Steps of the flow of the squared loss in function space, r′ = −Θ r, by exponentials of the tangent kernel Θ.

Θ hardly moves when the network is wide, so a step should be as long as Θ stays put, not as short as its largest
eigenvalue asks (plain gradient descent needs η < 2/λ_max and then λ_max/λ_min steps per digit). One step of length h:

    r(t) ≈ e^{−tΘ̄} r,   p = ∫_0^h e^{−tΘ̄} r dt,   q = ∫_0^h ψ(t) e^{−tΘ̄} r dt,     by eigenvectors of Θ̄,
    predict  w₁ = w − J₀ᵀ p     with Θ̄ = Θ₀                           (exponential Euler, order 1),
    correct  w* = w − J₀ᵀ (p − q) − J₁ᵀ q   with Θ̄ = ½(Θ₀ + Θ₁)    (order 2: J(t) = J₀ + ψ(t)(J₁ − J₀)),

where ψ, from 0 to 1, is how much of the step's movement is done by time t (t/h for short steps, the decay of r for
long ones; with t/h throughout, a step to t = ∞ would see J₀ only). ‖w* − w₁‖ is the error estimate, of w₁ although w*
is kept, measured against how far the weights have moved so far; h follows it.

r is recomputed from the weights at every step, so errors of Θ̄ do not accumulate in the residual.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gd.squared.squared_limit import SquaredLimit
from gd.squared.tangent import TangentBundle
from gd.status import SquaredStatus
from solvers.arrays import Array

_STATE = ("W", "t", "h", "error", "next", "steps", "rejected", "degenerate", "outputs", "grid_outputs")
"""What `Integration` holds of each run, run axis first."""


class Integration:
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
