"""The optimizers by name."""

from __future__ import annotations

import math

from gd.optimizers.adagrad import AdaGrad
from gd.optimizers.adam import Adam
from gd.optimizers.gradient_descent import GradientDescent
from gd.optimizers.mirror import MirrorDescent
from gd.optimizers.optimizer import Optimizer
from gd.optimizers.steepest import SteepestDescent
from gd.optimizers.torch_optimizer import Factory, TorchOptimizer
from gd.optimizers.weight_norm import EntrywiseNorm, SpectralNorm

OPTIMIZERS: dict[str, Optimizer] = {
    "gradient": GradientDescent(),
    "momentum": GradientDescent(momentum=0.9),
    "sign": SteepestDescent(in_norm=EntrywiseNorm(math.inf)),
    "signum": SteepestDescent(in_norm=EntrywiseNorm(math.inf), momentum=0.9),
    "coordinate": SteepestDescent(in_norm=EntrywiseNorm(1.0)),
    "spectral": SteepestDescent(in_norm=SpectralNorm()),
    "muon": SteepestDescent(in_norm=SpectralNorm(newton_schulz=5), momentum=0.95),
    "adam": Adam(),
    "adagrad": AdaGrad(),
    "mirror": MirrorDescent(),
}


def find_optimizer(optimizer: str | Optimizer | Factory) -> Optimizer:
    """The optimizer of that name, the optimizer itself, or that of a torch factory.

    Raises ValueError for a name that is none of `OPTIMIZERS`.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if callable(optimizer):
        return TorchOptimizer(factory=optimizer)
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"optimizer must be one of {', '.join(map(repr, OPTIMIZERS))}, a gd.Optimizer, or a function of parameters "
            f"that returns a torch.optim.Optimizer; got {optimizer!r}"
        )
    return OPTIMIZERS[optimizer]
