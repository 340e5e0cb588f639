"""R_{K,C}: values, certificates and kernels against the semidefinite program, limits and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import ConvKernel, Status, conv_kernel_sdp, induced_regularizer, max_margin, reduce_rank
from solvers.conv_kernel.lags import KernelLags
from solvers.conv_kernel.network import least_output_weights

RAMP = np.arange(1.0, 9.0)


def network_predictor(kernels, weights, shape):
    """β_r = Σ_c u_{c,r} ∗ v_c / √D by direct summation, the slow clear way."""
    R = 1 if kernels.ndim == weights.ndim else kernels.shape[1]
    grid = weights.shape[1:]
    U = kernels.reshape(kernels.shape[0], R, *kernels.shape[-len(grid) :])
    beta = np.zeros((R, *grid))
    for c, r in np.ndindex(U.shape[:2]):
        for k in np.ndindex(U.shape[2:]):
            beta[r] += U[c, r][k] * np.roll(weights[c], k, axis=tuple(range(len(grid)))) / np.prod(grid) ** 0.5
    return beta.reshape(shape)


def assert_sound(answer, w, kernel, tol=1e-9):
    """Everything a reader relies on, recomputed: network, value, dual feasibility, dual value, gap."""
    assert answer.status is Status.OPTIMAL
    size = np.linalg.norm(w)
    # the FFT and the direct sum both err by a few ε·log D
    np.testing.assert_allclose(network_predictor(answer.kernels, answer.output_weights, w.shape), w, atol=1e-12 * size)
    cost = np.vdot(answer.kernels, answer.kernels) + np.vdot(answer.output_weights, answer.output_weights)
    assert cost == pytest.approx(answer.value, rel=1e-12)
    channels = w.shape[0] if answer.kernels.ndim > answer.output_weights.ndim else 1
    assert shift_norm(answer.dual.reshape(channels, *answer.output_weights.shape[1:]), kernel) <= 1 + 1e-10
    assert np.vdot(answer.dual, w) >= answer.lower_bound * (1 - 1e-12)
    assert 1 - answer.lower_bound / answer.value <= tol


def shift_norm(z, kernel):
    """R°(z) = ‖T_K z‖_op/(2√D) with T_K z the K·R × D matrix of shifts, by singular values."""
    axes = tuple(range(len(kernel)))
    matrix = np.array([np.roll(channel, np.negative(k), axes).ravel() for k in np.ndindex(*kernel) for channel in z])
    return np.linalg.norm(matrix, 2) / (2 * np.sqrt(matrix.shape[1]))


KNOWN = {1: 80.79603951, 2: 66.00711246, 3: 61.01354987, 4: 59.22107186, 5: 57.18927869, 8: 57.18927869}


@pytest.mark.parametrize(("K", "value"), KNOWN.items())
def test_known_values(K, value):
    answer = induced_regularizer(RAMP, K)
    assert answer.value == pytest.approx(value, abs=1e-7)  # the values are printed to 8 decimals
    assert_sound(answer, RAMP, (K,))


def test_limits_in_the_kernel_size():
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 7))
    nuclear = np.linalg.svd(w, compute_uv=False).sum()
    spectrum = np.fft.fft(w, axis=1, norm="ortho")
    assert induced_regularizer(w, 1, in_channels=3).value == pytest.approx(2 * 7**0.5 * nuclear, rel=2e-9)
    full = induced_regularizer(w, 7, in_channels=3).value
    assert full == pytest.approx(2 * np.linalg.norm(spectrum, axis=0).sum(), rel=1e-12)
    image = rng.standard_normal((4, 5))
    assert induced_regularizer(image, 1).value == pytest.approx(2 * 20**0.5 * np.linalg.norm(image), rel=1e-12)
    l1 = np.abs(np.fft.fft2(image, norm="ortho")).sum()
    assert induced_regularizer(image, (4, 5)).value == pytest.approx(2 * l1, rel=1e-12)


def full_width_by_path(w):
    """K = D through the central path, which does not know the closed form."""
    from solvers.conv_kernel.path import follow
    from solvers.conv_kernel.value_path import GivenPredictor

    geometry = KernelLags(w.shape, w.shape)
    return follow(GivenPredictor(geometry, np.abs(geometry.fourier(w)[0])), 1e-10)


@pytest.mark.parametrize("D", [5, 8, 9])
def test_the_path_finds_the_closed_form_of_full_width(D):
    w = np.random.default_rng(D).standard_normal(D)
    end = full_width_by_path(w)
    expected = 2 * np.abs(np.fft.fft(w, norm="ortho")).sum()
    assert end.upper == pytest.approx(expected, rel=1e-9)
    assert end.lower == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("D", "K"), [(9, 1), (40, 9), (61, 30), (40, 30), (40, 39), (64, 33)])
def test_nonnegative_polynomials_and_the_path_have_one_value(D, K):
    """With zeros between the grid's frequencies (K near D/2), without (K ≪ D), and where r is not unique (K > D/2)."""
    from solvers.conv_kernel.nonnegative_polynomial import nonnegative_polynomial
    from solvers.conv_kernel.path import follow
    from solvers.conv_kernel.value_path import GivenPredictor

    for seed in range(3):
        geometry = KernelLags((D,), (K,))
        beta = np.abs(geometry.fourier(np.random.default_rng(seed).standard_normal(D))[0])
        found, path = nonnegative_polynomial(geometry, beta, 1e-9), follow(GivenPredictor(geometry, beta), 1e-10)
        assert found is not None
        u = np.correlate(found.factor, found.factor, "full")[K - 1 :]
        spectrum = (2.0 * np.cos(2 * np.pi * np.outer(np.arange(D // 2 + 1), np.arange(K)) / D) @ u - u[0]) / D
        value = 2.0 * np.sqrt(u[0] * geometry.inner(beta, beta / spectrum))
        assert path.lower * (1 - 1e-9) <= value <= path.upper * (1 + 1e-9)
        assert np.linalg.eigvalsh(geometry.matrix(geometry.lags_of(found.z)))[-1] == pytest.approx(1, abs=1e-9)


def test_where_no_zeros_are_found_the_path_answers(monkeypatch):
    w = np.random.default_rng(0).standard_normal(30)
    direct = induced_regularizer(w, 14)
    monkeypatch.setattr("solvers.conv_kernel.value.nonnegative_polynomial", lambda *_: None)
    answer = induced_regularizer(w, 14)
    assert (direct.stats["method"], answer.stats["method"]) == ("nonnegative polynomial", "central path")
    assert_sound(answer, w, (14,))
    assert answer.value == pytest.approx(direct.value, rel=1e-9)


SHAPES = [((9,), (3,), 1), ((8,), (6,), 1), ((7,), (6,), 1), ((3, 4), (2, 2), 1), ((6,), (2,), 2), ((3, 3), (2, 1), 2)]


@pytest.mark.parametrize(("grid", "kernel", "R"), SHAPES)
def test_the_semidefinite_program_agrees(grid, kernel, R):
    w = np.random.default_rng(sum(grid) + R).standard_normal(grid if R == 1 else (R, *grid))
    answer = induced_regularizer(w, kernel, in_channels=R)
    program = conv_kernel_sdp(w, kernel, in_channels=R)
    assert_sound(answer, w, kernel)
    assert answer.value == pytest.approx(program.value, rel=1e-7)  # Clarabel stops near 1e-8 on these programs
    assert program.status is Status.OPTIMAL
    assert program.lower_bound <= answer.value * (1 + 1e-9)
    assert ConvKernel(kernel, R).dual_norm(program.dual) == pytest.approx(1, rel=1e-12)


def adversarial():
    rng = np.random.default_rng(5)
    for D in (2, 5, 8, 13, 16):
        n = np.arange(D)
        spectrum = np.fft.rfft(rng.standard_normal(D))
        spectrum[::2] = 0
        yield D, "tone", np.cos(2 * np.pi * n * max(1, D // 3) / D + 0.3)
        yield D, "constant", np.ones(D)
        yield D, "delta", np.eye(D)[D // 2]
        yield D, "nearly sparse", np.eye(D)[0] + 1e-7 * rng.standard_normal(D)
        yield D, "smooth", np.exp(-n / 2.0)
        yield D, "every other frequency", np.fft.irfft(spectrum, D) + 0.0
        yield D, "random", rng.standard_normal(D)


@pytest.mark.parametrize(("D", "name", "w"), list(adversarial()), ids=lambda v: "w" if np.ndim(v) else str(v))
def test_degenerate_spectra_and_aliasing(D, name, w):
    if np.abs(w).max() < 1e-9:
        w = np.cos(np.pi * np.arange(D))
    for K in {1, 2, (D + 1) // 2, min(D, D // 2 + 1), D - 1, D} - {0}:
        assert_sound(induced_regularizer(w, K), w, (K,))


def test_coefficients_over_twelve_orders_of_magnitude_keep_valid_bounds():
    rng = np.random.default_rng(7)
    for D, K in [(8, 4), (13, 3), (16, 15), (31, 30)]:
        w = np.fft.irfft(10.0 ** -rng.uniform(0, 12, D // 2 + 1), D)
        answer = induced_regularizer(w, K)
        assert answer.predictor_error <= 1e-12
        assert shift_norm(answer.dual[None], (K,)) <= 1 + 1e-10
        # the method may stop early here and must then say so
        assert answer.gap <= (1e-9 if answer.status is Status.OPTIMAL else 1e-6)


def test_zero_and_scale():
    nothing = induced_regularizer(np.zeros(6), 3)
    assert (nothing.value, nothing.status) == (0.0, Status.OPTIMAL)
    for scale in (1e-200, 1e150):
        assert induced_regularizer(scale * RAMP, 3).value == pytest.approx(scale * 61.01354987, rel=1e-9)


@given(st.integers(2, 14), st.integers(1, 14), st.integers(0, 10**6), st.integers(0, 13))
@settings(max_examples=30, deadline=None)
def test_shifts_reflections_and_the_order_in_K(D, K, seed, shift):
    K = min(K, D)
    w = np.random.default_rng(seed).standard_normal(D)
    value = induced_regularizer(w, K).value
    for other in (np.roll(w, shift), w[::-1], -w):
        assert induced_regularizer(other, K).value == pytest.approx(value, rel=3e-9)  # two gaps of 1e-9
    if K < D:
        assert induced_regularizer(w, K + 1).value <= value * (1 + 3e-9)


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_it_is_a_norm_and_its_dual_is_dual(seed):
    rng = np.random.default_rng(seed)
    R = ConvKernel((2, 3))
    a, b = rng.standard_normal((2, 4, 5))
    assert R.value(a + b) <= (R.value(a) + R.value(b)) * (1 + 3e-9)
    assert np.vdot(a, b) <= R.value(a) * R.dual_norm(b) * (1 + 1e-9)
    assert R.dual_norm(b) == pytest.approx(shift_norm(b[None], (2, 3)), rel=1e-10)


def test_one_channel_is_enough_for_signals_and_two_bounds_for_images():
    w = np.random.default_rng(1).standard_normal(12)
    one = induced_regularizer(w, 4, out_channels=1)
    assert one.status is Status.OPTIMAL
    assert one.kernels.shape == (1, 4)
    image = np.random.default_rng(3).standard_normal((8, 8))
    convex = induced_regularizer(image, 3)
    few = {C: induced_regularizer(image, 3, out_channels=C, n_starts=4) for C in (1, 2, 9)}
    assert few[1].value >= few[2].value * (1 - 1e-7) >= convex.lower_bound * (1 - 2e-7)
    assert few[9].status is Status.OPTIMAL
    for C in (1, 2):
        assert few[C].kernels.shape == (C, 3, 3)
        assert few[C].lower_bound == pytest.approx(convex.lower_bound, rel=1e-9)
        np.testing.assert_allclose(
            network_predictor(few[C].kernels, few[C].output_weights, image.shape), image, atol=1e-10
        )
    assert few[1].status is Status.BOUNDED
    assert few[1].gap > 1e-3  # a finding of two dimensions; only signals are promised C-independence


def test_rank_reduction_of_a_full_rank_optimum():
    w = np.random.default_rng(4).standard_normal(10)
    program = conv_kernel_sdp(w, 4)
    answer = reduce_rank(program.matrix, w, 4)
    assert answer.rank > 1
    assert answer.channels == 1
    assert answer.kernels.shape == (1, 4)
    assert answer.value == pytest.approx(program.value, rel=1e-6)
    np.testing.assert_allclose(network_predictor(answer.kernels, answer.output_weights, w.shape), w, atol=1e-10)


@pytest.mark.parametrize(("shape", "kernel", "R"), [((3, 3), (2, 2), 1), ((3, 8), (2,), 3)])
def test_rank_reduction_keeps_the_channels_that_images_and_input_channels_need(shape, kernel, R):
    w = 1e-7 * np.random.default_rng(4).standard_normal(shape)
    program = conv_kernel_sdp(w, kernel, in_channels=R)
    answer = reduce_rank(program.matrix, w, kernel, in_channels=R)
    assert 1 < answer.channels <= np.prod(kernel) * R
    assert answer.value <= program.value * (1 + 1e-8)
    assert answer.value >= program.lower_bound * (1 - 1e-9)
    assert answer.predictor_error < 1e-9


def test_a_matrix_that_is_not_optimal_loses_rank_at_no_greater_cost():
    rng = np.random.default_rng(7)
    w, geometry = rng.standard_normal(10), ConvKernel(3).geometry((10,))
    networks = [
        least_output_weights(geometry, rng.standard_normal((1, 3)), geometry.fourier(w)[0])[:2] for _ in range(5)
    ]
    Z = sum(np.outer(wide, wide) for wide in (np.concatenate([U[0], V[0]]) for U, V in networks)) / 5
    answer = reduce_rank(Z, w, 3)
    assert answer.rank == 5
    assert answer.channels == 1
    assert answer.value <= answer.trace
    assert answer.predictor_error < 1e-9
    with pytest.raises(ValueError, match="another predictor"):
        reduce_rank(Z, w[::-1], 3)
    with pytest.raises(ValueError, match="shape"):
        reduce_rank(Z[:-1, :-1], w, 3)


def test_second_moment_is_the_matrix_of_the_program():
    answer = induced_regularizer(RAMP, 3)
    Z = answer.second_moment
    assert Z.shape == (11, 11)
    assert np.trace(Z) == pytest.approx(answer.value, rel=1e-12)
    computed = [sum(Z[k, 3 + (d - k) % 8] for k in range(3)) / 8**0.5 for d in range(8)]
    np.testing.assert_allclose(computed, RAMP, atol=1e-12)


def test_the_certificate_rejects_a_wrong_dual():
    answer = induced_regularizer(RAMP, 3)
    wrong = answer.dual.copy()
    wrong[3] += 1e-3
    assert ConvKernel(3).stationarity(RAMP, wrong) > 1e-9
    assert abs(ConvKernel(3).stationarity(RAMP, answer.dual)) < 1e-9


def test_lanczos_agrees_with_the_dense_eigenvalue(monkeypatch):
    z = np.random.default_rng(0).standard_normal(300)
    dense = ConvKernel(64).dual_norm(z)
    monkeypatch.setattr("solvers.conv_kernel.path._DENSE_UP_TO", 10)
    assert ConvKernel(64).dual_norm(z) == pytest.approx(dense, rel=1e-12)


def test_an_eigenvalue_that_lanczos_found_too_small_is_not_believed(monkeypatch):
    z = np.random.default_rng(0).standard_normal(300)
    dense = ConvKernel(64).dual_norm(z)
    monkeypatch.setattr("solvers.conv_kernel.path._DENSE_UP_TO", 10)
    monkeypatch.setattr("solvers.conv_kernel.path.eigsh", lambda T, **_: np.array([1e-6]))
    assert ConvKernel(64).dual_norm(z) == pytest.approx(dense, rel=1e-12)


GEOMETRIES = [((12,), (5,), 1), ((7,), (7,), 1), ((4, 6), (3, 2), 1), ((4, 5), (2, 3), 2)]


@pytest.mark.parametrize(("grid", "kernel", "R"), GEOMETRIES)
@pytest.mark.parametrize("table", [True, False])
def test_the_lag_algebra_against_its_definitions(grid, kernel, R, table, monkeypatch):
    if not table:
        monkeypatch.setattr("solvers.conv_kernel.lags._TABLE_UP_TO", 0)
    geometry = KernelLags(grid, kernel, R)
    rng = np.random.default_rng(0)
    X, Q = (M @ M.T for M in rng.standard_normal((2, geometry.n, geometry.n)))
    E = [(geometry.index == i).astype(float) for i in range(geometry.q)]
    np.testing.assert_allclose(geometry.lags(X), [np.sum(e * X) for e in E])
    np.testing.assert_allclose(geometry.product(X, Q), [[np.trace(a @ X @ b @ Q) for b in E] for a in E], atol=1e-9)
    rows = geometry.fourier(rng.standard_normal((3, R * geometry.D)))
    z, P = rows[0], geometry.spectrum(geometry.lags(X))
    assert np.sum(X * geometry.matrix(geometry.lags_of(z))) == pytest.approx(geometry.inner(z, geometry.apply(P, z)))
    step = 1e-5 * rng.standard_normal(geometry.q) * geometry.lags(X)[0]
    H, z = geometry.curvature(P, geometry.divide(P, rows[1])), geometry.divide(P, rows[1])
    r = geometry.lags(X)
    lags = [geometry.lags_of(geometry.divide(geometry.spectrum(r + s * step), rows[1])) for s in (1, -1)]
    np.testing.assert_allclose((lags[1] - lags[0]) / 2, H @ step, rtol=1e-3, atol=1e-6 * np.abs(H @ step).max())
    tau = geometry.cross_lags(rows, z)
    moved = [geometry.lags_of(z + s * 1e-4 * rows[2]) for s in (1, -1)]
    np.testing.assert_allclose((moved[0] - moved[1]) / 4e-4, tau[2], rtol=1e-6, atol=1e-9 * np.abs(tau).max())


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="positive integer"):
        ConvKernel(0)
    with pytest.raises(ValueError, match="one size from 1 to D"):
        induced_regularizer(RAMP, 9)
    with pytest.raises(ValueError, match="as a pair"):
        max_margin(np.ones((1, 4, 4)), [1], ConvKernel(2, out_channels=1))
    with pytest.raises(ValueError, match="must have shape"):
        max_margin(np.ones((1, 3, 4)), [1], ConvKernel(2, in_channels=2))
    with pytest.raises(ValueError, match="finite"):
        induced_regularizer([1.0, np.nan], 1)
