"""Where gradient flow of the squared loss takes a linear network, and what is predicted of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gd.squared.squared_limit import SquaredLimit
from solvers.arrays import Array
from solvers.interpolation.min_norm import Interpolation


@dataclass(frozen=True, repr=False)
class RegressionLimit(SquaredLimit):
    """A `SquaredLimit` of linear networks: the predictors that were reached, and beside them the predicted ones.

    The network's side is measured before anything of the prediction is solved: `predictor` and `predictor_error` come
    from the integration of the weights alone.
    """

    predictor: Array = field(repr=False)
    """β at the end, shape (B, *shape of β)."""
    predictor_error: Array
    """How far β may be from the flow's limit, relative to ‖β‖₂, shape (B,): its distance from that of a run with 100
    times the tolerance, and how far it moved while the residual fell by its last factor of ten."""
    prediction: tuple[Interpolation | None, ...]
    """The least potential of the start that fits, B of them; None where no closed form is proved for the network and
    this start (`LinearNetwork.potential`), or where it fits no data like these."""
