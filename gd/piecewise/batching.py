"""Torch operations on many items at once: an argument that depends on the item has a leading axis of rows.

`torch.vmap` does the same for any operation; the few that networks consist of are written out, because vmap costs more
than they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gd.piecewise.trace import mapped


@dataclass(frozen=True)
class Items:
    """An argument with a leading axis of rows."""

    value: Tensor


def batched(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`func` for every row of the arguments marked as `Items`, at least one; the result has the leading axis."""
    rule = RULES.get(func._schema.name)
    if rule is None and torch.Tag.pointwise in func.tags:
        rule = _pointwise
    if rule is not None and (out := rule(func, args, kwargs)) is not None:
        return out
    return _vmapped(func, args, kwargs)


def _vmapped(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    tensors: list[Tensor] = []

    def numbered(leaf: Any) -> Any:
        if not isinstance(leaf, Items):
            return leaf
        tensors.append(leaf.value)
        return _Place(len(tensors) - 1)

    named, places = mapped(numbered, dict(kwargs)), mapped(numbered, list(args))

    def one(*values: Tensor) -> Any:
        def filled(leaf: Any) -> Any:
            return values[leaf.index] if isinstance(leaf, _Place) else leaf

        return func(*mapped(filled, places), **mapped(filled, named))

    return torch.func.vmap(one)(*tensors)


@dataclass(frozen=True)
class _Place:
    index: int


def _pointwise(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Shapes are aligned from the right, so short items get axes of length one behind the rows."""
    rank = 0
    for leaf in args:
        if isinstance(leaf, Items):
            rank = max(rank, leaf.value.ndim - 1)
        elif isinstance(leaf, Tensor):
            rank = max(rank, leaf.ndim)

    def aligned(leaf: Any) -> Any:
        if not isinstance(leaf, Items):
            return leaf
        value, missing = leaf.value, rank + 1 - leaf.value.ndim
        return value.reshape(value.shape[0], *[1] * missing, *value.shape[1:]) if missing else value

    return func(*mapped(aligned, list(args)), **mapped(aligned, dict(kwargs)))


def _same(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Operations that do not look at the shape."""
    return func(args[0].value, *args[1:], **kwargs)


def _product(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    del func, kwargs
    left, right = (a.value if isinstance(a, Items) else a for a in args)
    return left @ right


def _matrix_vector(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    del func, kwargs
    matrix, vector = args
    if not isinstance(matrix, Items):
        return vector.value @ matrix.mT
    if not isinstance(vector, Items):
        return matrix.value @ vector
    return (matrix.value @ vector.value[..., None])[..., 0]


def _view(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    del func, kwargs
    value = args[0].value
    rows = value.shape[0]
    return value.reshape(rows, *args[1]) if rows else None


def _axis(position: int, default: Any = None) -> Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]:
    """A rule that moves the argument at `position`, an axis or a list of them, one to the right."""

    def rule(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if kwargs.get("dim") is not None or not isinstance(args[0], Items):
            return None
        value, given = args[0].value, list(args[1:])
        if len(args) <= position:
            if default is None:
                return None
            given += [default] * (position - len(given))
        rank = value.ndim - 1
        dim = given[position - 1]
        given[position - 1] = [d % rank + 1 for d in dim] if isinstance(dim, list | tuple) else dim % rank + 1
        return func(value, *given, **kwargs) if rank else None

    return rule


def _two_axes(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    value, first, second = args[0].value, args[1], args[2]
    rank = value.ndim - 1
    return value.transpose(first % rank + 1, second % rank + 1) if rank else None


def _unsqueeze(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    value, dim = args[0].value, args[1]
    return value.unsqueeze(dim % value.ndim + 1)


def _matrix_transpose(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    value = args[0].value
    return value.mT if value.ndim == 3 else value


def _permute(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    value = args[0].value
    return value.permute(0, *[d % (value.ndim - 1) + 1 for d in args[1]])


def _expand(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    value, size = args[0].value, args[1]
    missing = len(size) + 1 - value.ndim
    value = value.reshape(value.shape[0], *[1] * missing, *value.shape[1:])
    return value.expand(value.shape[0], *size)


def _whole(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    value = args[0].value.flatten(1) if args[0].value.ndim > 1 else args[0].value[:, None]
    return value.sum(1) if func._schema.name == "aten::sum" else value.mean(1)


def _reduction(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if kwargs:
        return None
    if len(args) == 1 or args[1] is None or len(args[1]) == 0:
        return _whole(func, args, kwargs) if len(args) == 1 else None
    return _axis(1)(func, args, kwargs)


def _joined(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """cat and stack."""
    parts, dim = args[0], args[1] if len(args) > 1 else 0
    rows = next(part.value.shape[0] for part in parts if isinstance(part, Items))
    values = [part.value if isinstance(part, Items) else part.expand(rows, *part.shape) for part in parts]
    rank = values[0].ndim - 1 + (func._schema.name == "aten::stack")
    return func(values, dim % rank + 1)


def _images(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Convolution and pooling of (R, B, C, …): rows and batch become one axis."""
    if not isinstance(args[0], Items) or any(isinstance(a, Items) for a in args[1:]) or kwargs:
        return None
    value = args[0].value
    named = {"aten::convolution": 5, "aten::avg_pool2d": 5, "aten::_adaptive_avg_pool2d": 5}
    if func._schema.name == "aten::convolution" and args[1].ndim != value.ndim - 1:
        return None
    if func._schema.name != "aten::convolution" and value.ndim != named[func._schema.name]:
        return None
    out = func(value.flatten(0, 1), *args[1:])
    return out.unflatten(0, value.shape[:2])


RULES: dict[str, Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]] = {
    "aten::mm": _product,
    "aten::bmm": _product,
    "aten::mv": _matrix_vector,
    "aten::view": _view,
    "aten::_unsafe_view": _view,
    "aten::t": _matrix_transpose,
    "aten::transpose": _two_axes,
    "aten::permute": _permute,
    "aten::unsqueeze": _unsqueeze,
    "aten::squeeze": _axis(1),
    "aten::select": _axis(1),
    "aten::slice": _axis(1, 0),
    "aten::expand": _expand,
    "aten::sum": _reduction,
    "aten::mean": _reduction,
    "aten::cat": _joined,
    "aten::stack": _joined,
    "aten::clone": _same,
    "aten::_to_copy": _same,
    "aten::detach": _same,
    "aten::alias": _same,
    "aten::convolution": _images,
    "aten::avg_pool2d": _images,
    "aten::_adaptive_avg_pool2d": _images,
}
