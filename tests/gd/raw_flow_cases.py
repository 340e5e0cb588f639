"""Random and degenerate cases for `raw_flow`, and the comparison of `gd.flow_limit` with the raw flow.

A case is a network, start weights, and data. The comparison evaluates both directions by the reference's own forward
pass
on the data and on fixed probe points, so that it sees functions, not the gauge of the weights. It answers one of

    same point   the raw flow's function is at the limit's, or falls towards it as the temperature falls,
                 with the same signs and the same active set
    WRONG        the raw flow settled somewhere else, or separates data that are called not separated
    same value   the raw flow settled at another point with the same margin: another minimizer of a flat face
    no answer    `flow_limit` itself says that it did not find the limit, or took too long
    undecided    the raw flow stalled (ReLU kinks) or was still moving: nothing is claimed
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

import numpy as np
import torch
from raw_flow import (
    WIDTH,
    Array,
    ConvolutionalNetwork,
    DiagonalNetwork,
    FullyConnectedNetwork,
    MultiChannelNetwork,
    Network,
    PatchNetwork,
    RawPath,
    SquaredReluNetwork,
    ThreeLayerNetwork,
    TiedNetwork,
    TwoLayerNetwork,
    raw_flow,
)
from torch import Tensor, nn

from gd import Convolutional, Diagonal, FullyConnected, Limit, MultiChannelCNN, flow_limit
from solvers import NotSeparableError

CLOSE = 2e-4  # radians; the floor of 1e-8 leaves up to its square root where a multiplier is zero
LEAKY = 1e3  # widths of a kink: a smaller unit on a kink is moved by the width itself
SEEN = 1e-3  # relative size of an output, a multiplier or an excess margin that the raw flow's end decides


class Outcome(Enum):
    """How a limit compares with the raw flow. The value is the name to read."""

    SAME = "same point"
    WRONG = "WRONG"
    OTHER_MINIMIZER = "same value"
    NO_ANSWER = "no answer"
    UNDECIDED = "undecided"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Case:
    """One network with its start and data."""

    name: str
    network: Network
    build: Callable[[], nn.Module]
    """A model of the same parameter order; its weights are overwritten by `start`."""
    X: Array
    y: Array
    start: Array
    path_tolerance: float = 1e-3
    """Radians a step. On a flat optimal set the limit depends on the whole path, and is as exact as the path is."""

    def model(self) -> nn.Module:
        model = self.build().double()
        parts = self.network.split(self.start)
        with torch.no_grad():
            for parameter, part in zip(model.parameters(), parts, strict=True):
                parameter.copy_(torch.as_tensor(part).reshape(parameter.shape))
        return model

    @cached_property
    def colder_path(self) -> RawPath:
        """The raw flow to a lower temperature than by default."""
        return raw_flow(self.network, self.X, self.y, self.start, floor=1e-10, rtol=1e-11)


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    reason: str
    distance: float = float("nan")
    """Angle in radians between the limit's function and the raw flow's at its end."""


class ProductModule(nn.Module):
    """A user's own diagonal network."""

    def __init__(self, D: int, L: int) -> None:
        super().__init__()
        self.w = nn.ParameterList([nn.Parameter(torch.ones(D)) for _ in range(L)])

    def forward(self, X: Tensor) -> Tensor:
        product = self.w[0]
        for w in list(self.w)[1:]:
            product = product * w
        return X @ product


class SquareModule(nn.Module):
    """Σ_j a_j (w_j·x)²."""

    def __init__(self, D: int, H: int) -> None:
        super().__init__()
        self.W, self.a = nn.Parameter(torch.ones(H, D)), nn.Parameter(torch.ones(1, H))

    def forward(self, X: Tensor) -> Tensor:
        return ((X @ self.W.T) ** 2 @ self.a.T)[:, 0]


class TiedModule(nn.Module):
    """c·Wᵀ relu(W x)."""

    def __init__(self, D: int, H: int) -> None:
        super().__init__()
        self.W, self.c = nn.Parameter(torch.ones(H, D)), nn.Parameter(torch.ones(1, D))

    def forward(self, X: Tensor) -> Tensor:
        return (torch.relu(X @ self.W.T) @ self.W @ self.c.T)[:, 0]


class SquaredReluModule(nn.Module):
    """Σ_j a_j relu(w_j·x)²."""

    def __init__(self, D: int, H: int) -> None:
        super().__init__()
        self.W, self.a = nn.Parameter(torch.ones(H, D)), nn.Parameter(torch.ones(1, H))

    def forward(self, X: Tensor) -> Tensor:
        return (torch.relu(X @ self.W.T) ** 2 @ self.a.T)[:, 0]


class PatchModule(nn.Module):
    """`PatchNetwork` as users write it: a layer on (N·T, d), a mean, and output weights."""

    def __init__(self, size: int, G: int, T: int, H: int) -> None:
        super().__init__()
        self.grid = (G, T, size)
        self.shared, self.a = nn.Linear(size, H, bias=False), nn.Linear(G * H, 1, bias=False)

    def forward(self, X: Tensor) -> Tensor:
        hidden = torch.relu(self.shared(X.reshape(-1, self.grid[2])))
        return self.a(hidden.reshape(X.shape[0], *self.grid[:2], -1).mean(2).flatten(1))[:, 0]


def three_layers(D: int, H: int) -> nn.Module:
    """Three linear layers with ReLUs between them."""
    first, second = nn.Linear(D, H, bias=False), nn.Linear(H, H, bias=False)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(H, 1, bias=False))


def layers(D: int, H: int, relu: bool) -> nn.Module:
    """Two linear layers, with or without a ReLU between them."""
    middle = [nn.ReLU()] if relu else []
    return nn.Sequential(nn.Linear(D, H, bias=False), *middle, nn.Linear(H, 1, bias=False))


FAMILIES: dict[str, Callable[[int], tuple[Network, Callable[[], nn.Module], tuple[int, ...]]]] = {
    "diagonal L=2": lambda D: (DiagonalNetwork(D, 2), lambda: Diagonal(D, 2), (D,)),
    "diagonal L=3": lambda D: (DiagonalNetwork(D, 3), lambda: Diagonal(D, 3), (D,)),
    "diagonal L=4": lambda D: (DiagonalNetwork(D, 4), lambda: Diagonal(D, 4), (D,)),
    "convolutional L=2": lambda D: (ConvolutionalNetwork(D, 2), lambda: Convolutional(D, 2), (D,)),
    "convolutional L=3": lambda D: (ConvolutionalNetwork(D, 3), lambda: Convolutional(D, 3), (D,)),
    "fully connected L=1": lambda D: (FullyConnectedNetwork(D, 1, D), lambda: FullyConnected(D, 1), (D,)),
    "fully connected L=2": lambda D: (FullyConnectedNetwork(D, 2, D), lambda: FullyConnected(D, 2), (D,)),
    "fully connected L=3": lambda D: (FullyConnectedNetwork(D, 3, 2), lambda: FullyConnected(D, 3, width=2), (D,)),
    "multi-channel R=1": lambda D: (
        MultiChannelNetwork(D, 2, 1, 2), lambda: MultiChannelCNN(D, 2, 1, 2), (D,)),
    "multi-channel R=2": lambda D: (
        MultiChannelNetwork(D, 2, 2, 3), lambda: MultiChannelCNN(D, 2, 2, 3), (2, D)),
    "own product L=2": lambda D: (DiagonalNetwork(D, 2), lambda: ProductModule(D, 2), (D,)),
    "own product L=3": lambda D: (DiagonalNetwork(D, 3), lambda: ProductModule(D, 3), (D,)),
    "own linear layers": lambda D: (FullyConnectedNetwork(D, 2, 3), lambda: layers(D, 3, relu=False), (D,)),
    "two-layer ReLU": lambda D: (TwoLayerNetwork(D, 6, "relu"), lambda: layers(D, 6, relu=True), (D,)),
    "three-layer ReLU": lambda D: (ThreeLayerNetwork(D, 5), lambda: three_layers(D, 5), (D,)),
    "tied weights": lambda D: (TiedNetwork(D, 4), lambda: TiedModule(D, 4), (D,)),
    "two-layer ReLU²": lambda D: (SquaredReluNetwork(D, 5), lambda: SquaredReluModule(D, 5), (D,)),
    "pooled patches": lambda D: (PatchNetwork(D, 2, 2, 3), lambda: PatchModule(D, 2, 2, 3), (4 * D,)),
    "two-layer x²": lambda D: (TwoLayerNetwork(D, 4, "square"), lambda: SquareModule(D, 4), (D,)),
}  # fmt: skip

KINDS = ("gaussian", "duplicates", "ties", "orthogonal", "collinear", "integers", "near-opposite")


def inputs(kind: str, D: int, rng: np.random.Generator) -> Array:
    """Rows of one kind; labels come from a teacher, so that they can be separated."""
    N = int(rng.integers(2, D + 2))
    X = rng.standard_normal((N, D))
    if kind == "duplicates":
        X = np.vstack([X, X[:1], X[: max(1, N // 2)]])
    elif kind == "ties":  # every row a permutation of one: equal norms and many equal products
        row = np.sort(np.abs(rng.integers(1, 4, D)).astype(float))
        X = np.array([np.roll(row, i) * np.where(rng.random(D) < 0.3, -1, 1) for i in range(N)])
    elif kind == "orthogonal":
        X = np.eye(D)[: min(N, D)] * rng.choice([0.5, 1.0, 2.0], min(N, D))[:, None]
    elif kind == "collinear":
        X = np.vstack([X[:2], 2.0 * X[:1], -0.5 * X[1:2], X[:1] + X[1:2]])
    elif kind == "integers":
        X = rng.integers(-2, 3, (N, D)).astype(float)
        X = X[np.abs(X).sum(axis=1) > 0]
        X = X if X.size else np.eye(D)[:1]
    elif kind == "near-opposite":
        X = np.vstack([X, -X[:1] + 1e-2 * rng.standard_normal((1, D))])
    return np.asarray(X)


def cases(per_family: int, seed: int = 0) -> Iterator[Case]:
    """`per_family` cases of every family: kinds of data in turn, scales from 0.01 to 1, small dimensions."""
    for family, make in FAMILIES.items():
        for i in range(per_family):
            yield case(family, make, i, seed)


def case(family: str, make: Callable[..., tuple[Network, Callable[[], nn.Module], tuple[int, ...]]], i: int,
         seed: int) -> Case:  # fmt: skip
    rng = np.random.default_rng([zlib.crc32(family.encode()), seed, i])
    kind = KINDS[i % len(KINDS)]
    D = int(rng.integers(2, 5)) + (1 if family.startswith(("conv", "multi")) else 0)
    network, build, shape = make(D)
    X = inputs(kind, int(np.prod(shape)), rng)
    scale = float(10 ** rng.uniform(-2, 0))
    P = sum(int(np.prod(size)) for size in network.shapes)
    teacher, start = rng.standard_normal(P), scale * rng.standard_normal(P)
    if family == "three-layer ReLU":
        start /= np.sqrt(scale)  # from 0.01 the third power of the weights stays where it is for ever
    if family == "two-layer ReLU":
        # |a_j| > |w_j| keeps the sign of a_j. A unit whose a_j passes zero on a kink leaves it to either side: both are
        # solutions of Filippov's flow, so there is no one limit to compare with.
        W, a = network.split(start)
        a[:] = np.sign(a) * 1.1 * np.linalg.norm(W, axis=1)
    values = network.outputs(teacher, X)
    X, values = X[np.abs(values) > 1e-6], values[np.abs(values) > 1e-6]
    name = f"{family} / {kind} {i}, scale {scale:.2g}, N={len(X)}, D={D}"
    return Case(name, network, build, X.reshape(-1, *shape), np.sign(values), start)


class OutOfTime(Exception):
    """`flow_limit` was stopped by its progress callback."""


def limit_within(model: nn.Module, X: Array, y: Array, seconds: float, path_tolerance: float = 1e-3) -> Limit:
    """`flow_limit` with a limit of CPU seconds."""
    began = time.process_time()

    def progress(*_: object) -> None:
        if time.process_time() - began > seconds:
            raise OutOfTime(f"no limit after {seconds:g} s")

    return flow_limit(model, X, y, path_tolerance=path_tolerance, progress=progress)


def functions(network: Network, directions: Array, X: Array) -> Array:
    """Unit vectors of outputs on the data and on 40 fixed probe points, one row a direction."""
    rows = X.reshape(X.shape[0], -1)
    probes = np.random.default_rng(0).standard_normal((40, rows.shape[1]))
    points = np.vstack([rows / np.linalg.norm(rows, axis=1).max(), probes])
    values = np.array([network.outputs(w, points) for w in np.atleast_2d(directions)])
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-300)


def angles(rows: Array, reference: Array) -> Array:
    """Angle of every row to one unit vector."""
    return np.asarray(2 * np.arcsin(np.minimum(np.linalg.norm(rows - reference, axis=1) / 2, 1.0)))


def is_separated(case: Case, path: RawPath) -> bool:
    """Whether every margin is positive at the end, beyond what the width of a kink leaves."""
    largest = np.abs(path.margins).max()
    seen = largest > 1e-5 * np.linalg.norm(case.X.reshape(len(case.X), -1), axis=1).max()
    return bool(seen and path.margins.min() > 1e-5 * largest)


def compare_with_raw_flow(case: Case, limit: Limit, path: RawPath) -> Verdict:
    """Whether the raw flow ends where `limit` says."""
    separated = is_separated(case, path)
    woken = case.network.woken_size(path.directions, case.X.reshape(len(case.X), -1))
    if woken < LEAKY * WIDTH:
        return Verdict(Outcome.UNDECIDED, f"a unit of size {woken:.1g} woke a dead sample through the width of a kink")
    if not limit.status.converged:
        if limit.status.name == "NOT_SEPARATED" and separated:
            return Verdict(Outcome.WRONG, f"called not separated; the raw flow's margin is {path.margins.min():.3g}")
        if limit.status.name == "NOT_SEPARATED" and path.settled:
            return Verdict(Outcome.SAME, "not separated on either side")
        if limit.status.name == "NOT_SEPARATED":
            return Verdict(Outcome.UNDECIDED, f"the raw flow does not separate so far ({path.reason})")
        return Verdict(Outcome.NO_ANSWER, limit.status.name)
    if not separated:
        settled = Outcome.WRONG if path.settled else Outcome.UNDECIDED
        return Verdict(settled, f"the raw flow does not separate so far ({path.reason})")
    claimed = functions(case.network, limit.direction, case.X)[0]
    distance = angles(functions(case.network, path.directions, case.X), claimed)
    end = float(distance[-1])
    if end > CLOSE and path.settled:  # does it fall with the temperature? T enters the direction as T to √T
        colder = case.colder_path
        again = float(angles(functions(case.network, colder.directions[-1:], case.X), claimed)[0])
        if not again < 0.5 * end:
            margin = float((case.y * case.network.outputs(limit.direction, case.X.reshape(len(case.X), -1))).min())
            equal = abs(colder.margins.min() - margin) < 1e-6 * abs(margin)
            which = Outcome.OTHER_MINIMIZER if equal else Outcome.WRONG
            return Verdict(which, f"the raw flow settled {end:.2g} rad away", end)
        path, end = colder, again
    elif end > CLOSE:
        half = distance[np.searchsorted(path.tau, path.tau[-1] / 2)]
        if path.tau[-1] < 10 or not end < 0.8 * half or end > 0.2:
            return Verdict(Outcome.UNDECIDED, f"{path.reason}; {end:.2g} rad away, {half:.2g} at half time", end)
    difference = _signs_and_active_set(case, limit, path, claimed)
    return Verdict(Outcome.WRONG if difference else Outcome.SAME, difference or path.reason, end)


def _signs_and_active_set(case: Case, limit: Limit, path: RawPath, claimed: Array) -> str:
    """What differs, where the raw flow's end is clear about it; "" where nothing does."""
    reached = functions(case.network, path.directions[-1:], case.X)[0]
    clear = np.abs(reached) > SEEN * np.abs(reached).max()
    if (np.sign(reached) != np.sign(claimed))[clear & (np.abs(claimed) > SEEN * np.abs(claimed).max())].any():
        return "another sign pattern"
    excess = path.margins / path.margins.min() - 1.0
    slack = 10 * max(CLOSE, SEEN)
    if (limit.active.ravel() & (excess > slack)).any():
        return "a constraint called active is slack on the raw flow"
    if (~limit.active.ravel() & (path.weights > slack * path.weights.max())).any():
        return "a constraint called slack carries weight on the raw flow"
    return ""


def examine(case: Case, *, seconds: float = 10.0) -> tuple[Verdict, float, float]:
    """The verdict on one case, and the CPU seconds of `flow_limit` and of the raw flow."""
    began = time.process_time()
    path = raw_flow(case.network, case.X, case.y, case.start, seconds=min(seconds, 4.0))
    raw_seconds = time.process_time() - began
    began = time.process_time()
    try:
        limit = limit_within(case.model(), case.X, case.y, seconds, case.path_tolerance)
        verdict = compare_with_raw_flow(case, limit, path)
    except OutOfTime as late:
        verdict = Verdict(Outcome.NO_ANSWER, str(late))
    except NotSeparableError as error:
        refuted = is_separated(case, path)
        verdict = Verdict(Outcome.WRONG if refuted else Outcome.SAME, f"not separable: {error}"[:80])
    return verdict, time.process_time() - began, raw_seconds


def moved(limit: Limit, direction: Array) -> Limit:
    """The same limit with another weight direction: a planted error."""
    parts, at = {}, 0
    for name, w in limit.weights.items():
        parts[name] = direction[at : at + np.size(w)].reshape(np.shape(w))
        at += np.size(w)
    return replace(limit, weights=parts)
