"""The margins m_n(θ) = y_n f(x_n; θ) of a homogeneous network, with what a stiff integrator needs of their Jacobian J.

The flow's force is Jᵀp, and its stiffness lives in the N weights p alone, so an implicit step never needs a P × P
matrix: the margins, the Gram matrix J Jᵀ (N × N) and the product Jᵀp are enough. Linear networks have all three in
closed form:

    product networks (diagonal; full-width circular convolutions, in the frequency domain),
        b_d = κ_d Π_l w_l[d],   m = Re(F̄ b),   ∂m_n/∂w_l[d] = F_nd κ_d conj(Π_{k≠l} w_k[d]);
    fully connected,
        ∂m_n/∂W_l = y_n (W_L ⋯ W_{l+1})ᵀ (W_{l−1} ⋯ W_1 x_n)ᵀ.

A convolution is integrated on its spectrum because there its weights decay and grow independently: a frequency that
has shrunk to e^{−40} and must come back would be lost in the rounding of the others if it were stored as a signal.
The unitary transform is an isometry, so gradient flow is the same. Of each conjugate pair one member is stored, times
√2, so that Euclidean lengths agree; b then carries κ = √2^{1−L} there and 1 at the real frequencies.

Any other homogeneous `torch.nn.Module` goes through `torch.func` (`gd.flow.module_map`). All maps carry a leading batch
axis: row b of θ is one network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.implicit_weights import implicit_weights
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from solvers.algorithms.active_set import CoefficientProblem
from solvers.regularizers import Regularizer

Array = NDArray[np.float64]

ALIVE = 1e-150
"""Smaller weights are held here: one that has to come back from e^{−1000} does, if sooner. Exact zeros stay zero."""


@dataclass(frozen=True)
class Step:
    """One implicit step of a batch."""

    p: Array
    """The weights at its end (B, N)."""
    move: Tensor
    """The change of θ (B, P)."""
    growth: Array
    """The part of the change of ln‖w‖ that is not left in the length of θ, (B,)."""
    converged: NDArray[np.bool_]
    carried: Sequence[Any] | None
    """State to hand to the next `MarginMap.at`."""


class Local:
    """Margins and Jacobian at one θ (B, P): m (B, N), J Jᵀ (B, N, N), and p ↦ Jᵀp, (B, N) → (B, P)."""

    def __init__(self, margins: Tensor, gram: Tensor, pull: Callable[[Tensor], Tensor]) -> None:
        self.margins, self.gram, self.pull = margins, gram, pull

    def solve(self, h: Array, T: Array, guess: Array, logistic: bool, implicit: NDArray[np.bool_]) -> Step:
        """One implicit step of every row; `implicit` asks for an implicit J as well, where that is offered."""
        del implicit
        p, converged = implicit_weights(self.margins.cpu().numpy(), self.gram.cpu().numpy(), h, T, guess, logistic)
        device = self.margins.device
        move = torch.as_tensor(h, device=device)[:, None] * self.pull(torch.as_tensor(p, device=device))
        return Step(p, move, np.zeros_like(h), converged, None)


class MarginMap(ABC):
    """θ ↦ m(θ), homogeneous of degree `degree`: m(cθ) = c^degree m(θ) for c > 0."""

    degree: float
    n_constraints: int
    can_be_implicit = False
    """Whether steps with an implicit J are offered (they need P × P matrices)."""
    regularizer: Regularizer | None = None
    """The induced regularizer, where a closed form is known."""

    @abstractmethod
    def start(self, models: Sequence[nn.Module]) -> Tensor:
        """The networks' parameters as θ, shape (B, P); ‖θ_b‖ equals the Euclidean norm of the parameters."""

    @abstractmethod
    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        """Margins and Jacobian at θ (B, P); `carried` is what the step that led here handed on."""

    @abstractmethod
    def margins(self, theta: Tensor) -> Tensor:
        """m (B, N) alone."""

    def smooth_margins(self, theta: Tensor) -> Tensor:
        """m (N,) of one row (P,), differentiable by `torch.func`."""
        return self.margins(theta[None])[0]

    @abstractmethod
    def weights(self, theta: Tensor) -> dict[str, Array]:
        """One row of θ, (P,), back as named parameters."""

    def predictors(self, theta: Tensor) -> Array | None:
        """β of every row of θ, shape (B, *shape); None when the network is not a linear predictor."""
        del theta
        return None

    def kept_alive(self, theta: Tensor) -> Tensor:
        """θ with what would underflow held just above it, where weights decay independently."""
        return theta

    def coefficient_problem(self) -> CoefficientProblem | None:
        """The induced problem in the coefficients the architecture prices, where the price is a sum over them."""
        return None

    def real_coefficients(self, theta: Tensor) -> Array:
        """The coefficients of one row of θ in the real coordinates of `coefficient_problem`."""
        raise NotImplementedError

    def lift(self, c: Array, theta: Tensor) -> Tensor:
        """The cheapest weights that compute c, in the gauge (signs, phases, rotations between layers) of θ."""
        raise NotImplementedError


class ProductMap(MarginMap):
    """b_d = κ_d Π_l w_l[d], m_n = Re Σ_d conj(F_nd) b_d, with real or complex w (L, D) flattened into θ."""

    def __init__(self, model: Diagonal | Convolutional, X: Tensor, y: Tensor) -> None:
        self.shape = model.shape
        self.degree: int = model.depth
        self.regularizer = model.regularizer
        self.n_constraints = X.shape[0]
        self.fourier = isinstance(model, Convolutional) and model.depth > 1
        if self.fourier:
            own, partner = conjugate_pairs(self.shape)
            self._own, self._partner = (torch.as_tensor(i, device=X.device) for i in (own, partner))
            self.paired = torch.as_tensor(own != partner, device=X.device)
            self.root_two = torch.sqrt(1.0 + self.paired.to(X))  # √2 where a conjugate partner is represented too
            F = self.spectrum(X)
        else:
            F = X.flatten(1)
            self.root_two = torch.ones_like(F[0])
        self.F = F * y[:, None]
        self.coefficient = self.root_two ** (1 - self.degree)
        self._real_F = torch.view_as_real(self.F).flatten(1) if self.fourier else self.F

    def spectrum(self, signals: Tensor) -> Tensor:
        """Half of the unitary spectrum of real signals (B, *shape), scaled to an isometry: (B, frequencies)."""
        axes = tuple(range(-len(self.shape), 0))
        half = torch.fft.fftn(signals, dim=axes, norm="ortho").flatten(-len(self.shape))[..., self._own]
        return torch.complex(half.real, half.imag * self.paired) * self.root_two

    def signals(self, half: Tensor) -> Tensor:
        """The inverse of `spectrum`."""
        size = int(np.prod(self.shape))
        scaled = half / self.root_two
        full = torch.zeros((*half.shape[:-1], size), dtype=torch.complex128, device=half.device)
        full[..., self._partner] = scaled.conj()
        full[..., self._own] = scaled
        axes = tuple(range(-len(self.shape), 0))
        signals: Tensor = torch.fft.ifftn(torch.unflatten(full, -1, self.shape), dim=axes, norm="ortho").real
        return signals

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        layers = torch.stack([torch.stack([w.detach() for w in model.weights]) for model in models])  # type: ignore[union-attr]
        layers = layers.to(self.F.device)
        return (self.spectrum(layers) if self.fourier else layers).flatten(1)

    def layers(self, theta: Tensor) -> Tensor:
        return torch.unflatten(theta, -1, (self.degree, self.F.shape[1]))

    def coefficients(self, theta: Tensor) -> Tensor:
        """b (B, D): the coefficients of β whose magnitudes the architecture prices."""
        return self.coefficient * self.layers(theta).prod(-2)

    def kept_alive(self, theta: Tensor) -> Tensor:
        size = theta.abs()
        tiny = (size < ALIVE) & (size > 0)
        return torch.where(tiny, theta * (ALIVE / torch.where(tiny, size, 1.0)), theta) if tiny.any() else theta

    def _pair(self, b: Tensor) -> Tensor:
        real = torch.view_as_real(b).flatten(-2) if self.fourier else b
        return real @ self._real_F.T

    def margins(self, theta: Tensor) -> Tensor:
        return self._pair(self.coefficients(theta))

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        w = self.layers(theta)
        partial = torch.stack(leave_one_out(list(w.unbind(-2)))) * self.coefficient  # (L, B, D)
        speed = (partial.conj() * partial).real.sum(0)
        scaled = speed.repeat_interleave(2, -1) if self.fourier else speed
        gram = (self._real_F * scaled[:, None, :]) @ self._real_F.T

        def pull(p: Tensor) -> Tensor:
            g = p @ self._real_F
            if self.fourier:
                g = torch.view_as_complex(torch.unflatten(g, -1, (-1, 2)))
            return (g * partial.conj()).transpose(0, 1).flatten(1)

        return Local(self._pair(w[:, 0] * partial[0]), gram, pull)

    def weights(self, theta: Tensor) -> dict[str, Array]:
        layers = self.layers(theta)
        layers = self.signals(layers) if self.fourier else layers
        return {f"weights.{i}": w.cpu().numpy() for i, w in enumerate(layers)}

    def predictors(self, theta: Tensor) -> Array:
        b = self.coefficients(theta)
        beta = self.signals(b) if self.fourier else torch.unflatten(b, -1, self.shape)
        return np.asarray(beta.cpu().numpy())

    @cached_property
    def _columns(self) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Real coordinates of b: the owner of each, and whether it is a real part (of all) or an imaginary one."""
        every = np.arange(self.F.shape[1])
        imaginary = every[self.paired.cpu().numpy()] if self.fourier else every[:0]
        is_real = np.concatenate([np.ones(every.size, dtype=bool), np.zeros(imaginary.size, dtype=bool)])
        return np.concatenate([every, imaginary]), is_real

    def _to_columns(self, b: NDArray[Any]) -> Array:
        owner, is_real = self._columns
        return np.where(is_real, b[..., owner].real, b[..., owner].imag)

    def coefficient_problem(self) -> CoefficientProblem:
        p = 2.0 / self.degree
        omega = self.root_two.cpu().numpy() ** (2.0 - p)
        return CoefficientProblem(self._to_columns(self.F.cpu().numpy()), self._columns[0], omega, p)

    def real_coefficients(self, theta: Tensor) -> Array:
        return self._to_columns(self.coefficients(theta).cpu().numpy())

    def lift(self, c: Array, theta: Tensor) -> Tensor:
        owner, is_real = self._columns
        b = np.zeros(self.F.shape[1], dtype=np.complex128)
        np.add.at(b, owner, np.where(is_real, c, 1j * c))
        size = (np.abs(b) / self.coefficient.cpu().numpy()) ** (1.0 / self.degree)
        w = self.layers(theta).cpu().numpy()
        phase = np.exp(1j * np.angle(w))
        phase[0] *= np.exp(1j * (np.angle(b) - np.angle(phase.prod(0))))
        lifted = phase * size
        return torch.as_tensor(lifted if self.fourier else lifted.real, device=theta.device).flatten()


class FullyConnectedMap(MarginMap):
    """f(x) = W_L ⋯ W_1 x with M outputs; constraint nM + m is y_{nm} f_m(x_n)."""

    def __init__(self, model: FullyConnected, X: Tensor, y: Tensor) -> None:
        self.degree = model.depth
        self.regularizer = model.regularizer
        self.shape = (model.shape[0],) if model.outputs == 1 else (model.outputs, model.shape[0])
        self._sizes = [tuple(w.shape) for w in model.weights]
        self.X = X.flatten(1)
        self.y = y.reshape(X.shape[0], -1)
        self.n_constraints = self.y.numel()

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        return torch.stack([torch.cat([w.detach().flatten() for w in model.weights]) for model in models]).to(self.X)  # type: ignore[union-attr]

    def layers(self, theta: Tensor) -> list[Tensor]:
        parts = torch.split(theta, [rows * columns for rows, columns in self._sizes], dim=-1)
        return [torch.unflatten(part, -1, size) for part, size in zip(parts, self._sizes, strict=True)]

    def composed(self, theta: Tensor) -> Tensor:
        """W_L ⋯ W_1, shape (B, M, D)."""
        return reduce(lambda after, before: after @ before, reversed(self.layers(theta)))

    def margins(self, theta: Tensor) -> Tensor:
        return (self.y * (self.X @ self.composed(theta).mT)).flatten(1)

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        layers = self.layers(theta)
        outputs = self._sizes[-1][0]
        after = [torch.eye(outputs, dtype=theta.dtype, device=theta.device).expand(theta.shape[0], -1, -1)]
        for W in reversed(layers[1:]):
            after.insert(0, after[0] @ W)  # W_L ⋯ W_{l+1}: (B, M, rows of W_l)
        before = [self.X.expand(theta.shape[0], -1, -1)]
        for W in layers[:-1]:
            before.append(before[-1] @ W.mT)  # (W_{l−1} ⋯ W_1 x_n)_n: (B, N, columns of W_l)
        gram = sum(
            (torch.einsum("bnk,bmj->bnmkj", B @ B.mT, A @ A.mT) for A, B in zip(after, before, strict=True)),
            start=torch.zeros((), dtype=theta.dtype, device=theta.device),
        )
        signs = self.y.flatten()
        gram = gram.flatten(3).flatten(1, 2) * signs * signs[:, None]

        def pull(p: Tensor) -> Tensor:
            force = torch.unflatten(p, -1, self.y.shape) * self.y  # (B, N, M)
            return torch.cat([(A.mT @ force.mT @ B).flatten(1) for A, B in zip(after, before, strict=True)], -1)

        return Local((self.y * (before[-1] @ layers[-1].mT)).flatten(1), gram, pull)

    def weights(self, theta: Tensor) -> dict[str, Array]:
        return {f"weights.{i}": W.cpu().numpy() for i, W in enumerate(self.layers(theta))}

    def predictors(self, theta: Tensor) -> Array:
        return np.asarray(self.composed(theta).reshape(-1, *self.shape).cpu().numpy())

    def coefficient_problem(self) -> CoefficientProblem | None:
        if self.y.shape[1] > 1:
            return None
        G = (self.y * self.X).cpu().numpy()
        return CoefficientProblem(G, np.arange(G.shape[1]), np.ones(G.shape[1]), 2.0)

    def real_coefficients(self, theta: Tensor) -> Array:
        return np.asarray(self.composed(theta).flatten().cpu().numpy())

    def lift(self, c: Array, theta: Tensor) -> Tensor:
        beta = torch.as_tensor(c, dtype=theta.dtype, device=theta.device)
        size = beta.norm() ** (1.0 / self.degree)
        before, lifted = beta / beta.norm(), []
        for W in self.layers(theta):
            after = W @ before
            after = after / after.norm()
            lifted.append(size * torch.outer(after, before))
            before = after
        return torch.cat([W.flatten() for W in lifted])


def leave_one_out(factors: Sequence[Tensor]) -> list[Tensor]:
    """Π_{k≠l} w_k for every l, without division."""
    ones = torch.ones_like(factors[0])
    left, right = [ones], [ones]
    for before, after in zip(factors[:-1], reversed(factors[1:]), strict=True):
        left.append(left[-1] * before)
        right.append(right[-1] * after)
    return [a * b for a, b in zip(left, reversed(right), strict=True)]


def conjugate_pairs(shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat indices (k, −k) of one frequency from each conjugate pair; equal at the real frequencies.

    >>> conjugate_pairs((4,))
    (array([0, 1, 2]), array([0, 3, 2]))
    """
    index = np.arange(int(np.prod(shape))).reshape(shape)
    mirrored = index[np.ix_(*[(-np.arange(d)) % d for d in shape])].ravel()
    own = np.flatnonzero(index.ravel() <= mirrored)
    return own, mirrored[own]


def same_architecture(models: Sequence[nn.Module]) -> None:
    """Raise ValueError unless every model has the parameters' names and shapes, and the type, of the first."""

    def signature(model: nn.Module) -> tuple[str, Mapping[str, tuple[int, ...]]]:
        return type(model).__name__, {name: tuple(p.shape) for name, p in model.named_parameters()}

    first = signature(models[0])
    for i, model in enumerate(models):
        if signature(model) != first:
            raise ValueError(
                f"a batch is of one architecture: model 0 is {first}, model {i} is {signature(model)}; "
                "call flow_limit once for each architecture"
            )
