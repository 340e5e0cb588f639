"""What every linear network shares: weights w = (w_1, …, w_L) in, a linear predictor β = P(w) out.

However it is parameterized, a linear network computes f(x; w) = ⟨x, P(w)⟩ with P homogeneous of degree L in the
weights. So a network is one differentiable map, `P`, from the list of layers to β; the forward pass, the predictor
and gradients follow. `P` broadcasts over leading axes of the layers, so that many networks of one architecture run as
one: that is what `descend` uses to train a batch of seeds without a Python loop.

Gradient flow conserves how the layers are balanced, and some initializations are balanced in a way that fixes the
sign of a coefficient of β for ever. No theorem about max-margin limits can hold for data that need the other sign, so
each network says which of its coefficients are fixed (`sign_locked`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from solvers.arrays import Array
from solvers.regularizers import Regularizer
from solvers.regularizers.balanced_potential import BalancedPotential
from solvers.regularizers.potential import Potential

if TYPE_CHECKING:
    from gd.flow.margin_map import MarginMap
    from gd.squared.effective_start import EffectiveStart
    from gd.targets import ClassTargets

Initialization = Literal["gaussian", "balanced", "unbiased"]

# Layers tie when their magnitudes agree to rounding; gradient flow keeps exact ties exact and near ties near.
TIE = 1e-12


class LinearNetwork(nn.Module):
    """f(x; w) = ⟨x, P(w)⟩, P homogeneous of degree `depth`; float64 parameters `weights.0` … `weights.{L−1}`.

    Initializations (`initialization=`), with s the argument `scale`:

    - "gaussian": every entry of every layer independently N(0, s²);
    - "balanced": the layers' conserved differences are zero (what "balanced" means is said at each network);
    - "unbiased": all layers but the last have entries N(0, s²), the last is zero, so f(·; w) = 0 at the start,
      as in the study of the kernel and rich regimes.

    Args:
        weights: the layers w_1 … w_L in the order in which they are applied.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), section 2 and Lemma 1.

    >>> from gd import Diagonal
    >>> Diagonal(3, 2, seed=0).degree, Diagonal(3, 2, seed=0).predictor.shape
    (2, (3,))
    """

    shape: tuple[int, ...]
    """Shape of one input x (and of β, for one output)."""
    depth: int
    """The number of layers L."""
    outputs: int = 1
    """The number of values f(x) has."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(w.to(torch.float64)) for w in weights])
        self.depth = len(weights)

    @abstractmethod
    def P(self, weights: Sequence[Tensor]) -> Tensor:
        """β from the layers; extra leading axes of the layers are batch axes and come out in front of β's."""

    @property
    @abstractmethod
    def regularizer(self) -> Regularizer | None:
        """R with min{‖w‖² : P(w) = β} = L·R(β)^{2/L} (`ConvKernel`: R itself); None where no closed form is known."""

    @property
    def theorem(self) -> str:
        """Where it is proved that gradient descent ends at the optimum of `regularizer`; "" where nothing is."""
        return ""

    @property
    def potential(self) -> Potential | None:
        """R of which gradient flow on the squared loss, from the current weights, ends at the least that fits.

        None where none is proved for the network and these weights.
        """
        if self.depth > 1 or self.outputs > 1 or len(self.shape) > 1:
            return None
        return BalancedPotential(self.predictor, 1)

    def effective_start(self, start: Tensor) -> EffectiveStart | None:
        """What accumulates, along finite gradient steps on the squared loss, the start from which the flow would end
        alike; `start` holds the weights of B runs, (B, P). None where there is no such start."""
        del start
        return None

    @property
    def linear_network(self) -> LinearNetwork:
        """Itself: what `gd.networks.declaration` asks of a module to know that it is a linear network."""
        return self

    def margin_map(self, X: Tensor, y: Tensor) -> MarginMap | None:
        """The margins y_n f(x_n; w) and their Jacobian in closed form; None: by automatic differentiation.

        X (N, …) and y (N, …) are float64 tensors on the device that computes.
        """
        return None

    def class_margin_map(self, X: Tensor, targets: ClassTargets) -> MarginMap | None:
        """The same for K classes, of the margins f_{y_n}(x_n; w) − f_k(x_n; w), k ≠ y_n."""
        return None

    @property
    def degree(self) -> int:
        """The degree of homogeneity: f(x; c·w) = c^degree f(x; w) for c > 0."""
        return self.depth

    def compose(self) -> Tensor:
        """β = P(w) from the current parameters; differentiable, and usable under `torch.func.functional_call`."""
        return self.P(list(self.weights))

    def forward(self, X: Tensor) -> Tensor:
        """⟨x_n, β⟩: shape (N,), or (N, outputs) for several outputs."""
        return self.apply_predictor(self.compose(), X)

    def apply_predictor(self, beta: Tensor, X: Tensor) -> Tensor:
        """⟨x_n, β⟩ for a given β, or for a batch of them: leading axes of β come out in front."""
        products = beta.flatten(beta.ndim - len(self.shape)) @ X.flatten(1).T
        return products.mT if self.outputs > 1 else products

    def operator_norms(self, weights: Sequence[Tensor]) -> Tensor:
        """Bounds a_l with |f(x; w)| ≤ ‖x‖₂ Π_l a_l, also when any one a_l is replaced by ‖w_l‖₂; shape (batch, L).

        The Euclidean norms themselves unless a network knows better. Layers have one batch axis in front.
        """
        return torch.stack([torch.linalg.vector_norm(w.flatten(1), dim=1) for w in weights], dim=1)

    @property
    def predictor(self) -> Array:
        """β as a numpy array: shape (D,) or (H, W), with the outputs in front where there are several."""
        with torch.no_grad():
            return np.array(self.compose().cpu().numpy(), dtype=np.float64)

    @property
    def locked_signs(self) -> NDArray[np.bool_]:
        """Which coefficients (entries, or frequencies of `coefficient_name`) gradient flow cannot take through zero."""
        return np.zeros(self.predictor.shape, dtype=bool)

    coefficient_name = "entries"

    @property
    def sign_locked(self) -> str | None:
        """One sentence when gradient flow from the current weights cannot reach every sign pattern, else None.

        A layer tie (see `tied_at_smallest`) is the reason. The statement is about the continuous flow; a discrete step
        may jump over zero.
        """
        locked = self.locked_signs
        if not locked.any():
            return None
        return (
            f"sign-locked initialization: {int(locked.sum())} of {locked.size} {self.coefficient_name} of β cannot "
            "change sign, because the layers are tied where they are smallest (|w_l|² − |w_k|² is conserved); "
            "predictions hold only if the limit has these signs"
        )

    def extra_repr(self) -> str:
        return f"shape={self.shape}, depth={self.depth}"


def copies(shape: tuple[int, ...], outputs: int) -> tuple[int, ...]:
    """The shape of what M networks side by side have of this shape each; one network has no axis for it."""
    return shape if outputs == 1 else (outputs, *shape)


def spectrum(w: Tensor, grid: tuple[int, ...]) -> Tensor:
    """The unitary DFT of w, zero-padded to the grid, over its last axes; the half that a real signal needs."""
    out: Tensor = torch.fft.rfftn(w, s=grid, dim=tuple(range(-len(grid), 0)), norm="ortho")
    return out


def signal(spectrum: Tensor, grid: tuple[int, ...]) -> Tensor:
    """The inverse of `spectrum`."""
    out: Tensor = torch.fft.irfftn(spectrum, s=grid, dim=tuple(range(-len(grid), 0)), norm="ortho")
    return out


def tied_at_smallest(magnitudes: Array) -> NDArray[np.bool_]:
    """Where the smallest of the L magnitudes (axis 0) is attained by two layers or more.

    For a product c = Π_l w_l per coefficient, gradient flow is dw_l/dt = g·Π_{k≠l} w_k, and |w_l|² − |w_k|² is
    conserved. c can vanish only where its smallest factors do; if m ≥ 2 factors vanish together, every right side
    vanishes there too, so zero is an equilibrium that no solution reaches in finite time, and c keeps its sign. If the
    smallest factor is alone (m = 1) it passes through zero at speed g·Π_{k≠l} w_k ≠ 0.

    >>> tied_at_smallest(np.array([[1.0, 2.0, 1.0], [1.0, 3.0, 2.0], [5.0, 2.0, 3.0]]))
    array([ True,  True, False])
    """
    if magnitudes.shape[0] < 2:
        return np.zeros(magnitudes.shape[1:], dtype=bool)
    smallest, second = np.sort(magnitudes, axis=0)[:2]
    return np.asarray(second - smallest <= TIE * magnitudes.max(axis=0))


def check_architecture(name: str, sizes: Mapping[str, Any], depth: int, scale: float, initialization: str) -> None:
    """Raise ValueError unless every size is a positive integer, the scale positive, the initialization known.

    `sizes` are what the user gave, by the names of the arguments; a shape is a tuple.
    """
    for what, given in sizes.items():
        each = given if isinstance(given, tuple) else (given,)
        if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in each):
            kind = "positive integers" if isinstance(given, tuple) else "a positive integer"
            raise ValueError(f"{name}: {what} must be {kind}, got {what}={given!r}")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"{name}: scale must be a positive number (standard deviation of the weights), got {scale!r}")
    if initialization not in ("gaussian", "balanced", "unbiased"):
        raise ValueError(f"{name}: initialization must be 'gaussian', 'balanced' or 'unbiased', got {initialization!r}")
    if initialization == "unbiased" and depth < 2:
        raise ValueError(
            f"{name}: initialization='unbiased' zeroes the last of several layers, so it needs depth ≥ 2; "
            "a depth-1 network started at zero is scale → 0"
        )


def initial_weights(
    sizes: Sequence[tuple[int, ...]],
    scale: float,
    seed: int,
    initialization: Initialization,
    balanced: Callable[[torch.Generator], list[Tensor]],
) -> list[Tensor]:
    """The layers at the start, see `LinearNetwork`; `balanced` draws those of "balanced".

    The generator is on the CPU, so that a seed means the same everywhere.
    """
    generator = torch.Generator().manual_seed(int(seed))
    if initialization == "balanced":
        return balanced(generator)
    weights = gaussian(sizes, scale, generator)
    if initialization == "unbiased":
        weights[-1].zero_()
    return weights


def gaussian(sizes: Sequence[tuple[int, ...]], scale: float, generator: torch.Generator) -> list[Tensor]:
    """One N(0, scale²) tensor of each size, in order."""
    return [scale * torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
