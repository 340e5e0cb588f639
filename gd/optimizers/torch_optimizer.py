"""Any optimizer of `torch.optim`, or of the user's own, on the weights of each run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gd.descent.objective import Gradient, Objective
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.weight_norm import EntrywiseNorm, SpectralNorm, WeightNorm

Factory = Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]

NORMS: dict[str, WeightNorm] = {
    "SGD": EntrywiseNorm(2.0),
    "Adam": EntrywiseNorm(math.inf),
    "AdamW": EntrywiseNorm(math.inf),
    "Muon": SpectralNorm(),
}
"""The norms of torch's own optimizers, by class name; Adam's as ε becomes negligible."""


@dataclass(frozen=True)
class TorchOptimizer(Optimizer):
    """Steps of a torch optimizer: `factory(parameters)` is called once for each run.

    u_t is the whole step that the optimizer takes at its own learning rate, −(w_{t+1} − w_t), weight decay included, so
    a schedule multiplies that rate; without a schedule the steps are the optimizer's own. `descend` also takes the
    factory by itself. An optimizer that moves float64 weights by float32 arithmetic, as `torch.optim.Muon` does in its
    Newton–Schulz iteration, stays what it is.

    Reference: the documentation of torch.optim.

    >>> TorchOptimizer(lambda params: torch.optim.SGD(params, lr=0.1)).name
    'SGD(lr=0.1)'
    """

    factory: Factory | None = None
    """Parameters of one run, each with the network's shape, to a `torch.optim.Optimizer`."""
    measured_in: WeightNorm | None = None
    """The norm that the limit is measured in; for torch's SGD, Adam, AdamW and Muon it is known."""

    @property
    def _made(self) -> torch.optim.Optimizer:
        return self.make([nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))])

    def make(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of these parameters. Raises TypeError where the factory makes none."""
        made = None if self.factory is None else self.factory(parameters)
        if not isinstance(made, torch.optim.Optimizer):
            raise TypeError(
                "an optimizer factory takes a list of parameters and returns a torch.optim.Optimizer, as in "
                f"lambda params: torch.optim.Adam(params, lr=1e-2); this one returned {made!r}"
            )
        return made

    @property
    def name(self) -> str:
        made = self._made
        shown = {
            k: v for k, v in made.defaults.items() if k in ("lr", "betas", "eps", "momentum", "weight_decay") and v
        }
        return f"{type(made).__name__}({', '.join(f'{k}={v}' for k, v in shown.items())})"

    @property
    def decay(self) -> float:
        """The weight decay of the optimizer's own settings."""
        return float(self._made.defaults.get("weight_decay", 0.0))

    @property
    def boundary(self) -> float | None:
        known = type(self._made).__name__ in ("AdamW", "Muon")  # torch's optimizers with decoupled decay
        return 1.0 / self.decay if known and self.decay else None

    @property
    def weight_norm(self) -> WeightNorm | None:
        return NORMS.get(type(self._made).__name__) if self.measured_in is None else self.measured_in

    def first_step(self, objective: Objective) -> tuple[float, float]:
        return 1.0, 0.0  # the steps are its own

    def start(self, objective: Objective, W: Tensor) -> Any:
        buffer, slopes = W.detach().clone(), torch.zeros_like(W)
        made = []
        for row, slope in zip(buffer, slopes, strict=True):
            parameters = []
            layers = zip(objective.layers(row[None]), objective.layers(slope[None]), strict=True)
            for layer, part in layers:
                parameter = nn.Parameter(layer[0])
                parameter.grad = part[0]
                parameters.append(parameter)
            made.append(self.make(parameters))
        return buffer, slopes, made

    def direction(
        self, objective: Objective, t: int, W: Tensor, gradient: Gradient, state: Any
    ) -> tuple[Tensor, Tensor | None, Any]:
        buffer, slopes, made = state
        buffer.copy_(W)
        torch.mul(gradient.direction, torch.exp(gradient.log_scale).unsqueeze(1), out=slopes)
        for optimizer in made:
            optimizer.step()
        return W - buffer, None, state
