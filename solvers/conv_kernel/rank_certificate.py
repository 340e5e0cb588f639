"""A proof that one channel costs more than many: for images and 2 × 2 kernels.

For signals one kernel can have the autocorrelation of many. For images it cannot, since a nonnegative trigonometric
polynomial of two variables need not be a square, so R_{K,1}(w) may exceed the convex R_K(w); a local search can only
suggest it. This file turns a suggestion into a theorem about one w.

1. *The cost of a kernel far from the optimum.* For any kernel c with spectrum P and any z that is dual feasible,
   T(z) ⪯ I, completing the square in every term of ‖c‖² + Σ |ŵ_d|²/P_d gives

       cost(c) ≥ 2⟨ŵ, ẑ⟩ + Σ_d (|ŵ_d| − P_d|ẑ_d|)²/P_d,                                                     (1)

   and at the best c, P_d ≤ 4‖c‖²/D = 2·cost/D. So the cost exceeds the dual value by a quadratic in the lags r of c,
   ρ₀² + ‖r − r°‖²_G, times D/(2·best known cost).

2. *Which lags belong to one kernel.* Of c = [[a, b], [c, d]] let n = a²+b²+c²+d², t = ab+cd, u = ac+bd, p = ad, s = bc.
   Then tu = s(a²+d²) + p(b²+c²) and t² + u² = (a²+d²)(b²+c²) + 4ps; eliminating,

       h(n, t, u, p, s) = (tu − pn)(sn − tu) − (s − p)²(t² + u² − 4ps) = 0.                                  (2)

   Five numbers for four unknowns: the lags of one kernel lie on the hypersurface (2).

3. *The distance.* h(r°) ≠ 0 for the lags r° that the convex optimum wants, and h cannot vanish within the radius at
   which its Taylor terms, bounded degree by degree, reach |h(r°)|. That radius, in the norm of G, goes into (1).

The result is a lower bound on R_{K,1}(w) itself. It is smaller than the true gap, and a proof up to rounding, which is
allowed for by a relative 1e-12.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from solvers.arrays import Array, real_array
from solvers.induced_regularizer import induced_regularizer
from solvers.regularizers.conv_kernel import ConvKernel

_ROUNDING = 1e-12


@dataclass(frozen=True)
class OneKernelBound:
    """Bounds on R_{2×2,1}(w) and on the convex R_{2×2}(w)."""

    lower_bound: float
    """Proved: no single 2 × 2 kernel computes w at a lower cost."""
    upper_bound: float
    """The best single kernel found."""
    convex: float
    """The cost attained with several kernels, an upper bound on R_{2×2}(w)."""

    @property
    def excess(self) -> float:
        """lower_bound/convex − 1; positive: one channel provably costs more."""
        return self.lower_bound / self.convex - 1.0

    @property
    def certified(self) -> bool:
        """Whether R_{K,1}(w) > R_K(w) is proved, beyond rounding."""
        return bool(self.excess > 10.0 * _ROUNDING)


def one_kernel_bound(w: Array, *, n_starts: int = 16, seed: int = 0) -> OneKernelBound:
    """A lower bound on the cost of the image w for a single 2 × 2 kernel, and the convex value.

    Args:
        w: image, shape (H, W), at least 3 × 3 (on smaller grids lags alias), not zero.
        n_starts: seeded starts of the search for the best single kernel, whose cost enters (1).
        seed: of these starts.

    Returns:
        OneKernelBound; `certified` says whether the gap is proved.

    Raises:
        ValueError: w of another shape.

    Reference: equations (1) and (2) are derived in the module's docstring; C-independence for signals, which this shows
    to fail for images, is in Jagadeesan, Razenshteyn, Gunasekar (2021).

    >>> w = np.random.default_rng(0).standard_normal((4, 4))
    >>> bound = one_kernel_bound(w)
    >>> bound.certified, bound.convex < bound.lower_bound <= bound.upper_bound
    (True, True)
    """
    w = real_array("w", w)
    if w.ndim != 2 or min(w.shape) < 3 or not np.isfinite(w).all() or not w.any():
        raise ValueError(f"w must be a finite nonzero image (H, W) of at least 3 × 3; got shape {w.shape}")
    size = float(np.abs(w).max())
    w = w / size
    many = induced_regularizer(w, (2, 2), tol=1e-10)
    one = induced_regularizer(w, (2, 2), out_channels=1, n_starts=n_starts, seed=seed)
    geometry = ConvKernel((2, 2)).geometry(w.shape)
    z = np.abs(geometry.fourier(many.dual / 2.0)[0, 0])
    magnitudes = np.abs(geometry.fourier(w)[0, 0])
    root = np.sqrt(geometry.multiplicity)
    lags = np.eye(geometry.q)
    to_spectrum = np.stack([np.asarray(geometry.spectrum(e)) for e in lags], axis=1)
    matrix = (root * z)[:, None] * to_spectrum
    target = root * magnitudes
    wanted, *_ = np.linalg.lstsq(matrix, target, rcond=None)
    left = float(np.sum((matrix @ wanted - target) ** 2))
    gram = matrix.T @ matrix
    dual_value = many.lower_bound * (1.0 - _ROUNDING)
    radius = _distance(wanted, gram, geometry.lag)
    quadratic = max(left * (1.0 - 1e-9), 0.0) + radius**2
    lower = float(dual_value + quadratic * geometry.D / (2.0 * one.value))
    return OneKernelBound(size * lower, size * one.value, size * many.value)


def _distance(wanted: Array, gram: Array, lag: NDArray[np.intp]) -> float:
    """A radius ρ such that h ≠ 0 for all lags r with (r − r°)ᵀG(r − r°) < ρ²; 0 when none can be shown."""
    eigenvalues, vectors = np.linalg.eigh(gram)
    if eigenvalues[0] <= 1e-12 * eigenvalues[-1]:
        return 0.0
    to_lags = vectors / np.sqrt(eigenvalues)  # r = r° + to_lags @ e, ‖e‖ the distance
    named = {tuple(int(i) for i in step): row for row, step in enumerate(lag)}

    def entry(*step: int) -> Array:
        """A lag as a polynomial in e: the coefficient of Π e_k^{α_k} stands at Σ α_k·5^k, as no degree exceeds 4."""
        row = named[step] if step in named else named[(-step[0], -step[1])]
        half = 1.0 if step == (0, 0) else 0.5  # r_i = tr(E_i X) counts both signs of a lag
        found = np.zeros(5 ** (len(wanted) - 1) + 1)
        found[0] = half * wanted[row]
        found[5 ** np.arange(len(wanted))] = half * to_lags[row]
        return found

    n, t, u, p, s = entry(0, 0), entry(0, 1), entry(1, 0), entry(1, 1), entry(1, -1)
    times = np.convolve
    tu = times(t, u)
    square = times(t, t) + times(u, u) - 4.0 * times(p, s)
    h = times(tu - times(p, n), times(s, n) - tu) - times(times(s - p, s - p), square)
    return _first_possible_zero(h)


def _first_possible_zero(h: Array) -> float:
    """The ρ at which Σ_k ρ^k‖h_k‖ reaches |h_0|, h_k the terms of degree k and ‖h_k‖ a bound on the unit ball."""
    bound = np.zeros(5)
    for place in np.flatnonzero(h).tolist():
        exponents = [place // 5**k % 5 for k in range(5)]
        degree, coefficient = sum(exponents), float(h[place])
        # the largest |e^α| on the unit sphere is Π (α_i/k)^{α_i/2}; of a linear form the norm is known
        largest = prod((a / degree) ** (a / 2) for a in exponents if a)
        bound[degree] = np.hypot(bound[1], coefficient) if degree == 1 else bound[degree] + abs(coefficient) * largest
    start = bound[0] - 1e-13 * float(np.abs(h).sum())
    if start <= 0 or not bound[1:].any():
        return 0.0

    def left(rho: float) -> float:
        return float(sum(bound[k] * rho**k for k in range(1, 5)) - start)

    high = 1.0
    while left(high) < 0:
        high *= 2.0
    return float(brentq(left, 0.0, high, xtol=1e-15 * high)) * (1.0 - 1e-9)
