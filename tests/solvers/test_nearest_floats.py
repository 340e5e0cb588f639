"""Rounding that what is multiplied with the rounded vector barely notices."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from solvers import Bridge, FourierBridge, Regularizer, Status, max_margin
from solvers.algorithms.nearest_floats import nearest_floats


def test_a_hundredth_of_the_rounding_errors_is_left() -> None:
    """Columns of sizes 1 to 1e-6, so that the fine ones make up for the coarse: the error without care is 1e-9."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((8, 24)) * 10.0 ** np.linspace(0, -6, 24)
    x = 1e7 * rng.standard_normal(24)
    target = (matrix.astype(np.longdouble) @ (x * (1.0 + 1e-17 * rng.standard_normal(24)))).astype(np.float64)
    target = target + 1e-9 * rng.standard_normal(8)
    before = target - matrix.astype(np.longdouble) @ x.astype(np.longdouble)
    after = target - matrix.astype(np.longdouble) @ nearest_floats(matrix, x, target).astype(np.longdouble)
    assert np.linalg.norm(after) < 1e-2 * np.linalg.norm(before)


def test_zeros_stay_zero() -> None:
    moved = nearest_floats(np.array([[3.0, 1.0, 7.0]]), np.array([1.0, 0.0, 2.0]), np.array([17.0 + 4e-15]))
    assert moved[1] == 0.0
    assert not np.array_equal(moved, [1.0, 0.0, 2.0])


@pytest.mark.parametrize("regularizer", [Bridge(1), FourierBridge(1)], ids=["coefficients", "frequencies"])
def test_raw_breast_cancer_is_certified(regularizer: Regularizer) -> None:
    """A relative margin of 4e-8: rounding every entry by itself leaves gaps of 1.4e-9 and 2.4e-9."""
    table = load_breast_cancer()
    solution = max_margin(table.data, 2.0 * table.target - 1.0, regularizer)
    assert solution.status is Status.OPTIMAL
    assert abs(solution.certificate.gap) <= 1e-10
