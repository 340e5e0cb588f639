"""The networks, and how gradient descent trains them: step by step (`descend`) or to the limit (`flow_limit`)."""

from gd.linear_network import LinearNetwork
from gd.networks import Convolutional, Diagonal, FullyConnected

__all__ = ["LinearNetwork", "FullyConnected", "Diagonal", "Convolutional"]
