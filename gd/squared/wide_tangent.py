"""The tangent of wide one-input ReLU networks in a few products of (N × units) matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gd.squared.tangent import Tangent, TangentBundle

if TYPE_CHECKING:
    from gd.networks.wide_relu import WideReLU


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

    def at(self, W: Tensor) -> Tangent:
        """J's columns: act for a, `inner`·x for w, `inner` for b, the half signs for d."""
        x, half_signs = self._x, self._half_signs
        outputs, act, inner = self._layers(W, x)
        kernel = act @ act.mT + half_signs.square().sum()
        if inner is not None:
            kernel = kernel + (inner @ inner.mT) * (1.0 + x.unsqueeze(1) * x)

        def pull(q: Tensor) -> Tensor:
            rows = q.unsqueeze(1)
            parts = [(rows @ act).squeeze(1), q.sum(dim=1, keepdim=True) * half_signs]
            if inner is not None:
                parts += [((rows * x) @ inner).squeeze(1), (rows @ inner).squeeze(1)]
            return torch.cat(parts, dim=1)

        return Tangent(outputs, kernel, pull)

    def _layers(self, W: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The outputs at points x, and the two blocks of J that they are made of."""
        parts = {**self._fixed, **self.named(W)}
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
        return outputs, act, inner

    def values(self, W: Tensor, X: Tensor) -> Tensor:
        return self._layers(W, X[:, 0].to(W.device))[0]
