"""A norm that says nothing about its minimization: the flow's own multipliers certify, right and wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch.nn import Linear, Sequential

from compare import Verdict, compare_margin
from gd import Convolutional, Diagonal, FullyConnected, LinearNetwork, descend, flow_limit
from solvers import Bridge, Norm, NoSolverError, Regularizer, Status, certify, max_margin, min_norm, regularization_path

X = [[2.0, 1.0, 0.3], [-1.0, -3.0, 1.0], [3.0, 1.0, -0.4], [0.5, -1.0, 0.2]]
y = ["oak", "elm", "oak", "elm"]


class Silent(Norm):
    """‖·‖_p, p = 1 or 2, without a conic form."""

    def __init__(self, p: int) -> None:
        self.p = p

    def __str__(self) -> str:
        return f"silent ℓ{self.p}"

    def value(self, beta: np.ndarray) -> float:
        return float(np.linalg.norm(beta.ravel(), self.p))

    def dual_norm(self, z: np.ndarray) -> float:
        return float(np.linalg.norm(z.ravel(), np.inf if self.p == 1 else 2))

    def conic(self, beta: object) -> object:
        raise NotImplementedError("nobody knows")


class Own(Diagonal):
    """A diagonal network of depth 2, said to prefer a norm."""

    def __init__(self, p: int) -> None:
        super().__init__(3, 2, seed=0)
        self.p = p

    @property
    def regularizer(self) -> Regularizer:
        return Silent(self.p)


@pytest.mark.parametrize(("p", "verdict"), [(1, "CONFIRMED"), (2, "REFUTED")])
def test_the_flows_own_multipliers_decide(p: int, verdict: str) -> None:
    report = compare_margin(X, y, models={"mine": Own(p)}, steps=20)
    check = next(check for check in report.checks if "own loss weights" in check.statement)
    assert check.verdict.name == verdict
    assert "no solver" in check.reason


def test_a_norm_without_a_dual_norm_leaves_the_weights_kkt_point() -> None:
    class Open(Silent):
        def dual_norm(self, z: np.ndarray) -> float:
            raise NotImplementedError

        def conic(self, beta: object) -> object:
            raise NotImplementedError

    model = Sequential(Linear(3, 2, bias=False), Linear(2, 1, bias=False))
    model.regularizer = Open(1)
    limit = flow_limit(model, X, y)
    assert (limit.status.name, limit.certificate) == ("STATIONARY", None)
    with pytest.raises(NoSolverError, match=r"no conic form \(not implemented\)"):
        max_margin(X, y, Open(1))


def test_functions_say_what_to_do_instead() -> None:
    for call in (lambda: max_margin(X, y, Silent(1)), lambda: regularization_path(X, y, [1.0], Silent(1))):
        with pytest.raises(NoSolverError, match=r"no conic form \(nobody knows\).*certify.*flow_limit"):
            call()
    limit = flow_limit(Own(1), X, y)
    assert limit.status.name == Status.OPTIMAL.name
    assert limit.predictor is not None
    assert certify(X, y, limit.predictor, Silent(1), dual=limit.dual).worst <= 1e-9


class OnlyValue(Regularizer):
    """‖·‖₁, of which nothing is said but its value."""

    is_norm = True

    def value(self, beta: np.ndarray) -> float:
        return float(np.abs(beta).sum())


class WithConic(OnlyValue):
    def conic(self, beta: Any) -> Any:
        import cvxpy as cp

        return cp.norm1(beta)


class WithDual(OnlyValue):
    def dual_norm(self, z: np.ndarray) -> float:
        return float(np.abs(z).max())


class OnlyQuasi(OnlyValue):
    """‖·‖_½, likewise."""

    is_norm = False

    def value(self, beta: np.ndarray) -> float:
        return float(np.sqrt(np.abs(beta)).sum() ** 2)


class Product(LinearNetwork):
    """The diagonal network, from a user's own subclass with nothing but P."""

    shape = (3,)
    regularizer = Bridge(1)

    def __init__(self, D: int, depth: int, seed: int) -> None:
        super().__init__([w.detach().clone() for w in Diagonal(D, depth, seed=seed).weights])

    def P(self, weights: Any) -> Any:
        return weights[0] * weights[1]


@pytest.mark.parametrize("network", [Product, Diagonal, FullyConnected, Convolutional])
@pytest.mark.parametrize("said", [OnlyValue(), WithConic(), OnlyQuasi()])
def test_whatever_a_norm_leaves_out_the_network_is_followed_to_its_limit(network: Any, said: Regularizer) -> None:
    """What its own certificate would need is missing: the KKT conditions in weight space are what is left."""
    mine = type("Mine", (network,), {"regularizer": said})
    limit, known = flow_limit(mine(3, 2, seed=0), X, y), flow_limit(network(3, 2, seed=0), X, y)
    assert (limit.status.name, limit.certificate, known.status.name) == ("STATIONARY", None, "OPTIMAL")
    assert limit.predictor == pytest.approx(known.predictor, rel=1e-6, abs=1e-6 * np.abs(known.predictor).max())


@pytest.mark.parametrize("said", [OnlyValue(), OnlyQuasi()])
def test_a_network_of_such_a_norm_is_compared_in_weight_space(said: Regularizer) -> None:
    mine = type("Mine", (Diagonal,), {"regularizer": said})
    report = compare_margin(X, y, models={"mine": mine(3, 2, seed=0)}, steps=20)
    (check,) = report.checks
    assert "KKT point" in check.statement
    assert check.measured < 1e-5  # how near the flow was when it was left decides between confirmed and not reached
    assert check.verdict.name != "REFUTED"


@pytest.mark.parametrize(("network", "verdict"), [(Product, "CONFIRMED"), (FullyConnected, "REFUTED")])
def test_a_dual_norm_alone_certifies_the_flow(network: Any, verdict: str) -> None:
    mine = type("Mine", (network,), {"regularizer": WithDual()})
    report = compare_margin(X, y, models={"mine": mine(3, 2, seed=0)}, steps=20)
    assert Verdict.of_all(check.verdict for check in report.checks).name == verdict
    assert "WithDual()" in report.checks[0].statement
    limit = flow_limit(mine(3, 2, seed=0), X, y)
    assert limit.certificate is not None
    assert (limit.certificate.gap < 1e-9) == (verdict == "CONFIRMED")


@pytest.mark.parametrize(
    ("call", "of", "error", "says"),
    [
        (lambda R: max_margin(X, y, R), OnlyValue(), NoSolverError, "leaves out `conic`"),
        (lambda R: max_margin(X, y, R), WithConic(), NoSolverError, "leaves out `dual_norm`"),
        (lambda R: max_margin(X, y, R), WithDual(), NoSolverError, "leaves out `conic`"),
        (lambda R: max_margin(X, y, R), OnlyQuasi(), NoSolverError, "nonconvex and has no solver"),
        (lambda R: certify(X, y, X[0], R, dual=np.ones(4)), OnlyValue(), NotImplementedError, "leaves out `dual_norm`"),
        (lambda R: certify(X, y, X[0], R, dual=np.ones(4)), OnlyQuasi(), NotImplementedError, "`support_system`"),
        (lambda R: min_norm(X[:2], [1.0, 2.0], R), OnlyValue(), NoSolverError, "leaves out `conic`"),
        (lambda R: min_norm(X[:2], [1.0, 2.0], R), WithConic(), NotImplementedError, "leaves out `dual_norm`"),
        (lambda R: regularization_path(X, y, [1.0], R), OnlyValue(), NotImplementedError, "leaves out `dual_norm`"),
        (lambda R: descend(Diagonal(3, 2, seed=0), X, y, steps=9).gap(R), OnlyValue(), NotImplementedError, "leaves"),
    ],
)
def test_what_is_left_out_is_named(call: Any, of: Regularizer, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        call(of)
    assert "is not a norm" not in str(caught.value)
