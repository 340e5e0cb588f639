"""The regularizers as convex cvxpy expressions, to put into problems of one's own.

    fourier_l1(β)                  ‖β̂‖₁        second-order cones, half the spectrum
    conv_kernel_norm(W, kernel)    R_K(W)      one semidefinite cone, formed when the problem is solved

Both are ordinary DCP expressions: they may be scaled, added, bounded and minimized. The constraints behind R_K belong
to the expression's canonical form, as those of cvxpy's own `normNuc` do, so there is nothing that could be forgotten.

R_K is a cvxpy `Atom` registered with cvxpy's internal tables; the package's dependency on cvxpy is bounded to the minor
version for that reason. Importing this file imports cvxpy (seconds); nothing else here does.
"""

from __future__ import annotations

from typing import Any

import cvxpy
import numpy as np
from cvxpy.atoms import PSD_ATOMS
from cvxpy.atoms.atom import Atom
from cvxpy.reductions.dcp2cone.canonicalizers import CANON_METHODS

from solvers.arrays import Array
from solvers.conv_kernel.conic import second_moment
from solvers.fourier import half_spectrum, transform
from solvers.regularizers.conv_kernel import ConvKernel

cp: Any = cvxpy  # its functions are re-exported in a way that type checkers do not see


def fourier_l1(beta: Any) -> Any:
    """‖β̂‖₁, β̂ the unitary DFT over all axes of β: the cost of a two-layer full-width convolutional network.

    Args:
        beta: an affine cvxpy expression of shape (D,) or (H, W).

    Returns:
        A convex scalar expression.

    Raises:
        ValueError: another number of axes.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorem 2: L = 2.

    >>> beta = cp.Variable(4)
    >>> problem = cp.Problem(cp.Minimize(fourier_l1(beta)), [beta[0] == 1])
    >>> round(float(problem.solve(solver="CLARABEL")), 6)
    2.0
    """
    expression = cp.Expression.cast_to_const(beta)
    shape = expression.shape
    if len(shape) not in (1, 2):
        raise ValueError(f"fourier_l1 is defined for signals (D,) and images (H, W); got shape {shape}")
    size = int(np.prod(shape))
    half = half_spectrum(shape)
    spectrum = transform(np.eye(size).reshape(-1, *shape), shape).reshape(size, size)[:, half.own]
    flat = cp.reshape(expression, (size,), order="C")
    halves = cp.vstack([spectrum.real.T @ flat, spectrum.imag.T @ flat])
    return half.counts @ cp.norm(halves, 2, axis=0)


class ConvKernelNorm(Atom):
    """R_K as a cvxpy atom; made by `conv_kernel_norm`."""

    def __init__(self, W: Any, kernel_size: int | tuple[int, ...], in_channels: int) -> None:
        self.regularizer = ConvKernel(kernel_size, in_channels)
        super().__init__(W)

    def get_data(self) -> list[Any]:
        return [self.regularizer.kernel_size, self.regularizer.in_channels]

    def validate_arguments(self) -> None:
        self.regularizer.check_shape(self.args[0].shape)
        super().validate_arguments()

    def shape_from_args(self) -> tuple[int, ...]:
        return ()

    def sign_from_args(self) -> tuple[bool, bool]:
        return (True, False)

    def is_atom_convex(self) -> bool:
        return True

    def is_atom_concave(self) -> bool:
        return False

    def is_incr(self, idx: int) -> bool:
        return False

    def is_decr(self, idx: int) -> bool:
        return False

    def numeric(self, values: list[Array]) -> float:
        return self.regularizer.value(np.asarray(values[0], dtype=np.float64))

    def _grad(self, values: list[Array]) -> list[Any]:
        """The dual vector z of R_K at W: R_K°(z) = 1 and ⟨z, W⟩ = R_K(W)."""
        from scipy.sparse import csc_array

        solution = self.regularizer.attained(np.asarray(values[0], dtype=np.float64))
        return [csc_array(solution.dual.reshape(-1, 1, order="F"))]


def _canonical(expr: Any, args: Any, solver_context: Any = None) -> Any:
    """R_K(W) = min tr Z over Z ⪰ 0 whose network computes W."""
    del solver_context
    Z, computed = second_moment(expr.regularizer.geometry(args[0].shape))
    return cp.trace(Z), [computed == cp.reshape(args[0], (int(np.prod(args[0].shape)),), order="C")]


CANON_METHODS[ConvKernelNorm] = _canonical
PSD_ATOMS.append(ConvKernelNorm)


def conv_kernel_norm(W: Any, kernel_size: int | tuple[int, ...], in_channels: int = 1) -> Any:
    """R_K(W): the representation cost of a two-layer linear CNN with enough output channels, as a convex expression.

        R_K(W) = min { tr Z : Z ⪰ 0, the network of second moments Z computes W }

    Args:
        W: an affine cvxpy expression of shape (D,), (H, W), or (R, D), (R, H, W) with in_channels = R. Matrices
            (H, W) of cvxpy are images.
        kernel_size: K, or a pair for images.
        in_channels: R.

    Returns:
        A convex nonnegative scalar expression; K = 1 is 2√D‖W‖₂ and K = D is 2‖Ŵ‖₁ (R = 1).

    Raises:
        ValueError: a shape that does not fit the kernel.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021), the SDP formulation.

    >>> beta = cp.Variable(8)
    >>> problem = cp.Problem(cp.Minimize(conv_kernel_norm(beta, 3)), [beta == np.arange(1.0, 9.0)])
    >>> round(float(problem.solve(solver="CLARABEL")), 4)
    61.0135
    """
    return ConvKernelNorm(W, kernel_size, in_channels)
