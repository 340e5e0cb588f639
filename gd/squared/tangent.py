"""The tangent of a batch of networks at their weights: outputs, tangent kernel, and the pull-back Jᵀq.

Squared-loss training lives in function space, r′ = −Θ r with Θ = J Jᵀ, and touches the weights only through Jᵀq. So an
integrator needs three things of B networks at weights W (B, P), never J itself:

    outputs   f(x_n; w_b)                 (B, N)
    kernel    Θ_b = J_b J_bᵀ              (B, N, N)
    pull(q)   J_bᵀ q_b                    (B, P), for q (B, N)

`WideReLU` has them in a few products of (N × units) matrices, which is what makes 10⁶ units cheap. Any other module
goes through `torch.func.jacrev`, which forms J.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from gd.descent.objective import Objective
from gd.losses import Squared
from gd.networks.declaration import declared


@dataclass(frozen=True)
class Tangent:
    """f, Θ and Jᵀ· at one matrix of weights."""

    outputs: Tensor
    kernel: Tensor
    pull: Callable[[Tensor], Tensor]
    """q (B, N) to Jᵀq (B, P)."""


class TangentBundle(ABC):
    """B networks of one architecture on fixed inputs; their weights at the start, and their tangents anywhere."""

    start: Tensor
    """Shape (B, P)."""
    has_kinks = True
    """Whether J may jump, so that no step is short enough for it to stay put."""

    @abstractmethod
    def at(self, W: Tensor) -> Tangent:
        """The tangent at weights W."""

    @abstractmethod
    def subset(self, runs: Tensor) -> TangentBundle:
        """The same inputs with some of the runs, by index."""

    @abstractmethod
    def values(self, W: Tensor, X: Tensor) -> Tensor:
        """f(X; w_b) at other inputs, shape (B, len(X))."""

    @abstractmethod
    def named(self, W: Tensor) -> dict[str, Tensor]:
        """The parameters by name, each with the run axis in front."""


def tangent_bundle(models: Sequence[nn.Module], X: Tensor, y: Tensor, device: torch.device) -> TangentBundle:
    """The closed form of the networks where they have one (`gd.networks.declaration`), else J by reverse mode."""
    closed_form = declared(models[0]).tangent_bundle
    return _ModuleBundle(models, X, y, device) if closed_form is None else closed_form(models, X, device)


class _ModuleBundle(TangentBundle):
    def __init__(self, models: Sequence[nn.Module], X: Tensor, y: Tensor, device: torch.device) -> None:
        self._models, self._X, self._y = list(models), X, y
        self._objective = Objective(models, X, y, Squared(), device)
        self.has_kinks = declared(models[0]).linear_network is None
        self.start = self._objective.start

    def subset(self, runs: Tensor) -> _ModuleBundle:
        models = [self._models[run] for run in runs.tolist()]
        return _ModuleBundle(models, self._X, self._y, self.start.device)

    def named(self, W: Tensor) -> dict[str, Tensor]:
        return dict(zip(self._objective.names, self._objective.layers(W), strict=True))

    def at(self, W: Tensor) -> Tangent:
        def outputs(w: Tensor) -> Tensor:
            return self._objective.outputs(w.unsqueeze(0)).flatten()

        J = vmap(jacrev(outputs))(W).detach()
        values = self._objective.outputs(W).flatten(1).detach()
        return Tangent(values, J @ J.mT, lambda q: (q.unsqueeze(1) @ J).squeeze(1))

    def values(self, W: Tensor, X: Tensor) -> Tensor:
        targets = torch.zeros(X.shape[0], *self._y.shape[1:], dtype=torch.float64)
        with torch.no_grad():
            return Objective(self._models, X, targets, Squared(), W.device).outputs(W).flatten(1)
