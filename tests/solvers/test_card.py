"""Results print on a few lines, in a terminal and in a notebook, whatever their size."""

from __future__ import annotations

import numpy as np

from solvers import L2, Bridge, max_margin
from solvers.card import in_words


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
