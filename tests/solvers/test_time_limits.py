"""What functions of one answer hand back when their time is over: what they have, with its true gap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from solvers import (
    L2,
    GaussianInputs,
    GlobalOptimum,
    Status,
    certify_relu,
    conv_kernel_sdp,
    induced_regularizer,
    logistic_limit,
    min_norm,
    reduce_rank,
    relu_max_margin,
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


class SecondMethod(L2):
    """ℓ2, whose first method finds β and no multipliers."""

    def interpolate(self, problem: Any) -> Any:
        found = super().interpolate(problem)
        return replace(found, dual=np.zeros_like(found.dual))

    def interpolate_again(self, problem: Any) -> Any:
        yield super().interpolate(problem)


def test_min_norm_tells_of_every_method() -> None:
    told: list[tuple[int, int]] = []
    fits = X[:2], [1.0, 2.0]
    whole = min_norm(*fits, SecondMethod(), progress=lambda *done: told.append(done))
    assert whole.status is Status.OPTIMAL
    assert told == [(1, 2), (2, 2)]
    soon = min_norm(*fits, SecondMethod(), time_limit=1e-9)
    assert soon.status is Status.INACCURATE
    assert soon.beta == pytest.approx(whole.beta, abs=1e-12)


def test_a_relu_search_tells_of_every_round() -> None:
    labels, steps = np.array([1.0, -1.0, -1.0, 1.0]), list[tuple[int, int]]()
    xor = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
    found = relu_max_margin(xor, labels, max_steps=7, progress=lambda *done: steps.append(done))
    assert found.value == pytest.approx(2 * np.sqrt(2), rel=1e-9)
    assert steps == [(k, 7) for k in range(found.stats["rounds"])]
    again: list[tuple[int, int]] = []
    far = found.neurons * np.array([1.0, 2.0])  # a worse network, so that a search begins
    judged = certify_relu(xor, labels, far, found.output_weights, progress=lambda *done: again.append(done))
    assert judged.verdict is GlobalOptimum.NOT_GLOBAL
    assert again
    soon = relu_max_margin(xor, labels, time_limit=1e-9)
    assert soon.value == np.inf
    with pytest.raises(ValueError, match="time_limit is in seconds"):
        relu_max_margin(xor, labels, time_limit=-1.0)
