"""Certified spectral factors: bounds that are true, degenerate cases that go through, wrong factors not accepted."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from flint import arb, arb_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from proofs.balls import bits
from proofs.catalogue import claims
from proofs.certified_factor import _inverse_bound, spectral_factor
from proofs.claim import Kind
from proofs.exact_factor import exact_spectral_factor
from solvers.factorization.spectral_factorization import linearized


def exact_residual(kernels, c) -> Fraction:
    """Σ over all lags of |Σ a⋆a − c⋆c|, in fractions: the independent reference for `residual`."""
    kernels = [[Fraction(float(v)) for v in a] for a in kernels]
    c = [Fraction(float(v)) for v in c]
    K = len(c)
    total = Fraction(0)
    for j in range(K):
        lag = sum(sum(a[k] * a[k + j] for k in range(K - j)) for a in kernels)
        gap = abs(lag - sum(c[k] * c[k + j] for k in range(K - j)))
        total += gap if j == 0 else 2 * gap
    return total


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9).flatmap(
        lambda K: st.lists(st.lists(st.integers(-5, 5), min_size=K, max_size=K), min_size=1, max_size=4)
    )
)
def test_bounds_hold_for_small_integers(kernels: list[list[int]]) -> None:
    """Small integers meet every degeneracy: shared roots on the circle, zeros, multiples."""
    found = spectral_factor(*kernels)
    assert exact_residual(kernels, found.factor) <= Fraction(found.residual)
    # rounding c to doubles moves the lags by at most about 4K eps of Σ‖a‖²
    assert found.relative_residual <= 1e-14
    assert found.distance is not None, found.proof
    # nearly common factors of integers this small keep the distance near rounding
    assert found.distance <= 1e-9 * max(1.0, float(np.abs(found.factor).max()))


@pytest.mark.parametrize("K", [2, 17, 257, 1024])
def test_generic_kernels_of_any_length(K: int) -> None:
    kernels = np.random.default_rng(K).standard_normal((2, K))
    found = spectral_factor(*kernels)
    assert found.relative_residual <= 1e-12
    assert found.distance is not None
    assert found.distance <= 1e-12 * np.linalg.norm(found.factor)
    if K <= 257:
        assert exact_residual(kernels, found.factor) <= Fraction(found.residual)


def test_distance_reaches_the_exact_factor() -> None:
    """K = 2 in radicals: c_0, c_1 = (√(r_0 + 2r_1) ± √(r_0 − 2r_1))/2, to 60 digits."""
    a, b = [1.0, 2.0], [0.5, -3.0]
    r0, r1 = Fraction(1 + 4) + Fraction(1, 4) + 9, Fraction(2) - Fraction(3, 2)
    with bits(250):
        S, T = ((arb(int((r0 + s * 2 * r1) * 4)) / 4).sqrt() for s in (1, -1))
        exact = [(S + T) / 2, (S - T) / 2]
        found = spectral_factor(a, b)
        gap = sum((u - arb(float(v))) ** 2 for u, v in zip(exact, found.factor, strict=True)).sqrt()
        assert found.distance is not None
        assert gap <= arb(found.distance)
        assert found.distance < 1e-15


@pytest.mark.parametrize(
    ("kernels", "words"),
    [
        (([1, 2, 3], [1, 2, 3]), "multiple of one"),
        (([1, 2, 3], [-1, -2, -3]), "multiple of one"),
        (([1, 2, 3], [0, 0, 0]), "multiple of one"),
        (([0, 0], [0, 0]), "exact: zero"),
        (([0, 0, 1, 2], [0, 0, 3, -1]), "common divisor of degree 2"),
        (([1, -1, 0], [0, 1, -1]), "common divisor of degree 1"),  # root 1 on the circle
        (([1, 0, 1, 0], [0, 1, 0, 1]), "common divisor of degree 2"),  # roots ±i
        (([1.0, 1.0], [1.0, 1.0 + 1e-12]), "Newton–Kantorovich"),
        (([1.0, -1.0], [1e-9, 2e-9]), "Newton–Kantorovich"),
        (([1e-150, 2e-150], [3e-150, 1e-150]), "Newton–Kantorovich"),
    ],
)
def test_degenerate_kernels(kernels, words: str) -> None:
    found = spectral_factor(*kernels)
    assert words in found.proof
    assert found.distance is not None
    assert found.distance <= 1e-14 * float(np.abs(found.factor).max())
    assert exact_residual(kernels, found.factor) <= Fraction(found.residual)


def test_a_kernel_that_defeats_minimum_phase_starts() -> None:
    """Two boxes: the first start ends with zeros on both sides of the circle; the second one is used."""
    found = spectral_factor(np.ones(256), np.r_[np.ones(255), 0.0])
    assert found.exists
    assert found.relative_residual <= 1e-12


def test_scaling_and_order_do_not_matter() -> None:
    a, b = np.random.default_rng(3).standard_normal((2, 6))
    one, two, four = spectral_factor(a, b), spectral_factor(b, -a), spectral_factor(4 * a, 4 * b)
    # both are within `distance` of the minimum-phase factor, which is unique up to sign
    assert np.abs(np.abs(one.factor) - np.abs(two.factor)).max() <= (one.distance or 1) + (two.distance or 1)
    assert np.array_equal(4 * one.factor, four.factor)


@pytest.mark.parametrize("root", [2.0, 1.0, -1.0, 1.0 + 1e-12])
def test_schur_cohn_rejects_zeros_outside_and_on_the_circle(root: float) -> None:
    with bits(256):
        inside = arb_poly([arb(-0.5), arb(1)])
        assert _inverse_bound(inside, 2) is not None
        assert _inverse_bound(inside * arb_poly([arb(-root), arb(1)]), 3) is None


def test_inverse_bound_is_above_the_true_norm() -> None:
    """‖J⁻¹‖₂ from all lags (lag j ≠ 0 twice, hence √2) to h, against numpy's singular values."""
    c = np.poly([0.5, -0.3, 0.2 + 0.6j, 0.2 - 0.6j]).real[::-1].copy()
    weights = np.r_[1.0, np.full(c.size - 1, np.sqrt(2.0))]
    true = 1.0 / np.linalg.svd(weights[:, None] * linearized(c), compute_uv=False)[-1]
    with bits(256):
        bound = _inverse_bound(arb_poly([arb(float(v)) for v in c]), c.size)
    assert bound is not None
    assert true <= float(bound.lower())


def test_altered_lags_are_refuted_by_a_proved_residual() -> None:
    claim = claims()["spectral-factor"]
    verdict = claim.altered(**claim.mutants[1].changes).verify()
    assert verdict.kind is Kind.REFUTED
    assert float(verdict.residual) > 0


def test_bad_kernels() -> None:
    with pytest.raises(ValueError, match="finite real numbers"):
        spectral_factor([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"one length K ≥ 1, got 2 kernels of lengths \[1, 2\]"):
        spectral_factor([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="one length K"):
        spectral_factor([])
    with pytest.raises(ValueError, match=r"one vector of length K, got an array of shape \(2, 2\)"):
        spectral_factor(np.ones((2, 2)))
    with pytest.raises(ValueError, match="finite real numbers"):
        spectral_factor([1j, 2.0])


def test_exact_factors() -> None:
    golden = exact_spectral_factor([1, 1], [0, 1])
    squares = [sympy.nsimplify(v) ** 2 for v in golden.entries]
    assert sympy.simplify(sum(squares) - 3) == 0
    assert sympy.simplify(golden.entries[0] * golden.entries[1] - 1) == 0
    with bits(400):
        kernels = ([1, 2, 3, 4, 5], [1, 0, 0, -1, 2])
        c = exact_spectral_factor(*kernels).balls(400)
        for j in range(5):
            lag = sum(a[k] * a[k + j] for a in kernels for k in range(5 - j))
            assert abs(sum((c[k] * c[k + j] for k in range(5 - j)), arb(0)) - lag) < arb(10) ** -100
    with pytest.raises(ValueError, match="rational kernels"):
        exact_spectral_factor([sympy.pi, 1], [1, 2])
    with pytest.raises(ValueError, match="all kernels are zero"):
        exact_spectral_factor([0, 0], [0, 0])


def test_exact_and_certified_factor_agree() -> None:
    kernels = ([1, 2, 3], [4, -1, 2])
    exact = np.array([float(v) for v in exact_spectral_factor(*kernels).numeric(20)])
    found = spectral_factor(*kernels)
    # both minimum phase up to reversal and sign
    gaps = [np.abs(np.abs(exact[::order]) - np.abs(found.factor)).max() for order in (1, -1)]
    assert min(gaps) < 1e-14
