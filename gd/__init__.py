"""The networks, and how gradient descent trains them: step by step (`descend`) or to the limit (`flow_limit`)."""

from gd.acceleration import DualAcceleration
from gd.armijo import ArmijoLineSearch
from gd.descend import SCHEDULES, descend
from gd.flow_limit import flow_limit
from gd.generators import ConvGenerator
from gd.generators_encoder_decoder import EncoderDecoder
from gd.image_descend import ImageTrajectory, descend_image
from gd.image_stopping import NoiseLevel, Oracle, RunningVariance
from gd.limit import FlowPath, FlowStatus, Limit
from gd.linear_network import LinearNetwork
from gd.losses import Exponential, Logistic, Squared
from gd.module_map import NotHomogeneousError
from gd.multi_channel import MultiChannelCNN, MultiChannelReLU
from gd.networks import Convolutional, Diagonal, FullyConnected
from gd.rescaling import ProgressiveRescaling
from gd.schedule import ConstantStep, LossNormalized
from gd.squared_flow import SquaredLimit, SquaredStatus, squared_flow_limit
from gd.trajectory import Hypotheses, RunStatus, Trajectory
from gd.two_layer_generators import ToyGenerator, TwoLayerGenerator
from gd.wide_relu import WideReLU

__all__ = [
    "LinearNetwork", "FullyConnected", "Diagonal", "Convolutional", "MultiChannelCNN", "MultiChannelReLU",
    "WideReLU", "ConvGenerator", "EncoderDecoder", "TwoLayerGenerator", "ToyGenerator",
    "descend", "Trajectory", "RunStatus", "Hypotheses", "descend_image", "ImageTrajectory",
    "Oracle", "NoiseLevel", "RunningVariance",
    "flow_limit", "Limit", "FlowStatus", "FlowPath", "NotHomogeneousError",
    "squared_flow_limit", "SquaredLimit", "SquaredStatus",
    "SCHEDULES", "ConstantStep", "LossNormalized", "ArmijoLineSearch", "DualAcceleration", "ProgressiveRescaling",
    "Exponential", "Logistic", "Squared",
]  # fmt: skip
