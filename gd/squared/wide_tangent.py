"""The tangent of wide one-input ReLU networks in a few products of (N × units) matrices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gd.squared.tangent import Tangent, TangentBundle

if TYPE_CHECKING:
    from gd.networks.wide_relu import WideReLU


class WideTangent(Tangent):
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


class WideBundle(TangentBundle):
    """Networks of one width, parametrization and choice of trained weights."""

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

    def subset(self, runs: Tensor) -> WideBundle:
        kept = object.__new__(WideBundle)
        kept.__dict__.update(self.__dict__, start=self.start[runs])
        kept._fixed = {name: part[runs] for name, part in self._fixed.items()}
        if self._mode == "linearized":
            kept._point = {name: part[runs] for name, part in self._point.items()}
        return kept

    def named(self, W: Tensor) -> dict[str, Tensor]:
        return dict(zip(self._names, torch.split(W, self._sizes, dim=1), strict=True))

    def at(self, W: Tensor) -> WideTangent:
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
        return WideTangent(outputs, act, inner, x, self._half_signs)

    def values(self, W: Tensor, X: Tensor) -> Tensor:
        other = object.__new__(WideBundle)
        other.__dict__.update(self.__dict__, _x=X[:, 0].to(W.device))
        return other.at(W).outputs
