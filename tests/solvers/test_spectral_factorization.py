"""The factor c of Σ a_i⋆a_i = c⋆c: its residual, its uniqueness, and the inputs on which factorizations fail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.factorization.spectral_factorization import autocorrelation, spectral_factorization


def slow_autocorrelation(a):
    return np.array([sum(a[j] * a[j + k] for j in range(len(a) - k)) for k in range(len(a))])


def relative_residual(c, filters):
    target = sum(slow_autocorrelation(a) for a in filters)
    return np.abs(slow_autocorrelation(c) - target).max() / target[0]


@pytest.mark.parametrize("K", [1, 2, 3, 5, 12, 13, 40, 128])
@pytest.mark.parametrize("C", [1, 2, 5])
def test_the_autocorrelations_agree(K, C):
    filters = np.random.default_rng(100 * K + C).standard_normal((C, K))
    answer = spectral_factorization(*filters)
    assert answer.residual <= 1e-13
    assert relative_residual(answer.factor, filters) <= 1e-13


def test_a_thousand_taps():
    filters = np.random.default_rng(0).standard_normal((2, 1024))
    answer = spectral_factorization(filters)
    assert relative_residual(answer.factor, filters) <= 1e-13


@pytest.mark.parametrize("K", [2, 6, 12])
def test_all_starts_find_the_same_minimum_phase_factor(K):
    filters = np.random.default_rng(K).standard_normal((3, K))
    found = [spectral_factorization(filters, start=s).factor for s in ("roots", "cepstrum", "constant")]
    # simple roots: c moves by (residual)/(smallest singular value of the linearization), far below 1e-9 here
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)
    np.testing.assert_allclose(found[2], found[0], atol=1e-9)
    assert np.abs(np.roots(found[0])).max() < 1.0


DEGENERATE = {
    "b = 0": ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]),
    "a = b": ([1.0, -2.0, 3.0], [1.0, -2.0, 3.0]),
    "a = -b": ([1.0, -2.0, 3.0], [-1.0, 2.0, -3.0]),
    "common zero on the circle": ([1.0, -1.0, 0.0], [0.0, 1.0, -1.0]),
    "common double zero": (np.convolve([1, -2, 1.0], [1.0, 3.0]), np.convolve([1, -2, 1.0], [2.0, -1.0])),
    "complex zeros on the circle": (np.convolve([1, 0, 1.0], [1, 0.3]), np.convolve([1, 0, 1.0], [-0.2, 2])),
    "eightfold zero": (np.convolve(np.poly(np.ones(8)), [1.0, 2.0]), np.convolve(np.poly(np.ones(8)), [3.0, -1.0])),
    "leading and trailing zeros": ([0.0, 0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 3.0, 1.0, 0.0]),
    "disjoint supports": ([1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, -1.0]),
    "delta and delta": ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
    "last lag cancels": ([1.0, 1.0, 1.0], [1.0, 0.5, -1.0]),
    "tiny": ([1e-170, 2e-170], [3e-170, -1e-170]),
    "huge": ([1e140, 2e140], [3e140, -1e140]),
    "b far smaller": ([1.0, -1.0, 0.5], [0.0, 1e-9, 1e-9]),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_inputs(name):
    filters = [np.asarray(a, dtype=float) for a in DEGENERATE[name]]
    scale = max(np.abs(a).max() for a in filters)
    answer = spectral_factorization(*filters)
    assert relative_residual(answer.factor / scale, [a / scale for a in filters]) <= 1e-13


@pytest.mark.parametrize("K", [20, 60])
def test_many_zeros_on_the_circle(K):
    rng = np.random.default_rng(K)
    common = np.array([1.0])
    for angle in rng.uniform(0, np.pi, K // 4):
        common = np.convolve(common, [1.0, -2 * np.cos(angle), 1.0])
    filters = [np.convolve(common, rng.standard_normal(K // 2)) for _ in range(2)]
    assert relative_residual(spectral_factorization(*filters).factor, filters) <= 1e-13


@pytest.mark.parametrize("K", [129, 512])
def test_long_smooth_filters_whose_spectrum_vanishes_over_an_interval(K):
    """A Gaussian's spectrum is below rounding almost everywhere; the factor is that of r + 5e-14 r[0] δ."""
    bell = np.exp(-(np.linspace(-4.0, 4.0, K) ** 2))
    filters = np.stack([bell, np.roll(bell, 3) * np.linspace(0.0, 1.0, K)])
    answer = spectral_factorization(filters)
    # the lift, and what K sums of K terms round: K·ε of r[0]
    assert relative_residual(answer.factor, filters) <= 5e-14 + K * 2.3e-16


@pytest.mark.parametrize("multiplicity", [6, 12])
def test_long_filters_with_zeros_of_high_multiplicity(multiplicity):
    generator = np.random.default_rng(0)
    zeros = np.poly(np.ones(multiplicity))
    filters = np.stack([np.convolve(zeros, generator.standard_normal(200 - multiplicity)) for _ in range(2)])
    assert relative_residual(spectral_factorization(filters).factor, filters) <= 1e-10  # what the docstring promises


def test_zero_filters_give_the_zero_factor():
    answer = spectral_factorization([0.0, 0.0], [0.0, 0.0])
    assert answer.factor.tolist() == [0.0, 0.0]
    assert answer.residual == 0.0


@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_reversal_and_rotation_of_the_summands_change_nothing(K, C, seed):
    filters = np.random.default_rng(seed).standard_normal((C, K))
    rotation, _ = np.linalg.qr(np.random.default_rng(seed + 1).standard_normal((C, C)))
    r = autocorrelation(spectral_factorization(filters).factor)
    for other in (filters[:, ::-1], rotation @ filters):
        np.testing.assert_allclose(autocorrelation(spectral_factorization(other).factor), r, atol=3e-13 * r[0])


def test_the_residual_sees_a_perturbed_factor():
    filters = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
    wrong = spectral_factorization(filters).factor + np.array([0.0, 1e-9, 0.0])
    assert relative_residual(wrong, filters) > 1e-11


def test_bad_inputs_are_refused():
    with pytest.raises(ValueError, match="one common length"):
        spectral_factorization([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="nan"):
        spectral_factorization([1.0, np.nan])
    with pytest.raises(ValueError, match="start='magic'"):
        spectral_factorization([1.0], start="magic")
