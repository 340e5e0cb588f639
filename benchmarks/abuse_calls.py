"""One function per function of solvers: a random call, checked by formulas written here and in `abuse_check`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from abuse_check import CLAIM, Wrong, check_refusal, constraints, demand, dual_norm, exact_product, network, value
from abuse_data import dressed, flavoured, spline_data
from scipy.special import expit

from solvers import (
    L2,
    BinaryUniformInit,
    Bridge,
    ConstantWeight,
    ConvKernel,
    FourierBridge,
    GaussianInit,
    NotSeparableError,
    Schatten,
    Status,
    UniformInit,
    certify,
    induced_regularizer,
    kernel_interpolant,
    max_margin,
    regularization_path,
    rich_interpolant,
    spectral_factorization,
    weighted_spline,
)

Rng = np.random.Generator


def margin_regularizers(rng: Rng, d: int) -> tuple[Any, tuple[int, ...], int]:
    """A regularizer, a predictor shape that fits it, and a number of outputs."""
    kind = rng.integers(11)
    side = (int(rng.integers(2, 5)), int(rng.integers(2, 5)))
    small = int(rng.integers(1, min(d, 4) + 1))
    if kind < 7:
        plain = [L2(), Bridge(1), Bridge(2), FourierBridge(1), FourierBridge(2), Bridge(2 / 3), FourierBridge(2 / 3)]
        return plain[kind], ((d,) if kind not in (3, 6) or rng.random() < 0.7 else side), 1
    if kind == 7:
        return Schatten(int(rng.integers(1, 3))), (d,), int(rng.integers(2, 4))
    if kind == 8:
        return ConvKernel(small), (d,), 1
    if kind == 9:
        return ConvKernel((2, 2), out_channels=int(rng.integers(1, 4))), side, 1
    return ConvKernel(small, 2, None), (2, d), 1


def certify_call(rng: Rng) -> str:
    """A perturbed solution: the gap must be the true one."""
    X, y = flavoured(rng, int(rng.integers(1, 8)), int(rng.integers(1, 10)))
    regularizer = [L2(), Bridge(1), FourierBridge(1)][rng.integers(3)]
    noise = 10.0 ** rng.uniform(-12, 0)
    dress = dressed(rng, X)
    X = np.asarray(dress, dtype=np.float64)  # a short type has rounded it
    try:
        beta = max_margin(X, y, regularizer).beta
        beta = beta + noise * np.linalg.norm(beta) * rng.standard_normal(beta.shape)
        found = certify(dress, y, beta, regularizer)
    except NotSeparableError as error:
        check_refusal(X, y, error)
        raise
    A, _ = constraints(X, y)
    margin, cost = float(exact_product(A, beta.ravel()).min()), value(regularizer, beta)
    proved = found.dual.sum() / max(dual_norm(regularizer, exact_product(A.T.copy(), found.dual.ravel())), 1e-300)
    demand(abs(found.objective - cost) <= CLAIM * cost, "objective")
    if found.worst <= CLAIM:
        demand(margin >= 1 - 1e-7 and cost <= proved * (1 + 1e-7), "certified a predictor that is not optimal")
        return "certified"
    return "not certified"


def path_call(rng: Rng) -> str:
    """Losses and Frank–Wolfe gaps recomputed."""
    X, y = flavoured(rng, int(rng.integers(1, 8)), int(rng.integers(1, 8)))
    regularizer = [L2(), Bridge(1), FourierBridge(1)][rng.integers(3)]
    radii = np.sort(10.0 ** rng.uniform(-2, 2, int(rng.integers(1, 4)))) / max(float(np.abs(X).max()), 1e-300)
    path = regularization_path(X, y, radii, regularizer, max_iterations=2000)
    A, _ = constraints(X, y)
    for radius, beta, loss, gap in zip(path.radii, path.predictors, path.losses, path.gaps, strict=True):
        demand(value(regularizer, beta) <= radius * (1 + CLAIM), "outside the ball")
        margins = exact_product(A, beta.ravel())
        own = float(np.logaddexp(0.0, -margins).sum())
        slope = -exact_product(A.T.copy(), expit(-margins)).reshape(beta.shape)
        bound = float(np.vdot(slope, beta)) + radius * dual_norm(regularizer, slope)
        demand(abs(own - loss) <= CLAIM * max(1.0, own), f"loss {loss}, own {own}")
        demand(bound <= gap + 1e-9 * max(1.0, own), f"gap {gap}, own {bound}")
    return "certified" if (path.gaps <= 1e-6 * np.maximum(path.losses, 1e-3 * len(y))).all() else "not certified"


def induced_call(rng: Rng) -> str:
    """The network computes w, its cost is the objective, and z proves the lower bound."""
    shapes = [(int(rng.integers(1, 20)),), (int(rng.integers(2, 6)), int(rng.integers(2, 6))), (2, 6), (2, 4, 4)]
    kind = int(rng.integers(4))
    w = flavoured(rng, int(np.prod(shapes[kind])), 1)[0].reshape(shapes[kind])
    K: Any = int(rng.integers(1, shapes[kind][0] + 1)) if kind == 0 else (2, 2) if kind in (1, 3) else (3,)
    channels = 2 if kind > 1 else None
    few = {"out_channels": int(rng.integers(1, 4))} if rng.random() < 0.3 else {}
    answer = induced_regularizer(dressed(rng, w), K, in_channels=channels, **few)
    w = answer.beta
    if not w.any():
        demand(answer.value == 0, "the zero predictor costs something")
        return "certified"
    if not np.isfinite(answer.value):
        return "not certified"
    paid = float((answer.kernels**2).sum() + (answer.output_weights**2).sum())
    error = np.abs(network(answer.kernels, answer.output_weights, w.shape) - w).max() / np.abs(w).max()
    demand(error <= 1e-7, f"the network computes another predictor, {error:.1e} away")
    demand(abs(paid - answer.value) <= CLAIM * paid, "value")
    z = answer.dual / dual_norm(ConvKernel(K, channels or 1), answer.dual)
    proved = float(np.vdot(z, w))
    demand(answer.lower_bound <= proved * (1 + CLAIM), f"lower bound {answer.lower_bound}, proved {proved}")
    if answer.status is Status.OPTIMAL:
        demand(paid <= proved * (1 + CLAIM), f"gap {paid / proved - 1:.1e}")
        return "certified"
    return "not certified"


def factor_call(rng: Rng) -> str:
    """c⋆c = Σ a⋆a, by numpy's correlate."""
    K = int(rng.integers(1, 12))
    filters = [flavoured(rng, K, 1)[0].ravel() for _ in range(int(rng.integers(1, 4)))]
    size = max(float(np.abs(f).max()) for f in filters)
    found = spectral_factorization(*filters)
    if size == 0:
        demand(not found.factor.any(), "nothing has a factor")
        return "certified"
    wanted = sum(np.correlate(f / size, f / size, "full") for f in filters)
    own = np.correlate(found.factor / size, found.factor / size, "full")
    error = float(np.abs(own - wanted).max() / np.abs(wanted).max())
    demand(error <= max(1e-8, 10 * found.residual), f"residual {error:.1e}, claimed {found.residual:.1e}")
    return "certified" if error <= 1e-8 else "not certified"


def spline_call(rng: Rng | None, data: Any = None) -> str:
    """Interpolation, and ∫ of g″ against the jump of g′ by Gauss–Legendre."""
    weight = ConstantWeight() if rng is None else _weight(rng)
    x, y = spline_data(rng) if rng is not None else data
    g = weighted_spline(x, y, weight)
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    height = float(np.abs(y).max(initial=0.0))
    demand(np.isfinite(g(x)).all(), "not finite")
    if not g.certificate.worst <= 1e-6:
        return "not certified"
    demand(np.abs(g(x) - y).max() <= 1e-6 * max(height, 1e-300), "does not interpolate")
    nodes, quadrature = np.polynomial.legendre.leggauss(20)
    a, b = g.knots[:-1], g.knots[1:]
    if a.size and isinstance(weight, ConstantWeight | GaussianInit):
        inner = a[:, None] + (b - a)[:, None] * (nodes + 1) / 2
        wide = (b - a) > 1e-7 * np.abs(g.knots).max()  # thinner, an interval's inner points are not distinct
        turn = g.second_derivative(inner) @ quadrature * (b - a) / 2
        slopes = g.derivative(1)(g.knots)
        steep = max(float(np.abs(slopes).max()), 1e-300)
        short = (b - a) < (2.0 if isinstance(weight, ConstantWeight) else 0.5)  # where 20 nodes resolve ζ
        demand((np.abs(turn - np.diff(slopes))[wide & short] <= 1e-6 * steep).all(), "g′ is not the integral of g″")
    return "certified"


def _weight(rng: Rng) -> Any:
    return [ConstantWeight(), GaussianInit(1.0, 1.0), UniformInit(1.0, 3.0), BinaryUniformInit(3.0)][rng.integers(4)]


def kernel_call(rng: Rng | None, data: Any = None) -> str:
    """Interpolates as well as its condition number promises."""
    init = GaussianInit(1.0, 1.0) if rng is None else [GaussianInit(1.0, 1.0), UniformInit(1.0, 5.0)][rng.integers(2)]
    x, y = spline_data(rng) if rng is not None else data
    linear = "free" if rng is None or rng.random() < 0.5 else "penalized"
    g = kernel_interpolant(x, y, init, linear)
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    off = np.abs(g(x) - y).max() / max(float(np.abs(y).max()), 1e-300)
    demand(np.isfinite(g.energy) and off <= max(1e-10, 1e-14 * g.condition * x.size), f"misses the data by {off:.1e}")
    return "certified" if g.condition < 1e10 else "not certified"


def rich_call(rng: Rng | None, data: Any = None) -> str:
    """The value is the variation of the chords' slopes; both minimizers have it and meet the data."""
    x, y = spline_data(rng) if rng is not None else data
    g = rich_interpolant(x, y)
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    order = np.unique(x, return_index=True)[1]
    chords = np.diff(y[order]) / np.diff(x[order])
    own = float(np.abs(np.diff(chords)).sum())
    scale = max(float(np.abs(chords).max()), 1e-300)
    demand(abs(own - g.value) <= 1e-9 * scale * x.size, f"value {g.value}, own {own}")
    height = max(float(np.abs(y).max()), 1e-300)
    demand(np.abs(g.joined_dots(x) - y).max() <= 1e-9 * height, "does not interpolate")
    # the other's knots lie between the data: rounded by an ulp of x, which the steepest slope multiplies
    ulp = float(np.spacing(np.abs(x).max()))
    demand(np.abs(g.sparsest(x) - y).max() <= 1e-9 * height + 8 * ulp * scale, "the sparsest does not interpolate")
    return "certified"


def flow_call(rng: Rng) -> str:
    """A limit called optimal is, by its value, recomputed, and max_margin's dual."""
    import torch

    from gd import Convolutional, Diagonal, FlowStatus, FullyConnected, flow_limit

    torch.set_num_threads(1)
    n, d, seed = int(rng.integers(1, 5)), int(rng.integers(2, 7)), int(rng.integers(100))
    X, y = flavoured(rng, n, d)
    network = [Diagonal, Convolutional, FullyConnected][rng.integers(3)](d, 2, seed=seed)
    try:
        limit = flow_limit(network, X, y, max_steps=3000)
    except NotSeparableError as error:
        check_refusal(X, y, error)
        raise
    if limit.status is not FlowStatus.OPTIMAL:
        return "not certified"
    A, shape = constraints(X, y)
    z = exact_product(A.T.copy(), limit.certificate.dual.ravel()).reshape(shape)
    proved = float(limit.certificate.dual.sum()) / dual_norm(network.regularizer, z)
    margin = float(exact_product(A, limit.predictor.ravel()).min())
    demand(margin >= 1 - 1e-7, f"margin {margin}")
    cost = value(network.regularizer, limit.predictor)
    demand(cost <= proved * (1 + 1e-7), f"gap {cost / proved - 1:.1e}")
    return "certified"


CALLS: dict[str, Callable[..., str]] = {
    "certify": certify_call,
    "regularization_path": path_call,
    "induced_regularizer": induced_call,
    "spectral_factorization": factor_call,
    "weighted_spline": spline_call,
    "kernel_interpolant": kernel_call,
    "rich_interpolant": rich_call,
    "flow_limit": flow_call,
}


def against_cvxpy(seed: int, count: int = 30) -> str:
    """Optimal values next to Clarabel's, the program written out here."""
    import cvxpy as cp

    worst, compared = 0.0, 0
    for i in range(count):
        rng = np.random.default_rng([seed, 10**6, i])
        n, d = int(rng.integers(1, 8)), int(rng.integers(1, 10))
        X, y = rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)
        F = np.exp(-2j * np.pi * np.outer(np.arange(d), np.arange(d)) / d) / np.sqrt(d)
        b = cp.Variable(d)
        cost = [cp.norm2(b), cp.norm1(b), cp.sum(cp.abs(F @ b))][i % 3]
        program = cp.Problem(cp.Minimize(cost), [cp.multiply(y, X @ b) >= 1])
        program.solve(solver="CLARABEL")
        try:
            solution = max_margin(X, y, [L2(), Bridge(1), FourierBridge(1)][i % 3])
        except NotSeparableError:
            if program.status != cp.INFEASIBLE:
                raise Wrong("cvxpy separates what was refused") from None
            continue
        compared += 1
        worst = max(worst, abs(solution.objective / program.value - 1))
    if worst > 1e-5:
        raise Wrong(f"Clarabel's optimal value is {worst:.1e} away")
    return f"{compared} values agree to {worst:.0e}"
