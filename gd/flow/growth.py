"""Whether a settled flow can still leave: how fast the fastest small weight would grow, against the growth of ‖w‖.

Near a stationary direction θ with Jᵀp = λθ, and with p held, a small change v of the direction follows

    dv/dτ = (H − λ) v,    H = Σ_n p_n ∇²m_n(θ),

across θ. Where p answers, as it does at the temperature T by dp = −C J dv/T with C = diag(p) − ppᵀ, it restores the
margins: along the eigenvectors of JᵀCJ whose eigenvalue is above λT it does so faster than anything grows. So no
direction leaves if and only if the largest eigenvalue of H across those is at most λ. It is measured on the network; no
regularizer is asked. A network that slides along kinks z_k(θ) = 0 stays on them with its gates held, and m is then less
κ_k z_k, κ the multipliers of the kinks. For a diagonal or convolutional network of depth 2 it is the dual constraint
|(Aᵀp)_i| ≤ λ of the induced ℓ1 problem: off the support a weight that is e^{−1000} still shows here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from gd.flow.kkt import ACTIVE
from gd.flow.weight_polish import hessian
from gd.piecewise.rows import Rows
from solvers.arrays import Array

if TYPE_CHECKING:
    from gd.flow.margin_map import Local, MarginMap

DENSE = 200  # weights up to which all eigenvalues are computed


def growth(mapping: MarginMap, theta: Tensor, local: Local, p: Array, temperature: float, carried: Any = None) -> float:
    """λ_max(H)/λ − 1 as above: positive where some direction leaves θ, per unit of ln‖w‖.

    Args:
        mapping: of the margins.
        theta: the direction, shape (P,), of norm one.
        local: the mapping at θ[None].
        p: the weights of the constraints, shape (N,), nonnegative, Σp = 1.
        temperature: T, in the units of the margins.
        carried: what the last step handed on: the kinks that the network slides along.

    Returns:
        The relative growth; inf where the force points inwards, nan where the eigenvalue was not found.
    """
    weights = torch.as_tensor(p, dtype=torch.float64, device=theta.device)
    force = local.pull(weights[None])[0]
    rate = float((theta.conj() * force).real.sum())
    if rate <= 0:
        return np.inf
    at, held = _real(theta), mapping.held_problem(theta, carried, p > ACTIVE * p.max())
    both, kappa = held.both, local.kink_multipliers(weights)
    active = torch.as_tensor(np.flatnonzero(p > ACTIVE * p.max()), device=theta.device)
    if theta.is_complex() or kappa.numel():  # along the kinks, as pulls are
        chosen = torch.eye(p.size, dtype=torch.float64, device=theta.device)[active]
        rows = Rows([torch.stack([_real(local.pull(row[None])[0]) for row in chosen])])
    else:
        rows = held.rows(theta).select(active)
    rigid = _Rigid.of(rows, _real(force), weights[active], rate * temperature)

    def across_margins(v: Array) -> Array:
        """v less its part along the margins that p holds."""
        return np.asarray(rigid.across(torch.as_tensor(v, device=theta.device)).cpu().numpy())

    radial = across_margins(local.along_kinks(at).cpu().numpy())
    radial /= max(float(np.linalg.norm(radial)), 1e-300)

    def along(v: Array) -> Array:
        """v less its parts across the kinks, along θ and along the margins that p holds."""
        v = across_margins(local.along_kinks(torch.as_tensor(v, device=theta.device)).cpu().numpy())
        return np.asarray(v - radial * (radial @ v))

    def weighted(real: Tensor) -> Tensor:
        margins, kinks = both(_like(real, theta))
        return weights @ margins - kappa @ kinks.real

    size = at.numel()
    if size <= DENSE:
        H = hessian(weighted, at).cpu().numpy()
        across = np.stack([along(e) for e in np.eye(size)])
        return float(np.linalg.eigvalsh(across @ (H + H.T) @ across.T / 2.0)[-1]) / rate - 1.0

    with torch.enable_grad():  # one graph of the gradient serves every product
        at = at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(weighted(at), at, create_graph=True)
    if slope.grad_fn is None:  # margins linear in the weights: H = 0
        return -1.0

    def product(v: Array) -> Array:
        # Lanczos's method goes on from a random v where one unit's block is exhausted, so that v is projected too
        direction = torch.as_tensor(along(v), device=theta.device)
        with torch.enable_grad():  # of a scalar: torch imports sympy, a second, to check the shapes of vectors
            (image,) = torch.autograd.grad((slope * direction).sum(), at, retain_graph=True)
        return along(image.cpu().numpy())

    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = along(np.random.default_rng(0).standard_normal(size))
    try:
        largest = eigsh(operator, k=1, which="LA", v0=start, tol=1e-7, return_eigenvectors=False)
    except ArpackNoConvergence as error:
        largest = error.eigenvalues
    return float(largest[0]) / rate - 1.0 if largest.size else np.nan


@dataclass(frozen=True)
class _Rigid:
    """The part of JᵀCJ that T holds, of rows √p_n (∇m_n − force): the span of eigenvectors of large eigenvalues."""

    rows: Rows
    force: Tensor
    root: Tensor
    inverse: Tensor
    """Of the rows' Gram matrix, on the eigenvectors that are held."""

    @classmethod
    def of(cls, rows: Rows, force: Tensor, p: Tensor, least: float) -> _Rigid:
        """Those with eigenvalues above `least`."""
        along, root = rows.dot(force), torch.sqrt(p)
        centred = rows.gram() - along[:, None] - along + force @ force
        squares, U = torch.linalg.eigh(root[:, None] * centred * root)
        kept = squares > least
        return cls(rows, force, root, (U[:, kept] / squares[kept]) @ U[:, kept].T)

    def across(self, v: Tensor) -> Tensor:
        """v less its part in the span."""
        c = self.root * (self.inverse @ (self.root * (self.rows.dot(v) - self.force @ v)))
        return v - self.rows.combine(c) + c.sum() * self.force


def _real(theta: Tensor) -> Tensor:
    return torch.view_as_real(theta).flatten() if theta.is_complex() else theta


def _like(real: Tensor, theta: Tensor) -> Tensor:
    return torch.view_as_complex(real.reshape(-1, 2)) if theta.is_complex() else real
