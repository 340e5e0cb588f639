"""Programs that are stacks of matrices: every parameter is one, and enters one product with one row for each item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from gd.piecewise.program import Program, Rectifier, Ref, references


@dataclass(frozen=True)
class Matrix:
    """A parameter that enters once, as h @ W, or h @ Wᵀ (`transposed`), with one row h for each item."""

    node: int
    input: int
    transposed: bool


def matrices(program: Program, parameters: Sequence[Tensor]) -> list[Matrix] | None:
    """The layers, one for each parameter in order, if every parameter is a matrix used in one product; else None."""
    if program.n_weight_units or not program.nodes[program.output.index].item:
        return None
    found: dict[int, Matrix] = {}
    turned = dict.fromkeys(range(program.n_parameters), False)
    origin = {i: i for i in range(program.n_parameters)}
    for index, node in enumerate(program.nodes):
        if node.func is None or not node.trained:
            continue
        name = "" if isinstance(node.func, Rectifier) else node.func._schema.name
        weights = [i for i in references(node) if not program.nodes[i].item]
        if not node.item:
            if name != "aten::t" and (name != "aten::permute" or list(node.args[1]) != [1, 0]):
                return None
            origin[index], turned[index] = origin[weights[0]], not turned[weights[0]]
        elif weights:
            if name != "aten::mm" or node.args[1] != Ref(weights[0]) or origin[weights[0]] in found:
                return None
            found[origin[weights[0]]] = Matrix(index, node.args[0].index, turned[weights[0]])
    if len(found) < program.n_parameters:
        return None
    values = program.evaluate(parameters).values
    layers = [found[i] for i in range(program.n_parameters)]
    return layers if all(values[layer.input].shape[1] == 1 for layer in layers) else None
