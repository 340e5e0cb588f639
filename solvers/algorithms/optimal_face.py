"""Is a minimizer of a group norm (ℓ1, Fourier ℓ1) the only one? Decided on the optimal face, by linear programming.

With an optimal α every minimizer has b_g = r_g z_g with r_g ≥ 0, z = Bᵀα, and r_g = 0 where ‖z_g‖₂ < 1; constraints
with α_n > 0 are tight. So the set of minimizers is the polyhedron

    { r ≥ 0 :  M r = 1 on {α > 0},  M r ≥ 1 elsewhere },      M_{ng} = B_gᵀ z_g over the groups with ‖z_g‖₂ = 1,

a point when the tight columns are independent, and otherwise exactly when a generic linear functional has equal
minimum and maximum over it.

Reference: Mangasarian (1979), "Uniqueness of solution in linear programming", for the criterion at p = 1.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from solvers.arrays import Array
from solvers.solution import Uniqueness


def unique_on_face(B: Array, dual: Array, tolerance: float = 1e-7) -> Uniqueness:
    """The answer for blocks B (N, G, m) and an optimal dual (N,); UNKNOWN when rounding leaves it open."""
    z = np.tensordot(dual, B, axes=1)
    size = np.linalg.norm(z, axis=1)
    groups = np.flatnonzero(size >= size.max() * (1.0 - tolerance))
    tight = dual > tolerance * dual.max()
    M = np.einsum("ngi,gi->ng", B[:, groups], z[groups])
    columns = M[tight] / np.linalg.norm(M[tight], axis=0, keepdims=True).clip(1e-300)
    if groups.size <= int(tight.sum()):
        singular = np.linalg.svd(columns, compute_uv=False)
        if singular[-1] > 1e-9 * singular[0]:
            return Uniqueness.UNIQUE
    objective = np.random.default_rng(0).standard_normal(groups.size)
    ends = []
    for sign in (1.0, -1.0):
        answer = linprog(
            sign * objective,
            A_ub=-M[~tight] if (~tight).any() else None,
            b_ub=-np.ones(int((~tight).sum())) + tolerance if (~tight).any() else None,
            A_eq=M[tight],
            b_eq=np.ones(int(tight.sum())),
            bounds=(0, None),
            method="highs",
        )
        if answer.status != 0:
            return Uniqueness.UNKNOWN
        ends.append(answer.x)
    return _same_point(M, *ends)


def _same_point(M: Array, one: Array, other: Array) -> Uniqueness:
    """UNIQUE when both ends agree; NOT_UNIQUE when they differ and are both optimal, checked here."""
    apart = float(np.linalg.norm(one - other)) / float(np.linalg.norm(one))
    if apart <= 1e-6:
        return Uniqueness.UNIQUE
    # ‖z_g‖ = 1 on the optimal face, so Σr is the objective after scaling to margin one
    values = [float(r.sum()) / max(float((M @ r).min()), 1e-300) for r in (one, other)]
    different = apart > 1e-4 and abs(values[0] / values[1] - 1.0) <= 1e-6
    return Uniqueness.NOT_UNIQUE if different else Uniqueness.UNKNOWN
