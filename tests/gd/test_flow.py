"""The normalized flow itself: its parts against automatic differentiation and convex solvers, its path against others'.

The slow clear versions live here: plain gradient descent with a small step, and scipy's BDF on the ordinary
differential equation as it is printed, with its exact Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from gd.descent.descend import descend
from gd.descent.schedule import ConstantStep
from gd.flow.coefficient_polish import polish_coefficients
from gd.flow.flow_limit import flow_limit
from gd.flow.implicit_weights import explicit_weights, implicit_weights
from gd.flow.integration import Flow
from gd.flow.kkt import kkt
from gd.flow.loss_weights import ExponentialWeights, LogisticWeights
from gd.flow.map_choice import margin_map
from gd.flow.module_map import ModuleMap
from gd.flow.weight_polish import gradients
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork

NETWORKS: list[Callable[[], LinearNetwork]] = [
    lambda: Diagonal(6, 3, scale=0.5, seed=1),
    lambda: Diagonal(6, 1, scale=0.5, seed=1),
    lambda: Convolutional(6, 3, scale=0.5, seed=1),
    lambda: Convolutional(5, 4, scale=0.5, seed=1),
    lambda: Convolutional((4, 3), 2, scale=0.5, seed=1),
    lambda: FullyConnected(6, 3, width=4, scale=0.5, seed=1),
]


def data_for(model: LinearNetwork, n: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((n, *model.shape))), torch.from_numpy(rng.choice([-1.0, 1.0], n))


@pytest.mark.parametrize("make", NETWORKS)
def test_closed_forms_are_what_automatic_differentiation_finds(make: Callable[[], LinearNetwork]) -> None:
    model = make()
    X, y = data_for(model)
    closed, generic = margin_map(model, X, y), ModuleMap(model, X, y)
    theta, weights = closed.start([model]), generic.start([model])
    a, b = closed.at(theta), generic.at(weights)
    np.testing.assert_allclose(float(theta.abs().square().sum()), float(weights.square().sum()), rtol=1e-14)
    np.testing.assert_allclose(a.margins, b.margins, atol=1e-14)
    np.testing.assert_allclose(a.gram, b.gram, atol=1e-13)
    p = torch.rand(1, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pulled = closed.weights(a.pull(p)[0])  # the isometry back to the model's own parameters
    np.testing.assert_allclose(np.concatenate([v.ravel() for v in pulled.values()]), b.pull(p)[0], atol=1e-13)
    np.testing.assert_allclose(closed.predictors(theta)[0], model.predictor, atol=1e-14)
    assert generic.degree == model.degree


def test_several_outputs_are_one_constraint_each() -> None:
    model = FullyConnected(4, 2, outputs=3, scale=0.5, seed=0)
    rng = np.random.default_rng(1)
    X, y = torch.from_numpy(rng.standard_normal((5, 4))), torch.from_numpy(rng.choice([-1.0, 1.0], (5, 3)))
    generic = ModuleMap(model, X, y)
    expected = generic.at(generic.start([model]))
    closed = model.margin_map(X, y)
    found = closed.at(closed.start([model]))
    np.testing.assert_allclose(found.gram, expected.gram, atol=1e-13)
    p = torch.rand(1, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(found.pull(p), expected.pull(p), atol=1e-13)
    theta = closed.start([model])[0]
    rows = closed.held_problem(theta, None, np.ones(15, dtype=bool)).rows(theta)
    np.testing.assert_allclose(rows.dense, gradients(closed.smooth_margins, theta), atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 9),
    log_T=st.floats(-8, 1),
    log_h=st.floats(-6, 3),
    logistic=st.booleans(),
)
def test_implicit_weights_solve_their_equation(seed: int, n: int, log_T: float, log_h: float, logistic: bool) -> None:
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((n, 5))
    m, K = rng.standard_normal((1, n)) + 2.0, (J @ J.T)[None]
    T, h = np.array([10.0**log_T]), np.array([10.0**log_h])
    loss = LogisticWeights() if logistic else ExponentialWeights()
    p, converged = implicit_weights(m, K, h, T, np.full((1, n), 1.0 / n), loss, iterations=200)
    if logistic and not converged:
        return  # the logistic weights are no convex problem: the flow then takes a shorter step
    assert converged
    mu = m + h * np.einsum("bnk,bk->bn", K, p)
    # p enters μ times hK, so rounding ε(|μ| + hK) in μ is amplified to ε(|μ| + hK)/T in ln p, where p is not negligible
    noise = 1e-9 + 1e-14 * (np.abs(mu).max() + h[0] * np.abs(K).max()) / T[0]
    if noise < 0.1:
        np.testing.assert_allclose(p, explicit_weights(mu, T, loss), atol=10 * noise)


def test_implicit_weights_minimize_the_entropic_program() -> None:
    rng = np.random.default_rng(0)
    J = rng.standard_normal((6, 4))
    m, h, T = rng.standard_normal(6), 0.7, 0.05
    p, _ = implicit_weights(
        m[None], (J @ J.T)[None], np.array([h]), np.array([T]), np.full((1, 6), 1 / 6), ExponentialWeights()
    )

    def objective(x: np.ndarray) -> float:  # over the simplex by softmax coordinates, by a general-purpose minimizer
        q = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
        return float(T * (q * np.log(np.maximum(q, 1e-300))).sum() + m @ q + 0.5 * h * np.sum((J.T @ q) ** 2))

    best = minimize(objective, np.zeros(6), method="BFGS", options={"gtol": 1e-10})
    q = np.exp(best.x - best.x.max()) / np.exp(best.x - best.x.max()).sum()
    np.testing.assert_allclose(p[0], q, atol=1e-5)  # BFGS with difference quotients: about the root of 1e-12


def bdf_path(model: LinearNetwork, X: np.ndarray, y: np.ndarray, tau: float) -> Callable[[np.ndarray], np.ndarray]:
    """τ-dense solution of dθ/dτ = (I − θθᵀ)Jᵀp, dρ/dτ = ⟨θ, Jᵀp⟩ by scipy's BDF; returns (θ, ρ) at given ρ."""
    mapping = ModuleMap(model, torch.from_numpy(X), torch.from_numpy(y))

    def right_side(state: torch.Tensor) -> torch.Tensor:
        theta, rho = state[:-1], state[-1]
        m = mapping.smooth_margins(theta)
        p = torch.softmax(-m * torch.exp(mapping.degree * rho), 0)
        force = torch.func.vjp(mapping.smooth_margins, theta)[1](p)[0]
        along = theta @ force
        return torch.cat([force - along * theta, along[None]])

    jacobian = torch.func.jacrev(right_side)
    w = mapping.start([model])[0]
    start = torch.cat([w / w.norm(), w.norm().log()[None]]).numpy()
    solution = solve_ivp(
        lambda _, s: right_side(torch.from_numpy(s)).detach().numpy(), (0.0, tau), start, method="BDF",
        jac=lambda _, s: jacobian(torch.from_numpy(s)).detach().numpy(), rtol=1e-9, atol=1e-11, dense_output=True,
    )  # fmt: skip

    def at(log_norms: np.ndarray) -> np.ndarray:
        times = np.linspace(0.0, tau, 4_001)
        rhos = solution.sol(times)[-1]
        return np.stack([solution.sol(np.interp(r, rhos, times)) for r in log_norms])

    return at


@pytest.mark.parametrize("model", [Diagonal(6, 3, scale=0.4, seed=2), Convolutional(6, 2, scale=0.3, seed=2)])
def test_the_path_is_the_one_that_bdf_integrates(model: LinearNetwork) -> None:
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((5, 6)), rng.choice([-1.0, 1.0], 5)
    reference = bdf_path(model, X, y, 25.0)
    errors = []
    for tolerance in (1e-3, 1e-5):
        path = flow_limit(model, X, y, path_tolerance=tolerance).path
        last = reference(np.array([0.0]))[0].size
        rising = int(np.argmin(path.log_norm))  # ‖w‖ may shrink at first; compared where ρ identifies the point
        inside = (np.arange(path.tau.size) >= rising) & (path.tau < 16.0)
        states = reference(path.log_norm[inside])
        theta = states[:, : last - 1]
        mapping = ModuleMap(model, torch.from_numpy(X), torch.from_numpy(y))
        beta = np.stack(
            [
                model.P([torch.from_numpy(w) for w in mapping.weights(torch.from_numpy(row)).values()]).detach().numpy()
                for row in theta
            ]
        )
        errors.append(np.abs(path.predictors[inside] - beta).max() / np.abs(beta).max())
        assert np.ptp(path.log_norm[inside]) > 0.4
    # the extrapolated step is of second order with local errors ~ tolerance^{3/2}, over ~ tolerance^{−1/2} steps
    assert errors[0] < 2e-2
    assert errors[1] < 5e-4
    assert errors[1] < 0.1 * errors[0]


def test_the_path_is_the_one_small_step_gradient_descent_takes_while_it_can() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((6, 8)), rng.choice([-1.0, 1.0], 6)
    model = Diagonal(8, 3, scale=0.4, seed=3)
    run = descend(model, X, y, steps=6_000, schedule=ConstantStep(1e-2), snapshots=60)
    path = flow_limit(model, X, y, path_tolerance=1e-5).path
    norm, loss = run.weight_norm[0], run.log_loss[0]
    # compared at equal loss, which falls monotonically on both
    reachable = (loss < -0.5) & (loss > path.log_loss.min())
    assert reachable.sum() > 5
    assert loss.min() < -4.0
    for t in np.flatnonzero(reachable):
        i = int(np.flatnonzero(path.log_loss < loss[t])[0])
        share = (path.log_loss[i - 1] - loss[t]) / (path.log_loss[i - 1] - path.log_loss[i])
        beta = path.predictors[i - 1] + share * (path.predictors[i] - path.predictors[i - 1])
        ours = beta / np.linalg.norm(beta)
        theirs = run.predictors[0, t] / np.linalg.norm(run.predictors[0, t])
        # linear interpolation over a factor 10^{1/40} in τ: curvature of the path times (6 %)² of its length
        assert np.linalg.norm(ours - theirs) < 5e-3
        log_norm = path.log_norm[i - 1] + share * (path.log_norm[i] - path.log_norm[i - 1])
        assert abs(log_norm - np.log(norm[t])) < 5e-3


def test_normalized_margin_never_falls_once_the_loss_is_small() -> None:
    """Lyu & Li (2020), Theorem 4.1: the smoothed normalized margin is monotone; the plain one to T ln N."""
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((8, 12)), rng.choice([-1.0, 1.0], 8)
    path = flow_limit(Convolutional(12, 2, scale=0.1, seed=4), X, y).path
    late = path.log_loss < -np.log(8)
    margin, slack = path.margins[late].min(axis=1), np.exp(-2 * path.log_norm[late]) * np.log(8)
    assert late.sum() > 10
    assert (np.diff(margin) > -slack[:-1] - 1e-4 * margin[:-1]).all()  # 1e-4: the path's own accuracy


def test_exponentially_small_weights_come_back() -> None:
    """Two coefficients: the first wins at once, but only the second satisfies the second constraint.

    Started from e^{−60}, the second must grow back, which the parameter-space residual alone does not see.
    """
    X, y = np.array([[1.0, 0.0], [0.2, 0.1]]), np.array([1.0, 1.0])
    model = Diagonal(2, 2, scale=0.1, seed=0)
    with torch.no_grad():
        for w in model.weights:
            w.copy_(torch.tensor([1.0, np.exp(-60.0)], dtype=torch.float64))
        model.weights[0][1] *= 1.5
    limit = flow_limit(model, X, y)
    assert limit.certificate.direction_gap < 1e-9
    np.testing.assert_allclose(limit.predictor, [5.0, 0.0] if limit.predictor[1] == 0 else [1.0, 8.0], atol=1e-9)
    assert limit.predictor[1] == 0.0  # ‖(5, 0)‖₁ = 5 < ‖(1, 8)‖₁ = 9
    harder = np.array([[1.0, 0.0], [-0.2, 1.0]])
    limit = flow_limit(model, harder, y)
    np.testing.assert_allclose(limit.predictor, [1.0, 1.2], atol=1e-9)


def test_kkt_residual_rejects_a_perturbed_limit() -> None:
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((6, 9)), rng.choice([-1.0, 1.0], 6)
    model = Diagonal(9, 3, scale=0.2, seed=5)
    limit = flow_limit(model, X, y)
    mapping = margin_map(model, torch.from_numpy(X), torch.from_numpy(y))
    theta = torch.from_numpy(limit.direction)
    assert kkt(mapping, theta, limit.dual).relative < 1e-12
    moved = theta + 1e-4 * torch.from_numpy(rng.standard_normal(theta.numel()))
    assert kkt(mapping, moved, limit.dual).relative > 1e-5
    assert kkt(mapping, theta, limit.dual[::-1].copy()).relative > 1e-3


def test_the_polish_finds_the_vertex_and_refuses_a_support_that_no_multipliers_fit() -> None:
    model = Diagonal(3, 2)
    X, y = torch.tensor([[1.0, 0.2, 0.0], [0.5, 0.9, 0.1]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    problem = margin_map(model, X, y).coefficient_problem()
    c, weights = np.array([[0.9], [0.5], [0.3]]), np.array([0.5, 0.5])
    found = polish_coefficients(problem, c, weights, 0.4, may_grow=True)
    assert found is not None
    np.testing.assert_allclose(found.c[:, 0], [0.875, 0.625, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.alpha, [0.5, 1.0], atol=1e-12)  # (1, 1) = Aᵀα on the support, 0.1 < 1 off it
    assert polish_coefficients(problem, c, weights, 1e-6, may_grow=False) is None
    slid = polish_coefficients(problem, c, weights, 1e-6, may_grow=True)  # down the edge instead
    assert slid is not None
    np.testing.assert_allclose(slid.c[:, 0], [0.875, 0.625, 0.0], atol=1e-12)


def test_flow_rows_do_not_see_each_other() -> None:
    rng = np.random.default_rng(6)
    X, y = torch.from_numpy(rng.standard_normal((5, 7))), torch.from_numpy(rng.choice([-1.0, 1.0], 5))
    models = [Diagonal(7, 2, scale=s, seed=i) for i, s in enumerate((0.01, 0.3))]
    mapping = margin_map(models[0], X, y)
    together = Flow.begin(mapping, mapping.start(models), loss=LogisticWeights(), tolerance=1e-3)
    alone = Flow.begin(mapping, mapping.start(models[1:]), loss=LogisticWeights(), tolerance=1e-3)
    for _ in range(60):
        together.advance()
        alone.advance()
    np.testing.assert_allclose(together.theta[1], alone.theta[0], atol=1e-12)
    np.testing.assert_allclose(together.log_norm[1], alone.log_norm[0], atol=1e-12)
