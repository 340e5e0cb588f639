"""The proof that one 2 × 2 kernel costs more: it bounds every kernel, and does not certify where one is enough."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.conv_kernel.rank_certificate import _distance, one_kernel_bound
from solvers.regularizers.conv_kernel import ConvKernel


def cost_of_kernel(c, w):
    """2‖c‖·‖v‖ with v̂ = ŵ/ĉ, by the full FFT."""
    padded = np.zeros(w.shape)
    padded[:2, :2] = c
    v = np.fft.ifft2(np.fft.fft2(w, norm="ortho") / np.fft.fft2(padded, norm="ortho"), norm="ortho")
    return 2 * np.linalg.norm(c) * np.linalg.norm(v)


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_lies_between_the_convex_value_and_every_kernel(seed):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((4, 5)) * 10.0 ** rng.integers(-3, 3)
    bound = one_kernel_bound(w)
    assert bound.certified
    assert bound.convex < bound.lower_bound <= bound.upper_bound
    costs = [cost_of_kernel(c, w) for c in rng.standard_normal((2000, 2, 2))]
    assert min(costs) >= bound.upper_bound * (1 - 1e-9)


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_lags_of_one_kernel_are_at_distance_zero_and_others_not(seed):
    rng = np.random.default_rng(seed)
    geometry = ConvKernel((2, 2)).geometry((5, 5))
    c = rng.standard_normal(4)
    # the radius around true lags: h rounds to 1e-16 of its terms
    assert _distance(geometry.lags(np.outer(c, c)), np.eye(5), geometry.lag) <= 1e-9
    X = np.diag([1.0, 2.0, 3.0, 4.0])
    far = _distance(geometry.lags(X + 0.01 * np.outer(c, c)), np.eye(5), geometry.lag)
    assert far >= 0


def test_h_is_nonzero_where_no_kernel_exists():
    geometry = ConvKernel((2, 2)).geometry((5, 5))
    # ad = bc = 0 leaves a kernel in one row or column, where ab + cd and ac + bd are not both nonzero
    X = np.eye(4)
    X[0, 1] = X[1, 0] = 0.3
    X[0, 2] = X[2, 0] = 0.2
    assert _distance(geometry.lags(X), np.eye(5), geometry.lag) > 1e-3


def test_where_one_kernel_is_enough_nothing_is_certified():
    for w in (np.ones((4, 4)), np.cos(2 * np.pi * np.add.outer(np.arange(5), 2 * np.arange(5)) / 5)):
        bound = one_kernel_bound(w)
        assert not bound.certified
        assert bound.upper_bound == pytest.approx(bound.convex, rel=1e-7)


def test_scale_and_bad_input():
    w = np.random.default_rng(9).standard_normal((4, 4))
    a, b = one_kernel_bound(w), one_kernel_bound(1e6 * w)
    assert b.lower_bound == pytest.approx(1e6 * a.lower_bound, rel=1e-9)
    with pytest.raises(ValueError, match="at least 3"):
        one_kernel_bound(np.ones((2, 4)))
    with pytest.raises(ValueError, match="nonzero image"):
        one_kernel_bound(np.zeros((4, 4)))
