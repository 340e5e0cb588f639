"""What a torch function computes: its calls of torch operations, in order, as the dispatcher sees them.

Whatever a module writes (`nn.ReLU`, `F.relu(…, inplace=True)`, `h[h < 0] = 0`, `h * (h > 0)`), below its Python code
there is a small set of operations without side effects: `torch.func.functionalize` turns operations in place and on
views into pure ones, and a dispatch mode lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class UntraceableError(ValueError):
    """The function cannot be followed: what it computes is not one fixed list of operations."""


class ReadsDataError(ValueError):
    """What is computed depends on values of the data, so one sample does not stand for all."""


@dataclass(frozen=True)
class Result:
    """A reference to a value of the trace: an input, or a result of a call."""

    index: int


@dataclass(frozen=True)
class Call:
    """One operation; its arguments are constants, `Result`s, or lists of these."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    results: tuple[Result, ...]
    values: tuple[Any, ...]
    """What it returned, at the inputs of the trace."""


@dataclass(frozen=True)
class Trace:
    """The calls of one evaluation; results 0, 1, … are its inputs."""

    calls: Sequence[Call]
    output: Result | Tensor


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """`change` applied to every leaf of nested lists, tuples and dictionaries."""
    if isinstance(value, list | tuple):
        return type(value)(mapped(change, item) for item in value)
    if isinstance(value, dict):
        return {key: mapped(change, item) for key, item in value.items()}
    return change(value)


SHAPE_IN_PLACE = ("squeeze_", "unsqueeze_", "t_", "transpose_")
"""What `functionalize` leaves: torch.matmul shapes its own fresh result in place."""


def _pure(func: Any) -> Any:
    name, overload = func._schema.name.removeprefix("aten::"), func._schema.overload_name or "default"
    return getattr(getattr(torch.ops.aten, name[:-1]), overload) if name in SHAPE_IN_PLACE else func


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps every call; all tensors seen stay alive, so that their identities stay distinct."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not asked of torch.compile, which is not in use and takes seconds to import."""
        return False

    def __init__(self, inputs: Sequence[Tensor], n_trained: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trained = set(range(n_trained))
        self.calls: list[Call] = []
        self.alive: list[Tensor] = []
        self.known: dict[int, Result] = {}
        for value in inputs:
            self.keep(value)

    def keep(self, value: Tensor) -> Result:
        result = Result(len(self.alive))
        self.alive.append(value)
        self.known[id(value)] = result
        return result

    def reference(self, value: Any) -> Any:
        return self.known.get(id(value), value) if isinstance(value, Tensor) else value

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        named = dict(kwargs or {})
        name = str(func._schema.name)
        references = mapped(self.reference, args), mapped(self.reference, named)
        found: list[Result] = []
        mapped(lambda leaf: found.append(leaf) if isinstance(leaf, Result) else None, list(references))
        if found and name == "aten::_local_scalar_dense":
            if not any(result.index in self.trained for result in found):
                raise ReadsDataError("the forward pass reads a number out of the data")
            raise UntraceableError(
                "the forward pass reads a number out of a tensor that depends on its inputs or weights (an `if`, "
                "`float(…)` or `.item()`), so it takes different ways at different weights, and kinks on the others "
                "cannot be seen. Write the choice with torch.where or torch.relu"
            )
        random = torch.Tag.nondeterministic_seeded in func.tags and name != "aten::rrelu_with_noise"
        if random:
            raise UntraceableError(
                f"the forward pass draws random numbers ({name}), so it is no fixed function of the weights; call "
                "model.eval() to switch dropout off"
            )
        out = func(*args, **named)
        values = tuple(out) if isinstance(out, list | tuple) else (out,)
        tensors = tuple(v for v in values if isinstance(v, Tensor))
        results = tuple(self.keep(v) for v in tensors)
        if any(result.index in self.trained for result in found):
            self.trained |= {result.index for result in results}
        self.calls.append(Call(_pure(func), *references, results, values))
        return out


def trace(function: Callable[..., Tensor], parameters: Sequence[Tensor], *data: Tensor) -> Trace:
    """The calls that `function(*parameters, *data)` makes.

    Raises UntraceableError where they depend on the parameters' values or on chance, ReadsDataError where on values of
    the data.
    """
    inputs = (*parameters, *data)
    recorder = _Recorder(inputs, len(parameters))
    with torch.no_grad(), recorder:
        output = torch.func.functionalize(function)(*inputs)
    return Trace(recorder.calls, recorder.reference(output))
