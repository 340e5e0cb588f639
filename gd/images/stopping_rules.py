"""When to stop: rules that watch a generator being fitted, each keeping the output it would have stopped at.

    Oracle           the step whose output is closest to the clean image: not available in practice, the yardstick
    NoiseLevel       the first step whose mean squared error to the target is at most (factor·sigma)²: discrepancy
    RunningVariance  the first minimum of the outputs' variance over a sliding window (ES-WMV): needs nothing

A rule is a value; what it remembers is in the `Watch` it makes for one run. Watches work on all networks of a batch at
once and never synchronize with the device, except where `Watch.finished` is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gd.data import on_cpu


@dataclass(frozen=True)
class Stop:
    """Where one rule stopped each of the B networks."""

    step: NDArray[np.int64]
    """Shape (B,); −1 where the rule never stopped."""
    output: NDArray[Any]
    """The output at that step, shape (B, …); NaN where the rule never stopped."""


class Watch(ABC):
    """The memory of one rule during one run of B networks."""

    def __init__(self, target: Tensor) -> None:
        self.step = torch.full((target.shape[0],), -1, dtype=torch.int64, device=target.device)
        self.output = torch.full_like(target, float("nan"))

    @abstractmethod
    def observe(self, t: int, output: Tensor, mse: Tensor) -> None:
        """The output (B, …) and its mean squared error to the target (B,) after t steps."""

    @property
    @abstractmethod
    def done(self) -> Tensor:
        """Which networks the rule has decided about, boolean (B,)."""

    @property
    def finished(self) -> bool:
        """Whether all are decided."""
        return bool(self.done.all())

    def keep(self, where: Tensor, t: int, output: Tensor) -> None:
        """Remember this step and output for the networks in `where`, boolean (B,)."""
        self.step = torch.where(where, t, self.step)
        self.output = torch.where(where.view(-1, *[1] * (output.ndim - 1)), output, self.output)

    def stop(self) -> Stop:
        """What was decided."""
        return Stop(self.step.cpu().numpy(), self.output.cpu().numpy())


class StoppingRule(ABC):
    """One way to decide when to stop."""

    name: str

    @abstractmethod
    def watch(self, target: Tensor) -> Watch:
        """A fresh memory for B networks fitted to targets (B, …)."""


@dataclass(frozen=True, eq=False)
class Oracle(StoppingRule):
    """Stop where the mean squared error to the clean image is least; decided only when the run ends.

    >>> Oracle(np.zeros((1, 4, 4))).name
    'oracle'
    """

    clean: ArrayLike | Tensor
    """The clean image, of the target's shape without or with the axis of networks."""
    name: str = "oracle"
    """The key of its `Stop` in `ImageTrajectory.stops`."""

    def watch(self, target: Tensor) -> Watch:
        clean = torch.as_tensor(np.asarray(on_cpu(self.clean))).to(target)
        if bad := int((~torch.isfinite(clean)).sum()):
            raise ValueError(
                f"the oracle's clean image must be finite; {bad} of its {clean.numel()} entries are NaN or infinite"
            )
        try:
            return _Closest(target, clean.expand_as(target))
        except RuntimeError:
            raise ValueError(
                f"the oracle's clean image has shape {tuple(clean.shape)}, the targets {tuple(target.shape)}"
            ) from None


class _Closest(Watch):
    def __init__(self, target: Tensor, clean: Tensor) -> None:
        super().__init__(target)
        self.clean = clean
        self.least = torch.full_like(target.flatten(1)[:, 0], float("inf"))

    def observe(self, t: int, output: Tensor, mse: Tensor) -> None:
        error = (output - self.clean).square().flatten(1).mean(dim=1)
        better = error < self.least
        self.least = torch.where(better, error, self.least)
        self.keep(better, t, output)

    @property
    def done(self) -> Tensor:
        return torch.zeros_like(self.least, dtype=torch.bool)


@dataclass(frozen=True)
class NoiseLevel(StoppingRule):
    """Stop at the first step with mse(output, target) ≤ (factor·sigma)²: the discrepancy principle.

    With sigma = 0.1·(standard deviation of the target) it is "fitted to 1% of the variance", and its step the number
    of iterations to get there.

    Raises:
        ValueError: a sigma, or the factor, is not positive.

    Reference: Morozov (1966), the discrepancy principle.

    >>> NoiseLevel(0.1).factor
    1.0

    """

    sigma: float | tuple[float, ...]
    """Noise standard deviation, in units of the image; one number, or one per network."""
    factor: float = 1.0
    """Multiplies sigma."""
    name: str = "noise level"
    """The key of its `Stop` in `ImageTrajectory.stops`."""

    def __post_init__(self) -> None:
        if not (np.all(np.asarray(self.sigma) > 0) and np.all(np.isfinite(self.sigma)) and self.factor > 0):
            raise ValueError(f"sigma and factor must be positive numbers, got sigma={self.sigma}, factor={self.factor}")

    def watch(self, target: Tensor) -> Watch:
        sigma = torch.as_tensor(np.asarray(self.sigma, dtype=np.float64)).to(target)
        if sigma.ndim and sigma.shape[0] != target.shape[0]:
            raise ValueError(f"sigma has {sigma.shape[0]} entries, but there are {target.shape[0]} networks")
        return _FirstBelow(target, (self.factor * sigma) ** 2)


class _FirstBelow(Watch):
    def __init__(self, target: Tensor, level: Tensor) -> None:
        super().__init__(target)
        self.level = level

    def observe(self, t: int, output: Tensor, mse: Tensor) -> None:
        self.keep((mse <= self.level) & (self.step < 0), t, output)

    @property
    def done(self) -> Tensor:
        return self.step >= 0


@dataclass(frozen=True)
class RunningVariance(StoppingRule):
    """Stop at the first lasting minimum of the windowed moving variance of the outputs (ES-WMV).

        VAR(t) = 1/W Σ_{w=0}^{W−1} ‖x_{t−w} − mean of the W‖₂²,

    a minimum that none of the next `max_stale_steps` steps undercuts. It falls while the image is being learned and
    rises when the noise is; the output kept is the last one of the window.

    The window's outputs are kept on the device: `window` times the memory of one batch of outputs (100 colour images
    of 512 × 512 in float32 are 0.3 GB for one network).

    Raises:
        ValueError: window < 2 or max_stale_steps < 1.

    Reference: Wang, Li, Zhuang, Chen, Liang, Sun (2021), "Early stopping for deep image prior", Algorithm 1; window
    100 and 1000 stale steps are its defaults.

    >>> RunningVariance(window=50).max_stale_steps
    1000
    """

    window: int = 100
    """W, in steps."""
    max_stale_steps: int = 1000
    """How long a minimum must last, in steps."""
    name: str = "running variance"
    """The key of its `Stop` in `ImageTrajectory.stops`."""

    def __post_init__(self) -> None:
        if self.window < 2 or self.max_stale_steps < 1:
            raise ValueError(
                "window must be ≥ 2 and max_stale_steps ≥ 1, "
                f"got window={self.window}, max_stale_steps={self.max_stale_steps}"
            )

    def watch(self, target: Tensor) -> Watch:
        return _LeastVariance(target, self.window, self.max_stale_steps)


class _LeastVariance(Watch):
    """The sum of squared deviations of the window, updated by the difference that one exchanged output makes."""

    def __init__(self, target: Tensor, window: int, max_stale_steps: int) -> None:
        super().__init__(target)
        self.max_stale_steps, self.count = max_stale_steps, 0
        self.ring = torch.zeros((window, *target.shape), dtype=target.dtype, device=target.device)
        self.mean = torch.zeros_like(target, dtype=torch.float64)
        self.spread = torch.zeros(target.shape[0], dtype=torch.float64, device=target.device)
        self.least = torch.full_like(self.spread, float("inf"))
        self.since = torch.zeros_like(self.step)

    def observe(self, t: int, output: Tensor, mse: Tensor) -> None:
        window, slot = self.ring.shape[0], self.count % self.ring.shape[0]
        leaving = self.ring[slot].double()
        entering = output.double()
        self.count += 1
        if self.count <= window:  # Welford: the window still fills
            before = entering - self.mean
            self.mean = self.mean + before / self.count
            self.spread = self.spread + (before * (entering - self.mean)).flatten(1).sum(dim=1)
        else:
            change = entering - leaving
            mean = self.mean + change / window
            self.spread = self.spread + (change * (entering - mean + leaving - self.mean)).flatten(1).sum(dim=1)
            self.mean = mean
        self.ring[slot] = output
        if self.count < window:
            return
        better = (self.spread < self.least) & ~self.done
        self.least = torch.where(better, self.spread, self.least)
        self.since = torch.where(better, 0, self.since + 1)
        self.keep(better, t, output)

    @property
    def done(self) -> Tensor:
        return self.since >= self.max_stale_steps
