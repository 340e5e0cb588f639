"""Max margin with R_{K,C}: limits, the conic method, certificates that reject, and few channels."""

import numpy as np
import pytest

from solvers import L2, ConvKernel, FourierBridge, NotSeparableError, Status, certify, induced_regularizer, max_margin


def data(seed, N, shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((N, *shape)), rng.choice([-1.0, 1.0], N)


def test_one_tap_is_l2_and_full_width_is_fourier_l1():
    X, y = data(0, 12, (30,))
    expected = 2 * 30**0.5 * max_margin(X, y, L2()).objective
    assert max_margin(X, y, ConvKernel(1)).objective == pytest.approx(expected, rel=1e-9)
    expected = 2 * max_margin(X, y, FourierBridge(1)).objective
    assert max_margin(X, y, ConvKernel(30)).objective == pytest.approx(expected, rel=2e-9)
    images, y = data(1, 8, (5, 4))
    expected = 2 * max_margin(images, y, FourierBridge(1)).objective
    assert max_margin(images, y, ConvKernel((5, 4))).objective == pytest.approx(expected, rel=2e-9)


@pytest.mark.parametrize("sizes", [1.0, 10.0 ** np.arange(-3, 3), 1e30])
def test_the_network_of_one_tap_is_that_of_l2_to_its_accuracy(sizes):
    X, y = data(3, 5, (6,))
    plain, found = max_margin(X * sizes, y, L2()), max_margin(X * sizes, y, ConvKernel(1))
    assert found.status is Status.OPTIMAL
    np.testing.assert_array_equal(found.beta, plain.beta)
    assert found.objective == pytest.approx(2 * 6**0.5 * plain.objective, rel=1e-15)
    outputs = found.output_weights[0] * found.kernels[0, 0] / 6**0.5  # f(x) = ⟨v, u ⋆ x⟩/√D
    np.testing.assert_allclose(outputs, found.beta, rtol=1e-14)


CASES = [
    ((10,), ConvKernel(3)),
    ((9,), ConvKernel(7)),
    ((4, 4), ConvKernel(2)),
    ((2, 6), ConvKernel(2, 2)),
    ((2, 6), ConvKernel(1, 2)),
]
NETWORKS = [((48,), ConvKernel(8)), ((6, 6), ConvKernel((3, 2))), ((2, 20), ConvKernel(3, 2))]


@pytest.mark.parametrize(("shape", "regularizer"), CASES)
def test_the_semidefinite_program_agrees(shape, regularizer):
    X, y = data(2, 6, shape)
    ours, conic = max_margin(X, y, regularizer), max_margin(X, y, regularizer, method="conic")
    assert ours.status is Status.OPTIMAL
    assert ours.objective == pytest.approx(conic.objective, rel=1e-7)  # Clarabel stops near 1e-8
    assert np.sum(conic.kernels**2) + np.sum(conic.output_weights**2) == pytest.approx(conic.objective, rel=1e-12)
    # where β is unique both find it, to the square root of the solvers' gaps
    np.testing.assert_allclose(ours.beta, conic.beta, atol=1e-3 * np.abs(ours.beta).max())


@pytest.mark.parametrize(("shape", "regularizer"), NETWORKS)
def test_the_answer_is_a_network_with_the_cost_it_says(shape, regularizer):
    X, y = data(3, 20, shape)
    answer = max_margin(X, y, regularizer)
    assert answer.status is Status.OPTIMAL
    margins = y * np.tensordot(X, answer.beta, len(shape))
    assert margins.min() == pytest.approx(1, abs=1e-12)
    cost = np.vdot(answer.kernels, answer.kernels) + np.vdot(answer.output_weights, answer.output_weights)
    assert cost == pytest.approx(answer.objective, rel=1e-12)
    # the cost of the network is the regularizer of its predictor: two solvers of different problems meet
    again = induced_regularizer(answer.beta, regularizer.kernel_size, in_channels=regularizer.in_channels)
    assert again.value == pytest.approx(cost, rel=3e-9)
    assert regularizer.dual_norm(np.tensordot(y * answer.dual, X, 1)) == pytest.approx(1, rel=1e-12)
    assert answer.dual.sum() == pytest.approx(answer.lower_bound, rel=1e-12)


def test_certify_accepts_the_answer_and_rejects_a_perturbed_one():
    X, y = data(4, 10, (16,))
    regularizer = ConvKernel(4)
    answer = max_margin(X, y, regularizer)
    assert certify(X, y, answer.beta, regularizer, dual=answer.dual).worst <= 2e-9
    wrong = answer.beta + 1e-3 * np.random.default_rng(0).standard_normal(16)
    assert certify(X, y, wrong, regularizer, dual=answer.dual).worst > 1e-6


def test_scaling_the_data_scales_the_value_inversely():
    X, y = data(5, 8, (12,))
    value = max_margin(X, y, ConvKernel(3)).objective
    for scale in (1e-6, 1e6):
        assert max_margin(scale * X, y, ConvKernel(3)).objective == pytest.approx(value / scale, rel=3e-9, abs=0.0)
    assert max_margin(X, -y, ConvKernel(3)).objective == pytest.approx(value, rel=3e-9)
    assert max_margin(np.roll(X, 5, axis=1), y, ConvKernel(3)).objective == pytest.approx(value, rel=3e-9)


def test_duplicated_and_redundant_points_change_nothing():
    X, y = data(6, 6, (12,))
    value = max_margin(X, y, ConvKernel(4)).objective
    more = max_margin(np.concatenate([X, X[:3], 10 * X[3:]]), np.concatenate([y, y[:3], y[3:]]), ConvKernel(4))
    assert more.objective == pytest.approx(value, rel=3e-9)


@pytest.mark.parametrize("K", [1, 2, 6])
def test_inseparable_data_raise_with_a_certificate(K):
    X, y = data(7, 4, (6,))
    with pytest.raises(NotSeparableError) as caught:
        max_margin(np.concatenate([X, X]), np.concatenate([y, -y]), ConvKernel(K))
    assert caught.value.residual < 1e-12


def test_few_channels_for_images_are_bounded_not_optimal():
    X, y = data(8, 10, (5, 5))
    convex = max_margin(X, y, ConvKernel((3, 3)))
    one = max_margin(X, y, ConvKernel((3, 3), out_channels=1), n_starts=3)
    assert one.kernels.shape == (1, 3, 3)
    assert one.objective >= convex.lower_bound * (1 - 1e-12)
    assert one.lower_bound == pytest.approx(convex.lower_bound, rel=1e-9)
    assert one.status in (Status.BOUNDED, Status.OPTIMAL)
    assert (one.status is Status.OPTIMAL) == (one.certificate.gap <= 1e-9)
    assert max_margin(X, y, ConvKernel((3, 3), out_channels=9)).objective == pytest.approx(convex.objective, rel=1e-9)


def test_signals_need_one_channel():
    X, y = data(9, 20, (24,))
    assert max_margin(X, y, ConvKernel(6, out_channels=1)).objective == max_margin(X, y, ConvKernel(6)).objective


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="does not take start; it takes n_starts, seed"):
        max_margin(np.eye(3), [1, 1, -1], ConvKernel(2), start=np.ones(3))


@pytest.mark.parametrize("seed", range(12))
def test_rows_of_very_different_size_and_awkward_data(seed):
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((7 + seed, 15)), rng.standard_normal(15)
    if seed % 3 == 0:
        X = X * 10.0 ** rng.uniform(-3, 3, (len(X), 1))
    elif seed % 3 == 1:
        X = np.abs(X) + 3  # nearly parallel points
    else:
        X = np.cumsum(X, axis=1)
    y = np.sign(X @ w)
    answer = max_margin(X, y, ConvKernel(1 + seed))
    assert answer.status is Status.OPTIMAL
    # the certificate recomputed from its definition: margins, dual feasibility, dual value
    assert (y * (X @ answer.beta)).min() >= 1 - 1e-12
    assert ConvKernel(1 + seed).dual_norm((y * answer.dual) @ X) <= 1 + 1e-12
    assert answer.dual.sum() >= answer.objective * (1 - 1e-9)
