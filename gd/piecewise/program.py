"""A traced function as a program: operations on weights, on data, and rectifiers whose states can be held.

The trace is that of one item of the data (one sample; or all of them, where samples meet). The program evaluates it
for many items at once: values that depend on an item have a leading axis of R rows, values of weights alone have none.
A rectifier is

    out = z (b + (a − b) γ) + (a − b) e,      γ = [z > 0], e = 0 unless given,                              (1)

with slopes a above zero and b below. With gates γ held, all outputs and all z are smooth functions of the weights, and
∂/∂e is the sensitivity of an output to that rectifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd.piecewise.batching import Items, batched
from gd.piecewise.trace import mapped


@dataclass(frozen=True)
class Ref:
    """The value of a node."""

    index: int


@dataclass(frozen=True)
class Node:
    """One operation of the program, or an input of it (`func` None)."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    item: bool
    """Whether the value depends on the item, and so has the leading axis."""
    trained: bool
    """Whether the value depends on the weights."""


@dataclass(frozen=True)
class Rectifier:
    """The operation (1); its gates are the columns `start … start + size` of the gates of items, or of weights."""

    above: Any
    below: Any
    start: int
    size: int

    def __call__(self, z: Tensor, gate: Tensor, offset: Tensor | None) -> Tensor:
        jump = self.above - self.below
        out: Tensor = z * (self.below + jump * gate.reshape(z.shape))
        return out if offset is None else out + jump * offset.reshape(z.shape)


@dataclass(frozen=True)
class States:
    """Gates and offsets of all rectifiers: of items (R, U), of weights (V,)."""

    of_items: Tensor
    of_weights: Tensor


@dataclass(frozen=True)
class Evaluation:
    """What one run of the program gives."""

    output: Tensor
    """(R, M)."""
    z_items: Tensor
    """(R, U): pre-activations that depend on the item."""
    z_weights: Tensor
    """(V,): pre-activations of weights alone."""
    values: Sequence[Any]
    """Of every node."""


class Program:
    """Nodes in order: first the parameters, then the item, then operations."""

    def __init__(self, nodes: Sequence[Node], n_parameters: int, output: Any, items: Tensor) -> None:
        self.nodes, self.n_parameters, self.output = list(nodes), n_parameters, output
        self.n_units = sum(n.func.size for n in nodes if isinstance(n.func, Rectifier) and n.item)
        self.n_weight_units = sum(n.func.size for n in nodes if isinstance(n.func, Rectifier) and not n.item)
        # whatever depends on the data alone is computed once
        self._data: list[Any] = [None] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            if node.item and not node.trained:
                self._data[index] = items if node.func is None else call(self.nodes, node, self._data)
        self._shared = [i for i, n in enumerate(self.nodes) if not n.item and i >= n_parameters]
        self._running = [i for i, n in enumerate(self.nodes) if n.item and n.trained and i >= n_parameters]
        used = set()
        for i in self._running:
            used |= set(references(self.nodes[i]))
        self._inputs = [i for i, n in enumerate(self.nodes) if n.item and not n.trained and i in used]
        self._items, self.n_items = items, int(items.shape[0])

    def expanded(self) -> Program:
        """The same program with weights of their own for every row; columns of gates of items come first."""
        nodes = []
        for index, node in enumerate(self.nodes):
            func = node.func
            if isinstance(func, Rectifier) and not node.item:
                func = Rectifier(func.above, func.below, self.n_units + func.start, func.size)
            is_item = node.item or node.trained or index < self.n_parameters
            nodes.append(Node(func, node.args, node.kwargs, is_item, node.trained))
        return Program(nodes, self.n_parameters, self.output, self._items)

    def evaluate(
        self,
        parameters: Sequence[Tensor],
        rows: Tensor | None = None,
        gates: States | None = None,
        offsets: States | None = None,
        taps: dict[int, Tensor | None] | None = None,
    ) -> Evaluation:
        """Run the program.

        Args:
            parameters: the weights, one tensor each.
            rows: the items of the rows, (R,); all items in order unless given.
            gates: γ; the rectifiers' own signs unless given. Those of items have one row for each row of the result.
            offsets: e.
            taps: nodes to whose values a zero is added, by which derivatives can be taken; filled with these zeros.
        """
        values: list[Any] = [None] * len(self.nodes)
        values[: self.n_parameters] = parameters
        for index in self._inputs:
            data = self._data[index]
            values[index] = data if rows is None else data[rows]
        count = self.n_items if rows is None else int(rows.shape[0])
        z_items: list[Tensor] = []
        z_weights: list[Tensor] = []
        for index in (*self._shared, *self._running):
            node = self.nodes[index]
            if isinstance(node.func, Rectifier):
                z = values[node.args[0].index]
                seen = z_items if node.item else z_weights
                seen.append(z.reshape(count, -1) if node.item else z.reshape(-1))
                gate = _part(node, gates)
                gate = (z > 0).to(z.dtype) if gate is None else gate
                out = node.func(z, gate, _part(node, offsets))
            else:
                out = call(self.nodes, node, values)
            if taps is not None and index in taps:
                taps[index] = zero = torch.zeros_like(out, requires_grad=True)
                out = out + zero
            values[index] = out
        last = self.nodes[self.output.index]
        output = values[self.output.index]
        output = output.reshape(count, -1) if last.item else output.reshape(1, -1).expand(count, -1)
        like = parameters[0]
        return Evaluation(
            output,
            torch.cat(z_items, 1) if z_items else like.new_zeros(count, 0),
            torch.cat(z_weights) if z_weights else like.new_zeros(0),
            values,
        )


def _part(node: Node, states: States | None) -> Tensor | None:
    """The columns of one rectifier."""
    if states is None:
        return None
    start, stop = node.func.start, node.func.start + node.func.size
    return states.of_items[:, start:stop] if node.item else states.of_weights[start:stop]


def references(node: Node) -> list[int]:
    """The nodes whose values a node takes."""
    found: list[int] = []
    mapped(lambda leaf: found.append(leaf.index) if isinstance(leaf, Ref) else None, [node.args, dict(node.kwargs)])
    return found


def call(nodes: Sequence[Node], node: Node, values: Sequence[Any]) -> Any:
    """The value of an operation that is no rectifier, from the values of the nodes before it."""

    def filled(leaf: Any) -> Any:
        if not isinstance(leaf, Ref):
            return leaf
        value = values[leaf.index]
        return Items(value) if nodes[leaf.index].item else value

    args, kwargs = mapped(filled, list(node.args)), mapped(filled, dict(node.kwargs))
    return batched(node.func, args, kwargs) if node.item else node.func(*args, **kwargs)
