"""Networks of which the squared loss says less: fully connected, convolutional, and matrix factorization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from compare.regression.interpolants import Reached, distance, interpolant_check, no_prediction, reached
from compare.regression.regression_data import RegressionData
from compare.reports.report import Check, Column, Section
from compare.reports.tables import table_of
from gd.flow.flow_limit import flow_limit
from gd.networks.linear import Convolutional, FullyConnected
from gd.networks.linear_network import LinearNetwork
from gd.networks.matrix_factorization import MatrixFactorization
from solvers.arrays import Array
from solvers.interpolation.min_norm import Interpolation, min_norm
from solvers.regularizers import L2, FourierBridge, Regularizer, Schatten
from solvers.regularizers.hyperbolic_entropy import HyperbolicEntropy

AZULAY = "Azulay et al. (2021), balanced two-layer networks: ‖β‖^{3/2}"
COMMUTING = "Gunasekar et al. (2017), Theorem 1: the flow of the eigenvalues"
SIDE = 5
"""Rows and columns of the matrices."""


@dataclass(frozen=True)
class Measured:
    """One network, what is predicted of it if anything, and the norm that small weights are said to favour."""

    network: Reached
    norm: Regularizer
    least: Interpolation = field(repr=False)
    """The least value of that norm."""
    predicted: Interpolation | None = field(repr=False)
    check: Check

    @property
    def excess(self) -> float:
        """How far the norm is above its least value, relatively."""
        return self.norm.value(self.network.predictor) / self.least.objective - 1.0


def vector_networks(data: RegressionData, init: float, seed: int) -> list[Measured]:
    """Fully connected networks, balanced and not, and a convolutional one."""
    D = data.X.shape[1]
    width = 3
    rows: tuple[tuple[str, LinearNetwork, Regularizer], ...] = (
        (
            "fully connected, L=2, balanced",
            FullyConnected(D, 2, width=width, scale=init, seed=seed, initialization="balanced"),
            L2(),
        ),
        ("fully connected, L=2, Gaussian", FullyConnected(D, 2, width=width, scale=init, seed=seed), L2()),
        ("convolutional, L=2, Gaussian", Convolutional(D, 2, scale=init, seed=seed), FourierBridge(1.0)),
    )
    return [_measured(name, network, data.X, data.y, norm) for name, network, norm in rows]


def _measured(name: str, network: LinearNetwork, X: Array, y: Array, norm: Regularizer) -> Measured:
    """The flow of one network, and its prediction where there is one."""
    limit = flow_limit(network, X, y, loss="squared")
    found, (predicted,) = reached(name, limit), limit.prediction
    least = min_norm(X, y, norm)
    if predicted is not None:
        claim = "the least potential of its start that fits"
        return Measured(found, norm, least, predicted, interpolant_check(found, claim, predicted, reference=AZULAY))
    why = "no potential is proved for this network and start"
    excess = norm.value(found.predictor) / least.objective - 1.0
    return Measured(found, norm, least, None, no_prediction(found, f"{norm.formula}/min − 1", excess, why))


def commuting_measurements(count: int, seed: int) -> tuple[Array, Array, Array]:
    """Symmetric X_n with one eigenbasis V, and y of a matrix of rank one in it: X (N, n, n), y (N,), V."""
    rng = np.random.default_rng(seed)
    V = np.linalg.qr(rng.standard_normal((SIDE, SIDE)))[0]
    eigenvalues = rng.standard_normal((count, SIDE))
    return np.einsum("ik,nk,jk->nij", V, eigenvalues, V), eigenvalues[:, 0].copy(), V


def symmetric_measurements(count: int, seed: int) -> tuple[Array, Array]:
    """Symmetric Gaussian X_n, which do not commute, and y of a positive matrix of rank one."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, SIDE, SIDE))
    X = X + X.transpose(0, 2, 1)
    v = rng.standard_normal(SIDE)
    return X, np.einsum("nij,i,j->n", X, v, v) / float(v @ v)


def from_identity(alpha: float) -> MatrixFactorization:
    """W₁ = αI, W₂ = 0."""
    network = MatrixFactorization((SIDE, SIDE))
    with torch.no_grad():
        network.weights[0].copy_(alpha * torch.eye(SIDE, dtype=torch.float64))
        network.weights[1].zero_()
    return network


def factorizations(alphas: Sequence[float], seed: int) -> list[Measured]:
    """W₁W₂ᵀ from W₁ = αI, W₂ = 0, for measurements that commute and for some that do not."""
    return [*(commuting(alpha, seed) for alpha in alphas), *(not_commuting(alpha, seed) for alpha in alphas)]


def commuting(alpha: float, seed: int) -> Measured:
    """Measurements with one eigenbasis: the spectrum is predicted at every α."""
    X, y, V = commuting_measurements(3, seed)
    network = reached(f"W₁W₂ᵀ, α = {alpha:g}, commuting", flow_limit(from_identity(alpha), X, y, loss="squared"))
    potential = HyperbolicEntropy.of_weights(np.full(SIDE, alpha), np.zeros(SIDE))
    predicted = spectral_prediction(X, y, V, potential)
    claim = "the least hyperbolic entropy of its eigenvalues that fits"
    check = interpolant_check(network, claim, predicted, reference=COMMUTING)
    return Measured(network, Schatten(1.0), min_norm(X, y, Schatten(1.0)), predicted, check)


def not_commuting(alpha: float, seed: int) -> Measured:
    """Other measurements: the nuclear norm is measured."""
    X, y = symmetric_measurements(8, seed)
    return _measured(f"W₁W₂ᵀ, α = {alpha:g}, not commuting", from_identity(alpha), X, y, Schatten(1.0))


def spectral_prediction(X: Array, y: Array, V: Array, potential: HyperbolicEntropy) -> Interpolation:
    """The interpolant whose eigenvalues, in the common eigenbasis V of the X_n, have the least potential.

    The flow stays in the matrices V diag(·) Vᵀ: there it is the diagonal network of depth 2.
    """
    found = min_norm(np.einsum("ik,nij,jk->nk", V, X, V), y, potential)
    return Interpolation(**{**vars(found), "beta": (V * found.beta) @ V.T})


def other_section(title: str, text: str, found: Sequence[Measured]) -> Section:
    """The table and its checks."""
    columns, rows = table_of(
        found,
        (Column("network", "network"), lambda m: m.network.subject),
        (Column("norm", "norm"), lambda m: m.norm.formula),
        (Column("excess", "norm/min − 1", format=".2g"), lambda m: m.excess),
        (
            Column("to_least", "to the least norm's", format=".2g"),
            lambda m: distance(m.network.predictor, m.least.beta),
        ),
        (
            Column("distance", "to the prediction", format=".1e"),
            lambda m: None if m.predicted is None else distance(m.network.predictor, m.predicted.beta),
        ),
        (Column("error", "uncertainty", format=".1e"), lambda m: m.network.error),
        (Column("verdict", "theory", format="verdict"), lambda m: m.check.verdict),
    )
    return Section(title, text, columns, rows, [m.check for m in found])
