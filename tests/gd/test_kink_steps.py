"""Kinks that depend on each other: what one step decides on them."""

from __future__ import annotations

import numpy as np

from gd.flow.kink_program import states_of_step


def test_a_kink_that_bends_no_margin_itself_slides_by_one_behind_it() -> None:
    # one weight, m = w − 2 ((w)₊)₊ at w = 0: slope 1 below, −1 above. The inner kink bends m by the outer one alone.
    gram = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    bends = np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]])
    found = states_of_step(gram, bends, np.zeros(1), np.zeros(2), 1.0, 1e-3, np.ones(1))
    assert found is not None
    sliding, _, u = found
    assert sliding[0]
    np.testing.assert_allclose(u[0], 1.0, atol=1e-5)  # the force is held in full
    assert u[0] <= u[1] <= 2.0
