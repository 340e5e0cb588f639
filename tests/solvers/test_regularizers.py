"""Regularizers: values by hand, limits, dual norms against their definition, and the transforms' conventions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from solvers import L2, Bridge, ConvKernel, FourierBridge, Mahalanobis, Regularizer, Schatten

SHAPES = [(1,), (2,), (5,), (8,), (3, 4), (4, 4), (5, 3), (1, 6)]
finite = st.floats(-10, 10, allow_nan=False).map(lambda v: round(v, 3))


def slow_dft(x: np.ndarray) -> np.ndarray:
    """x̂[d] = D^{-1/2} Σ_p x[p] e^{-2πi⟨p, d⟩/D} by the double sum."""
    hat = np.zeros(x.shape, dtype=complex)
    for d in itertools.product(*map(range, x.shape)):
        for p in itertools.product(*map(range, x.shape)):
            phase = sum(pi * di / n for pi, di, n in zip(p, d, x.shape, strict=True))
            hat[d] += x[p] * np.exp(-2j * np.pi * phase)
    return hat / np.sqrt(x.size)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [1.0, 2.0, 2 / 3, 0.5, 0.1])
def test_fourier_value_is_the_quasi_norm_of_the_double_sum(shape: tuple[int, ...], p: float) -> None:
    beta = np.random.default_rng(1).standard_normal(shape)
    expected = np.sum(np.abs(slow_dft(beta)) ** p) ** (1 / p)
    # a sum of at most 16 terms in two orders, then the power 1/p ≤ 10 of it: 16·10·ε·few
    assert FourierBridge(p).value(beta) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) == 1])
def test_parseval_and_exponent_two_are_the_euclidean_norm(shape: tuple[int, ...]) -> None:
    beta = np.random.default_rng(2).standard_normal(shape)
    for regularizer in (Bridge(2), FourierBridge(2), Schatten(2)):
        point = beta[None] if isinstance(regularizer, Schatten) else beta
        assert regularizer.value(point) == pytest.approx(np.linalg.norm(beta), rel=1e-14)
        assert regularizer.dual_norm(point) == pytest.approx(np.linalg.norm(beta), rel=1e-14)


def test_known_spectra_by_hand() -> None:
    d = 12
    k = np.arange(d)
    assert FourierBridge(1).value(np.ones(d)) == pytest.approx(np.sqrt(d))  # one frequency, √D
    assert FourierBridge(1).value(np.eye(1, d)[0]) == pytest.approx(np.sqrt(d))  # flat spectrum, D · 1/√D
    cosine = np.cos(2 * np.pi * 3 * k / d)  # two frequencies of √D/2 each
    assert FourierBridge(1).value(cosine) == pytest.approx(np.sqrt(d))
    assert FourierBridge(0.5).value(cosine) == pytest.approx((2 * (np.sqrt(d) / 2) ** 0.5) ** 2)
    assert FourierBridge(1).value((-1.0) ** k) == pytest.approx(np.sqrt(d))  # Nyquist: its own conjugate
    assert Bridge(0.5).value(np.array([4.0, 9.0])) == pytest.approx(25.0)  # (2 + 3)²
    assert Bridge(2 / 3).value(np.array([8.0, 27.0])) == pytest.approx(13**1.5)  # (4 + 9)^{3/2}
    assert FourierBridge(1).value(np.outer(np.ones(3), np.ones(4))) == pytest.approx(np.sqrt(12))


def test_two_dimensional_transform_is_separable_and_not_the_flattened_one() -> None:
    rng = np.random.default_rng(3)
    u, v = rng.standard_normal(4), rng.standard_normal(6)
    image = np.outer(u, v)
    for p in (1.0, 2 / 3):
        one = FourierBridge(p)
        assert one.value(image) == pytest.approx(one.value(u) * one.value(v), rel=1e-12)
    assert abs(FourierBridge(1).value(image) / FourierBridge(1).value(image.ravel()) - 1) > 1e-3


@pytest.mark.parametrize("depth", [2, 3, 4, 10])
def test_cost_of_a_depth_L_network_is_reached_by_balanced_weights(depth: int) -> None:
    """Lemmas 6 and 7: with all layers of magnitude |β|^{1/L}, ‖w‖² = L‖β‖_{2/L}^{2/L}, and no weights cost less."""
    rng = np.random.default_rng(4)
    beta = rng.standard_normal(7)
    cost = depth * Bridge(2 / depth).value(beta) ** (2 / depth)
    layers = [np.sign(beta) * np.abs(beta) ** (1 / depth)] + [np.abs(beta) ** (1 / depth)] * (depth - 1)
    assert sum(float(w @ w) for w in layers) == pytest.approx(cost, rel=1e-12)
    for _ in range(50):
        factors = [np.exp(rng.standard_normal(7)) for _ in range(depth - 1)]
        unbalanced = [*factors, beta / np.prod(factors, axis=0)]
        assert sum(float(w @ w) for w in unbalanced) >= cost * (1 - 1e-12)


def brute_force_dual_norm(regularizer: L2 | Bridge | Schatten, z: np.ndarray) -> float:
    """max ⟨z, β⟩/R(β) over the subgradient's own candidates and many random β."""
    rng = np.random.default_rng(0)
    best = 0.0
    for _ in range(3000):
        beta = rng.standard_normal(z.shape) * np.exp(2 * rng.standard_normal(z.shape))
        best = max(best, float(np.vdot(z, beta)) / regularizer.value(beta))
    return best


@pytest.mark.parametrize("shape", [(4,), (5,), (2, 3)])
@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), Bridge(2), FourierBridge(1), FourierBridge(2)], ids=str)
def test_dual_norm_bounds_every_direction_and_is_attained(regularizer: Bridge, shape: tuple[int, ...]) -> None:
    z = np.random.default_rng(5).standard_normal(shape)
    bound = regularizer.dual_norm(z)
    assert brute_force_dual_norm(regularizer, z) <= bound * (1 + 1e-12)
    if isinstance(regularizer, L2) or regularizer.p == 2:
        attained = z
    else:
        c = regularizer.coefficients(z)
        top = np.zeros_like(c)
        top.flat[np.abs(c).argmax()] = c.flat[np.abs(c).argmax()]
        # the real part of one frequency is the pair it forms with its conjugate
        attained = regularizer.from_coefficients(top)
    assert float(np.vdot(z, attained)) == pytest.approx(bound * regularizer.value(attained), rel=1e-12)
    assert regularizer.stationarity(attained, z) == pytest.approx(0, abs=1e-12)


def test_schatten_against_numpys_matrix_norms() -> None:
    m = np.random.default_rng(6).standard_normal((3, 5))
    assert Schatten(1).value(m) == pytest.approx(np.linalg.norm(m, "nuc"), rel=1e-14)
    assert Schatten(1).dual_norm(m) == pytest.approx(np.linalg.norm(m, 2), rel=1e-14)
    assert Schatten(2).value(m) == pytest.approx(np.linalg.norm(m, "fro"), rel=1e-14)
    diagonal = np.diag([4.0, 9.0])
    assert Schatten(0.5).value(diagonal) == pytest.approx(Bridge(0.5).value(np.array([4.0, 9.0])), rel=1e-14)


@pytest.mark.parametrize("family", [Bridge, FourierBridge])
def test_values_are_continuous_in_p_at_one_and_decrease_in_p(family: type[Bridge]) -> None:
    beta = np.random.default_rng(7).standard_normal(9)
    # d/dp ‖β‖_p at 1 is at most ‖β‖₁ log 9 in size
    step = 1e-8
    assert family(1 - step).value(beta) == pytest.approx(family(1).value(beta), rel=3 * step)
    values = [family(p).value(beta) for p in (0.1, 0.3, 0.5, 0.9, 1.0, 2.0)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-30, 1.0, 1e30, 1e154, 1e200, 1e300])
def test_one_homogeneous_without_over_or_underflow(scale: float) -> None:
    beta = np.array([1.0, -2.0, 0.5, 0.0])
    of_each_kind = (Bridge(1), Bridge(0.1), Bridge(2), Bridge(3), FourierBridge(1), FourierBridge(0.1), L2())
    for regularizer in (*of_each_kind, ConvKernel(2), Mahalanobis(np.arange(1.0, 5.0))):
        assert regularizer.value(scale * beta) == pytest.approx(scale * regularizer.value(beta), rel=1e-12)
        if regularizer.is_norm:
            dual = regularizer.dual_norm(beta)
            assert regularizer.dual_norm(scale * beta) == pytest.approx(scale * dual, rel=1e-12)
    assert L2().value(scale * beta) == pytest.approx(math.hypot(*(scale * beta)), rel=1e-14)
    assert Bridge(0.5).value(np.zeros(3)) == L2().value(np.zeros(3)) == 0.0


@pytest.mark.parametrize("regularizer", [L2(), Bridge(1), FourierBridge(1), ConvKernel(2), Mahalanobis(np.ones(4))])
def test_values_beyond_the_largest_float_are_infinite(regularizer: Regularizer) -> None:
    assert regularizer.value(np.full(4, 1.5e308)) == np.inf
    assert regularizer.value(np.array([1.0, np.inf, 0.0, 2.0])) == np.inf


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays(float, 6, elements=finite), st.integers(0, 5), st.sampled_from([2 / 3, 0.5, 1.0]))
def test_invariances(beta: np.ndarray, shift: int, p: float) -> None:
    if not beta.any():
        return
    permutation = np.random.default_rng(shift).permutation(6)
    signs = np.where(np.arange(6) % 2, 1.0, -1.0)
    assert Bridge(p).value(signs * beta[permutation]) == pytest.approx(Bridge(p).value(beta), rel=1e-12)
    fourier = FourierBridge(p)
    value = fourier.value(beta)
    # rounding in the transform leaves 1e-16 on true zeros, and six times (1e-16)^{1/2} in a sum of square roots
    tolerance = 1e-12 if p == 1 else 1e-6
    assert fourier.value(np.roll(beta, shift)) == pytest.approx(value, rel=tolerance)
    assert fourier.value(beta[::-1]) == pytest.approx(value, rel=tolerance)
    assert fourier.value(beta * (-1.0) ** np.arange(6)) == pytest.approx(value, rel=tolerance)  # modulation by D/2


def test_coefficients_invert() -> None:
    for shape in SHAPES:
        beta = np.random.default_rng(8).standard_normal(shape)
        np.testing.assert_allclose(FourierBridge(1).from_coefficients(FourierBridge(1).coefficients(beta)), beta)


@pytest.mark.parametrize("family", [Bridge, FourierBridge])
@pytest.mark.parametrize("p", [2 / 3, 0.5])
def test_eq_13_is_the_gradient_of_the_pth_power(family: type[Bridge], p: float) -> None:
    """Central differences of ‖·‖_p^p against Re⟨g, direction⟩, g from the formula."""
    rng = np.random.default_rng(9)
    beta, regularizer = rng.standard_normal(7), family(p)
    support = np.ones(7, dtype=bool)
    g = regularizer.gradient_on_support(beta, support)
    for _ in range(5):
        v = rng.standard_normal(7)
        h = 1e-5
        powers = [regularizer.value(beta + s * h * v) ** p for s in (1, -1)]
        inner = float(np.real(np.vdot(g, regularizer.coefficients(v))))
        assert (powers[0] - powers[1]) / (2 * h) == pytest.approx(inner, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("p", [0.0, -1.0, 1.5, 3.0, float("nan"), float("inf")])
@pytest.mark.parametrize("family", [Bridge, FourierBridge, Schatten])
def test_exponents_without_a_meaning_are_refused(family: type[Bridge], p: float) -> None:
    """Bridge takes every p > 0, Schatten takes 2/L and ∞, FourierBridge 2/L."""
    if (family is Bridge and p > 0) or (family is Schatten and p == np.inf):
        assert family(p).p == p
        return
    with pytest.raises(ValueError, match="p = 2/L"):
        family(p)


def test_what_is_no_norm_says_so() -> None:
    for regularizer in (Bridge(0.5), FourierBridge(0.5)):
        with pytest.raises(TypeError, match="not a norm"):
            regularizer.dual_norm(np.ones(3))
    with pytest.raises(TypeError, match="not a norm"):
        Schatten(0.5).dual_norm(np.eye(2))
    for regularizer in (L2(), Bridge(2)):
        assert regularizer.is_norm
