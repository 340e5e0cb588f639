"""Wrong networks and wrong kernel sizes: predictions about R_K, and KKT points of networks without a closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from compare.channels.channel_data import ChannelData
from compare.channels.channel_limits import ChannelLimit, checks, measure
from compare.data.dataset import Dataset
from compare.experiments.channels import ChannelComparison
from compare.margin.evidence import RESOLUTION, of_kkt
from compare.margin.flow_and_solution import ARRIVED
from compare.margin.output_limits import KKT
from compare.mutants.trial import Mutant, Trial
from compare.reports.report import Check
from gd.flow.flow_limit import flow_limit
from gd.flow.limit import Limit
from gd.networks.linear import Convolutional, FullyConnected
from solvers.arrays import Array
from solvers.max_margin import max_margin
from solvers.regularizers import ConvKernel


def channel_trial(data: ChannelData, kernel: int, channels: int, seed: int, init: float) -> Trial:
    """A multi-channel CNN with kernels of K taps: R_K against R_{K−1}, R_{K+1}, and the limits K = 1 and K = D."""
    asked = ChannelComparison(data, kernels=(kernel,), channels=(channels,), seeds=(seed,), init=init)
    (run,) = measure(data, kernel, asked)
    D = data.grid[0]
    sizes = [K for K in dict.fromkeys((kernel - 1, kernel + 1, 1, D)) if kernel != K and 1 <= K <= D]
    wrong = []
    for K in sizes:
        optimum = max_margin(data.X, data.y, ConvKernel(K, data.channels))
        apart = abs(optimum.objective / run.optimum.objective - 1.0)
        wrong.append(Mutant(f"R_{K}", channel_check(replace(run, optimum=optimum)), apart))
    return Trial(
        f"multi-channel CNN, K={kernel}, C={channels}", data.name, (Mutant(f"R_{kernel}", channel_check(run)), *wrong)
    )


def channel_check(run: ChannelLimit) -> Check:
    """The comparison's own check that the flow ends at the optimum."""
    return checks([[run]], signals=True)[0]


class Seen(nn.Module):
    """A network that sees its inputs through a fixed map: the same weights, another function."""

    def __init__(self, network: nn.Module, through: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.through = network, through

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.network(self.through(x))
        return found


class Pointwise(nn.Module):
    """A function as an activation."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Activated(nn.Module):
    """The weights of a fully connected network of depth 2 with an activation in between: W₂ σ(W₁x)."""

    def __init__(self, network: FullyConnected, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weights, self.activation = network.weights, activation

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.activation(x @ self.weights[0].T) @ self.weights[1].T
        return found


def padding_trial(dataset: Dataset, kernel: int, depth: int, seed: int, init: float) -> Trial:
    """Zero padding: the same weights in a circular network, and in networks whose inputs are moved or reversed."""
    D = dataset.X.shape[1]
    network = Convolutional(D, depth, kernel=kernel, padding="zero", scale=init, seed=seed)
    circular = Convolutional(D, depth, kernel=kernel, padding="circular", scale=init, seed=seed)
    wrong = {
        "circular padding": circular,
        "inputs moved by one": Seen(network, lambda x: torch.roll(x, 1, -1)),
        "inputs reversed": Seen(network, lambda x: torch.flip(x, (-1,))),
    }
    return kkt_trial(f"zero padding, kernel {kernel}, L={depth}", dataset.name, network, dataset.X, dataset.y, wrong)


def outputs_trial(name: str, X: Array, labels: Array, seed: int, init: float) -> Trial:
    """Several outputs, depth 2: the same weights with a rectifier or a square in between, or permuted inputs."""
    network = FullyConnected(X.shape[1], 2, outputs=labels.shape[1], scale=init, seed=seed)
    wrong = {
        "a rectifier in between": Activated(network, torch.relu),
        "a square in between": Activated(network, torch.square),
        "inputs permuted": Seen(network, lambda x: x.flip(-1)),
    }
    return kkt_trial("several outputs, L=2", name, network, X, labels, wrong)


def relu_kkt_trial(name: str, X: Array, y: Array, width: int, seed: int) -> Trial:
    """A two-layer ReLU network of torch's default initialization, whose units die slowly: other activations."""
    torch.manual_seed(seed)
    before, after = (nn.Linear(a, b, bias=False).double() for a, b in ((X.shape[1], width), (width, 1)))

    def network(activation: nn.Module) -> nn.Module:
        return nn.Sequential(before, activation, after, nn.Flatten(0))

    own = network(nn.ReLU())
    wrong = {
        "a leaky ReLU, s = 0.001": network(nn.LeakyReLU(1e-3)),
        "a leaky ReLU, s = 0.1": network(nn.LeakyReLU(0.1)),
        "absolute values": network(Pointwise(torch.abs)),
        "squared ReLUs": network(Pointwise(lambda x: torch.relu(x).square())),
        "no activation": network(nn.Identity()),
        "inputs reversed": Seen(own, lambda x: x.flip(-1)),
    }
    return kkt_trial(f"two-layer ReLU, width {width}, KKT point", name, own, X, y, wrong, settle=ARRIVED)


def kkt_trial(
    row: str,
    data: str,
    network: nn.Module,
    X: Array,
    y: Array,
    wrong: dict[str, nn.Module],
    settle: float | None = None,
) -> Trial:
    """The flow of one network, its direction held to the KKT conditions of that network's problem and of others'."""
    limit = flow_limit(network, X, y, settle=settle)
    right = Mutant("its own problem", kkt_check(f"{row}: a KKT point of its own problem", limit, network, X, y))
    mutants = []
    for claim, other in wrong.items():
        check = kkt_check(f"{row}: a KKT point of the problem with {claim}", limit, other, X, y)
        mutants.append(Mutant(claim, check, apart=polished_residual(limit, other, X, y)))
    return Trial(row, data, (right, *mutants))


def kkt_check(statement: str, limit: Limit, claimed: nn.Module, X: Array, y: Array) -> Check:
    """As the comparisons of padding and of several outputs make it."""
    return Check.of(statement, of_kkt(limit, claimed, X, y), RESOLUTION, reference=KKT)


def polished_residual(limit: Limit, claimed: nn.Module, X: Array, y: Array) -> float:
    """The figure at the polished, certified KKT point of the right problem, with its multipliers."""
    polished = replace(limit.integrated, weights=limit.weights, dual=limit.dual)
    return of_kkt(replace(limit, integrated=polished), claimed, X, y).figure
