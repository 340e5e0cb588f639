"""The networks, and how gradient descent trains them: step by step (`descend`) or to the limit (`flow_limit`)."""

from gd.acceleration import DualAcceleration
from gd.armijo import ArmijoLineSearch
from gd.descend import SCHEDULES, descend
from gd.flow_limit import flow_limit
from gd.generators import ConvGenerator
from gd.image_descend import ImageTrajectory, descend_image
from gd.limit import FlowStatus, Limit
from gd.linear_network import LinearNetwork
from gd.losses import Exponential, Logistic, Squared
from gd.multi_channel import MultiChannelCNN, MultiChannelReLU
from gd.networks import Convolutional, Diagonal, FullyConnected
from gd.rescaling import ProgressiveRescaling
from gd.schedule import ConstantStep, LossNormalized
from gd.squared_flow import SquaredLimit, SquaredStatus, squared_flow_limit
from gd.trajectory import Hypotheses, RunStatus, Trajectory
from gd.two_layer_generators import TwoLayerGenerator
from gd.wide_relu import WideReLU

__all__ = [
    "LinearNetwork", "FullyConnected", "Diagonal", "Convolutional", "MultiChannelCNN", "MultiChannelReLU",
    "WideReLU", "ConvGenerator", "TwoLayerGenerator",
    "descend", "Trajectory", "RunStatus", "Hypotheses", "descend_image", "ImageTrajectory",
    "flow_limit", "Limit", "FlowStatus", "squared_flow_limit", "SquaredLimit", "SquaredStatus",
    "SCHEDULES", "ConstantStep", "LossNormalized", "ArmijoLineSearch", "DualAcceleration", "ProgressiveRescaling",
    "Exponential", "Logistic", "Squared",
]
