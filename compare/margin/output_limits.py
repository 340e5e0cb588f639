"""Several outputs: fully connected linear networks and the Schatten quasi-norms of the matrix they compute.

With labels y ∈ {±1}^{N×M} and loss Σ exp(−y_nm f_m(x_n)) a network of depth L computes f(x) = βx, β ∈ R^{M×D}, and
min ‖w‖² = L·‖β‖_{2/L}^{2/L} in the Schatten quasi-norm of its singular values: Frobenius at L = 1, nuclear at L = 2. At
L = 1 the limit is the max margin by the theorem on linear predictors. For L ≥ 2 that gradient descent ends at the max
margin (a stationary point, L > 2) of that norm is conjectured, not proved; proved is that the limit is a KKT point in
weight space. Both are measured; only what is proved is called a prediction.

    Reference: Gunasekar et al. (2018), discussion; Lyu and Li (2020), Theorem 4.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare.data.labels import signs
from compare.data.load import Dataset, standardized
from compare.margin.evidence import ANGLE_RESOLUTION, RESOLUTION, of_angle, of_kkt, of_optimum
from compare.margin.margin_predictions import kkt_residual
from compare.measures import angle
from compare.reports.report import Check, Column, Report, Section, Value, Verdict
from compare.reports.wording import counted
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.networks.linear import FullyConnected
from solvers.arrays import Array
from solvers.max_margin import max_margin
from solvers.regularizers import Schatten
from solvers.solution import Solution
from solvers.validation import check_problem

if TYPE_CHECKING:
    from compare.experiments.outputs import OutputsComparison


CONJECTURED = "conjectured in the discussion of Gunasekar et al. (2018), not proved"
KKT = "Lyu and Li (2020), Theorem 4.4"
COLUMNS = (
    Column("depth", "L"),
    Column("norm", "R(β)"),
    Column("seed", "seed"),
    Column("kkt", "KKT residual", format=".2g", about="Polished: ‖w − Σ λ∇m‖/‖w‖ in weight space, at unit margin."),
    Column(
        "gap", "duality gap", format=".2g", about="Of min R(β) s.t. y_{nm}⟨x_n, β_m⟩ ≥ 1, where R is a norm (L ≤ 2)."
    ),
    Column("stationarity", "stationarity", format=".2g", about="Distance of Aᵀα from a subgradient of R, relative."),
    Column("angle", "angle to β*", unit="rad", format=".2g", about="To the solver's answer (conic at L = 2)."),
    Column("rank", "rank", about="Singular values of the limit above 10⁻⁶ of the largest."),
    Column(
        "theory", "theory", format="verdict", about="L = 1: the Frobenius max margin; L ≥ 2: a KKT point of min ‖w‖."
    ),
)


@dataclass(frozen=True)
class OutputsLimit:
    """One network's limit and the solver's matrix."""

    depth: int
    seed: int
    model: FullyConnected = field(repr=False)
    limit: Limit = field(repr=False)
    solution: Solution | None = field(repr=False)
    """None for L > 2."""

    @property
    def angle(self) -> float | None:
        """Radians to the solver's matrix."""
        β = self.limit.integrated.predictor
        return None if self.solution is None or β is None else angle(β, self.solution.beta)


def wine() -> tuple[Dataset, Array]:
    """All three cultivars of wine, standardized, with a column of ones; y_nm = +1 where row n is of class m.

    Each class can be separated from the rest.
    """
    from sklearn.datasets import load_wine

    table = load_wine()
    labels = np.where(table.target[:, None] == np.unique(table.target), 1.0, -1.0)
    data = standardized(Dataset("wine", np.asarray(table.data, dtype=np.float64), labels[:, 0], ("rest", "one")))
    X = np.column_stack([data.X, np.ones(len(data.X))])
    return Dataset(f"{data.name}, with a column of ones, each class against the rest", X, data.y, data.classes), labels


def planted(N: int, D: int, M: int, seed: int) -> tuple[Dataset, Array]:
    """N Gaussian points, labels sign(⟨x_n, b_m⟩) of M Gaussian predictors: separable by construction."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D))
    labels = np.where(X @ rng.standard_normal((D, M)) > 0, 1.0, -1.0)
    return Dataset(f"synthetic:{N},{D},{seed} with {M} outputs", X, labels[:, 0], ("below", "above")), labels


def planted_classes(N: int, D: int, K: int, seed: int) -> Dataset:
    """N Gaussian points in the classes of largest ⟨x_n, b_k⟩, of K Gaussian predictors: separable by construction."""
    rng = np.random.default_rng(seed)
    X, predictors = rng.standard_normal((N, D)), rng.standard_normal((D, K))
    y, names = signs((X @ predictors).argmax(axis=1), "y")
    return Dataset(f"synthetic:{N},{D},{seed} of {K} classes", X, y, names)


def output_report(asked: OutputsComparison) -> Report:
    """Limits of fully connected networks with M outputs, and the Schatten max margin."""
    (dataset, labels), seeds = asked.dataset(), tuple(asked.seeds)
    parts = [(f"L={depth}", partial(ends, dataset.X, labels, depth, seeds, asked.init)) for depth in asked.depths]
    whole = replace(dataset, y=labels)
    return asked.report_of_parts(parts, "Outputs", lambda found: [section(found, whole)], whole, seeds=seeds)


def ends(X: Array, labels: Array, depth: int, seeds: Sequence[int], scale: float) -> list[OutputsLimit]:
    """One depth, a batch of seeds."""
    D, M = X.shape[1], labels.shape[1]
    models = [FullyConnected(D, depth, outputs=M, scale=scale, seed=seed) for seed in seeds]
    limits = flow_limit(models, X, labels)
    solution = max_margin(X, labels, Schatten(2.0 / depth), tol=1e-7) if depth <= 2 else None
    trained = zip(seeds, models, limits, strict=True)
    return [OutputsLimit(depth, seed, model, limit, solution) for seed, model, limit in trained]


def section(found: Sequence[OutputsLimit], dataset: Dataset) -> Section:
    """The table and its predictions."""
    (N, D), M = dataset.X.shape, dataset.y.shape[1]
    text = (
        f"{counted(N, 'point')} in {counted(D, 'dimension')}, {counted(M, 'output')}, {counted(N * M, 'constraint')}. "
        "Each limit is compared with\n\n"
        "    min ‖β‖_p (Schatten)   s.t.   y_{nm} ⟨x_n, β_m⟩ ≥ 1   for every n and m,   p = 2/L."
    )
    checks = [check for end in found for check in end_checks(end, dataset)]
    return Section(f"{dataset.name}: several outputs", text, COLUMNS, [row(end, dataset) for end in found], checks)


def norm_name(depth: int) -> str:
    """The Schatten (quasi-)norm of depth L in words."""
    return {1: "Frobenius", 2: "nuclear"}.get(depth, f"Schatten-2/{depth}")


def end_checks(end: OutputsLimit, dataset: Dataset) -> list[Check]:
    """What is proved, and what is conjectured."""
    subject = f"fully connected, L={end.depth}, seed {end.seed}"
    reason = "" if end.limit.status.converged else str(end.limit.status)
    if end.depth == 1 and end.solution is not None:
        statement = f"{subject}: the flow ends at the Frobenius max margin"
        reference, norm = "Soudry et al. (2018)", Schatten(2.0)
        excess = of_optimum(end.limit, check_problem(dataset.X, dataset.y, norm), end.solution, norm)
        found = of_angle(end.limit, end.solution, excess)
        return [Check.of(statement, found, ANGLE_RESOLUTION, unit="rad", reference=reference, reason=reason)]
    statement = f"{subject}: the flow ends at a KKT point of min ‖w‖"
    found = of_kkt(end.limit, end.model, dataset.X, dataset.y)
    checks = [Check.of(statement, found, RESOLUTION, reference=KKT, reason=reason)]
    certificate = end.limit.certificate
    if certificate is not None and certificate.direction_gap is not None:
        statement = f"{subject}: duality gap of the polished limit in the {norm_name(end.depth)} norm"
        checks.append(Check.no_prediction(statement, certificate.direction_gap, why=CONJECTURED))
    elif certificate is not None:
        statement = f"{subject}: stationarity of the polished limit in the {norm_name(end.depth)} quasi-norm"
        checks.append(Check.no_prediction(statement, certificate.stationarity, why=CONJECTURED))
    return checks


def row(end: OutputsLimit, dataset: Dataset) -> dict[str, Value]:
    """One line of the table."""
    certificate, β = end.limit.certificate, end.limit.predictor
    singular = np.zeros(1) if β is None else np.linalg.svd(β, compute_uv=False)
    return {
        "depth": end.depth,
        "norm": norm_name(end.depth) + ", a conjecture, not judged here" * (end.depth > 1),
        "seed": end.seed,
        "kkt": kkt_residual(end.limit),
        "gap": None if certificate is None else certificate.direction_gap,
        "stationarity": math.nan if certificate is None else certificate.stationarity,
        "angle": end.angle,
        "rank": None if β is None else int((singular > 1e-6 * singular[0]).sum()),
        "theory": Verdict.of_all(check.verdict for check in end_checks(end, dataset)),
    }
