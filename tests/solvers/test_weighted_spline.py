"""The weighted spline: limits, an independent quadratic program, invariances, and a checker that rejects."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from solvers.splines.curvature_weights import ConstantWeight, CurvatureWeight, FunctionWeight
from solvers.splines.data import spline_data
from solvers.splines.initial_distributions import BinaryUniformInit, GaussianInit, UniformInit
from solvers.splines.spline_certificate import certify_spline
from solvers.splines.weighted_spline import WeightedSpline, weighted_spline

X, Y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([1.5, 0.5, 1.5, 0.5, 1.5])
WEIGHTS: list[CurvatureWeight] = [
    ConstantWeight(),
    GaussianInit(1.0, 1.0),
    GaussianInit(1.0, 0.1**0.5),
    UniformInit(1.0, 2.0),
    UniformInit(1.0, 0.7),
    BinaryUniformInit(2.5),
    FunctionWeight(lambda x: 2.0 + np.cos(3.0 * x)),
]


def quadratic_program(x: np.ndarray, y: np.ndarray, weight: CurvatureWeight, lam: float, at: np.ndarray):
    """min ∫g″²/ζ on a fine grid, as a dense least-norm problem in the values of g″ at its nodes.

    40 panels of 12 Gauss nodes between neighbouring knots (split at the kinks of ζ and at `at`), g(x) = v + ux +
    Σ w_k q_k (x − t_k)₊: no hat functions, no tridiagonal matrix, no moments. Spectrally accurate on each panel.
    """
    edges = np.unique(np.concatenate([x, at, [k for k in weight.breakpoints() if x[0] < k < x[-1]]]))
    edges = np.unique(np.concatenate([np.linspace(p, q, 5) for p, q in pairwise(edges)]))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    h = np.diff(edges)[:, None]
    t = (edges[:-1, None] + h * (nodes + 1) / 2).ravel()
    root = np.sqrt((h * weights / 2).ravel() * weight.zeta(t))  # q_k = z_k ζ_k/root_k, ∫g″²/ζ = ‖z‖²
    rows = np.maximum(x[:, None] - t, 0.0) * root
    affine = np.stack([x, np.ones_like(x)], axis=1)
    rows, affine = rows.astype(np.longdouble), affine.astype(np.longdouble)
    gram = rows @ rows.T + lam * np.eye(x.size)
    system = np.block([[gram, affine], [affine.T, np.zeros((2, 2))]])
    side = np.concatenate([y, [0.0, 0.0]])
    solution = np.zeros(side.size, dtype=np.longdouble)
    for _ in range(6):  # condition numbers to 1e6: refined, or the last digits compared are the reference's rounding
        left = (side - system @ solution).astype(np.float64)
        solution = solution + np.linalg.solve(system.astype(np.float64), left)
    z, solution = (rows.T @ solution[:-2]).astype(np.float64), solution.astype(np.float64)
    values = (np.maximum(at[:, None] - t, 0.0) * root) @ z + solution[-2] * at + solution[-1]
    return float(z @ z), values


@pytest.mark.parametrize("weight", WEIGHTS, ids=lambda weight: str(weight).split(" at ")[0])
@pytest.mark.parametrize("lam", [0.0, 1e-3, 2.0])
def test_agrees_with_an_independent_quadratic_program(weight: CurvatureWeight, lam: float) -> None:
    rng = np.random.default_rng(7)
    x = np.sort(np.concatenate([X, rng.uniform(-2, 2, 4)]))
    y = rng.standard_normal(9)
    at = np.linspace(-1.93, 1.97, 23)
    energy, values = quadratic_program(x, y, weight, lam, at)
    g = weighted_spline(x, y, weight, smoothing=lam)
    # 1e-10 is the promise; the reference's own condition number is about 1e4 to 1e6
    assert g.energy == pytest.approx(energy, rel=1e-10)
    np.testing.assert_allclose(g(at), values, rtol=0, atol=1e-10 * np.abs(y).max())


@pytest.mark.parametrize("k", [0, 1, 2])
def test_unit_weight_is_the_natural_cubic_spline(k: int) -> None:
    rng = np.random.default_rng(1)
    x, y = np.cumsum(rng.uniform(0.1, 1.0, 30)), rng.standard_normal(30)
    at = np.linspace(x[0], x[-1], 501)
    reference = CubicSpline(x, y, bc_type="natural").derivative(k)(at)
    np.testing.assert_allclose(weighted_spline(x, y).derivative(k)(at), reference, atol=1e-11 * np.abs(reference).max())


def test_check_values() -> None:
    g = weighted_spline(X, Y)
    assert g.energy == pytest.approx(192 / 7, rel=1e-14)
    np.testing.assert_allclose(g([0.5, 1.5]), [1.053571, 0.732143], atol=5e-7)
    g = weighted_spline(X, Y, FunctionWeight(lambda x: (1 + x**2) ** -2.0))
    assert g.energy == pytest.approx(79.043726, abs=5e-7)
    np.testing.assert_allclose(g([0.5, 1.5]), [0.876047, 0.887866], atol=5e-7)
    # the same ζ as a Gaussian initialization: σ_w = σ_b = σ has ζ = (2σ²/π)(1 + x²)⁻²
    s = np.sqrt(np.pi / 2)
    assert weighted_spline(X, Y, GaussianInit(s, s)).energy == pytest.approx(g.energy, rel=1e-13)


def test_derivatives_by_finite_differences_and_linear_outside() -> None:
    g = weighted_spline(X, Y, GaussianInit(1.0, 0.5))
    t, step = np.array([-2.7, -1.3, 0.21, 1.9, 2.6]), 1e-5
    # central differences: error step²·g‴/6 ≈ 1e-9 and rounding 1e-16/step ≈ 1e-11
    np.testing.assert_allclose(g.derivative(1)(t), (g(t + step) - g(t - step)) / (2 * step), atol=1e-8)
    slope = g.derivative(1)
    np.testing.assert_allclose(g.second_derivative(t), (slope(t + step) - slope(t - step)) / (2 * step), atol=1e-8)
    assert g.second_derivative(np.array([-2.7, 2.6])).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(np.diff(g(np.array([2.0, 3.0, 7.0]))), slope(2.5) * np.array([1.0, 4.0]), rtol=1e-13)
    np.testing.assert_allclose(g(X), Y, rtol=0, atol=0)


@pytest.mark.parametrize("weight", WEIGHTS, ids=lambda weight: str(weight).split(" at ")[0])
@pytest.mark.parametrize("lam", [0.0, 0.3])
def test_certificate_accepts(weight: CurvatureWeight, lam: float) -> None:
    # rounding of slopes and quotients; the two quadratures and the closed forms agree to 1e-14
    assert weighted_spline(X, Y, weight, smoothing=lam).certificate.worst < 1e-12


@pytest.mark.parametrize("lam", [0.0, 0.3])
@pytest.mark.parametrize("field", ["values", "density", "end_slopes", "weight", "smoothing"])
def test_certificate_rejects_a_perturbed_answer(field: str, lam: float) -> None:
    g = weighted_spline(X, Y, GaussianInit(1.0, 1.0), smoothing=lam)
    eps = 1e-7
    changed = {
        "values": g.values + eps * np.array([0, 0, 1, 0, 0]),
        "density": g.density + eps * np.array([0, 1, 0, 0, 0]),
        "end_slopes": (g.end_slopes[0] + eps, g.end_slopes[1]),
        "weight": GaussianInit(1.0, 1.0 + 10 * eps),
        "smoothing": lam + 1e-6,
    }[field]
    wrong = replace(g, **{field: changed})
    if field == "smoothing" and lam == 0.0:
        assert certify_spline(spline_data(X, Y), wrong).worst > 1e-9
        return
    assert certify_spline(spline_data(X, Y), wrong).worst > 1e-9


def test_certificate_rejects_another_spline() -> None:
    """A natural cubic spline presented as the Gaussian one passes the interpolation check and fails the other."""
    natural = weighted_spline(X, Y)
    verdict = certify_spline(spline_data(X, Y), replace(natural, weight=GaussianInit(1.0, 1.0)))
    assert verdict.interpolation < 1e-14
    assert verdict.euler_lagrange > 1e-2


def test_no_cheaper_interpolant_nearby() -> None:
    """Energy of g + εφ with φ = 0 at the knots grows by exactly ε²∫φ″²/ζ: orthogonality, by Gauss quadrature."""
    weight = GaussianInit(1.0, 1.0)
    g = weighted_spline(X, Y, weight)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    t = (X[:-1, None] + (nodes + 1) / 2).ravel()
    w = np.tile(weights / 2, 4)
    bump = np.array([np.polyval(np.polyder(np.poly(X), 2), s) for s in t])  # φ = Π(x − x_i)
    cross = float(np.sum(w * g.second_derivative(t) * bump / weight.zeta(t)))
    size = np.sqrt(g.energy * float(np.sum(w * bump**2 / weight.zeta(t))))
    assert abs(cross) < 1e-13 * size
    assert g.energy == pytest.approx(float(np.sum(w * g.second_derivative(t) ** 2 / weight.zeta(t))), rel=1e-13)


@given(
    seed=st.integers(0, 10**6), m=st.integers(2, 12), shift=st.floats(-5, 5), slope=st.floats(-5, 5),
    factor=st.sampled_from([-3.0, 0.5, 7.0]), lam=st.sampled_from([0.0, 0.1]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_affine_equivariance_order_and_zeta_scale(
    seed: int, m: int, shift: float, slope: float, factor: float, lam: float
) -> None:
    """Adding a line adds it; scaling y scales g; order does not matter; c·ζ leaves g and divides the energy by c."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-2, 2, m), rng.standard_normal(m)
    weight, at = UniformInit(1.0, 1.0), np.linspace(-2.5, 2.5, 41)
    g = weighted_spline(x, y, weight, smoothing=lam)
    size = 1.0 + np.abs(g(at)).max() + np.abs(g.density).max() + np.abs(np.diff(g.values) / np.diff(g.knots)).max()
    tolerance = 1e-10 * size * (10 + abs(shift) + abs(slope)) / min(1.0, float(np.diff(g.knots).min()))
    other = weighted_spline(x, y + slope * x + shift, weight, smoothing=lam)
    np.testing.assert_allclose(other(at), g(at) + slope * at + shift, atol=tolerance)
    times = weighted_spline(x, factor * y, weight, smoothing=lam)
    np.testing.assert_allclose(times(at), factor * g(at), atol=tolerance)
    order = rng.permutation(m)
    np.testing.assert_array_equal(weighted_spline(x[order], y[order], weight, smoothing=lam)(at), g(at))
    scaled = weighted_spline(x, y, FunctionWeight(lambda t: 5 * weight.zeta(t), kinks=weight.breakpoints()),
                             smoothing=5 * lam)  # fmt: skip
    np.testing.assert_allclose(scaled(at), g(at), atol=tolerance)
    assert scaled.energy == pytest.approx(g.energy / 5, rel=1e-8, abs=1e-12)


def test_smoothing_limits_and_monotonicity() -> None:
    rng = np.random.default_rng(3)
    x, y, omega = np.sort(rng.uniform(-2, 2, 12)), rng.standard_normal(12), rng.uniform(0.5, 2, 12)
    weight, at = GaussianInit(1.0, 1.0), np.linspace(-2, 2, 50)
    interpolant = weighted_spline(x, y, weight)
    almost = weighted_spline(x, y, weight, smoothing=1e-12, weights=omega)
    np.testing.assert_allclose(almost(x), y, atol=1e-5)
    line = np.polynomial.Polynomial.fit(x, y, 1, w=np.sqrt(omega))
    # λ∫ bounds the bend by 1/λ
    np.testing.assert_allclose(weighted_spline(x, y, weight, smoothing=1e12, weights=omega)(at), line(at), atol=1e-9)
    ladder = [weighted_spline(x, y, weight, smoothing=s, weights=omega) for s in (1e-3, 1e-1, 10.0)]
    energies = [interpolant.energy, *(g.energy for g in ladder)]
    residuals = [0.0, *(float(omega @ (g.values - y) ** 2) for g in ladder)]
    assert energies == sorted(energies, reverse=True)
    assert residuals == sorted(residuals)


def test_starting_function_shifts_the_problem() -> None:
    start = CubicSpline([-3.0, 0.0, 1.0, 3.0], [0.0, 1.0, -1.0, 2.0])
    g = weighted_spline(X, Y, UniformInit(1.0, 2.0), initial=start)
    change = weighted_spline(X, Y - start(X), UniformInit(1.0, 2.0))
    t = np.linspace(-2, 2, 33)
    for k in (0, 1, 2):
        np.testing.assert_allclose(g.derivative(k)(t), start.derivative(k)(t) + change.derivative(k)(t), atol=1e-13)
    assert g.energy == change.energy
    assert g.certificate.worst < 1e-13
    with pytest.raises(ValueError, match="no method `derivative`"):
        weighted_spline(X, Y, initial=np.sin).derivative(1)


def test_one_two_and_repeated_points() -> None:
    assert weighted_spline([3.0], [2.0])([0.0, 3.0, 9.0]).tolist() == [2.0, 2.0, 2.0]
    line = weighted_spline([1.0, 0.0], [3.0, 1.0], GaussianInit())
    np.testing.assert_allclose(line([-1.0, 0.5, 4.0]), [-1.0, 2.0, 9.0])
    assert line.energy == 0.0
    assert line.certificate.worst < 1e-15
    merged = weighted_spline([*X, 0.0], [*Y, 1.5])
    np.testing.assert_array_equal(merged.knots, X)
    with pytest.raises(ValueError, match=r"x = .*0\.0.* appears with different values y = .*1\.5.* and y = .*1\.6"):
        weighted_spline([*X, 0.0], [*Y, 1.6])
    # with λ > 0 the sum of squares only sees the mean, at weight two
    mean = weighted_spline(X, [1.5, 0.5, 1.55, 0.5, 1.5], smoothing=0.1, weights=[1, 1, 2, 1, 1])
    np.testing.assert_allclose(weighted_spline([*X, 0.0], [*Y, 1.6], smoothing=0.1)(X), mean(X), rtol=1e-14)


@pytest.mark.parametrize("gap", [1e-6, 1e-9, 1e-12])
def test_close_knots_keep_all_digits(gap: float) -> None:
    """Two knots `gap` apart on a smooth curve approach the spline with the slope prescribed there."""
    f = np.sin
    x = np.array([-1.0, 0.0, 0.5, 0.5 + gap, 1.0, 2.0])
    g = weighted_spline(x, f(x), GaussianInit(1.0, 1.0))
    # the pair prescribes the mean slope of the gap; ℓ turns by O(1) within it, so g′ departs from its mean by O(gap)
    quotient = np.diff(f(x))[2] / np.diff(x)[2]
    assert float(g.derivative(1)(0.5 + gap / 2)) == pytest.approx(quotient, abs=0.1 * gap + 1e-12)
    assert g.certificate.worst < 1e-13 + 1e-15 / gap * 1e-3
    smooth = weighted_spline(x, f(x), GaussianInit(1.0, 1.0), smoothing=1e-2)
    pair = weighted_spline(np.delete(x, 3), f(np.delete(x, 3)), GaussianInit(1.0, 1.0), smoothing=1e-2,
                           weights=[1, 1, 2, 1, 1])  # fmt: skip
    np.testing.assert_allclose(smooth(X), pair(X), atol=10 * gap + 1e-12)


def test_smoothing_with_two_knots_an_ulp_apart_is_certified_and_a_wrong_one_is_not() -> None:
    x, y = np.array([0.0, 0.3, 0.3 + 1e-12, 0.7, 1.0]), np.array([0.0, 1.0, 1.1, -0.2, 0.5])
    g = weighted_spline(x, y, smoothing=1.0)
    assert g.certificate.worst <= 1e-14
    # two points a picometre apart are one of twice the weight, up to the slope times their distance
    merged = weighted_spline(np.delete(x, 2), [0.0, 1.05, -0.2, 0.5], smoothing=1.0, weights=[1.0, 2.0, 1.0, 1.0])
    np.testing.assert_allclose(g(x), merged(x), rtol=0, atol=1e-11)
    for wrong in ([0, 1e-6, 1e-6, 0, 0], [0, 1e-6, -1e-6, 0, 0], [0, 0, 0, 1e-6, 0]):
        assert replace(g, values=g.values + np.array(wrong)).certificate.worst >= 1e-8


def test_huge_range_and_many_knots() -> None:
    x = np.linspace(-1.0, 1.0, 200_001)
    g = weighted_spline(x, np.sin(5 * x), GaussianInit(1.0, 1.0))
    at = np.linspace(-0.9, 0.9, 1001)  # h⁴·5⁴/384 ≈ 1e-20: rounding only
    np.testing.assert_allclose(g(at), np.sin(5 * at), atol=1e-13)
    wide = weighted_spline([-1e9, -1.0, 0.0, 1.0, 1e9], Y, UniformInit(1.0, 1.0))
    assert np.isfinite(wide.energy)
    assert wide.certificate.worst < 1e-12


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0.0, 1.0], [1.0]), {}, r"shapes \(2,\) and \(1,\)"),
        (([], []), {}, "length ≥ 1"),
        (([0.0, np.nan], [1.0, 2.0]), {}, "x holds 1 number"),
        (([0.0, 1.0], [1.0, np.inf]), {}, "y holds 1 number"),
        ((X, Y), {"smoothing": -1.0}, "finite and ≥ 0"),
        ((X, Y), {"weights": [1, 1, 0, 1, 1]}, "must be positive"),
        ((X, Y, BinaryUniformInit(1.5)), {}, r"2 data point\(s\) outside the support \[-1\.5, 1\.5\].*x\[0\] = -2"),
        ((X, Y, FunctionWeight(lambda t: (np.abs(t) > 1.0).astype(float))), {}, "around the knot x = 0"),
    ],
)
def test_refusals(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_spline(*arguments, **options)


def test_derivative_order_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 0, 1 or 2"):
        weighted_spline(X, Y).derivative(3)


def test_a_spline_is_immutable() -> None:
    g: WeightedSpline = weighted_spline(X, Y)
    with pytest.raises(AttributeError):
        g.energy = 0.0  # type: ignore[misc]
