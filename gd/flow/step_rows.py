"""Rows of a batch of flows: where a step leads each of them, and which rows of which step are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.margin_map import Local, Step
from solvers.arrays import Array


@dataclass(frozen=True)
class Moved:
    """Where a step leads, of norm one."""

    theta: Tensor
    length: Array
    """‖θ‖ before it was normalized, (B,)."""
    carried: Sequence[Any] | None
    local: Local


def extrapolated(once: Tensor, twice: Tensor) -> Tensor:
    """2 twice − once, but for weights whose sign it would turn, and for rows of which little would be left.

    Over a long step a weight that dies falls by 1/(1 + z) or 1/(1 + z/2)², of which the extrapolation makes −1/z. A
    dying unit would be turned into its opposite, which has other gates and may grow. Where all weights shrink, to one
    half in two short steps and not in a long one, the difference of the two is left: rounding, and no direction.
    """
    longer = 2.0 * twice - once
    turned = (longer * twice.conj()).real < 0
    length, before = (torch.linalg.vector_norm(w, dim=-1, keepdim=True) for w in (longer, twice))
    short = length < 0.5 * before
    return torch.where(turned | short, twice, longer)


def where_chosen(chosen: NDArray[np.bool_], one: Tensor, other: Tensor) -> Tensor:
    """The chosen rows of `one`, (B, P), and of `other` the rest."""
    return torch.where(torch.as_tensor(chosen, device=one.device)[:, None], one, other)


def rows_chosen(chosen: NDArray[np.bool_], one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    """The same for what a map carries."""
    return [a if yes else b for yes, a, b in zip(chosen, one, other, strict=True)]


def steps_chosen(chosen: NDArray[np.bool_], one: Step, other: Step) -> Step:
    """The chosen rows of `one`, and the rest of `other`."""
    carried = None if one.carried is None or other.carried is None else rows_chosen(chosen, one.carried, other.carried)
    return Step(
        np.where(chosen[:, None], one.p, other.p),
        where_chosen(chosen, one.move, other.move),
        np.where(chosen, one.growth, other.growth),
        np.where(chosen, one.converged, other.converged),
        carried,
    )


def joined(steps: Sequence[Step], order: NDArray[np.intp]) -> Step:
    """The rows of steps that carry something, one step after the other, in this order."""
    carried = [one for step in steps for one in step.carried or ()]
    return Step(
        np.concatenate([step.p for step in steps])[order],
        torch.cat([step.move for step in steps])[torch.as_tensor(order, device=steps[0].move.device)],
        np.concatenate([step.growth for step in steps])[order],
        np.concatenate([step.converged for step in steps])[order],
        [carried[i] for i in order],
    )


def unit(theta: Tensor) -> Tensor:
    scaled: Tensor = theta / torch.linalg.vector_norm(theta, dim=1, keepdim=True)
    return scaled
