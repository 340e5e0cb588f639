"""From the kernel regime to the rich one: diagonal networks of depth 2 and 3 at every initial scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from compare.regression.interpolants import Reached, distance, interpolant_check, reached
from compare.regression.regression_data import RegressionData
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Check, Column, Figure, Section
from compare.reports.tables import table_of
from gd.flow.flow_limit import flow_limit
from gd.networks.linear import Diagonal
from solvers.arrays import Array
from solvers.interpolation.min_norm import Interpolation, min_norm
from solvers.regularizers import L2, Bridge

WOODWORTH = "Woodworth et al. (2020)"
DEEP = "Woodworth et al. (2020), for any start: dwⱼ/dG = Π_{k≠j} w_k"
CURVE = 25
"""Scales at which the exact curve is computed."""


@dataclass(frozen=True)
class Regime:
    """One network from one start."""

    depth: int
    start: str
    alpha: float | None
    """The initial scale; None for a Gaussian start."""
    network: Reached
    predicted: Interpolation = field(repr=False)
    check: Check


@dataclass(frozen=True)
class Extremes:
    """The answers of the two ends: least ℓ1 and least ℓ2."""

    l1: Interpolation
    l2: Interpolation

    @classmethod
    def of(cls, data: RegressionData) -> Extremes:
        """Both, certified."""
        return cls(min_norm(data.X, data.y, Bridge(1.0)), min_norm(data.X, data.y, L2()))

    def excess(self, beta: Array) -> tuple[float, float]:
        """‖β‖₁ and ‖β‖₂ over their least values, less one."""
        return (
            float(np.abs(beta).sum()) / self.l1.objective - 1.0,
            float(np.linalg.norm(beta)) / self.l2.objective - 1.0,
        )


def unbiased(D: int, depth: int, alpha: float) -> Diagonal:
    """The diagonal network with every coefficient alike: w_1 = … = w_{L−1} = α, w_L = 0, so that β = 0."""
    network = Diagonal(D, depth)
    with torch.no_grad():
        for layer in network.weights:
            layer.fill_(alpha)
        network.weights[-1].zero_()
    return network


def regimes(data: RegressionData, depth: int, alphas: Sequence[float], seed: int) -> list[Regime]:
    """Every α from equal coefficients, and one start of independent Gaussian weights."""
    D = data.X.shape[1]
    networks = [unbiased(D, depth, alpha) for alpha in alphas] + [Diagonal(D, depth, scale=0.5, seed=seed)]
    limit = flow_limit(networks, data.X, data.y, loss="squared")
    found = []
    for k, predicted in enumerate(limit.prediction):
        alpha = alphas[k] if k < len(alphas) else None
        start = "N(0, ¼)" if alpha is None else f"α = {alpha:g}"
        network = reached(f"diagonal, L={depth}, {start}", limit, k)
        if predicted is None:
            raise ValueError(f"{data.name}: no predictor fits these data from the start {start}")
        reference = WOODWORTH if depth == 2 else DEEP
        check = interpolant_check(network, "the least potential of its start that fits", predicted, reference=reference)
        found.append(Regime(depth, start, alpha, network, predicted, check))
    return found


def scale_section(data: RegressionData, depth: int, found: Sequence[Regime], ends: Extremes) -> Section:
    """The table of one depth, its checks, and the exact curve with the networks on it."""
    text = (
        f"Gradient flow of ½‖Xβ − y‖² on β = w₁ ⊙ … ⊙ w_{depth}, from w_1 = … = α and w_{depth} = 0 in every "
        "coefficient, and once from Gaussian weights. The limit is the least potential R of its start that fits: near "
        "the least ℓ2 norm for large α, near the least ℓ1 norm for small α"
        + (
            "."
            if depth == 2
            else f". (ℓ1, and no ℓ_p with p = 2/{depth}; and only because every coefficient starts alike. From other "
            "starts it tends to an ℓ1 norm with weights that the shape of the start fixes.)"
        )
    )
    columns, rows = table_of(
        found,
        (Column("start", "start"), lambda r: r.start),
        (Column("l1", "‖β‖₁/min − 1", format=".3g"), lambda r: ends.excess(r.network.predictor)[0]),
        (Column("l2", "‖β‖₂/min − 1", format=".3g"), lambda r: ends.excess(r.network.predictor)[1]),
        (
            Column("distance", "to the prediction", format=".1e", about="‖β − β*‖₂/‖β*‖₂."),
            lambda r: distance(r.network.predictor, r.predicted.beta),
        ),
        (
            Column("error", "uncertainty", format=".1e", about="Of β, from the integration alone, relative."),
            lambda r: r.network.error,
        ),
        (
            Column("gap", "Fenchel gap", format=".1e", about="Of the prediction, relative."),
            lambda r: abs(r.predicted.gap),
        ),
        (Column("verdict", "theory", format="verdict"), lambda r: r.check.verdict),
    )
    title = f"{data.name}: kernel to rich, depth {depth}"
    return Section(title, text, columns, rows, [r.check for r in found], (curve_figure(data, depth, found, ends),))


def curve_figure(data: RegressionData, depth: int, found: Sequence[Regime], ends: Extremes) -> Figure:
    """The exact excess of ℓ1 and ℓ2 over their least values against α, and the networks."""
    scaled = [(r.alpha, r) for r in found if r.alpha is not None]
    alphas = np.array([alpha for alpha, _ in scaled])
    grid = np.geomspace(alphas.min(), alphas.max(), CURVE) if alphas.size > 1 else alphas
    potentials = [unbiased(data.X.shape[1], depth, float(alpha)).potential for alpha in grid]
    exact = [ends.excess(min_norm(data.X, data.y, R).beta) for R in potentials if R is not None]
    measured = np.array([ends.excess(r.network.predictor) for _, r in scaled])
    error = np.sqrt(data.X.shape[1]) * np.array([r.network.error for _, r in scaled])  # of either norm, relative
    curves = []
    for k, norm in enumerate(("ℓ1", "ℓ2")):
        name = f"excess of {norm}"
        curves.append(Curve(norm, grid, [e[k] for e in exact], "-", k, ("alpha", f"{name}, exact")))
        above = measured[:, k]
        for values, style, which in ((above, "o", "networks"), (error, "v", "networks, at most")):
            shown = np.where((above > error) == (style == "o"), values, np.nan)
            curves.append(Curve("", alphas, shown, style, k, ("alpha, networks", f"{name}, {which}")))
    caption = (
        f"‖β‖/min − 1 in both norms, depth {depth}: the exact curve, and networks (dots; triangles: at most this, by "
        "the accuracy of the integration)."
    )
    return curve_plot(f"kernel-rich-depth-{depth}", caption, curves, ("α", "‖β‖/min − 1"), log="xy")
