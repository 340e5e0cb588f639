"""The cvxpy expressions: their values, their rules, and max margin written by a user, against `max_margin`."""

import cvxpy as cp
import numpy as np
import pytest

from solvers import ConvKernel, FourierBridge, induced_regularizer, max_margin
from solvers.expressions import ConvKernelNorm, conv_kernel_norm, fourier_l1


@pytest.mark.parametrize("shape", [(7,), (8,), (1,), (3, 4), (4, 4)])
def test_fourier_l1_is_the_sum_of_fft_magnitudes(shape):
    beta = np.random.default_rng(0).standard_normal(shape)
    assert fourier_l1(beta).value == pytest.approx(np.abs(np.fft.fftn(beta, norm="ortho")).sum(), rel=1e-13)


@pytest.mark.parametrize(
    ("shape", "kernel", "channels"), [((8,), 1, 1), ((8,), 3, 1), ((9,), 9, 1), ((4, 4), (2, 2), 1), ((2, 6), 3, 2)]
)
def test_conv_kernel_norm_solved_as_a_cone_equals_the_path(shape, kernel, channels):
    w = np.random.default_rng(1).standard_normal(shape)
    beta = cp.Variable(shape)
    expression = conv_kernel_norm(beta, kernel, channels)
    assert expression.is_convex()
    assert expression.is_dcp()
    solved = cp.Problem(cp.Minimize(expression), [beta == w]).solve(solver="CLARABEL")
    exact = induced_regularizer(w, kernel, in_channels=channels).value
    assert solved == pytest.approx(exact, rel=1e-6)
    assert expression.value == pytest.approx(exact, rel=1e-6)


def test_no_constraint_can_be_forgotten():
    """A bare epigraph would run to −∞ here; the atom stays at zero."""
    beta = cp.Variable(6)
    problem = cp.Problem(cp.Minimize(conv_kernel_norm(beta, 2) + 0.5 * fourier_l1(beta)))
    assert problem.solve(solver="CLARABEL") == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["fourier", "kernel"])
def test_a_users_own_max_margin(name):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((6, 10)), np.sign(rng.standard_normal(6))
    beta = cp.Variable(10)
    norm = fourier_l1(beta) if name == "fourier" else conv_kernel_norm(beta, 3)
    regularizer = FourierBridge(1) if name == "fourier" else ConvKernel(3)
    cp.Problem(cp.Minimize(norm), [cp.multiply(y, X @ beta) >= 1]).solve(solver="CLARABEL")
    ours = max_margin(X, y, regularizer)
    assert regularizer.value(beta.value) == pytest.approx(ours.objective, rel=1e-6)
    np.testing.assert_allclose(beta.value, ours.beta, atol=1e-3 * np.abs(ours.beta).max())


def test_composition_follows_the_rules():
    beta = cp.Variable(6)
    assert (2 * conv_kernel_norm(beta - 1, 2) + cp.sum_squares(beta)).is_convex()
    assert not (-conv_kernel_norm(beta, 2)).is_convex()
    bounded = cp.Problem(cp.Maximize(cp.sum(beta)), [conv_kernel_norm(beta, 2) <= 1, fourier_l1(beta) <= 5])
    bounded.solve(solver="CLARABEL")
    assert induced_regularizer(beta.value, 2).value == pytest.approx(1.0, rel=1e-5)


def test_gradient_is_the_dual_vector():
    w = np.random.default_rng(3).standard_normal(8)
    beta = cp.Variable(8)
    beta.value = w
    gradient = conv_kernel_norm(beta, 3).grad[beta].toarray().ravel()
    direction = np.random.default_rng(4).standard_normal(8)
    step = 1e-5  # central differences of a smooth point: error of order step²
    slope = (ConvKernel(3).value(w + step * direction) - ConvKernel(3).value(w - step * direction)) / (2 * step)
    assert gradient @ direction == pytest.approx(slope, rel=1e-4)


def test_canary_of_cvxpys_internal_tables():
    """The atom lives in two tables of cvxpy that are not its public interface; a version that moves them fails here."""
    from cvxpy.atoms import PSD_ATOMS
    from cvxpy.reductions.dcp2cone.canonicalizers import CANON_METHODS

    assert ConvKernelNorm in PSD_ATOMS
    assert ConvKernelNorm in CANON_METHODS
    chosen = cp.Problem(cp.Minimize(conv_kernel_norm(cp.Variable(4), 2))).get_problem_data(cp.CLARABEL)[0]
    assert chosen["dims"].psd


def test_refusals():
    with pytest.raises(ValueError, match="signals"):
        fourier_l1(cp.Variable((2, 3, 4)))
    with pytest.raises(ValueError, match="kernel"):
        conv_kernel_norm(cp.Variable(4), 5)
