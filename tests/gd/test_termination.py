"""The termination test of a flow, the evidence that a limit carries, and networks from outside the package."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gd import Convolutional, Diagonal, Exponential, FlowStatus, FullyConnected, Reached, Squared, flow_limit
from gd.flow.course import Course, Direction, Found
from gd.flow.kkt import KKT
from gd.flow.map_choice import margin_map
from gd.flow.module_map import ModuleMap
from gd.flow.product_map import ProductMap
from gd.flow.termination import LATE, Termination
from gd.networks.linear_network import LinearNetwork
from solvers.regularizers import L2, Bridge


def data(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)


def at(distance: float) -> tuple[Tensor, Tensor]:
    """A direction and a point at this distance from it."""
    half = np.arcsin(distance / 2.0)
    return tuple(torch.tensor([np.cos(a), np.sin(a)], dtype=torch.float64) for a in (-half, half))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("distance", "steps", "slowly", "missing", "expected"),
    [
        (5e-4, 10, False, np.inf, Reached.AT_THE_POINT),
        (5e-3, 10, False, np.inf, Reached.NOT),
        (5e-3, LATE, False, np.inf, Reached.AT_THE_POINT),
        (5e-3, 10, True, np.inf, Reached.AT_THE_POINT),
        (0.1, LATE, False, 5e-4, Reached.BY_MARGIN),
        (0.1, 10, False, 5e-4, Reached.NOT),
        (0.1, LATE, False, 5e-3, Reached.NOT),
    ],
)
def test_what_ties_a_flow_to_a_point(
    distance: float, steps: int, slowly: bool, missing: float, expected: Reached
) -> None:
    theta, point = at(distance)
    found = Termination().reached(0, theta, point, steps=steps, settles_slowly=slowly, missing_margin=missing)
    assert found is expected
    assert str(found).endswith(".")


@pytest.mark.parametrize(
    ("distances", "slowly", "expected"),
    [
        ((0.15, 0.12, 0.1), True, Reached.APPROACHING),
        ((0.15, 0.12, 0.1), False, Reached.NOT),
        ((0.15, 0.1, 0.12), True, Reached.NOT),
        ((0.3, 0.28, 0.25), True, Reached.NOT),
    ],
)
def test_a_flow_that_comes_closer_three_times_approaches(
    distances: tuple[float, ...], slowly: bool, expected: Reached
) -> None:
    termination, point = Termination(), at(0.0)[1]
    for distance in distances:
        theta = torch.tensor([np.cos(2 * np.arcsin(distance / 2)), np.sin(2 * np.arcsin(distance / 2))])
        found = termination.reached(0, theta, point, steps=10, settles_slowly=slowly, missing_margin=np.inf)
    assert found is expected


@pytest.mark.parametrize(
    ("margins", "points", "expected"),
    [
        ((0.992, 0.994, 0.997), (1.0, 1.0, 1.0), True),
        ((0.992, 0.997), (1.0, 1.0), False),  # twice is once too few
        ((0.992, 0.997, 0.994), (1.0, 1.0, 1.0), False),
        ((0.98, 0.994, 0.997), (1.0, 1.0, 1.0), False),
        ((0.992, 0.994, 0.997), (1.0, 1.001, 1.001), False),  # another point
        ((0.990001, 0.990002, 0.990003), (1.0, 1.0, 1.0), False),  # at rest, one percent below it
        ((0.992, 0.994, 1.003), (1.0, 1.0, 1.0), False),  # the smoothed margin never falls: not to this point
    ],
)
def test_a_margin_that_closes_in_three_times(
    margins: tuple[float, ...], points: tuple[float, ...], expected: bool
) -> None:
    termination = Termination()
    found = [termination.closing_in(0, m, point) for m, point in zip(margins, points, strict=True)]
    assert found[-1] is expected
    assert not any(found[:-1])


@pytest.mark.parametrize("reached", list(Reached))
def test_a_limit_is_looked_at_again_after_a_step_that_settles(reached: Reached) -> None:
    course = Course()
    course.look(torch.ones(1), 100.0, 1.0)  # again at 125
    assert not course.due(124.0, True, lambda: True)  # nothing was found that could end
    course.found = Found(
        Direction(torch.ones(1), np.ones(1), KKT(0.0, 0.0, 1.0, 1.0), None, None), FlowStatus.STATIONARY, reached
    )
    watched = reached in (Reached.IN_THE_CELL, Reached.CLOSING_IN)
    assert course.due(110.0, True, lambda: True) == watched
    assert not course.due(110.0, True, lambda: False)
    assert course.due(126.0, False, lambda: True)
    assert course.due(126.0, False, lambda: False) != watched  # its next step tells more,
    assert course.due(140.0, False, lambda: False)  # but is not waited for for ever


def found_at(angle: float, margin: float = 1.0, reached: Reached = Reached.APPROACHING) -> Found:
    there = torch.tensor([np.cos(angle), np.sin(angle)])
    direction = Direction(there, np.ones(1), KKT(0.0, 0.0, 1.0, margin), None, None)
    return Found(direction, FlowStatus.STATIONARY, reached)


@pytest.mark.parametrize(
    ("founds", "expected"),
    [
        ((found_at(0.1), found_at(0.08)), True),
        ((found_at(0.1), found_at(0.02)), False),  # there soon
        ((found_at(0.1), found_at(0.099)), False),  # at rest, or nearly
        ((found_at(0.1), found_at(0.12)), False),  # on its way somewhere else
        ((found_at(0.1), found_at(0.08, 1.001)), False),  # another point
        ((found_at(0.08),), False),
        ((found_at(0.1), None, found_at(0.08)), False),
    ],
)
def test_a_flow_that_closes_in_slowly(founds: tuple[Found | None, ...], expected: bool) -> None:
    course = Course()
    for course.found in founds:
        course.look(torch.tensor([1.0, 0.0]), 100.0, 1.0)
        slowly = course.closes_in_slowly()
    assert slowly is expected


def test_a_flow_whose_units_die_is_not_followed_until_they_are_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 20, bias=False), nn.ReLU(), nn.Linear(20, 1, bias=False)).double()
    rng = np.random.default_rng([0, 8, 2])
    X, y = rng.standard_normal((8, 2)), rng.choice([-1.0, 1.0], 8)
    early = flow_limit(model, X, y)
    monkeypatch.setattr("gd.flow.course.SLOWLY", 1.0)  # nothing is slow
    late = flow_limit(model, X, y)
    assert early.stats["steps"] < 0.8 * late.stats["steps"]
    assert late.polish_angle < early.polish_angle < 0.01
    np.testing.assert_allclose(early.margin, late.margin, rtol=1e-9)
    np.testing.assert_allclose(early.direction, late.direction, atol=1e-9)


def test_a_limit_carries_the_integrated_direction_and_its_own_certificate() -> None:
    X, y = data(10, 20, 0)
    limit = flow_limit(Diagonal(20, 2, scale=0.1, seed=0), X, y)
    assert limit.polished
    assert limit.reached is Reached.AT_THE_POINT
    own = limit.integrated
    np.testing.assert_allclose((y * (X @ own.predictor)).min(), 1.0, rtol=1e-12)
    assert own.certificate.direction_gap == own.duality_gap >= limit.certificate.direction_gap - 1e-15
    between = np.concatenate([w.ravel() for w in own.weights.values()]) @ limit.direction
    np.testing.assert_allclose(limit.polish_angle, np.arccos(min(between, 1.0)), atol=1e-7)


class Cubed(Diagonal):
    """A subclass with another map from weights to predictors than the closed form it inherits."""

    def P(self, weights: list[Tensor]) -> Tensor:
        return super().P(weights) * weights[0] ** 2

    @property
    def degree(self) -> int:
        return 4


class OwnLinear(LinearNetwork):
    """A network from outside: β = a ⊙ b with one more factor of its own, R the ℓ1 norm."""

    def __init__(self, dim: int, seed: int) -> None:
        torch.manual_seed(seed)
        super().__init__([0.1 * torch.randn(dim, dtype=torch.float64) for _ in range(2)])
        self.shape = (dim,)

    def P(self, weights: list[Tensor]) -> Tensor:
        return weights[0] * weights[1]

    @property
    def regularizer(self) -> Bridge:
        return Bridge(1)


def test_an_inherited_closed_form_is_used_only_where_it_computes_the_forward_pass() -> None:
    X, y = (torch.as_tensor(a) for a in data(4, 6, 1))
    assert isinstance(margin_map(Diagonal(6, 2), X, y), ProductMap)
    assert type(margin_map(Cubed(6, 2), X, y)) is ModuleMap


def test_a_network_from_outside_ends_at_a_certified_optimum() -> None:
    X, y = data(5, 8, 2)
    limit = flow_limit(OwnLinear(8, seed=0), X, y)
    built_in = flow_limit(Diagonal(8, 2, seed=0), X, y)
    assert limit.status is FlowStatus.OPTIMAL
    np.testing.assert_allclose(
        np.abs(limit.predictor).sum(), np.abs(built_in.predictor).sum(), rtol=1e-8
    )  # both gaps are at most 1e-9


def test_a_module_may_use_the_name_regularizer_for_something_else() -> None:
    X, y = data(3, 4, 3)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    model.regularizer = 0.1  # a weight decay, say
    assert flow_limit(model, X, y).certificate is None
    model.regularizer = L2()
    assert flow_limit(model, X, y).status is FlowStatus.OPTIMAL


def test_losses_may_be_objects() -> None:
    X, y = data(4, 6, 4)
    model = Diagonal(6, 2, seed=4)
    np.testing.assert_array_equal(
        flow_limit(model, X, y, loss=Exponential()).predictor, flow_limit(model, X, y).predictor
    )
    assert flow_limit(Diagonal(6, 2, scale=0.3, seed=0), X, y, loss=Squared(), tol=1e-6).residual[0] <= 1e-6


def relu(dim: int, width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Linear(dim, width, bias=False), nn.ReLU(), nn.Linear(width, 1, bias=False)
    return nn.Sequential(*layers, nn.Flatten(0)).double()


@pytest.mark.parametrize(
    "network",
    [Diagonal(6, 2, seed=0), Convolutional(6, 3, seed=0), FullyConnected(6, 3, seed=0), relu(6, 5, 0)],
    ids=["diagonal", "conv", "connected", "relu"],
)
def test_growth_by_products_is_growth_by_the_whole_matrix(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = np.random.default_rng(0).standard_normal((4, 6)), np.array([1.0, -1.0, 1.0, 1.0])
    monkeypatch.setattr("gd.flow.growth.DENSE", 1000)
    whole = flow_limit(network, X, y).integrated.growth
    monkeypatch.setattr("gd.flow.growth.DENSE", 0)
    assert flow_limit(network, X, y).integrated.growth == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("dense", [0, 1000])
def test_growth_of_units_that_are_alike(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # units of one pattern have one eigenvalue, and Lanczos's method goes on from a random vector; it said 0.019
    X, y = np.random.default_rng(2).standard_normal((8, 4)), np.random.default_rng(52).choice([-1.0, 1.0], 8)
    monkeypatch.setattr("gd.flow.growth.DENSE", dense)
    assert abs(flow_limit(relu(4, 40, 2), X, y, settle=1e-7).integrated.growth) < 1e-5


@pytest.mark.parametrize("seed", [1, 4, 6])
def test_growth_by_products_where_many_units_have_one_pattern(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """H has few eigenvalues then: what is left of a product is soon rounding, and lies in any direction."""
    X, y = np.random.default_rng(seed).standard_normal((6, 4)), np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 9, bias=False), nn.ReLU(), nn.Linear(9, 1, bias=False)).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight *= 2.0
    whole = flow_limit(network, X, y, loss="logistic", max_steps=110).integrated.growth
    monkeypatch.setattr("gd.flow.growth.DENSE", 0)
    found = flow_limit(network, X, y, loss="logistic", max_steps=110).integrated.growth
    assert found == pytest.approx(whole, rel=1e-6, abs=1e-7)


def test_the_first_call_does_not_load_the_compiler() -> None:
    # torch._dynamo takes a second to import; `torch.func.grad` and `vjp` load it, `torch.autograd` does not
    # sympy takes half a second; `torch.autograd.grad` of vectors loads it, of a scalar it does not
    code = (
        "import sys; from gd import Diagonal, descend, flow_limit\n"
        "data = Diagonal(2, 2, seed=0), [[1.0, 2.0], [2.0, 1.0]], [1.0, 1.0]\n"
        "descend(*data, steps=3)\n"
        "assert 'sympy' not in sys.modules\n"
        "flow_limit(*data)\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
