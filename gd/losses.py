"""The losses, in the log domain: a loss of e^{−10⁶} is the number −10⁶ and not 0.

Gradient descent reaches the regime of the theorems only when the loss is far below the smallest float. So a margin
loss never forms L: it returns log L, and the slope of log L,

    ∂ log L / ∂ f_n = −p_n y_n,    p_n = e^{−m_n} / Σ_k e^{−m_k}          (exponential, Σp = 1)
                                   p_n = σ(−m_n) / Σ_k log(1 + e^{−m_k})  (logistic, Σp ≤ 1, → 1 as L → 0)

with margins m_n = y_n f(x_n). The gradient of L itself is e^{log L} times that. The squared loss has no such problem;
its slope is that of L. `log_scale` tells the two apart: ∇L = e^{log_scale} · slope in every case.

Outputs f have shape (B, N) or (B, N, M), one leading axis for the B runs of a batch; labels (N,) or (N, M) are ±1, and
with M outputs the loss sums over every (n, m). With K classes f are the differences f_{y_n} − f_k, (B, N, K − 1), and
the labels are ones (`gd.targets`). Losses are sums over the data, not means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

# From here on log(log(1 + e^{−m})) = −m − e^{−m}/2 + … equals −m to rounding: e^{−40}/2 < 2.2e-16 · 40.
ASYMPTOTE = 40.0


class Loss(ABC):
    """A loss L(f, y) of a batch of outputs, and its slope, each computed where it does not under- or overflow."""

    name: str
    margin: bool
    """Whether targets are labels ±1 and L depends on margins y·f alone, so that log L is what is minimized."""

    @abstractmethod
    def log_value(self, f: Tensor, y: Tensor) -> Tensor:
        """log L, shape (B,)."""

    @abstractmethod
    def slope(self, f: Tensor, y: Tensor, log_value: Tensor) -> Tensor:
        """∂L/∂f divided by e^{log_scale}; the shape of f."""

    def log_scale(self, log_value: Tensor) -> Tensor:
        """What the slope was divided by: log L for margin losses, 0 for the squared loss. Shape (B,)."""
        return log_value if self.margin else torch.zeros_like(log_value)


class MarginLoss(Loss):
    """A loss of the margins alone: `weights` are p ≥ 0 with ∂ log L/∂m = −p."""

    margin = True

    @abstractmethod
    def weights(self, m: Tensor, log_value: Tensor) -> Tensor:
        """p, the shape of m."""

    def slope(self, f: Tensor, y: Tensor, log_value: Tensor) -> Tensor:
        return -self.weights(f * y, log_value) * y


@dataclass(frozen=True)
class Exponential(MarginLoss):
    """L = Σ_n e^{−m_n}.

    Reference: Gunasekar et al. (2018), eq. (3), with this loss.

    >>> f, y = torch.tensor([[1e6, 2e6]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    >>> Exponential().log_value(f, y)
    tensor([-1000000.], dtype=torch.float64)
    """

    name = "exponential"

    def log_value(self, f: Tensor, y: Tensor) -> Tensor:
        return torch.logsumexp((-f * y).flatten(1), dim=1)

    def weights(self, m: Tensor, log_value: Tensor) -> Tensor:
        return torch.softmax(-m.flatten(1), dim=1).view_as(m)


@dataclass(frozen=True)
class Logistic(MarginLoss):
    """L = Σ_n log(1 + e^{−m_n}), in nats.

    Reference: Soudry et al. (2018), section 2.

    >>> f, y = torch.tensor([[1e6, 2e6]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    >>> Logistic().log_value(f, y)
    tensor([-1000000.], dtype=torch.float64)
    """

    name = "logistic"

    def log_value(self, f: Tensor, y: Tensor) -> Tensor:
        m = (f * y).flatten(1)
        # torch's softplus is the identity above its threshold, by default 20: wrong in the tenth digit
        near = torch.log(torch.nn.functional.softplus(-m.clamp(max=ASYMPTOTE), threshold=ASYMPTOTE))
        return torch.logsumexp(torch.where(m < ASYMPTOTE, near, -m), dim=1)

    def weights(self, m: Tensor, log_value: Tensor) -> Tensor:
        log_value = log_value.view(-1, *[1] * (m.ndim - 1))
        return torch.exp(torch.nn.functional.logsigmoid(-m) - log_value)


@dataclass(frozen=True)
class CrossEntropy(Logistic):
    """L = Σ_n log(1 + Σ_{k≠y_n} e^{−m_{nk}}), m_{nk} = f_{y_n} − f_k: −log of the softmax at y_n, in nats.

    It is the logistic loss of the soft minimum −log Σ_k e^{−m_{nk}} of each sample's margins. For labels ±1 it is the
    logistic loss itself.

    Reference: Soudry et al. (2018); Ravi et al. (2024), for `Exponential` and `Logistic` of all m_{nk}.

    >>> f, y = torch.zeros(1, 2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    >>> CrossEntropy().log_value(f, y).exp() / 2  # log 4 for each of two samples
    tensor([1.3863], dtype=torch.float64)
    """

    name = "cross entropy"

    def log_value(self, f: Tensor, y: Tensor) -> Tensor:
        soft = soft_minimum(f * y)
        return super().log_value(soft, torch.ones_like(soft[0]))

    def weights(self, m: Tensor, log_value: Tensor) -> Tensor:
        soft = soft_minimum(m)
        sample = super().weights(soft, log_value)
        return sample.unsqueeze(-1) * torch.softmax(-m, dim=-1) if m.ndim > soft.ndim else sample


def soft_minimum(m: Tensor) -> Tensor:
    """−log Σ_k e^{−m_k} over the margins of each sample: (B, N, K − 1) → (B, N); margins (B, N) as they are."""
    return -torch.logsumexp(-m, dim=-1) if m.ndim == 3 else m


@dataclass(frozen=True)
class Squared(Loss):
    """L = ½ Σ (f − y)² over all entries of the targets y, which may be any numbers of any shape (N, …).

    Reference: Jin and Montúfar (2023), section 2.

    >>> Squared().log_value(torch.tensor([[1.0, 3.0]]), torch.tensor([1.0, 1.0])).exp()
    tensor([2.])
    """

    name = "squared"
    margin = False

    def log_value(self, f: Tensor, y: Tensor) -> Tensor:
        # log of the norm, not of its square: residuals below 1e-154 would square to zero
        return 2.0 * torch.log(torch.linalg.vector_norm((f - y).flatten(1), dim=1)) - 0.6931471805599453

    def slope(self, f: Tensor, y: Tensor, log_value: Tensor) -> Tensor:
        return f - y


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Exponential(), Logistic(), Squared(), CrossEntropy())}


def find_loss(loss: str | Loss) -> Loss:
    """The loss of that name, or the loss itself. Raises ValueError for a name that is not one of `LOSSES`."""
    if isinstance(loss, Loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(map(repr, LOSSES))}, or a gd.losses.Loss; got {loss!r}")
    return LOSSES[loss]
