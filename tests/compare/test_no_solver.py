"""A norm that says nothing about its minimization: the flow's own multipliers certify, right and wrong."""

from __future__ import annotations

import numpy as np
import pytest
from torch.nn import Linear, Sequential

from compare import compare_margin
from gd import Diagonal, flow_limit
from solvers import Norm, NoSolverError, Regularizer, Status, certify, max_margin, regularization_path

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
