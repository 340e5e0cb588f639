"""Whether the limit of a two-layer ReLU network is the network of least norm: its weights handed to `solvers.relu`.

However the module is written, f(x) = Σ_j a_j φ(w_j · x) with φ(t) = above·t for t > 0, else below·t, the steeper slope
of size one (`gd.piecewise.two_layers`): φ is ±σ(±t) with σ(t) = max(t, s t), and signs move into w and a.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from gd.piecewise.two_layers import TwoLayers
from solvers.arrays import Array
from solvers.relu.certificate import GlobalOptimum, ReluCertificate
from solvers.relu.margin import certify_relu

ONE = 1e-9  # a slope that differs from zero or one by less was measured on outputs, which leaves 1e-15 to 1e-12


@dataclass(frozen=True)
class TwoLayerRelu:
    """f(x) = Σ_j a_j σ(w_j · x), σ(t) = max(t, s t), and the points that it classifies."""

    X: Array = field(repr=False)
    """What the first layer is applied to, times the constant factors of the network, shape (N, D)."""
    y: Array = field(repr=False)
    """Labels ±1, shape (N,)."""
    hidden: Array = field(repr=False)
    """w, shape (units, D)."""
    output: Array = field(repr=False)
    """a, shape (units,)."""
    slope: float
    """s of the leaky ReLU; 0 for the ReLU."""

    @property
    def margins(self) -> Array:
        """y_n f(x_n), shape (N,)."""
        t = self.X @ self.hidden.T
        return np.asarray(self.y * (np.maximum(t, self.slope * t) @ self.output))


def two_layer_relu(net: TwoLayers | None, inputs: Tensor, labels: Tensor) -> TwoLayerRelu | None:
    """The network in this form; None where it has none: another architecture, or slopes of opposite signs as in |t|."""
    if net is None:
        return None
    upwards = abs(net.above) >= abs(net.below)
    steep, flat = (net.above, net.below) if upwards else (-net.below, -net.above)
    slope = flat / steep
    if not -ONE < slope < 1.0 - ONE:
        return None
    X, W, a = (part.detach().cpu().numpy() for part in (net.X, net.W, net.a))
    y, given = labels.detach().cpu().numpy().ravel(), inputs.detach().cpu().numpy()
    if X.size == given.size and (X.ravel() * given.ravel()).sum() < 0:  # points as given, signs in w
        X, W = -X, -W
    return TwoLayerRelu(X, y, W if upwards else -W, a * np.sign(steep), 0.0 if abs(slope) <= ONE else slope)


def certified(
    net: TwoLayerRelu, tol: float, *, accuracy: float, n_starts: int, seed: int, max_steps: int, time_limit: float
) -> ReluCertificate:
    """The certificate of a limit whose value is known to `accuracy`, relatively: less than that is no difference."""
    found = certify_relu(
        net.X,
        net.y,
        net.hidden,
        net.output,
        slope=net.slope,
        tol=tol,
        n_starts=n_starts,
        seed=seed,
        max_steps=max_steps,
        time_limit=time_limit,
    )
    if found.cheaper is not None and not found.cheaper.value < (1.0 - accuracy) * found.value:
        return replace(found, verdict=GlobalOptimum.UNKNOWN)
    return found
