"""Recovery in the linearized model: against the iteration, KKT, a conic solver, and the zero-filling identity."""

import cvxpy as cp
import numpy as np
import pytest

from solvers.filters.compressive_sensing import (
    DenseMeasurement,
    FourierMeasurement,
    gaussian_measurement,
    kernel_recovery,
)
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
from solvers.filters.early_stopping import early_stopping_filter

RNG = np.random.default_rng(0)
LINE = dual_kernel(gaussian_kernel(20, 0.08))
PLANE = dual_kernel(gaussian_kernel((6, 5), 0.15))
MASK = np.zeros((6, 5), dtype=bool)
MASK[[0, 0, 1, 3, 5, 2], [0, 1, 2, 0, 3, 4]] = True  # self-conjugate, single, and both of a pair: (1, 2) and (5, 3)
FOURIER = FourierMeasurement(MASK)


@pytest.mark.parametrize(
    ("kernel", "A"),
    [
        (LINE, gaussian_measurement(8, (20,), seed=1)),
        (PLANE, gaussian_measurement(9, (6, 5), seed=2)),
        (PLANE, FOURIER),
    ],
)
def test_finite_times_are_gradient_descent_and_the_limit_is_its_end(kernel, A):
    y = A.forward(RNG.standard_normal(kernel.shape))
    step = 0.5 / (kernel.largest * (np.linalg.norm(A.matrix, 2) ** 2 if isinstance(A, DenseMeasurement) else 1))
    x = np.zeros(kernel.shape)
    for t in range(30):
        np.testing.assert_allclose(kernel_recovery(kernel, A, y, step=step, t=t).signal, x, atol=1e-11)
        x = x - step * kernel.apply(A.adjoint(A.forward(x) - y))
    limit = kernel_recovery(kernel, A, y)
    assert limit.residual < 1e-10
    np.testing.assert_allclose(kernel_recovery(kernel, A, y, step=step, t=10**7).signal, limit.signal, atol=1e-6)


@pytest.mark.parametrize("A", [gaussian_measurement(7, (6, 5), seed=3), FOURIER])
def test_forward_and_adjoint_are_adjoint(A):
    x, y = RNG.standard_normal((6, 5)), A.forward(RNG.standard_normal((6, 5)))
    assert np.vdot(A.forward(x), y).real == pytest.approx(np.vdot(x, A.adjoint(y)))


def test_the_limit_is_the_least_norm_signal_by_a_conic_solver():
    A = gaussian_measurement(8, (20,), seed=4)
    y = A.forward(RNG.standard_normal(20))
    found = kernel_recovery(LINE, A, y)
    values, vectors = LINE.eigenvectors()
    x = cp.Variable(20)
    weights = (vectors / np.sqrt(values)).T
    problem = cp.Problem(cp.Minimize(cp.norm(weights @ x)), [A.matrix @ x == y])
    problem.solve(solver=cp.CLARABEL)
    assert found.norm == pytest.approx(problem.value, rel=1e-6)
    np.testing.assert_allclose(found.signal, x.value, atol=1e-4)  # an interior point: value to 1e-8, point to its root
    null = np.linalg.svd(A.matrix)[2][8:]
    worse = found.signal + 0.1 * null[0]
    assert np.linalg.norm(A.matrix @ worse - y) < 1e-10
    assert np.linalg.norm(weights @ worse) > found.norm * (1 + 1e-6)


def test_fourier_measurements_give_exactly_the_zero_filled_image():
    truth = RNG.standard_normal((6, 5))
    found = kernel_recovery(PLANE, FOURIER, FOURIER.forward(truth))
    zero_filled = np.fft.ifftn(np.where(FOURIER.full_mask, np.fft.fftn(truth), 0)).real
    np.testing.assert_allclose(found.signal, zero_filled, atol=1e-12)
    assert FOURIER.count == 8  # real numbers: 1 each for (0, 0) and (3, 0), 2 for each of three pairs ±d


def test_everything_measured_is_the_early_stopping_filter():
    y = RNG.standard_normal(20)
    A = DenseMeasurement(np.eye(20), (20,))
    np.testing.assert_allclose(kernel_recovery(LINE, A, y).signal, y, atol=1e-10)
    for t in (1, 7, 300):
        np.testing.assert_allclose(
            kernel_recovery(LINE, A, y, step=0.2, t=t).signal, early_stopping_filter(LINE, 0.2, t)(y), atol=1e-11
        )


def test_unreachable_data_show_in_the_residual():
    constant = dual_kernel(np.ones(6))  # range: the constants
    A = DenseMeasurement(np.eye(6)[:2], (6,))
    found = kernel_recovery(constant, A, [1.0, -1.0])
    assert found.residual == pytest.approx(1.0)
    np.testing.assert_allclose(found.signal, 0, atol=1e-12)
    assert kernel_recovery(LINE, gaussian_measurement(4, (20,), seed=0), np.zeros(4)).residual == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_recovery(LINE, FOURIER, np.ones(6)), "kernel is for signals"),
        (lambda: kernel_recovery(PLANE, FOURIER, np.ones(5)), "y must be 6"),
        (lambda: kernel_recovery(PLANE, FOURIER, np.full(6, np.nan)), "6 NaN"),
        (lambda: kernel_recovery(PLANE, FOURIER, np.ones(6), t=3), "step size"),
        (lambda: kernel_recovery(PLANE, FOURIER, np.ones(6), t=3, step=1e3), "step must lie"),
        (lambda: DenseMeasurement(np.ones((2, 3)), (4,)), "measurement matrix"),
        (lambda: DenseMeasurement(np.full((2, 4), np.nan), (4,)), "NaN"),
        (lambda: FourierMeasurement(np.zeros(4, dtype=bool)), "mask"),
        (lambda: FourierMeasurement(np.ones(4)), "boolean"),  # type: ignore[arg-type]
        (lambda: gaussian_measurement(0, (4,), seed=0), "measurements"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
