"""Kernels on R^d in closed form: against samples, one input, scipy's polyharmonic splines, and a network's Jacobian."""

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from solvers import (
    BinaryUniformInit,
    DeepReLUKernel,
    GaussianInit,
    GaussianInputs,
    SphereInputs,
    VectorKernel,
    vector_interpolant,
)

X = np.random.default_rng(0).uniform(-0.6, 0.6, (9, 3))
Y = np.sin(4 * X[:, 0]) + X[:, 1] * X[:, 2]


@pytest.mark.parametrize("law", [GaussianInputs(0.7, 1.3), SphereInputs(1.2)])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_kernels_are_the_means_over_their_laws(law, d):
    w, b = law.sample(400_000, d, np.random.default_rng(1))
    first, second = X[:4, :d], X[4:7, :d]
    units, others = (np.maximum(Z @ w.T + b, 0.0) for Z in (first, second))
    products = units[:, None] * others
    error = products.std(axis=2) / np.sqrt(b.size)
    assert (np.abs(law.kernel(first, second) - products.mean(axis=2)) < 5 * error).all()


def test_one_input_is_the_law_of_one_input():
    x = X[:, :1]
    for vector, scalar in (
        (GaussianInputs(0.7, 1.3), GaussianInit(0.7, 1.3)),
        (SphereInputs(2.0), BinaryUniformInit(2.0)),
    ):
        np.testing.assert_allclose(vector.kernel(x, x), scalar.kernel(x, x[:, 0]), rtol=1e-13)


@pytest.mark.parametrize("a_b", [1.1, 4.0])
@pytest.mark.parametrize("d", [2, 3])
def test_on_the_sphere_the_interpolant_is_the_polyharmonic_spline_whatever_a(a_b, d):
    found = vector_interpolant(X[:, :d], Y, SphereInputs(a_b))
    at = np.random.default_rng(2).uniform(-0.5, 0.5, (20, d))
    np.testing.assert_allclose(found(at), RBFInterpolator(X[:, :d], Y, kernel="cubic", degree=1)(at), atol=1e-10)
    # another power of r is another function
    assert np.abs(found(at) - RBFInterpolator(X[:, :d], Y, kernel="thin_plate_spline", degree=1)(at)).max() > 1e-3


@pytest.mark.parametrize("law", [GaussianInputs(), SphereInputs(1.2), DeepReLUKernel(3)])
def test_interpolants_fit_and_have_the_least_energy(law):
    free, penalized = (vector_interpolant(X, Y, law, linear) for linear in ("free", "penalized"))
    for found in (free, penalized):
        np.testing.assert_allclose(found(X), Y, atol=1e-9)
    assert free.energy < penalized.energy
    corrected = vector_interpolant(X, free.corrected(X, Y), law, "penalized")
    assert corrected.energy == pytest.approx(free.energy, rel=1e-8)
    more = np.vstack([X, [[0.1, 0.2, 0.3]]])
    other = vector_interpolant(more, np.append(Y, penalized(more[-1]) + 0.1), law, "penalized")
    assert other.energy > penalized.energy


def test_the_deep_kernel_is_the_mean_of_tangent_kernels():
    """J Jᵀ of a random network of 400 units, by finite width 1/√400 away; depth 1 is the affine kernel."""
    generator = np.random.default_rng(3)
    m, points = 400, np.column_stack([X[:4], np.ones(4)])
    found = []
    for _ in range(12):
        first, second, last = (
            generator.standard_normal((m, 4)),
            generator.standard_normal((m, m)),
            generator.standard_normal(m),
        )
        u = points @ first.T
        h = np.sqrt(2 / m) * np.maximum(u, 0)
        z = h @ second.T
        k = np.sqrt(2 / m) * np.maximum(z, 0)
        back = np.sqrt(2 / m) * last * (z > 0)
        down = np.sqrt(2 / m) * (back @ second) * (u > 0)
        found.append(k @ k.T + (back @ back.T) * (h @ h.T) + (down @ down.T) * (points @ points.T))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    exact = DeepReLUKernel(3).kernel(X[:4], X[:4])
    assert (np.abs(mean - exact) < 5 * error + 0.02 * np.abs(exact)).all()
    np.testing.assert_allclose(DeepReLUKernel(1).kernel(X, X), X @ X.T + 1)


def test_a_kernel_of_ones_own():
    class Bump(VectorKernel):
        def kernel(self, X, X2):
            return np.exp(-np.sum((X[:, None] - X2) ** 2, axis=2))

    np.testing.assert_allclose(vector_interpolant(X, Y, Bump(), "penalized")(X), Y, atol=1e-9)


def test_bad_input():
    with pytest.raises(ValueError, match=r"X must be \(N, d\)"):
        vector_interpolant(X[:, 0], Y, GaussianInputs())
    with pytest.raises(ValueError, match="do not determine an affine function"):
        vector_interpolant(np.column_stack([X[:, 0], X[:, 0]]), Y, GaussianInputs())
    with pytest.raises(ValueError, match=r"holds for \|x\| ≤ 0.1"):
        vector_interpolant(X, Y, SphereInputs(0.1))
    with pytest.raises(ValueError, match="singular in double precision"):
        vector_interpolant(np.vstack([X, X[:1]]), np.append(Y, 0.0), GaussianInputs())
    with pytest.raises(ValueError, match="depth"):
        DeepReLUKernel(0)
    with pytest.raises(ValueError, match="sigma_w"):
        GaussianInputs(0.0)
