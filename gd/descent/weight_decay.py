"""A one-input ReLU network trained with weight decay on both layers: the rich regime.

    minimize over a, w, b, d:   ½ Σ_i (f(x_i) − y_i)² + (μ/2) Σ_j (a_j² + w_j²),     f(x) = Σ_j a_j [w_j x + b_j]₊ + d.

Biases are free. At a minimum |a_j| = |w_j|, the decay is μ Σ_j |a_j w_j| ≥ μ R(f), and as μ → 0 the network tends to
the interpolants of least R, those of `solvers.rich_interpolant` with linear="penalized". Gradient flow of this
objective ends at its stationary points; they are looked for here by L-BFGS with μ lowered in stages, from one seeded
start, and nothing guarantees the global one: compare R(f) with the exact value.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, minimize

from gd.data import on_cpu
from gd.gradient_mode import with_gradients
from gd.networks.wide_relu import LinearPieces
from solvers.arrays import Array
from solvers.card import Card
from solvers.search import Progress, deadline_after
from solvers.splines.piecewise import Piecewise
from solvers.validation import finite_array


@dataclass(frozen=True, repr=False)
class DecayedNetwork(Card):
    """The network at the end of training. Callable; `pieces()` is its function."""

    outer: Array = field(repr=False)
    """a, shape (width,)."""
    weight: Array = field(repr=False)
    """w, shape (width,)."""
    bias: Array = field(repr=False)
    """b, shape (width,)."""
    offset: float
    """d."""
    decay: float
    """The last μ, in units of y²/(a² + w²)."""
    residual: float
    """max_i |f(x_i) − y_i|; of order μ times the multipliers."""
    iterations: int
    """L-BFGS iterations over all stages."""

    def __call__(self, x: ArrayLike) -> Array:
        points = np.asarray(x, dtype=np.float64)
        return np.maximum(points[..., None] * self.weight + self.bias, 0.0) @ self.outer + self.offset

    @property
    def half_norm(self) -> float:
        """½ Σ_j (a_j² + w_j²), an upper bound on R(f)."""
        return 0.5 * float(self.outer @ self.outer + self.weight @ self.weight)

    def pieces(self) -> LinearPieces:
        """The function exactly: breaks at −b/w and the line of each piece."""
        a, w, b = self.outer, self.weight, self.bias
        return LinearPieces.of_units(w, b, a * w, a * b, self.offset)

    def as_piecewise(self) -> Piecewise:
        return self.pieces().as_piecewise()


@with_gradients
def train_with_decay(
    x: ArrayLike,
    y: ArrayLike,
    *,
    width: int = 200,
    decays: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5),
    scale: float = 1.0,
    seed: int = 0,
    iterations: int = 3000,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> DecayedNetwork:
    """Train on (x, y), each of shape (M,), lowering μ through `decays`.

    The start: w, a Gaussian with standard deviation scale/width^{1/2}, breakpoints uniform over the data's interval
    and a half beyond.

    Args:
        x: points, shape (M,).
        y: targets, shape (M,).
        width: hidden units.
        decays: μ of each stage, in units of y²/(a² + w²).
        scale: multiplies the standard deviation of the initial weights.
        seed: of the initial weights.
        iterations: of L-BFGS at most in each stage.
        time_limit: seconds after which no further iteration is taken and no further stage begun; the first stage takes
            one iteration in any case.
        progress: called with (stages done, stages) after each.

    Returns:
        The network at the end of the last stage that was begun, with the μ of that stage as `decay`.

    Raises:
        ValueError: x and y are not finite vectors of one length, or a decay or the time limit is not positive.

    Reference: Savarese, Evron, Soudry, Srebro (2019), *How do infinite width bounded norm networks look in function
    space?*

    >>> net = train_with_decay([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], width=20)
    >>> net.residual < 1e-3
    True
    """
    x, y = finite_array("x", on_cpu(x)), finite_array("y", on_cpu(y))
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y must be finite vectors of one length, got shapes {x.shape} and {y.shape}")
    if width < 1 or not decays or min(decays) <= 0:
        raise ValueError(f"width must be positive and every decay too, got width={width}, decays={decays}")
    deadline = deadline_after(time_limit)

    def out_of_time(intermediate_result: OptimizeResult) -> None:
        if time.monotonic() >= deadline:
            raise StopIteration

    generator = np.random.default_rng(seed)
    a, w = scale * generator.standard_normal((2, width)) / np.sqrt(width)
    reach = float(np.ptp(x)) or 1.0
    b = -w * generator.uniform(x.min() - reach / 2, x.max() + reach / 2, width)
    theta = np.concatenate([a, w, b, [y.mean()]])
    used, reached = 0, decays[0]
    for done, decay in enumerate(decays, 1):
        if used and time.monotonic() >= deadline:
            break
        reached = decay
        found = minimize(
            _objective, theta, (x, y, decay), "L-BFGS-B", jac=True,
            options={"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-10},
            callback=out_of_time,
        )  # fmt: skip
        theta, used = found.x, used + int(found.nit)
        if progress is not None:
            progress(done, len(decays))
    a, w, b = np.split(theta[:-1], 3)
    net = DecayedNetwork(a, w, b, float(theta[-1]), reached, 0.0, used)
    return replace(net, residual=float(np.abs(net(x) - y).max()))


def _objective(theta: Array, x: Array, y: Array, decay: float) -> tuple[float, Array]:
    a, w, b = np.split(theta[:-1], 3)
    before = x[:, None] * w + b
    act = np.maximum(before, 0.0)
    r = act @ a + theta[-1] - y
    inner = (before > 0) * (r[:, None] * a)
    gradient = np.concatenate([act.T @ r + decay * a, x @ inner + decay * w, inner.sum(axis=0), [r.sum()]])
    return 0.5 * float(r @ r) + 0.5 * decay * float(a @ a + w @ w), gradient
