"""What outputs are held against: labels ±1, classes, or real targets.

A loss compares numbers with targets of their shape. For labels ±1 and for real targets the numbers are the outputs f;
for K classes they are the N(K − 1) differences f_{y_n}(x_n) − f_k(x_n), k ≠ y_n, each of which should be positive, so
that the targets are ones. `Targets` says which, and every margin here is values × compared outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gd.forward_pass import check_one_label_each
from gd.networks.declaration import declared
from solvers.classes import Classes

if TYPE_CHECKING:
    from gd.flow.margin_map import MarginMap

Outputs = Callable[[Sequence[Tensor], Tensor], Tensor]
"""(parameters, X) ↦ f(X), a pure function."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels ±1 of shape (N,) or (N, M), or real targets (N, …): what is compared are the outputs themselves."""

    values: Tensor

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of f(X)."""
        return tuple(self.values.shape)

    @property
    def stretch(self) -> float:
        """‖∇m‖ is at most this times the largest gradient of one output."""
        return 1.0

    def check_outputs(self, outputs: Tensor) -> None:
        """Raise ValueError unless a forward pass gives one output for each of those that are asked for."""
        check_one_label_each(outputs, self.values)

    def at(self, rows: Tensor) -> Targets:
        """Those of the points with these indices."""
        return replace(self, values=self.values[rows])

    def to(self, device: torch.device | None, dtype: torch.dtype) -> Targets:
        """The same elsewhere."""
        return replace(self, values=self.values.to(device, dtype))

    def compared(self, outputs: Tensor) -> Tensor:
        """What is held against `values`, from outputs (…, *output_shape)."""
        return outputs

    def spread(self, slope: Tensor) -> Tensor:
        """The adjoint of `compared`."""
        return slope

    def weights(self, slope: Tensor) -> Tensor:
        """p = −∂ log L/∂m, the shape of the margins, from ∂ log L/∂f."""
        return -self.values * slope

    def margins(self, outputs: Tensor) -> Tensor:
        """m, of the shape of `values` with the leading axes of `outputs`."""
        return self.values * self.compared(outputs)

    def output_signs(self) -> Tensor:
        """∂m_nj/∂f_m(x_n), (N, J, M): which outputs each of the J margins of a sample is made of."""
        values = self.values.reshape(self.values.shape[0], -1)
        return values[:, :, None] * torch.eye(values.shape[1]).to(values)

    def closed_form(self, model: nn.Module, X: Tensor) -> MarginMap | None:
        """The margin map that the model itself has of these margins, if any."""
        own = declared(model).margin_map
        return None if own is None else own(X, self.values)

    def rows(self, X: Tensor) -> Tensor:
        """The gradients of the margins of a linear predictor, points of β's shape: (number of margins, *shape)."""
        M = self.output_signs().shape[2]
        rows = torch.einsum("njm,nd->njmd", self.output_signs(), X.flatten(1))
        return rows.reshape(-1, *([M] if M > 1 else []), *X.shape[1:])

    def with_inputs(self, f: Outputs, X: Tensor) -> tuple[Outputs, Tensor]:
        """A function and inputs, one row a sample, that give `compared` outputs: each row knows its label."""
        return f, X


@dataclass(frozen=True, eq=False)
class ClassTargets(Targets):
    """K classes; `values` are ones of shape (N, K − 1)."""

    index: Tensor
    """y_n, (N,)."""
    others: Tensor
    """The classes k ≠ y_n in order, (N, K − 1)."""

    @classmethod
    def of(cls, classes: Classes) -> ClassTargets:
        """From checked labels."""
        ones = torch.ones(classes.shape, dtype=torch.float64)
        return cls(ones, torch.from_numpy(classes.index.copy()).long(), torch.from_numpy(classes.others.copy()).long())

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.values.shape[0], self.values.shape[1] + 1

    @property
    def stretch(self) -> float:
        return math.sqrt(2.0)

    def check_outputs(self, outputs: Tensor) -> None:
        if tuple(outputs.shape) != self.output_shape:
            raise ValueError(
                f"the network gives outputs of shape {tuple(outputs.shape)}; with {self.output_shape[1]} classes it "
                f"must give {self.output_shape}, one a class"
            )

    def at(self, rows: Tensor) -> Targets:
        return ClassTargets(self.values[rows], self.index[rows], self.others[rows])

    def weights(self, slope: Tensor) -> Tensor:
        return slope.gather(-1, self.others.expand(*slope.shape[:-2], -1, -1))

    def to(self, device: torch.device | None, dtype: torch.dtype) -> Targets:
        return ClassTargets(self.values.to(device, dtype), self.index.to(device), self.others.to(device))

    def compared(self, outputs: Tensor) -> Tensor:
        lead = outputs.shape[:-2]
        own = outputs.gather(-1, self.index[:, None].expand(*lead, -1, -1))
        return own - outputs.gather(-1, self.others.expand(*lead, -1, -1))

    def spread(self, slope: Tensor) -> Tensor:
        lead = slope.shape[:-2]
        spread = slope.new_zeros(*lead, *self.output_shape)
        spread.scatter_(-1, self.others.expand(*lead, -1, -1), -slope)
        own = self.index[:, None].expand(*lead, -1, -1)
        return spread.scatter_(-1, own, slope.sum(-1, keepdim=True))

    def closed_form(self, model: nn.Module, X: Tensor) -> MarginMap | None:
        own = declared(model).class_margin_map
        return None if own is None else own(X, self)

    def output_signs(self) -> Tensor:
        K = self.output_shape[1]
        one_hot = torch.nn.functional.one_hot
        return (one_hot(self.index, K)[:, None] - one_hot(self.others, K)).to(self.values)

    def with_inputs(self, f: Outputs, X: Tensor) -> tuple[Outputs, Tensor]:
        size, shape, (N, K) = X[0].numel(), X.shape[1:], self.output_shape

        def differences(parameters: Sequence[Tensor], rows: Tensor) -> Tensor:
            outputs = f(parameters, rows[:, :size].reshape(-1, *shape))
            return (rows[:, size:].reshape(-1, K - 1, K) * outputs.reshape(-1, 1, K)).sum(-1)

        return differences, torch.cat([X.reshape(N, -1), self.output_signs().reshape(N, -1)], 1)
