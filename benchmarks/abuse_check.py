"""The checks of `abuse.py`: they recompute what an answer claims, and share no code with `solvers`.

Margins are summed exactly (rational arithmetic), Fourier coefficients come from the DFT matrix, R_K° from the K shifted
copies written out, the network of a ConvKernel answer is convolved entry by entry, separability is a linear program.
A claim that fails raises `Wrong`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linprog

from solvers import L2, ConvKernel, FourierBridge, Schatten, Status, induced_regularizer

CLAIM = 1e-8
"""Ten times the tolerance that solvers are asked for: rounding in these checks is below it."""


class Wrong(Exception):
    """A claim that is not true."""


def demand(holds: Any, what: str) -> None:
    if not bool(holds):
        raise Wrong(what)


def constraints(X: Any, y: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """Rows y_n x_n (for labels (N, M): y_nm e_m ⊗ x_n), and the shape of β; of two labels the smaller is −1."""
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if y.ndim == 1 and np.unique(y).size == 2:
        y = np.where(y == y.max(), 1.0, -1.0)
    if y.ndim == 1:
        return np.stack([label * point.ravel() for label, point in zip(y, X, strict=True)]), X.shape[1:]
    rows = [np.concatenate([y[n, m] * X[n] * (k == m) for k in range(y.shape[1])])
            for n in range(len(X)) for m in range(y.shape[1])]  # fmt: skip
    return np.stack(rows), (y.shape[1], X.shape[1])


def exact_product(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """matrix @ vector, rounded once at the end."""
    if matrix.size > 4000:
        return np.asarray(matrix.astype(np.longdouble) @ vector.astype(np.longdouble), dtype=np.float64)
    terms = [Fraction(float(v)) for v in vector]
    return np.array([float(sum(Fraction(float(a)) * t for a, t in zip(row, terms, strict=True))) for row in matrix])


def dft(beta: np.ndarray) -> np.ndarray:
    """The unitary DFT over all axes, by matrices."""
    out = beta.astype(complex)
    for axis, n in enumerate(beta.shape):
        phase = np.outer(np.arange(n), np.arange(n)) % n
        out = np.moveaxis(np.tensordot(np.exp(-2j * np.pi * phase / n) / np.sqrt(n), out, (1, axis)), 0, axis)
    return out


def value(regularizer: Any, beta: np.ndarray) -> float:
    """R(β), except for ConvKernel, whose value is a program: its claims are checked by `network`."""
    size = float(np.abs(beta).max())
    if size == 0:
        return 0.0
    b = beta / size
    if isinstance(regularizer, L2):
        return size * float(np.sqrt((b**2).sum()))
    if isinstance(regularizer, Schatten):
        parts = np.sqrt(np.maximum(np.linalg.eigvalsh(b @ b.T), 0.0)) if min(b.shape) == 1 else np.linalg.svd(b)[1]
    else:
        parts = np.abs(dft(b) if isinstance(regularizer, FourierBridge) else b)
    return size * float((parts**regularizer.p).sum() ** (1 / regularizer.p))


def dual_norm(regularizer: Any, z: np.ndarray) -> float:
    """R°(z) for a norm."""
    size = float(np.abs(z).max())
    if size == 0:
        return 0.0
    if isinstance(regularizer, ConvKernel):
        grid = z.shape if regularizer.in_channels == 1 else z.shape[1:]
        K = regularizer.kernel_size
        kernel = K if isinstance(K, tuple) else (K,) * len(grid)
        channels = (z / size).reshape(-1, *grid)
        shifts = [np.roll(c, [-s for s in shift], tuple(range(len(grid)))).ravel()
                  for c in channels for shift in np.ndindex(*kernel)]  # fmt: skip
        return size * float(np.linalg.norm(np.stack(shifts), 2)) / (2 * np.sqrt(np.prod(grid)))
    if isinstance(regularizer, L2) or regularizer.p == 2:
        return size * float(np.linalg.norm(z / size))
    if isinstance(regularizer, Schatten):
        return size * float(np.linalg.norm(z / size, 2))
    return size * float(np.abs(dft(z / size) if isinstance(regularizer, FourierBridge) else z / size).max())


def network(U: np.ndarray, V: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """β = Σ_c u_c * v_c / √D, circular, entry by entry."""
    grid = V.shape[1:]
    kernels = U.reshape(U.shape[0], -1, *U.shape[-len(grid) :])
    out = np.zeros((kernels.shape[1], *grid))
    for c, r in np.ndindex(kernels.shape[:2]):
        for shift in np.ndindex(*kernels.shape[2:]):
            out[r] += kernels[(c, r, *shift)] * np.roll(V[c], shift, tuple(range(len(grid))))
    return (out / np.sqrt(np.prod(grid))).reshape(shape)


def check_margin(X: Any, y: Any, regularizer: Any, solution: Any) -> str:
    """ "certified" or "not certified"; raises Wrong when anything it says is not so."""
    A, shape = constraints(X, y)
    beta, alpha = solution.beta, solution.dual.ravel()
    demand(np.isfinite(beta).all() and beta.shape == shape, "β is not finite or misshapen")
    demand((alpha >= 0).all(), "negative multipliers")
    margin = float(exact_product(A, beta.ravel()).min())
    claims = solution.status in (Status.OPTIMAL, Status.STATIONARY)
    slack = CLAIM if claims else max(10 * solution.certificate.primal, 1e-6)
    demand(margin >= 1 - slack, f"margin {margin:.3e}, claimed {solution.certificate.margin:.3e}")
    check_value(regularizer, beta, solution)
    if regularizer.is_norm or isinstance(regularizer, ConvKernel):
        z = exact_product(A.T.copy(), alpha).reshape(shape)
        scale = dual_norm(regularizer, z)
        proved = float(alpha.sum()) / scale if scale > 0 else 0.0
        # an open gap is checked at its own size: there rounding of Σα_n a_n may move the bound by as much
        room = CLAIM if claims else max(CLAIM, abs(solution.certificate.gap or 0.0) * 10)
        demand(solution.lower_bound <= proved * (1 + room), f"lower bound {solution.lower_bound} > {proved} proved")
        if solution.status is Status.OPTIMAL:
            demand(proved >= solution.objective * (1 - CLAIM), f"gap {1 - proved / solution.objective:.1e} is open")
    elif claims:
        check_stationary(A, beta, alpha, regularizer)
    return "certified" if claims else "not certified"


def check_value(regularizer: Any, beta: np.ndarray, solution: Any) -> None:
    """The objective is R(β); for ConvKernel, the least ‖w‖² of a network that computes β."""
    if isinstance(regularizer, ConvKernel):
        # the conic method returns no network; any that computes β at the value that was said will do
        found = solution if hasattr(solution, "kernels") else computing(regularizer, beta)
        paid = float((found.kernels**2).sum() + (found.output_weights**2).sum())
        error = np.abs(network(found.kernels, found.output_weights, beta.shape) - beta).max() / np.abs(beta).max()
        demand(error <= 1e-7, f"the network computes another predictor, {error:.1e} away")
    else:
        paid = value(regularizer, beta)
    demand(abs(solution.objective - paid) <= CLAIM * paid, f"objective {solution.objective}, paid {paid}")


def computing(regularizer: Any, beta: np.ndarray) -> Any:
    """A network for β."""
    return induced_regularizer(beta, regularizer.kernel_size, in_channels=regularizer.in_channels)


def check_stationary(A: np.ndarray, beta: np.ndarray, alpha: np.ndarray, regularizer: Any) -> None:
    """Eq. (13): Σα_n a_n is, on the support, a positive multiple of |c|^{p−1} c/|c|; multipliers on the margin only."""
    z = exact_product(A.T.copy(), alpha).reshape(beta.shape)
    c, zc = (dft(beta), dft(z)) if isinstance(regularizer, FourierBridge) else (beta + 0j, z + 0j)
    on = np.abs(c) > 1e-9 * np.abs(c).max()
    gradient = np.abs(c[on]) ** (regularizer.p - 2) * c[on]
    ratios = zc[on] / gradient
    factor = float(ratios.real.mean())
    demand(factor > 0, "the multipliers point away from the gradient")
    demand(np.abs(ratios / factor - 1).max() <= 1e-6, f"not stationary: {np.abs(ratios / factor - 1).max():.1e}")
    margins = exact_product(A, beta.ravel())
    demand(alpha @ np.abs(margins - 1) <= 1e-6 * alpha.sum(), "multipliers off the margin")


def relative_margin(X: Any, y: Any) -> float:
    """max_β min_n ⟨a_n, β⟩ over the box ‖β‖_∞ ≤ 1, rows of a_n scaled to norm one after columns to one; by HiGHS."""
    A, _ = constraints(X, y)
    A = A / np.where(np.abs(A).max(axis=0) > 0, np.abs(A).max(axis=0), 1.0)
    norms = np.linalg.norm(A, axis=1)
    if not norms.all():
        return 0.0
    A = A / norms[:, None]
    n, d = A.shape
    program = linprog(np.append(np.zeros(d), -1.0), A_ub=np.column_stack([-A, np.ones(n)]), b_ub=np.zeros(n),
                      bounds=[(-1, 1)] * d + [(None, None)], method="highs")  # fmt: skip
    demand(program.status == 0, "a linear program of the check itself failed")
    found = exact_product(A, program.x[:-1])
    return float(found.min())


def check_refusal(X: Any, y: Any, error: Any) -> None:
    """A Farkas certificate must be one, and no predictor may separate by more than rounding."""
    A, _ = constraints(X, y)
    alpha = error.farkas.ravel()
    demand((alpha >= 0).all() and abs(alpha.sum() - 1) < 1e-9, "the Farkas certificate is no convex combination")
    largest = float(np.linalg.norm(A, axis=1).max())
    residual = float(np.linalg.norm(exact_product(A.T.copy(), alpha))) / largest if largest > 0 else 0.0
    demand(residual <= max(1e-11, 2 * error.residual), f"Farkas residual {residual:.1e}, claimed {error.residual:.1e}")
    found = relative_margin(X, y)
    demand(found <= 1e-9, f"called inseparable, but a predictor separates with relative margin {found:.1e}")
