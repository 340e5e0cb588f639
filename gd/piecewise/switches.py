"""From a trace to a program in which every kink is a rectifier.

Three kinds of operations on values that depend on the weights:

- smooth ones, listed in `SMOOTH`, are taken over;
- kinks of their own, as relu, abs, clamp, maximum, max-pooling, are rewritten by rectifiers, max(a, b) = b + (a − b)₊;
- a comparison, c > 0, or a sign, is a **switch**: a value known on both sides of c = 0. Operations on a switch are
  applied to both sides, until the jump across c = 0 has vanished,

      on − off = ρ c   or   ρ c^q, q = 2, 3,    ρ the same at all weights and samples,

  which makes it the rectifier off + ρ (c)₊ or its power: `torch.where(h > 0, h, 0.1 * h)`, `h * (h > 0)`,
  `h.masked_fill(h < 0, 0)`. ρ is measured at random weights.

Everything else is an error: a switch that keeps its jump makes f discontinuous, and an operation that is in no list may
have kinks that nobody would see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gd.piecewise.program import Node, Program, Rectifier, Ref, call, references
from gd.piecewise.trace import Result, Trace, mapped

aten: Any = torch.ops.aten

_SMOOTH_NAMES = """
    add sub rsub mul div neg pow square sqrt rsqrt reciprocal exp expm1 exp2 log log1p log2 log10 sin cos tan
    sinh cosh tanh asinh atan atan2 sigmoid log_sigmoid_forward softplus mish silu gelu erf erfc hypot addcmul
    addcdiv lerp xlogy logaddexp logsumexp _softmax _log_softmax glu where masked_fill mm bmm addmm addmv addbmm
    baddbmm mv dot vdot addr convolution avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d
    _adaptive_avg_pool3d mean sum prod cumsum cumprod var var_mean trace linalg_cross view _unsafe_view reshape
    t transpose permute unsqueeze squeeze select slice expand cat stack clone detach alias _to_copy lift_fresh
    flip roll repeat unfold im2col col2im gather index index_select constant_pad_nd reflection_pad1d
    reflection_pad2d replication_pad1d replication_pad2d split split_with_sizes unbind diagonal diag_embed tril
    triu pixel_shuffle pixel_unshuffle index_put index_add scatter scatter_add select_scatter slice_scatter
    diagonal_scatter as_strided copy fill _fft_r2c _fft_c2r _fft_c2c real imag view_as_real view_as_complex
    complex _conj _neg_view resolve_conj upsample_nearest1d upsample_nearest2d upsample_bilinear2d
    native_layer_norm native_group_norm _native_batch_norm_legit_no_training linalg_inv_ex linalg_solve_ex
    linalg_cholesky_ex _linalg_det triangular_solve zero
"""
SMOOTH = frozenset(_SMOOTH_NAMES.split())
"""Operations without kinks in their arguments where these are tensors of numbers (aten::… names)."""
SHAPE_ONLY = frozenset(
    {"zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"}
)
VIEWS = frozenset(
    {
        "view",
        "_unsafe_view",
        "reshape",
        "t",
        "transpose",
        "permute",
        "unsqueeze",
        "squeeze",
        "select",
        "slice",
        "expand",
        "clone",
        "detach",
        "alias",
        "flip",
        "roll",
        "repeat",
        "gather",
        "index_select",
        "diagonal",
    }
)
COMPARISONS: dict[str, int] = {"gt": 1, "ge": 1, "lt": -1, "le": -1}
AWAY = 1e-9  # of the largest |c|: closer to the kink the quotient (on − off)/c is rounding
SAME = 1e-9  # relative: quotients at different weights and samples are one number


class HiddenKinkError(ValueError):
    """The forward pass has an operation whose kinks cannot be located, so its gradient flow cannot be followed."""


@dataclass(frozen=True)
class Switch:
    """`on` where c > 0, else `off`, entry by entry; all three have the same shape for one item."""

    c: Ref
    on: Any
    off: Any


@dataclass(frozen=True)
class _Undefined:
    """A result that must not be used, as the places of maxima."""

    name: str


@dataclass(frozen=True)
class _Parts:
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
        node, size = self.nodes[z.index], _size(self.shape(z))
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


def _size(shape: Sequence[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def as_program(trace: Trace, probes: Sequence[Sequence[Tensor]], items: Tensor) -> Program:
    """The program of a trace whose inputs are parameters, and one item unless the trace holds all data as constants.

    Args:
        trace: calls for one item.
        probes: random values of the parameters, at which jumps are measured.
        items: all items, (I, *shape of one).

    Raises HiddenKinkError where a kink cannot be located, and where the function jumps.
    """
    builder = Builder(probes, items)
    environment: dict[int, Any] = {i: Ref(i) for i in range(builder.n_parameters + 1)}

    def known(leaf: Any) -> Any:
        return environment[leaf.index] if isinstance(leaf, Result) else leaf

    for one in trace.calls:
        name = one.func._schema.name.removeprefix("aten::")
        args, kwargs = list(mapped(known, list(one.args))), dict(mapped(known, dict(one.kwargs)))
        if name in SHAPE_ONLY:
            found: Any = one.values[0]
        else:
            found = interpret(builder, name, one.func, args, kwargs, one.values)
        environment.update(zip((r.index for r in one.results), _results(builder, found, len(one.results)), strict=True))
    output = known(trace.output)
    if isinstance(output, Switch):
        raise HiddenKinkError(_JUMP)
    if isinstance(output, _Undefined):
        raise HiddenKinkError(_unknown(output.name))
    if not isinstance(output, Ref):
        raise HiddenKinkError("the forward pass does not depend on the weights")
    return _without_dead_code(builder, output, items)


def _results(builder: Builder, found: Any, count: int) -> tuple[Any, ...]:
    """The results of one operation, each as a value of its own."""
    if isinstance(found, _Parts):
        return found.values
    if isinstance(found, list | tuple):
        return tuple(found)
    if count == 1 or not isinstance(found, Ref):
        return (found,) * count
    return tuple(builder.apply(_Part(k), found) for k in range(count))


_JUMP = (
    "the forward pass compares pre-activations and the result jumps where they are equal, so f is no continuous "
    "function of the weights and has no gradient flow; a kink is written with torch.relu, torch.where(h > 0, …), abs, "
    "clamp or a maximum, elementwise"
)


def _unknown(name: str) -> str:
    return (
        f"the forward pass applies {name} to values that depend on the weights. Whether and where that has kinks is "
        "not known, so gradient flow might be integrated across them as if it were smooth. Write it with operations "
        "like torch.relu, abs, where, clamp, maximum, amax, max_pool1d, max_pool2d and smooth ones"
    )


class _Part:
    """Picks one of several results; looks like a torch operation to `batched`."""

    tags: tuple[Any, ...] = ()

    class _Schema:
        name = "aten::alias"

    _schema = _Schema()

    def __init__(self, index: int) -> None:
        self.index = index

    def __call__(self, values: Any) -> Any:
        return values[self.index]


Handler = Callable[[Builder, list[Any], dict[str, Any], tuple[Any, ...]], Any]


def interpret(
    builder: Builder, name: str, func: Any, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]
) -> Any:
    """One operation of the trace in terms of the program."""
    leaves: list[Any] = []
    mapped(leaves.append, [args, kwargs])
    for leaf in leaves:
        if isinstance(leaf, _Undefined):
            return leaf
    if any(isinstance(leaf, Switch) for leaf in leaves):
        return _on_switch(builder, name, func, args, kwargs)
    if not builder.trained([args, kwargs]):
        return builder.apply(func, *args, **kwargs)
    if name in KINKS:
        handled = KINKS[name](builder, args, kwargs, values)
        if handled is not None:
            return handled
    if name in SMOOTH:
        return builder.apply(func, *args, **kwargs)
    return _Undefined(name)


def _on_switch(builder: Builder, name: str, func: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    switches: list[Switch] = []
    mapped(lambda leaf: switches.append(leaf) if isinstance(leaf, Switch) else None, [args, kwargs])
    c = switches[0].c
    if any(one.c != c for one in switches):
        raise HiddenKinkError(_JUMP)
    if name == "index_put":
        indices = args[1]
        if len(indices) != 1 or not isinstance(indices[0], Switch) or _size(builder.shape(args[2])) != 1:
            raise HiddenKinkError(_JUMP)
        return _on_switch(builder, "where", aten.where.self, [indices[0], args[2], args[0]], {})

    def side(which: str) -> Any:
        def chosen(leaf: Any) -> Any:
            return getattr(leaf, which) if isinstance(leaf, Switch) else leaf

        return interpret(builder, name, func, mapped(chosen, args), mapped(chosen, kwargs), ())

    if name in VIEWS and isinstance(args[0], Switch):
        return _closed(builder, Switch(builder.apply(func, c, *args[1:], **kwargs), side("on"), side("off")))
    if name == "_to_copy" or torch.Tag.pointwise in func.tags:
        on, off = side("on"), side("off")
        for both in (on, off):
            if isinstance(both, Switch | _Undefined):
                raise HiddenKinkError(_JUMP)
        shape = np.broadcast_shapes(builder.shape(on), builder.shape(off), builder.shape(c))
        return _closed(builder, Switch(*(_expanded(builder, value, shape) for value in (c, on, off))))
    raise HiddenKinkError(_JUMP)


def _expanded(builder: Builder, value: Any, shape: Sequence[int]) -> Any:
    if builder.shape(value) == tuple(shape):
        return value
    return builder.apply(aten.expand.default, value, list(shape))


def _closed(builder: Builder, switch: Switch) -> Any:
    """The switch as rectifier or plain value, where its jump vanishes; else itself."""
    sides = [value for value in (switch.on, switch.off) if isinstance(value, Tensor)]
    if any(value.dtype == torch.bool for value in sides):
        return switch
    quotients: dict[int, list[Tensor]] = {1: [], 2: [], 3: []}
    masks, differ_above, differ_below = [], False, False
    for values in builder.values:
        c, on, off = (values[v.index] if isinstance(v, Ref) else v for v in (switch.c, switch.on, switch.off))
        item = builder.nodes[switch.c.index].item
        on, off = (v if isinstance(v, Tensor) else torch.as_tensor(v) for v in (on, off))
        jump = on - off
        if not item and jump.ndim > c.ndim:
            return switch
        away = c.abs() > AWAY * c.abs().max()
        jump = jump.expand_as(c) if jump.shape != c.shape else jump
        size = torch.maximum(on.abs(), off.abs()).expand_as(c)
        differs = away & (jump.abs() > SAME * size)
        differ_above |= bool((differs & (c > 0)).any())
        differ_below |= bool((differs & (c < 0)).any())
        for q, found in quotients.items():
            found.append(torch.where(away, jump / torch.where(away, c, torch.ones_like(c)) ** q, torch.nan))
        masks.append(away)
    if not differ_above:
        return switch.off
    if not differ_below:
        return switch.on
    c, rest, sign = switch.c, switch.off, 1.0
    if builder.vanishes(switch.on) and not builder.vanishes(switch.off):  # off + ρ c₊ = on + ρ (−c)₊: zero is off
        c, rest, sign = builder.apply(aten.neg.default, c), switch.on, -1.0
    for q, found in quotients.items():
        stacked = torch.stack(found) if builder.nodes[switch.c.index].item else torch.stack(found)[:, None]
        flat = stacked.flatten(0, 1)
        mean = torch.nanmean(flat, 0)
        if torch.isnan(mean).any():
            continue
        spread = torch.nan_to_num(flat - mean).abs().max()
        if float(spread) > SAME * float(mean.abs().max()):
            continue
        slope: Any = (
            float(mean.flatten()[0])
            if float((mean - mean.flatten()[0]).abs().max()) <= float(SAME * mean.abs().max())
            else mean
        )
        if isinstance(slope, float) and abs(slope - round(slope, 12)) < SAME:
            slope = round(slope, 12)
        if q == 1:
            bent = builder.rectifier(c, slope, 0.0)
        else:
            bent = builder.times(slope, builder.apply(aten.pow.Tensor_Scalar, builder.rectifier(c), q))
            bent = bent if sign > 0 or q == 3 else builder.apply(aten.neg.default, bent)
        return builder.apply(aten.add.Tensor, bent, rest)
    return switch


# ── Operations with kinks of their own ───────────────────────────────────────────────────────────────────────────────


def _argument(args: list[Any], kwargs: Mapping[str, Any], position: int, name: str, default: Any = None) -> Any:
    return args[position] if len(args) > position else kwargs.get(name, default)


def _leaky(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    return builder.rectifier(args[0], 1.0, float(_argument(args, kwargs, 1, "negative_slope", 0.01)))


def _randomized_leaky(builder: Builder, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]) -> Any:
    if _argument(args, kwargs, 4, "training", False):
        return _Undefined("rrelu in training mode")
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
        raise HiddenKinkError(_JUMP)
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
        return _Parts((x, _Undefined("argmax"))) if places else x

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
    return builder.apply(aten.linalg_vector_norm.default, *args, **kwargs) if order > 1.0 else _Undefined("norm")


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
    return _Parts((builder.largest(taken, -1, keepdim=False), _Undefined("max_pool2d's indices")))


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


def _without_dead_code(builder: Builder, output: Ref, items: Tensor) -> Program:
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
