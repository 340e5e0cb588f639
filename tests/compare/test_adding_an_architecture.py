"""A norm, a network and a row of the comparison, defined outside the package.

The network has groups of two coordinates, β_g = s_g·v_g with one number s_g and one vector v_g for each group g. By the
inequality of the means, s_g² + ‖v_g‖² ≥ 2 |s_g| ‖v_g‖₂ = 2 ‖β_g‖₂, and both sides are equal where the layers are
balanced. So the induced regularizer is the group norm:

    min { ‖w‖² : P(w) = β } = 2 R(β),     R(β) = Σ_g ‖β_g‖₂.
"""

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
import pytest
import torch

from compare import angle, compare_margin
from compare.margin.architectures import ARCHITECTURES, Architecture
from gd import LinearNetwork, flow_limit
from solvers import MaxMarginClassifier, Norm, Status, certify, max_margin, regularization_path

# The norm: three methods.


@dataclass(frozen=True)
class PairNorm(Norm):
    """R(β) = Σ_g ‖β_g‖₂ over pairs of consecutive coordinates; β of shape (D,), D even."""

    def value(self, beta):
        return float(np.linalg.norm(beta.reshape(-1, 2), axis=1).sum())

    def dual_norm(self, z):
        return float(np.linalg.norm(z.reshape(-1, 2), axis=1).max())

    def conic(self, beta):
        return cp.sum(cp.norm(cp.reshape(beta, (beta.size // 2, 2), order="C"), axis=1))


# The network: its layers, the map P from the layers to β, and its regularizer.


class PairNetwork(LinearNetwork):
    """f(x; w) = ⟨x, β⟩ with β_g = s_g v_g: depth 2."""

    theorem = "the inequality of the means"

    def __init__(self, D, scale=0.1, seed=0):
        drawn = {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}
        super().__init__([scale * torch.randn(n, **drawn) for n in (D // 2, D)])
        self.shape = (D,)

    def P(self, weights):
        s, v = weights
        return s.repeat_interleave(2, dim=-1) * v

    @property
    def regularizer(self):
        return PairNorm()


# The row: a name, and how a network is built from the shape of an input, the depth, the initial scale and a seed.

ROW = Architecture("pairs", lambda shape, depth, scale, seed: PairNetwork(shape[0], scale=scale, seed=seed))


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((6, 16)), np.where(rng.random(6) < 0.5, -1.0, 1.0)


def test_the_regularizer_is_what_the_weights_cost():
    """min ‖w‖² = 2 R(β): a balanced network attains it, and no rescaling of its layers costs less."""
    network = PairNetwork(16, seed=3)
    s, v = (w.detach().clone() for w in network.weights)
    balance = (torch.linalg.vector_norm(v.reshape(-1, 2), dim=1) / s.abs()).sqrt()
    balanced = [s * balance, v / balance.repeat_interleave(2)]
    beta = network.P(balanced).numpy()
    np.testing.assert_allclose(beta, network.predictor, rtol=1e-14)
    cost = sum(float((w**2).sum()) for w in balanced)
    assert cost == pytest.approx(2 * PairNorm().value(beta), rel=1e-14)
    for factor in (0.9, 1.1):
        assert float(((factor * balanced[0]) ** 2).sum() + ((balanced[1] / factor) ** 2).sum()) > cost


def test_one_pair_is_the_euclidean_norm():
    """A limiting case that somebody else computed: with one group R is ‖β‖₂ and its own dual."""
    beta = np.array([3.0, -4.0])
    assert PairNorm().value(beta) == PairNorm().dual_norm(beta) == 5.0


def test_the_norm_is_solved_and_certified(data):
    X, y = data
    solution = max_margin(X, y, PairNorm(), tol=1e-6)  # what a cone solver gives; the true gap is in the certificate
    assert solution.status is Status.OPTIMAL
    assert solution.certificate.gap <= 1e-6
    again = certify(X, y, solution.beta, PairNorm(), dual=solution.dual)
    assert again.gap == pytest.approx(solution.certificate.gap, abs=1e-12)
    wrong = solution.beta + 0.01 * np.random.default_rng(1).standard_normal(16)
    assert certify(X, y, wrong, PairNorm(), dual=solution.dual).direction_gap > 1e-4


def test_the_norm_goes_into_the_classifier_and_the_path(data):
    X, y = data
    fitted = MaxMarginClassifier(PairNorm(), tol=1e-6).fit(X, y)
    assert fitted.score(X, y) == 1.0
    path = regularization_path(X, y, [1.0, 10.0], PairNorm())
    sizes = [PairNorm().value(beta) for beta in path.predictors]
    assert max(np.array(sizes) / [1.0, 10.0]) <= 1 + 1e-6


def test_gradient_flow_on_the_network_ends_at_the_solution(data):
    X, y = data
    solution = max_margin(X, y, PairNorm(), tol=1e-6)
    limit = flow_limit(PairNetwork(16), X, y)
    assert limit.status.converged
    assert limit.certificate.direction_gap < 1e-6
    # an angle grows as the square root of the cone solver's gap
    assert angle(limit.predictor, solution.beta) < 1e-3


def test_the_comparison_runs_with_the_network(data):
    X, y = data
    report = compare_margin(X, y, models={"pairs": PairNetwork(16)}, steps=100, tol=1e-6)
    assert report.passed
    assert any("pairs" in check.statement for check in report.checks)


def test_the_comparison_runs_with_the_row(data, monkeypatch):
    X, y = data
    monkeypatch.setitem(ARCHITECTURES, ROW.name, ROW)  # one line in the table
    report = compare_margin(X, y, architectures=["pairs"], depths=[2], seeds=[0, 1], steps=100, tol=1e-6)
    assert report.passed
    assert any("pairs" in check.statement for check in report.checks)
