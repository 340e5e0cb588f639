"""The tails of margin losses: the weights p ∝ φ of margins m at temperature T, s = m/T, and what Newton's method asks.

    exponential      φ_n = e^{−s_n}                            L = Σ e^{−s_n}
    logistic         φ_n = σ(−s_n)                             L = Σ ln(1 + e^{−s_n})
    cross entropy    φ_nk = e^{−s_nk}/(1 + Σ_j e^{−s_nj})      L = Σ_n ln(1 + Σ_k e^{−s_nk}),   k of one sample together

The logistic loss is the cross entropy of groups of one margin. With μ = m + hKp the margins at the end of a step,
ln p − ln φ(μ) + ν = 0 linearizes, multiplied by T and by the inverse of the derivative of ln φ, to

    T u_k + a_n Σ_j p_j u_j + (hK(pu))_k = −r_k − ν t_k,                  Σ_j over the group n of k,                 (1)

for u = dp/p, with Q_n = Σ_j φ_j, the share of the group's probability that is not at its own class, and

    t = T/(1 − Q_n),    r = T (ψ + Σ_j φ_j ψ_j/(1 − Q_n)),    a_n = T Q_n/((1 − Q_n) Σ_j p_j),    ψ = ln p − ln φ(μ).

The system is symmetric in p_k u_k and positive definite: p ∝ φ, at the solution, is what makes it so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from solvers.arrays import Array

LINEAR = 30.0
"""From here on ln ln(1 + e^{−s}) equals −s to rounding."""
LEAST_REST = np.exp(-50.0)
"""1 − Q is not taken for less;"""
LEAST_OF_SEVERAL = 1e-4
"""nor for less than this in groups of several, where a/T would swallow the T in the matrix: a badly classified sample
then moves as if it were classified less badly, which slows Newton's method and leaves its solution. (Measured on data
scaled by 1e2 to 1e6: the same 70 steps from 1e-5 to 1e-2; at 1e-8 it fails, at 1e-1 it takes twice as many.)"""

STIFFEST = 1e50
"""Σφ/Σp of a sample is not taken for more: p follows φ, and is far behind it only on the way to the solution."""


@dataclass(frozen=True)
class Linearized:
    """r, t and a of (1), each (B, N), with a repeated in its group."""

    r: Array
    t: Array
    a: Array
    group: int
    """Constraints of a group; they follow one another."""

    def centred(self, p: Array) -> Array:
        """r less a multiple of t, which only shifts ν: what Newton's method makes small, without cancellation."""
        shift = (p * self.r).sum(axis=1) / (p * self.t).sum(axis=1)
        return np.asarray(self.r - shift[:, None] * self.t)

    def sums(self, x: Array) -> Array:
        """Σ_j x_j over the group of every constraint, (B, N)."""
        return _group_sums(x, self.group)


class FlowWeights(ABC):
    """φ and L of one loss; margins have shape (B, N)."""

    @abstractmethod
    def log_phi(self, margins: Array, T: Array) -> Array:
        """ln φ(m/T), (B, N), for T (B,)."""

    @abstractmethod
    def linearized(self, mu: Array, p: Array, T: Array) -> Linearized:
        """The equations (1) at margins μ and weights p, (B, N)."""

    @abstractmethod
    def log_terms(self, s: Array) -> Array:
        """The logarithms of the terms that L is a sum of, from margins over the temperature."""

    def log_loss(self, s: Array) -> Array:
        """ln L, (B,)."""
        return np.asarray(np.logaddexp.reduce(self.log_terms(s), axis=1))

    def soft_margin(self, s: Array) -> Array:
        """The one margin that has the loss of all, (B,): where it is positive, and the network homogeneous of degree L,
        its ratio to ‖w‖^L rises along gradient flow.

            exponential      −ln L
            others           −ln(e^L − 1)

        Reference: Lyu, Li (2020), Theorem 4.1 and appendix A: g(ln 1/L), g the inverse of s → −ln ℓ(s).
        """
        return self._margin_of(self.log_loss(s))

    @abstractmethod
    def _margin_of(self, log_loss: Array) -> Array:
        """The margin s with ℓ(s) = L, from ln L."""


@dataclass(frozen=True)
class ExponentialWeights(FlowWeights):
    """φ(s) = e^{−s}."""

    def log_phi(self, margins: Array, T: Array) -> Array:
        return -margins / T[:, None]

    def linearized(self, mu: Array, p: Array, T: Array) -> Linearized:
        t = np.empty(mu.shape)
        t[:] = T[:, None]
        return Linearized(t * np.log(p) + mu, t, np.zeros(mu.shape), 1)

    def log_terms(self, s: Array) -> Array:
        return -s

    def _margin_of(self, log_loss: Array) -> Array:
        return -log_loss


@dataclass(frozen=True)
class CrossEntropyWeights(FlowWeights):
    """The margins of a sample together, `group` of them one after the other; one each is the logistic loss."""

    group: int = 1

    def _soft_minimum(self, s: Array) -> Array:
        """−ln Σ_k e^{−s_nk} of every sample, (B, number of samples)."""
        if self.group == 1:
            return s
        grouped = s.reshape(len(s), -1, self.group)
        least = grouped.min(axis=2, keepdims=True)
        return np.asarray(least[:, :, 0] - np.log(np.exp(least - grouped).sum(axis=2)))

    def _repeated(self, of_groups: Array) -> Array:
        return np.repeat(of_groups, self.group, axis=1)

    def log_phi(self, margins: Array, T: Array) -> Array:
        s = margins / T[:, None]
        return -s - self._repeated(np.logaddexp(0.0, -self._soft_minimum(s)))

    def linearized(self, mu: Array, p: Array, T: Array) -> Linearized:
        soft = self._soft_minimum(mu / T[:, None])
        least = LEAST_REST if self.group == 1 else LEAST_OF_SEVERAL
        exact = self._repeated(np.exp(-np.logaddexp(0.0, -soft)))
        rest = np.maximum(exact, least)
        log_phi = self.log_phi(mu, T)
        # where 1 − Q is held at its least, φ is scaled to Q, so that ψ = −ν solves r = −νt
        phi = np.exp(log_phi) * np.where(exact < least, (1.0 - least) / np.maximum(1.0 - exact, 0.5), 1.0)
        psi, t = np.log(p) - log_phi, T[:, None] / rest
        r = T[:, None] * psi + t * _group_sums(phi * psi, self.group)
        a = t * np.minimum(_group_sums(phi, self.group) / np.maximum(_group_sums(p, self.group), 1e-250), STIFFEST)
        return Linearized(r, t, a, self.group)

    def log_terms(self, s: Array) -> Array:
        soft = self._soft_minimum(s)
        return np.where(soft > LINEAR, -soft, np.log(np.logaddexp(0.0, -np.clip(soft, -1e300, LINEAR))))

    def _margin_of(self, log_loss: Array) -> Array:
        with np.errstate(over="ignore"):
            loss = np.exp(log_loss)
        between = np.log(np.expm1(np.clip(loss, np.exp(-LINEAR), LINEAR)))
        return -np.where(log_loss < -LINEAR, log_loss, np.where(loss > LINEAR, loss, between))


class LogisticWeights(CrossEntropyWeights):
    """φ(s) = σ(−s)."""


def _group_sums(x: Array, group: int) -> Array:
    return x if group == 1 else np.repeat(x.reshape(len(x), -1, group).sum(axis=2), group, axis=1)
