"""Bounded width: pooled data by direct sums, sizes in bases, and checks that can fail."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from compare import compare_bounded
from compare.bounded import local_minima
from compare.bounded.local_minima import apart_check, local_check, minima
from compare.bounded.pooling import MaxPooledCNN, PooledCNN, ThreeLayerCNN, checks_of, pooled_inputs, pooled_limits
from compare.bounded.signals import gaussian_signals
from compare.bounded.wavelets import Sizes, bases, size_of, wavelet_section
from compare.reports.verdict import Verdict

SIGNALS = gaussian_signals(6, 8, 0)


def test_pooled_inputs_are_means_of_shifted_signals():
    x, (K, s) = SIGNALS.X[0], (3, 2)
    expected = [[sum(x[(j * s + i + k) % 8] for i in range(s)) / s / 8**0.5 for j in range(4)] for k in range(K)]
    np.testing.assert_allclose(pooled_inputs(torch.as_tensor(SIGNALS.X), K, s)[0], expected, atol=1e-15)


def test_the_networks_convolve_pool_and_sum():
    """Without pooling and with one channel both are products of spectra."""
    X = torch.as_tensor(SIGNALS.X)
    one = PooledCNN(8, 3, 1, 1, scale=1.0)
    hat = [np.fft.fft(w[0].detach().numpy(), 8, norm="ortho") for w in (one.U, one.V)]
    beta = np.fft.ifft(hat[0] * hat[1], norm="ortho").real
    np.testing.assert_allclose(one(X).detach(), SIGNALS.X @ beta, atol=1e-14)
    windows = SIGNALS.X @ np.stack([np.roll(one.U[0].detach().numpy() @ np.eye(3, 8), d) for d in range(8)]).T / 8**0.5
    largest = MaxPooledCNN(8, 3, 2, 1, scale=1.0)
    expected = windows.reshape(-1, 4, 2).max(axis=2) @ largest.V[0].detach().numpy()
    np.testing.assert_allclose(largest(X).detach(), expected, atol=1e-14)
    deep = ThreeLayerCNN(8, 3, 1, scale=1.0)
    weights = (deep.first[0], deep.second[0, 0], deep.V[0])
    hat = [np.fft.fft(w.detach().numpy(), 8, norm="ortho") for w in weights]
    beta = np.fft.ifft(hat[0] * hat[1] * hat[2], norm="ortho").real
    np.testing.assert_allclose(deep(X).detach(), SIGNALS.X @ beta, atol=1e-14)


def test_a_wrong_optimum_of_the_pooled_problem_is_refuted():
    pooled, largest, deep = pooled_limits(gaussian_signals(4, 6, 0), 2, 2, 2, 0)
    checks = [check for found in (pooled, largest, deep) for check in checks_of(found)]
    assert [check.verdict for check in checks] == [Verdict.CONFIRMED] * 4
    assert checks_of(replace(largest, model=pooled.model))[0].verdict is Verdict.REFUTED
    wrong = replace(pooled, optimum=replace(pooled.optimum, objective=1.001 * pooled.optimum.objective))
    assert checks_of(wrong)[1].verdict is Verdict.REFUTED
    few = replace(pooled, channels=1)
    assert checks_of(few)[1].verdict is Verdict.NO_PREDICTION


def test_sizes_tell_sparse_from_spread_out():
    one = np.zeros(64)
    one[3] = -2.0
    assert size_of(one) == pytest.approx(1 / 64)
    assert size_of(np.ones(64)) == pytest.approx(1.0)
    vector = np.random.default_rng(0).standard_normal(64)
    for c in bases(vector).values():
        assert np.linalg.norm(c) == pytest.approx(np.linalg.norm(vector))
    assert size_of(bases(np.ones(64))["frequencies"]) == pytest.approx(1 / 64)


@pytest.mark.parametrize(("factor", "verdict"), [(0.8, Verdict.CONFIRMED), (1.2, Verdict.REFUTED)])
def test_sparsity_in_wavelets_can_be_refuted(factor, verdict):
    rng = np.random.default_rng(0)
    names = ("entries", "frequencies", "Haar", "Daubechies 4", "symlet 6")
    keys = [(kernel, name) for kernel in (1, 2) for name in names]
    found = [
        Sizes(SIGNALS, {key: factor ** (key[0] - 1) * (0.5 + 0.01 * rng.random()) for key in keys}) for _ in range(5)
    ]
    assert {check.verdict for check in wavelet_section(found, [2]).checks} == {verdict}


def test_growth_and_gaps_decide_about_local_minima(monkeypatch):
    monkeypatch.setattr(local_minima, "ONE_KERNEL", 1)
    few = {name: model for name, model in local_minima.networks(8, 3, 0).items() if "L=2" in name and "C=" not in name}
    monkeypatch.setattr(local_minima, "networks", lambda *_: few)
    found = minima(SIGNALS, 3, 0)
    assert {local_check(one).verdict for one in found} == {Verdict.CONFIRMED}
    first = found[0]
    grows = replace(first.limit, integrated=replace(first.limit.integrated, growth=0.1))
    assert local_check(replace(first, limit=grows)).verdict is Verdict.REFUTED
    closed = next(one for one in found if one.name == "diagonal, L=2")
    assert apart_check([replace(closed, one_kernel=True)]).verdict is Verdict.NOT_REACHED
    assert apart_check([]).verdict is Verdict.NOT_REACHED


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="divide"):
        compare_bounded(length=9, pool=2)
    with pytest.raises(ValueError, match="kernel must be at most 12"):
        compare_bounded(kernel=13)
