"""The values that claims state, against scipy and numpy: what the algebra is about is true."""

import math

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp
from scipy.optimize import linprog, minimize

from proofs.catalogue import claims

BETA = np.array([3.0, -1.0])
STARTS = np.random.default_rng(0).standard_normal((12, 64))


def formula(claim: str, part: str):
    return claims()[claim].formula[part]


def number(value) -> float:
    return float(sympy.N(value))


def least(objective, constraint, count: int, *, above=None) -> float:
    """The least feasible objective that SLSQP finds from several starts; `above` are inequalities ≥ 0."""
    conditions = [{"type": "eq", "fun": constraint}, *([{"type": "ineq", "fun": above}] if above else [])]
    found = [
        minimize(
            objective,
            np.abs(start[:count]),
            constraints=conditions,
            method="SLSQP",
            options={"maxiter": 300, "ftol": 1e-12},
        )
        for start in STARTS
    ]
    return min(answer.fun for answer in found if answer.success and np.abs(constraint(answer.x)).max() < 1e-8)


@pytest.mark.parametrize("widths", [(2,), (3,), (2, 2)])
def test_least_largest_entry_of_a_fully_connected_network(widths: tuple[int, ...]) -> None:
    shapes = list(zip((2, *widths), (*widths, 1), strict=True))
    count = sum(map(math.prod, shapes)) + 1

    def product(x) -> np.ndarray:
        matrices, at = [], 1
        for shape in shapes:
            matrices.append(x[at : at + math.prod(shape)].reshape(shape))
            at += math.prod(shape)
        return np.linalg.multi_dot(matrices).ravel() - BETA

    value = number(formula("cost-max", "value")(sympy.Integer(3), sympy.Integer(math.prod(widths)), len(shapes)))
    found = least(lambda x: x[0], product, count, above=lambda x: np.r_[x[0] - x[1:], x[0] + x[1:]])
    assert found == pytest.approx(value, rel=1e-6)


def test_least_sum_of_entries_of_a_fully_connected_network() -> None:
    """Entries as differences of nonnegative parts, two hidden units."""

    def weights(x) -> np.ndarray:
        return x[:6] - x[6:12]

    value = number(formula("cost-l1", "value")(sympy.Integer(4), sympy.Integer(2)))
    found = least(
        lambda x: x[:12].sum(),
        lambda x: weights(x)[:4].reshape(2, 2) @ weights(x)[4:] - BETA,
        12,
        above=lambda x: x[:12],
    )
    assert found == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(("p", "depth"), [(1.5, 2), (3.0, 2), (2.0, 3)])
def test_least_norm_of_a_diagonal_network(p: float, depth: int) -> None:
    b = np.abs(BETA)
    value = number(formula("cost-diagonal", "value")((b ** (p / depth)).sum() ** (depth / p), p, sympy.Integer(depth)))
    found = least(
        lambda w: (np.abs(w) ** p).sum() ** (1 / p), lambda w: w.reshape(depth, 2).prod(axis=0) - b, 2 * depth
    )
    assert found == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("depth", [2, 3])
def test_least_frobenius_norms_of_several_outputs(depth: int) -> None:
    B = np.array([[2.0, 1.0], [0.0, 1.5]])
    singular = np.linalg.svd(B, compute_uv=False)
    value = sum(number(formula("cost-schatten", "share")(s, sympy.Integer(depth))) for s in singular)
    found = least(
        lambda w: (w**2).sum(), lambda w: (np.linalg.multi_dot(w.reshape(depth, 2, 2)) - B).ravel(), 4 * depth
    )
    assert found == pytest.approx(value, rel=1e-6)


def test_no_factorization_has_a_smaller_spectral_norm() -> None:
    rng = np.random.default_rng(1)
    B = rng.standard_normal((3, 3))
    value = number(formula("cost-spectral", "value")(np.linalg.norm(B, 2), sympy.Integer(2)))
    for _ in range(200):
        G = rng.standard_normal((3, 3))
        G *= np.sqrt(np.linalg.norm(B @ np.linalg.inv(G), 2) / np.linalg.norm(G, 2))
        assert max(np.linalg.norm(G, 2), np.linalg.norm(B @ np.linalg.inv(G), 2)) >= value * (1 - 1e-12)
    Q, s, P = np.linalg.svd(B)
    root = np.diag(np.sqrt(s))
    assert max(np.linalg.norm(Q @ root, 2), np.linalg.norm(root @ P, 2)) == pytest.approx(value)


def test_weak_duality_encloses_the_optimum_of_a_linear_program() -> None:
    """min ‖β‖₁ s.t. Aβ ≥ 1 by scipy's linear program; any p below, any separating β above."""
    A = np.array([[3, 1, 0, 2], [1, -2, 3, 1], [-2, 1, 1, 5]], dtype=float)
    optimum = linprog(np.ones(8), A_ub=-np.hstack([A, -A]), b_ub=-np.ones(3)).fun
    lower, upper = formula("weak-duality", "lower"), formula("weak-duality", "upper")
    rng = np.random.default_rng(2)
    for p in rng.dirichlet(np.ones(3), 50):
        assert lower(np.abs(A.T @ p).max()) <= optimum * (1 + 1e-9)
    betas = [beta for beta in rng.standard_normal((500, 4)) if (A @ beta).min() > 0]
    assert len(betas) > 5
    assert all(upper(np.abs(beta).sum(), (A @ beta).min()) >= optimum * (1 - 1e-9) for beta in betas)


def test_constraint_matrices_of_the_semidefinite_program() -> None:
    D, K, C = 5, 3, 4
    rng = np.random.default_rng(3)
    U, V = rng.standard_normal((K, C)), rng.standard_normal((D, C))
    w = (np.fft.fft(U, D, axis=0) * np.fft.fft(V, axis=0)).sum(axis=1) / D
    for part, expected in (("real", w.real), ("imaginary", w.imag)):
        entry = formula("sdp-constraints", part)
        A = np.array(
            [[[number(entry(2 * sympy.pi * d / D, k, m, D)) for m in range(D)] for k in range(K)] for d in range(D)]
        )
        inner = 2 * np.einsum("dkm,km->d", A, U @ V.T)  # the block stands twice in Z
        np.testing.assert_allclose(inner, 2 * expected, atol=1e-12)


def test_rate_of_a_homogeneous_network() -> None:
    """dm/ds = rate(m) e^{s−m}, s = log t, by scipy to t = e^{1e5}: the stated loss over e^{−m} → 1."""
    L, gamma = 3, 0.7
    rate = sympy.lambdify("m", formula("rate-homogeneous", "rate")(sympy.Symbol("m"), gamma, L))
    # in u = m − s the right side does not overflow: du/ds = rate(s + u) e^{−u} − 1
    path = solve_ivp(lambda s, u: rate(s + u) * np.exp(-u) - 1, (1.0, 1e5), [1.0], method="LSODA", rtol=1e-9, atol=1e-9)
    ends = np.exp(path.y[0]) / rate(path.t)
    # to leading order: the next term of m is log(s)/s relative, 1e-4 at s = 1e5
    assert ends[-1] == pytest.approx(1.0, abs=1e-3)
    assert abs(ends[-1] - 1) < abs(np.interp(1e3, path.t, ends) - 1)
