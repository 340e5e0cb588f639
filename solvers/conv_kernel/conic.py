"""The matrix Z = [U; V][U; V]ᵀ of a two-layer linear CNN as a variable of a cone program, its rank relaxed.

    Z ⪰ 0  (K·R + D square),   β_r[d] = D^{-1/2} Σ_k Z[(k, r), d − k]                                              (1)

`solvers.conv_kernel.semidefinite` minimizes tr Z for a given β; `solvers.conv_kernel_norm` is that value as an
expression of any β.

Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), the SDP formulation.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from solvers.conic import cvxpy_library
from solvers.conv_kernel.lags import KernelLags


def second_moment(geometry: KernelLags) -> tuple[Any, Any]:
    """The variable Z ⪰ 0 and the expression of β, flattened (R, *grid), that it computes."""
    cp = cvxpy_library()
    order = geometry.n + geometry.D
    Z = cp.Variable((order, order), PSD=True)
    return Z, moments(geometry) @ cp.reshape(Z, (order * order,), order="C")


def moments(geometry: KernelLags) -> csr_array:
    """The matrix that takes Z, flattened row by row, to β, flattened (R, *grid)."""
    D, n, R = geometry.D, geometry.n, geometry.channels
    order = n + D
    rows, columns = [], []
    taps = list(product(*map(range, geometry.kernel)))
    places = np.indices(geometry.grid).reshape(len(geometry.grid), -1).T
    for (k, tap), r in product(enumerate(taps), range(R)):
        source = np.ravel_multi_index(tuple(((places - np.array(tap)) % np.array(geometry.grid)).T), geometry.grid)
        rows.append(r * D + np.arange(D))
        columns.append((k * R + r) * order + n + source)
    entries = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.full(entries[0].size, D**-0.5), entries), shape=(R * D, order * order))
