"""The verb of the price: R_{K,C}(w) of one predictor, checked at the door and solved by `conv_kernel_price`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from solvers.conv_kernel.price import ConvKernelSolution
from solvers.conv_kernel.regularizer import ConvKernel


def induced_regularizer(
    w: ArrayLike,
    kernel_size: int | tuple[int, ...],
    *,
    in_channels: int | None = None,
    out_channels: int | None = None,
    tol: float = 1e-9,
    restarts: int = 8,
    seed: int = 0,
) -> ConvKernelSolution:
    """R_{K,C}(w) with the kernels that attain it and a certificate.

        min ‖U‖² + ‖V‖²   s.t.   ŵ_r = Σ_{c ≤ C} û_{c,r} ⊙ v̂_c       (unitary DFT of zero-padded kernels)

    Args:
        w: predictor, shape (D,), (H, W), (R, D) or (R, H, W).
        kernel_size: K, or (K_H, K_W); an int means K × K for images.
        in_channels: R. Needed only for (R, D) with an int kernel, which otherwise reads as one image (H, W); a pair
            with three axes, or three axes in any case, is (R, H, W).
        out_channels: C; None is the convex value. A finite C below the convex range (see `ConvKernel`) is a
            rank-constrained problem: `objective` is then the best of a local search over `restarts` seeded starts and
            one from the convex solution, `lower_bound` the convex value.
        tol: relative duality gap asked for.
        restarts, seed: of the local search.

    Returns:
        ConvKernelSolution. `objective` = ‖U‖² + ‖V‖² of the network returned (an upper bound on R; inf when no network
        of C < R channels was found that computes w), `lower_bound` proved
        by `dual`, which here is z of (D) in the shape of w: R°(z) ≤ 1, ⟨z, w⟩ = lower_bound. `certificate.primal` is
        the relative error of the network's predictor against w. `status` OPTIMAL: the gap is at most `tol`; BOUNDED:
        finite C and the bounds differ; INACCURATE: the convex solver stopped above `tol`.

    Raises:
        ValueError: w not finite, of the wrong shape, or a kernel wider than w.

    Reference: Jagadeesan, Razenshteyn, Gunasekar (2021): the semidefinite form and, for R = 1 in one dimension, its
    rank-one solutions. Following the path in the kernels' own
    dimension instead of the (K·R + D)-dimensional program is ours.

    >>> answer = induced_regularizer(np.arange(1.0, 9.0), 3)
    >>> round(answer.objective, 6), answer.status.name, answer.kernels.shape, answer.weights.shape
    (61.01355, 'OPTIMAL', (1, 3), (1, 8))
    """
    predictor = np.asarray(w, dtype=np.float64)
    if not np.isfinite(predictor).all():
        raise ValueError("w must be finite; it holds a nan or an infinity")
    if not 0 < tol < 1:
        raise ValueError(f"tol must be a relative gap between 0 and 1, such as 1e-9; got {tol!r}")
    if in_channels is None:
        signals = isinstance(kernel_size, tuple) and len(kernel_size) == 1 and predictor.ndim == 2
        in_channels = predictor.shape[0] if predictor.ndim == 3 or signals else 1
    if in_channels == 1 and predictor.ndim == 3:
        predictor = predictor[0]
    if isinstance(kernel_size, int) and out_channels is not None and predictor.ndim - (in_channels > 1) == 2:
        kernel_size = (kernel_size, kernel_size)
    regularizer = ConvKernel(kernel_size, in_channels, out_channels)
    regularizer.check_shape(predictor.shape)
    return regularizer.price(predictor, tol=tol, restarts=restarts, seed=seed)
