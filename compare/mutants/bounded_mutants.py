"""Wrong predictions about kernels of bounded width: other optima with pooling, saddles, less sparsity than is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from compare.bounded.local_minima import Minimum, local_check
from compare.bounded.pooling import MaxPooledCNN, average_pooling, optimum_check, seen_by_weights
from compare.bounded.signals import Signals, gaussian_signals
from compare.bounded.wavelets import WAVELETS, gains, sizes, sparser_check
from compare.mutants.network_mutants import Seen, kkt_check, polished_residual
from compare.mutants.trial import Mutant, Trial
from gd.flow.flow_limit import flow_limit
from gd.networks.linear import Diagonal
from solvers.max_margin import max_margin
from solvers.regularizers import L2, Schatten

KERNEL, POOL = 3, 2


def pooling_trial(signals: Signals, seed: int) -> Trial:
    """Average pooling: other costs of M, other kernels, no pooling, and inputs that are moved or reversed."""
    found = average_pooling(signals, KERNEL, POOL, KERNEL, seed)
    right, X, y = found.optimum, signals.X, signals.y
    assert right is not None

    def nuclear(kernel: int, pool: int) -> float:
        return max_margin(seen_by_weights(signals, kernel, pool), y, Schatten(1.0)).objective

    wrong = {
        "‖M‖_*, without the 2": 0.5 * right.objective,
        "2‖M‖_F": max_margin(seen_by_weights(signals, KERNEL, POOL), y, L2()).objective,
        "2‖M‖_* without pooling": nuclear(KERNEL, 1),
        "2‖M‖_* with one tap less": nuclear(KERNEL - 1, POOL),
        "2‖M‖_* with one tap more": nuclear(KERNEL + 1, POOL),
    }
    mutants = [Mutant("2‖M‖_*", optimum_check(found))]
    for claim, value in wrong.items():
        claimed = replace(found, optimum=replace(right, objective=value))
        mutants.append(Mutant(claim, optimum_check(claimed), abs(right.objective / value - 1.0)))
    seen = {
        "inputs moved by one": Seen(found.model, lambda x: torch.roll(x, 1, -1)),
        "inputs reversed": Seen(found.model, lambda x: torch.flip(x, (-1,))),
        "max pooling": MaxPooledCNN(X.shape[1], KERNEL, POOL, KERNEL),
    }
    mutants.append(Mutant("a KKT point", kkt_check("its own problem", found.limit, found.model, X, y)))
    for claim, other in seen.items():
        check = kkt_check(claim, found.limit, other, X, y)
        mutants.append(Mutant(f"a KKT point, {claim}", check, polished_residual(found.limit, other, X, y)))
    return Trial(f"average pooling {POOL}, K={KERNEL}", signals.name, tuple(mutants))


def minima_trial(signals: Signals, seed: int) -> Trial:
    """A diagonal network, and one from which the largest coefficient was taken: it ends at a saddle."""
    D = signals.X.shape[1]
    right = minimum(signals, Diagonal(D, 2, seed=seed), "a local minimum")
    assert right.limit.predictor is not None
    model, largest = Diagonal(D, 2, seed=seed), int(np.abs(right.limit.predictor).argmax())
    with torch.no_grad():
        for layer in model.weights:
            layer[largest] = 0.0
    saddle = minimum(signals, model, "a local minimum, with a coefficient whose weights start at 0")
    wrong = Mutant(saddle.name, local_check(saddle), -saddle.second.smallest)
    return Trial("diagonal, L=2", signals.name, (Mutant(right.name, local_check(right)), wrong))


def minimum(signals: Signals, model: Diagonal, claim: str) -> Minimum:
    """Where its flow ends."""
    limit = flow_limit(model, signals.X, signals.y)
    return Minimum(signals, claim, False, limit, limit.second_order())


def wavelet_trial(kernel: int, N: int, D: int, data_sets: int) -> Trial:
    """Sparsity in wavelets: the sides exchanged, and a factor of two."""
    found = [sizes(gaussian_signals(N, D, seed), (kernel,)) for seed in range(data_sets)]
    mutants = []
    for basis in WAVELETS:
        gain = gains(found, kernel, basis)
        right = sparser_check(f"R_{kernel} is sparser than ℓ2 in {basis}", gain)
        mutants.append(Mutant(right.statement, right))
        wrong = {
            f"ℓ2 is sparser than R_{kernel} in {basis}": (-gain, 2.0 * abs(float(gain.mean()))),
            f"R_{kernel} is sparser than ℓ2 by a factor of two in {basis}": (gain - np.log(2.0), float(np.log(2.0))),
        }
        for claim, (other, apart) in wrong.items():
            mutants.append(Mutant(claim, sparser_check(claim, other), apart, right.uncertainty))
    return Trial(f"wavelets, K={kernel}", f"{data_sets} data sets of {N} signals, D = {D}", tuple(mutants))
