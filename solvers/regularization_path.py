"""The regularization path: the least loss within a ball of the induced regularizer, as the ball grows.

    β(c) = argmin { L(β) : R(β) ≤ c },      L = ln Σ_n e^{−m_n}  (exponential)  or  Σ_n ln(1 + e^{−m_n})  (logistic),

m_n = y_n⟨x_n, β⟩. With several classes the margins are m_{nk} = ⟨w_{y_n} − w_k, x_n⟩, k ≠ y_n, and there is a third
loss, Σ_n ln(1 + Σ_k e^{−m_{nk}}) (cross entropy). On separable data β(c)/R(β(c)) tends to a max-margin solution as
c → ∞; on data that no predictor separates it is the answer that exists. (ln Σ e^{−m} has the minimizers of Σ e^{−m} and
stays representable.)

How each radius is solved is in `solvers.least_loss`. The stopping rule is a proof: by convexity and the definition of
the dual norm,

    L(β) − L(β(c)) ≤ ⟨∇L(β), β⟩ + c R°(∇L(β)),                                                        (gap)

the Frank–Wolfe gap.

Reference: Rosset, Zhu, Hastie (2004), Theorem 3, for the limit; Jaggi (2013) for the gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.far_out import far_out
from solvers.free_intercept import with_intercept
from solvers.least_loss import BallProblem, LossPoint
from solvers.margin_losses import LogExponentialLoss, Loss, loss_of
from solvers.regularizers.regularizer import Regularizer
from solvers.search import Progress, Search, deadline_after
from solvers.validation import check_problem, check_regularizer, check_tolerance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MANY_TIMES = 30.0
"""Ratio of the last radius to the first from which a log axis shows more. A convention: such an axis has two labels."""
SMALLEST, LARGEST = 1e-140, 1e140
"""Between these c and c max‖a_n‖ have squares in float64's range."""


@dataclass(frozen=True, repr=False)
class RegularizationPath(Card):
    """β(c) at each radius, with what is proved about it."""

    radii: Array
    """c, shape (K,), increasing, in units of R."""
    predictors: Array
    """β(c), shape (K, *shape of β)."""
    losses: Array
    """L(β(c)), shape (K,)."""
    gaps: Array
    """Proved bound on L(β(c)) − min L, shape (K,)."""
    iterations: NDArray[np.int64]
    """Steps for each radius, shape (K,): of the gradient, and of Newton's method; none where a cone solver alone
    found the answer."""
    intercepts: Array
    """b(c), shape (K,); (K, M) of M outputs, (K, number of classes); zeros without `fit_intercept`."""

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw every coefficient of β(c), in units of c, against c.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes.
        """
        from solvers.plots import axes_for

        chosen: Axes = axes_for(axes)
        c = self.radii
        chosen.plot(c, self.predictors.reshape(c.size, -1) / c[:, None], ".-")
        log = float(c[-1]) > MANY_TIMES * float(c[0])
        chosen.set(xlabel="radius c [units of R]", ylabel="β(c)/c", title="regularization path, a line a coefficient")
        chosen.set_xscale("log" if log else "linear")
        return chosen


def regularization_path(
    X: ArrayLike,
    y: ArrayLike,
    radii: ArrayLike,
    regularizer: Regularizer | str,
    *,
    loss: Loss = "logistic",
    tol: float = 1e-6,
    max_steps: int = 20_000,
    fit_intercept: bool = False,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> RegularizationPath:
    """min L(β) s.t. R(β) ≤ c for every c in `radii`, each started from the one before. With `fit_intercept` the margins
    are y_n(⟨x_n, β⟩ + b), of classes ⟨w_{y_n} − w_k, x_n⟩ + b_{y_n} − b_k, and R does not penalize b.

    Args:
        X: as in `max_margin`; the data need not be separable.
        y: as in `max_margin`.
        radii: c > 0, shape (T,) or a scalar, in units of R; any order (sorted in the result).
        regularizer: a norm: L2(), Bridge(1), FourierBridge(1), Schatten(1), ConvKernel(…), a `Norm` of your own, or its
            name, such as "l1".
        loss: "exponential", "logistic", or "cross entropy" for labels of three classes and more (the logistic loss for
            ±1), where the others are sums over every m_{nk}.
        tol: the gap to stop at, relative to max(L, 1e-3·N), N the number of margins; absolute for ln Σ e^{−m}. In a
            ball with c max‖x_n‖ < 1 it is smaller by that factor. On separable data ln Σ e^{−m} falls like −c: where
            rounding a margin changes it by more than the tolerance, `gaps` says by how much.
        max_steps: for each radius; where they run out, `gaps` says how far it got.
        fit_intercept: whether there is an intercept b: `RegularizationPath.intercepts`.
        time_limit: seconds after which no further step is taken and no further radius begun: the path then ends at the
            radius reached, whose gap says how far it got.
        progress: called with (radii done, how many at most).

    Returns:
        RegularizationPath, radii increasing.

    Raises:
        TypeError: `regularizer` is none.
        ValueError: invalid data or loss; radii that are not positive, or outside 1e-140 … 1e140, by themselves or
            times the largest norm of a point; a regularizer that is not a norm (p < 1); "cross entropy" with labels
            (N, M), which are tasks of their own; an intercept with points of one class only.

    Reference: Rosset, Zhu, Hastie (2004), Theorem 3.

    >>> from solvers.regularizers import L2
    >>> path = regularization_path([[1.0, 0.0], [0.0, 1.0]], [1, -1], [1.0, 10.0], L2())
    >>> np.round(path.predictors[1] / 10.0, 3).tolist()
    [0.707, -0.707]
    """
    regularizer = check_regularizer(regularizer)
    problem = check_problem(X, y, regularizer)
    regularizer = problem.suited(regularizer)
    if not regularizer.is_norm:
        raise ValueError(
            f"{regularizer} is not a norm (p < 1): its ball is not convex and has no regularization path here"
        )
    check_tolerance(tol)
    c = np.sort(np.atleast_1d(real_array("radii", radii)))
    if c.ndim != 1 or c.size == 0 or not (np.isfinite(c).all() and c[0] > 0):
        raise ValueError(f"radii must be positive finite numbers; got {radii!r}")
    margin_loss = LogExponentialLoss() if loss == "exponential" else loss_of(loss, problem)
    ends = np.array([c[0], c[-1]])[:, None] * [1.0, max(problem.largest_norm, SMALLEST / c[0])]
    if not (ends.min() >= SMALLEST and ends.max() <= LARGEST):
        raise ValueError(
            f"radii from {c[0]:.1e} to {c[-1]:.1e}, with points of norm {problem.largest_norm:.1e} at most, give "
            f"predictors or margins whose squares leave float64's range: both radius and radius times norm must lie "
            f"between {SMALLEST:.0e} and {LARGEST:.0e}. Choose other radii, or rescale X"
        )
    search = Search(tol, deadline=deadline_after(time_limit), progress=progress)
    limit = cache(lambda: None if fit_intercept else far_out(problem, regularizer, margin_loss))
    rows: list[LossPoint] = []
    found: list[tuple[Array, Array]] = []
    no_intercept = np.zeros(problem.shape[:1] if problem.matrix else ())
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows closes no gap
        while search.goes_on(len(rows), c.size):
            radius = float(c[len(rows)])
            lifted = with_intercept(problem, regularizer, margin_loss, radius) if fit_intercept else None
            inner, norm = (problem, regularizer) if lifted is None else lifted[:2]
            start = rows[-1].beta if rows else np.zeros(inner.shape)
            ball = BallProblem(inner, norm, margin_loss, radius, tol, max_steps, search.deadline)
            rows.append(ball.solve(start, limit))
            found.append((rows[-1].beta, no_intercept) if lifted is None else lifted[2](rows[-1].beta))
    betas, intercepts = zip(*found, strict=True)
    return RegularizationPath(
        radii=c[: len(rows)],
        predictors=np.stack(betas),
        losses=np.array([row.value for row in rows]),
        gaps=np.array([row.gap for row in rows]),
        iterations=np.array([row.iterations for row in rows], dtype=np.int64),
        intercepts=np.stack(intercepts),
    )
