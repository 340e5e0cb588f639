"""Operations with kinks of their own, rewritten by rectifiers: relu, abs, clamp, maxima, pooling, comparisons, …"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from gd.piecewise.builder import JUMP, Builder, HiddenKinkError, Parts, Switch, Undefined
from gd.piecewise.operations import COMPARISONS
from gd.piecewise.program import Ref

aten: Any = torch.ops.aten
Handler = Callable[[Builder, list[Any], dict[str, Any], tuple[Any, ...]], Any]


def _argument(args: list[Any], kwargs: Mapping[str, Any], position: int, name: str, default: Any = None) -> Any:
    return args[position] if len(args) > position else kwargs.get(name, default)


def _leaky(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    return builder.rectifier(args[0], 1.0, float(_argument(args, kwargs, 1, "negative_slope", 0.01)))


def _randomized_leaky(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    if _argument(args, kwargs, 4, "training", False):
        return Undefined("rrelu in training mode")
    lower, upper = _argument(args, kwargs, 2, "lower", 0.125), _argument(args, kwargs, 3, "upper", 1.0 / 3.0)
    return builder.rectifier(args[0], 1.0, (lower + upper) / 2.0)


def _clamped(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    return _between(builder, args[0], _argument(args, kwargs, 1, "min"), _argument(args, kwargs, 2, "max"))


def _between(builder: Builder, z: Any, least: Any, most: Any) -> Any:
    def binds(bound: Any) -> bool:
        return bound is not None and not (isinstance(bound, int | float) and math.isinf(bound))

    z = builder.maximum(z, least) if binds(least) else z
    return builder.minimum(z, most) if binds(most) else z


def _threshold(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    at, value = args[1], args[2]
    if at != value:
        raise HiddenKinkError(JUMP)
    return builder.maximum(args[0], at)


def _parametric(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    """prelu: a z + (1 − a)(z)₊."""
    z, slope = args[:2]
    positive = builder.rectifier(z)
    rest = builder.apply(aten.sub.Tensor, z, positive)
    return builder.apply(aten.add.Tensor, positive, builder.apply(aten.mul.Tensor, slope, rest))


def _extremes(sign: float, places: bool) -> Handler:
    def handler(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
        x, rank = args[0], len(builder.shape(args[0]))
        dims = _argument(args, kwargs, 1, "dim", [])
        keepdim = bool(_argument(args, kwargs, 2, "keepdim", False))
        dims = [dims] if isinstance(dims, int) else list(dims) or list(range(rank))
        for dim in sorted((d % max(rank, 1) for d in dims), reverse=True):
            x = builder.largest(x, dim, keepdim, sign)
        return Parts((x, Undefined("argmax"))) if places else x

    return handler


def _norm(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    x, order = args[0], float(_argument(args, kwargs, 1, "ord", 2))
    dims = _argument(args, kwargs, 2, "dim", None)
    keepdim = bool(_argument(args, kwargs, 3, "keepdim", False))
    dims = list(range(len(builder.shape(x)))) if dims is None else list(dims)
    if order == 1.0:
        return builder.apply(aten.sum.dim_IntList, builder.rectifier(x, 1.0, -1.0), dims, keepdim)
    if order == float("inf"):
        return _extremes(1.0, False)(builder, [builder.rectifier(x, 1.0, -1.0), dims, keepdim], {}, ())
    return builder.apply(aten.linalg_vector_norm.default, *args, **kwargs) if order > 1.0 else Undefined("norm")


def _comparison(name: str) -> Handler:
    def handler(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
        a, b = args[:2] if COMPARISONS[name] > 0 else (args[1], args[0])
        if isinstance(b, int | float) and b == 0:
            c = a
        elif isinstance(a, int | float) and a == 0:
            c = builder.apply(aten.neg.default, b)
        else:
            first, second = (a, b) if isinstance(a, Ref) else (b, a)
            c = builder.apply(aten.sub.Tensor, first, second)
            c = c if first is a else builder.apply(aten.neg.default, c)
        shape = builder.shape(c)
        return Switch(c, torch.ones(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool))

    return handler


def _sign(low: float) -> Handler:
    def handler(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
        shape = builder.shape(args[0])
        like = builder.values[0][args[0].index]
        return Switch(args[0], like.new_ones(shape), like.new_full(shape, low))

    return handler


def _max_pool2d(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    kernel = _argument(args, kwargs, 1, "kernel_size")
    stride = _argument(args, kwargs, 2, "stride", ()) or kernel
    pads = [_argument(args, kwargs, 3 + i, name, d) for i, (name, d) in enumerate((("padding", 0), ("dilation", 1)))]
    kernel, stride, padding, dilation = (_two(v) for v in (kernel, stride, *pads))
    shape, out = builder.shape(args[0]), tuple(values[0].shape)
    windows = [
        [[o * stride[k] - padding[k] + i * dilation[k] for i in range(kernel[k])] for o in range(out[k - 2])]
        for k in range(2)
    ]
    windows = [[[i for i in w if 0 <= i < shape[k - 2]] for w in windows[k]] for k in range(2)]
    return _pooled(builder, args[0], windows)


def _adaptive_max_pool2d(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    shape, out = builder.shape(args[0]), tuple(values[0].shape)
    windows = [
        [list(range(o * n // m, -(-((o + 1) * n) // m))) for o in range(m)]
        for n, m in zip(shape[-2:], out[-2:], strict=True)
    ]
    return _pooled(builder, args[0], windows)


def _pooled(builder: Builder, x: Any, windows: list[list[list[int]]]) -> Any:
    """Maxima over windows of the last two axes; short windows repeat their first element, which changes no maximum."""
    height, width = builder.shape(x)[-2:]
    longest = [max(map(len, axis)) for axis in windows]
    padded = [[(w + [w[0]] * longest[k])[: longest[k]] for w in axis] for k, axis in enumerate(windows)]
    rows, columns = (torch.tensor(axis) for axis in padded)  # (out, window)
    places = (rows[:, None, :, None] * width + columns[None, :, None, :]).reshape(len(rows), len(columns), -1)
    lead = list(builder.shape(x)[:-2])
    flat = builder.apply(aten.view.default, x, [*lead, height * width])
    taken = builder.apply(aten.index_select.default, flat, -1, places.flatten())
    taken = builder.apply(aten.view.default, taken, [*lead, *places.shape])
    return Parts((builder.largest(taken, -1, keepdim=False), Undefined("max_pool2d's indices")))


def _two(value: Any) -> tuple[int, int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    return (values[0], values[-1])


KINKS: dict[str, Handler] = {
    "relu": lambda builder, args, kwargs, values: builder.rectifier(args[0]),
    "abs": lambda builder, args, kwargs, values: builder.rectifier(args[0], 1.0, -1.0),
    "leaky_relu": _leaky,
    "rrelu_with_noise": _randomized_leaky,
    "clamp": _clamped,
    "hardtanh": lambda builder, args, kwargs, values: _between(builder, args[0], *[*args[1:], -1.0, 1.0][:2]),
    "clamp_min": lambda builder, args, kwargs, values: builder.maximum(args[0], args[1]),
    "clamp_max": lambda builder, args, kwargs, values: builder.minimum(args[0], args[1]),
    "threshold": _threshold,
    "_prelu_kernel": _parametric,
    "maximum": lambda builder, args, kwargs, values: builder.maximum(args[0], args[1]),
    "minimum": lambda builder, args, kwargs, values: builder.minimum(args[0], args[1]),
    "fmax": lambda builder, args, kwargs, values: builder.maximum(args[0], args[1]),
    "fmin": lambda builder, args, kwargs, values: builder.minimum(args[0], args[1]),
    "amax": _extremes(1.0, False),
    "amin": _extremes(-1.0, False),
    "linalg_vector_norm": _norm,
    "max_pool2d_with_indices": _max_pool2d,
    "adaptive_max_pool2d": _adaptive_max_pool2d,
    "sign": _sign(-1.0),
    "sgn": _sign(-1.0),
    "heaviside": _sign(0.0),
    **{name: _comparison(name) for name in COMPARISONS},
    "max": lambda builder, args, kwargs, values: _extremes(1.0, len(values) == 2)(builder, args, kwargs, values),
    "min": lambda builder, args, kwargs, values: _extremes(-1.0, len(values) == 2)(builder, args, kwargs, values),
}
