"""How a method is asked to look for a minimizer."""

from __future__ import annotations

from dataclasses import dataclass

from solvers.arrays import Array


@dataclass(frozen=True)
class Search:
    """The parameters of `Regularizer.minimize`, checked."""

    tol: float
    """Largest relative violation in the certificate that the answer should have."""
    n_starts: int = 8
    """Starts of a local search, where the problem is not convex."""
    seed: int = 0
    """Seed of the random starts."""
    start: Array | None = None
    """A predictor to start from as well, in the problem's shape."""
