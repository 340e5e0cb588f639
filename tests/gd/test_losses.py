"""Losses in the log domain: equal to the plain formulas where those are representable, and right where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gd import Exponential, Logistic, Squared
from gd.losses import ASYMPTOTE, Loss, find_loss

MARGIN_LOSSES = [Exponential(), Logistic()]


def tensor(values) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float64))


def plain(loss: Loss, m: np.ndarray) -> np.ndarray:
    """Σ_n ℓ(m_n) per run, by the formula, in extended precision."""
    m = m.astype(np.longdouble).reshape(m.shape[0], -1)
    terms = np.exp(-m) if isinstance(loss, Exponential) else np.log1p(np.exp(-m))
    return terms.sum(axis=1)


@pytest.mark.parametrize("loss", MARGIN_LOSSES, ids=lambda loss: loss.name)
def test_equals_the_plain_formula_where_it_is_representable(loss):
    rng = np.random.default_rng(0)
    # both sides of the switch to the asymptote, in steps that straddle it, and negative margins
    m = np.concatenate([rng.uniform(-50, 300, (20, 6)), ASYMPTOTE + rng.uniform(-1e-9, 1e-9, (5, 6))])
    y = np.where(rng.random(6) < 0.5, -1.0, 1.0)
    computed = loss.log_value(tensor(m * y), tensor(y)).numpy()
    # log L is a sum rounded at |log L| ≤ 300: 1e-15·300, a few roundings
    np.testing.assert_allclose(computed, np.log(plain(loss, m)).astype(float), rtol=1e-15, atol=2e-13)


@pytest.mark.parametrize("loss", MARGIN_LOSSES, ids=lambda loss: loss.name)
def test_weights_are_minus_the_derivative_of_log_loss(loss):
    rng = np.random.default_rng(1)
    y = tensor(np.where(rng.random((5, 2)) < 0.5, -1.0, 1.0))
    f = tensor(rng.uniform(-60, 60, (4, 5, 2))).requires_grad_(True)
    value = loss.log_value(f, y)
    (by_autograd,) = torch.autograd.grad(value.sum(), f)
    slope = loss.slope(f.detach(), y, value.detach())
    np.testing.assert_allclose(slope, by_autograd, rtol=1e-12, atol=1e-300)
    weights = loss.weights(f.detach() * y, value.detach())
    assert (weights >= 0).all()
    assert (weights.flatten(1).sum(1) <= 1 + 1e-14).all()


@pytest.mark.parametrize("loss", MARGIN_LOSSES, ids=lambda loss: loss.name)
def test_losses_far_below_the_smallest_float(loss):
    """L = 2e^{−10⁶}: log L = −10⁶ + log 2, weights ½ each; and equally at 10^{200}, and at large negative margins."""
    y = tensor([1.0, -1.0, 1.0])
    f = tensor([[1e6, -1e6, 3e6], [1e200, -1e200, 3e200]])
    value = loss.log_value(f, y)
    np.testing.assert_allclose(value, [-1e6 + np.log(2.0), -1e200], rtol=1e-15)
    # log L is rounded at 1e6·1e-16, and p = e^{−m − log L} inherits that as a relative error
    np.testing.assert_allclose(-loss.slope(f, y, value)[0] * y, [0.5, 0.5, 0.0], atol=1e-9)
    wrong = loss.log_value(tensor([[-1e3, 1.0, 1.0]]), y)
    assert float(wrong[0]) == pytest.approx(1e3 if loss.name == "exponential" else np.log(1e3), rel=2e-3)


def test_logistic_tends_to_exponential():
    """ℓ_logistic/ℓ_exponential = 1 − e^{−m}/2 + …: their weights agree once the loss is small."""
    f, y = tensor([[30.0, 31.0, 33.0]]), tensor([1.0, 1.0, 1.0])
    one, other = Exponential(), Logistic()
    np.testing.assert_allclose(one.log_value(f, y), other.log_value(f, y), atol=1e-12)
    p, q = (loss.weights(f, loss.log_value(f, y)) for loss in (one, other))
    np.testing.assert_allclose(p, q, rtol=1e-12)


def test_squared_loss():
    rng = np.random.default_rng(2)
    f, y = tensor(rng.standard_normal((3, 4, 2, 2))), tensor(rng.standard_normal((4, 2, 2)))
    loss = Squared()
    value = loss.log_value(f, y)
    np.testing.assert_allclose(value.exp(), 0.5 * ((f - y) ** 2).flatten(1).sum(1), rtol=1e-14)
    np.testing.assert_array_equal(loss.slope(f, y, value), f - y)
    np.testing.assert_array_equal(loss.log_scale(value), torch.zeros(3))
    # residuals of 1e-200 square to zero, but the log-loss is still a number
    assert float(loss.log_value(tensor([[1e-200]]), tensor([0.0]))[0]) == pytest.approx(2 * np.log(1e-200) - np.log(2))


def test_unknown_loss_is_refused_by_name():
    assert find_loss("logistic") == Logistic()
    with pytest.raises(ValueError, match="'exponential', 'logistic', 'squared'"):
        find_loss("hinge")
