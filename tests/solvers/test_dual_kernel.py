"""The dual kernel: its formula against Monte Carlo, its spectrum against dense linear algebra and published values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel, triangle_kernel


def dense_circulant(u):
    """The rows u_i, by rolling: the slow clear version."""
    return np.array([np.roll(u, i) for i in range(u.size)])


def dense_dual(u, shift=0.0):
    """½(1 − arccos(ρ − shift)/π)⟨u_i, u_j⟩ entry by entry; the authors' code has shift = 1e-11."""
    rows = dense_circulant(u)
    inner = rows @ rows.T
    cosine = np.clip(inner / np.sum(u**2) - shift, -1, 1)
    return 0.5 * (1 - np.arccos(cosine) / np.pi) * inner


@pytest.mark.parametrize(
    ("u", "published"),
    [
        (triangle_kernel(300, 1), (0.1666664294124757, 0.1666664294124757)),
        (triangle_kernel(300, 10), (0.004869964834235159, 1.957451126942472)),
        (triangle_kernel(300, 30), (0.0015584634297893334, 5.896218826235423)),
        (gaussian_kernel(300, 0.005), (0.0210919829944388, 0.4960470114114067)),
        (gaussian_kernel(300, 0.01), (0.009148520805936729, 0.9829880396044313)),
        (gaussian_kernel(300, 0.05), (0.0017704492841324963, 4.900697183926314)),
    ],
)
def test_the_published_extreme_eigenvalues(u, published):
    """Published in a scale of 1/3 of ours. Their arccos is taken at ρ − 1e-11, which moves the diagonal by
    arccos(1 − 1e-11)/(6π) = 2.4e-7: without it ours agree to that, with it to rounding."""
    kernel = dual_kernel(u)
    ours = np.array([kernel.eigenvalues.min(), kernel.eigenvalues.max()]) / 3
    np.testing.assert_allclose(ours, published, rtol=0, atol=2.5e-7)
    shifted = np.linalg.eigvalsh(dense_dual(u, shift=1e-11))[[0, -1]] / 3
    # arccos near 1 − 1e-11 amplifies rounding 2e-16 by 1/√(2e-11): 5e-11
    np.testing.assert_allclose(shifted, published, rtol=0, atol=2e-10)


def test_monte_carlo_agrees_and_a_wrong_factor_does_not():
    """J Jᵀ averaged over Gaussian weights, at 2·10⁵ draws: each entry has standard error ≤ ½·4.5e-3·|⟨u_i,u_j⟩|/2."""
    u = triangle_kernel(12, 3)
    rows = dense_circulant(u)
    active = rows @ np.random.default_rng(0).standard_normal((12, 200_000)) > 0
    average = (active.astype(float) @ active.T.astype(float)) / active.shape[1] * (rows @ rows.T)
    exact = dual_kernel(u).matrix()
    assert np.abs(average - exact).max() < 6 * 0.5 / np.sqrt(200_000)
    assert np.abs(average - 2 * exact).max() > 0.4


@pytest.mark.parametrize(
    "u", [triangle_kernel(15, 4), gaussian_kernel(16, 0.1), np.random.default_rng(1).standard_normal(9)]
)
def test_circulant_matrix_is_the_dense_formula(u):
    # arccos loses √ε of the entries with ρ near 1; here ρ < 1 − 1e-3 off the diagonal
    np.testing.assert_allclose(dual_kernel(u).matrix(), dense_dual(u), atol=1e-8)


@pytest.mark.parametrize("shape", [(7,), (8,), (4, 6), (5, 3), (4, 4)])
def test_trigonometric_eigenvectors(shape):
    kernel = dual_kernel(np.random.default_rng(2).standard_normal(shape))
    values, vectors = kernel.eigenvectors()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(kernel.size), atol=1e-13)
    np.testing.assert_allclose(kernel.matrix() @ vectors, vectors * values, atol=1e-12)
    assert (np.diff(values) <= 1e-12).all()
    signal = np.random.default_rng(3).standard_normal(shape)
    np.testing.assert_allclose(kernel.apply(signal).ravel(), kernel.matrix() @ signal.ravel(), atol=1e-12)


def test_two_dimensional_dense_formula():
    u = np.random.default_rng(4).standard_normal((3, 4))
    rows = np.array([np.roll(u, (a, b), axis=(0, 1)).ravel() for a in range(3) for b in range(4)])
    inner = rows @ rows.T
    dense = 0.5 * (1 - np.arccos(np.clip(inner / np.sum(u**2), -1, 1)) / np.pi) * inner
    np.testing.assert_allclose(dual_kernel(u).matrix(), dense, atol=1e-7)  # ρ = 1 ± ε on the diagonal of the reference


def test_limits():
    identity = dual_kernel(np.eye(1, 6).ravel())
    np.testing.assert_allclose(identity.eigenvalues, 0.5)  # arccos 0 on no pixel pair: Σ = ½I
    constant = dual_kernel(np.ones(6))
    np.testing.assert_allclose(constant.eigenvalues, [18, 0, 0, 0, 0, 0], atol=1e-12)  # ½·6·11ᵀ: rank one


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 20), st.integers(0, 10**6), st.floats(0.1, 10), st.integers(0, 19))
def test_invariances(n, seed, scale, roll):
    """Shifting u changes nothing, scaling by s multiplies by s², the trace is n‖u‖²/2, and Σ is PSD."""
    u = np.random.default_rng(seed).standard_normal(n)
    kernel = dual_kernel(u)
    bound = 1e-7 * np.sum(u**2) * n  # √ε from arccos at ρ ≈ 1
    np.testing.assert_allclose(dual_kernel(np.roll(u, roll)).column, kernel.column, atol=bound)
    np.testing.assert_allclose(dual_kernel(scale * u).column, scale**2 * kernel.column, atol=bound * scale**2)
    assert kernel.eigenvalues.sum() == pytest.approx(n * np.sum(u**2) / 2, rel=1e-9)
    assert np.linalg.eigvalsh(kernel.matrix()).min() >= -bound


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dual_kernel([np.nan, 1.0]), "1 of its 2 entries"),
        (lambda: dual_kernel(np.zeros(4)), "not all zero"),
        (lambda: dual_kernel(np.ones((2, 2, 2))), "got shape"),
        (lambda: dual_kernel([1.0]), "got shape"),
        (lambda: triangle_kernel(10, 6), "from 1 to 5"),
        (lambda: triangle_kernel(10, 1.5), "whole number"),
        (lambda: gaussian_kernel(10, 0.0), "positive"),
        (lambda: gaussian_kernel((10, 1), 0.1), "≥ 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
