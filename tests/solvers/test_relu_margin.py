"""The two-layer ReLU network of least norm: against angles in the plane, cvxpy on all gates, and altered answers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from solvers import GlobalOptimum, NotSeparableError, Status, certify_relu, relu_max_margin
from solvers.relu import largest_unit as largest_unit_module
from solvers.relu.cells import gates_of_cells, most_cells
from solvers.relu.certificate import dual_bound
from solvers.relu.largest_unit import largest_unit, local_maxima
from solvers.relu.margin import merged

XOR = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]), np.array([1.0, -1.0, -1.0, 1.0])
FIVE = (
    np.array([[2.0, 1.0], [1.0, 3.0], [-1.0, 2.0], [-2.0, -1.0], [1.0, -2.0]]),
    np.array([1.0, -1.0, 1.0, 1.0, -1.0]),
)
SEVERAL_MULTIPLIERS = np.array([[1.0, 1.0], [1.0, -1.0], [1.0, 2.0], [1.0, -2.0]]), np.ones(4)


def random_data(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), np.where(rng.random(n) < 0.5, -1.0, 1.0)


def sigma(t: np.ndarray, slope: float) -> np.ndarray:
    return np.where(t > 0, t, slope * t)


# ---- references that know nothing of the package --------------------------------------------------------------------


def largest_response_in_the_plane(X: np.ndarray, weights: np.ndarray, slope: float) -> float:
    """max |Σ c_n σ(u·x_n)| over angles: on each arc between kinks the sum is v·u, largest at v or at an end."""
    normals = np.arctan2(X[:, 1], X[:, 0])
    kinks = np.sort(np.concatenate([normals + np.pi / 2, normals - np.pi / 2]) % (2 * np.pi))
    best = 0.0
    for start, end in zip(kinks, np.append(kinks[1:], kinks[0] + 2 * np.pi), strict=True):
        middle = 0.5 * (start + end)
        gates = np.where(X @ np.array([np.cos(middle), np.sin(middle)]) > 0, 1.0, slope)
        v = (weights * gates) @ X
        for sign in (1.0, -1.0):
            # the angle of ±v, moved to the turn nearest to the arc, then into the arc
            peak = np.arctan2(sign * v[1], sign * v[0])
            peak += 2 * np.pi * np.round((middle - peak) / (2 * np.pi))
            angle = np.clip(peak, start, end)
            best = max(best, sign * float(v @ np.array([np.cos(angle), np.sin(angle)])))
    return best


def by_cvxpy(X: np.ndarray, y: np.ndarray, slope: float = 0.0) -> float:
    """The convex program over all gates (Pilanci, Ergen 2020): a cone program, one vector for each cell and sign."""
    import cvxpy as cp
    from scipy.optimize import linprog

    n, d = X.shape
    gates = [
        np.array(gate)
        for gate in product((True, False), repeat=n)
        # the gates of some u: ±x_n·u ≥ 1 is feasible
        if linprog(np.zeros(d), np.where(gate, -1.0, 1.0)[:, None] * X, -np.ones(n), bounds=(None, None)).status == 0
    ]
    cost, output, constraints = 0, 0, []
    for gate, sign in product(gates, (1.0, -1.0)):
        w = cp.Variable(X.shape[1])
        constraints.append(cp.multiply(np.where(gate, 1.0, -1.0), X @ w) >= 0)
        cost += cp.norm(w)
        output += sign * cp.multiply(np.where(gate, 1.0, slope), X @ w)
    problem = cp.Problem(cp.Minimize(cost), [*constraints, cp.multiply(y, output) >= 1])
    problem.solve(solver="CLARABEL")
    return float(problem.value)


# ---- the answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "value"),
    # by hand; FIVE: one unit for each side of its two rays
    [(XOR, 2 * np.sqrt(2)), (FIVE, 0.6 * (np.sqrt(10) + np.sqrt(5))), (SEVERAL_MULTIPLIERS, 1.0)],
    ids=["xor", "five points", "several multipliers"],
)
def test_values_known_by_hand(data: Any, value: float) -> None:
    solution = relu_max_margin(*data)
    assert solution.status is Status.OPTIMAL
    assert solution.value == pytest.approx(value, rel=1e-12)
    assert solution.lower_bound == pytest.approx(value, rel=1e-12)


@pytest.mark.numerical
def test_200_planar_sets_are_optimal_by_angles() -> None:
    """Primal and dual are certified here, by weak duality and the largest response over angles."""
    for seed in range(200):
        X, y = random_data(3 + seed % 6, 2, seed)
        if seed % 4 == 0:  # three points on one line
            X[1], X[2], y[1] = 2 * X[0], -X[0], y[0]
        slope = (0.0, 0.0, 0.2)[seed % 3]
        solution = relu_max_margin(X, y, slope=slope)
        units, a, alpha = solution.neurons, solution.output_weights, solution.dual
        assert solution.status is Status.OPTIMAL
        assert (y * (sigma(X @ units.T, slope) @ a)).min() >= 1 - 1e-11
        value = float(np.abs(a) @ np.linalg.norm(units, axis=1))
        assert (alpha >= 0).all()
        bound = alpha.sum() / largest_response_in_the_plane(X, y * alpha, slope)
        assert value == pytest.approx(solution.value, rel=1e-12)
        assert abs(value - bound) <= 1e-9 * value
        assert a.size <= y.size


@pytest.mark.numerical
def test_points_of_a_grid_are_no_exception() -> None:
    """Small integers: parallel, repeated and coplanar points, ranks 1 to 4."""
    solved = 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        X = rng.integers(-2, 3, (int(rng.integers(2, 11)), int(rng.integers(1, 5)))).astype(float)
        y = np.where(rng.random(len(X)) < 0.5, -1.0, 1.0)
        try:
            solution = relu_max_margin(X, y)
        except NotSeparableError:
            continue
        solved += 1
        assert solution.status is Status.OPTIMAL
        assert (y * solution(X)).min() >= 1 - 1e-11
        trained = solution.neurons + 1e-8 * rng.standard_normal(solution.neurons.shape)
        assert certify_relu(X, y, trained, solution.output_weights, tol=1e-6).verdict is GlobalOptimum.GLOBAL
    assert solved >= 5


@pytest.mark.parametrize(("n", "d", "slope"), [(6, 2, 0.0), (7, 3, 0.0), (6, 4, 0.0), (6, 3, 0.3)])
def test_the_convex_program_over_all_gates_has_the_same_value(n: int, d: int, slope: float) -> None:
    X, y = random_data(n, d, n + d)
    # Clarabel closes its gap to 1e-8
    assert relu_max_margin(X, y, slope=slope).value == pytest.approx(by_cvxpy(X, y, slope), rel=1e-7)


def test_beyond_rank_four_the_bound_is_proved_and_nothing_is_called_optimal() -> None:
    X, y = random_data(10, 20, 0)
    solution = relu_max_margin(X, y)
    assert solution.status is Status.BOUNDED
    assert solution.sampled_maximum == pytest.approx(1.0, abs=1e-9)
    exact = relu_max_margin(X, y, max_rank=10)  # at most 2⁹ gates a label
    assert exact.status is Status.OPTIMAL
    assert exact.sampled_maximum is None
    assert solution.value == pytest.approx(exact.value, rel=1e-9)
    # the bound of the relaxation is below the optimum, and above half of it here
    assert 0.5 * exact.value < solution.lower_bound < exact.value
    assert solution.gap == pytest.approx(1 - solution.lower_bound / solution.value)


def test_one_linear_unit_where_all_labels_agree_with_a_linear_predictor() -> None:
    """Points in a half-space, one label: every unit that is open on all of them is linear, so the l2 max margin."""
    from solvers import L2, max_margin

    X = random_data(12, 3, 4)[0]
    X[:, 0] = 1 + np.abs(X[:, 0])
    X[:, 1:] *= 0.1  # all of them acute to each other
    solution = relu_max_margin(X, np.ones(12))
    assert solution.value == pytest.approx(max_margin(X, np.ones(12), L2()).objective, rel=1e-12)
    assert solution.output_weights.size == 1


@pytest.mark.parametrize("factor", [1e-6, 1e7])
def test_scaling_and_rotating_the_points(factor: float) -> None:
    X, y = random_data(8, 3, 2)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((7, 3)))[0]
    value = relu_max_margin(X, y).value
    assert relu_max_margin(factor * X @ rotation.T, y).value == pytest.approx(value / factor, rel=1e-9, abs=0.0)
    assert relu_max_margin(X, -y).value == pytest.approx(value, rel=1e-9)


def test_the_network_of_the_answer() -> None:
    X, y = random_data(9, 3, 5)
    solution = relu_max_margin(X, y)
    assert (y * solution(X)).min() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(np.linalg.norm(solution.neurons, axis=1), 1.0, rtol=1e-12)
    margins = y * solution(X)
    # complementary slackness: what the gap leaves
    assert solution.dual @ (margins - 1) <= 1e-8 * solution.value


# ---- data that no network classifies, bad input ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([[1.0, 2.0], [2.0, 4.0]], [1, -1]),
        ([[1.0, 2.0], [0.0, 0.0]], [1, 1]),
        ([[1.0, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]], [1, -1, 1, -1, -1, 1]),
    ],
    ids=["multiples", "origin", "antipodal lines"],
)
def test_what_no_network_classifies_is_refused_with_a_proof(X: Any, y: Any) -> None:
    with pytest.raises(NotSeparableError, match="no two-layer ReLU network without bias") as caught:
        relu_max_margin(X, y)
    alpha = caught.value.farkas
    assert alpha.min() >= 0
    assert alpha.sum() == pytest.approx(1.0)
    units = np.random.default_rng(0).standard_normal((50, 2))
    assert np.abs(sigma(units @ np.transpose(X), 0.0) @ (np.array(y) * alpha)).max() <= 1e-12


def test_opposite_labels_of_antipodal_points_are_no_contradiction() -> None:
    solution = relu_max_margin([[1.0, 0.0], [-1.0, 0.0]], [1, -1])
    assert solution.value == pytest.approx(2.0)
    assert solution.status is Status.OPTIMAL


@pytest.mark.parametrize(
    ("options", "message"),
    [({"slope": 1.0}, "slope"), ({"slope": -0.1}, "slope"), ({"tol": 0.0}, "tol"), ({"max_rank": 0}, "max_rank"),
     ({"n_starts": 0}, "n_starts"), ({"max_steps": 0}, "max_steps"), ({"time_limit": 0.0}, "time_limit")],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        relu_max_margin(*XOR, **options)


def test_a_time_limit_hands_back_what_was_found() -> None:
    X, y = random_data(12, 3, 6)
    short = relu_max_margin(X, y, max_steps=4)
    none = relu_max_margin(X, y, time_limit=1e-9)
    assert none.value == none.gap == np.inf
    best = relu_max_margin(X, y)
    for unfinished in (short, none):
        assert unfinished.lower_bound <= best.value * (1 + 1e-12)
        assert unfinished.value >= best.value * (1 - 1e-12)
        assert unfinished.gap > 1e-9
        assert unfinished.status is Status.INACCURATE


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="shape"):
        relu_max_margin(np.ones((3, 2, 2)), [1, 1, 1])
    with pytest.raises(ValueError, match="hidden must have shape"):
        certify_relu(*XOR, np.ones((4, 3)), np.ones(4))
    with pytest.raises(ValueError, match="does not classify every point"):
        certify_relu(*XOR, np.ones((4, 2)), np.ones(4))


# ---- is a given network the one of least norm? ----------------------------------------------------------------------


def test_the_answer_is_certified_global_and_alterations_are_not() -> None:
    for seed in range(5):
        X, y = random_data(6, 2 + seed % 2, seed)
        best = relu_max_margin(X, y)
        assert certify_relu(X, y, best.neurons, best.output_weights).verdict is GlobalOptimum.GLOBAL
        # balanced weights at another scale are the same network in another parametrization
        size = np.sqrt(np.abs(best.output_weights))
        weights = 3 * size[:, None] * best.neurons, 3 * size * np.sign(best.output_weights)
        assert certify_relu(X, y, *weights).verdict is GlobalOptimum.GLOBAL
        noise = np.random.default_rng(seed).standard_normal(best.neurons.shape)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        # no margin changes by more than a tenth
        size = 0.1 / (best.value * np.linalg.norm(X, axis=1).max())
        moved = certify_relu(X, y, best.neurons + size * noise, best.output_weights)
        assert moved.verdict is GlobalOptimum.NOT_GLOBAL
        assert moved.cheaper is not None
        assert best.value * (1 - 1e-9) <= moved.cheaper.value < moved.value
        # a unit twice, its weight shared, is as good; a unit that does nothing is not
        assert (
            certify_relu(X, y, np.vstack([best.neurons, best.neurons]), np.tile(best.output_weights / 2, 2)).verdict
            is GlobalOptimum.GLOBAL
        )
        idle = certify_relu(X, y, np.vstack([best.neurons, -noise[:1]]), np.append(best.output_weights, size))
        assert idle.verdict is GlobalOptimum.NOT_GLOBAL


def test_multipliers_that_are_not_unique() -> None:
    """α = (0, 0, ½, ½) belongs to the point and proves only √5/2; α = (½, ½, 0, 0) proves that it is global."""
    X, y = SEVERAL_MULTIPLIERS
    assert dual_bound(X, y, np.array([0, 0, 0.5, 0.5]), 0.0, 4, 1, 0).largest.response == pytest.approx(np.sqrt(5) / 2)
    for width in (1, 3):
        certificate = certify_relu(X, y, np.tile([[1.0, 0.0]], (width, 1)), np.ones(width) / width)
        assert certificate.verdict is GlobalOptimum.GLOBAL
        assert certificate.lower_bound == pytest.approx(1.0, rel=1e-12)


def test_a_kkt_point_that_is_not_global() -> None:
    """One unit along (1, 0, 0) classifies both points at cost 1; a unit for each of them costs 2/√2·…: by hand.

    Points (1, ±t), t > 1, label 1. One unit w = (1, 0): cost 1, stationary with α = (½, ½). Two units along the points:
    cost 2/√(1 + t²), below 1 for t > √3. Each is closed on the other point.
    """
    t = 3.0
    X, y = np.array([[1.0, t], [1.0, -t]]), np.ones(2)
    one = certify_relu(X, y, [[1.0, 0.0]], [1.0])
    assert one.verdict is GlobalOptimum.NOT_GLOBAL
    assert one.value == pytest.approx(1.0)
    assert one.cheaper is not None
    assert one.cheaper.output_weights.size == 2
    assert one.cheaper.value == pytest.approx(2 / np.sqrt(1 + t * t), rel=1e-12)
    # the unit that enters points along one of the points: response ½√(1 + t²) to α = (½, ½)
    assert one.largest_response == pytest.approx(0.5 * np.sqrt(1 + t * t), rel=1e-9)
    assert one.entering_unit is not None
    assert abs(one.entering_unit[1]) == pytest.approx(t / np.sqrt(1 + t * t), rel=1e-9)
    assert one.lower_bound == pytest.approx(one.cheaper.value, rel=1e-9)


def test_beyond_rank_four_global_is_never_said() -> None:
    X, y = random_data(10, 20, 0)
    best = relu_max_margin(X, y)
    certificate = certify_relu(X, y, best.neurons, best.output_weights)
    assert certificate.verdict is GlobalOptimum.UNKNOWN
    assert certificate.sampled_maximum == pytest.approx(1.0, abs=1e-9)
    assert certify_relu(X, y, best.neurons, best.output_weights, max_rank=10).verdict is GlobalOptimum.GLOBAL
    noise = np.random.default_rng(1).standard_normal(best.neurons.shape)
    moved = certify_relu(X, y, best.neurons + 0.01 * noise, best.output_weights)
    assert moved.verdict is GlobalOptimum.NOT_GLOBAL
    assert moved.cheaper is not None
    assert moved.cheaper.value < moved.value


def test_altered_multipliers_prove_less() -> None:
    X, y = random_data(9, 3, 3)
    best = relu_max_margin(X, y)
    rng = np.random.default_rng(0)
    for _ in range(5):
        altered = best.dual * (1 + 1e-3 * rng.standard_normal(9))
        bound = dual_bound(X, y, altered, 0.0, 4, 1, 0)
        assert bound.value < best.value * (1 - 1e-6)
    # negative multipliers prove nothing: they are set to zero
    assert dual_bound(X, y, -best.dual, 0.0, 4, 1, 0).value == 0.0


# ---- cells and responses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "k"), [(1, 3), (2, 3), (5, 2), (7, 3), (8, 4), (6, 5)])
def test_points_in_general_position_have_as_many_cells_as_there_can_be(m: int, k: int) -> None:
    gates = gates_of_cells(np.random.default_rng(m).standard_normal((m, k)))
    assert gates.shape == (most_cells(m, k), m)
    assert len(np.unique(gates, axis=0)) == len(gates)


def test_cells_of_points_in_special_position() -> None:
    points = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [-2, 0, 0], [1, 0, 0]])
    sampled = np.unique(np.random.default_rng(0).standard_normal((5000, 3)) @ points.T > 0, axis=0)
    np.testing.assert_array_equal(np.unique(gates_of_cells(points), axis=0), sampled)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.7])
def test_the_largest_unit_is_that_of_angles(slope: float) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X, weights = rng.standard_normal((1 + seed % 9, 2)), rng.standard_normal(1 + seed % 9)
        found = largest_unit(X, weights, slope)
        assert found.exact
        largest = largest_response_in_the_plane(X, weights, slope)
        assert found.response == pytest.approx(largest, rel=1e-12)
        assert found.upper_bound == pytest.approx(largest, rel=1e-12)
        assert abs(sigma(X @ found.unit, slope) @ weights) == pytest.approx(found.response, rel=1e-12)


@pytest.mark.parametrize(("m", "k"), [(9, 3), (10, 4), (8, 6)])
def test_sampling_stays_below_the_maximum_and_the_relaxation_above(m: int, k: int) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        points, weights = rng.standard_normal((m, k)), rng.standard_normal(m)
        exact = largest_unit(points, weights, max_rank=k)
        assert exact.upper_bound == pytest.approx(exact.response, rel=1e-12)
        units, responses = local_maxima(points, weights, 0.0, rng.standard_normal((20, k)))
        np.testing.assert_allclose(sigma(units @ points.T, 0.0) @ weights, responses, rtol=1e-12, atol=1e-12)
        sampled = sigma(rng.standard_normal((10**4, k)) @ points.T, 0.0) @ weights
        assert np.abs(responses).max() <= exact.response * (1 + 1e-12)
        assert np.abs(sampled).max() / np.sqrt(k) <= 4 * exact.response
        relaxed = largest_unit(points, weights, max_rank=1)
        assert not relaxed.exact
        assert exact.response <= relaxed.upper_bound * (1 + 1e-12)


def test_units_are_sought_in_one_step_of_each_sign_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 100 points in 20 dimensions a search takes 22 steps, half a second that a time limit has not."""
    steps = []
    whole = largest_unit_module._box_residuals
    monkeypatch.setattr(largest_unit_module, "_box_residuals", lambda *given: steps.append(1) or whole(*given))
    rng = np.random.default_rng(0)
    points, weights, starts = rng.standard_normal((30, 8)), rng.standard_normal(30), rng.standard_normal((40, 8))
    units, responses = local_maxima(points, weights, 0.0, starts, deadline=0.0)
    assert len(steps) == 2
    np.testing.assert_allclose(sigma(units @ points.T, 0.0) @ weights, responses, rtol=1e-12, atol=1e-12)
    best = np.abs(local_maxima(points, weights, 0.0, starts)[1]).max()
    assert len(steps) > 6
    assert 0 < np.abs(responses).max() <= best * (1 + 1e-12)


@pytest.mark.parametrize("seed", [124, 156, 366])
def test_a_direction_comes_once_for_each_sign(seed: int) -> None:
    """Units of one sign and direction are one unit: on these data the search ends with two of them."""
    rng = np.random.default_rng(seed)
    X = np.round(rng.standard_normal((8, 2)) * 2) / 2
    X = X[np.abs(X).sum(axis=1) > 0]
    y = np.where(rng.random(len(X)) < 0.5, 1.0, -1.0)
    answer = relu_max_margin(X, y)
    assert answer.status is Status.OPTIMAL
    units = answer.neurons / np.linalg.norm(answer.neurons, axis=1, keepdims=True)
    same = np.sign(answer.output_weights)[:, None] == np.sign(answer.output_weights)
    near = np.linalg.norm(units[:, None] - units, axis=2) <= 1e-6
    assert not np.triu(same & near, 1).any()
    assert relu_max_margin(csr_array(X), y).value == pytest.approx(answer.value, rel=1e-9)


def test_merging_adds_up_and_keeps_signs_apart() -> None:
    units = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.8], [1.0, 0.0]])
    neurons, outputs = merged(units, np.array([2.0, 3.0, 1.0, -4.0]), 1e-12)
    np.testing.assert_allclose(neurons, [[1, 0], [0.6, 0.8], [1, 0]], rtol=0, atol=1e-15)
    np.testing.assert_allclose(outputs, [5.0, 1.0, -4.0], rtol=1e-15)
