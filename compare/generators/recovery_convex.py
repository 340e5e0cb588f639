"""What one would otherwise recover a signal with: total variation and ℓ1 in a wavelet basis, as conic problems.

    total variation   min Σ_p ‖(∇x)_p‖₂  s.t.  A x = y          (∇: forward differences, none across the border)
    wavelets          min ‖W x‖₁         s.t.  A x = y          (W: an orthonormal, periodized Daubechies basis)

Solved by Clarabel through cvxpy, exactly; meant for the small sizes of these comparisons.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.arrays import Array
from solvers.filters.compressive_sensing import FourierMeasurement, Measurement


def rows_and_data(measurement: Measurement, y: NDArray[Any]) -> tuple[Array, Array]:
    """A as a real matrix over row-major pixels, and y as real numbers: real and imaginary parts for Fourier rows.

    Rows that are zero (imaginary parts at self-conjugate frequencies) are left out.
    """
    size = int(np.prod(measurement.shape))
    units = np.eye(size).reshape(size, *measurement.shape)
    columns = np.stack([measurement.forward(unit) for unit in units], axis=1)
    data = np.asarray(y)
    if isinstance(measurement, FourierMeasurement):
        columns = np.concatenate([columns.real, columns.imag])
        data = np.concatenate([data.real, data.imag])
    keep = np.linalg.norm(columns, axis=1) > 1e-12
    return independent(columns[keep], data[keep])


def independent(rows: Array, data: Array) -> tuple[Array, Array]:
    """The same equations on an orthonormal basis of the rows' span: both ±d may have been measured."""
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    kept = values > 1e-10 * values[0]
    return right[kept], (left[:, kept].T @ data) / values[kept]


def total_variation(measurement: Measurement, y: NDArray[Any]) -> Array:
    """argmin of the isotropic total variation (1-D or 2-D) among the signals that fit the measurements.

    Raises RuntimeError with the solver's status when it does not reach the solution.
    """
    cp = _cvxpy()
    rows, data = rows_and_data(measurement, y)
    x = cp.Variable(rows.shape[1])
    if len(measurement.shape) == 1:
        objective = cp.norm1(cp.diff(x))
    else:
        objective = cp.tv(cp.reshape(x, measurement.shape, order="C"))
    return _solved(cp.Problem(cp.Minimize(objective), [rows @ x == data]), x).reshape(measurement.shape)


def wavelet_l1(measurement: Measurement, y: NDArray[Any], wavelet: str = "db2") -> Array:
    """argmin of ‖W x‖₁ among the signals that fit the measurements; sides must be even.

    Raises RuntimeError with the solver's status when it does not reach the solution.
    """
    cp = _cvxpy()
    rows, data = rows_and_data(measurement, y)
    synthesis = wavelet_basis(measurement.shape, wavelet)  # x = synthesis @ coefficients, orthogonal
    c = cp.Variable(rows.shape[1])
    problem = cp.Problem(cp.Minimize(cp.norm1(c)), [(rows @ synthesis) @ c == data])
    return np.asarray(synthesis @ _solved(problem, c)).reshape(measurement.shape)


def wavelet_basis(shape: tuple[int, ...], wavelet: str = "db2") -> Array:
    """The orthonormal wavelet basis, one basis signal per column, as many levels as halve the sides evenly and ≥ 4.

    >>> W = wavelet_basis((8, 8))
    >>> bool(np.allclose(W.T @ W, np.eye(64)))
    True
    """
    pywt: Any = import_module("pywt")
    sides, levels = shape, 0
    while all(s % 2 == 0 and s >= 8 for s in sides):
        sides, levels = tuple(s // 2 for s in sides), levels + 1
    if not levels:
        raise ValueError(f"a periodized wavelet basis needs even sides ≥ 8, got {shape}")
    size = int(np.prod(shape))
    rows = []
    for unit in np.eye(size).reshape(size, *shape):
        coefficients, _ = pywt.coeffs_to_array(pywt.wavedecn(unit, wavelet, mode="periodization", level=levels))
        rows.append(coefficients.ravel())
    return np.stack(rows)  # row p holds the coefficients of pixel p: W transposed, which is W's inverse


def _cvxpy() -> Any:
    """cvxpy, imported when it is needed: it takes seconds."""
    return import_module("cvxpy")


def _solved(problem: Any, variable: Any) -> Array:
    cp = _cvxpy()
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE) or variable.value is None:
        raise RuntimeError(f"Clarabel stopped with status {problem.status!r} on the recovery problem")
    return np.asarray(variable.value, dtype=np.float64)
