"""Where gradient flow ends: against solvers that know nothing of flows, per architecture and on degenerate data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn

from gd.flow.flow_limit import flow_limit
from gd.flow.homogeneity import NotHomogeneousError
from gd.flow.termination import Reached
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.status import FlowStatus
from solvers.certificate import certificate_of
from solvers.max_margin import max_margin
from solvers.regularizers import L2, Bridge, FourierBridge
from solvers.solution import NotSeparableError
from solvers.validation import check_problem

DEGREES = 180.0 / np.pi


def gaussian_data(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.sign(X @ rng.standard_normal(d)) if n > d else rng.choice([-1.0, 1.0], n)


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel() / np.linalg.norm(a), b.ravel() / np.linalg.norm(b)
    return float(2.0 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)) * DEGREES)


def l1_max_margin(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """min ‖β‖₁ s.t. y⟨x, β⟩ ≥ 1 as a linear program in β = β⁺ − β⁻; scipy's, nobody's here."""
    A = y[:, None] * X
    solution = linprog(np.ones(2 * X.shape[1]), A_ub=-np.hstack([A, -A]), b_ub=-np.ones(len(y)))
    return solution.x[: X.shape[1]] - solution.x[X.shape[1] :]


@pytest.mark.parametrize("seed", range(3))
def test_diagonal_depth_two_ends_at_the_l1_max_margin(seed: int) -> None:
    X, y = gaussian_data(10, 20, seed)
    limit = flow_limit(Diagonal(20, 2, scale=0.1, seed=seed), X, y)
    assert limit.status is FlowStatus.OPTIMAL
    # both vertices solve the same linear system on the same support: rounding, far below the 1e-5° promised
    assert degrees_between(limit.predictor, l1_max_margin(X, y)) < 1e-10
    np.testing.assert_allclose((y * (X @ limit.predictor)).min(), 1.0, rtol=1e-14)


def test_coefficients_that_drift_for_thousands_of_log_norms_are_followed_to_their_vertex() -> None:
    """Dual constraints tied to 5e-4: at ln‖w‖ = 3685 the flow is still 20° away, its margin 2e-4 from the best."""
    X, y = gaussian_data(10, 20, 104)
    limit = flow_limit(Diagonal(20, 2, scale=0.5, seed=104), X, y)
    assert limit.status is FlowStatus.OPTIMAL
    assert degrees_between(limit.predictor, l1_max_margin(X, y)) < 1e-10


@pytest.mark.parametrize(("n", "d", "shape"), [(10, 20, 20), (9, 21, 21), (8, 24, (4, 6))])
def test_convolutional_depth_two_ends_at_the_fourier_l1(n: int, d: int, shape: int | tuple[int, int]) -> None:
    X, y = gaussian_data(n, d, 5)
    X = X if isinstance(shape, int) else X.reshape(n, *shape)
    limit = flow_limit(Convolutional(shape, 2, scale=0.1, seed=5), X, y)
    assert limit.status is FlowStatus.OPTIMAL
    reference = max_margin(X, y, FourierBridge(1))
    # the reference's relative gap is 1e-9 or better; near a nondegenerate optimum angle² is of the order of the gap
    assert degrees_between(limit.predictor, reference.beta) < 1e-3
    assert abs(limit.certificate.direction_gap) < 1e-10  # Newton's rounding times the problem's conditioning
    assert abs(FourierBridge(1).value(limit.predictor) / reference.objective - 1.0) < 1e-8


@pytest.mark.parametrize("network", [Diagonal, Convolutional])
def test_fifty_points_in_128_dimensions(network: type[Diagonal | Convolutional]) -> None:
    X, y = gaussian_data(50, 128, 0)
    limit = flow_limit(network(128, 2, scale=0.1, seed=0), X, y)
    assert limit.status is FlowStatus.OPTIMAL
    reference = max_margin(X, y, network(128, 2).regularizer)
    assert degrees_between(limit.predictor, reference.beta) < 1e-3


@pytest.mark.parametrize("network", [Diagonal, Convolutional])
@pytest.mark.parametrize("depth", [3, 4])
def test_deep_networks_end_at_stationary_points_of_the_bridge(network: type[Diagonal], depth: int) -> None:
    X, y = gaussian_data(50, 128, 1)
    limit = flow_limit(network(128, depth, scale=0.1, seed=1), X, y)
    assert limit.status is FlowStatus.STATIONARY
    assert limit.kkt_epsilon / limit.norm_at_unit_margin < 1e-9
    assert limit.kkt_delta < 1e-9
    # the induced regularizer's own residual, with the multipliers the flow's weights became
    R = network(128, depth).regularizer
    certificate = certificate_of(check_problem(X, y, Bridge(2 / depth)), limit.predictor, R, limit.dual)
    assert certificate.stationarity < 1e-9
    assert certificate.complementarity < 1e-9


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_fully_connected_networks_end_at_the_l2_max_margin(depth: int) -> None:
    X, y = gaussian_data(30, 64, 2)
    limit = flow_limit(FullyConnected(64, depth, scale=0.1, seed=2), X, y)
    assert limit.status is FlowStatus.OPTIMAL
    # the reference's own relative gap (1e-12 or so) allows sqrt(2e-12) = 8e-5 degrees
    assert degrees_between(limit.predictor, max_margin(X, y, L2()).beta) < 1e-4
    # Lemma 5: the cheapest weights of β cost L‖β‖^{2/L}
    np.testing.assert_allclose(
        limit.norm_at_unit_margin**2, depth * np.linalg.norm(limit.predictor) ** (2 / depth), rtol=1e-10
    )


@pytest.mark.parametrize("network", [Diagonal, Convolutional])
def test_weights_of_the_limit_compute_its_predictor_and_cost_what_the_regularizer_says(network: type[Diagonal]) -> None:
    X, y = gaussian_data(8, 12, 3)
    model = network(12, 3, scale=0.1, seed=3)
    limit = flow_limit(model, X, y)
    computed = torch.func.functional_call(
        model, {k: torch.from_numpy(v.copy()) for k, v in limit.weights.items()}, (torch.from_numpy(X),)
    )
    np.testing.assert_allclose(y * computed.detach().numpy() / limit.margin, y * (X @ limit.predictor), rtol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(limit.direction), 1.0, rtol=1e-12)
    cost = 3 * model.regularizer.value(limit.predictor) ** (2 / 3)  # Lemmas 6 and 7: min ‖w‖² = L R^{2/L}
    np.testing.assert_allclose(limit.norm_at_unit_margin**2, cost, rtol=1e-9)


def duplicated() -> tuple[np.ndarray, np.ndarray]:
    X, y = gaussian_data(6, 12, 4)
    return np.vstack([X, X[:3]]), np.concatenate([y, y[:3]])


def orthogonal() -> tuple[np.ndarray, np.ndarray]:
    return np.eye(6, 9) * np.array([1.0, 2.0, 1.0, 3.0, 1.0, 1.0])[:, None], np.array([1.0, -1, 1, 1, -1, 1])


def nearly_inseparable() -> tuple[np.ndarray, np.ndarray]:
    X, y = gaussian_data(12, 6, 5)
    b = max_margin(X, y, L2()).beta
    for n in range(2):  # moved to the far side but for 1e-4
        X[n] -= b * (X[n] @ b - 1e-4 * y[n]) / (b @ b)
    return X, y


def fourier_tie() -> tuple[np.ndarray, np.ndarray]:
    t = 2 * np.pi * np.arange(8) / 8
    return np.stack([np.cos(t) + np.cos(3 * t), np.sin(t) - np.sin(3 * t)]), np.array([1.0, -1.0])


def one_point() -> tuple[np.ndarray, np.ndarray]:
    return np.array([[0.5, -1.5, 0.25, 1.0, 0.75]]), np.array([-1.0])


def more_points_than_dimensions() -> tuple[np.ndarray, np.ndarray]:
    return gaussian_data(40, 5, 6)


@pytest.mark.parametrize(
    "data", [duplicated, orthogonal, nearly_inseparable, fourier_tie, one_point, more_points_than_dimensions]
)
@pytest.mark.parametrize("network", [Diagonal, Convolutional, FullyConnected])
def test_degenerate_data(data: object, network: type[Diagonal]) -> None:
    X, y = data()  # type: ignore[operator]
    limit = flow_limit(network(X.shape[1], 2, scale=0.1, seed=1), X, y)
    # optima may not be unique here, so what is tested is the proof: a gap closed on the package's own certificate
    assert limit.status is FlowStatus.OPTIMAL
    certificate = certificate_of(
        check_problem(X, y, L2()), limit.predictor, network(X.shape[1], 2).regularizer, limit.dual
    )
    assert certificate.direction_gap < 1e-9
    deep = flow_limit(network(X.shape[1], 3, scale=0.1, seed=1), X, y)
    assert deep.status in (FlowStatus.STATIONARY, FlowStatus.OPTIMAL)
    assert deep.kkt_epsilon / deep.norm_at_unit_margin < 1e-9


@pytest.mark.parametrize(
    "data", [duplicated, orthogonal, nearly_inseparable, fourier_tie, one_point, more_points_than_dimensions]
)
@pytest.mark.parametrize("network", [Diagonal, Convolutional, FullyConnected])
def test_no_status_depends_on_the_polish(
    data: object, network: type[Diagonal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a degenerate optimal set rounding decides whether Newton's method converges; the flow's own gap does not."""
    monkeypatch.setattr("gd.flow.coefficient_map.polish_coefficients", lambda *_, **__: None)
    X, y = data()  # type: ignore[operator]
    limit = flow_limit(network(X.shape[1], 2, scale=0.1, seed=1), X, y, max_steps=1500)
    assert limit.status is FlowStatus.OPTIMAL
    assert limit.reached is Reached.BY_CERTIFICATE
    assert not limit.polished
    assert limit.polish_angle == 0
    assert limit.integrated.duality_gap == limit.certificate.direction_gap
    assert limit.certificate.direction_gap <= 1e-9
    own = certificate_of(check_problem(X, y, L2()), limit.predictor, network(X.shape[1], 2).regularizer, limit.dual)
    assert own.direction_gap <= 1e-9


def test_logistic_and_exponential_flows_end_at_the_same_convex_optimum() -> None:
    X, y = gaussian_data(10, 20, 7)
    exponential = flow_limit(Convolutional(20, 2, seed=7), X, y)
    logistic = flow_limit(Convolutional(20, 2, seed=7), X, y, loss="logistic")
    assert logistic.status is FlowStatus.OPTIMAL
    assert degrees_between(exponential.predictor, logistic.predictor) < 1e-8
    assert not np.allclose(exponential.path.predictors[20], logistic.path.predictors[20], rtol=1e-3)  # other paths


def test_a_sign_locked_network_is_not_said_to_reach_the_max_margin() -> None:
    X, y = gaussian_data(6, 8, 8)
    X[0], y[0] = np.abs(X[0]), 1.0  # a positive predictor exists for this family
    model = Diagonal(8, 2, scale=0.1, seed=8, initialization="balanced")
    with torch.no_grad():
        for w in model.weights:
            w.abs_()  # β ≥ 0 for ever
    X = np.abs(X) * y[:, None]  # separable by a positive predictor
    X[:, 0] = -5.0 * y  # and much better by a negative first coefficient
    limit = flow_limit(model, X, y, max_steps=1500)
    assert limit.predictor.min() >= 0
    assert limit.status in (FlowStatus.LOCKED, FlowStatus.SADDLE)
    assert limit.certificate.direction_gap > 0.1
    free = flow_limit(Diagonal(8, 2, scale=0.1, seed=8), X, y)
    assert free.status is FlowStatus.OPTIMAL
    assert free.predictor[0] < 0


def test_a_batch_of_seeds_is_the_single_runs() -> None:
    X, y = gaussian_data(8, 12, 9)
    models = [Convolutional(12, 2, scale=s, seed=i) for i, s in enumerate([0.02, 0.1, 0.5])]
    batch = flow_limit(models, X, y)
    for model, together in zip(models, batch, strict=True):
        alone = flow_limit(model, X, y)
        assert alone.status is together.status
        np.testing.assert_allclose(together.predictor, alone.predictor, rtol=0, atol=1e-10)
        assert alone.stats["steps"] == together.stats["steps"]
        np.testing.assert_allclose(together.path.predictors, alone.path.predictors, atol=1e-9)


def test_several_outputs_end_at_the_nuclear_norm_optimum() -> None:
    rng = np.random.default_rng(14)
    X, y = rng.standard_normal((5, 6)), rng.choice([-1.0, 1.0], (5, 3))
    model = FullyConnected(6, 2, outputs=3, seed=14)
    limit = flow_limit(model, X, y)
    assert limit.status is FlowStatus.OPTIMAL
    assert limit.predictor.shape == (3, 6)
    assert limit.dual.shape == limit.active.shape == y.shape
    np.testing.assert_allclose((y * (X @ limit.predictor.T)).min(), 1.0, rtol=1e-9)
    z = (limit.dual * y).T @ X  # weak duality by hand: nuclear norm against spectral norm
    bound = limit.dual.sum() / np.linalg.norm(z, 2)
    np.testing.assert_allclose(np.linalg.norm(limit.predictor, "nuc"), bound, rtol=1e-9)


@pytest.mark.parametrize(("kernel", "padding"), [(3, "circular"), (3, "zero")])
def test_narrow_kernels_end_at_kkt_points_of_the_weight_space_problem(kernel: int, padding: str) -> None:
    X, y = gaussian_data(6, 8, 15)
    model = Convolutional(8, 3, kernel=kernel, padding=padding, seed=15)
    limit = flow_limit(model, X, y)
    assert limit.status is FlowStatus.STATIONARY
    w = {k: torch.from_numpy(v * limit.norm_at_unit_margin).requires_grad_() for k, v in limit.weights.items()}
    margins = torch.from_numpy(y) * torch.func.functional_call(model, w, (torch.from_numpy(X),))
    factor = 3.0 * float(limit.dual @ margins.detach().numpy()) / limit.norm_at_unit_margin**2  # Euler: ⟨w, Σp∇m⟩
    (torch.from_numpy(limit.dual) @ margins / factor).backward()
    for v in w.values():  # w = Σ λ ∇m, by autograd, which the linear case needs no more than
        np.testing.assert_allclose(v.grad, v.detach(), atol=1e-8)


def test_models_are_not_modified() -> None:
    X, y = gaussian_data(5, 6, 10)
    model = Diagonal(6, 2, seed=10)
    before = model.predictor
    flow_limit(model, X, y)
    np.testing.assert_array_equal(model.predictor, before)


@pytest.mark.parametrize("smooth", [nn.Tanh(), nn.Sigmoid(), nn.GELU()])
def test_smooth_activations_are_refused_with_the_measured_deviation(smooth: nn.Module) -> None:
    torch.manual_seed(0)
    X, y = gaussian_data(5, 4, 11)
    model = nn.Sequential(nn.Linear(4, 3, bias=False), smooth, nn.Linear(3, 1, bias=False))
    with pytest.raises(NotHomogeneousError) as caught:
        flow_limit(model, X, y)
    assert caught.value.deviation > 1e-3


@pytest.mark.parametrize("zero", [False, True])
def test_a_bias_is_refused_by_name_even_where_it_starts_at_zero(zero: bool) -> None:
    torch.manual_seed(0)
    X, y = gaussian_data(5, 4, 12)
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 1))
    if zero:
        nn.init.zeros_(model[2].bias)
    with pytest.raises(NotHomogeneousError, match=r"2\.bias"):
        flow_limit(model, X, y)


def test_biases_of_the_first_layer_alone_are_weights_of_a_constant_input() -> None:
    torch.manual_seed(0)
    X, y = gaussian_data(3, 4, 12)
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 1, bias=False))
    limit = flow_limit(model, X, y)
    assert limit.stats["degree"] == 2.0
    assert limit.status is FlowStatus.STATIONARY
    with_constant = np.hstack([X, np.ones((3, 1))])
    beta = limit.weights["1.weight"] @ np.hstack([limit.weights["0.weight"], limit.weights["0.bias"][:, None]])
    assert degrees_between(beta, max_margin(with_constant, y, L2()).beta) < 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "hinge"}, "loss must be"),
        ({"tol": 0.0}, "tol and path_tolerance"),
        ({"speed": 3}, "unexpected keyword argument 'speed'"),
    ],
)
def test_bad_options(arguments: dict[str, object], message: str) -> None:
    X, y = gaussian_data(4, 5, 13)
    with pytest.raises((ValueError, TypeError), match=message):
        flow_limit(Diagonal(5, 2), X, y, **arguments)


def test_bad_data_and_models() -> None:
    X, y = gaussian_data(4, 5, 13)
    with pytest.raises(NotSeparableError):
        flow_limit(Diagonal(5, 2), np.vstack([X, X[:1]]), np.append(y, -y[0]))
    with pytest.raises(ValueError, match="finite"):
        flow_limit(Diagonal(5, 2), np.where(X > 1, np.nan, X), y)
    with pytest.raises(ValueError, match="one architecture"):
        flow_limit([Diagonal(5, 2), Diagonal(5, 3)], X, y)
    with pytest.raises(ValueError, match="empty"):
        flow_limit([], X, y)
    still = Diagonal(5, 2)
    with torch.no_grad():
        for w in still.weights:
            w.zero_()
    with pytest.raises(ValueError, match="w = 0"):
        flow_limit(still, X, y)


def test_the_path_is_recorded_where_the_norm_grows_after_a_long_plateau() -> None:
    # depth 6: nearly all of τ is spent near the start; then ln‖w‖ grows from 1 to 20 within one factor 10^{1/40} of τ
    X, y = gaussian_data(10, 24, 0)
    limit = flow_limit(Diagonal(24, 6, scale=0.1, seed=0), X, y)
    steps = np.diff(limit.path.log_norm[limit.path.log_norm > 1.0])
    assert limit.path.log_norm[-1] > 0.8 * limit.log_norm
    assert steps.max() < 2.0  # one step of the integrator multiplies ‖w‖ by less than e²


def test_a_limit_names_the_regularizer_that_its_certificate_is_of() -> None:
    X, y = [[2.0, 1.0, 0.0], [1.0, 3.0, 1.0]], [1, 1]
    for model in (Diagonal(3, 2, seed=0), Convolutional(3, 2, seed=0), FullyConnected(3, 2, seed=0)):
        limit = flow_limit(model, X, y)
        assert limit.regularizer == model.regularizer
        assert limit.certificate is not None
        assert f"regularizer          {model.regularizer}" in repr(limit)
    own = torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), torch.nn.ReLU(), torch.nn.Linear(4, 1, bias=False))
    assert flow_limit(own.double(), X, y).regularizer is None
