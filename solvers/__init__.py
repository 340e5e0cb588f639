"""The explicit problems: induced regularizers, their minimizers, and certificates. numpy and scipy only."""

from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer
from solvers.solution import Certificate, NotSeparableError, Solution, Status

__version__ = "0.1.0"

__all__ = [
    "Regularizer", "L2", "Bridge", "FourierBridge",
    "Solution", "Certificate", "Status", "NotSeparableError",
]
