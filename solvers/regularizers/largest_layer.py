"""The largest of the norms of several layers: the geometry of an optimizer that normalizes each layer by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from solvers.arrays import Array, real_array
from solvers.conic import cvxpy_library
from solvers.regularizers.regularizer import Norm, Regularizer


@dataclass(frozen=True)
class LargestLayer(Norm):
    """R(β) = max_l c_l R_l(β_l), β = (β_1, …, β_L) flattened one after the other.

    A steepest descent step in it is one in every layer, of length 1/c_l in the layer's own norm: Muon on matrices
    beside sign descent on vectors, with a learning rate for each. The dual norm is Σ_l R_l°(z_l)/c_l. So a model that
    is linear in its parameters, f(x) = Σ_l ⟨x_l, β_l⟩, trained by such an optimizer tends to the largest margin in R.

    Args:
        layers: a norm and the shape of its part of β, for each layer.
        scales: c_l > 0; all 1 unless given.

    Raises:
        ValueError: no layers, a regularizer that is not a norm or not defined for its shape, scales that are not
            positive or not one for each layer.

    Reference: Bernstein, Newhouse (2024), *Modular duality in deep learning*; Pethick et al. (2025), Scion.

    >>> from solvers import Bridge, Schatten
    >>> norm = LargestLayer([(Schatten(float("inf")), (2, 2)), (Bridge(float("inf")), (3,))])
    >>> norm.value(np.array([3.0, 0.0, 0.0, 1.0, 0.5, 2.0, -1.0])), norm.dual_norm(np.ones(7))
    (3.0, 5.0)
    """

    layers: Sequence[tuple[Regularizer, tuple[int, ...]]]
    """(R_l, shape of β_l), L of them."""
    scales: Sequence[float] = ()
    """c_l."""

    def __post_init__(self) -> None:
        layers = tuple((norm, tuple(shape)) for norm, shape in self.layers)
        scales = tuple(real_array("scales", self.scales).ravel().tolist()) or (1.0,) * len(layers)
        if not layers or len(scales) != len(layers) or not all(0 < c < np.inf for c in scales):
            raise ValueError(
                f"LargestLayer takes at least one layer (norm, shape) and a scale > 0 for each; got {len(layers)} "
                f"layers and scales {self.scales!r}"
            )
        for norm, shape in layers:
            if not norm.is_norm:
                raise ValueError(f"{norm} is not a norm, so the largest of the layers is none either")
            norm.check_shape(shape)
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "scales", scales)

    @property
    def formula(self) -> str:
        parts = [
            norm.formula if c == 1 else f"{c:g}·{norm.formula}"
            for c, (norm, _) in zip(self.scales, self.layers, strict=True)
        ]
        return f"max({', '.join(parts)})"

    def _parts(self, beta: Any) -> list[Any]:
        """β_l, flat."""
        sizes = [int(np.prod(shape)) for _, shape in self.layers]
        ends = list(accumulate(sizes))
        return [beta[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def value(self, beta: Array) -> float:
        parts = zip(self.scales, self.layers, self._parts(beta.reshape(-1)), strict=True)
        return max(c * norm.value(part.reshape(shape)) for c, (norm, shape), part in parts)

    def dual_norm(self, z: Array) -> float:
        parts = zip(self.scales, self.layers, self._parts(z.reshape(-1)), strict=True)
        return float(sum(norm.dual_norm(part.reshape(shape)) / c for c, (norm, shape), part in parts))

    def conic(self, beta: Any) -> Any:
        cp = cvxpy_library()
        parts = zip(self.scales, self.layers, self._parts(cp.vec(beta, order="C")), strict=True)
        values = [
            c * norm.conic(part if len(shape) == 1 else cp.reshape(part, shape, order="C"))
            for c, (norm, shape), part in parts
        ]
        return cp.maximum(*values) if len(values) > 1 else values[0]

    def check_shape(self, shape: tuple[int, ...]) -> None:
        size = sum(int(np.prod(part)) for _, part in self.layers)
        if int(np.prod(shape)) != size:
            raise ValueError(f"the layers hold {size} entries, but predictors have the shape {shape}")
