"""A search for predictors that cost more with few channels than with many.

For a predictor w let R_C(w) be its cost with C channels and R(w) the convex value. The search ascends
ln R_C − ln R over unit vectors w. By the envelope theorem the gradients are

    ∇R_C = 2ẑ_C,  ẑ_C = P^{-1}ŵ at the best kernels found,          ∇R = z,  the dual vector of R at w.            (1)

The gaps are those of candidates: R is replaced by its proved lower bound, and R_C by the best of the restarts, which is
an upper bound. `solvers.conv_kernel.rank_certificate` proves some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.linalg import LinAlgError

from solvers.arrays import Array
from solvers.conv_kernel.factors import fewer_kernels, spectrum_and_dual
from solvers.conv_kernel.network import flat_kernels, network_cost
from solvers.regularizers.conv_kernel import ConvKernel
from solvers.search import Search

KINDS = ("gaussian", "sparse", "smooth", "tones", "integers")
"""How the starting instances are drawn."""


@dataclass(frozen=True)
class SearchPlan:
    """The networks of one search, and its effort."""

    grid: tuple[int, ...]
    kernel: tuple[int, ...]
    in_channels: int
    out_channels: int
    batch: int = 16
    restarts: int = 8
    ascents: int = 6
    """Gradient steps of each instance after it is drawn."""
    iterations: int = 60
    """Newton steps of every local search."""


@dataclass(frozen=True)
class Generation:
    """The instances of one generation, largest gap first."""

    instances: Array
    """w of norm one, shape (B, *grid) or (B, R, *grid)."""
    gaps: Array
    """R_C(w)/R(w) − 1 with R_C the best of the restarts (an upper bound) and R the proved lower bound."""
    kinds: tuple[str, ...]


def draw(plan: SearchPlan, kind: str, generator: np.random.Generator) -> Array:
    """A starting instance of norm one, shape (R, *grid), of one of the `KINDS`."""
    shape = (plan.in_channels, *plan.grid)
    axes = tuple(range(1, len(shape)))
    w = generator.standard_normal(shape)
    if kind == "sparse":
        w = w * (generator.random(shape) < max(3.0 / w[0].size, 0.2))
    elif kind == "smooth":
        hat = np.fft.rfftn(w, axes=axes)
        decay = np.exp(-np.arange(hat.shape[-1]) * generator.uniform(0.1, 2.0))
        w = np.fft.irfftn(hat * decay, shape[1:], axes)
    elif kind == "tones":
        hat = np.fft.rfftn(w, axes=axes)
        w = np.fft.irfftn(np.where(generator.random(hat.shape[1:]) < 0.5, hat, 1e-2 * hat), shape[1:], axes)
    elif kind == "integers":
        w = np.round(2.0 * w)
    w = w + 1e-3 * generator.standard_normal(shape)  # no exact zeros: 1/P then keeps every frequency in view
    return np.asarray(w / np.linalg.norm(w))


def generation(plan: SearchPlan, seed: Sequence[int]) -> Generation:
    """Draw a batch and ascend the gap of each instance; a function of `plan` and `seed`."""
    generator = np.random.default_rng(list(seed))
    kinds = [KINDS[i % len(KINDS)] for i in range(plan.batch)]
    found = [_ascend(plan, draw(plan, kind, generator), generator) for kind in kinds]
    gaps = np.array([gap for _, gap in found])
    order = np.argsort(-gaps)
    return Generation(np.array([found[i][0] for i in order]), gaps[order], tuple(kinds[i] for i in order))


def _ascend(plan: SearchPlan, w: Array, generator: np.random.Generator) -> tuple[Array, float]:
    """The instance of largest gap on the way, and its gap measured again with twice as many fresh starts."""
    w = w[0] if plan.in_channels == 1 else w
    best, best_gap, step = w, -np.inf, 0.3
    ascent = np.zeros_like(w)
    for _ in range(plan.ascents + 1):
        gap, gradient = _gap(plan, w, plan.restarts, generator)
        if gap > best_gap:
            best, best_gap, ascent, step = w, gap, gradient, 1.3 * step
        else:
            step *= 0.4
        w = best + step * ascent
        w = w / np.linalg.norm(w)
    return best, min(best_gap, _gap(plan, best, 2 * plan.restarts, generator)[0])


def _gap(plan: SearchPlan, w: Array, restarts: int, generator: np.random.Generator) -> tuple[float, Array]:
    """R_C/R − 1 and the direction, of norm one or zero, of the gradient of ln R_C − ln R."""
    regularizer = ConvKernel(plan.kernel, plan.in_channels)
    geometry, convex = regularizer.geometry(w.shape), regularizer.attained(w)
    beta, U = geometry.fourier(w)[0], flat_kernels(geometry, convex.kernels)
    if U.shape[0] > plan.out_channels:
        start_seed = int(generator.integers(2**32))
        U = fewer_kernels(
            geometry, beta, U, plan.out_channels, Search(1e-9, n_starts=restarts, seed=start_seed), plan.iterations
        )
    value = network_cost(geometry, U, beta)
    try:
        z = geometry.inverse(spectrum_and_dual(geometry, beta, U)[1]).reshape(w.shape)
    except LinAlgError:  # kernels that cannot compute w: an infinite gap has no gradient
        return value / convex.lower_bound - 1.0, np.zeros_like(w)
    gradient = 2.0 * z / value - convex.dual / convex.lower_bound
    return value / convex.lower_bound - 1.0, gradient / max(float(np.linalg.norm(gradient)), 1e-300)
