"""Wrong potentials for regression: another scale, another depth, the ends of the scale, a start that is forgotten."""

from __future__ import annotations

import numpy as np

from compare.mutants.trial import Mutant, Trial
from compare.regression.finite_steps import STEPS, flow_prediction, kinds, step_run
from compare.regression.initial_scales import DEEP, WOODWORTH, unbiased
from compare.regression.interpolants import EXACT, RESOLUTION, Reached, distance, interpolant_check, reached
from compare.regression.other_networks import AZULAY
from compare.regression.regression_data import RegressionData
from gd.flow.flow_limit import flow_limit
from gd.networks.linear import Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
from solvers.interpolation.min_norm import Interpolating, Interpolation, min_norm
from solvers.regularizers import L2, Bridge
from solvers.regularizers.balanced_potential import BalancedPotential
from solvers.regularizers.diagonal_potential import DiagonalPotential
from solvers.regularizers.difference_potential import DifferencePotential
from solvers.regularizers.hyperbolic_entropy import HyperbolicEntropy

ALPHA = 0.3
"""Between the regimes: neither norm is a good prediction."""
ENDS: dict[str, Interpolating] = {"least ℓ1": Bridge(1.0), "least ℓ2": L2()}


def scale_trial(data: RegressionData, seed: int) -> Trial:
    """Depth 2 from equal coefficients: other scales, other depths, and the two ends."""
    del seed
    D = data.X.shape[1]
    wrong = {
        **ENDS,
        "α/2 for α": _potential(unbiased(D, 2, ALPHA / 2)),
        "2α for α": _potential(unbiased(D, 2, 2 * ALPHA)),
        "q₃ of u³ − v³": DifferencePotential(ALPHA, 3),
        "depth 3": _potential(unbiased(D, 3, ALPHA)),
    }
    return _flow(data, f"diagonal, L=2, α = {ALPHA}", unbiased(D, 2, ALPHA), WOODWORTH, wrong)


def start_trial(data: RegressionData, seed: int) -> Trial:
    """Depth 2 from Gaussian weights: the linear term, and the α of each coefficient."""
    network = Diagonal(data.X.shape[1], 2, scale=0.5, seed=seed)
    w1, w2 = (w.detach().numpy() for w in network.weights)
    alphas = 0.5 * np.sqrt(np.abs(w1**2 - w2**2))
    wrong = {
        **ENDS,
        "no linear term": HyperbolicEntropy(alphas),
        "the linear term's sign": HyperbolicEntropy(alphas, start=-w1 * w2),
        "one α for all": HyperbolicEntropy(float(alphas.mean()), start=w1 * w2),
    }
    return _flow(data, "diagonal, L=2, Gaussian start", network, WOODWORTH, wrong)


def deep_trial(data: RegressionData, seed: int) -> Trial:
    """Depth 3 from Gaussian weights: a network of another depth, other signs, another start."""
    network = Diagonal(data.X.shape[1], 3, scale=0.5, seed=seed)
    layers = np.stack([w.detach().numpy() for w in network.weights])
    wrong = {
        **ENDS,
        "two layers made one": HyperbolicEntropy.of_weights(layers[0] * layers[1], layers[2]),
        "one layer's sign": DiagonalPotential(layers * np.array([[1.0], [1.0], [-1.0]])),
        "equal coefficients": _potential(unbiased(layers.shape[1], 3, 0.5)),
    }
    return _flow(data, "diagonal, L=3, Gaussian start", network, DEEP, wrong)


def balanced_trial(data: RegressionData, seed: int) -> Trial:
    """A balanced fully connected network: other exponents, another start."""
    network = FullyConnected(data.X.shape[1], 2, width=3, scale=0.5, seed=seed, initialization="balanced")
    start = network.predictor
    wrong: dict[str, Interpolating] = {
        "least ℓ2": L2(),
        "the exponent of depth 3": BalancedPotential(start, 3),
        "nearest to the start": BalancedPotential(start, 1),
        "the start's sign": BalancedPotential(-start, 2),
    }
    return _flow(data, "fully connected, L=2, balanced", network, AZULAY, wrong)


def _potential(network: LinearNetwork) -> Interpolating:
    """The potential of a network that has one."""
    found = network.potential
    assert found is not None
    return found


def _flow(
    data: RegressionData, row: str, network: LinearNetwork, reference: str, wrong: dict[str, Interpolating]
) -> Trial:
    """One flow, and what is claimed of it."""
    limit = flow_limit(network, data.X, data.y, loss="squared")
    right, found = min_norm(data.X, data.y, _potential(network)), reached(row, limit)
    claims = {claim: min_norm(data.X, data.y, regularizer) for claim, regularizer in wrong.items()}
    return Trial(row, data.name, _mutants(found, "its own potential", right, claims, reference, RESOLUTION))


def step_trial(data: RegressionData, seed: int) -> Trial:
    """Constant finite steps: the effective start, and starts that leave the accumulated growth out, or turn it."""
    flow = flow_prediction(data, ALPHA)
    run = step_run(data, ALPHA, kinds(data, flow, ALPHA, (1.0,))[0], 500, seed, flow)
    outputs = data.X @ run.network.predictor
    assert run.effective is not None
    first, second = (w.detach().numpy() for w in unbiased(data.X.shape[1], 2, ALPHA).weights)
    growth = run.growth
    wrong = {
        "the start itself": HyperbolicEntropy.of_weights(first, second),
        "growth with the other sign": HyperbolicEntropy.of_weights(first, second, -growth),
        "half the growth": HyperbolicEntropy.of_weights(first, second, 0.5 * growth),
        "growths exchanged": HyperbolicEntropy.of_weights(first, second, growth[::-1]),
    }
    claims = {claim: min_norm(data.X, outputs, potential) for claim, potential in wrong.items()}
    row = f"finite steps, {run.how}"
    return Trial(row, data.name, _mutants(run.network, "its effective start", run.effective, claims, STEPS, EXACT))


def _mutants(
    network: Reached,
    claim: str,
    right: Interpolation,
    wrong: dict[str, Interpolation],
    reference: str,
    resolution: float,
) -> tuple[Mutant, ...]:
    """The right claim and the wrong ones, all by the comparison's own check."""
    mutants = [Mutant(claim, interpolant_check(network, claim, right, reference=reference, resolution=resolution))]
    for name, other in wrong.items():
        check = interpolant_check(network, name, other, reference=reference, resolution=resolution)
        mutants.append(Mutant(name, check, apart=distance(right.beta, other.beta)))
    return tuple(mutants)


TRIALS = {
    "initial scale": scale_trial,
    "Gaussian start": start_trial,
    "depth 3": deep_trial,
    "balanced": balanced_trial,
    "finite steps": step_trial,
}
"""By name for the progress bar."""
