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
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from gd.descent.objective import Objective
from gd.losses import Squared
from gd.networks.wide_relu import WideReLU


class Tangent(ABC):
    """f, Θ and Jᵀ· at one matrix of weights."""

    outputs: Tensor
    kernel: Tensor

    @abstractmethod
    def pull(self, q: Tensor) -> Tensor:
        """Jᵀq, shape (B, P)."""


class TangentBundle(ABC):
    """B networks of one architecture on fixed inputs; their weights at the start, and their tangents anywhere."""

    start: Tensor
    """Shape (B, P)."""

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
    """The fast form for wide ReLU networks, the general one for anything else."""
    wide = [model for model in models if isinstance(model, WideReLU)]
    if len(wide) < len(models):
        return _ModuleBundle(models, X, y, device)
    first = wide[0]
    for model in wide:
        if (model.units, model.train_mode, model.half_signs.tolist()) != (
            first.units, first.train_mode, first.half_signs.tolist(),
        ):  # fmt: skip
            raise ValueError(
                "networks trained as one batch must have one width, parametrization and `train`; got "
                f"{model.units} units ({model.train_mode}, {model.parametrization}) beside "
                f"{first.units} ({first.train_mode}, {first.parametrization})"
            )
    return _WideBundle(wide, X, device)


class _WideTangent(Tangent):
    """J's columns: act for a, `inner`·x for w, `inner` for b, the half signs for d."""

    def __init__(self, outputs: Tensor, act: Tensor, inner: Tensor | None, x: Tensor, half_signs: Tensor) -> None:
        self.outputs, self._act, self._inner, self._x, self._half_signs = outputs, act, inner, x, half_signs

    @cached_property
    def kernel(self) -> Tensor:  # type: ignore[override]
        kernel = self._act @ self._act.mT + self._half_signs.square().sum()
        if self._inner is not None:
            kernel = kernel + (self._inner @ self._inner.mT) * (1.0 + self._x.unsqueeze(1) * self._x)
        return kernel

    def pull(self, q: Tensor) -> Tensor:
        rows = q.unsqueeze(1)
        parts = [(rows @ self._act).squeeze(1), q.sum(dim=1, keepdim=True) * self._half_signs]
        if self._inner is not None:
            parts += [((rows * self._x) @ self._inner).squeeze(1), (rows @ self._inner).squeeze(1)]
        return torch.cat(parts, dim=1)


class _WideBundle(TangentBundle):
    def __init__(self, models: Sequence[WideReLU], X: Tensor, device: torch.device) -> None:
        self._x = X[:, 0].to(device)
        self._mode = models[0].train_mode
        states = [{k: v.detach().to(device, torch.float64) for k, v in m.state_dict().items()} for m in models]
        self._signs, self._half_signs = states[0]["signs"], states[0]["half_signs"]
        self._names = [name for name, _ in models[0].named_parameters()]
        self._fixed = {name: torch.stack([s[name] for s in states]) for name in ("outer", "offset", "weight", "bias")}
        if self._mode == "linearized":
            # the expansion point, which need not be where the parameters are now
            self._point = {n: torch.stack([s[f"start_{n}"] for s in states]) for n in ("outer", "weight", "bias")}
        self._sizes = [self._fixed[name].shape[1] for name in self._names]
        self.start = torch.cat([self._fixed[name] for name in self._names], dim=1)

    def subset(self, runs: Tensor) -> _WideBundle:
        kept = object.__new__(_WideBundle)
        kept.__dict__.update(self.__dict__, start=self.start[runs])
        kept._fixed = {name: part[runs] for name, part in self._fixed.items()}
        if self._mode == "linearized":
            kept._point = {name: part[runs] for name, part in self._point.items()}
        return kept

    def named(self, W: Tensor) -> dict[str, Tensor]:
        return dict(zip(self._names, torch.split(W, self._sizes, dim=1), strict=True))

    def at(self, W: Tensor) -> _WideTangent:
        parts = {**self._fixed, **self.named(W)}
        x = self._x
        where = self._point if self._mode == "linearized" else parts
        before = where["weight"].unsqueeze(1) * x.unsqueeze(1) + where["bias"].unsqueeze(1)
        inner = None
        if self._mode != "output":
            inner = (before > 0) * (where["outer"] * self._signs).unsqueeze(1)
        act = before.relu_().mul_(self._signs)
        outputs = (act @ parts["outer"].unsqueeze(-1)).squeeze(-1) + (parts["offset"] @ self._half_signs).unsqueeze(1)
        if self._mode == "linearized" and inner is not None:
            moved = [(inner @ (parts[n] - where[n]).unsqueeze(-1)).squeeze(-1) for n in ("weight", "bias")]
            outputs = outputs + x * moved[0] + moved[1]
        return _WideTangent(outputs, act, inner, x, self._half_signs)

    def values(self, W: Tensor, X: Tensor) -> Tensor:
        other = object.__new__(_WideBundle)
        other.__dict__.update(self.__dict__, _x=X[:, 0].to(W.device))
        return other.at(W).outputs


class _DenseTangent(Tangent):
    def __init__(self, outputs: Tensor, J: Tensor) -> None:
        self.outputs, self._J = outputs, J
        self.kernel = J @ J.mT

    def pull(self, q: Tensor) -> Tensor:
        return (q.unsqueeze(1) @ self._J).squeeze(1)


class _ModuleBundle(TangentBundle):
    def __init__(self, models: Sequence[nn.Module], X: Tensor, y: Tensor, device: torch.device) -> None:
        self._models, self._X, self._y = list(models), X, y
        self._objective = Objective(models, X, y, Squared(), device)
        self.start = self._objective.start

    def subset(self, runs: Tensor) -> _ModuleBundle:
        models = [self._models[run] for run in runs.tolist()]
        return _ModuleBundle(models, self._X, self._y, self.start.device)

    def named(self, W: Tensor) -> dict[str, Tensor]:
        return dict(zip(self._objective.names, self._objective.layers(W), strict=True))

    def at(self, W: Tensor) -> _DenseTangent:
        def outputs(w: Tensor) -> Tensor:
            return self._objective.outputs(w.unsqueeze(0)).flatten()

        return _DenseTangent(self._objective.outputs(W).flatten(1).detach(), vmap(jacrev(outputs))(W).detach())

    def values(self, W: Tensor, X: Tensor) -> Tensor:
        targets = torch.zeros(X.shape[0], *self._y.shape[1:], dtype=torch.float64)
        with torch.no_grad():
            return Objective(self._models, X, targets, Squared(), W.device).outputs(W).flatten(1)
