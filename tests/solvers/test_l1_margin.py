"""ℓ1 and Fourier ℓ1 max margin: Clarabel, hand-made cases, symmetries, and exact ties where `unique` must be False."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from solvers import L2, Bridge, FourierBridge, Status, Uniqueness, max_margin

NORMS = [Bridge(1), FourierBridge(1)]
TIGHT = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}


def angle(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel() / np.linalg.norm(a), b.ravel() / np.linalg.norm(b)
    return float(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))


def separable(n: int, shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, *shape))
    return X, np.sign(X.reshape(n, -1) @ rng.standard_normal(int(np.prod(shape))))


def dft_matrix(shape: tuple[int, ...]) -> np.ndarray:
    """The unitary DFT of flattened arrays, from its definition (Kronecker product over the axes)."""
    matrix = np.ones((1, 1))
    for n in shape:
        k = np.arange(n)
        matrix = np.kron(matrix, np.exp(-2j * np.pi * np.outer(k, k) / n) / np.sqrt(n))
    return matrix


def reference(X: np.ndarray, y: np.ndarray, regularizer: Bridge) -> np.ndarray:
    """The program as the paper prints it, complex variables and all, by Clarabel."""
    flat = X.reshape(len(X), -1)
    beta = cp.Variable(flat.shape[1])
    spectrum = dft_matrix(X.shape[1:]) @ beta if isinstance(regularizer, FourierBridge) else beta
    problem = cp.Problem(cp.Minimize(cp.norm1(spectrum)), [cp.multiply(y, flat @ beta) >= 1])
    with warnings.catch_warnings():
        # asked for all its digits Clarabel often stops at "almost solved"; the comparison at 1e-7 decides
        warnings.filterwarnings("ignore", "Solution may be inaccurate")
        problem.solve(solver="CLARABEL", **TIGHT)
    return beta.value.reshape(X.shape[1:]) / (y * (flat @ beta.value)).min()


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (8,), (31,), (32,)])
@pytest.mark.parametrize("n", [1, 6, 20])
def test_signals_agree_with_clarabel(regularizer: Bridge, shape: tuple[int, ...], n: int) -> None:
    X, y = separable(n, shape, seed=n)
    solution, other = max_margin(X, y, regularizer), reference(X, y, regularizer)
    assert solution.status is Status.OPTIMAL
    assert solution.certificate.worst <= 1e-9
    assert solution.objective == pytest.approx(regularizer.value(other), rel=1e-7)
    assert solution.unique is Uniqueness.UNIQUE  # Gaussian data have no ties
    assert angle(solution.beta, other) <= 1e-5


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 4), (1, 6), (6, 1)])
def test_images_agree_with_clarabel(shape: tuple[int, int]) -> None:
    X, y = separable(8, shape, seed=11)
    solution, other = max_margin(X, y, FourierBridge(1)), reference(X, y, FourierBridge(1))
    assert solution.beta.shape == shape
    assert solution.objective == pytest.approx(FourierBridge(1).value(other), rel=1e-7)
    assert angle(solution.beta, other) <= 1e-5
    if 1 in shape:  # a one-row image is a signal
        signal = max_margin(X.reshape(8, -1), y, FourierBridge(1))
        np.testing.assert_allclose(solution.beta.ravel(), signal.beta, atol=1e-12 * solution.objective)


def test_l1_of_images_is_l1_of_their_pixels() -> None:
    X, y = separable(8, (4, 5), seed=12)
    np.testing.assert_allclose(
        max_margin(X, y, Bridge(1)).beta.ravel(), max_margin(X.reshape(8, -1), y, Bridge(1)).beta, atol=1e-13
    )


def test_one_point_by_hand() -> None:
    """N = 1: all of β on the largest coefficient of x, value 1/R°(x)."""
    x = np.array([0.5, -3.0, 1.0, 2.0])
    solution = max_margin(x[None], [1], Bridge(1))
    np.testing.assert_allclose(solution.beta, [0, -1 / 3, 0, 0], atol=1e-15)
    d = 9
    wave = np.cos(2 * np.pi * 2 * np.arange(d) / d) + 0.3
    solution = max_margin(wave[None], [-1], FourierBridge(1))
    # |x̂| = √D/2 on ±2, 0.3√D at 0: β is −(2/D)cos, of value 2/√D
    np.testing.assert_allclose(solution.beta, -2 / d * np.cos(2 * np.pi * 2 * np.arange(d) / d), atol=1e-15)
    assert solution.objective == pytest.approx(2 / np.sqrt(d), rel=1e-14)
    assert solution.certificate.support_size == 2


def test_orthonormal_waves_decouple() -> None:
    """Points that are different pure frequencies: each constraint is paid for by its own frequency."""
    d, k = 8, np.arange(8)
    waves = np.array([np.ones(d), (-1.0) ** k, np.cos(2 * np.pi * k / d + 0.7), np.sin(2 * np.pi * 3 * k / d)])
    solution = max_margin(waves, [1, -1, 1, 1], FourierBridge(1))
    expected = waves[0] / d - waves[1] / d + 2 / d * waves[2] + 2 / d * waves[3]
    np.testing.assert_allclose(solution.beta, expected, atol=1e-14)
    assert solution.objective == pytest.approx((1 + 1 + 2 + 2) / np.sqrt(d), rel=1e-14)
    assert solution.unique is Uniqueness.UNIQUE


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(2, 10), st.floats(-5, 5))
def test_signed_permutation_scaling_label_flip(seed: int, n: int, d: int, log_scale: float) -> None:
    X, y = separable(n, (d,), seed)
    rng = np.random.default_rng(seed)
    solution = max_margin(X, y, Bridge(1))
    beta, scale = solution.beta, 10.0**log_scale
    permutation, signs = rng.permutation(d), rng.choice([-1.0, 1.0], d)
    # a vertex moves by ε times the condition of its basis, of order ‖β‖₁ ‖X‖ here
    atol = 1e-12 * solution.objective * max(1.0, solution.objective)
    np.testing.assert_allclose(
        max_margin((X * signs)[:, permutation], y, Bridge(1)).beta, (beta * signs)[permutation], rtol=0, atol=atol
    )
    np.testing.assert_allclose(max_margin(X, -y, Bridge(1)).beta, -beta, rtol=0, atol=atol)
    np.testing.assert_allclose(max_margin(scale * X, y, Bridge(1)).beta * scale, beta, rtol=0, atol=atol)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(2, 11), st.integers(1, 10), st.floats(-5, 5))
def test_circular_shift_reflection_modulation(seed: int, n: int, d: int, shift: int, log_scale: float) -> None:
    X, y = separable(n, (d,), seed)
    solution = max_margin(X, y, FourierBridge(1))
    beta, scale = solution.beta, 10.0**log_scale
    atol = 1e-10 * solution.objective * max(1.0, solution.objective)

    def same(transformed: np.ndarray, expected: np.ndarray) -> None:
        found = max_margin(transformed, y, FourierBridge(1)).beta
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol)

    same(np.roll(X, shift, axis=1), np.roll(beta, shift))
    same(X[:, ::-1], beta[::-1])
    np.testing.assert_allclose(max_margin(scale * X, y, FourierBridge(1)).beta * scale, beta, rtol=0, atol=atol)
    if d % 2 == 0:
        alternating = (-1.0) ** np.arange(d)
        same(X * alternating, beta * alternating)


# Ties. In each the optimal face is more than a point, and a solver is only honest if it says so.
TIES = [
    ("l1, equal coordinates", Bridge(1), [[1.0, 1.0]], [1]),
    ("l1, equal up to sign", Bridge(1), [[2.0, -2.0, 1.0]], [-1]),
    ("l1, twin columns in many points", Bridge(1), [[1.0, 1.0, 0.5], [-2.0, -2.0, 3.0]], [1, -1]),
    ("l1, two points, an edge", Bridge(1), [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]], [1, 1]),
    ("l1, an edge cut by an inactive point", Bridge(1), [[1.0, 1.0], [2.0, 1.5]], [1, 1]),
    ("Fourier, an impulse", FourierBridge(1), np.eye(1, 8), [1]),
    ("Fourier, an impulse, odd length", FourierBridge(1), np.eye(1, 7), [1]),
    ("Fourier, two waves of one size", FourierBridge(1),
     [np.cos(2 * np.pi * np.arange(9) / 9) + np.sin(2 * np.pi * 3 * np.arange(9) / 9)], [1]),
    ("Fourier, mean and Nyquist of one size", FourierBridge(1), [1 + (-1.0) ** np.arange(6)], [1]),
    ("Fourier, an impulse in an image", FourierBridge(1), np.eye(1, 16).reshape(1, 4, 4), [-1]),
]  # fmt: skip


@pytest.mark.parametrize(("regularizer", "X", "y"), [t[1:] for t in TIES], ids=[t[0] for t in TIES])
def test_exact_ties_are_called_not_unique(regularizer: Bridge, X: list, y: list) -> None:
    solution = max_margin(X, y, regularizer)
    assert solution.status is Status.OPTIMAL
    assert solution.unique is Uniqueness.NOT_UNIQUE


def width_of_l1_face(A: np.ndarray, value: float) -> float:
    """The largest extent, over coordinates, of {Aβ ≥ 1, ‖β‖₁ ≤ value}: 2D linear programs."""
    n, d = A.shape
    inequality = np.vstack([-np.hstack([A, -A]), np.ones((1, 2 * d))])
    right = np.append(-np.ones(n), value * (1 + 1e-12))
    widths = []
    for j in range(d):
        c = np.zeros(2 * d)
        c[j], c[d + j] = 1.0, -1.0
        ends = [linprog(s * c, A_ub=inequality, b_ub=right, bounds=(0, None), method="highs") for s in (1, -1)]
        assert all(e.status == 0 for e in ends)
        widths.append(float(-ends[1].fun - ends[0].fun))
    return max(widths)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 5))
def test_uniqueness_on_a_coarse_grid_against_the_extent_of_the_face(seed: int, n: int, d: int) -> None:
    """Integer points tie often; vertices of such programs differ by at least 1/det², about 1e-4 and mostly more."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (n, d)).astype(float)
    y = np.sign(X @ rng.standard_normal(d))
    if (y == 0).any():
        return
    solution = max_margin(X, y, Bridge(1))
    width = width_of_l1_face(y[:, None] * X, solution.objective)
    assert solution.unique is (Uniqueness.UNIQUE if width < 1e-5 else Uniqueness.NOT_UNIQUE), width


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
def test_a_tie_broken_by_little_is_unique_again(regularizer: Bridge) -> None:
    x = np.array([[1.0, 1.0, 0.0]]) if not isinstance(regularizer, FourierBridge) else np.eye(1, 8)
    assert max_margin(x, [1], regularizer).unique is Uniqueness.NOT_UNIQUE
    tilt = np.array([[1e-3, 0, 0]]) if x.size == 3 else 1e-3 * np.cos(2 * np.pi * 2 * np.arange(8) / 8)[None]
    assert max_margin(x + tilt, [1], regularizer).unique is Uniqueness.UNIQUE


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
@pytest.mark.parametrize("data", ["digits", "wine"])
def test_real_tables(regularizer: Bridge, data: str) -> None:
    table = load_digits() if data == "digits" else load_wine()
    chosen = np.isin(table.target, (3, 8) if data == "digits" else (0, 1))
    X, target = table.data[chosen], table.target[chosen]
    y = np.where(target == target.max(), 1.0, -1.0)
    solution = max_margin(X, y, regularizer)
    assert solution.status is Status.OPTIMAL
    assert solution.certificate.worst <= 1e-9
    assert solution.objective == pytest.approx(regularizer.value(reference(X, y, regularizer)), rel=1e-7)


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
@pytest.mark.parametrize("case", ["many points", "twice the points", "columns 1e±8", "correlated", "one wide"])
def test_certificates_on_random_families(regularizer: Bridge, case: str) -> None:
    rng = np.random.default_rng(17)
    if case == "many points":
        X, y = separable(400, (6,), seed=18)
    elif case == "twice the points":
        X, y = separable(10, (24,), seed=19)
        X, y = np.vstack([X, X]), np.concatenate([y, y])
    elif case == "columns 1e±8":
        X, y = separable(20, (30,), seed=20)
        X = X * np.where(np.arange(30) % 2, 1e8, 1e-8)
    elif case == "correlated":
        X = np.cumsum(rng.standard_normal((25, 60)), axis=1)
        y = np.sign(X @ rng.standard_normal(60))
    else:
        X, y = separable(3, (2000,), seed=21)
    solution = max_margin(X, y, regularizer)
    assert solution.status is Status.OPTIMAL
    assert solution.certificate.worst <= 1e-9
    assert (y * (X @ solution.beta)).min() >= 1 - 1e-10


def test_norms_order_the_optimal_values() -> None:
    """‖β‖₂ ≤ ‖β‖₁ ≤ √D‖β‖₂ pointwise, hence for the minima; the same for the Fourier norm."""
    X, y = separable(10, (16,), seed=22)
    l2 = max_margin(X, y, L2()).objective
    for regularizer in NORMS:
        assert l2 <= max_margin(X, y, regularizer).objective <= 4 * l2 * (1 + 1e-12)


@pytest.mark.parametrize("regularizer", NORMS, ids=str)
@pytest.mark.parametrize("ones", [False, True])
def test_a_real_table_with_relative_margin_1e_8(regularizer: Bridge, ones: bool) -> None:
    """Raw breast-cancer columns run to 4254 and ‖β‖ is 2.5e4: margins and Aᵀα are sums of 1e8 that cancel to one."""
    table = load_breast_cancer()
    X, y = table.data, 2.0 * table.target - 1
    if ones:
        X = np.hstack([X, np.ones((569, 1))])
    solution = max_margin(X, y, regularizer)
    # A gap of 1e-9 is finer than float64 multipliers can express here. Rounding α moves the d-th entry of Aᵀα by up to
    # ε/2 Σ α_n |x_nd| = 4e-9, more or less on every processor; ℓ1 has met 3e-11 to 1.4e-9. Rounding the transformed
    # points moves Aᵀα by at most ε/2 max‖x‖ Σα = 7e-8, and by a tenth of it or less where signs are mixed.
    rounding = 2.0**-53 * (solution.dual @ np.abs(X)).max()
    assert 3e-9 < rounding < 2e-8
    assert solution.certificate.worst <= (5e-9 if isinstance(regularizer, FourierBridge) else rounding)
    assert (solution.status is Status.OPTIMAL) == (solution.certificate.worst <= 1e-9)


@pytest.mark.numerical
def test_a_near_contradiction_is_polished_in_the_longest_format_as_far_as_its_steps_go() -> None:
    """The dual in long double by hand. Were the polish dropped at 1e-11, rounding b would cost 2.6e-9."""
    rng = np.random.default_rng(100)
    X = rng.standard_normal((24, 30))
    X[-1] = X[0] + 1e-7 * rng.standard_normal(30)
    y = np.where(rng.random(24) < 0.5, -1.0, 1.0)
    y[-1] = -y[0]
    solution = max_margin(X, y, Bridge(1))
    A = (y[:, None] * X).astype(np.longdouble)
    beta, alpha = solution.beta.astype(np.longdouble), solution.dual.astype(np.longdouble)
    value = np.abs(beta).sum() / (A * beta).sum(axis=1).min()
    bound = alpha.sum() / np.abs((A * alpha[:, None]).sum(axis=0)).max()
    assert (alpha >= 0).all()
    assert float(1 - bound / value) <= 1e-9
    assert solution.status is Status.OPTIMAL
