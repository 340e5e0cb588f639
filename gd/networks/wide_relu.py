"""The wide one-input ReLU network of the spline theory.

    f(x) = Σ_i s_i a_i [w_i x + b_i]₊ + Σ_h s_h d_h,        h = 1, 2 the two mirrored halves.

Three choices, each of which changes what the network converges to, are arguments and not conventions:

- `anti_symmetric`: two halves of `width` units start equal and enter with opposite signs, s = ±1/√2, so f = 0 at the
  start whatever the weights. **`width` counts the units of one half; the network has 2·width.** Without it s = 1,
  the network has `width` units and starts at a random function f₀.
- `parametrization`: "standard", a_i(0) ~ N(0, 1/width); or "ntk", a_i(0) ~ N(0, 1) with s divided by √width. They
  compute the same functions at the start and train differently: in the standard one the tangent kernel is width·k +
  O(1), k of the output layer, so training all weights acts like training the output layer, with gaps O(1/width). In
  the ntk one the first layer's share is of the same order as k, so only train="output" leads to the spline.
- `train`: "all" weights; the "output" layer (a, d); or "linearized", all weights of the network replaced by its
  first-order expansion at the start (a function that may jump at the breakpoints).

(w_i, b_i) are drawn from an initial distribution of `solvers.splines.initial_distributions`. The output layer starts at
a_i ~ N(0, 1/width), d = 0, or as eq. (3) has it (`output_start="law"`): a_i = W′_i/√width, d = B′/√width, with new
draws W′_i and B′ of the same law. The limit is about the change of the function and knows neither.

Reference: Jin and Montúfar (2023), parametrizations (2) and (3); anti-symmetric initialization after Zhang, Xu, Luo
and Ma (2020).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gd.squared.wide_tangent import WideBundle
from solvers.arrays import Array
from solvers.splines.initial_distributions import InitialDistribution
from solvers.splines.piecewise import Piecewise

Parametrization = Literal["standard", "ntk"]
Train = Literal["all", "output", "linearized"]
OutputStart = Literal["gaussian", "law"]


@dataclass(frozen=True)
class LinearPieces:
    """A piecewise-linear function, jumps allowed: slope_k x + intercept_k between breaks k − 1 and k. Callable."""

    breaks: Array
    """Ascending, shape (K,)."""
    slopes: Array = field(repr=False)
    """Shape (K + 1,), from left to right."""
    intercepts: Array = field(repr=False)
    """Shape (K + 1,)."""

    def __call__(self, x: ArrayLike) -> Array:
        points = np.asarray(x, dtype=np.float64)
        k = np.searchsorted(self.breaks, points)
        return self.slopes[k] * points + self.intercepts[k]

    def as_piecewise(self) -> Piecewise:
        return Piecewise(self.breaks, (self.slopes, self.intercepts), self)

    @classmethod
    def of_units(cls, w: Array, b: Array, slope: Array, intercept: Array, offset: float) -> LinearPieces:
        """Σ_i (slope_i x + intercept_i)·[w_i x + b_i > 0] + offset: breaks at −b/w."""
        flat = (w == 0) & (b > 0)  # never switches
        constant = np.array([slope[flat].sum(), intercept[flat].sum() + offset])
        bending = w != 0
        w, b, slope, intercept = w[bending], b[bending], slope[bending], intercept[bending]
        breaks = -b / w
        order = np.argsort(breaks, kind="stable")
        breaks, w, slope, intercept = breaks[order], w[order], slope[order], intercept[order]
        # going right a unit with w > 0 switches on, one with w < 0 off
        turn = np.sign(w)
        left = np.array([slope[w < 0].sum(), intercept[w < 0].sum()]) + constant
        return cls(
            breaks,
            left[0] + np.concatenate([[0.0], np.cumsum(turn * slope)]),
            left[1] + np.concatenate([[0.0], np.cumsum(turn * intercept)]),
        )

    @property
    def variation(self) -> float:
        """∫|f″|, the total variation of the slope."""
        return float(np.abs(np.diff(self.slopes)).sum())


class WideReLU(nn.Module):
    """A wide ReLU network with one input and one output.

    Args:
        width: n, the units of one of the two mirrored halves (2n in all), or of the whole network without mirroring.
        init: the law of (w_i, b_i).
        anti_symmetric: whether there are two mirrored halves, so that f = 0 at the start.
        parametrization: "standard" or "ntk"; see the module.
        train: "all", "output" or "linearized"; what is not trained is a buffer.
        scale: multiplies a_i(0) and d(0) (0 starts with a = 0; large values leave the regime of the
            theory).
        output_start: "gaussian", a_i(0) ~ N(0, 1/width) and d(0) = 0; or "law", as printed in eq. (3): a_i(0) and d(0)
            are draws of W and B divided by √width.
        seed: of all weights.

    Input (N, 1), output (N,).

    Raises:
        ValueError: a width below 1 or an unknown choice.

    Reference: Jin and Montúfar (2023), Theorem 1.

    >>> from solvers.splines.initial_distributions import GaussianInit
    >>> net = WideReLU(1000, GaussianInit(1.0, 1.0), seed=0)
    >>> net(torch.tensor([[0.5], [2.0]], dtype=torch.float64)).tolist(), net.units
    ([0.0, 0.0], 2000)
    >>> printed = WideReLU(1000, GaussianInit(1.0, 1.0), anti_symmetric=False, output_start="law")
    >>> printed.units, bool(printed.offset.abs().sum() > 0)
    (1000, True)
    """

    outer: Tensor
    offset: Tensor
    weight: Tensor
    bias: Tensor
    signs: Tensor
    half_signs: Tensor
    start_outer: Tensor
    start_weight: Tensor
    start_bias: Tensor

    def __init__(
        self,
        width: int,
        init: InitialDistribution,
        anti_symmetric: bool = True,
        *,
        parametrization: Parametrization = "standard",
        train: Train = "all",
        scale: float = 1.0,
        output_start: OutputStart = "gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not (isinstance(width, int | np.integer) and width >= 1):
            raise ValueError(f"WideReLU: width must be a positive integer (units of one half), got {width!r}")
        if parametrization not in get_args(Parametrization) or train not in get_args(Train):
            raise ValueError(
                f"WideReLU: parametrization is one of {get_args(Parametrization)} and train one of {get_args(Train)}; "
                f"got {parametrization!r} and {train!r}"
            )
        if output_start not in get_args(OutputStart):
            raise ValueError(f"WideReLU: output_start is one of {get_args(OutputStart)}, got {output_start!r}")
        self.width, self.init, self.train_mode, self.parametrization = int(width), init, train, parametrization
        generator = np.random.default_rng(seed)
        w, b = init.sample(self.width, generator)
        a, d = scale * generator.standard_normal(self.width), 0.0
        if output_start == "law":
            a, d = scale * init.sample(self.width, generator)[0], scale * float(init.sample(1, generator)[1][0])
        front = 1.0
        if parametrization == "standard":
            a, d = a / math.sqrt(self.width), d / math.sqrt(self.width)
        else:
            front /= math.sqrt(self.width)
        half_signs = front * np.array([1.0, -1.0]) / math.sqrt(2.0) if anti_symmetric else np.array([front])
        halves = half_signs.size
        start = {name: np.tile(values, halves) for name, values in (("outer", a), ("weight", w), ("bias", b))}
        start["offset"] = np.full(halves, d)
        self.register_buffer("half_signs", torch.from_numpy(half_signs))
        self.register_buffer("signs", torch.from_numpy(np.repeat(half_signs, self.width)))
        for name in ("outer", "offset", "weight", "bias"):  # the order of the parameters everywhere
            value = torch.from_numpy(start[name])
            if train == "output" and name in ("weight", "bias"):
                self.register_buffer(name, value)
            else:
                self.register_parameter(name, nn.Parameter(value))
            if train == "linearized":
                self.register_buffer(f"start_{name}", value.clone())

    def tangent_bundle(self, models: Sequence[WideReLU], X: Tensor, device: torch.device) -> WideBundle:
        """Outputs, tangent kernel and Jᵀ· of a batch of networks like this one, for `gd.squared.squared_flow`."""
        return WideBundle(models, X, device)

    def extra_repr(self) -> str:
        return (
            f"width={self.width}, halves={self.half_signs.numel()}, parametrization={self.parametrization!r}, "
            f"train={self.train_mode!r}"
        )

    @property
    def units(self) -> int:
        """The number of hidden units in all."""
        return int(self.signs.numel())

    def forward(self, X: Tensor) -> Tensor:
        x = X[..., 0].unsqueeze(-1)
        offset = (self.half_signs * self.offset).sum()
        if self.train_mode != "linearized":
            units = torch.relu(x * self.weight + self.bias) * self.outer
        else:
            before = x * self.start_weight + self.start_bias
            moved = (x * (self.weight - self.start_weight) + (self.bias - self.start_bias)) * (before > 0)
            units = torch.relu(before) * self.outer + moved * self.start_outer
        # half by half, so that equal halves cancel exactly
        halves = units.reshape(*units.shape[:-1], -1, self.width).sum(dim=-1)
        return torch.matmul(halves, self.half_signs) + offset

    def pieces(self) -> LinearPieces:
        """The function the network computes, exactly: breaks at −b/w and the line of each piece.

        Sums of all units, so values carry rounding of about 1e-16·√units times the size of a unit's contribution.
        """
        numbers = {name: value.detach().cpu().double().numpy() for name, value in self.state_dict().items()}
        s, a, w, b = (numbers[name] for name in ("signs", "outer", "weight", "bias"))
        offset = float(numbers["half_signs"] @ numbers["offset"])
        slope, intercept = s * a * w, s * a * b
        if self.train_mode == "linearized":
            w0, b0, a0 = (numbers[f"start_{name}"] for name in ("weight", "bias", "outer"))
            slope, intercept = s * (a * w0 + a0 * (w - w0)), s * (a * b0 + a0 * (b - b0))
            w, b = w0, b0
        return LinearPieces.of_units(w, b, slope, intercept, offset)

    def as_piecewise(self) -> Piecewise:
        return self.pieces().as_piecewise()
