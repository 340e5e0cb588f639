"""The networks, and how gradient descent trains them: step by step (`descend`) or to the limit (`flow_limit`)."""

from gd.acceleration import DualAcceleration
from gd.armijo import ArmijoLineSearch
from gd.descend import SCHEDULES, descend
from gd.linear_network import LinearNetwork
from gd.losses import Exponential, Logistic, Squared
from gd.networks import Convolutional, Diagonal, FullyConnected
from gd.rescaling import ProgressiveRescaling
from gd.schedule import ConstantStep, LossNormalized
from gd.trajectory import RunStatus, Trajectory

__all__ = [
    "LinearNetwork", "FullyConnected", "Diagonal", "Convolutional",
    "descend", "Trajectory", "RunStatus",
    "SCHEDULES", "ConstantStep", "LossNormalized", "ArmijoLineSearch", "DualAcceleration", "ProgressiveRescaling",
    "Exponential", "Logistic", "Squared",
]
