"""ζ and its hat moments: closed forms against arbitrary precision, limits, and the laws they come from."""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm, uniform

from solvers.splines.curvature_weights import (
    ConstantWeight,
    CurvatureWeight,
    FunctionWeight,
    adaptive_quadrature,
    fejer,
    gauss_legendre,
)
from solvers.splines.density_initialization import DensityInit
from solvers.splines.initial_distributions import BinaryUniformInit, GaussianInit, InitialDistribution, UniformInit

FAMILIES = [GaussianInit(1.0, 1.0), GaussianInit(2.0, 0.1**0.5), UniformInit(1.0, 2.0), UniformInit(3.0, 0.5)]
FAMILIES += [BinaryUniformInit(2.5)]


def exact_moments(weight: CurvatureWeight, a: float, b: float) -> list[float]:
    """The three moments to 40 digits, by mpmath's tanh-sinh quadrature split at kinks and at powers of two."""
    with mpmath.workdps(40):
        low, high = mpmath.mpf(a), mpmath.mpf(b)

        def zeta(t: mpmath.mpf) -> mpmath.mpf:
            if isinstance(weight, GaussianInit):
                w, s = mpmath.mpf(weight.sigma_w), mpmath.mpf(weight.sigma_b)
                return 2 * w**3 * s**3 / (mpmath.pi * (s**2 + t**2 * w**2) ** 2)
            if isinstance(weight, UniformInit):
                w, s = mpmath.mpf(weight.a_w), mpmath.mpf(weight.a_b)
                return w**3 / (8 * s) if abs(t) <= s / w else s**3 / (8 * w * t**4)
            assert isinstance(weight, BinaryUniformInit)
            return mpmath.mpf(1) / (2 * mpmath.mpf(weight.a_b)) * (abs(t) <= weight.a_b)

        marks = [*weight.breakpoints(), 0.0, *(s * 2.0**k for k in range(-3, 30, 2) for s in (-1, 1))]
        points = [low, *sorted(mpmath.mpf(m) for m in marks if a < m < b), high]
        # over θ in [0, 1], because mpmath's error bound is absolute
        h = high - low
        marks01 = [(p - low) / h for p in points]
        hats = (lambda u: (1 - u) ** 2, lambda u: (1 - u) * u, lambda u: u**2)
        return [float(h * mpmath.quad(lambda u, hat=hat: zeta(low + h * u) * hat(u), marks01)) for hat in hats]


@pytest.mark.parametrize("weight", FAMILIES, ids=str)
@pytest.mark.parametrize(
    ("a", "b"),
    [(-2.0, -1.0), (0.1, 0.1 + 1e-12), (0.0, 1e-300), (-0.3, 2.2), (-50.0, 3.0), (1e3, 1e6), (-1e8, 1e8), (7.0, 7.5)],
)
def test_closed_form_moments_hold_to_rounding(weight: CurvatureWeight, a: float, b: float) -> None:
    # every term is nonnegative, so errors do not grow: some tens of ulp, also for knots 1e-12 apart
    moments = weight.hat_moments(np.array([a]), np.array([b]))
    np.testing.assert_allclose(np.ravel(moments), exact_moments(weight, a, b), rtol=3e-14, atol=0)


@pytest.mark.parametrize("weight", FAMILIES, ids=str)
def test_moments_agree_with_adaptive_quadrature_of_zeta(weight: CurvatureWeight) -> None:
    a, b = np.array([-2.4, -1.0, -0.2, 0.3]), np.array([-1.0, -0.2, 0.3, 2.4])
    numeric = FunctionWeight(weight.zeta, weight.support, weight.breakpoints()).hat_moments(a, b)
    np.testing.assert_allclose(weight.hat_moments(a, b), numeric, rtol=1e-13)


@pytest.mark.parametrize("gap", [1e-9, 1e-13])
def test_quadrature_of_close_knots_costs_no_digits_and_no_bisection(gap: float) -> None:
    """(t − a)/h would be noise here, and bisecting noise would never end."""
    weight, calls = GaussianInit(1.0, 1.0), []

    def counted(x: np.ndarray) -> np.ndarray:
        calls.append(x.size)
        return weight.zeta(x)

    a, b = np.array([0.1, 1.3]), np.array([0.1, 1.3]) + gap
    numeric = FunctionWeight(counted).hat_moments(a, b)
    np.testing.assert_allclose(numeric, weight.hat_moments(a, b), rtol=1e-14)
    assert sum(calls) < 100


@given(a=st.floats(-100, 100), h1=st.floats(1e-6, 100), h2=st.floats(1e-6, 100), family=st.sampled_from(FAMILIES))
@settings(max_examples=100, deadline=None)
def test_moments_are_additive_and_mirror(a: float, h1: float, h2: float, family: CurvatureWeight) -> None:
    """∫ζ = LL + 2LR + RR adds over neighbours; ζ is even, so reflecting an interval swaps LL and RR."""

    def mass(p: float, q: float) -> float:
        m = family.hat_moments(np.array([p]), np.array([q]))
        return float((m.LL + 2 * m.LR + m.RR)[0])

    whole = mass(a, a + h1 + h2)
    assert mass(a, a + h1) + mass(a + h1, a + h1 + h2) == pytest.approx(whole, rel=1e-11, abs=1e-290)
    m = family.hat_moments(np.array([a]), np.array([a + h1]))
    r = family.hat_moments(np.array([-a - h1]), np.array([-a]))
    np.testing.assert_allclose([m.LL, m.LR, m.RR], [r.RR, r.LR, r.LL], rtol=1e-12)


@pytest.mark.parametrize("init", FAMILIES, ids=str)
def test_zeta_is_the_breakpoint_density_times_mean_square_weight(init: InitialDistribution) -> None:
    """Monte Carlo of ∫ζ over bins: E[W²; C in bin]. Standard error of 4e5 draws, five of them allowed."""
    w, b = init.sample(400_000, np.random.default_rng(5))
    edges = np.linspace(-2.0, 2.0, 9)
    m = init.hat_moments(edges[:-1], edges[1:])
    for low, high, mass in zip(edges[:-1], edges[1:], m.LL + 2 * m.LR + m.RR, strict=True):
        terms = w**2 * ((-b / w >= low) & (-b / w < high))
        assert terms.mean() == pytest.approx(mass, abs=5 * terms.std() / np.sqrt(w.size))


def kernel_by_quadrature(init: InitialDistribution, p: float, q: float) -> float:
    """E [Wp + B]₊[Wq + B]₊ by nested adaptive quadrature over the density, by scipy."""
    if isinstance(init, GaussianInit):
        top, reach, corners = 9.0 * init.sigma_b, 9.0 * init.sigma_w, [0.0]
        law_b, law_w = norm(scale=init.sigma_b).pdf, norm(scale=init.sigma_w).pdf
    else:
        assert isinstance(init, UniformInit | BinaryUniformInit)
        top, reach = init.a_b, init.a_w if isinstance(init, UniformInit) else 1.0
        law_b, law_w = uniform(-top, 2 * top).pdf, uniform(-reach, 2 * reach).pdf
        corners = [0.0, *(c for t in (p, q) for c in (-top / abs(t), top / abs(t)) if abs(c) < reach)]

    def over_bias(w: float) -> float:
        lowest = max(-w * p, -w * q, -top)
        if lowest >= top:
            return 0.0
        return float(quad(lambda b: (w * p + b) * (w * q + b) * law_b(b), lowest, top, epsabs=1e-12)[0])

    if isinstance(init, BinaryUniformInit):
        return 0.5 * (over_bias(1.0) + over_bias(-1.0))
    return float(quad(lambda w: over_bias(w) * law_w(w), -reach, reach, points=corners, epsabs=1e-10)[0])


@pytest.mark.parametrize("init", FAMILIES, ids=str)
def test_kernel_is_its_definition(init: InitialDistribution) -> None:
    for p, q in ((0.7, -0.4), (0.7, 1.9), (-2.0, 2.0)):
        value = kernel_by_quadrature(init, p, q)
        assert float(init.kernel(np.array(p), np.array(q))) == pytest.approx(value, rel=1e-8, abs=1e-9)


def test_printed_values_of_zeta() -> None:
    assert GaussianInit(2.0, 3.0).zeta(np.array(1.5)) == pytest.approx(2 * 8 * 27 / (np.pi * (9 + 2.25 * 4) ** 2))
    np.testing.assert_allclose(UniformInit(2.0, 3.0).zeta(np.array([-1.5, 0.0, 1.5])), 8 / 24)
    assert UniformInit(2.0, 3.0).zeta(np.array(3.0)) == pytest.approx(27 / (16 * 81))
    np.testing.assert_allclose(BinaryUniformInit(2.0).zeta(np.array([-2.1, -2.0, 0.0, 2.1])), [0, 0.25, 0.25, 0])


def test_density_reproduces_the_uniform_family() -> None:
    """A discontinuous density: U(−1, 1) × U(−2, 2), whose ζ has a kink at 2."""
    uniform = UniformInit(1.0, 2.0)
    density = DensityInit(lambda w, b: 0.125 * ((np.abs(w) <= 1) & (np.abs(b) <= 2)), 1.0, 2.0, kinks=(-2.0, 2.0))
    x = np.array([-5.0, -2.0, 0.0, 1.0, 3.0])
    np.testing.assert_allclose(density.zeta(x), uniform.zeta(x), rtol=1e-13)
    a, b = np.array([-3.0, 0.0]), np.array([1.0, 4.0])
    np.testing.assert_allclose(density.hat_moments(a, b), uniform.hat_moments(a, b), rtol=1e-12)
    w, b = density.sample(20_000, np.random.default_rng(0))
    assert w.std() == pytest.approx(1 / np.sqrt(3), rel=0.03)
    assert b.std() == pytest.approx(2 / np.sqrt(3), rel=0.03)


def test_discontinuous_density_whose_zeta_is_known() -> None:
    """Uniform on the unit disc: ζ = ∫|w|³p(w, −wx) dw = (2/π)·r⁴/4 at r = 1/√(1 + x²), the end of the disc."""
    init = DensityInit(lambda w, b: np.where(w * w + b * b <= 1.0, 1.0 / np.pi, 0.0), 1.0, 1.0)
    x = np.linspace(-3.0, 3.0, 301)
    np.testing.assert_allclose(init.zeta(x), 0.5 / np.pi / (1.0 + x * x) ** 2, rtol=1e-12)


def test_mass_of_heavy_tails_and_of_a_peak_between_the_cells() -> None:
    def cauchy(w: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-w * w / 2) / np.sqrt(2 * np.pi) / (np.pi * (1 + b * b))

    def narrow(w: np.ndarray, b: np.ndarray) -> np.ndarray:
        return norm.pdf(w, 1.0, 1e-3) * norm.pdf(b)

    DensityInit(cauchy, 9.0, 1e3)  # 0.99936 of the mass; midpoint sums say 0.6658
    DensityInit(narrow, 3.0, 9.0)
    with pytest.raises(ValueError, match=r"integrates to 0\.9"):
        DensityInit(lambda w, b: 0.9 * narrow(w, b), 3.0, 9.0)


@pytest.mark.parametrize("width", [1e-2, 1e-3])
def test_a_spike_that_nobody_named_is_found(width: float) -> None:
    weight = FunctionWeight(lambda x: 1.0 + 100.0 * np.exp(-(((x - 0.3123) / width) ** 2) / 2))
    found = weight.hat_moments(np.array([-1.0]), np.array([1.0]))
    edges = np.array([-1.0, *(0.3123 + width * np.array([-9.0, -3.0, 0.0, 3.0, 9.0])), 1.0])
    for moment, hat in zip(found, (lambda t: (1 - t) ** 2, lambda t: 1 - t * t, lambda t: (1 + t) ** 2), strict=True):
        pieces = [quad(lambda t: hat(t) / 4 * float(weight.zeta(np.array(t))), *e)[0] for e in pairwise(edges)]  # noqa: B023
        assert float(moment[0]) == pytest.approx(sum(pieces), rel=1e-10)


def test_correlated_density_against_monte_carlo() -> None:
    """A joint law that does not factor: its kernel and ζ mass against its own samples, five standard errors."""
    rho = 0.6
    front = 1 / (2 * np.pi * np.sqrt(1 - rho**2))
    init = DensityInit(lambda w, b: front * np.exp(-(w**2 - 2 * rho * w * b + b**2) / (2 * (1 - rho**2))), 8.0, 8.0)
    w, b = init.sample(100_000, np.random.default_rng(2))
    assert np.corrcoef(w, b)[0, 1] == pytest.approx(rho, abs=0.02)
    products = np.maximum(0.5 * w + b, 0) * np.maximum(-w + b, 0)
    assert float(init.kernel(np.array(0.5), np.array(-1.0))) == pytest.approx(
        products.mean(), abs=5 * products.std() / np.sqrt(w.size)
    )
    m = init.hat_moments(np.array([-1.0]), np.array([0.5]))
    terms = w**2 * ((-b / w >= -1.0) & (-b / w < 0.5))
    assert float((m.LL + 2 * m.LR + m.RR)[0]) == pytest.approx(terms.mean(), abs=5 * terms.std() / np.sqrt(w.size))


def test_sampled_zeta_estimates_the_family() -> None:
    init = GaussianInit(1.0, 1.0)
    w, b = init.sample(200_000, np.random.default_rng(4))
    x = np.array([-1.0, 0.0, 0.5, 1.5])
    # bandwidth 0.05, so about 200000·0.05·ζ/4 points a bump: one to three per cent, and a bias below that
    np.testing.assert_allclose(DensityInit.from_samples(w, b).zeta(x), init.zeta(x), rtol=0.08)


def test_quadrature_rules_are_exact_on_their_degrees() -> None:
    for rule, degree in ((gauss_legendre(5), 9), (fejer(8), 7)):
        for k in range(degree + 1):
            assert rule.weights @ rule.nodes**k == pytest.approx(1 / (k + 1), rel=1e-14)


def test_adaptive_quadrature_finds_an_unnamed_jump() -> None:
    step = adaptive_quadrature(
        lambda owner, t: (t > 1 / 3).astype(float)[None], np.array([0.0]), np.array([1.0]), gauss_legendre(10)
    )
    assert step[0, 0] == pytest.approx(2 / 3, rel=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianInit(0.0, 1.0), "sigma_w must be positive"),
        (lambda: UniformInit(1.0, float("nan")), "a_b must be positive"),
        (lambda: BinaryUniformInit(-1.0), "a_b must be positive"),
        (lambda: ConstantWeight(0.0), "ζ must be positive"),
        (lambda: DensityInit(lambda w, b: 0 * w + 1.0, 1.0, 1.0), "integrates to 4"),
        (lambda: DensityInit.from_samples([1.0], [2.0]), "length ≥ 100"),
    ],
)
def test_refusals(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_a_spike_at_a_named_kink_is_seen_at_any_width(width: float) -> None:
    """∫ζL², ∫ζLR, ∫ζR² of 1 + 5 δ_{0.3}, to which the spike tends; by a function that takes no empty arrays."""

    def zeta(x: float) -> float:
        return float(1.0 + 5.0 * np.exp(-(((x - 0.3) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi)))

    weight = FunctionWeight(np.vectorize(zeta), kinks=(0.3,))
    moments = np.stack(weight.hat_moments(np.array([0.0, 1.0]), np.array([1.0, 2.0])))
    expected = np.array([1 / 3 + 5 * 0.49, 1 / 6 + 5 * 0.21, 1 / 3 + 5 * 0.09])
    np.testing.assert_allclose(
        moments[:, 0], expected, rtol=0, atol=5 * width**2 + 1e-12 + 1e-18 / width
    )  # x is rounded
    np.testing.assert_allclose(moments[:, 1], [1 / 3, 1 / 6, 1 / 3], rtol=1e-13)
