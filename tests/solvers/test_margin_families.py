"""Certificates over families of data and all regularizers, every answer certified again from outside the package."""

from collections.abc import Callable

import numpy as np
import pytest

from solvers import L2, Bridge, BridgeSolution, FourierBridge, Regularizer, Status, certify, max_margin

Array = np.ndarray
REGULARIZERS: list[Regularizer] = [L2(), Bridge(1), FourierBridge(1), Bridge(2 / 3), FourierBridge(0.5)]


def gaussian(rng: np.random.Generator) -> Array:
    return rng.standard_normal((17, 40))


def heavy_tails(rng: np.random.Generator) -> Array:
    return rng.standard_t(1.5, (20, 33))


def counts(rng: np.random.Generator) -> Array:
    return rng.integers(0, 3, (12, 21)).astype(float) + np.eye(12, 21)


def rank_three(rng: np.random.Generator) -> Array:
    return rng.standard_normal((25, 3)) @ rng.standard_normal((3, 30))


def waves(rng: np.random.Generator) -> Array:
    frequency, phase = rng.integers(0, 16, (14, 1)), 6 * rng.random((14, 1))
    return np.cos(2 * np.pi * frequency * np.arange(32) / 32 + phase)


def signs(rng: np.random.Generator) -> Array:
    return rng.choice([-1.0, 1.0], (15, 27))


def random_walks(rng: np.random.Generator) -> Array:
    return np.cumsum(rng.standard_normal((18, 50)), axis=1)


def planted_duplicates(rng: np.random.Generator) -> Array:
    return np.repeat(rng.standard_normal((7, 18)), 3, axis=0)


FAMILIES = [gaussian, heavy_tails, counts, rank_three, waves, signs, random_walks, planted_duplicates]


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_family(family: Callable[[np.random.Generator], Array], regularizer: Regularizer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = family(rng)
    y = np.sign(X @ rng.standard_normal(X.shape[1]))
    options = {} if regularizer.is_norm else {"n_starts": 2}
    solution = max_margin(X, y, regularizer, **options)
    assert solution.status is (Status.OPTIMAL if regularizer.is_norm else Status.STATIONARY)
    assert solution.certificate.worst <= 1e-9
    margins = y * (X @ solution.beta)
    assert margins.min() == pytest.approx(1, abs=1e-9)
    assert solution.objective == pytest.approx(regularizer.value(solution.beta), rel=1e-15)
    if regularizer.is_norm:
        z = X.T @ (solution.dual * y)
        assert solution.unique is not None
        assert regularizer.dual_norm(z) <= 1 + 1e-9
        assert solution.dual.sum() >= solution.objective * (1 - 1e-9)
    else:
        assert isinstance(solution, BridgeSolution)
        assert solution.lower_bound <= solution.objective
        assert certify(X, y, solution.beta, regularizer).worst <= 1e-8  # with multipliers found anew
