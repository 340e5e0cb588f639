"""Products with the gradients of the margins of several outputs, without the table of them.

With rows a_nj = s_nj ⊗ x_n, s_nj the signs of the outputs in margin j of sample n, margins are differences of X V, V
one column an output. For ten classes of 1,797 images that is 1/70 of the numbers in the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gd.targets import Targets


@dataclass(frozen=True, eq=False)
class MarginProducts:
    """Products with the table of rows F, (number of margins, coefficients)."""

    F: Tensor

    def pair(self, b: Tensor) -> Tensor:
        """F b for coefficients b (…, coefficients): (…, number of margins)."""
        return b @ self.F.T

    def combine(self, p: Tensor) -> Tensor:
        """Fᵀp for p (…, number of margins): (…, coefficients)."""
        return p @ self.F

    def squares(self, speed: Tensor) -> Tensor:
        """Σ_d F_nd² v_d for v (…, coefficients): (…, number of margins)."""
        return speed @ (self.F**2).T

    def block(self, kept: Tensor, speed: Tensor) -> Tensor:
        """Σ_d F_nd v_d F_md for v (coefficients,) and some margins n, m: (k, k)."""
        rows = self.F[kept]
        return (rows * speed) @ rows.T


@dataclass(frozen=True, eq=False)
class SampleProducts(MarginProducts):
    """The same from points x_n, (N, coefficients of one output), and the targets that compare the outputs."""

    points: Tensor
    targets: Targets

    def _outputs(self, points: Tensor, b: Tensor) -> Tensor:
        """⟨x_n, b_m⟩, (…, N, M)."""
        return points @ torch.unflatten(b, -1, (-1, points.shape[1])).mT

    def pair(self, b: Tensor) -> Tensor:
        return self.targets.margins(self._outputs(self.points, b)).flatten(-2)

    def combine(self, p: Tensor) -> Tensor:
        weights = self.targets.values * torch.unflatten(p, -1, tuple(self.targets.values.shape))
        return (self.targets.spread(weights).mT @ self.points).flatten(-2)

    def squares(self, speed: Tensor) -> Tensor:
        outputs = self._outputs(self.points**2, speed)
        return (self.targets.output_signs() ** 2 @ outputs[..., None])[..., 0].flatten(-2)
