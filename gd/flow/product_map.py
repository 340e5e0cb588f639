"""Product networks: diagonal ones, and full-width circular convolutions in the frequency domain.

    b_d = κ_d Π_l w_l[d],   m = Re(F̄ b),   ∂m_n/∂w_l[d] = F_nd κ_d conj(Π_{k≠l} w_k[d])

A convolution is integrated on its spectrum because there its weights decay and grow independently: a frequency that
has shrunk to e^{−40} and must come back would be lost in the rounding of the others if it were stored as a signal.
The unitary transform is an isometry, so gradient flow is the same. Of each conjugate pair one member is stored, times
√2, so that Euclidean lengths agree; b then carries κ = √2^{1−L} there and 1 at the real frequencies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gd.flow.coefficient_map import CoefficientMap
from gd.flow.coefficient_polish import CoefficientProblem
from gd.flow.exponential_step import exponential_step
from gd.flow.loss_weights import FlowWeights
from gd.flow.many_margins import MANY, Gram, ManyMargins
from gd.flow.margin_map import Local, Step
from gd.flow.margin_products import MarginProducts, SampleProducts
from gd.targets import Targets
from solvers.arrays import Array
from solvers.fourier import conjugate_pairs
from solvers.regularizers import Regularizer

SMALLEST_WEIGHT = 1e-150
"""Smaller weights are held here: one that has to come back from e^{−1000} does, if sooner. Exact zeros stay zero."""


class TwoFactors(Local):
    """A network of depth 2: rows that ask for it step exactly in the weights (`gd.flow.exponential_step`)."""

    def __init__(
        self, margins: Tensor, gram: Tensor, pull: Callable[[Tensor], Tensor], rows: Tensor, layers: Tensor
    ) -> None:
        super().__init__(margins, gram, pull, layers.flatten(1), 2.0)
        self._rows, self._layers = rows, layers

    def solve(self, h: Array, T: Array, guess: Array, loss: FlowWeights, implicit: NDArray[np.bool_]) -> Step:
        step = super().solve(np.where(implicit, 1e-300, h), T, guess, loss, implicit)
        F = self._rows.cpu().numpy()
        for i in map(int, np.flatnonzero(implicit)):
            w = self._layers[i].cpu().numpy()
            p, ended, growth, converged = exponential_step(F, w, h[i], T[i], guess[i], loss)
            step.p[i], step.growth[i], step.converged[i] = p, growth, converged
            step.move[i] = torch.as_tensor((ended - w / np.linalg.norm(w)).ravel(), device=step.move.device)
        return step


class ProductMap(CoefficientMap):
    """b_d = κ_d Π_l w_l[d], m_n = Re Σ_d conj(F_nd) b_d, with real or complex w (L, D) flattened into θ.

    Several networks side by side are one with all their coefficients; each has a transform of its own.

    Args:
        shape: of one input.
        depth: L.
        regularizer: R.
        rows: gradients of the margins by β, (N, *shape), or (N, M, *shape) for M outputs.
        fourier: whether coefficients are frequencies.
        outputs: M.
        samples: X, (N, *shape), and the targets that `rows` were made of.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        depth: int,
        regularizer: Regularizer,
        rows: Tensor,
        *,
        fourier: bool = False,
        outputs: int = 1,
        samples: tuple[Tensor, Targets] | None = None,
    ) -> None:
        self.shape, self.degree, self._depth, self.regularizer, self.fourier = shape, depth, depth, regularizer, fourier
        self.n_constraints, self._beta_shape = rows.shape[0], tuple(rows.shape[1:])
        if self.fourier:
            own, partner = conjugate_pairs(self.shape)
            first = int(np.prod(self.shape)) * np.arange(outputs)[:, None]
            own, partner = (first + own).reshape(-1), (first + partner).reshape(-1)
            self._own, self._partner = (torch.as_tensor(i, device=rows.device) for i in (own, partner))
            self.paired = torch.as_tensor(own != partner, device=rows.device)
            self.root_two = torch.sqrt(1.0 + self.paired.to(rows))  # √2 where a conjugate partner is represented too
            F = self.spectrum(rows)
        else:
            F = rows.flatten(1)
            self.root_two = torch.ones_like(F[0])
        self.F = F
        self.coefficient = self.root_two ** (1 - self.degree)
        self._products = MarginProducts(self._reals(F))
        if samples is not None and outputs > 1 and self.n_constraints > MANY:
            X, targets = samples
            alone = torch.zeros((len(X), *self._beta_shape), dtype=X.dtype, device=X.device)
            alone[:, 0] = X  # the coefficients of the first output, of which all others are copies
            points = self.spectrum(alone) if self.fourier else alone.flatten(1)
            points = self._reals(points[:, : points.shape[1] // outputs])
            self._products = SampleProducts(self._products.F, points, targets)
        self.exact_in_weights = depth == 2 and self.n_constraints <= MANY

    def _reals(self, half: Tensor) -> Tensor:
        """Coefficients (N, D) as real coordinates, two of each frequency."""
        return torch.view_as_real(half).flatten(1) if self.fourier else half

    def spectrum(self, signals: Tensor) -> Tensor:
        """Half of the unitary spectrum of real signals (…, *β's shape), scaled to an isometry: (…, frequencies)."""
        axes = tuple(range(-len(self.shape), 0))
        half = torch.fft.fftn(signals, dim=axes, norm="ortho").flatten(-len(self._beta_shape))[..., self._own]
        return torch.complex(half.real, half.imag * self.paired) * self.root_two

    def signals(self, half: Tensor) -> Tensor:
        """The inverse of `spectrum`."""
        size = int(np.prod(self._beta_shape))
        scaled = half / self.root_two
        full = torch.zeros((*half.shape[:-1], size), dtype=torch.complex128, device=half.device)
        full[..., self._partner] = scaled.conj()
        full[..., self._own] = scaled
        axes = tuple(range(-len(self.shape), 0))
        signals: Tensor = torch.fft.ifftn(torch.unflatten(full, -1, self._beta_shape), dim=axes, norm="ortho").real
        return signals

    def start(self, models: Sequence[nn.Module]) -> Tensor:
        layers = torch.stack([torch.stack([w.detach() for w in model.weights]) for model in models])  # type: ignore[union-attr]
        layers = layers.to(self.F.device)
        return self.spectrum(layers).flatten(1) if self.fourier else layers.flatten(1)

    def layers(self, theta: Tensor) -> Tensor:
        return torch.unflatten(theta, -1, (self._depth, self.F.shape[1]))

    def coefficients(self, theta: Tensor) -> Tensor:
        """b (B, D): the coefficients of β whose magnitudes the regularizer sums."""
        return self.coefficient * self.layers(theta).prod(-2)

    def conserved(self, theta: Tensor) -> Tensor:
        squares = self.layers(theta).abs() ** 2
        return (squares[:, :-1] - squares[:, 1:]).flatten(1)

    def real_coordinates(self, theta: Tensor) -> Tensor:
        if not self.fourier:
            return theta
        w = self.layers(theta)
        return torch.cat([w.real.flatten(), w.imag[:, self.paired].flatten()])

    def from_real_coordinates(self, real: Tensor) -> Tensor:
        if not self.fourier:
            return real
        size = self._depth * self.F.shape[1]
        imaginary = real.new_zeros(self._depth, self.F.shape[1])
        imaginary[:, self.paired] = real[size:].reshape(self._depth, -1)
        return torch.complex(real[:size], imaginary.flatten())

    def symmetries(self, theta: Tensor) -> Tensor:
        """Of frequencies: the phase that one layer gives to the next."""
        if not self.fourier:
            return super().symmetries(theta)
        w, found = self.layers(theta), []
        for layer in range(self._depth - 1):
            for d in torch.nonzero(self.paired)[:, 0].tolist():
                turned = torch.zeros_like(w)
                turned[layer, d], turned[layer + 1, d] = 1j * w[layer, d], -1j * w[layer + 1, d]
                found.append(self.real_coordinates(turned.flatten()))
        return torch.stack(found) if found else super().symmetries(theta)

    def above_underflow(self, theta: Tensor) -> Tensor:
        size = theta.abs()
        tiny = (size < SMALLEST_WEIGHT) & (size > 0)
        return (
            torch.where(tiny, theta * (SMALLEST_WEIGHT / torch.where(tiny, size, 1.0)), theta) if tiny.any() else theta
        )

    def _pair(self, b: Tensor) -> Tensor:
        real = torch.view_as_real(b).flatten(-2) if self.fourier else b
        return self._products.pair(real)

    def margins(self, theta: Tensor) -> Tensor:
        return self._pair(self.coefficients(theta))

    def at(self, theta: Tensor, carried: Sequence[Any] | None = None) -> Local:
        del carried
        w = self.layers(theta)
        partial = torch.stack(leave_one_out(list(w.unbind(-2)))) * self.coefficient  # (L, B, D)
        speed = (partial.conj() * partial).real.sum(0)
        scaled = speed.repeat_interleave(2, -1) if self.fourier else speed

        def pull(p: Tensor) -> Tensor:
            g = self._products.combine(p)
            if self.fourier:
                g = torch.view_as_complex(torch.unflatten(g, -1, (-1, 2)))
            return (g * partial.conj()).transpose(0, 1).flatten(1)

        margins = self._pair(w[:, 0] * partial[0])
        if self.n_constraints > MANY:
            squares = self._products.squares(scaled)
            return ManyMargins(margins, squares, lambda b: self._gram(scaled[b], squares[b]), pull, theta, self.degree)
        F = self._products.F
        gram = (F * scaled[:, None, :]) @ F.T
        if self.exact_in_weights:
            return TwoFactors(margins, gram, pull, self.F * self.coefficient, w)
        return Local(margins, gram, pull, theta, self.degree)

    def _gram(self, speed: Tensor, squares: Tensor) -> Gram:
        products, where = self._products, speed.device

        def times(p: Array) -> Array:
            weights = torch.as_tensor(p, device=where)
            return np.asarray(products.pair(speed * products.combine(weights)).cpu().numpy())

        def block(kept: NDArray[np.intp]) -> Array:
            return np.asarray(products.block(torch.as_tensor(kept, device=where), speed).cpu().numpy())

        return Gram(times, block, squares.cpu().numpy())

    def weights(self, theta: Tensor) -> dict[str, Array]:
        layers = self.layers(theta)
        layers = self.signals(layers) if self.fourier else torch.unflatten(layers, -1, self._beta_shape)
        return {f"weights.{i}": w.cpu().numpy() for i, w in enumerate(layers)}

    def predictors(self, theta: Tensor) -> Array:
        b = self.coefficients(theta)
        beta = self.signals(b) if self.fourier else torch.unflatten(b, -1, self._beta_shape)
        return np.asarray(beta.cpu().numpy())

    def zeros_shrink(self, theta: Tensor, force: Tensor, point: Tensor) -> bool:
        """For a coefficient: d ln|b_d|/dτ = Σ_l Re(force_l[d] / w_l[d]) is below d ln ‖θ‖^L/dτ = L⟨θ, force⟩."""
        growth = self.degree * float((theta.conj() * force).real.sum())
        w = self.layers(theta)
        rates = (self.layers(force) * w.conj()).real / torch.clamp((w.conj() * w).real, min=1e-300)
        zero = self.coefficients(point).abs() == 0
        return bool((rates.sum(0)[zero] < growth).all())

    def _real(self, b: Tensor) -> Array:
        """Coefficients (…, D) as real coordinates (…, D, m)."""
        return np.asarray((torch.view_as_real(b) if self.fourier else b.unsqueeze(-1)).cpu().numpy())

    def coefficient_problem(self) -> CoefficientProblem:
        p = 2.0 / self.degree
        return CoefficientProblem(self._real(self.F), self.root_two.cpu().numpy() ** (2.0 - p), p)

    def real_coefficients(self, theta: Tensor) -> Array:
        return self._real(self.coefficients(theta))

    def lift(self, c: Array, theta: Tensor) -> Tensor:
        b = c[:, 0] + 1j * c[:, 1] if self.fourier else c[:, 0].astype(np.complex128)
        size = (np.abs(b) / self.coefficient.cpu().numpy()) ** (1.0 / self.degree)
        w = self.layers(theta).cpu().numpy()
        phase = np.exp(1j * np.angle(w))
        phase[0] *= np.exp(1j * (np.angle(b) - np.angle(phase.prod(0))))
        lifted = phase * size
        return torch.as_tensor(lifted if self.fourier else lifted.real, device=theta.device).flatten()


def leave_one_out(factors: Sequence[Tensor]) -> list[Tensor]:
    """Π_{k≠l} w_k for every l, without division."""
    ones = torch.ones_like(factors[0])
    left, right = [ones], [ones]
    for before, after in zip(factors[:-1], reversed(factors[1:]), strict=True):
        left.append(left[-1] * before)
        right.append(right[-1] * after)
    return [a * b for a, b in zip(left, reversed(right), strict=True)]
