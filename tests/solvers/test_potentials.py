"""Potentials of diagonal and balanced networks: check values, identities, limits, and mpmath."""

import time

import mpmath as mp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from solvers import (
    L2,
    BalancedPotential,
    Bridge,
    DiagonalPotential,
    DifferencePotential,
    HyperbolicEntropy,
    InconsistentDataError,
    SeparablePotential,
    Status,
    min_norm,
)

X2, Y2 = np.array([[1.0, 2.0, -1.0], [2.0, -1.0, 3.0]]), np.array([1.0, 2.0])


@pytest.mark.parametrize(("alpha", "first"), [(1.0, 0.669650719627), (0.1, 0.905867726956), (0.01, 0.990050874937)])
def test_values_of_the_hyperbolic_entropy(alpha, first):
    solution = min_norm(X2, Y2, HyperbolicEntropy(alpha))
    np.testing.assert_allclose(solution.beta, [first, 1 - first, 1 - first], atol=1e-12)
    # β = 2α² sinh(Xᵀν), and R as it is printed
    np.testing.assert_allclose(2 * alpha**2 * np.sinh(X2.T @ solution.dual), solution.beta, rtol=1e-12)
    z = solution.beta / alpha**2
    printed = alpha**2 * (2 - np.sqrt(4 + z**2) + z * np.arcsinh(z / 2)).sum()
    assert solution.objective == pytest.approx(printed, rel=1e-10)


@pytest.mark.parametrize("alpha", [1e-12, 1e-8, 1e-4, 1e-2, 1.0, 10.0, 1e6])
def test_fifty_points_in_a_thousand_dimensions(alpha):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 1000))
    for y in (X[:, :5].sum(axis=1), rng.standard_normal(50)):
        began = time.process_time()
        solution = min_norm(X, y, HyperbolicEntropy(alpha))
        assert time.process_time() - began < 0.5  # 7 ms measured at most for α ≥ 1e-8; wide for a loaded machine
        assert abs(solution.gap) <= 1e-12
        assert solution.residual <= 1e-13
        assert solution.stats["iterations"] <= 60


@pytest.mark.parametrize("z", [1e-12, 1e-3, 0.4999, 0.5001, 3.0, 40.0])
def test_value_and_conjugate_keep_their_digits(z):
    """At z = 1e-12 the printed formula has no digit left; here every one is there."""
    mp.mp.dps = 60
    alpha, start = mp.mpf("0.03"), mp.mpf("-0.5")
    with mp.workdps(60):
        s = mp.asinh(start / (2 * alpha**2))
        beta = 2 * alpha**2 * mp.sinh(s + mp.mpf(z))
        value = 2 * alpha**2 * (mp.mpf(z) * mp.sinh(s + mp.mpf(z)) - mp.cosh(s + mp.mpf(z)) + mp.cosh(s))
        conjugate = mp.mpf(z) * beta - value
    potential = HyperbolicEntropy(0.03, start=-0.5)
    at = np.array([z])
    assert potential.conjugate(at) == pytest.approx(float(conjugate), rel=1e-14)
    found = potential.inverse_gradient(at)
    assert found[0] == pytest.approx(float(beta), rel=1e-14)
    if z > 1e-6:  # below, rounding β moves z
        assert potential.value(found) == pytest.approx(float(value), rel=1e-9)


POTENTIALS = [
    HyperbolicEntropy(0.3),
    HyperbolicEntropy([0.3, 0.01, 2.0], shape=0.6, start=[0.5, -1.0, 0.0]),
    HyperbolicEntropy.of_weights([0.5, 0.2, 0.3], [0.1, -0.4, 0.3]),
    DifferencePotential(0.4, 3),
    DifferencePotential([0.4, 1.0, 0.1], 5),
    DiagonalPotential([[0.3, 0.2, 0.5], [0.1, -0.4, 0.5], [0.2, 0.9, -0.7]]),
    DiagonalPotential([[0.3, 0.2, 0.5], [0.1, -0.4, 0.5], [0.2, 0.9, -0.7], [0.0, 0.1, 0.6]]),
    BalancedPotential([0.3, -0.2, 0.1]),
    BalancedPotential([0.3, -0.2, 0.1], 4),
    BalancedPotential([0.3, -0.2, 0.1], 1),
]


@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda p: p.formula)
def test_gradient_conjugate_and_minimum(potential):
    rng = np.random.default_rng(1)
    start = potential.inverse_gradient(np.zeros(3))
    assert potential.value(start) == pytest.approx(0.0, abs=1e-14)
    z = 0.2 * rng.standard_normal(3)
    beta = potential.inverse_gradient(z)
    np.testing.assert_allclose(potential.gradient(beta), z, rtol=1e-8, atol=1e-10)
    # Fenchel: equality at β = ∇R*(z), strict elsewhere
    assert potential.value(beta) + potential.conjugate(z) == pytest.approx(z @ beta, rel=1e-9, abs=1e-12)
    assert potential.value(1.1 * beta) + potential.conjugate(z) > z @ (1.1 * beta)
    steps = 1e-4 * np.abs(beta)
    numeric = [(potential.value(beta + h) - potential.value(beta - h)) for h in np.diag(steps)] / (2 * steps)
    np.testing.assert_allclose(numeric, z, rtol=1e-5, atol=1e-7)
    if isinstance(potential, SeparablePotential):
        curvature = (potential.inverse_gradient(z + 1e-6) - potential.inverse_gradient(z - 1e-6)) / 2e-6
        np.testing.assert_allclose(potential.inverse_curvature(z), curvature, rtol=1e-6)


@pytest.mark.parametrize("potential", POTENTIALS, ids=lambda p: p.formula)
def test_the_optimum_satisfies_its_equations(potential):
    solution = min_norm(X2, Y2, potential)
    assert solution.status is Status.OPTIMAL
    assert abs(solution.gap) <= 1e-12
    np.testing.assert_allclose(potential.gradient(solution.beta), X2.T @ solution.dual, rtol=1e-8, atol=1e-9)
    null = np.array([1.0, -1.0, -1.0])  # X null = 0
    assert all(potential.value(solution.beta + t * null) > solution.objective for t in (-1e-3, 1e-3))


def flow_of(layers, D):
    """The limit of gradient flow on w₁⊙…⊙w_L, integrated."""

    def velocity(t, w):
        W = w.reshape(-1, D)
        g = X2.T @ (Y2 - X2 @ W.prod(axis=0))
        return np.concatenate([np.delete(W, j, axis=0).prod(axis=0) * g for j in range(len(W))])

    end = solve_ivp(velocity, (0.0, 1e4), np.ravel(layers), method="LSODA", rtol=1e-10, atol=1e-13).y[:, -1]
    return end.reshape(-1, D).prod(axis=0)


@pytest.mark.parametrize("index", [2, 5, 6])
def test_the_flow_ends_there(index):
    layers = {2: [[0.5, 0.2, 0.3], [0.1, -0.4, 0.3]], 5: POTENTIALS[5].weights, 6: POTENTIALS[6].weights}[index]
    np.testing.assert_allclose(flow_of(layers, 3), min_norm(X2, Y2, POTENTIALS[index]).beta, atol=1e-8)


@pytest.mark.parametrize("depth", [3, 4])
def test_the_network_of_differences_of_powers(depth):
    alpha = 0.6

    def velocity(t, w):
        u, v = w[:3], w[3:]
        g = X2.T @ (Y2 - X2 @ (u**depth - v**depth))
        return depth * np.concatenate([u ** (depth - 1) * g, -(v ** (depth - 1)) * g])

    end = solve_ivp(velocity, (0.0, 1e4), np.full(6, alpha), method="LSODA", rtol=1e-10, atol=1e-13).y[:, -1]
    found = min_norm(X2, Y2, DifferencePotential(alpha, depth)).beta
    np.testing.assert_allclose(end[:3] ** depth - end[3:] ** depth, found, atol=1e-8)


def test_shape_and_general_start_are_other_scales():
    """a·b − c·d from a = c, b = d: p = m = ½·(a² + b²)/2; α² = ab grows by (1 + s²)/(1 − s²) = (a² + b²)/(2ab)."""
    a, b = 0.9, 0.2
    shaped = HyperbolicEntropy(np.sqrt(a * b), shape=(a - b) / (a + b))
    plain = HyperbolicEntropy(np.sqrt((a * a + b * b) / 2))
    np.testing.assert_allclose(min_norm(X2, Y2, shaped).beta, min_norm(X2, Y2, plain).beta, rtol=1e-12)
    # u⊙v is (u + v)²/4 − (u − v)²/4
    u, v = np.array([0.5, 0.2, 0.3]), np.array([0.1, -0.4, 0.7])
    made = HyperbolicEntropy(0.5 * np.sqrt(np.abs(u * u - v * v)), start=u * v)
    np.testing.assert_allclose(
        min_norm(X2, Y2, made).beta, min_norm(X2, Y2, HyperbolicEntropy.of_weights(u, v)).beta, rtol=1e-12
    )


def test_both_ends_of_the_scale():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((4, 12))
    y = X[:, 0] - X[:, 5]
    l1, l2 = min_norm(X, y, Bridge(1)), min_norm(X, y, L2())
    equal = np.ones((3, 12))
    equal[2] = 0.0
    for small, large in (
        (HyperbolicEntropy(1e-60), HyperbolicEntropy(1e6)),
        (DifferencePotential(1e-3, 3), DifferencePotential(1e3, 3)),
        (DiagonalPotential(1e-3 * equal), DiagonalPotential(1e3 * equal)),
    ):
        # the excess of ℓ1 is of the order of 1/ln(1/α²) where exponents rule, of α where powers do
        assert np.abs(min_norm(X, y, small).beta).sum() < 1.01 * l1.objective
        np.testing.assert_allclose(min_norm(X, y, large).beta, l2.beta, atol=1e-5)


def test_from_a_start_of_its_own_shape_depth_three_is_a_weighted_l1():
    """Small Gaussian weights: G at the end of its range, 1/weight, differs from coefficient to coefficient."""
    layers = 1e-3 * np.random.default_rng(5).standard_normal((3, 3))
    potential = DiagonalPotential(layers)
    far = np.full(3, 1e3)
    with np.errstate(over="ignore"):
        ends = potential.gradient(far), potential.gradient(-far)
    solution = min_norm(X2, Y2, potential)
    z = X2.T @ solution.dual
    on = np.abs(solution.beta) > 1e-2
    limits = np.where(solution.beta > 0, *ends)
    np.testing.assert_allclose(z[on], limits[on], rtol=1e-2)
    assert np.ptp(np.abs(limits)) > 0.1 * np.abs(limits).max()


def test_signs_that_a_start_fixes():
    positive = HyperbolicEntropy.of_weights([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    assert (min_norm(X2, Y2, positive).beta > 0).all()
    with pytest.raises(InconsistentDataError, match="signs") as caught:
        min_norm(X2, [1.0, -8.0], positive)
    c = caught.value.combination
    assert (X2.T @ c).max() <= 1e-9
    assert c @ [1.0, -8.0] > 1e-3  # no β ≥ 0 fits
    frozen = DiagonalPotential([[0.5, 0.0, 0.1], [0.5, 0.0, 0.2], [0.3, 0.1, 0.4]])
    assert min_norm(X2, Y2, frozen).beta[1] == 0.0
    with pytest.raises(InconsistentDataError, match="cannot leave zero"):
        min_norm([[0.0, 1.0, 0.0]], [1.0], frozen)
    # on the border of what the signs allow no multipliers exist; those at hand prove the infimum
    border = min_norm(np.eye(3), [1.0, 0.0, 1.0], positive)
    assert border.status is Status.OPTIMAL
    assert border.beta[1] < 1e-12


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: HyperbolicEntropy(-1.0), "at least 0"),
        (lambda: HyperbolicEntropy(1.0, shape=1.0), "shape"),
        (lambda: HyperbolicEntropy(1e-160), "1e-290"),
        (lambda: HyperbolicEntropy([1.0, 2.0], start=[1.0, 2.0, 3.0]), "one shape"),
        (lambda: DiagonalPotential(np.ones((2, 3))), "of_weights"),
        (lambda: DifferencePotential(1.0, 2), "HyperbolicEntropy"),
        (lambda: DifferencePotential(0.0, 3), "positive"),
        (lambda: BalancedPotential([0.0, 0.0]), "zero"),
    ],
)
def test_bad_parameters(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()


def sparse_targets():
    X = np.random.default_rng(5).standard_normal((9, 20))
    return X, X[:, :3] @ [1.0, -2.0, 0.5]


@pytest.mark.parametrize("alpha", [1e-6, 1e-12])
@pytest.mark.parametrize("depth", [3, 5])
def test_sparse_targets_from_small_starts(alpha, depth):
    """What rounding leaves of the targets is as large as the coefficients that are nearly zero."""
    X, y = sparse_targets()
    layers = np.random.default_rng(6).standard_normal((depth, 20))
    equal = DiagonalPotential(alpha * np.vstack([np.ones((depth - 1, 20)), np.zeros(20)]))
    for potential in (DifferencePotential(alpha, depth), equal, DiagonalPotential(alpha * layers)):
        solution = min_norm(X, y, potential)
        assert solution.status is Status.OPTIMAL
        assert solution.worst <= 1e-12
        # no worse than the sparse predictor, and not below the norm that R tends to
        assert solution.objective <= potential.value(np.concatenate([[1.0, -2.0, 0.5], np.zeros(17)])) * (1 + 1e-12)


def test_the_range_of_the_gradient():
    """Its ends are where ∇R goes far out."""
    far = np.full(3, 1e40)
    for potential in (
        DifferencePotential(0.3, 4),
        DiagonalPotential([[0.3, 0.2, 0.5], [0.1, -0.4, 0.4], [0.2, 0.9, -0.7]]),
    ):
        low, high = potential.slopes((3,))
        np.testing.assert_allclose(potential.gradient(far), high, rtol=1e-9)
        np.testing.assert_allclose(potential.gradient(-far), low, rtol=1e-9)
    low, high = DiagonalPotential([[0.3, 0.3], [0.3, -0.3], [0.5, 0.5]]).slopes((2,))
    assert (low[0], high[1]) == (-np.inf, np.inf)  # tied factors keep a sign, and reach 0 at infinity only
    assert np.isfinite([high[0], low[1]]).all()


@pytest.mark.parametrize("seed", [1, 3])
def test_coefficients_that_only_zero_fits(seed):
    """Five positive combinations of three of eight coefficients: nothing else that is nowhere negative fits."""
    X = np.abs(np.random.default_rng(seed).standard_normal((5, 8)))
    sparse = np.where(np.arange(8) < 3, 1.0, 0.0)
    tied = np.array([[0.1] * 8, [0.1] * 8, [0.3] * 8])
    for potential in (HyperbolicEntropy(0.0, start=1.0), DiagonalPotential(tied)):
        solution = min_norm(X, X @ sparse, potential)
        assert solution.status is Status.OPTIMAL
        np.testing.assert_allclose(solution.beta, sparse, atol=1e-9)
        assert (solution.beta >= 0).all()
        assert solution.objective == pytest.approx(potential.value(sparse), rel=1e-9)
        nothing = min_norm(X, np.zeros(5), potential)
        assert nothing.status is Status.OPTIMAL
        assert not nothing.beta.any()
    # R(1) = 0, R(0) = 1 for β ln β − β + 1
    assert min_norm(X, X @ sparse, HyperbolicEntropy(0.0, start=1.0)).objective == pytest.approx(5.0, rel=1e-12)
    with pytest.raises(InconsistentDataError, match="signs that this start fixes"):
        min_norm(X, -X @ sparse, HyperbolicEntropy(0.0, start=1.0))


@pytest.mark.parametrize("kind", [HyperbolicEntropy, lambda alpha: DifferencePotential(alpha, 3)], ids=["q2", "q3"])
def test_images_are_their_pixels(kind):
    rng = np.random.default_rng(7)
    X, y, scales = rng.standard_normal((5, 3, 4)), rng.standard_normal(5), 0.1 * np.arange(1.0, 13.0)
    for shaped, flat in ((0.1, 0.1), (scales.reshape(3, 4), scales)):
        found = min_norm(X, y, kind(shaped))
        assert found.status is Status.OPTIMAL
        np.testing.assert_array_equal(found.beta.reshape(-1), min_norm(X.reshape(5, 12), y, kind(flat)).beta)
