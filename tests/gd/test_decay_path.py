"""Training with weight decay: on the explicit regularization path at every λ, and its limit."""

import math

import numpy as np
import pytest

from gd import Convolutional, Diagonal, FullyConnected, MultiChannelCNN
from gd.descent.decay_path import decay_path
from solvers import max_margin
from solvers.regularization_path import regularization_path

RNG = np.random.default_rng(3)
X = RNG.standard_normal((6, 8))
Y = np.where(X @ RNG.standard_normal(8) > 0, 1.0, -1.0)
NETWORKS = {
    "fully connected": (lambda: FullyConnected(8, 2, seed=0), 2.0),
    "diagonal": (lambda: Diagonal(8, 2, seed=0), 2.0),
    "convolutional": (lambda: Convolutional(8, 2, seed=0), 2.0),
    "two channels": (lambda: MultiChannelCNN(8, 3, 1, 2, seed=0), 1.0),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_decay_is_on_the_explicit_path(name):
    build, factor = NETWORKS[name]
    model = build()
    R = model.regularizer
    optimum = max_margin(X, Y, R).objective
    for one in decay_path(model, X, Y, [-10.0, -300.0]):
        value = R.value(one.beta)
        assert one.square == pytest.approx(factor * value, rel=1e-8)
        least = regularization_path(X, Y, [value], R, loss="exponential", tol=1e-9).losses[0]
        assert one.log_loss == pytest.approx(least, abs=1e-6)
        # min {L : R ≤ ρ} ≤ N exp(−ρ/R*)
        assert -1e-9 <= value / one.margin / optimum - 1.0 <= math.log(6) / one.margin


def test_the_stationary_point_has_the_decay_that_was_asked_for():
    """∇L + λw = 0 along w: λ‖w‖² = Σ p m · depth · L, by Euler's identity."""
    (one,) = decay_path(Diagonal(8, 3, seed=0), X, Y, [-20.0])
    margins = Y * (X @ one.beta)
    loss = np.exp(-margins)
    assert math.log(3.0 * float(loss @ margins) / one.square) == pytest.approx(-20.0, abs=1e-6)


@pytest.mark.parametrize("decays", [[], [-10.0, -5.0], [1.0], [-5.0, -5.0]])
def test_decays_descend_from_below_zero(decays):
    with pytest.raises(ValueError, match="descend"):
        decay_path(Diagonal(8, 2, seed=0), X, Y, decays)


def test_too_many_weights_are_refused():
    with pytest.raises(ValueError, match="up to 600 weights"):
        decay_path(FullyConnected(30, 2, seed=0), np.ones((2, 30)), [1, 1], [-5.0])
