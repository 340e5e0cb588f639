"""The data of a group-norm max margin, and the gap of an answer to it.

min Σ_g ‖b_g‖₂   s.t.  Σ_g B_g b_g ≥ r          dual:  max rᵀα  s.t.  α ≥ 0, ‖B_gᵀα‖₂ ≤ 1 for every g
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from solvers.algorithms.factorizations import Real


@dataclass(frozen=True)
class GroupSolution:
    """b (G, m), α (N,), both scaled to feasibility, their relative duality gap, and how they were found."""

    b: Real
    dual: Real
    gap: float
    iterations: int
    polished: bool = False


@dataclass(frozen=True)
class GroupRows:
    """B (N, G, m) and r (N,), r > 0: rows of norms of order one, right sides at most one."""

    B: Real
    right: Real

    @cached_property
    def sizes(self) -> Real:
        """‖B_ng‖₂, (N, G)."""
        return np.asarray(np.sqrt(np.einsum("ngi,ngi->ng", self.B, self.B)))

    @cached_property
    def largest(self) -> float:
        """max_n ‖B_n‖₂."""
        return float(np.sqrt(np.einsum("ngi,ngi->n", self.B, self.B).max()))

    @cached_property
    def least(self) -> float:
        """min_n r_n."""
        return float(self.right.min())

    def margins(self, b: Real) -> Real:
        """Σ_g B_ng b_g, (N,)."""
        return np.asarray(np.tensordot(self.B, b, axes=2))

    def products(self, b: Real) -> Real:
        """Rounding errors of `margins` in the format of the rows, at most, (N,)."""
        return np.asarray(4.0 * np.finfo(self.B.dtype).eps * (self.sizes @ np.linalg.norm(b, axis=1)))

    def representable(self, b: Real) -> GroupRows:
        """Right sides raised by what rounding b to float64 will take from the margins, where that counts.

        The errors of the terms add like random numbers of at most ε/2 each, 0.3 ε on average. Half an ε is enough where
        a rare error is harmless next to the right side; where it is not, two are. That costs a relative ε‖α‖‖b‖.
        """
        unit = np.finfo(np.float64).eps
        squares = np.einsum("gi,gi->g", b, b)
        if unit * np.sqrt(squares.max()) * self.largest <= 1e-11 * self.least:
            return self
        error = unit * np.sqrt(self.sizes**2 @ squares)
        raised = np.where(error > 1e-9 * self.right, 2.0 * error, 0.5 * error)
        return GroupRows(self.B, self.right + np.where(error > 1e-11 * self.right, raised, 0.0))


def feasible_pair(rows: GroupRows, b: Real, dual: Real) -> tuple[Real, Real, float]:
    """Scale b to Bb ≥ r, as far as float64 has that, and α to dual feasibility; their relative duality gap.

    It is inf if b separates nothing.
    """
    alpha = np.maximum(dual, 0.0)
    largest = np.linalg.norm(np.tensordot(alpha, rows.B, axes=1), axis=1).max()
    return scaled_pair(rows, b, alpha, rows.margins(b), largest)


def scaled_pair(rows: GroupRows, b: Real, alpha: Real, margins: Real, largest: float) -> tuple[Real, Real, float]:
    """The same for α ≥ 0 with its largest ‖B_gᵀα‖ and the margins of b."""
    alpha = alpha / largest if largest > 0 else alpha
    value = np.sqrt(np.einsum("gi,gi->g", b, b)).sum()
    if 4.0 * np.finfo(rows.B.dtype).eps * rows.largest * value > 1e-11 * rows.least:  # rounding may count
        noise = rows.products(b)
        margins = margins + np.where(noise > 1e-11 * rows.right, noise, 0.0)
    margin = (margins / rows.right).min()
    if not margin > 0:
        return b, alpha, np.inf
    return b / margin, alpha, 1.0 - float(rows.right @ alpha / (value / margin))
