"""From a trace to a program in which every kink is a rectifier.

Three kinds of operations on values that depend on the weights:

- smooth ones, listed in `gd.piecewise.operations`, are taken over;
- kinks of their own, as relu, abs, clamp, maximum, max-pooling, are rewritten by rectifiers (`gd.piecewise.kinks`),
  max(a, b) = b + (a − b)₊;
- a comparison, c > 0, or a sign, is a **switch**: a value known on both sides of c = 0. Operations on a switch are
  applied to both sides, until the jump across c = 0 has vanished,

      on − off = ρ c   or   ρ c^q, q = 2, 3,    ρ the same at all weights and samples,

  which makes it the rectifier off + ρ (c)₊ or its power: `torch.where(h > 0, h, 0.1 * h)`, `h * (h > 0)`,
  `h.masked_fill(h < 0, 0)`. ρ is measured at random weights.

Everything else is an error: a switch that keeps its jump makes f discontinuous, and an operation that is in no list may
have kinks that nobody would see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gd.piecewise.builder import (
    JUMP,
    Builder,
    HiddenKinkError,
    Parts,
    Switch,
    Undefined,
    size_of,
    unknown_operation,
    without_dead_code,
)
from gd.piecewise.kinks import KINKS
from gd.piecewise.operations import SHAPE_ONLY, SMOOTH, VIEWS
from gd.piecewise.program import Program, Ref
from gd.piecewise.trace import Result, Trace, mapped

aten: Any = torch.ops.aten

AWAY = 1e-9  # of the largest |c|: closer to the kink the quotient (on − off)/c is rounding
SAME = 1e-9  # relative: quotients at different weights and samples are one number


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
        raise HiddenKinkError(JUMP)
    if isinstance(output, Undefined):
        raise HiddenKinkError(unknown_operation(output.name))
    if not isinstance(output, Ref):
        raise HiddenKinkError("the forward pass does not depend on the weights")
    return without_dead_code(builder, output, items)


def _results(builder: Builder, found: Any, count: int) -> tuple[Any, ...]:
    """The results of one operation, each as a value of its own."""
    if isinstance(found, Parts):
        return found.values
    if isinstance(found, list | tuple):
        return tuple(found)
    if count == 1 or not isinstance(found, Ref):
        return (found,) * count
    return tuple(builder.apply(_Part(k), found) for k in range(count))


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


def interpret(
    builder: Builder, name: str, func: Any, args: list[Any], kwargs: dict[str, Any], values: tuple[Any, ...]
) -> Any:
    """One operation of the trace in terms of the program."""
    leaves: list[Any] = []
    mapped(leaves.append, [args, kwargs])
    for leaf in leaves:
        if isinstance(leaf, Undefined):
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
    return Undefined(name)


def _on_switch(builder: Builder, name: str, func: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    switches: list[Switch] = []
    mapped(lambda leaf: switches.append(leaf) if isinstance(leaf, Switch) else None, [args, kwargs])
    c = switches[0].c
    if any(one.c != c for one in switches):
        raise HiddenKinkError(JUMP)
    if name == "index_put":
        indices = args[1]
        if len(indices) != 1 or not isinstance(indices[0], Switch) or size_of(builder.shape(args[2])) != 1:
            raise HiddenKinkError(JUMP)
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
            if isinstance(both, Switch | Undefined):
                raise HiddenKinkError(JUMP)
        shape = np.broadcast_shapes(builder.shape(on), builder.shape(off), builder.shape(c))
        return _closed(builder, Switch(*(_expanded(builder, value, shape) for value in (c, on, off))))
    raise HiddenKinkError(JUMP)


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
