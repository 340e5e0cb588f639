"""The search for predictors whose R_C exceeds the convex R: batches of instances, on CUDA where there is one.

For a predictor w let R_C(w) be the value with C channels and R(w) the convex one. The search ascends ln R_C − ln R over
unit vectors w. Both values are minima over kernels of one formula,

    R_C(w) = min over U ∈ R^{C×KR} of  ‖U‖² + Σ_d ŵ_d* P_d(U)^{-1} ŵ_d,        P_d = Σ_c û_c û_c*,                  (1)

with C = KR for the convex one, so a batch of (instance, restart) pairs is minimized at once, by Newton's method with
the absolute values of the Hessian's eigenvalues and a trust parameter for each pair: it leaves saddles and ends in
minima to working precision. By the envelope theorem the gradient of ln R_C in w is 2ẑ_C/R_C, ẑ = P^{-1}ŵ at the
minimizer, so one ascent step costs one minimization from the last kernels.

What comes out are *candidates*: the smaller side, R, is a proved lower bound (from the dual, by an eigenvalue), the
larger, R_C, is the best of the restarts. `solvers.conv_kernel.rank_certificate` proves some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from solvers.regularizers.conv_kernel import ConvKernel, lag_geometry

Array = NDArray[np.float64]

KINDS = ("gaussian", "sparse", "smooth", "tones", "integers")
"""How the starting instances are drawn."""


@dataclass(frozen=True)
class SearchPlan:
    """One search: the networks, and how much of each step is done."""

    grid: tuple[int, ...]
    kernel: tuple[int, ...]
    in_channels: int
    out_channels: int
    batch: int = 16
    restarts: int = 8
    ascents: int = 6
    """Gradient steps of each instance after it is drawn."""
    iterations: int = 60
    """Newton steps of every minimization."""


@dataclass(frozen=True)
class Found:
    """The instances of one generation, best gap first."""

    instances: Array
    """w of norm one, shape (B, *grid) or (B, R, *grid)."""
    gaps: Array
    """R_C(w)/R(w) − 1 with R_C the best of the restarts (an upper bound) and R the proved lower bound."""
    kinds: tuple[str, ...]


class ChannelValues:
    """(1) for batches of predictors on one device, float64."""

    def __init__(self, plan: SearchPlan, device: torch.device) -> None:
        geometry = lag_geometry(plan.grid, plan.kernel, plan.in_channels)
        self.plan, self.device, self.n = plan, device, geometry.n
        taps = np.zeros((geometry.taps, *plan.grid))
        for i, k in enumerate(np.ndindex(*plan.kernel)):
            taps[i][k] = 1.0
        axes = tuple(range(1, 1 + len(plan.grid)))
        phases = np.fft.rfftn(taps, axes=axes, norm="ortho").reshape(geometry.taps, -1)
        self.phases = torch.as_tensor(phases, device=device)
        self.multiplicity = torch.as_tensor(geometry.multiplicity, device=device)

    def spectra(self, w: Tensor) -> Tensor:
        """ŵ (B, R, H) of real w (B, R, *grid)."""
        axes = tuple(range(-len(self.plan.grid), 0))
        hat: Tensor = torch.fft.rfftn(w, dim=axes, norm="ortho")
        return hat.flatten(2)

    def signals(self, hat: Tensor) -> Tensor:
        """The inverse of `spectra`."""
        grid = self.plan.grid
        half = (*grid[:-1], grid[-1] // 2 + 1)
        axes = tuple(range(-len(grid), 0))
        w: Tensor = torch.fft.irfftn(hat.reshape(*hat.shape[:2], *half), s=grid, dim=axes, norm="ortho")
        return w

    def dual(self, U: Tensor, hat: Tensor) -> Tensor:
        """ẑ = P^{-1}ŵ for kernels U (C, n) and one predictor (R, H)."""
        shaped = U.reshape(U.shape[0], -1, self.plan.in_channels).to(hat.dtype)
        kernels = torch.einsum("ckr,kh->hrc", shaped, self.phases)
        if self.plan.in_channels == 1:
            P = (kernels.real**2 + kernels.imag**2).sum(-1)[:, 0]
            return hat / P
        P = kernels @ kernels.mH
        # without a check: a trial step may land on a singular P, is then not finite and is refused
        inverse = torch.linalg.inv_ex(P)[0]
        z: Tensor = (inverse @ hat.T.unsqueeze(-1)).squeeze(-1).T
        return z

    def cost(self, U: Tensor, hat: Tensor) -> Tensor:
        """‖U‖² + Σ ŵ* P^{-1} ŵ."""
        z = self.dual(U, hat)
        return (U * U).sum() + ((hat.conj() * z).real.sum(0) * self.multiplicity).sum()

    def minimize(self, U: Tensor, hat: Tensor) -> tuple[Tensor, Tensor]:
        """Newton from U (M, C, n) for predictors hat (M, R, H): kernels and values 2√(‖U‖²S)."""
        shape = U.shape[1:]
        x = U.flatten(1)

        hat = torch.view_as_real(hat)  # jacrev takes real arguments only

        def single(v: Tensor, h: Tensor) -> Tensor:
            return self.cost(v.reshape(shape), torch.view_as_complex(h))

        value = torch.func.vmap(single)
        slope = torch.func.vmap(torch.func.grad(single))
        hessian = torch.func.vmap(torch.func.jacrev(torch.func.grad(single)), chunk_size=512)
        f = value(x, hat)
        trust = torch.full_like(f, 1e-2)
        settled = torch.zeros_like(f)
        for _ in range(self.plan.iterations):
            if bool(((settled >= 2) | (trust >= 1e10)).all()):  # no digits left to gain, or no step that gains any
                break
            g, H = slope(x, hat), hessian(x, hat)
            sound = torch.isfinite(H).flatten(1).all(1) & torch.isfinite(g).all(1)
            eye = torch.eye(H.shape[1], dtype=H.dtype, device=H.device)
            H = torch.where(sound[:, None, None], (H + H.mT) / 2, eye)
            curvature, V = torch.linalg.eigh(H)
            along = (V.mT @ torch.nan_to_num(g).unsqueeze(-1)).squeeze(-1)
            size = curvature.abs().amax(1, keepdim=True)
            step = -(V @ (along / (curvature.abs() + trust[:, None] * size)).unsqueeze(-1)).squeeze(-1)
            trial = x + step
            f_new = value(trial, hat)
            better = torch.isfinite(f_new) & (f_new <= f) & sound
            gained = torch.where(better, f - f_new, torch.zeros_like(f)) > 1e-14 * f.abs()
            settled = torch.where(gained, torch.zeros_like(f), settled + better)
            x = torch.where(better[:, None], trial, x)
            f = torch.where(better, f_new, f)
            trust = torch.where(better, (trust / 5).clamp(min=1e-14), (trust * 6).clamp(max=1e12))
        kernels = x.reshape(-1, *shape)
        r0 = (x * x).sum(1)
        return kernels, 2.0 * torch.sqrt(r0 * (f - r0).clamp(min=0.0))

    def lower_bounds(self, z: Tensor, hat: Tensor) -> Tensor:
        """2⟨ẑ, ŵ⟩/√λ_max(T(z)), proved for any ẑ: (B,); nan where ẑ is not finite."""
        h = torch.einsum("kh,brh->bkrh", self.phases, z.conj()).flatten(1, 2)
        T = torch.einsum("bih,bjh,h->bij", h, h.conj(), self.multiplicity.to(h.dtype)).real
        sound = torch.isfinite(T).flatten(1).all(1)
        T = torch.where(sound[:, None, None], (T + T.mT) / 2, torch.eye(T.shape[1], dtype=T.dtype, device=T.device))
        inner = ((z.conj() * hat).real.sum(1) * self.multiplicity).sum(1)
        bound = 2.0 * inner / torch.sqrt(torch.linalg.eigvalsh(T)[:, -1])
        return torch.where(sound, bound, torch.full_like(bound, torch.nan))


def draw(plan: SearchPlan, generator: np.random.Generator) -> tuple[Array, tuple[str, ...]]:
    """Starting instances of norm one, (B, R, *grid), the kinds of `KINDS` in turn."""
    shape = (plan.in_channels, *plan.grid)
    instances, kinds = [], []
    axes = tuple(range(1, len(shape)))
    for i in range(plan.batch):
        kind = KINDS[i % len(KINDS)]
        w = generator.standard_normal(shape)
        if kind == "sparse":
            w = w * (generator.random(shape) < max(3.0 / w[0].size, 0.2))
        elif kind == "smooth":
            hat = np.fft.rfftn(w, axes=axes)
            decay = np.exp(-np.arange(hat.shape[-1]) * generator.uniform(0.1, 2.0))
            w = np.fft.irfftn(hat * decay, shape[1:], axes)
        elif kind == "tones":
            hat = np.fft.rfftn(w, axes=axes)
            w = np.fft.irfftn(np.where(generator.random(hat.shape[1:]) < 0.5, hat, 1e-2 * hat), shape[1:], axes)
        elif kind == "integers":
            w = np.round(2.0 * w)
        w = w + 1e-3 * generator.standard_normal(shape)  # no exact zeros: 1/P then keeps every frequency in view
        instances.append(w / np.linalg.norm(w))
        kinds.append(kind)
    return np.array(instances), tuple(kinds)


def generation(plan: SearchPlan, seed: Sequence[int], device: str | torch.device | None = None) -> Found:
    """Draw a batch, ascend the gap, measure what is reached with fresh restarts; deterministic in `seed`.

    On a CUDA device the numbers agree with the CPU's to rounding: same seeds, same starts, same steps.
    """
    where = torch.device(device) if device is not None else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = np.random.default_rng(list(seed))
    values = ChannelValues(plan, where)
    drawn, kinds = draw(plan, rng)
    w = torch.as_tensor(drawn, device=where)
    few = _starts(plan, values, plan.out_channels, plan.restarts, rng)
    many = _starts(plan, values, values.n, 1, rng)
    few_kernels, many_kernels = few, many
    step = torch.full((plan.batch,), 0.3, dtype=torch.float64, device=where)
    best_w, best_gap = w, torch.full((plan.batch,), -np.inf, dtype=torch.float64, device=where)
    for made in range(plan.ascents + 1):
        hat = values.spectra(w)
        many_kernels, _, many_z = _minimum(values, many_kernels, hat)
        few_kernels = torch.cat([_leading(plan, many_kernels), few_kernels[:, 1:]], dim=1)
        few_kernels, few_value, few_z = _minimum(values, few_kernels, hat)
        lower = values.lower_bounds(many_z, hat)
        gap = few_value / lower - 1.0
        improved = gap > best_gap
        best_w = torch.where(improved.reshape(-1, *[1] * (w.ndim - 1)), w, best_w)
        best_gap = torch.where(improved, gap, best_gap)
        step = torch.where(improved, step * 1.3, step * 0.4)
        if made == plan.ascents:
            break
        ascent = values.signals(few_z / few_value[:, None, None] - many_z / lower[:, None, None])
        ascent = torch.nan_to_num(ascent, posinf=0.0, neginf=0.0)
        ascent = ascent / torch.linalg.vector_norm(ascent.flatten(1), dim=1).clamp(min=1e-300).reshape(
            -1, *[1] * (w.ndim - 1)
        )
        w = best_w + step.reshape(-1, *[1] * (w.ndim - 1)) * ascent
        w = w / torch.linalg.vector_norm(w.flatten(1), dim=1).reshape(-1, *[1] * (w.ndim - 1))
    # the ascent may have followed one restart into a bad minimum: measure again from twice as many fresh starts
    hat = values.spectra(best_w)
    many_kernels, _, z = _minimum(values, many_kernels, hat)
    again = _starts(plan, values, plan.out_channels, 2 * plan.restarts, rng)
    _, fresh, _ = _minimum(values, torch.cat([_leading(plan, many_kernels), again], dim=1), hat)
    _, kept, _ = _minimum(values, few_kernels, hat)
    instances = best_w.cpu().numpy()
    if plan.in_channels == 1:
        instances = instances[:, 0]
    kernel = plan.kernel if len(plan.kernel) > 1 else plan.kernel[0]
    convex = ConvKernel(kernel, plan.in_channels)
    solved = np.array([convex.attained(w).lower_bound for w in instances])  # the search's own bound may be a loose one
    lower = np.fmax(solved, values.lower_bounds(z, hat).cpu().numpy())
    gaps = torch.minimum(fresh, kept).cpu().numpy() / lower - 1.0
    order = np.argsort(-gaps)
    instances = instances[order]
    return Found(instances, gaps[order], tuple(kinds[i] for i in order))


def _leading(plan: SearchPlan, many: Tensor) -> Tensor:
    """The convex solution's leading C kernels, slightly moved off any symmetry: (B, 1, C, n)."""
    _, sizes, V = torch.linalg.svd(many[:, 0], full_matrices=False)
    leading = sizes[:, : plan.out_channels, None] * V[:, : plan.out_channels]
    wave = torch.cos(torch.arange(leading[0].numel(), dtype=leading.dtype, device=leading.device))
    moved: Tensor = leading + 1e-3 * sizes[:, :1, None] * wave.reshape(leading.shape[1:])
    return moved.unsqueeze(1)


def _starts(plan: SearchPlan, values: ChannelValues, C: int, restarts: int, rng: np.random.Generator) -> Tensor:
    """(B, restarts, C, n), of the size the minimizers of unit predictors have."""
    shape = (plan.batch, restarts, C, values.n)
    size = (np.prod(plan.grid) ** 0.5 / (C * values.n)) ** 0.5
    return torch.as_tensor(size * rng.standard_normal(shape), device=values.device)


def _minimum(values: ChannelValues, U: Tensor, hat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All restarts' kernels, and the best restart's value (B,) and ẑ (B, R, H)."""
    batch, restarts = U.shape[:2]
    repeated = hat.repeat_interleave(restarts, dim=0)
    kernels, value = values.minimize(U.flatten(0, 1), repeated)
    value = torch.nan_to_num(value, nan=float("inf")).reshape(batch, restarts)
    kernels = kernels.reshape(U.shape)
    best = value.argmin(1)
    every = torch.arange(batch, device=U.device)
    chosen = kernels[every, best]
    z = torch.func.vmap(values.dual)(chosen, hat)
    return kernels, value[every, best], z
