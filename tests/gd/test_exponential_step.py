"""Steps of depth-2 product networks that are exact in the weights, held to scipy's integration of the weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gd import Convolutional, flow_limit
from gd.flow.exponential_step import exponential_step
from gd.flow.loss_weights import ExponentialWeights
from solvers import FourierBridge, max_margin

Array = np.ndarray


def integrated(F: Array, w: Array, p: Array, h: float) -> Array:
    """w(h) of w₁′ = g ⊙ w̄₂, w₂′ = g ⊙ w̄₁, g = Fᵀp, by a Runge–Kutta method."""
    g = F.T @ p

    def slope(_: float, flat: Array) -> Array:
        w1, w2 = flat.reshape(2, -1)
        return np.concatenate([g * w2.conj(), g * w1.conj()])

    found = solve_ivp(slope, (0.0, h), w.ravel().astype(complex), rtol=1e-12, atol=1e-14, method="DOP853")
    return np.asarray(found.y[:, -1].reshape(2, -1))


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("h", [1e-6, 0.1, 3.0])
def test_a_step_solves_the_flow_of_the_weights(kind: str, h: float) -> None:
    rng = np.random.default_rng(3)
    F, w = rng.standard_normal((4, 6)), rng.standard_normal((2, 6))
    if kind == "complex":
        F, w = F + 1j * rng.standard_normal((4, 6)), w + 1j * rng.standard_normal((2, 6))
    w, T = w / np.linalg.norm(w), 0.05
    p, ended, growth, converged = exponential_step(F, w, h, T, np.full(4, 0.25), ExponentialWeights())
    assert converged
    there = integrated(F, w, p, h)
    np.testing.assert_allclose(np.exp(growth) * ended, there, rtol=0, atol=1e-9 * np.linalg.norm(there))
    margins = (F.conj() @ (ended[0] * ended[1])).real  # p is that of the end, at norm one
    softmax = np.exp(-(margins - margins.min()) / T)
    np.testing.assert_allclose(p, softmax / softmax.sum(), atol=1e-9)


def test_a_convolution_of_784_frequencies_is_followed_in_long_steps() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100, 784)), rng.choice([-1.0, 1.0], 100)
    limit = flow_limit(Convolutional(784, 2, seed=0), X, y)
    assert limit.stats["steps"] < 700  # 281; a frequency that comes back took 2373 where ‖w‖ grew e^1.7 times a step
    value = FourierBridge(1).value(limit.predictor)
    assert value == pytest.approx(max_margin(X, y, FourierBridge(1)).objective, rel=1e-9)
    assert limit.integrated.duality_gap is not None
    assert limit.integrated.duality_gap < 1e-5  # 7e-7: the flow itself is there, before any polish
