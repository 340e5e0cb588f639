"""Any homogeneous torch module as a margin map, by its trace (`gd.piecewise`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from gd.flow.homogeneity import measured_degree, tolerated
from gd.flow.margin_map import Local, MarginMap
from gd.flow.two_layer_optimum import TwoLayerRelu, two_layer_relu
from gd.networks.declaration import declared
from gd.piecewise.module import Derivatives, PiecewiseMargins
from gd.targets import Targets
from solvers.arrays import Array

LARGEST_BASIS = 4096
"""Dimension up to which β of a module is computed, one unit vector after the other."""


Kind = TypeVar("Kind", bound="ModuleMap")


class ModuleMap(MarginMap):
    """m(θ), y ⊙ f(X; θ) for labels ±1, for a torch module, θ its trainable parameters in their order."""

    def __init__(
        self,
        model: nn.Module,
        X: Tensor,
        y: Tensor,
        seed: int = 0,
        targets: Targets | None = None,
    ) -> None:
        self.model, self.targets = model, Targets(y) if targets is None else targets
        self.X, self.y = X, y
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not trained:
            raise ValueError("the model has no trainable parameter (requires_grad), so there is no flow to follow")
        self._names = [name for name, _ in trained]
        self._sizes = [tuple(p.shape) for _, p in trained]
        held = [(n, p) for n, p in model.named_parameters() if not p.requires_grad] + list(model.named_buffers())
        self._held = {
            name: t.detach().to(X.device, torch.float64 if t.is_floating_point() else t.dtype) for name, t in held
        }
        self.n_constraints = self.y.numel()
        # with a layer held, the weights that train induce another regularizer
        self.regularizer = declared(model).regularizer if all(p.requires_grad for p in model.parameters()) else None
        start = self.start([model])[0]
        self.degree = measured_degree(self._named_margins, self._split(start), seed)
        self._linear = self._is_linear(start, seed)
        compared, rows = self.targets.with_inputs(self._call, X)
        self.pieces = PiecewiseMargins(compared, self._sizes, rows, self.y, start, seed)
        self.prepare(start)

    def taken_as(self, kind: type[Kind]) -> Kind:
        """The same module with the same trace as a map of another kind."""
        mapping = object.__new__(kind)
        mapping.__dict__.update(self.__dict__)
        mapping.prepare(self.start([self.model])[0])
        return mapping

    def at_once(self, models: Sequence[nn.Module]) -> int:
        """One: equal shapes do not make two forward passes one function."""
        del models
        return 1

    def prepare(self, start: Tensor) -> None:
        """What a kind of module needs besides, with its trace and its parameters θ (P,) known; here nothing."""

    def _split(self, theta: Tensor) -> dict[str, Tensor]:
        parts = torch.split(theta, [math.prod(size) for size in self._sizes], dim=-1)
        return {n: part.reshape(size) for n, part, size in zip(self._names, parts, self._sizes, strict=True)}

    def _call(self, parameters: Sequence[Tensor], X: Tensor) -> Tensor:
        named = dict(zip(self._names, parameters, strict=True))
        held = {name: t.clone() for name, t in self._held.items()}
        outputs: Tensor = torch.func.functional_call(self.model, named | held, (X,))
        return outputs

    def _outputs(self, theta: Tensor, X: Tensor) -> Tensor:
        return self._call(list(self._split(theta).values()), X)

    def _margins(self, theta: Tensor) -> Tensor:
        return self.targets.margins(self._outputs(theta, self.X).reshape(self.targets.output_shape)).flatten()

    def _named_margins(self, named: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad():
            outputs = self._call(list(named.values()), self.X)
            return self.targets.margins(outputs.reshape(self.targets.output_shape)).flatten()

    @property
    def convex(self) -> bool:
        """False: that R is the induced regularizer is the module's word, so no limit is required to close its gap."""
        return False

    def predictors(self, theta: Tensor) -> Array | None:
        """β of a module that is a linear predictor, β_d = f(e_d; θ), one row for each of several outputs; else None."""
        if not self._linear:
            return None
        with torch.no_grad():
            beta = torch.stack([self._coefficients(row) for row in theta])
        outputs = self.targets.output_shape[1:]
        return np.asarray(beta.reshape(-1, *outputs, *self.X.shape[1:]).cpu().numpy())

    def _is_linear(self, theta: Tensor, seed: int) -> bool:
        """Whether f is linear in x: measured at the parameters and at random ones, off the data too."""
        shape = self.X.shape[1:]
        D = math.prod(shape)
        if D > LARGEST_BASIS:
            return False
        generator = torch.Generator().manual_seed(seed)

        def random(*size: int) -> Tensor:
            return torch.randn(*size, generator=generator, dtype=torch.float64).to(self.X.device)

        count = self.X.shape[0]
        probes = torch.cat([self.X, random(count, *shape)])
        with torch.no_grad():
            for row in (theta, random(theta.numel())):
                f = self._in_parts(row, probes)
                error = f - probes.flatten(1) @ self._coefficients(row).T
                if float(error.abs().max()) > tolerated(f.dtype) * max(float(f.abs().max()), 1e-300):
                    return False
        return True

    def _in_parts(self, theta: Tensor, points: Tensor) -> Tensor:
        """f at points, (points, outputs), as many at a time as X has: some modules take no other number."""
        count = self.X.shape[0]
        return torch.cat([self._outputs(theta, part).reshape(count, -1) for part in torch.split(points, count)])

    def _coefficients(self, theta: Tensor) -> Tensor:
        """f at every unit vector, (outputs, D)."""
        shape, count = self.X.shape[1:], self.X.shape[0]
        D = math.prod(shape)
        basis = torch.zeros(D + -D % count, D, dtype=torch.float64, device=self.X.device)
        basis[:D].fill_diagonal_(1.0)
        return self._in_parts(theta, basis.reshape(-1, *shape))[:D].T

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        rows = []
        for model in models:
            parameters = dict(model.named_parameters())
            rows.append(torch.cat([parameters[name].detach().flatten() for name in self._names]))
        return torch.stack(rows).to(self.X.device, torch.float64)

    def margins(self, theta: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([self._margins(row) for row in theta])

    def smooth_margins(self, theta: Tensor) -> Tensor:
        return self._margins(theta)

    def jacobian(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """J (B, N, P) and m (B, N)."""
        local = [self.derivatives(row) for row in theta]
        return torch.stack([d.rows.dense for d in local]), torch.stack([d.margins for d in local])

    def derivatives(self, theta: Tensor) -> Derivatives:
        """Margins and their gradients at θ (P,), each kink taken on the side where θ is."""
        sides = (self.pieces.plain(theta)[1] > 0).to(theta.dtype) if self.pieces.n_kinks else theta[:0]
        return self.pieces.derivatives(theta, sides, torch.zeros(0, dtype=torch.long, device=theta.device))

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        local = [self.derivatives(row) for row in theta]
        return Local(
            torch.stack([d.margins for d in local]),
            torch.stack([d.rows.gram() for d in local]),
            lambda p: torch.stack([d.rows.combine(weights) for d, weights in zip(local, p, strict=True)]),
            theta,
            self.degree,
        )

    def conserved(self, theta: Tensor) -> Tensor | None:
        return self.pieces.conserved(theta)

    def two_layers(self, theta: Tensor) -> TwoLayerRelu | None:
        return two_layer_relu(self.pieces.two_layers(theta), self.X, self.y)

    def weights(self, theta: Tensor) -> dict[str, Array]:
        return {name: part.cpu().numpy() for name, part in self._split(theta).items()}
