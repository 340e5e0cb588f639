"""The tangent of wide one-input ReLU networks, at a cost of the number of units plus the square of that of points.

With one input a unit of w > 0 is on at the points right of its breakpoint −b/w, one of w < 0 left of it. So a unit is
told by a place among the sorted points, and everything that a step needs are sums over the units at each place: with
sums S of s²w², s²wb, s²b² and (sa)² over the units that are on at both points,

    Θ(x, x′) = x x′ S_ww + (x + x′) S_wb + S_bb + (1 + x x′) S_aa + Σ_h s_h².

At two points these are the units of w > 0 that are on at the left one, and those of w < 0 that are on at the right one.
Inputs are centred first, b + w·(centre) for b, so that nothing is lost where they are far from the origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gd.squared.tangent import Tangent, TangentBundle

if TYPE_CHECKING:
    from gd.networks.wide_relu import WideReLU


class SortedPoints:
    """Inputs x (N,) from left to right, about their centre."""

    def __init__(self, x: Tensor) -> None:
        self.given, self.order = torch.sort(x)
        self.back = torch.argsort(self.order)
        self.centre = x.mean()
        self.x = self.given - self.centre
        self.count = x.shape[0]

    def places(self, weight: Tensor, bias: Tensor) -> Tensor:
        """(B, n): for w > 0 the first point at which a unit is on; for w < 0 that at which it no longer is, plus N + 1.

        Units of w = 0 are on everywhere or nowhere; none is on at its breakpoint.
        """
        rightwards = weight >= 0
        breakpoint_ = torch.where(weight == 0, torch.where(bias > 0, -torch.inf, torch.inf), -bias / weight)
        first = torch.searchsorted(self.given, breakpoint_, right=True)
        end = torch.searchsorted(self.given, breakpoint_)
        return torch.where(rightwards, first, end + self.count + 1)

    def sums(self, places: Tensor, *terms: Tensor) -> tuple[Tensor, Tensor]:
        """Σ over the units of w ≥ 0, and over those of w < 0, that are on at each point: (B, terms, N) each."""
        stacked = torch.stack(terms, dim=1)
        width = self.count + 1
        each = stacked.new_zeros(*stacked.shape[:2], 2 * width)
        each.scatter_add_(2, places.unsqueeze(1).expand_as(stacked), stacked)
        right, left = each[..., :width], each[..., width:]
        return right.cumsum(2)[..., :-1], left.flip(2).cumsum(2).flip(2)[..., 1:]

    def spread(self, q: Tensor, places: Tensor) -> Tensor:
        """Σ of q (B, N) over the points at which each unit is on: (B, n)."""
        nothing = q.new_zeros(q.shape[0], 1)
        before = torch.cat([nothing, q.cumsum(1)], dim=1)
        after = torch.cat([q.flip(1).cumsum(1).flip(1), nothing], dim=1)
        return torch.cat([after, before], dim=1).gather(1, places)


class WideBundle(TangentBundle):
    """Networks of one width, parametrization and choice of trained weights."""

    def __init__(self, models: Sequence[WideReLU], X: Tensor, device: torch.device) -> None:
        self._points = SortedPoints(X[:, 0].to(device))
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

    def _parts(self, W: Tensor) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """All weights, and those at which the units are on or off: the start of a linearized network."""
        parts = {**self._fixed, **self.named(W)}
        return parts, self._point if self._mode == "linearized" else parts

    def at(self, W: Tensor) -> Tangent:
        """J's columns: s(wx + b) for a, s·a·x for w and s·a for b where the unit is on, the half signs for d."""
        points, (parts, where), all_weights = self._points, self._parts(W), self._mode != "output"
        weight, bias = where["weight"], where["bias"] + where["weight"] * points.centre
        places, slope = points.places(weight, where["bias"]), where["outer"] * self._signs
        sw, sb = self._signs * weight, self._signs * bias
        terms = [sw.square(), sw * sb, sb.square()] + [slope.square()] * all_weights
        kernel = self._kernel(*points.sums(places, *terms))

        def pull(q: Tensor) -> Tensor:
            ordered = q[:, points.order]
            ones, xs = points.spread(ordered, places), points.spread(ordered * points.x, places)
            columns = [sw * xs + sb * ones, q.sum(dim=1, keepdim=True) * self._half_signs]
            if all_weights:
                columns += [slope * (xs + points.centre * ones), slope * ones]
            return torch.cat(columns, dim=1)

        return Tangent(self._outputs(points, places, parts, where), kernel[:, points.back][:, :, points.back], pull)

    def _kernel(self, right: Tensor, left: Tensor) -> Tensor:
        """Θ of the sorted points from the sums at each of them."""
        x, index = self._points.x, torch.arange(self._points.count, device=right.device)
        lower, upper = torch.minimum(index[:, None], index), torch.maximum(index[:, None], index)
        both = right[..., lower] + left[..., upper]
        kernel = x[:, None] * x * both[:, 0] + (x[:, None] + x) * both[:, 1] + both[:, 2]
        if both.shape[1] > 3:
            original = x + self._points.centre
            kernel = kernel + (1.0 + original[:, None] * original) * both[:, 3]
        found: Tensor = kernel + self._half_signs.square().sum()
        return found

    def _outputs(
        self, points: SortedPoints, places: Tensor, parts: Mapping[str, Tensor], where: Mapping[str, Tensor]
    ) -> Tensor:
        """f at points at which the units have these places."""
        bias = where["bias"] + where["weight"] * points.centre
        rise, height = parts["outer"] * where["weight"], parts["outer"] * bias
        if self._mode == "linearized":
            moved = [parts[name] - where[name] for name in ("weight", "bias")]
            rise = rise + where["outer"] * moved[0]
            height = height + where["outer"] * (moved[1] + moved[0] * points.centre)
        right, left = points.sums(places, self._signs * rise, self._signs * height)
        on = right + left
        values: Tensor = (points.x * on[:, 0] + on[:, 1])[:, points.back]
        values += (parts["offset"] @ self._half_signs).unsqueeze(1)
        return values

    def values(self, W: Tensor, X: Tensor) -> Tensor:
        points, (parts, where) = SortedPoints(X[:, 0].to(W.device)), self._parts(W)
        places = points.places(where["weight"], where["bias"])
        return self._outputs(points, places, parts, where)
