"""Gradient flow of the raw weights of small networks, by scipy's LSODA: a reference that shares no code with `gd`.

The networks are written here in numpy, with Jacobians by hand. The flow on the exponential loss is integrated in two
parts.

1. The raw weights themselves,  dw/dτ = ‖w‖^{2−L} Σ_n p_n ∇m_n(w),  p = softmax(−m),  dτ = loss·‖w‖^{L−2} dt,
   until the temperature ‖w‖^{−L} is 10⁻⁴ of the margins' gradients on the unit sphere.
2. The same flow in w = e^ρ θ, ‖θ‖ = 1, with p = softmax(−m(θ)/T), T = max(e^{−Lρ}, floor): exact until the floor,
and the
   path of T → 0 up to O(T) below it.

Both parts use the exact Jacobian of their right side (second derivatives by complex steps, which are exact to
rounding),
a tight relative tolerance, and an absolute tolerance that is tiny where weights decay independently of one another.
The path is called settled only if it is stationary and the linearized flow has no growing direction there.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import LSODA

Array = NDArray[np.float64]

HANDOVER = 1e-4  # temperature, in units of the margins' gradients, at which part 2 takes over
FLOOR = 1e-8  # the lowest temperature: directions are then known to O(FLOOR), and to √FLOOR where a multiplier is zero
SETTLED = 1e-7  # sine of the angle between weights and force
GROWING = 1e-6  # growth rate, in units of the force: a smaller one is rounding of the second derivatives
WIDTH = 1e-6  # of a ReLU's gate: kinks are then followed to about this accuracy
LONGEST = 3000.0  # units of 1/force after which a stationary point is called settled although a direction may grow


class Network:
    """f(x; w) for a flat weight vector w, homogeneous of degree `degree`; real or complex w."""

    degree: int
    shapes: tuple[tuple[int, ...], ...]
    smallest = 1e-13
    """Absolute tolerance of a weight of a unit vector: rotations mix the weights, so smaller ones are rounding."""

    def split(self, w: NDArray[Any]) -> list[NDArray[Any]]:
        parts, end = [], 0
        for shape in self.shapes:
            begin, end = end, end + prod(shape)
            parts.append(w[begin:end].reshape(shape))
        return parts

    def with_labels(self, y: Array) -> Network:
        """The network as its gradient flow on these labels sees it: itself, unless it has kinks."""
        del y
        return self

    def loss_weights(self, w: NDArray[Any], X: Array, s: Array) -> Array:
        """p = softmax(s), the samples' shares in the loss at −m/T = s."""
        del w, X
        return softmax(s)

    def woken_size(self, directions: Array, X: Array) -> float:
        """The smallest of the largest units that, on a path of unit vectors, woke a sample that none saw; inf: none."""
        del directions, X
        return np.inf

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        """f(x_n; w), shape (N,)."""
        raise NotImplementedError

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        """∂f(x_n; w)/∂w, shape (N, P)."""
        raise NotImplementedError


class DiagonalNetwork(Network):
    """f(x) = ⟨x, w_1 ⊙ ⋯ ⊙ w_L⟩."""

    smallest = 1e-100  # entries decay and grow independently

    def __init__(self, D: int, L: int) -> None:
        self.degree, self.shapes = L, ((D,),) * L

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        return np.asarray(X @ prod(self.split(w)))

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        layers = self.split(w)
        return np.hstack([X * prod(layers[:i] + layers[i + 1 :]) for i in range(self.degree)])


class ConvolutionalNetwork(Network):
    """f(x) = ⟨(…(x ⋆ w_1)…) ⋆ w_{L−1}, w_L⟩, (h ⋆ w)[d] = D^{−1/2} Σ_k w[k] h[(d+k) mod D], in real space."""

    def __init__(self, D: int, L: int) -> None:
        self.degree, self.shapes = L, ((D,),) * L
        self.ahead = (np.arange(D)[:, None] + np.arange(D)) % D  # [d, k] → d + k

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        layers, h = self.split(w), X
        for layer in layers[:-1]:
            h = h[:, self.ahead] @ layer / np.sqrt(X.shape[1])
        return h @ layers[-1]

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        layers, D = self.split(w), X.shape[1]
        before = [X]
        for layer in layers[:-1]:
            before.append(before[-1][:, self.ahead] @ layer / np.sqrt(D))
        parts, g = [before[-1]], np.broadcast_to(layers[-1], X.shape)  # g = ∂f/∂h_l
        back = (np.arange(D)[:, None] - np.arange(D)) % D  # [j, k] → j − k
        for layer, h in zip(layers[-2::-1], before[-2::-1], strict=True):
            parts.insert(0, np.einsum("nd,ndk->nk", g, h[:, self.ahead]) / np.sqrt(D))
            g = g[:, back] @ layer / np.sqrt(D)
        return np.hstack(parts)


class FullyConnectedNetwork(Network):
    """f(x) = W_L ⋯ W_1 x with one output and hidden layers of one width."""

    def __init__(self, D: int, L: int, width: int) -> None:
        widths = [D, *[width] * (L - 1), 1]
        self.degree, self.shapes = L, tuple(zip(widths[1:], widths[:-1], strict=True))

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        h = X
        for W in self.split(w):
            h = h @ W.T
        return h[:, 0]

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        layers, before = self.split(w), [X]
        for W in layers[:-1]:
            before.append(before[-1] @ W.T)
        parts, after = [], np.ones(1)
        for W, h in zip(reversed(layers), reversed(before), strict=True):
            parts.insert(0, (after[None, :, None] * h[:, None, :]).reshape(X.shape[0], -1))
            after = after @ W
        return np.hstack(parts)


class MultiChannelNetwork(Network):
    """f(x) = Σ_c ⟨v_c, Σ_r x_r ⋆ u_{c,r}⟩ with kernels u of K entries; x of shape (R, D), flattened."""

    def __init__(self, D: int, K: int, R: int, C: int) -> None:
        self.degree, self.shapes = 2, ((C, R, K), (C, D))
        self.grid, self.ahead = (R, D), (np.arange(D)[:, None] + np.arange(K)) % D

    def windows(self, X: Array) -> Array:
        """x_r[(d + k) mod D] / √D, shape (N, R, D, K)."""
        return np.asarray(X.reshape(-1, *self.grid)[:, :, self.ahead] / np.sqrt(self.grid[1]))

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        u, v = self.split(w)
        return np.asarray(np.einsum("ncd,cd->n", np.einsum("nrdk,crk->ncd", self.windows(X), u), v))

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        (u, v), x = self.split(w), self.windows(X)
        by_u = np.einsum("nrdk,cd->ncrk", x, v).reshape(X.shape[0], -1)
        return np.hstack([by_u, np.einsum("nrdk,crk->ncd", x, u).reshape(X.shape[0], -1)])


class TwoLayerNetwork(Network):
    """f(x) = Σ_j a_j σ(w_j·x), σ(z) = max(z, 0) or z².

    Where y_n a_j < 0 a kink z_jn = 0 attracts from both sides and the flow slides along it (Filippov). There, and only
    there, the gate of the ReLU is a sigmoid of width `WIDTH` in units of ‖w‖‖x‖, the usual regularization: a stiff
    solver then follows the kink instead of chattering across it. Other kinks repel. Their gates stay steps: a unit that
    is off on a sample keeps z < 0 while z/‖w‖ → 0, and a gate with a width would wake it.
    """

    def __init__(self, D: int, H: int, activation: str, labels: Array | None = None) -> None:
        self.square, self.labels = activation == "square", labels
        self.degree, self.shapes = (3 if self.square else 2), ((H, D), (1, H))

    def with_labels(self, y: Array) -> TwoLayerNetwork:
        H, D = self.shapes[0]
        return TwoLayerNetwork(D, H, "square" if self.square else "relu", y)

    def hidden(self, W: NDArray[Any], a: NDArray[Any], X: Array) -> tuple[NDArray[Any], NDArray[Any]]:
        """σ and σ′ of the pre-activations."""
        z = X @ W.T
        if self.square:
            return z * z, 2 * z
        gate = (z.real > 0).astype(z.dtype)
        if self.labels is not None:
            ratio = z / self.widths(W, X)
            soft = 1.0 / (1.0 + np.exp(-(np.clip(ratio.real, -600.0, 600.0) + 1j * ratio.imag)))
            gate = np.where(self.labels[:, None] * a.real < 0, soft if np.iscomplexobj(z) else soft.real, gate)
        return z * gate, gate

    def widths(self, W: NDArray[Any], X: Array) -> Array:
        return np.asarray(WIDTH * np.linalg.norm(W.real) * np.linalg.norm(X, axis=1, keepdims=True))

    def loss_weights(self, w: NDArray[Any], X: Array, s: Array) -> Array:
        """As in `Network`, for samples that no unit sees, or that only units on their kinks see.

        The former have no gradient: leaving them out only rescales time. The latter fix the multiplier of a kink and
        nothing else, whatever their own weight: a large one keeps the gate in [0, 1] and time of order one.
        """
        W = self.split(w)[0].real
        z, width = X @ W.T, self.widths(W, X)
        seen = self.square | (z > 40.0 * width).any(axis=1)
        wall = ~seen & (z > -40.0 * width).any(axis=1)
        top = s[seen].max() if seen.any() else 0.0
        return softmax(np.where(seen, s, np.where(wall, top + np.log(100.0), -np.inf)))

    def woken_size(self, directions: Array, X: Array) -> float:
        """As in `Network`. A sample that no unit sees has no gradient, so a kink's width alone can wake it."""
        if self.square:
            return np.inf
        parts = [self.split(w) for w in directions]
        z = np.array([X @ W.T - 40.0 * self.widths(W, X) > 0 for W, _ in parts])  # (K, N, H)
        sizes = np.array([np.hypot(np.linalg.norm(W, axis=1), a[0]) for W, a in parts])  # (K, H)
        smallest = np.inf
        for n in range(X.shape[0]):
            unseen = np.flatnonzero(~z[:, n].any(axis=1))
            if unseen.size and unseen[-1] + 1 < len(parts):
                smallest = min(smallest, float(sizes[unseen[-1]][z[-1, n]].max(initial=0.0)))
        return smallest

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        W, a = self.split(w)
        return self.hidden(W, a[0], X)[0] @ a[0]

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        W, a = self.split(w)
        value, slope = self.hidden(W, a[0], X)
        return np.hstack([((slope * a[0])[:, :, None] * X[:, None, :]).reshape(X.shape[0], -1), value])


def sigmoid(ratio: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1.0 / (1.0 + np.exp(-(np.clip(ratio.real, -600.0, 600.0) + 1j * ratio.imag))))


class ThreeLayerNetwork(Network):
    """f(x) = a·σ(V σ(W x)), σ(z) = max(z, 0).

    A kink attracts where y times what f gains by its output is negative, and has the gate of `TwoLayerNetwork` there.
    For the first layer that depends on the gates of the second, taken as they are.
    """

    degree = 3

    def __init__(self, D: int, H: int, labels: Array | None = None) -> None:
        self.shapes, self.labels = ((H, D), (H, H), (1, H)), labels

    def with_labels(self, y: Array) -> ThreeLayerNetwork:
        H, D = self.shapes[0]
        return ThreeLayerNetwork(D, H, y)

    def gate(self, z: NDArray[Any], gain: NDArray[Any], width: Array) -> NDArray[Any]:
        hard = (z.real > 0).astype(z.dtype)
        if self.labels is None:
            return hard
        soft = sigmoid(z / width)
        return np.where(self.labels[:, None] * gain.real < 0, soft if np.iscomplexobj(z) else soft.real, hard)

    def layers(self, w: NDArray[Any], X: Array) -> tuple[NDArray[Any], ...]:
        """Both layers' gates and outputs, and what f gains by the first layer's outputs."""
        W, V, a = self.split(w)
        size = np.linalg.norm(X, axis=1, keepdims=True)
        widths = [WIDTH * np.linalg.norm(w.real) ** k * size for k in (1, 2)]
        z = X @ W.T
        u = (z * (z.real > 0)) @ V.T
        gain = (self.gate(u, np.broadcast_to(a, u.shape), widths[1]) * a) @ V
        gate = self.gate(z, gain, widths[0])
        u = (z * gate) @ V.T
        outer = self.gate(u, np.broadcast_to(a, u.shape), widths[1])
        return gate, z * gate, outer, u * outer, (outer * a) @ V

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        return self.layers(w, X)[3] @ self.split(w)[2][0]

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        gate, hidden, outer, last, gain = self.layers(w, X)
        a = self.split(w)[2]
        by_W = (gate * gain)[:, :, None] * X[:, None, :]
        by_V = (outer * a)[:, :, None] * hidden[:, None, :]
        return np.hstack([by_W.reshape(X.shape[0], -1), by_V.reshape(X.shape[0], -1), last])


class TiedNetwork(Network):
    """f(x) = c·Wᵀσ(W x), σ(z) = max(z, 0): one matrix used twice; gates as in `TwoLayerNetwork`."""

    degree = 3

    def __init__(self, D: int, H: int, labels: Array | None = None) -> None:
        self.shapes, self.labels = ((H, D), (1, D)), labels

    def with_labels(self, y: Array) -> TiedNetwork:
        H, D = self.shapes[0]
        return TiedNetwork(D, H, y)

    def hidden(self, w: NDArray[Any], X: Array) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Pre-activations and gates (N, H), and what f gains by the rectifiers' outputs (H,)."""
        W, c = self.split(w)
        z, gain = X @ W.T, W @ c[0]
        gate = (z.real > 0).astype(z.dtype)
        if self.labels is not None:
            width = WIDTH * np.linalg.norm(W.real) * np.linalg.norm(X, axis=1, keepdims=True)
            soft = sigmoid(z / width)
            attracts = self.labels[:, None] * gain.real < 0
            gate = np.where(attracts, soft if np.iscomplexobj(z) else soft.real, gate)
        return z, gate, gain

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        z, gate, gain = self.hidden(w, X)
        return np.asarray((z * gate) @ gain)

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        (W, c), (z, gate, gain) = self.split(w), self.hidden(w, X)
        by_W = (gate * gain)[:, :, None] * X[:, None, :] + (z * gate)[:, :, None] * c[0]
        return np.hstack([by_W.reshape(X.shape[0], -1), (z * gate) @ W])


class SquaredReluNetwork(Network):
    """f(x) = Σ_j a_j max(w_j·x, 0)², which has no kinks."""

    degree = 3

    def __init__(self, D: int, H: int) -> None:
        self.shapes = ((H, D), (1, H))

    def hidden(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        z = X @ self.split(w)[0].T
        return np.asarray(z * (z.real > 0))

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        return np.asarray(self.hidden(w, X) ** 2 @ self.split(w)[1][0])

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        h, a = self.hidden(w, X), self.split(w)[1][0]
        return np.hstack([((2 * h * a)[:, :, None] * X[:, None, :]).reshape(X.shape[0], -1), h**2])


class PatchNetwork(Network):
    """f(x) = Σ_g Σ_j a_gj Σ_{t in g} σ(w_j·x_t)/T: convolution, ReLU, average pooling into G cells, output weights.

    x is a list of G·T patches of `size` entries; gates as in `TwoLayerNetwork`.
    """

    degree = 2

    def __init__(self, size: int, G: int, T: int, H: int, labels: Array | None = None) -> None:
        self.shapes, self.grid, self.labels = ((H, size), (G, H)), (G, T, size), labels

    def with_labels(self, y: Array) -> PatchNetwork:
        G, T, size = self.grid
        return PatchNetwork(size, G, T, self.shapes[0][0], y)

    def hidden(self, w: NDArray[Any], X: Array) -> tuple[Array, NDArray[Any], NDArray[Any]]:
        """Patches (N, G, T, size), pre-activations and gates (N, G, T, H)."""
        W, a = self.split(w)
        patches = X.reshape(-1, *self.grid)
        z = patches @ W.T
        gate = (z.real > 0).astype(z.dtype)
        if self.labels is not None:
            width = WIDTH * np.linalg.norm(W.real) * np.linalg.norm(patches, axis=3, keepdims=True)
            soft = sigmoid(z / width)
            attracts = self.labels[:, None, None, None] * a.real[None, :, None, :] < 0
            gate = np.where(attracts, soft if np.iscomplexobj(z) else soft.real, gate)
        return patches, z, gate

    def outputs(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        _, z, gate = self.hidden(w, X)
        return np.asarray(np.einsum("ngth,gh->n", z * gate, self.split(w)[1]) / self.grid[1])

    def jacobian(self, w: NDArray[Any], X: Array) -> NDArray[Any]:
        patches, z, gate = self.hidden(w, X)
        by_w = np.einsum("ngth,ngtd->nhd", gate * self.split(w)[1][:, None], patches)
        by_a = (z * gate).sum(2)
        return np.hstack([by_w.reshape(X.shape[0], -1), by_a.reshape(X.shape[0], -1)]) / self.grid[1]


@dataclass(frozen=True)
class RawPath:
    """The path of w/‖w‖, thinned, and what is known at its end."""

    directions: Array
    """(K, P), the last row is the end."""
    log_norm: Array
    """ln‖w‖, (K,)."""
    tau: Array
    """Time in units of 1/‖force‖ since part 2 began; 0 in part 1. (K,)."""
    weights: Array
    """p at the end, (N,)."""
    margins: Array
    """y f(x; w/‖w‖) at the end, (N,)."""
    residual: float
    """Sine of the angle between weights and force at the end."""
    growth: float
    """Largest growth rate of the linearized normalized flow at the end, in units of the force."""
    settled: bool
    reason: str
    """Why the integration ended."""


def softmax(s: NDArray[Any]) -> NDArray[Any]:
    e = np.exp(s - s.real.max())
    return np.asarray(e / e.sum())


class Equations:
    """Right sides and their exact Jacobians."""

    def __init__(self, network: Network, X: Array, y: Array) -> None:
        self.network, self.X, self.y = network.with_labels(y), X, y

    def margins(self, w: Array) -> Array:
        return np.asarray(self.y * self.network.outputs(w, self.X))

    def force(self, w: NDArray[Any], p: Array) -> NDArray[Any]:
        """Σ_n p_n ∇m_n(w)."""
        return np.asarray((p * self.y) @ self.network.jacobian(w, self.X))

    def curvature(self, w: Array, p: Array) -> Array:
        """Σ_n p_n ∇²m_n(w), by a complex step in every weight."""
        step = 1e-30
        columns = [self.force(w + 1j * step * e, p).imag / step for e in np.eye(w.size)]
        return np.array(columns).T

    def loss_weights(self, w: Array, T: float) -> Array:
        return self.network.loss_weights(w, self.X, -self.margins(w) / T)

    def soft_force(self, w: Array, T: float) -> tuple[Array, Array]:
        """The force with p at temperature T, and p."""
        p = self.loss_weights(w, T)
        return self.force(w, p), p

    def soft_curvature(self, w: Array, T: float) -> Array:
        """Its derivative by w."""
        p = self.loss_weights(w, T)
        J = self.y[:, None] * self.network.jacobian(w, self.X)
        return self.curvature(w, p) - J.T @ ((np.diag(p) - np.outer(p, p)) @ J) / T

    def raw(self, _: float, w: Array) -> Array:
        return np.asarray(np.linalg.norm(w) ** (2 - self.network.degree) * self.soft_force(w, 1.0)[0])

    def raw_jacobian(self, _: float, w: Array) -> Array:
        power, norm = 2 - self.network.degree, np.linalg.norm(w)
        along = power * norm ** (power - 2) * np.outer(self.soft_force(w, 1.0)[0], w)
        return np.asarray(norm**power * self.soft_curvature(w, 1.0) + along)

    def polar(self, floor: float) -> tuple[Callable[..., Array], Callable[..., Array]]:
        """d(θ, ρ)/dτ and its Jacobian, with T = max(e^{−Lρ}, floor)."""
        L = self.network.degree

        def right_side(_: float, state: Array) -> Array:
            theta, T = state[:-1], max(np.exp(-L * state[-1]), floor)
            g = self.soft_force(theta, T)[0]
            along = theta @ g
            return np.append(g - along * theta, along)

        def jacobian(_: float, state: Array) -> Array:
            theta, T = state[:-1], max(np.exp(-L * state[-1]), floor)
            g, p = self.soft_force(theta, T)
            G = self.soft_curvature(theta, T)
            slope = g + G.T @ theta  # of ⟨θ, g⟩
            block = np.zeros((theta.size + 1, theta.size + 1))
            block[:-1, :-1] = G - np.outer(theta, slope) - (theta @ g) * np.eye(theta.size)
            block[-1, :-1] = slope
            if floor < T:
                q = -L * self.margins(theta) / T
                by_rho = self.force(theta, p * (q - p @ q))
                block[:-1, -1] = by_rho - (theta @ by_rho) * theta
                block[-1, -1] = theta @ by_rho
            return block

        return right_side, jacobian


def raw_flow(network: Network, X: Array, y: Array, start: Array, *, seconds: float = 120.0, steps: int = 40_000,
             rtol: float = 1e-10, floor: float = FLOOR) -> RawPath:  # fmt: skip
    """Integrate from the raw weights `start` until the path has settled, or time or steps are spent."""
    X, y, w = X.reshape(X.shape[0], -1), np.asarray(y, dtype=float), np.asarray(start, dtype=float)
    equations, began = Equations(network, X, y), time.process_time()
    size = np.sqrt((network.jacobian(w / np.linalg.norm(w), X) ** 2).sum(axis=1).mean())
    if not size > 0:
        raise ValueError("every gradient vanishes at the start: there is no flow")
    L, kept, taken, reason = network.degree, [], 0, ""

    def keep(direction: Array, log_norm: float, tau: float) -> None:
        kept.append((direction / np.linalg.norm(direction), log_norm, tau))

    keep(w, float(np.log(np.linalg.norm(w))), 0.0)
    atol = network.smallest * np.linalg.norm(w)
    solver = LSODA(equations.raw, 0.0, w, 1e12, rtol=rtol, atol=atol, jac=equations.raw_jacobian)
    while not reason and np.linalg.norm(solver.y) ** -L > HANDOVER * size:
        reason = _advance(solver, taken, steps, began, seconds)
        taken += 1
        if np.isfinite(solver.y).all():
            keep(solver.y, float(np.log(np.linalg.norm(solver.y))), 0.0)
    state = np.append(kept[-1][0], kept[-1][1])
    right_side, jacobian = equations.polar(floor * size)
    scale = np.append(np.full(w.size, network.smallest), 1e-9)
    solver = LSODA(right_side, 0.0, state, 1e12, rtol=rtol, atol=scale, jac=jacobian)
    check, settled = 0, False
    residual, growth, force = _end(equations, right_side, jacobian, state, floor * size)
    while not reason:
        reason = _advance(solver, taken, steps, began, seconds)
        taken, check = taken + 1, check + 1
        keep(solver.y[:-1], float(solver.y[-1]), solver.t * force)
        if check % 25 == 0 or reason:
            residual, growth, force = _end(equations, right_side, jacobian, solver.y, floor * size)
            cold = np.exp(-L * solver.y[-1]) <= floor * size
            if cold and residual < SETTLED and (growth < GROWING or solver.t * force > LONGEST):
                settled, reason = True, "settled" if growth < GROWING else "settled where a direction may still grow"
    end = kept[-1][0]
    T = max(np.exp(-L * kept[-1][1]), floor * size)
    chosen = kept if len(kept) <= 400 else [kept[i] for i in np.linspace(0, len(kept) - 1, 400).astype(int)]
    directions, log_norm, tau = (np.array(column) for column in zip(*chosen, strict=True))
    margins = equations.margins(end)
    return RawPath(
        directions, log_norm, tau, equations.loss_weights(end, T), margins, residual, growth, settled, reason
    )


def _advance(solver: LSODA, taken: int, steps: int, began: float, seconds: float) -> str:
    """One step of the solver; the reason to stop, if there is one."""
    if taken >= steps or time.process_time() - began > seconds:
        return "steps or time spent"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LSODA warns where it then fails, which its status says too
        message = solver.step()
    if solver.status == "failed" or not np.isfinite(solver.y).all():
        return f"LSODA stalled ({message})"
    return "left the time range" if solver.status == "finished" else ""


def _end(
    equations: Equations, right_side: Any, jacobian: Any, state: Array, floor: float
) -> tuple[float, float, float]:
    """Residual, largest growth rate in units of the force, and the length of the force."""
    theta = state[:-1]
    force = float(
        np.linalg.norm(equations.soft_force(theta, max(np.exp(-equations.network.degree * state[-1]), floor))[0])
    )
    move = float(np.linalg.norm(right_side(0.0, state)[:-1]))
    if right_side(0.0, state)[-1] <= 0:
        return 1.0, np.inf, force
    growth = float(np.linalg.eigvals(jacobian(0.0, state)[:-1, :-1]).real.max())
    return move / max(force, 1e-300), growth / max(force, 1e-300), force
