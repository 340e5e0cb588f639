"""The networks, and how gradient descent trains them: step by step (`descend`) or to the limit (`flow_limit`)."""

from gd.descent.acceleration import DualAcceleration
from gd.descent.armijo import ArmijoLineSearch
from gd.descent.bounds import Bounds, LossWeights
from gd.descent.descend import SCHEDULES, descend
from gd.descent.limit_search import OptimizerLimit
from gd.descent.optimal_face import OptimalFace
from gd.descent.optimizer_limit import optimizer_limit
from gd.descent.rescaling import ProgressiveRescaling
from gd.descent.schedule import ConstantStep, DecayingStep, LossNormalized, NormScaledStep
from gd.descent.trajectory import Hypotheses, Trajectory
from gd.descent.weight_decay import DecayedNetwork, train_with_decay
from gd.flow.flow_limit import flow_limit
from gd.flow.homogeneity import NotHomogeneousError
from gd.flow.limit import FlowPath, Integrated, Limit
from gd.flow.linear_flow import LinearFlow, linear_flow
from gd.flow.second_order import PointKind, SecondOrder
from gd.flow.termination import Reached
from gd.images.conv_generator import ConvGenerator
from gd.images.descend_image import ImageTrajectory, descend_image
from gd.images.encoder_decoder import EncoderDecoder
from gd.images.stopping_rules import NoiseLevel, Oracle, RunningVariance
from gd.images.two_layer_generator import ToyGenerator, TwoLayerGenerator
from gd.losses import CrossEntropy, Exponential, Logistic, Squared
from gd.networks.linear import Convolutional, Diagonal, FullyConnected
from gd.networks.linear_network import LinearNetwork
from gd.networks.matrix_factorization import MatrixFactorization
from gd.networks.mirrored_relu import DeepReLU, WideReLUVectors
from gd.networks.multi_channel import MultiChannelCNN, MultiChannelReLU
from gd.networks.wide_relu import WideReLU
from gd.optimizers.adagrad import AdaGrad
from gd.optimizers.adam import Adam
from gd.optimizers.gradient_descent import GradientDescent
from gd.optimizers.mirror import MirrorDescent
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.steepest import SteepestDescent
from gd.optimizers.table import OPTIMIZERS
from gd.optimizers.torch_optimizer import TorchOptimizer
from gd.optimizers.weight_norm import EntrywiseNorm, SpectralNorm, WeightNorm
from gd.squared.regression_limit import RegressionLimit
from gd.squared.squared_flow import squared_flow_limit
from gd.squared.squared_limit import SquaredLimit
from gd.status import FlowStatus, LinearFlowStatus, OptimizerStatus, RunStatus, SquaredStatus

__all__ = [
    "LinearNetwork", "FullyConnected", "Diagonal", "Convolutional", "MatrixFactorization",
    "MultiChannelCNN", "MultiChannelReLU", "WideReLU", "WideReLUVectors", "DeepReLU",
    "ConvGenerator", "EncoderDecoder", "TwoLayerGenerator", "ToyGenerator",
    "descend", "Trajectory", "RunStatus", "Hypotheses", "descend_image", "ImageTrajectory",
    "Oracle", "NoiseLevel", "RunningVariance",
    "flow_limit", "Limit", "FlowStatus", "Reached", "Integrated", "FlowPath", "NotHomogeneousError",
    "SecondOrder", "PointKind",
    "squared_flow_limit", "SquaredLimit", "RegressionLimit", "SquaredStatus",
    "linear_flow", "LinearFlow", "LinearFlowStatus",
    "train_with_decay", "DecayedNetwork",
    "OPTIMIZERS", "Optimizer", "GradientDescent", "SteepestDescent", "Adam", "AdaGrad", "MirrorDescent",
    "TorchOptimizer", "WeightNorm", "EntrywiseNorm", "SpectralNorm", "Bounds", "LossWeights",
    "optimizer_limit", "OptimizerLimit", "OptimizerStatus", "OptimalFace",
    "SCHEDULES", "ConstantStep", "DecayingStep", "NormScaledStep", "LossNormalized", "ArmijoLineSearch",
    "DualAcceleration", "ProgressiveRescaling",
    "CrossEntropy", "Exponential", "Logistic", "Squared",
]  # fmt: skip
