"""How training ends: one family of statuses, one enum for each way of training. The value is the sentence to read."""

from __future__ import annotations

from enum import Enum


class TrainingStatus(Enum):
    """What all statuses share: they print as their sentence."""

    def __str__(self) -> str:
        return str(self.value)


class FlowStatus(TrainingStatus):
    """What is known about a limit of gradient flow on a margin loss.

    Reference: Lyu, Li (2020), Theorem 4.4 (KKT points); Gunasekar et al. (2018), Theorems 1 and 2.

    >>> FlowStatus.OPTIMAL.converged, FlowStatus.SADDLE.converged
    (True, False)
    """

    OPTIMAL = (
        "Proved optimal: the duality gap of the induced problem is closed, no predictor is better. "
        "`Limit.reached` says what ties the flow to it."
    )
    STATIONARY = (
        "Stationary: a KKT point of min ½‖w‖² s.t. margins ≥ 1 with no negative curvature along its constraints; the "
        "problem is nonconvex, so no more is claimed. `Limit.reached` says what ties the flow to it."
    )
    LOCKED = (
        "Stationary, but not the induced problem's solution: this initialization keeps coefficients of the predictor "
        "from changing sign, so the theorem's assumption fails and the max-margin prediction does not apply."
    )
    SADDLE = (
        "A saddle: the weights are nearly stationary, the induced problem's duality gap is open, and small weights "
        "would still grow (`Limit.integrated.growth`); the flow had not left within the steps allowed."
    )
    UNFINISHED = (
        "Not converged: the residuals stayed above the tolerance, or the smallest margin below zero, within the steps "
        "and the time allowed; read them, not the limit."
    )
    NOT_SEPARATED = (
        "Not separated: the smallest margin did not become positive before the flow was given up, since it had come to "
        "rest or run for very long. So the loss was not shown to tend to zero, and no theorem on the limit applies."
    )

    @property
    def converged(self) -> bool:
        """Whether the limit itself was found (rather than a point on the way)."""
        return self in (FlowStatus.OPTIMAL, FlowStatus.STATIONARY, FlowStatus.LOCKED)


class SquaredStatus(TrainingStatus):
    """How gradient flow of the squared loss ended.

    >>> print(SquaredStatus.STOPPED_IN_TIME)
    Followed to the last time asked for; the residuals are those of that time.
    """

    FITTED = "Fitted: the residuals are below the tolerance, and the flow was followed to the accuracy asked for."
    STOPPED_IN_TIME = "Followed to the last time asked for; the residuals are those of that time."
    DEGENERATE = (
        "Not fitted: what is left of the residual lies where the tangent kernel is zero to rounding, so the flow has "
        "no way to reduce it; the network is too narrow for these data."
    )
    UNFINISHED = "Not finished: the residuals stayed above the tolerance within the steps allowed."


class OptimizerStatus(TrainingStatus):
    """What is known about the limit of an optimizer's run.

    >>> OptimizerStatus.OPTIMAL.converged, OptimizerStatus.UNFINISHED.converged
    (True, False)
    """

    OPTIMAL = (
        "Proved optimal: the duality gap of the max-margin problem in the optimizer's norm is closed, and its value "
        "lies between the run's own bounds."
    )
    STATIONARY = (
        "Stationary: a KKT point of min ‖w‖ s.t. margins ≥ 1 in the optimizer's norm, near the run's direction; the "
        "problem is nonconvex, so no more is claimed."
    )
    UNFINISHED = (
        "Not finished: no certified point was found from the run within the steps allowed; read the run's own bounds."
    )
    NOT_SEPARATED = (
        "Not separated: the smallest margin did not become positive within the steps allowed. Normalized steps must "
        "first outgrow the initial weights: start from smaller ones, or allow more steps."
    )

    @property
    def converged(self) -> bool:
        """Whether a limit was found."""
        return self in (OptimizerStatus.OPTIMAL, OptimizerStatus.STATIONARY)


class RunStatus(TrainingStatus):
    """How gradient descent ended.

    >>> print(RunStatus.FINISHED)
    Finished: all steps were taken.
    """

    FINISHED = "Finished: all steps were taken."
    NONFINITE = "Stopped: the next step made the weights or the loss non-finite; the last finite weights are kept."
    OUT_OF_TIME = "Out of time: stopped at the time limit, before all steps were taken."
    STALLED = "Stalled: in floating point the weights did not change between the last two snapshots."


class LinearFlowStatus(TrainingStatus):
    """How the flow of a linear predictor in ln t ended.

    >>> print(LinearFlowStatus.FOLLOWED)
    Followed to the last time asked for.
    """

    FOLLOWED = "Followed to the last time asked for."
    UNRESOLVED = (
        "Given up: rounding errors of the gradient count before margins that grow were told from margins that stay "
        "bounded."
    )
