"""What a solver hands back: an answer, its certificate, and one sentence on what has been proved about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvers.agreements import Agreements, of_certificate, of_solution
from solvers.arrays import Array
from solvers.card import Card
from solvers.storage import Stored

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from solvers.separable_part import SeparablePart


class Status(Enum):
    """What is known about an answer. The value is the sentence to read; only a closed gap is called optimal."""

    OPTIMAL = "Optimal: the duality gap is closed to the tolerance asked for."
    STATIONARY = "Stationary: the first-order conditions hold; the problem is nonconvex, so no more is claimed."
    BOUNDED = "Not proved optimal: the best value found and the lower bound are reported, and they differ."
    INACCURATE = "Not certified: the residuals stayed above the tolerance asked for; the certificate says how far."

    def __str__(self) -> str:
        return self.value


class Uniqueness(Enum):
    """Whether a minimizer is the only one. True in a condition only where that is proved.

    >>> bool(Uniqueness.UNIQUE), bool(Uniqueness.NOT_UNIQUE), bool(Uniqueness.UNKNOWN)
    (True, False, False)
    """

    UNIQUE = "This minimizer is the only one."
    NOT_UNIQUE = "There are other minimizers."
    UNKNOWN = "Whether there are other minimizers is not known."

    def __str__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        return self is Uniqueness.UNIQUE

    @property
    def known(self) -> bool | None:
        """True, False, or None where it is not known: for tables and JSON."""
        return None if self is Uniqueness.UNKNOWN else self is Uniqueness.UNIQUE


@dataclass(frozen=True, repr=False)
class Certificate(Card):
    """The evidence for one β in min R(β) s.t. m_n(β) = y_n⟨x_n, β⟩ ≥ 1, with multipliers α ≥ 0, R°(Aᵀα) ≤ 1.

    For a norm R the relative gap splits exactly into two nonnegative parts (for feasible β):

        R(β) − 1ᵀα  =  [ R(β) − ⟨Aᵀα, β⟩ ]  +  Σ_n α_n (m_n(β) − 1)
           gap              stationarity            complementarity        (each divided by R(β))

    All entries are dimensionless except `objective`, `lower_bound` (units of R) and `margin` (units of y·x·β).
    """

    objective: float
    """R(β), of β as given."""
    lower_bound: float
    """1ᵀα: no feasible β has a smaller value. −inf when R has no dual norm."""
    margin: float
    """min_n y_n⟨x_n, β⟩; 1 for a solution, anything for a gradient-descent iterate."""
    primal: float
    """Violation max(0, 1 − margin)."""
    gap: float | None
    """(R(β) − 1ᵀα) / R(β), β as given; None when R has no dual norm; inf when the margin is not positive."""
    direction_gap: float | None
    """The same for β/margin: how far the *direction* is from optimal. inf when the margin is not positive."""
    stationarity: float
    """Distance of Aᵀα from a subgradient of R at β, relative; insensitive to the scale of β and α."""
    complementarity: float
    """Σ α_n |m_n/margin − 1| / Σ α_n: zero when multipliers sit on the closest points only."""
    support_size: int | None
    """Number of nonzero coefficients (Bridge, FourierBridge), else None."""
    dual: Array = field(repr=False)
    """The multipliers α ≥ 0, shape (number of constraints,), scaled to R°(Aᵀα) = 1 where R is a norm."""

    @property
    def worst(self) -> float:
        """The largest of the violations of β as given: primal, gap, stationarity, complementarity.

        Where there is no gap a margin above one takes its place, 1 − 1/margin: no constraint is active at such a β, so
        it is not a stationary point, however good its direction.
        """
        if math.isnan(self.margin + self.objective + self.stationarity + self.complementarity):
            return math.inf  # every comparison with a nan is false, and max() drops it: nothing is proved
        scale = max(0.0, 1.0 - 1.0 / self.margin) if self.gap is None and self.margin > 0 else abs(self.gap or 0.0)
        return max(self.primal, scale, self.stationarity, self.complementarity)

    @property
    def proves(self) -> tuple[Status, ...]:
        """Every status that it proves at some tolerance; tolerances are below 1."""
        open_status = (Status.INACCURATE,) if self.gap is None else (Status.INACCURATE, Status.BOUNDED)
        closed = Status.STATIONARY if self.gap is None else Status.OPTIMAL
        return (*open_status, closed) if self.worst < 1.0 else open_status

    def in_short(self) -> str:
        """The violation that is largest."""
        return f"worst violation {self.worst:.2g}"

    def agreements(self) -> Agreements:
        """What holds between its fields."""
        return of_certificate(self)


@dataclass(frozen=True, repr=False)
class Solution(Stored, Card):
    """A predictor and what is proved about it."""

    beta: Array
    """The predictor, shape X.shape[1:]; min_n y_n⟨x_n, β⟩ = 1."""
    dual: Array = field(repr=False)
    """Multipliers α ≥ 0 of the constraints, shape of y."""
    objective: float
    """R(β), in the 1-homogeneous form of the regularizer."""
    lower_bound: float
    """Proved lower bound on the optimal value; −inf when there is none."""
    status: Status
    """What is proved about `beta`; prints a sentence."""
    unique: Uniqueness
    """Whether the minimizer is the only one."""
    certificate: Certificate
    """The evidence for `status`; `certificate.worst` is the one number to read."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """How the answer was found: `method`, `iterations`, …"""
    intercept: float | Array = 0.0
    """b of fit_intercept=True: a number, (M,) for M outputs, (K,) of sum zero for K classes; else 0."""
    classes: NDArray[Any] = field(default_factory=lambda: np.array([-1.0, 1.0]))
    """The labels as they were given: those that stand for −1 and +1, or all K, row k of β belonging to number k."""

    def in_short(self) -> str:
        """Value and status."""
        return f"R(β) = {self.objective:.6g}, {self.status.name}"

    def agreements(self) -> Agreements:
        """What holds between its fields."""
        return of_solution(self)

    def each(self, change: Callable[[Solution], Solution]) -> Solution:
        """This solution and every one that it holds, changed."""
        return change(self)

    def decision_function(self, X: ArrayLike) -> Array:
        """⟨x, β⟩ + b, shape (N,); (N, M) for M outputs; (N, K) for K classes, ⟨x, w_k⟩ + b_k."""
        from solvers.prediction import scores

        return scores(X, self.beta, self.intercept, rows=self.dual.ndim == 2)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The label of each point, shape (N,), in the kind that `y` was given in; ±1 of shape (N, M) for M outputs.

        Args:
            X: points in the shape of those that were fitted, (N, …).

        Raises:
            ValueError: X has another shape, or is not of finite numbers.

        >>> from solvers import L2, max_margin
        >>> solution = max_margin([[2.0, 1.0], [-1.0, 0.0]], ["yes", "no"], L2())
        >>> solution.predict([[3.0, 0.0], [-3.0, 1.0]]).tolist()
        ['yes', 'no']
        """
        from solvers.prediction import labels_of

        return labels_of(self.decision_function(X), self.classes)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw β: its coefficients, or a picture of an image or of several outputs.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes.
        """
        from solvers.plots import plot_predictor

        return plot_predictor(self.beta, f"max margin, R(β) = {self.objective:.6g}, {self.status.name.lower()}", axes)


@dataclass(frozen=True)
class Candidate:
    """What a method found, before anything is proved: `solvers.certificate.certified` makes a `Solution` of it."""

    beta: Array
    """The predictor, in the problem's shape."""
    dual: Array
    """Multipliers, any scale and any shape with one entry a constraint."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    objective: float | None = None
    """R(β), where the method has it at hand; else it is computed."""
    lower_bound: float = -math.inf
    """A lower bound on the optimal value that the method has proved otherwise than by `dual`."""
    by_cones: bool = False
    """Whether the conic formulation has been tried: it is no last resort then."""

    def completed(self, solution: Solution) -> Solution:
        """The solution with what else the method found."""
        return solution


class NoSolverError(ValueError):
    """The regularizer has no method that minimizes it. A given predictor can be certified all the same."""

    def __init__(self, regularizer: object, why: str) -> None:
        super().__init__(
            f"{regularizer} {why}. `certify(X, y, beta, R, dual=…)` certifies a given predictor with multipliers; "
            "those of a network's own flow are `dual` of `gd.flow_limit(model, X, y)`, whose certificate does just that"
        )


class IllConditionedError(ArithmeticError):
    """The data separate, but by a relative margin below 1e-10, and float64 did not resolve the answer.

    Attributes:
        relative_margin: the ℓ2 margin 1/‖β‖₂ of the points scaled to norm one.
    """

    def __init__(self, relative_margin: float, reached: str) -> None:
        self.relative_margin = relative_margin
        super().__init__(
            f"the data separate only by a relative margin of {relative_margin:.1e} (l2 margin of the points scaled to "
            f"norm one), too little for this problem in float64: {reached}. Remove points that nearly contradict each "
            "other, or give features more digits; L2() is the most accurate regularizer here."
        )


class NotSeparableError(ValueError):
    """No predictor classifies the data: there is no margin to maximize.

    A traceback shows, besides the message, where the certificate is and what to call instead.

    Attributes:
        farkas: α ≥ 0, Σα = 1, with Σ_n α_n y_n x_n ≈ 0 (shape of y): a convex combination of the signed points that
            is the origin, which is impossible for separable data. For K classes α_{nk}, shape (N, K − 1), of the rows
            (e_{y_n} − e_k) ⊗ x_n.
        residual: ‖Σ_n α_n y_n x_n‖₂ divided by the largest ‖x_n‖₂ (of any row).
    """

    def __init__(self, farkas: Array, residual: float, rows: Any = None, *, intercept: bool = False) -> None:
        self.farkas = farkas
        self.residual = residual
        self._rows = rows
        involved = np.unique(np.nonzero(farkas > 1e-12)[0])
        what = "signed points y_n x_n" if farkas.ndim == 1 else "points' constraints"
        shown = ", ".join(map(str, involved[:8])) + (", …" if involved.size > 8 else "")
        where = "linearly separable, with any intercept" if intercept else "linearly separable through the origin"
        advice = (
            "Remove or relabel points. "
            if intercept
            else "An intercept may help (fit_intercept=True; or a column of ones, on the command line --offset, which "
            "is penalized), unless one point has several labels; else remove or relabel points. "
        )
        super().__init__(
            f"the data are not {where}: a convex combination of the {involved.size} "
            f"{what} with n in [{shown}] is zero to within rounding (relative residual {residual:.1e}). There is no "
            f"max-margin predictor. {advice}".rstrip()
        )
        self.add_note(
            "`error.farkas` holds the weights of that combination; `error.split` says which constraints can still be "
            "separated while the others are kept at zero; logistic_limit(X, y) says where gradient descent goes"
        )

    @cached_property
    def split(self) -> SeparablePart:
        """Which constraints can be separated, and which cannot, with its two certificates; computed when asked for.

        Raises IllConditionedError where float64 does not resolve it, and AttributeError for a predictor that is not
        linear, which has no such split.
        """
        if self._rows is None:
            raise AttributeError("the constraints are not linear in a predictor, so there is no split of them")
        from solvers.separable_part import separable_part

        return separable_part(self._rows)
