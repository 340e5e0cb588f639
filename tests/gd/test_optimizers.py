"""Optimizers against plain loops and torch's own, on losses far below the smallest float; and what a run proves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gd import (
    OPTIMIZERS,
    AdaGrad,
    Adam,
    ConstantStep,
    DecayingStep,
    Diagonal,
    EntrywiseNorm,
    FullyConnected,
    GradientDescent,
    MirrorDescent,
    NormScaledStep,
    SpectralNorm,
    SteepestDescent,
    TorchOptimizer,
    descend,
)
from gd.descent.run import minibatches
from gd.optimizers.orthogonalize import orthogonalized
from solvers import L2, Bridge, Mahalanobis, Schatten, certify, max_margin

A = np.array([[3.0, 1.0, 0.0, 2.0], [1.0, -2.0, 3.0, 1.0], [-2.0, 1.0, 1.0, 5.0]])
ONES = np.ones(3)
RNG = np.random.default_rng(11)
X = RNG.standard_normal((8, 5))
Y = np.sign(X @ RNG.standard_normal(5))
MATRIX_Y = np.where(RNG.random((8, 3)) < 0.5, -1.0, 1.0)
LINF = Bridge(math.inf)


def zero(dim: int = 4, outputs: int = 1) -> FullyConnected:
    """A linear predictor at w = 0."""
    model = FullyConnected(dim, 1, outputs=outputs)
    with torch.no_grad():
        model.weights[0].zero_()
    return model


def loss_gradient(w: np.ndarray, points: np.ndarray = A) -> np.ndarray:
    """∇ Σ exp(−⟨a_n, w⟩)."""
    return -points.T @ np.exp(-points @ w)


# ---- directions against loops of their own -------------------------------------------------------------------------


def sign(g, t, state):
    return np.sign(g), state


def coordinate(g, t, state):
    u = np.zeros_like(g)
    u[np.abs(g).argmax()] = np.sign(g[np.abs(g).argmax()])
    return u, state


def signum(g, t, state):
    state = 0.9 * (0 if state is None else state) + g
    return np.sign(state), state


def adam(g, t, state):
    m, v = (0, 0) if state is None else state
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
    m_hat, v_hat = m / (1 - 0.9 ** (t + 1)), v / (1 - 0.99 ** (t + 1))
    return np.divide(m_hat, np.sqrt(v_hat), out=np.zeros_like(g), where=v_hat > 0), (m, v)


def adagrad(g, t, state):
    state = (0 if state is None else state) + g * g
    return np.divide(g, np.sqrt(state), out=np.zeros_like(g), where=state > 0), state


@pytest.mark.parametrize(
    ("optimizer", "rule"),
    [
        ("sign", sign),
        ("coordinate", coordinate),
        ("signum", signum),
        (Adam(0.9, 0.99), adam),
        (AdaGrad(), adagrad),
        (GradientDescent(), lambda g, t, state: (g, state)),
    ],
)
def test_steps_are_the_printed_ones(optimizer, rule):
    """From w = 0, where the second entry of the gradient on A is exactly zero: a step of 0 there, not 0/0."""
    w, state = np.zeros(4), None
    for t in range(40):
        u, state = rule(loss_gradient(w), t, state)
        if t == 0:
            assert u[1] == 0
        w = w - 0.05 / math.sqrt(t + 1) * u
    path = descend(zero(), A, ONES, optimizer=optimizer, schedule=DecayingStep(0.05), steps=40)
    np.testing.assert_allclose(path.predictor[0], w, rtol=1e-12, atol=1e-14)


def test_mirror_steps_are_steps_in_the_gradient_of_the_potential():
    w = np.array([0.3, -0.2, 0.5, 0.1])
    model = zero()
    with torch.no_grad():
        model.weights[0].copy_(torch.from_numpy(w))
    for _ in range(20):
        dual = np.sign(w) * np.abs(w) ** 0.5 - 0.01 * loss_gradient(w)
        w = np.sign(dual) * dual**2
    path = descend(model, A, ONES, optimizer=MirrorDescent(1.5), schedule=ConstantStep(0.01), steps=20)
    np.testing.assert_allclose(path.predictor[0], w, rtol=1e-12)


@pytest.mark.parametrize("decoupled", [True, False])
def test_weight_decay(decoupled):
    w = np.zeros(4)
    for _ in range(30):
        g = loss_gradient(w)
        w = w - 0.1 * (np.sign(g) + 0.5 * w) if decoupled else w - 0.1 * np.sign(g + 0.5 * w)
    optimizer = SteepestDescent(weight_decay=0.5, decoupled=decoupled)
    path = descend(zero(), A, ONES, optimizer=optimizer, schedule=ConstantStep(0.1), steps=30)
    np.testing.assert_allclose(path.predictor[0], w, rtol=1e-12, atol=1e-14)
    assert path.boundary == (2.0 if decoupled else None)
    if decoupled:
        assert path.norm[0].max() <= 2.0


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "mirror"])
def test_a_batch_is_its_runs(name):
    models = [FullyConnected(5, 1, outputs=3, scale=0.3, seed=seed) for seed in (0, 1)]
    batch = descend(models, X, MATRIX_Y, optimizer=name, schedule=DecayingStep(0.01), steps=25)
    for run, model in enumerate(models):
        alone = descend(model, X, MATRIX_Y, optimizer=name, schedule=DecayingStep(0.01), steps=25)
        np.testing.assert_allclose(batch.predictor[run], alone.predictor[0], rtol=1e-10, atol=1e-12)


def test_the_orthogonal_factor():
    G = torch.from_numpy(RNG.standard_normal((2, 3, 5)))
    exact = orthogonalized(G)
    torch.testing.assert_close(exact @ exact.mT, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    assert float((exact * G).sum((1, 2)).sub(torch.linalg.matrix_norm(G, "nuc")).abs().max()) < 1e-12
    # Newton–Schulz: the same singular directions, values between 0.6 and 1.3
    nearly = orthogonalized(G, 5)
    u, _, vt = torch.linalg.svd(G, full_matrices=False)
    inner = u.mT @ nearly @ vt.mT
    values = torch.diagonal(inner, dim1=1, dim2=2)
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    assert float((inner - torch.diag_embed(values)).abs().max()) < 1e-12
    # rank one: the other directions stay zero
    one = torch.outer(torch.arange(3.0, dtype=torch.float64), torch.ones(4, dtype=torch.float64))
    assert torch.linalg.matrix_rank(orthogonalized(one)) == 1
    torch.testing.assert_close(orthogonalized(G.mT, 5), nearly.mT)


@pytest.mark.parametrize(
    "norm", [EntrywiseNorm(1.0), EntrywiseNorm(1.5), EntrywiseNorm(4.0), EntrywiseNorm(math.inf), SpectralNorm()]
)
def test_directions_attain_the_dual_norm_and_kkt_equations_hold_there(norm):
    """u with ‖u‖ = 1, ⟨g, u⟩ = ‖g‖°; and z = g/‖g‖° is a subgradient at u, so `optimality` vanishes."""
    g = torch.from_numpy(RNG.standard_normal((2, 18)))

    def layers(rows: torch.Tensor) -> list[torch.Tensor]:
        return [rows[:, :12].view(-1, 3, 4), rows[:, 12:].view(-1, 2, 3)]

    u, dual = norm.steepest(g, layers), norm.dual(g, layers)
    torch.testing.assert_close(norm.value(u, layers), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close((u * g).sum(1), dual)
    equations = norm.optimality(3.0 * u, g / dual[:, None], torch.full((2, 1), 3.0, dtype=torch.float64), layers)
    assert float(equations.abs().max()) < 1e-12
    assert float(norm.optimality(3.0 * g, g / dual[:, None], torch.full((2, 1), 3.0), layers).abs().max()) > 1e-2


# ---- far below the smallest float ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sign", "signum", "coordinate", "spectral", "muon", "adam", "adagrad", "momentum"])
def test_directions_do_not_depend_on_the_size_of_the_loss(name):
    """On data times 1e5 the loss is e^{−10⁵} and smaller after a few steps; a direction may not underflow."""
    optimizer = OPTIMIZERS[name]
    path = descend(
        zero(),
        1e5 * A,
        ONES,
        optimizer=optimizer,
        schedule=DecayingStep(1.0),
        steps=60,
        rescaled=name in ("momentum", "adagrad"),
    )
    assert path.log_loss[0, -1] < -1e5
    assert np.isfinite(path.predictor).all()
    assert path.status[0].name == "FINISHED"


def test_adam_in_the_log_domain_is_adam():
    """Where nothing underflows, the moments are torch's, with ε = 1e-8."""
    ours = descend(zero(), A, ONES, optimizer=Adam(0.9, 0.99, 1e-8), schedule=ConstantStep(0.02), steps=200)
    theirs = descend(
        zero(), A, ONES, optimizer=lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.9, 0.99), eps=1e-8), steps=200
    )
    np.testing.assert_allclose(ours.predictor, theirs.predictor, rtol=1e-10)
    assert theirs.optimizer == "Adam(lr=0.02, betas=(0.9, 0.99), eps=1e-08)"


def test_adam_with_fixed_eps_leaves_and_rescaled_gradients_keep_it():
    """DESIGN: the ℓ∞ margin after 2,000 steps is 4.5004 on raw gradients, and has begun to fall at 4,000; 4.5222 on
    rescaled ones, and rises. Without ε both are one algorithm but for the weights of old moments."""
    optimizer, schedule = Adam(0.9, 0.99, 1e-8), DecayingStep(0.3)
    margins = {}
    for rescaled in (False, True):
        path = descend(
            zero(), A, ONES, optimizer=optimizer, schedule=schedule, steps=4000, rescaled=rescaled, snapshots=[2000]
        )
        assert path.rescaled is rescaled
        margins[rescaled] = path.gap(LINF).margin[0, 1:]
    assert margins[False][0] == pytest.approx(4.5004, abs=5e-5)
    assert margins[True][0] == pytest.approx(4.5222, abs=5e-5)
    assert margins[False][1] < 4.48
    assert margins[True][1] > margins[True][0]


# ---- torch's optimizers --------------------------------------------------------------------------------------------


class MLP(nn.Module):
    """A user's own bias-free network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(a, b, bias=False) for a, b in ((5, 8), (8, 8), (8, 1))])
        for layer, seed in zip(self.layers, range(3), strict=True):
            weight = torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(seed))
            layer.weight.data = 0.6 * weight
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers[2](torch.relu(self.layers[1](torch.relu(self.layers[0](x)))))


@pytest.mark.parametrize(
    "factory",
    [
        lambda p: torch.optim.Adam(p, lr=1e-2),
        lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
        lambda p: torch.optim.Muon(p, lr=1e-2, weight_decay=0.0),
    ],
)
def test_a_factory_is_a_plain_torch_loop(factory):
    model = MLP()
    path = descend(model, X, Y, optimizer=factory, steps=15)
    inputs, labels = torch.from_numpy(X), torch.from_numpy(Y)
    optimizer = factory(list(model.parameters()))
    for _ in range(15):
        optimizer.zero_grad()
        torch.exp(-labels * model(inputs).squeeze(1)).sum().backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(path.parameters[name][0], parameter.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("factory", "schedule", "steps"),
    [
        (lambda p: torch.optim.Adam(p, lr=1e-2), None, 1500),
        (lambda p: torch.optim.SGD(p, lr=4e-3, momentum=0.9), NormScaledStep(1.0), 1500),
        (lambda p: torch.optim.Muon(p, lr=2e-2, weight_decay=0.0), None, 1200),
    ],
)
def test_torch_optimizers_pass_the_smallest_float_on_a_users_network(factory, schedule, steps):
    """And their KKT residual in the optimizer's own norm falls; it is at most 1 where all margins are positive."""
    path = descend(MLP(), X, Y, optimizer=factory, schedule=schedule, steps=steps, rescaled=True, snapshots=12)
    assert path.log_loss[0, -1] < -1000
    assert path.loss_weights.total_image is None
    assert 0 < path.stationarity[0, -1] < 1
    with pytest.raises(ValueError, match="stationarity"):
        path.gap(L2())


def test_decay_of_a_torch_optimizer_is_read():
    decayed = TorchOptimizer(lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.25))
    assert decayed.decay == 0.25
    path = descend(zero(), A, ONES, optimizer=decayed, steps=3000, rescaled=True, snapshots=30)
    assert path.boundary == 4.0
    # AdamW ends at the boundary, all entries at ±1/λ that the loss keeps pushing
    assert 3.5 < path.norm[0, -1] <= 4.0 * 1.02, "a step of Adam is up to a few percent longer than one"


def test_raw_gradients_of_a_factory_underflow_and_rescaled_ones_do_not():
    model = FullyConnected(2, 1)
    with torch.no_grad():
        model.weights[0].copy_(torch.tensor([[1000.0, 0.0]]))
    data, labels = np.array([[1.0, 0.5], [1.0, -0.4]]), np.ones(2)
    runs = [
        descend(model, data, labels, optimizer=lambda p: torch.optim.SGD(p, lr=0.1), steps=20, rescaled=rescaled)
        for rescaled in (False, True)
    ]
    assert runs[0].status[0].name == "STALLED"
    assert runs[1].status[0].name == "FINISHED"


# ---- minibatches ---------------------------------------------------------------------------------------------------


def test_minibatches_see_every_point_once_an_epoch_and_are_seeded():
    drawn = minibatches(10, 4, seed=3)
    epoch = [next(drawn) for _ in range(3)]
    assert sorted(torch.cat(epoch).tolist()) == list(range(10))
    again = minibatches(10, 4, seed=3)
    assert all(torch.equal(a, next(again)) for a in epoch)
    assert next(minibatches(10, None, seed=0)) is None


def test_minibatch_steps_and_bounds():
    """Two steps by hand. The weights of minibatches are a probability vector on all points, so they bound R* too."""
    order = minibatches(8, 3, seed=5)
    w = np.zeros(5)
    for _ in range(2):
        rows = next(order).numpy()
        w = w - 0.1 * np.sign(loss_gradient(w, (Y[:, None] * X)[rows]))
    options = {"optimizer": "sign", "batch_size": 3, "seed": 5}
    path = descend(zero(5), X, Y, schedule=ConstantStep(0.1), steps=2, **options)
    np.testing.assert_allclose(path.predictor[0], w, rtol=1e-12)
    path = descend(zero(5), X, Y, steps=3000, **options)
    best = max_margin(X, Y, LINF).objective
    proved = path.gap()
    assert 0.9 * best < proved.lower[0, -1] <= best * (1 + 1e-12)
    np.testing.assert_allclose(path.loss_weights.total[0].sum(axis=1), path.steps + 1, rtol=1e-12)


# ---- what a run proves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "R"), [("sign", LINF), ("coordinate", Bridge(1.0)), ("spectral", L2()), ("adam", LINF), ("gradient", L2())]
)
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_bounds_enclose_the_optimum_in_every_norm(name, R, loss):
    path = descend(zero(5), X, Y, optimizer=name, steps=1500, loss=loss)
    assert path.gap().regularizer == R
    for other in (LINF, Bridge(1.0), L2(), Bridge(1.5), Mahalanobis(np.arange(1.0, 6.0))):
        best, proved = max_margin(X, Y, other).objective, path.gap(other)
        assert (proved.lower[0] <= best * (1 + 1e-12)).all()
        assert (proved.upper[0] >= best * (1 - 1e-12)).all()
        assert (np.diff(proved.lower[0]) >= 0).all()
    own = path.gap()
    assert own.relative[0, -1] < 0.08
    np.testing.assert_allclose(own.margin[0, -1], path.raw_margin[0, -1] / R.value(path.predictor[0]), rtol=1e-12)


def test_a_bound_is_what_its_window_proves():
    """Recomputed from the loss weights of a run of its own, step by step, and certified by the explicit side's code."""
    path = descend(zero(5), X, Y, optimizer="sign", steps=300, snapshots=10)
    proved, weights = path.gap(), path.loss_weights
    first, last = proved.windows[0, -1]
    w, p_sum = np.zeros(5), np.zeros(8)
    rows = Y[:, None] * X
    step = 4.0 / np.abs(X).sum(axis=1).max()
    for t in range(301):
        p = np.exp(-rows @ w)
        p /= p.sum()
        p_sum += p if first <= t <= last else 0
        w = w + step / math.sqrt(t + 1) * np.sign(rows.T @ p)
    bound = p_sum.sum() / np.abs(rows.T @ p_sum).sum()
    assert proved.lower[0, -1] == pytest.approx(bound, rel=1e-10)
    certificate = certify(X, Y, path.predictor[0], LINF, dual=p_sum)
    assert certificate.lower_bound == pytest.approx(bound, rel=1e-10)
    assert certificate.direction_gap == pytest.approx(proved.relative[0, -1], rel=1e-9)
    np.testing.assert_allclose(weights.total[0, -1].sum(), 301, rtol=1e-12)


def test_stationarity_of_a_linear_predictor_is_its_duality_gap():
    path = descend(zero(5), X, Y, optimizer="sign", steps=500, snapshots=12)
    for s in range(2, len(path.steps)):
        beta, weights = path.predictors[0, s], path.loss_weights
        pair = [weights.current[0, s], weights.mean(0, s - 1, s)]
        gaps = [certify(X, Y, beta, LINF, dual=p).direction_gap for p in pair]
        assert path.stationarity[0, s] == pytest.approx(min(gaps), rel=1e-9)


def test_stationarity_vanishes_at_a_kkt_point_of_a_deep_network_and_nowhere_near():
    """u = v = √β at the ℓ∞ optimum β = (12, 2, 15, 15)/68, at a scale where p_n ∝ e^{−m_n} are the multipliers.

    With m_n = 1·s² for all n the weights are equal, not (3, 5, 7)/15, so points are repeated in that proportion."""
    beta = np.array([12.0, 2.0, 15.0, 15.0]) / 68
    points = np.repeat(A, [3, 5, 7], axis=0)
    model = Diagonal(4, 2)
    with torch.no_grad():
        for layer in model.weights:
            layer.copy_(torch.from_numpy(np.sqrt(beta)))
    optimal = descend(model, points, np.ones(15), optimizer="sign", schedule=ConstantStep(1e-9), steps=1)
    assert abs(optimal.stationarity[0, 0]) < 1e-12
    with torch.no_grad():
        model.weights[0][3] *= 1.1
    moved = descend(model, points, np.ones(15), optimizer="sign", schedule=ConstantStep(1e-9), steps=1)
    assert moved.stationarity[0, 0] > 1e-2


def test_adagrad_ends_in_the_norm_of_its_own_preconditioner():
    """The direction gap in (βᵀQβ)^{1/2}, Q read from the run, is far below that in ℓ2."""
    path = descend(zero(), A, ONES, optimizer=AdaGrad(), schedule=ConstantStep(1.0), steps=4000)
    Q = path.preconditioner["weights.0"][0, 0]
    beta = path.predictor[0]
    own = certify(A, ONES, beta, Mahalanobis(Q)).direction_gap
    plain = certify(A, ONES, beta, L2()).direction_gap
    assert own < 0.3 * plain
    with pytest.raises(ValueError, match="no norm of β is known for AdaGrad"):
        path.gap()


def test_mirror_descent_prefers_its_own_norm():
    path = descend(
        FullyConnected(4, 1, scale=1e-2), A, ONES, optimizer=MirrorDescent(3.0), schedule=ConstantStep(0.02),
        rescaled=True, steps=3000,
    )  # fmt: skip
    assert path.gap().regularizer == Bridge(3.0)
    assert path.gap().relative[0, -1] < 1e-2
    assert path.gap(L2()).relative[0, -1] > 2 * path.gap().relative[0, -1]


def test_spectral_descent_of_several_outputs_maximizes_the_spectral_margin():
    path = descend(zero(5, 3), X[:4], MATRIX_Y[:4], optimizer="spectral", steps=2500)
    assert path.gap().regularizer == Schatten(math.inf)
    assert path.gap().relative[0, -1] < 0.05


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of"),
        ({"optimizer": "sign", "schedule": "normalized"}, "knows a step size for full-batch gradient descent"),
        ({"optimizer": "sign", "schedule": "accelerated"}, "gradient method of its own"),
        ({"optimizer": "adam", "schedule": "armijo"}, "line search needs a direction"),
        ({"optimizer": "gradient", "schedule": "armijo", "batch_size": 2}, "line search needs a direction"),
        ({"optimizer": "mirror"}, "no step size is known for mirror descent"),
        ({"batch_size": 9}, "batch_size must be from 1 to the 8 points"),
        ({"rescaled": True, "loss": "squared", "schedule": ConstantStep(0.1)}, "only gradients of a margin loss"),
        ({"model": Diagonal(5, 2), "optimizer": "sign"}, "no step size is known for Diagonal"),
        ({"model": Diagonal(5, 2), "optimizer": "spectral", "schedule": DecayingStep(0.1)}, "moves matrices"),
    ],
)
def test_bad_combinations_get_one_clear_error(options, message):
    with pytest.raises(ValueError, match=message):
        descend(options.pop("model", zero(5)), X, Y, steps=5, **options)


def test_a_factory_that_makes_no_optimizer_is_refused():
    with pytest.raises(TypeError, match=r"returns a torch\.optim\.Optimizer"):
        descend(zero(5), X, Y, steps=5, optimizer=lambda p: None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SteepestDescent(weight_decay=-1.0), "weight_decay"),
        (lambda: SteepestDescent(momentum=1.0), "momentum"),
        (lambda: Adam(0.99, 0.9), "beta1² ≤ beta2"),
        (lambda: Adam(eps=-1.0), "eps"),
        (lambda: AdaGrad(eps=-1.0), "eps"),
        (lambda: MirrorDescent(1.0), "strictly between"),
        (lambda: MirrorDescent(2.0, weight_decay=0.1), "decoupled=False"),
        (lambda: EntrywiseNorm(0.5), "at least 1"),
        (lambda: SpectralNorm(-1), "iterations"),
        (lambda: DecayingStep(0.0), "positive number"),
        (lambda: DecayingStep(0.1, exponent=1.5), "exponent"),
        (lambda: NormScaledStep(-1.0), "positive number"),
    ],
)
def test_bad_parameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bounds_hold_in_float32() -> None:
    """The least ℓ2 norm of two points of one line is 10; unwidened, both bounds were wrong by 1e-6 and crossed."""
    bounds = descend(
        FullyConnected(1, 1, seed=0), [[0.1], [-0.3]], [1, -1], optimizer="sign", steps=200, dtype=torch.float32
    ).gap(L2())
    assert bounds.lower[0, -1] < 10.0 < bounds.upper[0, -1]
    assert bounds.relative[0, -1] < 1e-4


@pytest.mark.parametrize("epsilon", [1e-4, 1e-6, 1e-8])
def test_bounds_hold_where_the_weights_cancel(epsilon: float) -> None:
    """Rows (1, ε), (−3, ε): Aᵀp̄ ≈ (0, ε), a difference of numbers of order one. The least norm is 1/ε."""
    c = np.sqrt(0.5)
    X = np.array([[1.0, epsilon], [-3.0, epsilon]]) @ np.array([[c, c], [-c, c]])
    model = FullyConnected(2, 1, seed=0)
    with torch.no_grad():
        for weight in model.parameters():  # margins whose softmax is (3/4, 1/4)
            weight.copy_(torch.as_tensor(np.linalg.solve(X, [-np.log(3.0), 0.0])).reshape(weight.shape))
    bounds = descend(model, X, [1, 1], steps=300, schedule=ConstantStep(1e-3)).gap(L2())
    # X is rounded itself: the margin of the rounded rows is ε to a part of 1e-16/ε
    assert bounds.lower[0, -1] <= (1.0 + 1e-15 / epsilon) / epsilon
