"""Two-layer networks f(x) = Σ_j a_j φ(w_j·x), recognized by what a program computes, however it is written.

If a program is one, its pre-activations z_nj are linear in W alone: their gradients are the points x_n, in one of the
two orders in which a parameter holds the w_j. The slopes of φ are read off the outputs with all gates open, and all
closed. What is so read is then compared with the program at several weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gd.piecewise.program import Program, States

SAME = 1e-10  # relative: what the form computes and what the program does
AT_ONCE = 10**7  # entries of gradients that are held at a time


@dataclass(frozen=True)
class TwoLayers:
    """f(x) = Σ_j a_j φ(w_j·x), φ(z) = above·z for z > 0, else below·z, the steeper slope of size one."""

    X: Tensor
    """(N, D): what the first layer is applied to, times the constant factors of the network."""
    W: Tensor
    """(H, D)."""
    a: Tensor
    """(H,)."""
    above: float
    below: float
    first: int
    """Which of the two parameters is W."""
    by_units: bool
    """Whether it is stored unit by unit, as (H, D); else as (D, H)."""

    def at(self, weights: Sequence[Tensor]) -> TwoLayers:
        """The same network with other weights, in the program's own layout."""
        a = weights[1 - self.first].reshape(-1)
        W = weights[self.first]
        return replace(self, W=W.reshape(a.numel(), -1) if self.by_units else W.reshape(-1, a.numel()).T, a=a)

    def same_form(self, other: TwoLayers) -> bool:
        """Whether both are one function of their parameters."""
        if (self.first, self.by_units) != (other.first, other.by_units) or not _equal(self.X, other.X):
            return False
        return max(abs(self.above - other.above), abs(self.below - other.below)) <= SAME

    def theta(self, W: Tensor, a: Tensor) -> Tensor:
        """Other weights as θ (P,), in the program's own layout."""
        parts = [(W if self.by_units else W.T).flatten(), a]
        return torch.cat(parts if self.first == 0 else parts[::-1])


def two_layers(program: Program, probes: Sequence[Sequence[Tensor]]) -> TwoLayers | None:
    """The program in this form; None unless it is that at these weights, one tensor for each parameter."""
    weights = probes[0]
    if len(weights) != 2 or program.n_weight_units:
        return None
    with torch.no_grad():
        for first in (0, 1):
            if weights[1 - first].numel() == program.n_units and weights[first].numel() % program.n_units == 0:
                for found in _candidates(program, weights, first):
                    if all(_computes(found.at(one), program, one) for one in probes):
                        return found
    return None


def _candidates(program: Program, weights: Sequence[Tensor], first: int) -> Iterator[TwoLayers]:
    """The two forms with this parameter as W."""
    gradients, H = _gradients(program, weights, first), program.n_units
    for by_units in (True, False):
        X = (
            gradients.reshape(len(gradients), H, -1)[:, 0]
            if by_units
            else gradients.reshape(len(gradients), -1, H)[:, :, 0]
        )
        net = TwoLayers(X, X, X, 1.0, 0.0, first, by_units).at(weights)
        above, below = _slopes(net, program, weights)
        size = max(abs(above), abs(below))
        if size > 0:
            yield replace(net, X=size * X, above=above / size, below=below / size)


def _gradients(program: Program, weights: Sequence[Tensor], first: int) -> Tensor:
    """The gradients by a parameter of the first unit's pre-activations, (N, entries)."""
    alone, size = program.expanded(), weights[first].numel()
    found: list[Tensor] = []
    for items in torch.split(torch.arange(program.n_items, device=weights[0].device), max(AT_ONCE // size, 1)):
        held = [w.detach().expand(len(items), *w.shape) for w in weights]
        with torch.enable_grad():
            held[first] = held[first].clone().requires_grad_()
            z = alone.evaluate(held, items).z_items[:, 0]
            found += torch.autograd.grad(z.sum(), held[first], materialize_grads=True)
    return torch.cat(found).flatten(1)


def _slopes(net: TwoLayers, program: Program, weights: Sequence[Tensor]) -> tuple[float, float]:
    """φ′ above and below zero."""
    h = net.X @ net.W.T
    # with output weights of a sample's own pre-activations, the linear network is not zero there
    probe = h[h.norm(dim=1).argmax()]
    linear = h @ probe
    probed = [w if i == net.first else probe.reshape(w.shape) for i, w in enumerate(weights)]

    def slope(gates: Tensor) -> float:
        outputs = program.evaluate(probed, gates=States(gates, gates.new_zeros(0))).output[:, 0]
        return float(outputs @ linear / (linear @ linear))

    return slope(torch.ones_like(h)), slope(torch.zeros_like(h))


def _computes(net: TwoLayers, program: Program, weights: Sequence[Tensor]) -> bool:
    """Whether the outputs are those of the program, and the pre-activations are by a positive factor."""
    found, h = program.evaluate(weights), net.X @ net.W.T
    outputs = torch.where(h > 0, net.above * h, net.below * h) @ net.a
    scale = (h * found.z_items).sum() / (h * h).sum()
    return bool(scale > 0) and _equal(scale * h, found.z_items) and _equal(outputs[:, None], found.output)


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether they differ by rounding alone."""
    return one.shape == other.shape and float((one - other).abs().max()) <= SAME * float(other.abs().max())
