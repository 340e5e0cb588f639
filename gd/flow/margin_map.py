"""The margins m_n(θ) = y_n f(x_n; θ) of a homogeneous network, with what a stiff integrator needs of their Jacobian J.

The flow's force is Jᵀp, and its stiffness lives in the N weights p alone, so an implicit step never needs a P × P
matrix: the margins, the Gram matrix J Jᵀ (N × N) and the product Jᵀp are enough. Linear networks have all three in
closed form (`gd.flow.product_map`, `gd.flow.fully_connected_map`, `gd.flow.multi_channel_map`); any other homogeneous
`torch.nn.Module` goes through its trace (`gd.flow.module_map`). A network says its own map by a method
`margin_map(X, y)`. All maps carry a leading batch axis: row b of θ is one network.

A map also says how a direction of the flow is polished to a KKT point: in the weights here, in the coefficients of β
where the induced regularizer is a sum over them (`gd.flow.coefficient_map`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.implicit_weights import forceful, implicit_weights, squares_of
from gd.flow.kkt import ACTIVE, KKT, StationaryPoint
from gd.flow.loss_weights import FlowWeights
from gd.flow.termination import SETTLING
from gd.flow.two_layer_optimum import TwoLayerRelu
from gd.flow.weight_polish import HeldProblem, PolishedWeights, gradients, polish_weights
from gd.piecewise.rows import Rows
from solvers.arrays import Array
from solvers.regularizers import Regularizer
from solvers.solution import Certificate

LARGEST_STRETCH = 3.0
"""Of |θ| in one step, where only the direction matters, and it is controlled by itself (`gd.flow.integration`)."""


@dataclass(frozen=True)
class Step:
    """One implicit step of a batch."""

    p: Array
    """The weights at its end (B, N)."""
    move: Tensor
    """The change of θ (B, P)."""
    growth: Array
    """The part of the change of ln‖w‖ that is not left in the length of θ, (B,)."""
    converged: NDArray[np.bool_]
    carried: Sequence[Any] | None
    """State to hand to the next `MarginMap.at`."""


class Local:
    """Margins and Jacobian at one θ (B, P): m (B, N), J Jᵀ (B, N, N), and p ↦ Jᵀp, (B, N) → (B, P).

    A step moves θ by hJᵀp = aθ + Δ, Δ ⟂ θ, and m is homogeneous of degree L, so to first order in Δ alone

        m(θ + hJᵀp) = (1 + a)^{L−1} ( (1 − (L−1)a) m + hKp ),    a = h⟨θ, Jᵀp⟩/‖θ‖² = hL⟨p, m⟩/‖θ‖².            (1)

    The stretch a is exact. (Linear in a as well, m + hKp, a difference of two margins that should be equal would change
    its sign and grow by the factor (L−1)a/(1+a) in a step: for L > 2 long steps would never settle.)
    """

    def __init__(
        self, margins: Tensor, gram: Tensor, pull: Callable[[Tensor], Tensor], theta: Tensor, degree: float
    ) -> None:
        self.margins, self.gram, self.pull, self.degree = margins, gram, pull, degree
        self._square = (theta.conj() * theta).real.sum(-1)

    @property
    def squares(self) -> Array:
        """‖∇m_n‖², (B, N)."""
        return squares_of(self.gram.cpu().numpy())

    def weights_ahead(
        self, ahead: Array, h: Array, T: Array, guess: Array, loss: FlowWeights
    ) -> tuple[Array, NDArray[np.bool_]]:
        """p at the end of steps h, for margins that are `ahead` + hKp there (`gd.flow.implicit_weights`)."""
        return implicit_weights(ahead, self.gram.cpu().numpy(), h, T, guess, loss)

    def along_kinks(self, v: Tensor) -> Tensor:
        """v (P,) for the first row, less its part across the kinks that the flow slides along; here there are none."""
        return v

    def kink_multipliers(self, p: Tensor) -> Tensor:
        """κ (K,) with Jᵀp − Zᵀκ along the kinks of the first row."""
        return p[:0]

    def solve(self, h: Array, T: Array, guess: Array, loss: FlowWeights, implicit: NDArray[np.bool_]) -> Step:
        """One implicit step of every row; `implicit` asks for one exact in the weights, where that is offered."""
        del implicit
        margins = self.margins.cpu().numpy()
        others = self.degree - 1.0
        a = np.clip(h * self.degree * (guess * margins).sum(1) / self._square.cpu().numpy(), 0.0, LARGEST_STRETCH)
        stretch = (1.0 + a) ** others
        ahead = forceful((stretch * (1.0 - others * a))[:, None] * margins, self.squares)
        p, converged = self.weights_ahead(ahead, stretch * h, T, guess, loss)
        device = self.margins.device
        move = torch.as_tensor(h, device=device)[:, None] * self.pull(torch.as_tensor(p, device=device))
        return Step(p, move, np.zeros_like(h), converged, None)


class MarginMap(ABC):
    """θ ↦ m(θ), homogeneous of degree `degree`: m(cθ) = c^degree m(θ) for c > 0."""

    degree: float
    n_constraints: int
    largest_stretch = LARGEST_STRETCH
    """Of |θ| in one step."""
    largest_product = np.inf
    """Operations of a step's largest matrix product, where they are known."""
    exact_in_weights = False
    """Whether steps are offered that are exact for constant loss weights, however long."""
    explicit_gradients = 0
    """How many gradients explicit steps may cost that lead as far as one implicit step (`gd.flow.explicit_step`)."""
    regularizer: Regularizer | None = None
    """The induced regularizer, where a closed form is known."""
    settling = SETTLING
    """Residual (radians) above which no point is looked for."""
    smooth = True
    """Whether the margins have second derivatives in the weights everywhere."""
    kinks_one_by_one = 0
    """Kinks whose gradients have no structure that is made use of."""
    settles_slowly = True
    """Whether some directions settle like a small power of ‖w‖: dying units, rotations among layers or channels."""

    @property
    def convex(self) -> bool:
        """Whether every limit that the theorems predict closes the duality gap of the induced problem."""
        return self.regularizer is not None and self.regularizer.is_norm

    def at_once(self, models: Sequence[nn.Module]) -> int:
        """How many networks of one architecture are followed as one batch by this map, made for the first of them.

        All, where the margins are a closed form of the weights alone.
        """
        return len(models)

    @abstractmethod
    def start(self, models: Sequence[nn.Module]) -> Tensor:
        """The networks' parameters as θ, shape (B, P); ‖θ_b‖ equals the Euclidean norm of the parameters."""

    @abstractmethod
    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        """Margins and Jacobian at θ (B, P); `carried` is what the step that led here handed on."""

    @abstractmethod
    def margins(self, theta: Tensor) -> Tensor:
        """m (B, N) alone."""

    def smooth_margins(self, theta: Tensor) -> Tensor:
        """m (N,) of one row (P,), differentiable."""
        return self.margins(theta[None])[0]

    @abstractmethod
    def weights(self, theta: Tensor) -> dict[str, Array]:
        """One row of θ, (P,), back as named parameters."""

    def whole(self, theta: Tensor) -> tuple[MarginMap, Tensor]:
        """The network's own map and its θ (P,), where this map has coordinates of a flow (`gd.flow.reduced_map`)."""
        return self, theta

    def predictors(self, theta: Tensor) -> Array | None:
        """β of every row of θ, shape (B, *shape); None when the network is not a linear predictor."""
        del theta
        return None

    def two_layers(self, theta: Tensor) -> TwoLayerRelu | None:
        """The network at θ (P,) as a two-layer (leaky) ReLU network; None where it is not one."""
        del theta
        return None

    def conserved(self, theta: Tensor) -> Tensor | None:
        """Quadratic forms of θ (B, P) that gradient flow of raw weights conserves, (B, ·); None where none is known."""
        del theta
        return None

    def real_coordinates(self, theta: Tensor) -> Tensor:
        """One row of θ, (P,), as as many real numbers as there are weights, of the same length."""
        return theta

    def from_real_coordinates(self, real: Tensor) -> Tensor:
        """The inverse of `real_coordinates`, differentiable."""
        return real

    def symmetries(self, theta: Tensor) -> Tensor:
        """Directions in which rotations of the weights that leave margins and norm alone move θ (P,).

        In real coordinates, (S, P); they may depend on each other, and none is known here.
        """
        return self.real_coordinates(theta)[None][:0]

    def above_underflow(self, theta: Tensor) -> Tensor:
        """θ with what would underflow held just above it, where weights decay independently."""
        return theta

    def duality_gap(self, certificate: Certificate, at: KKT) -> float | None:
        """The relative gap of a direction in the induced problem; None where R is no norm."""
        del at
        return certificate.direction_gap

    def zeros_shrink(self, theta: Tensor, force: Tensor, point: Tensor) -> bool:
        """Whether every coefficient that `point` sets to zero shrinks at θ, relative to the others, under the force."""
        del theta, force, point
        return True

    def held_problem(self, theta: Tensor, carried: Any, active: NDArray[np.bool_]) -> HeldProblem:
        """The smooth problem of `gd.flow.weight_polish` at θ: here the margins alone."""
        del theta, carried

        def margins_alone(t: Tensor) -> tuple[Tensor, Tensor]:
            return self.smooth_margins(t), t[:0]

        return HeldProblem(
            margins_alone,
            active,
            lambda t: Rows([gradients(self.smooth_margins, t)]),
            lambda _: np.zeros((0, active.size)),
        )

    def polished(
        self, theta: Tensor, p: Array, *, carried: Any, may_grow: bool, tol: float
    ) -> Iterator[StationaryPoint]:
        """KKT points near the direction θ (P,) of the flow with weights p (N,), by Newton's method in the weights.

        Args:
            theta: of norm one, with a positive margin.
            p: the flow's weights.
            carried: what the last step handed on for this row.
            may_grow: whether a coefficient that θ holds near zero may join the support.
            tol: of the smallest margin, which must be one at a point.
        """
        del may_grow
        smallest = float(self.margins(theta[None]).min())
        if smallest <= 0:  # positive with the gates held, of size rounding
            return
        active = p > ACTIVE * p.max()
        unit = smallest ** (-1.0 / self.degree)
        yield from self.as_points(polish_weights(self.held_problem(theta, carried, active), unit * theta), tol)

    def as_points(self, solved: PolishedWeights | None, tol: float) -> Iterator[StationaryPoint]:
        """Polished weights as a KKT point, if the smallest of all margins is one there."""
        if solved is None:
            return
        margins = self.margins(solved.w[None])[0].cpu().numpy()
        if abs(margins.min() - 1.0) > tol:
            return
        norm = float(torch.linalg.vector_norm(solved.w))
        delta = float((solved.lam * (margins - 1.0)).max())
        at = KKT(solved.residual * norm, delta, norm, norm**-self.degree)
        yield StationaryPoint(solved.w / norm, solved.lam, at, stable=True, isolated=False)


def balancedness(layers: list[Tensor]) -> Tensor:
    """W_{l+1}ᵀ W_{l+1} − W_l W_lᵀ of consecutive matrices (B, out, in), flattened: (B, ·)."""
    parts = [(after.mT @ after - before @ before.mT).flatten(1) for before, after in pairwise(layers)]
    return torch.cat(parts, 1) if parts else layers[0].new_zeros(layers[0].shape[0], 0)
