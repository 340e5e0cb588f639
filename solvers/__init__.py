"""The explicit problems: induced regularizers, their minimizers, and certificates. numpy and scipy only."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from solvers.conv_kernel.margin import ConvKernelSolution
from solvers.conv_kernel.semidefinite import RankReduction, SemidefiniteValue, conv_kernel_sdp, reduce_rank
from solvers.conv_kernel.value import InducedRegularizer
from solvers.factorization.spectral_factorization import SpectralFactor, spectral_factorization
from solvers.filters.compressive_sensing import FourierMeasurement, Recovery, gaussian_measurement, kernel_recovery
from solvers.filters.dual_kernel import DualKernel, dual_kernel, gaussian_kernel, triangle_kernel
from solvers.filters.early_stopping import SpectralFilter, early_stopping_filter, tikhonov_filter, truncated_filter
from solvers.filters.early_stopping_error import ErrorSplit, StoppingTime, best_stopping_time, predicted_error
from solvers.induced_regularizer import induced_regularizer
from solvers.interpolation.min_norm import Interpolation, min_norm
from solvers.interpolation.row_space import InconsistentDataError
from solvers.logistic_limit import LimitCertificate, LogisticLimit, logistic_limit
from solvers.max_margin import certify, max_margin
from solvers.regularization_path import RegularizationPath, regularization_path
from solvers.regularizers import (
    L2,
    REGULARIZERS,
    Bridge,
    ConvKernel,
    FourierBridge,
    LargestLayer,
    Mahalanobis,
    Norm,
    QuasiNorm,
    Regularizer,
    Schatten,
    regularizer_from_name,
)
from solvers.regularizers.balanced_potential import BalancedPotential
from solvers.regularizers.diagonal_potential import DiagonalPotential
from solvers.regularizers.difference_potential import DifferencePotential
from solvers.regularizers.hyperbolic_entropy import HyperbolicEntropy
from solvers.regularizers.potential import Potential, SeparablePotential
from solvers.relu.certificate import GlobalOptimum, ReluCertificate, ReluSolution
from solvers.relu.margin import certify_relu, relu_max_margin
from solvers.separable_part import SeparablePart, SplitProof
from solvers.solution import Certificate, IllConditionedError, NotSeparableError, Solution, Status, Uniqueness
from solvers.splines.curvature_weights import ConstantWeight, CurvatureWeight, FunctionWeight
from solvers.splines.density_initialization import DensityInit
from solvers.splines.initial_distributions import BinaryUniformInit, GaussianInit, InitialDistribution, UniformInit
from solvers.splines.kernel_interpolant import KernelInterpolant, kernel_interpolant
from solvers.splines.rich_regime import RichInterpolant, rich_interpolant
from solvers.splines.spline_certificate import SplineCertificate
from solvers.splines.vector_kernels import (
    DeepReLUKernel,
    GaussianInputs,
    InputLaw,
    SphereInputs,
    VectorInterpolant,
    VectorKernel,
    vector_interpolant,
)
from solvers.splines.weighted_spline import WeightedSpline, weighted_spline
from solvers.stationary_points import BridgeSolution

if TYPE_CHECKING:
    from solvers.classifier import MaxMarginClassifier
    from solvers.expressions import conv_kernel_norm, fourier_l1

__version__ = "0.1.0"

_ON_DEMAND = {
    "MaxMarginClassifier": "solvers.classifier",  # needs scikit-learn, which takes seconds to import
    "fourier_l1": "solvers.expressions",  # needs cvxpy, likewise
    "conv_kernel_norm": "solvers.expressions",
}


def __getattr__(name: str) -> Any:
    """The names whose libraries are slow to import, loaded when they are asked for."""
    if name in _ON_DEMAND:
        return getattr(import_module(_ON_DEMAND[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    # max margin: the functions, the regularizers, the answers
    "max_margin", "certify", "induced_regularizer", "regularization_path", "MaxMarginClassifier",
    "Regularizer", "Norm", "QuasiNorm", "REGULARIZERS", "regularizer_from_name",
    "L2", "Bridge", "FourierBridge", "Schatten", "Mahalanobis", "LargestLayer", "ConvKernel",
    "Solution", "BridgeSolution", "ConvKernelSolution", "InducedRegularizer", "Certificate", "Status", "Uniqueness",
    "RegularizationPath",
    "NotSeparableError", "IllConditionedError",
    # data that no predictor separates: where gradient descent goes all the same
    "logistic_limit", "LogisticLimit", "LimitCertificate", "SeparablePart", "SplitProof",
    # regression: the least norm or potential that fits
    "min_norm", "Interpolation", "InconsistentDataError", "Potential", "SeparablePotential",
    "HyperbolicEntropy", "DiagonalPotential", "DifferencePotential", "BalancedPotential",
    # two-layer ReLU networks: the one of least norm, and whether a given one is it
    "relu_max_margin", "certify_relu", "ReluSolution", "ReluCertificate", "GlobalOptimum",
    # cvxpy expressions, and the factorization behind the convolution lemma
    "fourier_l1", "conv_kernel_norm", "spectral_factorization", "SpectralFactor",
    # the textbook semidefinite program of R_K, and its solution with few channels
    "conv_kernel_sdp", "SemidefiniteValue", "reduce_rank", "RankReduction",
    # one-input networks: splines and the initializations they come from
    "weighted_spline", "kernel_interpolant", "rich_interpolant",
    "WeightedSpline", "KernelInterpolant", "RichInterpolant", "SplineCertificate",
    "vector_interpolant", "VectorInterpolant", "VectorKernel", "InputLaw", "GaussianInputs", "SphereInputs",
    "DeepReLUKernel",
    "InitialDistribution", "GaussianInit", "UniformInit", "BinaryUniformInit", "DensityInit",
    "CurvatureWeight", "ConstantWeight", "FunctionWeight",
    # convolutional generators: the kernel, its filters, what they predict
    "dual_kernel", "triangle_kernel", "gaussian_kernel", "DualKernel",
    "early_stopping_filter", "tikhonov_filter", "truncated_filter", "SpectralFilter",
    "predicted_error", "ErrorSplit", "best_stopping_time", "StoppingTime",
    "kernel_recovery", "Recovery", "FourierMeasurement", "gaussian_measurement",
]  # fmt: skip
