"""What functions of one answer hand back when their time is over: what they have, with its true gap."""

from __future__ import annotations

import numpy as np
import pytest

from solvers import (
    GaussianInputs,
    Status,
    conv_kernel_sdp,
    induced_regularizer,
    logistic_limit,
    reduce_rank,
    vector_interpolant,
)

RNG = np.random.default_rng(5)
W = RNG.standard_normal(24)
X = RNG.standard_normal((12, 2))
y = np.array([1.0, -1.0] * 6)


def test_a_stopped_cone_solver_leaves_bounds_that_hold() -> None:
    told: list[tuple[int, int]] = []
    soon = conv_kernel_sdp(W, 4, time_limit=1e-9, progress=lambda *done: told.append(done))
    assert soon.status is Status.INACCURATE
    assert soon.lower_bound <= induced_regularizer(W, 4).value <= soon.value
    assert told == [(1, 2), (2, 2)]


def test_a_rank_is_reduced_without_time_too() -> None:
    wide, told = conv_kernel_sdp(W, 4), list[tuple[int, int]]()
    narrow = reduce_rank(wide.matrix, W, 4, time_limit=1e-9, progress=lambda *done: told.append(done))
    assert narrow.value <= wide.value * (1 + 1e-9)
    assert narrow.predictor_error < 1e-9
    assert told[-1][0] == told[-1][1]


def test_without_time_only_the_number_of_channels_that_surely_does_is_tried() -> None:
    """Signals of two channels, K = 4: 2·4 channels do for any matrix, and fewer for this one."""
    w = np.random.default_rng(3).standard_normal((2, 16))
    wide = conv_kernel_sdp(w, 4, in_channels=2)
    whole = reduce_rank(wide.matrix, w, 4, in_channels=2)
    soon = reduce_rank(wide.matrix, w, 4, in_channels=2, time_limit=1e-9)
    assert whole.channels < soon.channels == 8
    assert max(whole.value, soon.value) <= wide.value * (1 + 1e-9)


def test_the_finite_part_says_how_far_it_came() -> None:
    told: list[tuple[int, int]] = []
    soon = logistic_limit(X, y, time_limit=1e-9, progress=lambda *done: told.append(done))
    whole = logistic_limit(X, y)
    assert whole.certificate.loss_gap < 1e-12 < soon.certificate.loss_gap
    assert soon.loss > whole.loss
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_linear_system_has_no_half_answer() -> None:
    told: list[tuple[int, int]] = []
    vector_interpolant(X, y, GaussianInputs(1.0, 1.0), progress=lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]
    with pytest.raises(TimeoutError, match="12 equations"):
        vector_interpolant(X, y, GaussianInputs(1.0, 1.0), time_limit=1e-9)
    with pytest.raises(ValueError, match="time_limit is in seconds"):
        vector_interpolant(X, y, GaussianInputs(1.0, 1.0), time_limit=0.0)
