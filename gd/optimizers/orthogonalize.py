"""The orthogonal factor U Vᵀ of G = U Σ Vᵀ (the polar factor): exactly, or by Newton–Schulz as Muon does it."""

from __future__ import annotations

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of Muon's iteration σ ← aσ + bσ³ + cσ⁵ (Jordan et al. 2024): σ = 0 is left fast, and the values end
within about 0.7 to 1.2, not at 1."""


def orthogonalized(matrices: Tensor, iterations: int = 0) -> Tensor:
    """U Vᵀ of every matrix (…, m, n). Singular values that are zero to rounding stay zero.

    Args:
        matrices: G, shape (…, m, n).
        iterations: of Newton–Schulz, as Muon has it, of G/‖G‖_F; 0: by the singular value decomposition.

    Returns:
        U Vᵀ, or with iterations U p(Σ) Vᵀ, p(σ) within about 0.7 to 1.2 where σ/‖G‖_F is above 3.4^(−iterations).

    >>> orthogonalized(torch.tensor([[0.0, 2.0], [1e-3, 0.0]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if iterations:
        return _newton_schulz(matrices, iterations)
    u, sigma, vt = torch.linalg.svd(matrices, full_matrices=False)
    cut = max(matrices.shape[-2:]) * torch.finfo(matrices.dtype).eps * sigma[..., :1]
    exact: Tensor = (u * (sigma > cut).to(u.dtype).unsqueeze(-2)) @ vt
    return exact


def _newton_schulz(matrices: Tensor, iterations: int) -> Tensor:
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
