"""ReLU networks with several inputs in the kernel regime: two mirrored halves, so that f = 0 at the start.

    f(x) = (h(x; θ₁) − h(x; θ₂))/√2,        θ₁ = θ₂ at the start,

trained in both halves. `WideReLUVectors` has one hidden layer and weights drawn from a law of (W, B); `DeepReLU` has
any depth and is written so that its tangent kernel stays of order one as the width grows.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from solvers.splines.vector_kernels import InputLaw


def _mirrored(start: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> nn.Parameter:
    """Both halves of a weight, equal at the start."""
    return nn.Parameter(torch.from_numpy(np.stack([start, start])))


def _difference(halves: Tensor) -> Tensor:
    """(h₁ − h₂)/√2 of outputs (2, N)."""
    return (halves[0] - halves[1]) / math.sqrt(2.0)


class WideReLUVectors(nn.Module):
    """A wide ReLU network with d inputs and one output, h(x) = Σ_i a_i [w_i·x + b_i]₊ + c in each half.

    Args:
        width: n, the units of one of the two mirrored halves.
        inputs: d.
        law: of (w_i, b_i), a `solvers.InputLaw`.
        seed: of all weights; a_i(0) ~ N(0, 1/n), c(0) = 0.

    Input (N, d), output (N,).

    Raises:
        ValueError: a width or number of inputs below 1.

    Reference: Jin and Montúfar (2020), eqs. (1) and (5), several inputs.

    >>> from solvers import SphereInputs
    >>> net = WideReLUVectors(100, 2, SphereInputs(2.0))
    >>> net(torch.ones(3, 2, dtype=torch.float64)).tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(self, width: int, inputs: int, law: InputLaw, *, seed: int = 0) -> None:
        super().__init__()
        if width < 1 or inputs < 1:
            raise ValueError(f"width and inputs must be at least 1, got {width!r} and {inputs!r}")
        generator = np.random.default_rng(seed)
        w, b = law.sample(width, inputs, generator)
        self.weight, self.bias = _mirrored(w), _mirrored(b)
        self.outer = _mirrored(generator.standard_normal(width) / math.sqrt(width))
        self.offset = _mirrored(np.zeros(1))

    def forward(self, X: Tensor) -> Tensor:
        hidden = torch.relu(X @ self.weight.mT + self.bias.unsqueeze(1))
        return _difference((hidden @ self.outer.unsqueeze(2)).squeeze(2) + self.offset)


class DeepReLU(nn.Module):
    """A deep ReLU network whose tangent kernel tends to `solvers.DeepReLUKernel` as the width grows.

        h ↦ √(2/m) [W h]₊ for each hidden layer of m units, the first one of (x, 1); the output is v·h.

    Args:
        width: m, units of every hidden layer of one of the two mirrored halves.
        inputs: d.
        depth: layers of weights, ≥ 2.
        seed: of all weights, which are N(0, 1).

    Input (N, d), output (N,).

    Raises:
        ValueError: a width or number of inputs below 1, or a depth below 2.

    Reference: Jacot, Gabriel, Hongler (2018); Lee et al. (2019).

    >>> net = DeepReLU(16, 2, 3)
    >>> tuple(net(torch.ones(3, 2, dtype=torch.float64)).shape), len(list(net.parameters()))
    ((3,), 3)
    """

    def __init__(self, width: int, inputs: int, depth: int = 3, *, seed: int = 0) -> None:
        super().__init__()
        if width < 1 or inputs < 1 or depth < 2:
            raise ValueError(
                f"width and inputs must be at least 1 and depth at least 2, got {width!r}, {inputs!r} and {depth!r}"
            )
        generator = np.random.default_rng(seed)
        shapes = [(width, inputs + 1), *[(width, width)] * (depth - 2)]
        self.width = width
        self.hidden = nn.ParameterList([_mirrored(generator.standard_normal(shape)) for shape in shapes])
        self.outer = _mirrored(generator.standard_normal(width))

    def forward(self, X: Tensor) -> Tensor:
        h = torch.cat([X, torch.ones_like(X[..., :1])], dim=-1)
        for weight in self.hidden:
            h = math.sqrt(2.0 / self.width) * torch.relu(h @ weight.mT)
        return _difference((h @ self.outer.unsqueeze(2)).squeeze(2))
