"""R_{K,C}(w) of one predictor: input validation, then `solvers.conv_kernel.value`."""

from __future__ import annotations

from numpy.typing import ArrayLike

from solvers.arrays import Array
from solvers.conv_kernel.value import InducedRegularizer
from solvers.regularizers.conv_kernel import ConvKernel
from solvers.search import Search
from solvers.threads import threads_for
from solvers.validation import check_starts, check_tolerance, finite_array


def induced_regularizer(
    w: ArrayLike,
    kernel_size: int | tuple[int, ...],
    *,
    in_channels: int | None = None,
    out_channels: int | None = None,
    tol: float = 1e-9,
    n_starts: int = 8,
    seed: int = 0,
) -> InducedRegularizer:
    """R_{K,C}(w) with the kernels that attain it and a certificate.

        min ‖U‖² + ‖V‖²   s.t.   ŵ_r = Σ_{c ≤ C} û_{c,r} ⊙ v̂_c       (unitary DFT of zero-padded kernels)

    Args:
        w: predictor, shape (D,), (H, W), (R, D) or (R, H, W).
        kernel_size: K, or (K_H, K_W); an int means K × K for images.
        in_channels: R. Needed only for (R, D) with an int kernel, which otherwise reads as one image (H, W); a pair
            with three axes, or three axes in any case, is (R, H, W).
        out_channels: C; None is the convex value. A finite C below the convex range (see `ConvKernel`) is a
            rank-constrained problem: `value` is then the best of a local search over `n_starts` seeded starts and
            one from the convex solution, `lower_bound` the convex value.
        tol: relative duality gap asked for.
        n_starts: seeded starts of the local search.
        seed: of these starts.

    Returns:
        InducedRegularizer: `value` and `lower_bound`, the network, and the dual vector z of max ⟨z, w⟩ s.t. R°(z) ≤ 1.

    Raises:
        ValueError: w not finite, of the wrong shape, or a kernel wider than w.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021): the semidefinite form and, for R = 1 in one dimension, its
    rank-one solutions. Following the path in the kernels' own
    dimension instead of the (K·R + D)-dimensional program is ours.

    >>> import numpy as np
    >>> answer = induced_regularizer(np.arange(1.0, 9.0), 3)
    >>> round(answer.value, 6), answer.status.name, answer.kernels.shape, answer.output_weights.shape
    (61.01355, 'OPTIMAL', (1, 3), (1, 8))
    """
    search = Search(check_tolerance(tol), check_starts(n_starts), seed)
    predictor, regularizer = predictor_and_regularizer(w, kernel_size, in_channels, out_channels)
    with threads_for(float(regularizer.geometry(predictor.shape).n) ** 3):
        return regularizer.attained(predictor, search)


def predictor_and_regularizer(
    w: ArrayLike, kernel_size: int | tuple[int, ...], in_channels: int | None, out_channels: int | None
) -> tuple[Array, ConvKernel]:
    """w as a finite array, and the regularizer that its shape, the kernel and the channels say."""
    predictor = finite_array("w", w)
    if in_channels is None:
        signals = isinstance(kernel_size, tuple) and len(kernel_size) == 1 and predictor.ndim == 2
        in_channels = predictor.shape[0] if predictor.ndim == 3 or signals else 1
    if in_channels == 1 and predictor.ndim == 3:
        predictor = predictor[0]
    if isinstance(kernel_size, int) and out_channels is not None and predictor.ndim - (in_channels > 1) == 2:
        kernel_size = (kernel_size, kernel_size)
    return predictor, ConvKernel(kernel_size, in_channels, out_channels)
