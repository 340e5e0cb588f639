"""The explicit problems: induced regularizers, their minimizers, and certificates. numpy and scipy only."""

from solvers.bridge import BridgeSolution
from solvers.conv_kernel import ConvKernel
from solvers.induced_regularizer import ConvKernelSolution, induced_regularizer
from solvers.max_margin import certify, max_margin
from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer, Schatten
from solvers.solution import Certificate, IllConditionedError, NotSeparableError, Solution, Status
from solvers.spectral_factorization import spectral_factorization

__version__ = "0.1.0"

__all__ = [
    "max_margin",
    "certify",
    "Regularizer",
    "L2",
    "Bridge",
    "FourierBridge",
    "Schatten",
    "ConvKernel",
    "induced_regularizer",
    "spectral_factorization",
    "Solution",
    "ConvKernelSolution",
    "BridgeSolution",
    "Certificate",
    "Status",
    "NotSeparableError",
    "IllConditionedError",
]
