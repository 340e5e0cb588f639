"""Results print on a few lines, in a terminal and in a notebook, whatever their size."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

import gd
import solvers
from solvers import L2, Bridge, max_margin
from solvers.card import Card, in_words

GIVEN = ("Mahalanobis", "HyperbolicEntropy", "DiagonalPotential", "DifferencePotential", "BalancedPotential",
         "DensityInit", "FunctionWeight", "Oracle")  # fmt: skip
"""What a user makes of arrays: their calls print as they were written."""


def holds_arrays(cls) -> bool:
    """Whether a field is of arrays or tensors."""
    return any("Array" in str(field.type) or "Tensor" in str(field.type) for field in fields(cls))


@pytest.mark.parametrize("package", [solvers, gd])
def test_every_result_with_arrays_is_a_card(package) -> None:
    public = {name: getattr(package, name) for name in package.__all__ if name not in GIVEN}
    results = {name: value for name, value in public.items() if is_dataclass(value)}
    with_arrays = {name: value for name, value in results.items() if holds_arrays(value)}
    assert len(with_arrays) >= 10
    assert [name for name, value in with_arrays.items() if not issubclass(value, Card)] == []


def test_a_solution_prints_status_and_proof_not_arrays() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 500))
    solution = max_margin(X, np.sign(X @ rng.standard_normal(500)), L2())
    text = repr(solution)
    assert text.startswith("Solution\n")
    assert len(text.splitlines()) <= 14
    assert max(map(len, text.splitlines())) <= 100
    assert "OPTIMAL: Optimal: the duality gap is closed" in text
    assert "(500,)" in text
    assert "worst violation" in text
    assert f"objective    {solution.objective:.6g}" in text


def test_a_notebook_shows_a_table_with_text_escaped() -> None:
    solution = max_margin([[1.0, 2.0]], [1.0], Bridge(1))
    page = solution._repr_html_()
    assert page.startswith("<table>")
    assert page.count("<tr>") == 10
    assert "NOT_UNIQUE" not in page
    assert in_words("<b>") == "<b>"
    assert "<caption>Solution</caption>" in page
