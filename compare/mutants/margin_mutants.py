"""Wrong regularizers for linear networks: another norm, another depth's exponent, another transform.

The network is trained once; every prediction about its limit goes through `compare.margin.margin_predictions`, which
does not know which of them is right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compare.data.dataset import Dataset
from compare.experiments.margin import MarginComparison
from compare.margin.architectures import ARCHITECTURES
from compare.margin.families import Family, family
from compare.margin.flow_and_solution import FlowAndSolution, measure_family
from compare.margin.margin_predictions import run_checks
from compare.measures import angle
from compare.mutants.trial import Mutant, Trial
from solvers.arrays import Array
from solvers.conic import cvxpy_library
from solvers.max_margin import certify, max_margin
from solvers.problem import MarginProblem
from solvers.regularizers import L2, Bridge, FourierBridge, Norm, Regularizer, Schatten
from solvers.search import Search
from solvers.solution import Candidate, NotSeparableError, Solution
from solvers.validation import check_problem


@dataclass(frozen=True)
class Hartley(Norm):
    """‖Hβ‖₁ with the unitary Hartley transform (Hβ)[d] = D^{−1/2} Σ_p β[p] (cos + sin)(2πpd/D).

    It has the frequencies of the Fourier transform and is not its ℓ1 norm: |β̂[d]| mixes (Hβ)[d] and (Hβ)[−d].
    """

    @property
    def formula(self) -> str:
        return "‖Hartley β‖₁"

    def coefficients(self, beta: Array) -> Array:
        return hartley(beta.size) @ beta.ravel()

    def value(self, beta: Array) -> float:
        return float(np.abs(self.coefficients(beta)).sum())

    def dual_norm(self, z: Array) -> float:
        return float(np.abs(self.coefficients(z)).max())

    def conic(self, beta: Any) -> Any:
        cp = cvxpy_library()
        return cp.norm1(hartley(beta.size) @ cp.vec(beta, order="C"))

    def minimize(self, problem: MarginProblem, search: Search) -> Candidate:
        """The ℓ1 max margin of the transformed points: H is symmetric and orthogonal."""
        H = hartley(int(np.prod(problem.shape)))
        found = max_margin(problem.points @ H, problem.labels, Bridge(1.0), tol=search.tol)
        return Candidate((H @ found.beta).reshape(problem.shape), found.dual)


def hartley(D: int) -> Array:
    """The D × D matrix of the unitary Hartley transform, symmetric and orthogonal."""
    turn = 2.0 * np.pi * np.outer(np.arange(D), np.arange(D)) / D
    return np.asarray((np.cos(turn) + np.sin(turn)) / np.sqrt(D))


@dataclass(frozen=True)
class Flattened(Norm):
    """‖β̂‖₁ with the one-dimensional transform of an image's rows laid end to end, in place of the two-dimensional."""

    @property
    def formula(self) -> str:
        return "‖1-D β̂‖₁"

    def value(self, beta: Array) -> float:
        return FourierBridge(1.0).value(beta.ravel())

    def dual_norm(self, z: Array) -> float:
        return FourierBridge(1.0).dual_norm(z.ravel())

    def conic(self, beta: Any) -> Any:
        cp = cvxpy_library()
        return FourierBridge(1.0).conic(cp.vec(beta, order="C"))

    def minimize(self, problem: MarginProblem, search: Search) -> Candidate:
        found = max_margin(problem.points, problem.labels, FourierBridge(1.0), tol=search.tol)
        return Candidate(found.beta.reshape(problem.shape), found.dual)


WRONG: dict[tuple[str, int], tuple[Regularizer, ...]] = {
    ("fully connected", 1): (Bridge(1.0), FourierBridge(1.0), Hartley()),
    ("fully connected", 2): (Bridge(1.0), FourierBridge(1.0), Hartley()),
    ("fully connected", 3): (Bridge(1.0), FourierBridge(1.0), Bridge(2.0 / 3.0)),
    ("diagonal", 2): (L2(), FourierBridge(1.0), Bridge(2.0 / 3.0), Hartley()),
    ("diagonal", 3): (Bridge(1.0), Bridge(0.5), FourierBridge(2.0 / 3.0)),
    ("diagonal", 4): (Bridge(1.0), Bridge(2.0 / 3.0), FourierBridge(0.5)),
    ("convolutional", 2): (L2(), Bridge(1.0), FourierBridge(2.0 / 3.0), Hartley()),
    ("convolutional", 3): (FourierBridge(1.0), FourierBridge(0.5), Bridge(2.0 / 3.0)),
    ("convolutional 2-D", 2): (L2(), Bridge(1.0), Flattened()),
    ("convolutional 2-D", 3): (FourierBridge(1.0), FourierBridge(0.5), Bridge(2.0 / 3.0)),
}
"""By architecture and depth: the ℓ2 norm of depth 1, exponents of neighbouring depths, norms of other architectures.
Another depth's ℓ2 is no mutant of a fully connected network, nor is a sign in the transform: |β̂| stays what it is."""


WRONG_OF_CLASSES: dict[tuple[str, int], tuple[Regularizer, ...]] = {
    ("fully connected", 1): (Schatten(1.0), Schatten(np.inf), Bridge(1.0), FourierBridge(1.0, rows=True)),
    ("fully connected", 2): (L2(), Bridge(1.0), Schatten(np.inf)),
    ("diagonal", 2): (L2(), Schatten(1.0), FourierBridge(1.0, rows=True), Bridge(2.0 / 3.0)),
    ("diagonal", 3): (Bridge(1.0), Bridge(0.5), FourierBridge(2.0 / 3.0, rows=True)),
    ("convolutional", 2): (L2(), Bridge(1.0), Schatten(1.0), FourierBridge(2.0 / 3.0, rows=True)),
    ("convolutional", 3): (FourierBridge(1.0, rows=True), Bridge(2.0 / 3.0)),
}
"""The same for networks of several classes: norms of the matrix β."""


def margin_trial(dataset: Dataset, name: str, depth: int, seed: int, init: float) -> Trial:
    """One network on one data set, the right prediction and the wrong ones."""
    row = replace(ARCHITECTURES[name], outputs=dataset.outputs)
    trained = family(row, depth, (seed,), init, dataset.X, dataset.image_shape)
    (run,) = measure_family(trained, dataset.y, MarginComparison(dataset, steps=10))
    table = WRONG if dataset.outputs == 1 else WRONG_OF_CLASSES
    wrong = [mutant(run, regularizer) for regularizer in table[name, depth]]
    wrong += tasks_mutants(run) if dataset.outputs > 1 and depth == 1 else []
    return Trial(trained.label, dataset.name, (Mutant(trained.formula, run_checks(run)[0]), *wrong))


def mutant(run: FlowAndSolution, regularizer: Regularizer) -> Mutant:
    """The same run with another regularizer claimed for its network."""
    claimed: Family = replace(run.family, row=replace(run.family.row, claimed=regularizer))
    solution = max_margin(claimed.X, run.y, regularizer) if regularizer.is_norm else None
    check = run_checks(replace(run, family=claimed, solution=solution, best=solution))[0]
    return Mutant(regularizer.formula, check, apart=apart(run, regularizer, solution))


def tasks_mutants(run: FlowAndSolution) -> list[Mutant]:
    """The right norm and wrong constraints: every class against the rest, K tasks of their own, where they separate."""
    assert run.solution is not None
    assert run.family.regularizer is not None
    labels = np.where(run.y[:, None] == np.unique(run.y), 1.0, -1.0)
    R = run.family.regularizer
    try:
        tasks = max_margin(run.family.X, labels, R)
    except NotSeparableError:
        return []
    margin = float(check_problem(run.family.X, run.y, R).margins(tasks.beta).min())
    claimed = replace(run.solution, beta=tasks.beta / margin, objective=tasks.objective / margin)
    check = run_checks(replace(run, solution=claimed, best=claimed))[0]
    return [Mutant("each class against the rest", check, apart=angle(run.solution.beta, tasks.beta))]


def apart(run: FlowAndSolution, regularizer: Regularizer, wrong: Solution | None) -> float:
    """How far the right answer is from being the wrong problem's, in the unit of the wrong one's check.

    Of a norm with one minimizer: the angle between the two certified minimizers. Of another norm: R(β)/lower bound − 1
    at the right β. Of a quasi-norm: how far Aᵀα, α the right multipliers, is from a subgradient of R at the right β.
    Where the right problem has several answers (or p < 1) the polished, certified limit is the right one.
    """
    unique = run.convex and run.solution is not None and bool(run.solution.unique)
    β, dual = run.limit.predictor, run.limit.dual
    if unique and run.solution is not None:
        β, dual = run.solution.beta, run.solution.dual
    assert β is not None
    if wrong is None:
        return certify(run.family.X, run.y, β, regularizer, dual=dual).stationarity
    if wrong.unique:
        return angle(β, wrong.beta)
    return regularizer.value(β) / wrong.lower_bound - 1.0
