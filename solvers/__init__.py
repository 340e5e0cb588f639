"""The explicit problems: induced regularizers, their minimizers, and certificates. numpy and scipy only."""

from typing import TYPE_CHECKING, Any

from solvers.bridge import BridgeSolution
from solvers.conv_kernel import ConvKernel
from solvers.curvature_weights import ConstantWeight, CurvatureWeight, FunctionWeight
from solvers.density_initialization import DensityInit
from solvers.induced_regularizer import ConvKernelSolution, induced_regularizer
from solvers.initial_distributions import BinaryUniformInit, GaussianInit, InitialDistribution, UniformInit
from solvers.kernel_interpolant import KernelInterpolant, kernel_interpolant
from solvers.max_margin import certify, max_margin
from solvers.regularization_path import RegularizationPath, regularization_path
from solvers.regularizers import L2, Bridge, FourierBridge, Regularizer, Schatten
from solvers.rich_regime import RichInterpolant, rich_interpolant
from solvers.solution import Certificate, IllConditionedError, NotSeparableError, Solution, Status
from solvers.spectral_factorization import spectral_factorization
from solvers.spline_certificate import SplineCertificate
from solvers.weighted_spline import WeightedSpline, weighted_spline

if TYPE_CHECKING:
    from solvers.classifier import MaxMarginClassifier

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """MaxMarginClassifier, loaded when it is asked for: importing scikit-learn takes seconds."""
    if name == "MaxMarginClassifier":
        from solvers.classifier import MaxMarginClassifier

        return MaxMarginClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "max_margin",
    "certify",
    "regularization_path",
    "RegularizationPath",
    "MaxMarginClassifier",
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
    "weighted_spline",
    "WeightedSpline",
    "SplineCertificate",
    "kernel_interpolant",
    "KernelInterpolant",
    "rich_interpolant",
    "RichInterpolant",
    "CurvatureWeight",
    "ConstantWeight",
    "FunctionWeight",
    "InitialDistribution",
    "GaussianInit",
    "UniformInit",
    "BinaryUniformInit",
    "DensityInit",
]
