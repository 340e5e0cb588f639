"""The table that ties the two roads together: one row per architecture.

    name → the network (gd) → what the theory says its price is (solvers) → the theorem → how close counts as equal

A new architecture touches one regularizer, one network, one row here, one test. A module of a user's own needs no row:
`row_of` makes one from its `.regularizer`, where it has that, and else only the KKT conditions of its own
weight-space problem are predicted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from torch import nn

from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer

ANGLE_TOLERANCE = math.radians(1e-3)
"""Limit directions agree when their angle is at most this: the flow is stopped at a duality gap of its own, and
an ℓ1-type gap of 1e-9 leaves angles of this order when a face of the optimum is nearly flat."""
RESIDUAL_TOLERANCE = 1e-6
"""Relative duality gaps and stationarity residuals of a limit count as zero up to this."""

Build = Callable[[tuple[int, ...], int, float, int], LinearNetwork]


@dataclass(frozen=True)
class Architecture:
    """One row: a family of networks, indexed by depth L, and the limit that theory predicts for it."""

    name: str
    build: Build | None
    """(input shape, depth, scale of the initial weights, seed) → network; None for a user's own module."""
    regularizer: Callable[[int], Regularizer | None]
    """Depth → R with min‖w‖² = L·R^{2/L}; None where no closed form is known."""
    price: Callable[[int], str]
    """Depth → R as a formula to read."""
    reference: Callable[[int], str]
    """Depth → where the prediction is proved."""
    images: bool = False
    """Whether its inputs are images (H, W) rather than signals (D,)."""
    angle_tolerance: float = ANGLE_TOLERANCE
    """In radians."""
    residual_tolerance: float = RESIDUAL_TOLERANCE


SUBSCRIPTS = str.maketrans("0123456789/", "₀₁₂₃₄₅₆₇₈₉⁄")


def exponent(depth: int) -> str:
    """p = 2/L as it is written under a norm.

    >>> exponent(1), exponent(2), exponent(3), exponent(4)
    ('₂', '₁', '₂⁄₃', '₁⁄₂')
    """
    return str(Fraction(2, depth)).translate(SUBSCRIPTS)


ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        Architecture(
            "fully connected",
            lambda shape, depth, scale, seed: FullyConnected(math.prod(shape), depth, scale=scale, seed=seed),
            lambda depth: L2(),
            lambda depth: "‖β‖₂",
            lambda depth: (
                "Soudry et al. (2018), Theorem 3" if depth == 1 else "Gunasekar et al. (2018), Theorem 1 and Lemma 5"
            ),
        ),
        Architecture(
            "diagonal",
            lambda shape, depth, scale, seed: Diagonal(math.prod(shape), depth, scale=scale, seed=seed),
            lambda depth: L2() if depth == 1 else Bridge(2.0 / depth),
            lambda depth: f"‖β‖{exponent(depth)}",
            lambda depth: "Gunasekar et al. (2018), Lemma 6",
        ),
        Architecture(
            "convolutional",
            lambda shape, depth, scale, seed: Convolutional(math.prod(shape), depth, scale=scale, seed=seed),
            lambda depth: L2() if depth == 1 else FourierBridge(2.0 / depth),
            lambda depth: f"‖β̂‖{exponent(depth)}",
            lambda depth: f"Gunasekar et al. (2018), Theorem {'2' if depth <= 2 else '2a'} and Lemma 7",
        ),
        Architecture(
            "convolutional 2-D",
            lambda shape, depth, scale, seed: Convolutional((shape[0], shape[1]), depth, scale=scale, seed=seed),
            lambda depth: L2() if depth == 1 else FourierBridge(2.0 / depth),
            lambda depth: f"‖β̂‖{exponent(depth)} (2-D)",
            lambda depth: f"Gunasekar et al. (2018), Theorem {'2' if depth <= 2 else '2a'} and Lemma 7",
            images=True,
        ),
    )
}


def architectures(names: Sequence[str] | None = None, *, images: bool = False) -> list[Architecture]:
    """The rows of these names; by default all that fit the data (2-D networks only where there are images).

    Raises ValueError for an unknown name, or a network on images without images.
    """
    if names is None:
        return [row for row in ARCHITECTURES.values() if images or not row.images]
    unknown = [name for name in names if name not in ARCHITECTURES]
    if unknown:
        raise ValueError(f"there is no architecture {unknown[0]!r}; known are {', '.join(ARCHITECTURES)}")
    rows = [ARCHITECTURES[name] for name in names]
    if not images and any(row.images for row in rows):
        raise ValueError("a 2-D network needs rows that are images (H, W), and these data hold none")
    return rows


def row_of(model: nn.Module, name: str = "") -> Architecture:
    """A row for a module of a user's own, from its `.regularizer` where it has one.

    >>> row_of(Diagonal(4, 2)).regularizer(2)
    Bridge(p=1.0)
    """
    price = getattr(model, "regularizer", None)
    regularizer = price if isinstance(price, Regularizer) else None
    reference = "induced regularizer" if regularizer else "Lyu and Li (2020), Theorem 4.4"
    return Architecture(
        name or type(model).__name__,
        None,
        lambda depth: regularizer,
        lambda depth: str(regularizer) if regularizer else "‖w‖₂ (weight space)",
        lambda depth: reference,
    )
