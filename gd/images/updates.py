"""Steps along the gradients that parameters hold, as in `torch.optim`, whose optimizers import torch's compiler first.

That import takes a second or two of each process. The operations are torch's own, in its order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

MOMENTS = (0.9, 0.999)
"""β₁, β₂ of Adam, torch's defaults;"""
EPSILON = 1e-8
"""and its ε."""


class ImageUpdate(ABC):
    """One rule, with what it remembers of each parameter."""

    def __init__(self, parameters: Iterable[Tensor], step: float) -> None:
        self._parameters, self._step = list(parameters), step

    def forget_gradients(self) -> None:
        """Before the next backward pass."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def take(self) -> None:
        """One step; a parameter without a gradient stays."""
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None:
                self._move(index, parameter, parameter.grad)

    @abstractmethod
    def _move(self, index: int, parameter: Tensor, gradient: Tensor) -> None:
        """Move the parameter of this number."""


class HeavyBall(ImageUpdate):
    """M ← μM + ∇L, C ← C − ηM; gradient descent where μ = 0."""

    def __init__(self, parameters: Iterable[Tensor], step: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, step)
        self._momentum = momentum
        self._moving = [torch.zeros_like(p, requires_grad=False) for p in self._parameters] if momentum else []

    def _move(self, index: int, parameter: Tensor, gradient: Tensor) -> None:
        if self._momentum:
            gradient = self._moving[index].mul_(self._momentum).add_(gradient)
        parameter.add_(gradient, alpha=-self._step)


class AdamUpdate(ImageUpdate):
    """Adam with step η and torch's default moments."""

    def __init__(self, parameters: Iterable[Tensor], step: float) -> None:
        super().__init__(parameters, step)
        self._means = [torch.zeros_like(p, requires_grad=False) for p in self._parameters]
        self._squares = [torch.zeros_like(p, requires_grad=False) for p in self._parameters]
        self._taken = [0] * len(self._parameters)

    def _move(self, index: int, parameter: Tensor, gradient: Tensor) -> None:
        self._taken[index] = t = self._taken[index] + 1
        first, second = MOMENTS
        mean = self._means[index].lerp_(gradient, 1.0 - first)
        square = self._squares[index].mul_(second).addcmul_(gradient, gradient, value=1.0 - second)
        size = (square.sqrt() / (1.0 - second**t) ** 0.5).add_(EPSILON)
        parameter.addcdiv_(mean, size, value=-self._step / (1.0 - first**t))
