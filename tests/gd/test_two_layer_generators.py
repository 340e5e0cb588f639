"""Two-layer generators: the formula written out, the Jacobian's Gram matrix, and the spectral filter."""

import numpy as np
import pytest
import torch

from gd.images.two_layer_generator import ToyGenerator, TwoLayerGenerator
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel
from solvers.filters.early_stopping import early_stopping_filter


def circulant(u):
    return np.array([[u[(i - j) % u.size] for j in range(u.size)] for i in range(u.size)])


@pytest.mark.parametrize("antisymmetric", [True, False])
def test_the_formula_written_out(antisymmetric):
    u = np.random.default_rng(0).standard_normal(7)  # not symmetric: convolution, not correlation
    net = TwoLayerGenerator(7, 6, u, seeds=(3, 4), antisymmetric=antisymmetric)
    with torch.no_grad():
        net.C.add_(torch.as_tensor(np.random.default_rng(1).standard_normal(net.C.shape)))
        out = net().numpy()
    for b in range(2):
        C = net.C[b].detach().numpy().T
        np.testing.assert_allclose(out[b], np.maximum(circulant(u) @ C, 0) @ net.v[b].numpy(), atol=1e-13)
    np.testing.assert_allclose(net.v.norm(dim=1).numpy(), 1.0)


def test_fourier_and_dense_products_agree_and_images_work():
    """A 1 × n image takes the FFT method; a line of the same kernel takes the dense one."""
    u = np.random.default_rng(0).standard_normal(8)
    line = TwoLayerGenerator(8, 6, u, antisymmetric=False)
    image = TwoLayerGenerator((8, 1), 6, u[:, None], antisymmetric=False)
    np.testing.assert_allclose(image.C.detach().numpy().ravel(), line.C.detach().numpy().ravel())
    np.testing.assert_allclose(image().detach().numpy().ravel(), line().detach().numpy().ravel(), atol=1e-13)
    single = image.to(torch.float32)  # keeps the imaginary part of u's spectrum
    np.testing.assert_allclose(single().detach().numpy().ravel(), line().detach().numpy().ravel(), atol=1e-5)


def test_expected_jacobian_gram_is_the_dual_kernel():
    """At k channels the entries of J Jᵀ average k independent terms of size ≤ ⟨u_i,u_j⟩/k: error below 5·‖u‖²/(2√k)."""
    u = gaussian_kernel(10, 0.15)
    net = TwoLayerGenerator(10, 20_000, u, antisymmetric=False)
    J = torch.stack([torch.autograd.grad(net()[0, i], net.C)[0].flatten() for i in range(10)])
    assert (J @ J.T - torch.as_tensor(dual_kernel(u).matrix())).abs().max() < 2.5 / np.sqrt(20_000)


@pytest.mark.parametrize("loss_scale", [0.5, 1.0])
def test_trained_outputs_follow_the_filter_and_not_the_other_loss(loss_scale):
    """n = 64, k = 2048: the kernel of one draw misses its mean by O(k^{−1/2}) = 2%; 8% bounds the first steps."""
    u = gaussian_kernel(64, 0.05)
    kernel = dual_kernel(u)
    step = 1 / kernel.largest / (2 * loss_scale)
    net = TwoLayerGenerator(64, 2048, u, seeds=(0,))
    y = np.sin(2 * np.pi * np.arange(64) / 32) + 0.3 * np.random.default_rng(0).standard_normal(64)
    outputs = []
    for _ in range(31):
        out = net()
        outputs.append(out[0].detach().numpy())
        (grad,) = torch.autograd.grad(loss_scale * ((out - torch.as_tensor(y)) ** 2).sum(), net.C)
        with torch.no_grad():
            net.C -= step * grad
    # descent on s·‖·‖² with step η is descent on ½‖·‖² with step 2sη
    predicted = early_stopping_filter(kernel, 2 * loss_scale * step, np.arange(31))(y)
    distance = np.linalg.norm(np.array(outputs) - predicted, axis=1)[1:] / np.linalg.norm(predicted, axis=1)[1:]
    assert np.abs(outputs[0]).max() < 1e-13  # 2048 terms of 0.02, each rounded to 1e-16 of itself, in pairs of sign
    assert distance.max() < 0.08
    if loss_scale == 1.0:  # the other loss at this step predicts half the speed, far outside
        slow = early_stopping_filter(kernel, step, np.arange(31))(y)
        assert (np.linalg.norm(np.array(outputs) - slow, axis=1)[1:] / np.linalg.norm(slow, axis=1)[1:]).max() > 0.5


def test_toy_model_written_out():
    n, k, u = 8, 3, np.array([0.5, 1.0, 0.25])
    net = ToyGenerator(n, k, u, seeds=(5,))
    rng = np.random.default_rng(5)
    B = rng.standard_normal((n // 2, k))
    up = np.zeros((n, n // 2))
    up[::2] = np.eye(n // 2)
    T = sum(u[d + 1] * np.eye(n, k=-d) for d in (-1, 0, 1))  # T[i, j] = u[i − j]
    C1, c2 = net.C1[0].detach().numpy(), net.c2[0].detach().numpy()
    np.testing.assert_allclose(net()[0].detach().numpy(), np.maximum(T @ up @ B @ C1, 0) @ c2, atol=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TwoLayerGenerator(8, 5, np.ones(8)), "an even whole number"),
        (lambda: TwoLayerGenerator(8, 1, np.ones(8), antisymmetric=False), "k must be"),
        (lambda: TwoLayerGenerator(8, 6, np.ones(7)), "of shape"),
        (lambda: TwoLayerGenerator(8, 6, np.full(8, np.nan)), "8 NaN"),
        (lambda: TwoLayerGenerator(8, 6, np.ones(8), scale=0.0), "scale"),
        (lambda: TwoLayerGenerator(8, 6, np.ones(8), seeds=()), "seeds is empty"),
        (lambda: ToyGenerator(7, 2), "n must be a multiple of upsampling"),
        (lambda: ToyGenerator(8, 2, [1.0, 1.0]), "odd number"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
