"""Wrong limits of the flow of a linear predictor: another split, direction, finite part or rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compare.data.dataset import Dataset
from compare.experiments.path import PathComparison
from compare.margin.decayed_descent import NORMS, decay_check, decayed, least_log_loss
from compare.margin.two_paths import TwoPaths, measure, of_split, rates
from compare.margin.two_paths_report import THEOREM, direction_check, finite_part_check
from compare.mutants.trial import Mutant, Trial
from compare.reports.report import Check
from solvers.algorithms.finite_minimum import finite_minimum
from solvers.logistic_limit import logistic_limit
from solvers.margin_losses import LogisticLoss
from solvers.max_margin import max_margin
from solvers.regularizers import L2, Bridge


def path_trial(dataset: Dataset) -> Trial:
    """One flow, and descent with decay: the splits, directions, rates and balls that are predicted, and wrong ones."""
    paths = measure(dataset, PathComparison(dataset, steps=50))
    offset = [] if paths.limit.separable.all() else of_offset(paths)
    return Trial(
        "linear flow",
        dataset.name,
        (*of_rows(paths), *of_max_margin(paths), *offset, *of_rates(paths), *of_decay(dataset)),
    )


def of_decay(dataset: Dataset, decay: float = 1.0) -> list[Mutant]:
    """Descent with decoupled decay: a ball of twice the radius, and one of another norm."""
    found = []
    for run in (run for run in decayed(dataset, "logistic", decay, 1000) if run.decayed.proved):
        least, gap = least_log_loss(dataset, "logistic", run.norm, 1.0 / decay)
        found.append(Mutant(f"{run.name}: its ball", decay_check(run, least, gap)))
        others = {f"the ball of {norm.formula}": (norm, 1.0) for norm in NORMS if norm != run.norm}
        for claim, (norm, factor) in ({"twice the radius": (run.norm, 2.0)} | others).items():
            other, gap = least_log_loss(dataset, "logistic", norm, factor / decay)
            apart = abs(float(np.expm1(other - least)))
            found.append(Mutant(f"{run.name}: {claim}", decay_check(run, other, gap), apart))
    return found


def of_rows(paths: TwoPaths) -> list[Mutant]:
    """All rows, none, and one row more."""
    S = paths.limit.separable
    more = S.copy()
    more.flat[int(np.argmin(S))] = True
    wrong = {"every margin grows": np.ones_like(S), "no margin grows": np.zeros_like(S), "one margin more grows": more}

    def check(claim: str, separable: NDArray[np.bool_]) -> Check:
        return Check.of(claim, of_split(paths, separable), 0.0, reference=THEOREM)

    right = Mutant("its split", check("the split", S))
    mutants = [
        Mutant(claim, check(claim, other), float((other != S).sum()))
        for claim, other in wrong.items()
        if (other != S).any()
    ]
    return [right, *mutants]


def of_max_margin(paths: TwoPaths) -> list[Mutant]:
    """The separable rows without their projection, the ℓ1 max margin, and twice the direction."""
    S, right = paths.limit.separable, paths.limit.direction
    rows, labels = paths.dataset.X[S], paths.dataset.y[S]
    wrong = {
        "the max margin of the separable rows as they are": max_margin(rows, labels, L2()).beta,
        "their ℓ1 max margin": max_margin(rows, labels, Bridge(1)).beta,
        "twice the max margin": 2.0 * right,
    }
    mutants = [
        Mutant(claim, direction_check(paths, other), float(np.linalg.norm(other - right) / np.linalg.norm(other)))
        for claim, other in wrong.items()
    ]
    return [Mutant("its max margin", direction_check(paths, right)), *mutants]


def of_offset(paths: TwoPaths) -> list[Mutant]:
    """The other loss, the loss of all rows, and no finite part."""
    limit = paths.limit
    other = logistic_limit(paths.dataset.X, paths.dataset.y, loss="exponential").finite_part
    basis = limit.subspace
    every = finite_minimum((paths.dataset.y[:, None] * paths.dataset.X) @ basis.T, LogisticLoss()).c @ basis
    wrong = {"of the exponential loss": other, "of the loss of all rows": every, "zero": np.zeros_like(other)}
    mutants = [
        Mutant(
            claim, finite_part_check(paths, replace(limit, finite_part=v)), float(np.linalg.norm(v - limit.finite_part))
        )
        for claim, v in wrong.items()
    ]
    return [Mutant("its finite part", finite_part_check(paths, limit)), *mutants]


def of_rates(paths: TwoPaths) -> list[Mutant]:
    """Every fitted rate with its proved exponent, and with one power more than what is measured."""
    found = []
    for rate in (rate for rate in rates(paths) if rate.followed):
        faster = replace(rate, proved=float(np.ceil(rate.exponent - 0.1)) + 1.0, says="one power more")
        found.append(Mutant(f"{rate.name}: {rate.says}", rate.check))
        found.append(Mutant(f"{rate.name}: one power more", faster.check, 1.0))
    return found
