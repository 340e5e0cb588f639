"""`optimizer_limit`: certified ends of sign, coordinate and spectral descent, against linear programs and cvxpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gd import (
    AdaGrad,
    Adam,
    ConstantStep,
    DecayingStep,
    Diagonal,
    FullyConnected,
    OptimizerStatus,
    SteepestDescent,
    optimizer_limit,
)
from gd.descent.kkt_system import KKTSystem
from gd.descent.objective import Objective
from gd.descent.optimal_face import nearest_optimum, optimal_face
from gd.losses import Exponential
from gd.optimizers.weight_norm import EntrywiseNorm
from solvers import Bridge, NotSeparableError, Schatten, Uniqueness, max_margin
from solvers.regularizers import L2
from solvers.validation import check_problem

A = np.array([[3.0, 1.0, 0.0, 2.0], [1.0, -2.0, 3.0, 1.0], [-2.0, 1.0, 1.0, 5.0]])
FLAT = np.array([[3.0, 1.0, 0.0, 2.0], [1.0, -2.0, 2.0, 1.0], [-1.0, 2.0, 1.0, 3.0]])
ONES = np.ones(3)
LINF = Bridge(math.inf)


def data(seed: int, count: int = 12, dim: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, dim))
    return X, np.sign(X @ rng.standard_normal(dim))


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e5])
def test_the_check_values(scale):
    """ℓ∞: 15/68 at (12, 2, 15, 15)/68 with multipliers (3, 5, 7)/68; ℓ1: 17/28; data in other units."""
    model = FullyConnected(4, 1, scale=0.1 / scale)
    limit = optimizer_limit(model, scale * A, ONES, optimizer="sign")
    assert limit.status is OptimizerStatus.OPTIMAL
    assert limit.unique is Uniqueness.UNIQUE
    np.testing.assert_allclose(scale * limit.predictor, np.array([12, 2, 15, 15]) / 68, rtol=1e-12)
    np.testing.assert_allclose(scale * limit.dual, np.array([3, 5, 7]) / 68, rtol=1e-11)
    lower, upper = limit.bounds
    assert lower <= 15 / 68 / scale <= upper
    assert upper / lower < 1.05
    assert not limit.by_solver
    coordinate = optimizer_limit(model, scale * A, ONES, optimizer="coordinate")
    assert scale * coordinate.norm == pytest.approx(17 / 28, rel=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("name", "R"), [("sign", LINF), ("coordinate", Bridge(1.0))])
def test_random_data_end_at_the_explicit_optimum(seed, name, R):
    X, y = data(seed)
    limit = optimizer_limit(FullyConnected(10, 1, scale=1e-3), X, y, optimizer=name)
    assert limit.status is OptimizerStatus.OPTIMAL
    assert limit.certificate.worst <= 1e-9
    explicit = max_margin(X, y, R)
    assert limit.norm == pytest.approx(explicit.objective, rel=1e-9)
    if limit.unique and not limit.by_solver:
        np.testing.assert_allclose(limit.predictor, explicit.beta, atol=1e-8 * np.abs(explicit.beta).max())


def test_spectral_descent_of_three_outputs():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((8, 10)), np.where(rng.random((8, 3)) < 0.5, -1.0, 1.0)
    limit = optimizer_limit(FullyConnected(10, 1, outputs=3, scale=1e-3), X, y, optimizer="spectral", bound=0.1)
    assert limit.status is OptimizerStatus.OPTIMAL
    assert limit.certificate.worst <= 1e-9
    assert limit.regularizer == Schatten(math.inf)
    # an independent method: Clarabel through cvxpy, to its accuracy
    conic = max_margin(X, y, Schatten(math.inf), method="conic", tol=1e-6)
    assert limit.norm == pytest.approx(conic.objective, rel=1e-6)
    sigma = np.linalg.svd(limit.predictor, compute_uv=False)
    assert sigma[0] == pytest.approx(limit.norm, rel=1e-12)


def test_where_the_optimum_is_not_unique_the_face_is_reported():
    """ℓ∞ on the second data set: 2/7, β = (s, …, 2/7, 2/7) with β₁ ∈ [1/7, 2/7]."""
    limit = optimizer_limit(FullyConnected(4, 1, scale=1e-3), FLAT, ONES, optimizer="sign")
    assert limit.status is OptimizerStatus.OPTIMAL
    assert limit.unique is Uniqueness.NOT_UNIQUE
    assert limit.norm == pytest.approx(2 / 7, rel=1e-12)
    (direction,), (extent,) = limit.face.directions, limit.face.extent
    ends = sorted((limit.predictor + s * direction)[0] for s in extent)
    np.testing.assert_allclose(ends, [1 / 7, 2 / 7], atol=1e-7)
    for s in extent:
        end = limit.predictor + s * direction
        assert np.abs(end).max() <= 2 / 7 * (1 + 1e-8)
        assert (FLAT @ end).min() >= 1 - 1e-8
    # the optimum reached is the one next to the run's direction
    run = limit.trajectory.predictor[0]
    run = run / (FLAT @ run).min()
    apart = [np.linalg.norm(run - limit.predictor - s * direction) for s in (-1e-3, 0.0, 1e-3)]
    assert apart[1] <= min(apart) + 1e-4


def test_of_equal_columns_the_optimum_next_to_the_run_is_taken():
    """ℓ1 with every feature twice: coordinate descent raises the first of a pair, and any split is optimal."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((5, 4))
    y = np.sign(X[:, 0])
    limit = optimizer_limit(FullyConnected(8, 1, scale=1e-3), np.hstack([X, X]), y, optimizer="coordinate")
    assert limit.status is OptimizerStatus.OPTIMAL
    assert limit.unique is Uniqueness.NOT_UNIQUE
    assert limit.norm == pytest.approx(max_margin(X, y, Bridge(1.0)).objective, rel=1e-9)
    assert np.abs(limit.predictor[4:]).sum() < 1e-2 * limit.norm
    assert limit.distance < 0.05


def test_the_nearest_optimum_is_the_projection():
    import cvxpy as cp

    problem = check_problem(FLAT, ONES, LINF)
    given = np.array([0.4, -0.3, 0.1, 0.5])
    found = nearest_optimum(problem, LINF, 2 / 7, given)
    b = cp.Variable(4)
    cp.Problem(cp.Minimize(cp.norm(b - given)), [FLAT @ b >= 1, cp.norm_inf(b) <= 2 / 7]).solve(solver="CLARABEL")
    np.testing.assert_allclose(found, b.value, atol=1e-5)
    unique = max_margin(A, ONES, LINF)
    assert optimal_face(check_problem(A, ONES, LINF), LINF, unique.beta, np.eye(4)) is None


def test_momentum_and_adam_end_where_sign_descent_does():
    for optimizer in ("signum", Adam(0.9, 0.99)):
        limit = optimizer_limit(FullyConnected(4, 1), A, ONES, optimizer=optimizer)
        assert limit.status is OptimizerStatus.OPTIMAL
        np.testing.assert_allclose(limit.predictor, np.array([12, 2, 15, 15]) / 68, rtol=1e-10)


def test_a_diagonal_network_of_depth_two():
    """Sign descent: ℓ∞ again, 15/68, certified in β. Coordinate descent: a vertex, stationary and no more."""
    schedule = DecayingStep(0.1)
    sign = optimizer_limit(Diagonal(4, 2), A, ONES, optimizer="sign", schedule=schedule, regularizer=LINF)
    assert sign.status is OptimizerStatus.OPTIMAL
    np.testing.assert_allclose(sign.predictor, np.array([12, 2, 15, 15]) / 68, rtol=1e-10)
    assert sign.norm == pytest.approx(math.sqrt(15 / 68), rel=1e-10)
    coordinate = optimizer_limit(
        Diagonal(4, 2, seed=2), A, ONES, optimizer="coordinate", schedule=schedule, regularizer=Bridge(0.5)
    )
    assert coordinate.status is OptimizerStatus.STATIONARY
    assert coordinate.stationarity <= 1e-9
    # ‖w‖₁ = 2‖β‖_{1/2}^{1/2} at a KKT point; the vertices of {Aβ ≥ 1} with multipliers ≥ 0 have these values
    values = [1, 1.24402, 1.49282, 1.81600, 1.98974, 3.49071, 3.85611, 4]
    objective = coordinate.certificate.objective
    assert min(abs(objective - value) for value in values) < 1e-5
    assert coordinate.norm == pytest.approx(2 * math.sqrt(objective), rel=1e-9)
    assert coordinate.certificate.support_size == 1
    assert (coordinate.dual >= 0).all()


def test_a_users_module_is_stationary_at_most():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(3)
            self.first = nn.Parameter(0.1 * torch.randn(4, 2, generator=generator, dtype=torch.float64))
            self.last = nn.Parameter(0.1 * torch.randn(2, generator=generator, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.first @ self.last

    limit = optimizer_limit(Two(), A, ONES, optimizer="sign", schedule=DecayingStep(0.1), max_steps=2000)
    assert limit.status is OptimizerStatus.STATIONARY
    assert limit.certificate is None
    assert limit.unique is Uniqueness.UNKNOWN
    # the representation cost at width 2, min max|w| = (‖β‖∞/2)^{1/2}, of the ℓ∞ optimum
    assert limit.norm == pytest.approx(math.sqrt(15 / 68 / 2), rel=1e-10)


def test_a_wrong_point_is_not_certified():
    """The equations have solutions that are no optima: from next to one, (5, 3, 3, 3)/11 without row 0, it is found."""
    objective = Objective([FullyConnected(4, 1)], torch.from_numpy(A), torch.from_numpy(ONES), Exponential())
    system = KKTSystem(objective, EntrywiseNorm(math.inf), 1)
    weights = np.array([3.0, 5.0, 7.0]) / 15
    right = system.solved(torch.tensor([0.18, 0.02, 0.22, 0.22], dtype=torch.float64), weights)
    assert abs(right.residual) <= 1e-14
    wrong = system.solved(torch.tensor([0.45, 0.27, 0.27, 0.27], dtype=torch.float64), np.array([0.0, 2.0, 1.0]) / 3)
    assert wrong.theta.numpy() == pytest.approx(np.array([5.0, 3.0, 3.0, 3.0]) / 11, rel=1e-12)
    assert wrong.residual > 0.6
    behind = system.measured(-right.theta, right.multipliers)
    assert behind.residual == np.inf


def test_too_few_steps_are_unfinished_and_points_not_separated_yet_say_so():
    X, y = data(3)
    short = optimizer_limit(FullyConnected(10, 1, scale=1e-3), X, y, optimizer="sign", max_steps=3)
    assert short.status in (OptimizerStatus.UNFINISHED, OptimizerStatus.NOT_SEPARATED)
    assert not short.status.converged
    tiny = optimizer_limit(FullyConnected(4, 1), A, ONES, schedule=ConstantStep(1e-12), max_steps=3)
    assert tiny.status in (OptimizerStatus.UNFINISHED, OptimizerStatus.NOT_SEPARATED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": AdaGrad()}, "no norm is known for AdaGrad"),
        ({"optimizer": SteepestDescent(weight_decay=0.1)}, "ends inside a ball"),
        ({"loss": "squared"}, "no margin to maximize"),
        ({"tol": 0.0}, "tol must be"),
        ({"model": Diagonal(4, 2)}, "no step size is known for Diagonal"),
        ({"model": nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 1)).double()}, "not homogeneous"),
    ],
)
def test_bad_input_gets_one_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        optimizer_limit(options.pop("model", FullyConnected(4, 1)), A, ONES, **options)


@pytest.mark.parametrize("seed", range(40))
def test_biases_are_seen_where_all_units_are_dead_at_the_start(seed):
    """At 25 of the first 300 seeds, 17, 31, 35 and 39 among them, no unit is awake on A: f is its last bias there."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with pytest.raises(ValueError, match="not homogeneous"):
        optimizer_limit(module, A, ONES)


def test_data_that_do_not_separate_are_refused():
    with pytest.raises(NotSeparableError):
        optimizer_limit(FullyConnected(2, 1), [[1.0, 0.0], [-1.0, 0.0]], [1.0, 1.0])


@pytest.mark.parametrize(
    ("optimizer", "norm", "wrong"),
    [
        ("sign", LINF, L2()),
        ("gradient", L2(), LINF),
        ("coordinate", Bridge(1), LINF),
        ("spectral", Schatten(math.inf), Bridge(1)),
    ],
    ids=str,
)
def test_of_classes_the_differences_of_outputs_are_the_margins(optimizer, norm, wrong):
    """Against `max_margin` of the classes; in a wrong norm nothing is certified."""
    X = np.random.default_rng(0).standard_normal((8, 6))
    y = np.array(list("abcabcab"))

    def run(regularizer, **options):
        model = FullyConnected(6, 1, outputs=3, seed=0)
        return optimizer_limit(
            model, X, y, optimizer=optimizer, loss="cross entropy", regularizer=regularizer, **options
        )

    limit = run(None)
    assert limit.status is OptimizerStatus.OPTIMAL
    assert limit.regularizer == norm
    assert limit.predictor.shape == (3, 6)
    assert limit.dual.shape == (8, 2)
    assert limit.certificate.objective == pytest.approx(max_margin(X, y, norm).objective, rel=1e-9)
    assert run(wrong, max_steps=2000).status is OptimizerStatus.UNFINISHED


def test_gradient_descent_is_steepest_in_l2():
    limit = optimizer_limit(FullyConnected(4, 1), A, ONES, optimizer="gradient")
    assert limit.status is OptimizerStatus.OPTIMAL
    assert limit.norm == pytest.approx(max_margin(A, ONES, L2()).objective, rel=1e-10)
