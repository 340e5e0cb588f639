"""Pooling between the two layers of a CNN, and a third convolution: what is known of their limits.

    f(x) = Σ_c ⟨v_c, pool_s(x ⋆ u_c)⟩ = ⟨B(x), Σ_c u_c v_cᵀ⟩,      B(x)[k, j] = s^{-1} Σ_{i<s} D^{-1/2} x[js + i + k]

The network is bilinear in (U, V), so with M = Σ_c u_c v_cᵀ its representation cost is twice a nuclear norm,

    min ‖U‖² + ‖V‖² = 2‖M‖_*,        max margin:  min 2‖M‖_*  s.t.  y_n⟨B(x_n), M⟩ ≥ 1,                        (1)

a convex problem on matrices K × D/s with at least min(K, D/s) channels. Without pooling (s = 1) M is read along its
circular anti-diagonals alone, which is R_K. That gradient flow ends at a KKT point is a theorem; that it ends at the
optimum of (1) is expected, as for several outputs, and is put to the test. Of max pooling, where the largest value of
a window takes the place of its mean and f is no longer linear in x, and of three layers only the first is known.

Reference: Lyu and Li (2020), Theorem 4.4, for KKT points; Jagadeesan, Razenshteyn, Gunasekar (2021) for s = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from compare.bounded.signals import Signals
from compare.margin.evidence import LEFT, RESOLUTION, grows, kkt_check, place_before
from compare.margin.margin_predictions import kkt_residual
from compare.reports.report import Check, Column, Evidence, Section, Value
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from solvers.arrays import Array
from solvers.max_margin import max_margin
from solvers.regularizers import Schatten
from solvers.solution import Solution

KKT = "Lyu and Li (2020), Theorem 4.4"
FEW = "fewer channels than M may need: the problem in the weights is not the convex one"
EXPECTED = "expected, as the nuclear norm is for several outputs; not proved"
COLUMNS = (
    Column("data", "data"),
    Column("network", "network"),
    Column("channels", "C"),
    Column("cost", "‖w‖² at margin 1", format=".8g"),
    Column(
        "optimum",
        "2‖M*‖_*",
        format=".8g",
        about="The certified optimum of the convex problem above, where there is one.",
    ),
    Column("excess", "excess", format=".1e", about="‖w‖²/2‖M*‖_* − 1 where the integration ended."),
    Column("kkt", "KKT residual", format=".1e", about="Polished: ‖w − Σ λₙ∇mₙ‖/‖w‖ in weight space."),
    Column("theory", "KKT point", format="verdict"),
)


class PooledCNN(nn.Module):
    """f above; U (C, K) and V (C, D/s)."""

    def __init__(self, D: int, kernel: int, pool: int, channels: int, *, scale: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def drawn(*size: int) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(*size, generator=generator, dtype=torch.float64))

        self.U, self.V, self.kernel, self.pool = drawn(channels, kernel), drawn(channels, D // pool), kernel, pool

    def forward(self, X: Tensor) -> Tensor:
        """f(x_n), (N,)."""
        outputs: Tensor = torch.einsum("nkj,ck,cj->n", pooled_inputs(X, self.kernel, self.pool), self.U, self.V)
        return outputs


class MaxPooledCNN(PooledCNN):
    """The same weights with the largest of the s values of each window, in place of their mean."""

    def forward(self, X: Tensor) -> Tensor:
        """f(x_n), (N,)."""
        hidden = torch.einsum("nkd,ck->ncd", pooled_inputs(X, self.kernel, 1), self.U)
        largest = torch.unflatten(hidden, -1, (hidden.shape[-1] // self.pool, self.pool)).amax(-1)
        outputs: Tensor = (largest * self.V).sum((1, 2))
        return outputs


class ThreeLayerCNN(nn.Module):
    """Two convolutions with C channels, then a linear layer: kernels (C, K) and (C, C, K), outputs (C, D)."""

    def __init__(self, D: int, kernel: int, channels: int, *, scale: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def drawn(*size: int) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(*size, generator=generator, dtype=torch.float64))

        self.first, self.second = drawn(channels, kernel), drawn(channels, channels, kernel)
        self.V, self.kernel = drawn(channels, D), kernel

    def forward(self, X: Tensor) -> Tensor:
        """f(x_n), (N,)."""
        hidden = torch.einsum("nkd,ck->ncd", pooled_inputs(X, self.kernel, 1), self.first)
        hidden = torch.einsum("nckd,eck->ned", pooled_inputs(hidden, self.kernel, 1), self.second)
        outputs: Tensor = (hidden * self.V).sum((1, 2))
        return outputs


def pooled_inputs(X: Tensor, kernel: int, pool: int) -> Tensor:
    """B(x) for every signal in X (…, D): (…, K, D/s)."""
    D = X.shape[-1]
    shifts = torch.stack([torch.roll(X, -k, -1) for k in range(kernel)], -2) / math.sqrt(D)
    means: Tensor = torch.unflatten(shifts, -1, (D // pool, pool)).mean(-1)
    return means


@dataclass(frozen=True)
class PooledLimit:
    """One network's limit, with the optimum of (1) where there is one."""

    signals: Signals
    name: str
    channels: int
    model: nn.Module = field(repr=False)
    limit: Limit = field(repr=False)
    optimum: Solution | None = field(repr=False)

    @property
    def excess(self) -> Evidence:
        """‖w‖² at margin one over the certified optimum, less one, where the integration ended."""
        assert self.optimum is not None
        now, at = self.limit.integrated.margin, place_before(self.limit)
        figure = abs(1.0 / now / (2.0 * self.optimum.objective) - 1.0) if now > 0 else math.inf
        if at is None or grows(self.limit):
            return Evidence(figure, math.inf)
        then = float(self.limit.path.margins[at].min())
        turning = self.limit.integrated.turned / max(self.limit.log_norm, 1.0)
        return Evidence(figure, LEFT * (abs(now / then - 1.0) + turning))


def average_pooling(signals: Signals, kernel: int, pool: int, channels: int, seed: int) -> PooledLimit:
    """The network with average pooling, and the optimum of (1)."""
    X, y = signals.X, signals.y
    model = PooledCNN(X.shape[1], kernel, pool, channels, seed=seed)
    optimum = max_margin(seen_by_weights(signals, kernel, pool), y, Schatten(1.0))
    name = f"average pooling {pool}, K={kernel}"
    return PooledLimit(signals, name, channels, model, flow_limit(model, X, y), optimum)


def seen_by_weights(signals: Signals, kernel: int, pool: int) -> Array:
    """B(x_n), (N, K, D/s)."""
    return np.asarray(pooled_inputs(torch.as_tensor(signals.X), kernel, pool))


def max_pooling(signals: Signals, kernel: int, pool: int, channels: int, seed: int) -> PooledLimit:
    """The network with max pooling, from the same weights."""
    model = MaxPooledCNN(signals.X.shape[1], kernel, pool, channels, seed=seed)
    limit = flow_limit(model, signals.X, signals.y)
    return PooledLimit(signals, f"max pooling {pool}, K={kernel}", channels, model, limit, None)


def three_layers(signals: Signals, kernel: int, channels: int, seed: int) -> PooledLimit:
    """Three layers without pooling."""
    model = ThreeLayerCNN(signals.X.shape[1], kernel, channels, seed=seed)
    limit = flow_limit(model, signals.X, signals.y)
    return PooledLimit(signals, f"three layers, K={kernel}", channels, model, limit, None)


def pooled_limits(signals: Signals, kernel: int, pool: int, channels: int, seed: int) -> list[PooledLimit]:
    """Average and max pooling, and three layers without pooling."""
    pooled = [each(signals, kernel, pool, channels, seed) for each in (average_pooling, max_pooling)]
    return [*pooled, three_layers(signals, kernel, channels, seed)]


def checks_of(found: PooledLimit) -> list[Check]:
    """KKT points; and the optimum of (1)."""
    data, label = found.signals, f"{found.name}, C={found.channels}, {found.signals.name}"
    kind = "depth 3" if isinstance(found.model, ThreeLayerCNN) else "pooling"
    statement = f"{kind}: {label}: the flow ends at a KKT point"
    checks = [kkt_check(statement, found.limit, found.model, data.X, data.y, KKT)]
    return checks if found.optimum is None else [*checks, optimum_check(found)]


def optimum_check(found: PooledLimit) -> Check:
    """That the flow ends at the optimum of (1)."""
    assert found.optimum is not None
    label = f"{found.name}, C={found.channels}, {found.signals.name}"
    statement = f"pooling: {label}: the flow ends at the nuclear-norm max margin"
    if found.channels < min(found.optimum.beta.shape):
        return Check.no_prediction(statement, found.excess.figure, why=FEW)
    return Check.of(statement, found.excess, RESOLUTION, reason=EXPECTED)


def row(found: PooledLimit) -> dict[str, Value]:
    """One line of the table."""
    optimum = None if found.optimum is None else 2.0 * found.optimum.objective
    return {
        "data": found.signals.name,
        "network": found.name,
        "channels": found.channels,
        "cost": found.limit.norm_at_unit_margin**2,
        "optimum": optimum,
        "excess": None if found.optimum is None else found.excess.figure,
        "kkt": kkt_residual(found.limit),
        "theory": checks_of(found)[0].verdict.value,
    }


def pooling_section(found: list[PooledLimit]) -> Section:
    """The table and its predictions."""
    text = (
        "A network with average pooling between its layers is bilinear in its weights, so its representation cost is "
        "twice the nuclear norm of M = Σ u_c v_cᵀ and the max margin is convex:\n\n"
        "    min 2‖M‖_*   s.t.   yₙ⟨B(xₙ), M⟩ ≥ 1,   B(x)[k, j] = s⁻¹ Σ_{i<s} D^(−1/2) x[j s + i + k]\n\n"
        "Of max pooling, and of three layers with narrow kernels, no such form is known: their limits must be KKT "
        "points in weight space. What max pooling costs stands beside what average pooling does, from the same weights."
    )
    checks = [check for one in found for check in checks_of(one)]
    return Section("Pooling and three layers", text, COLUMNS, [row(one) for one in found], checks)
