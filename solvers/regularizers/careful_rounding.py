"""Rounding a group-norm solution to float64 where rounding each number by itself would cost its certificate.

With margins of 1e-6 and less, relative to the rows, β and α cancel: the last digits of their entries are what margins
and Aᵀα are made of. Both sides have exact conditions to aim at, margins of one on the active rows and Âᵀα̂ = b/‖b‖ on
the support, and `solvers.algorithms.nearest_floats` finds floats that nearly meet them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.algorithms.group_rows import GroupSolution
from solvers.algorithms.nearest_floats import nearest_floats
from solvers.arrays import Array
from solvers.problem import MarginProblem

if TYPE_CHECKING:
    from solvers.regularizers.bridge import Bridge

LARGE = 1e4
"""From this size on β, with rows of norm one, misses margins of one by 1e-12, and is rounded with care."""


def rounded_with_care(
    problem: MarginProblem, regularizer: Bridge, found: GroupSolution, beta: Array, dual: Array
) -> tuple[Array, Array]:
    """The better of β (in the problem's shape) and a β of active margins one; likewise of α for the conditions on z."""
    unit = problem.equilibrated
    active, support = np.flatnonzero(dual), np.flatnonzero(found.b.any(axis=1))
    rows, share = unit.rows[active], unit.share[active]
    near = nearest_floats(rows / share[:, None], beta.reshape(-1) * unit.scale, np.ones(active.size))
    other = near.reshape(beta.shape) / unit.scale
    # in the longest format: α magnifies what rounding leaves of a Fourier transform of the rows
    shaped: Any = rows.reshape(-1, *problem.shape).astype(np.longdouble)
    blocks = regularizer.blocks(shaped)[:, support].reshape(active.size, -1)
    signs = (found.b[support] / np.linalg.norm(found.b[support], axis=1)[:, None]).reshape(-1)
    weights = np.zeros(dual.shape)
    weights[active] = nearest_floats(blocks.T, dual[active] / share, signs) * share

    def upper(beta: Array) -> float:
        margin = float(problem.careful_margins(beta).min())
        return regularizer.value(beta) / margin if margin > 0 else np.inf

    def lower(dual: Array) -> float:
        positive = np.maximum(dual, 0.0)
        size = regularizer.dual_norm(problem.careful_combine(positive))
        return float(positive.sum()) / size if size > 0 else 0.0

    return min(beta, other, key=upper), max(dual, weights, key=lower)
