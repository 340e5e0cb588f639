"""Programs under construction: nodes with their values at random weights, by which jumps are measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd.piecewise.program import Node, Program, Rectifier, Ref, call, references
from gd.piecewise.trace import mapped

aten: Any = torch.ops.aten


class HiddenKinkError(ValueError):
    """The forward pass has an operation whose kinks cannot be located, so its gradient flow cannot be followed."""


JUMP = (
    "the forward pass compares pre-activations and the result jumps where they are equal, so f is no continuous "
    "function of the weights and has no gradient flow; a kink is written with torch.relu, torch.where(h > 0, …), abs, "
    "clamp or a maximum, elementwise"
)


def unknown_operation(name: str) -> str:
    return (
        f"the forward pass applies {name} to values that depend on the weights. Whether and where that has kinks is "
        "not known, so gradient flow might be integrated across them as if it were smooth. Write it with operations "
        "like torch.relu, abs, where, clamp, maximum, amax, max_pool1d, max_pool2d and smooth ones"
    )


@dataclass(frozen=True)
class Switch:
    """`on` where c > 0, else `off`, entry by entry; all three have the same shape for one item."""

    c: Ref
    on: Any
    off: Any


@dataclass(frozen=True)
class Undefined:
    """A result that must not be used, as the places of maxima."""

    name: str


@dataclass(frozen=True)
class Parts:
    values: tuple[Any, ...]


class Builder:
    """Nodes with their values at probes: several random weights, all items."""

    def __init__(self, probes: Sequence[Sequence[Tensor]], items: Tensor) -> None:
        self.nodes: list[Node] = []
        self.values: list[list[Any]] = [[] for _ in probes]
        self.start_items = self.start_weights = 0
        self.items = items
        for position in range(len(probes[0])):
            self._add(Node(None, (), {}, item=False, trained=True), [probe[position] for probe in probes])
        self.n_parameters = len(probes[0])
        self._add(Node(None, (), {}, item=True, trained=False), [items] * len(probes))

    def _add(self, node: Node, values: Sequence[Any]) -> Ref:
        self.nodes.append(node)
        for kept, value in zip(self.values, values, strict=True):
            kept.append(value)
        return Ref(len(self.nodes) - 1)

    def shape(self, value: Any) -> tuple[int, ...]:
        """Of one item."""
        if isinstance(value, Ref):
            full = tuple(self.values[0][value.index].shape)
            return full[1:] if self.nodes[value.index].item else full
        return tuple(value.shape) if isinstance(value, Tensor) else ()

    def trained(self, value: Any) -> bool:
        found: list[bool] = []
        mapped(lambda leaf: found.append(isinstance(leaf, Ref) and self.nodes[leaf.index].trained), value)
        return any(found)

    def vanishes(self, value: Any) -> bool:
        """Whether it is zero at all probes."""
        values = [v[value.index] for v in self.values] if isinstance(value, Ref) else [torch.as_tensor(value)]
        return not any(bool(v.any()) for v in values)

    def apply(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """The operation as a node; computed at once where its arguments are constants."""
        probe = Node(func, args, kwargs, item=False, trained=False)
        used = references(probe)
        if not used:
            return func(*args, **kwargs)
        node = Node(func, args, kwargs, any(self.nodes[i].item for i in used), any(self.nodes[i].trained for i in used))
        return self._add(node, [call(self.nodes, node, values) for values in self.values])

    def rectifier(self, z: Any, above: Any = 1.0, below: Any = 0.0) -> Any:
        """above·z where z > 0, below·z elsewhere; for constants and data that is no kink."""
        if not self.trained(z):
            return self.apply(
                aten.where.self, self.apply(aten.gt.Scalar, z, 0), self.times(above, z), self.times(below, z)
            )
        node, size = self.nodes[z.index], size_of(self.shape(z))
        start = self.start_items if node.item else self.start_weights
        if node.item:
            self.start_items += size
        else:
            self.start_weights += size
        operation = Rectifier(above, below, start, size)
        values = [operation(v[z.index], (v[z.index] > 0).to(v[z.index].dtype), None) for v in self.values]
        return self._add(Node(operation, (z,), {}, node.item, True), values)

    def times(self, factor: Any, z: Any) -> Any:
        return self.apply(aten.mul.Tensor, z, factor)

    def maximum(self, a: Any, b: Any) -> Any:
        for one, other in ((a, b), (b, a)):
            if self.vanishes(other) and self.shape(other) in ((), self.shape(one)):
                return self.rectifier(one)
        return self.apply(aten.add.Tensor, self.rectifier(self.apply(aten.sub.Tensor, a, b)), b)

    def minimum(self, a: Any, b: Any) -> Any:
        return self.apply(aten.sub.Tensor, b, self.rectifier(self.apply(aten.sub.Tensor, b, a)))

    def largest(self, x: Any, dim: int, keepdim: bool, sign: float = 1.0) -> Any:
        """The maximum along an axis (the minimum for sign −1), by halves."""
        rank = len(self.shape(x))
        if rank == 0:
            return x
        dim, pair = dim % rank, self.maximum if sign > 0 else self.minimum
        while (n := self.shape(x)[dim]) > 1:
            half = n // 2
            first, second = (self.apply(aten.slice.Tensor, x, dim, i, i + half) for i in (0, half))
            larger = pair(first, second)
            x = (
                larger
                if n == 2 * half
                else self.apply(aten.cat.default, [larger, self.apply(aten.slice.Tensor, x, dim, 2 * half, n)], dim)
            )
        return x if keepdim else self.apply(aten.squeeze.dim, x, dim)


def size_of(shape: Sequence[int]) -> int:
    """The number of entries."""
    return math.prod(shape)


def without_dead_code(builder: Builder, output: Ref, items: Tensor) -> Program:
    """Only what the output needs; rectifiers are numbered anew."""
    needed, todo = set(range(builder.n_parameters + 1)), [output.index]
    while todo:
        index = todo.pop()
        if index not in needed or index == output.index:
            needed.add(index)
            todo += [i for i in references(builder.nodes[index]) if i not in needed]
    place = {old: new for new, old in enumerate(sorted(needed))}
    starts = {True: 0, False: 0}
    nodes = []
    for old in sorted(needed):
        node = builder.nodes[old]
        func = node.func
        if isinstance(func, Rectifier):
            func = Rectifier(func.above, func.below, starts[node.item], func.size)
            starts[node.item] += func.size
        args, kwargs = (
            mapped(lambda leaf: Ref(place[leaf.index]) if isinstance(leaf, Ref) else leaf, part)
            for part in (tuple(node.args), dict(node.kwargs))
        )
        nodes.append(Node(func, args, kwargs, node.item, node.trained))
    return Program(nodes, builder.n_parameters, Ref(place[output.index]), items)
