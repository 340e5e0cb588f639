"""Linear networks: the maps P, their homogeneity, what a predictor costs, and signs they cannot change."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gd import Convolutional, Diagonal, FullyConnected, LossNormalized, MultiChannelCNN, descend
from gd.networks.declaration import declared
from gd.networks.linear_network import LinearNetwork
from solvers.regularizers import L2, Bridge, FourierBridge, Schatten


def layers(network: LinearNetwork) -> list[np.ndarray]:
    return [w.detach().numpy() for w in network.weights]


def convolve_by_loops(x: np.ndarray, network: Convolutional) -> float:
    """f(x) from the definition, one index at a time: h_l[d] = D^{−1/2} Σ_k w_l[k] h_{l−1}[d + k (− offset)]."""
    h, shape = x, network.shape
    *hidden, last = layers(network)
    for w in hidden:
        out = np.zeros(shape)
        for d, k in product(np.ndindex(*shape), np.ndindex(*w.shape)):
            if network.padding == "circular":
                out[d] += w[k] * h[tuple((a + b) % n for a, b, n in zip(d, k, shape, strict=True))]
            else:
                at = tuple(a + b - (n - 1) // 2 for a, b, n in zip(d, k, w.shape, strict=True))
                if all(0 <= i < n for i, n in zip(at, shape, strict=True)):
                    out[d] += w[k] * h[at]
        h = out / np.sqrt(np.prod(shape))
    return float((h * last).sum())


@pytest.mark.parametrize("padding", ["circular", "zero"])
@pytest.mark.parametrize(
    ("shape", "depth", "kernel"),
    [
        *[(5, 2, None), (5, 3, None), (6, 4, 3), (6, 3, 1), (1, 3, 1)],
        *[((3, 4), 3, None), ((4, 5), 3, (2, 3)), ((4, 5), 2, 2)],
    ],
)
def test_convolution_is_the_correlation_of_the_definition(shape, depth, kernel, padding):
    network = Convolutional(shape, depth, kernel=kernel, padding=padding, scale=1.0, seed=3)
    X = np.random.default_rng(0).standard_normal((3, *network.shape))
    by_loops = [convolve_by_loops(x, network) for x in X]
    # sums of at most 20·20 products of numbers of order one: 1e-13 is a hundred roundings
    np.testing.assert_allclose(network(torch.from_numpy(X)).detach(), by_loops, atol=1e-13)


def test_predictor_spectrum_is_the_product_of_layer_spectra():
    """Lemma 3 with its 1/√D, both parities of D and in 2-D: β̂ = ŵ_1 ⊙ … ⊙ ŵ_L, unitary, no conjugates."""
    for shape, depth in [(7, 3), (8, 4), ((3, 4), 3)]:
        network = Convolutional(shape, depth, scale=1.0, seed=1)
        spectra = [np.fft.fftn(w, norm="ortho") for w in layers(network)]
        np.testing.assert_allclose(np.fft.fftn(network.predictor, norm="ortho"), np.prod(spectra, axis=0), atol=1e-14)


def test_fully_connected_and_diagonal_products():
    network = FullyConnected(4, 3, width=5, outputs=2, scale=1.0, seed=0)
    first, second, third = layers(network)
    np.testing.assert_allclose(network.predictor, third @ second @ first, rtol=1e-14)
    diagonal = Diagonal(4, 3, scale=1.0, seed=0)
    np.testing.assert_allclose(diagonal.predictor, np.prod(layers(diagonal), axis=0), rtol=1e-14)
    X = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(network(X).detach(), X.numpy() @ network.predictor.T, atol=1e-13)
    np.testing.assert_allclose(diagonal(X).detach(), X.numpy() @ diagonal.predictor, atol=1e-13)


architectures = st.sampled_from(
    [
        lambda depth, seed, **k: FullyConnected(4, depth, scale=1.0, seed=seed, **k),
        lambda depth, seed, **k: FullyConnected(4, depth, outputs=3, width=5, scale=1.0, seed=seed, **k),
        lambda depth, seed, **k: Diagonal(5, depth, scale=1.0, seed=seed, **k),
        lambda depth, seed, **k: Convolutional(6, depth, scale=1.0, seed=seed, **k),
        lambda depth, seed, **k: Convolutional((3, 4), depth, scale=1.0, seed=seed, **k),
    ]
)


def squared_norm(network: LinearNetwork) -> float:
    return sum(float((w**2).sum()) for w in layers(network))


@settings(max_examples=40, deadline=None)
@given(build=architectures, depth=st.integers(1, 5), seed=st.integers(0, 1000), c=st.floats(0.1, 10.0))
def test_homogeneous_of_degree_depth(build, depth, seed, c):
    network = build(depth, seed)
    scaled = network.P([c * w for w in network.weights]).detach().numpy()
    expected = c**depth * network.predictor
    np.testing.assert_allclose(scaled, expected, atol=1e-13 * np.abs(expected).max())


@settings(max_examples=40, deadline=None)
@given(build=architectures, depth=st.integers(1, 5), seed=st.integers(0, 1000))
def test_squared_norm_is_at_least_the_induced_regularizer(build, depth, seed):
    """‖w‖² ≥ L·R(β)^{2/L} for all weights, by the arithmetic–geometric mean inequality (Horn's for matrices)."""
    network = build(depth, seed)
    induced = depth * network.regularizer.value(network.predictor) ** (2 / depth)
    assert squared_norm(network) >= induced * (1 - 1e-12)


@settings(max_examples=40, deadline=None)
@given(build=architectures, depth=st.integers(1, 5), seed=st.integers(0, 1000))
def test_balanced_weights_pay_exactly_the_induced_regularizer(build, depth, seed):
    network = build(depth, seed, initialization="balanced")
    induced = depth * network.regularizer.value(network.predictor) ** (2 / depth)
    # |β|^{2/L} loses digits where |β| is small: a coefficient known to 1e-16 has |β|^{2/5} known to 1e-6.4 at worst,
    # which happens only at exactly cancelled frequencies; scale 1 and generic seeds stay far from there
    assert squared_norm(network) == pytest.approx(induced, rel=1e-9)


@pytest.mark.parametrize(("named", "read"), [(Bridge(1), Bridge(1)), ("l1", Bridge(1)), ("dropout", None), (0.1, None)])
def test_a_module_names_its_regularizer_or_means_something_else(named, read):
    module = torch.nn.Linear(2, 1, bias=False)
    module.regularizer = named
    assert declared(module).regularizer == read


def test_a_linear_network_means_its_regularizer():
    """A slip in the name would leave the theorem untested, and nobody would know."""
    slip = type("Slip", (Diagonal,), {"regularizer": "l01"})
    with pytest.raises(ValueError, match="l01"):
        declared(slip(3, 2, seed=0))


def test_regularizers_by_depth():
    assert FullyConnected(3, 1).regularizer == Diagonal(3, 1).regularizer == Convolutional(3, 1).regularizer == L2()
    assert FullyConnected(3, 4).regularizer == L2()
    assert Diagonal(3, 4).regularizer == Bridge(0.5)
    assert Convolutional((3, 2), 4).regularizer == FourierBridge(0.5)
    assert FullyConnected(3, 2, outputs=2).regularizer == Schatten(1.0)
    assert Convolutional(8, 3, kernel=1).regularizer == L2()
    assert Convolutional((4, 4), 2, kernel=2).regularizer == MultiChannelCNN((4, 4), 2, 1, 1).regularizer
    for unknown in (
        Convolutional(8, 3, kernel=3),
        Convolutional(8, 2, kernel=3, padding="zero"),
        Convolutional(8, 2, padding="zero"),
    ):
        assert unknown.regularizer is None


def test_narrow_circular_kernel_at_depth_two_pays_at_least_its_kernel_norm():
    """min ‖w‖² = R_K(β): random weights cost more, and K = D gives back the Fourier value 2‖β̂‖₁."""
    for kernel in (2, 3, 6):
        network = Convolutional(6, 2, kernel=kernel, scale=1.0, seed=2)
        value = network.regularizer.value(network.predictor)
        factor = 2.0 if kernel == 6 else 1.0  # FourierBridge(1).value is ‖β̂‖₁, ConvKernel.value the cost itself
        assert squared_norm(network) >= factor * value * (1 - 1e-7)


@pytest.mark.parametrize("depth", [2, 3])
def test_kernel_one_pays_for_the_euclidean_norm(depth):
    """Kernel 1: min ‖w‖² = L D^{(L−1)/L} ‖β‖₂^{2/L}, attained where every layer has the same norm."""
    network = Convolutional(5, depth, kernel=1, scale=1.0, seed=0)
    with torch.no_grad():
        for w in network.weights:
            w /= torch.linalg.vector_norm(w)
    cost = depth * 5 ** ((depth - 1) / depth) * np.linalg.norm(network.predictor) ** (2 / depth)
    assert squared_norm(network) == pytest.approx(cost, rel=1e-13)


def test_same_seed_same_network_and_unbiased_starts_at_zero():
    for build in (FullyConnected, Diagonal, Convolutional):
        np.testing.assert_array_equal(build(6, 3, seed=5).predictor, build(6, 3, seed=5).predictor)
        assert np.abs(build(6, 3, seed=5).predictor - build(6, 3, seed=6).predictor).max() > 0
        assert not build(6, 3, seed=5, initialization="unbiased").predictor.any()
        assert build(6, 2, scale=0.2, seed=0).predictor == pytest.approx(4 * build(6, 2, scale=0.1, seed=0).predictor)


def test_compose_under_functional_call_and_vmap():
    from torch.func import functional_call, jacrev

    network = Convolutional(5, 3, scale=1.0, seed=0)
    X = torch.eye(5, dtype=torch.float64)
    parameters = dict(network.named_parameters())
    jacobian = jacrev(lambda p: functional_call(network, p, (X,)))(parameters)
    # Euler: ⟨∇f, w⟩ = L f for a function homogeneous of degree L
    euler = sum((jacobian[name] * p).flatten(1).sum(1) for name, p in parameters.items())
    np.testing.assert_allclose(euler.detach(), 3 * network(X).detach(), atol=1e-14)


# Data that only the predictor (−1, …) separates: coefficients must turn negative.
NEGATIVE = np.array([[-1.0, 0.2], [-2.0, 0.1], [-1.0, -0.3]]), np.array([1.0, 1.0, 1.0])


def test_tied_layers_cannot_change_sign_and_others_can():
    """w_1 = w_2: β = w_1² ≥ 0 for ever, and the loss cannot go to zero; an untied start gets through."""
    tied, free = Diagonal(2, 2, scale=0.5, seed=0), Diagonal(2, 2, scale=0.5, seed=0)
    with torch.no_grad():
        tied.weights[1].copy_(tied.weights[0])
        free.weights[0].copy_(torch.tensor([0.5, 0.5]))
        free.weights[1].copy_(torch.tensor([0.4, 0.5]))
    assert tied.locked_signs.all()
    assert "2 of 2 entries" in tied.sign_locked
    assert free.locked_signs.tolist() == [False, True]
    path = descend([tied, free], *NEGATIVE, steps=2000, schedule=LossNormalized(1e-2))
    assert path.predictors[0, :, 0].min() >= 0
    assert path.log_loss[0].min() > np.log(2.0)
    assert path.predictor[1, 0] < -1
    assert path.log_loss[1, -1] < -1


def test_sign_locks_of_each_architecture():
    assert Diagonal(4, 3, seed=0, initialization="balanced").locked_signs.all()
    for depth in (1, 2, 3):
        assert Diagonal(4, depth, seed=0).sign_locked is None
        assert Convolutional(6, depth, seed=0).sign_locked is None
        assert FullyConnected(4, depth, seed=0, initialization="balanced").sign_locked is None
    for width, depth in [(1, 2), (4, 2), (4, 3)]:
        assert FullyConnected(1, depth, width=width, seed=0, initialization="balanced").locked_signs.all()
    assert FullyConnected(1, 2, width=4, seed=0).sign_locked is None
    assert np.flatnonzero(Convolutional(6, 2, seed=0, initialization="balanced").locked_signs).tolist() == [0, 3]
    assert np.flatnonzero(Convolutional(7, 2, seed=0, initialization="balanced").locked_signs).tolist() == [0]
    image = Convolutional((4, 3), 2, seed=0, initialization="balanced").locked_signs
    assert np.argwhere(image).tolist() == [[0, 0], [2, 0]]
    # depth 3 with the smallest factor alone: the two larger ones tie, and nothing is locked
    network = Diagonal(1, 3)
    with torch.no_grad():
        for w, value in zip(network.weights, (0.1, 0.7, 0.7), strict=True):
            w.fill_(value)
    assert network.sign_locked is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FullyConnected(0, 2), "dim must be a positive integer, got dim=0"),
        (lambda: FullyConnected(3, 0), "depth must be a positive integer, got depth=0"),
        (lambda: FullyConnected(3, 2.0), "got depth=2.0"),
        (lambda: FullyConnected(3, True), "got depth=True"),
        (lambda: Convolutional((3, 0), 2), r"shape must be positive integers, got shape=\(3, 0\)"),
        (lambda: FullyConnected(3, 2, outputs=3, width=2), "width 2 cannot carry 3 outputs"),
        (lambda: Diagonal(3, 2, scale=0.0), "scale must be"),
        (lambda: Diagonal(3, 2, scale=float("nan")), "scale must be"),
        (lambda: Diagonal(3, 2, initialization="zero"), "initialization must be"),
        (lambda: Diagonal(3, 1, initialization="unbiased"), "depth ≥ 2"),
        (lambda: Convolutional(3, 2, kernel=4), "from 1 to D"),
        (lambda: Convolutional((3, 3), 2, kernel=(2, 2, 2)), "from 1 to D"),
        (lambda: Convolutional((2, 2, 2), 2), "signals D or images"),
        (lambda: Convolutional(3, 2, padding="same"), "padding must be"),
        (lambda: Convolutional(5, 2, kernel=2, initialization="balanced"), "full-width"),
    ],
)
def test_bad_architectures_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
