"""A sweep's plan: a TOML file that spans a grid of cells, read and checked whole before anything runs.

    name = "wine, how the limit depends on the start"    # optional
    [grid]                                      # or several [[grid]], whose cells are joined
    data    = ["wine:0v1", "own.csv", "synthetic:10,20,{seed}"]   # required; names and files of `compare.data`
    network = ["diagonal", "convolutional"]     # names of `compare.margin.architectures`; default: those for signals
    depth   = {from = 1, to = 3}                # numbers of layers L, both ends included; default 2
    width   = [8, 64]                           # hidden units of fully connected networks; default D
    seed    = {from = 0, to = 99, step = 1}     # of the initial weights; default 0
    scale   = [0.1, 0.001]                      # standard deviation of the initial weights; default 0.1
    loss    = ["exponential", "logistic"]       # default "exponential"
    method  = ["flow", "descend:armijo", "max_margin"]            # default "flow"
    [options]                                   # the same for every cell
    steps = 2000          # of descend
    max_steps = 20000     # of flow
    tol = 1e-9            # of the explicit problem's certificate, and of flow's
    standardize = "auto"  # "auto", "none" or "standard", as --scale of the command line
    offset = false        # whether to append a column of ones; default as in `compare.data`
    cell_seconds = 600    # a cell that takes longer has failed; default: no limit
    cell_memory = 4.0     # GiB that the process of a cell may hold, its libraries included; default: no limit

Every key takes one value or a list; integers also {from, to, step}. `{seed}` in a data name is replaced by the cell's
seed. Files are looked for in the folder of the plan.

A cell keeps only the keys that can change its numbers: an explicit solution has no width, scale or loss, and where R is
a norm no seed. Combinations that come to the same cell are one cell. Its `key` is a hash of these parameters and of the
data's SHA-256, so that an edited file makes new cells, and a renamed or moved one does not.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from compare.data.load import FILE_SUFFIXES, SCALES, Scale, load
from compare.margin.architectures import ARCHITECTURES
from compare.reports.wording import one_line
from compare.sweep.cell import Cell, Limits, Source
from compare.sweep.plan_checks import Check, PlanError, a, known_keys, one_of, positive, text, whole

LARGEST_PLAN = 10**6
"""Bytes of a plan file."""
NESTED = re.compile(r"(?<![^\s.,=\[\]{}#])(?:[^\s.,=\[\]{}#]+[ \t]*\.[ \t]*){20}")
"""A key of many parts, which tomllib takes quadratic time for."""
MOST_CELLS = 10**7
METHODS = (
    "flow",
    "max_margin",
    *(f"descend:{schedule}" for schedule in ("armijo", "constant", "normalized", "accelerated", "rescaled")),
)
LOSSES = ("exponential", "logistic")


@dataclass(frozen=True)
class Axis:
    """One key of a grid: its default values, and what checks a value."""

    check: Check
    default: tuple[Any, ...] = ()
    ranges: bool = False
    """Whether {from, to, step} is understood."""


AXES: Mapping[str, Axis] = {
    "data": Axis(text),
    "network": Axis(
        one_of("network", tuple(ARCHITECTURES)), tuple(name for name, row in ARCHITECTURES.items() if not row.images)
    ),
    "depth": Axis(whole(1, 1000), (2,), ranges=True),
    "width": Axis(whole(1, 10**6), (None,), ranges=True),
    "seed": Axis(whole(0, 2**63 - 1), (0,), ranges=True),
    "scale": Axis(positive(1e300), (0.1,)),
    "loss": Axis(one_of("loss", LOSSES), ("exponential",)),
    "method": Axis(one_of("method", METHODS), ("flow",)),
}
"""The axes of a grid, in the order in which the cells run, slowest first."""


@dataclass(frozen=True)
class Options:
    """What is the same for every cell; `check` in a field's metadata is what checks it."""

    steps: int = field(default=2000, metadata={"check": whole(1, 10**12)})
    max_steps: int = field(default=20_000, metadata={"check": whole(1, 10**12)})
    tol: float = field(default=1e-9, metadata={"check": positive(1.0)})
    standardize: Scale = field(default="auto", metadata={"check": one_of("scaling", SCALES)})
    offset: bool | None = field(default=None, metadata={"check": a(bool, "true or false")})
    cell_seconds: float | None = field(default=None, metadata={"check": positive(1e9)})
    cell_memory: float | None = field(default=None, metadata={"check": positive(1e6)})


@dataclass(frozen=True)
class SweepPlan:
    """A checked plan."""

    name: str
    cells: tuple[Cell, ...] = field(repr=False)
    """Every cell once."""
    text: str = field(default="", repr=False)
    """The plan as it was written."""
    limits: Limits = field(default_factory=Limits)
    """What each cell may take."""


def read_plan(path: str | Path) -> SweepPlan:
    """The plan in a TOML file, as the module describes.

    Args:
        path: the file, of at most a megabyte.

    Returns:
        The plan, every cell checked.

    Raises:
        PlanError: the file is missing, is not TOML, has an unknown key or a value that makes no sense.
        DataError: data that the plan names cannot be had.
    """
    path = Path(path)
    if not path.exists():
        raise PlanError(f"there is no plan {str(path)!r}; `implicitbias sweep --help` shows one")
    if not path.is_file():
        raise PlanError(f"{str(path)!r} could not be read: it is no regular file; give the plan's TOML file")
    if path.stat().st_size > LARGEST_PLAN:
        raise PlanError(f"{str(path)!r} has more than {LARGEST_PLAN} bytes; a plan is a short TOML file")
    try:
        written = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"the plan {str(path)!r} could not be read as UTF-8 text: {one_line(error)}") from error
    if NESTED.search(written):
        raise PlanError(f"the plan {str(path)!r} has a key of more than 20 parts; a plan has keys of one")
    try:
        table = tomllib.loads(written)
    except (RecursionError, ValueError) as error:  # tomllib raises both for text that is not TOML
        raise PlanError(f"the plan {str(path)!r} is not TOML: {str(error)[:200]}") from error
    return plan_of(table, folder=path.resolve().parent, text=written, name=path.stem)


def plan_of(table: Mapping[str, Any], *, folder: Path | None = None, text: str = "", name: str = "sweep") -> SweepPlan:
    """The plan in a nested dictionary: {"grid": {"data": …, …}, "options": {…}}.

    Args:
        table: what a TOML file holds.
        folder: where files of data are looked for; the working directory by default.
        text: the plan as it was written, for the record.
        name: used where the plan gives none.

    Returns:
        The plan, every cell checked.

    Raises:
        PlanError: an unknown key, or a value that makes no sense.
        DataError: data that the plan names cannot be had.

    >>> plan = plan_of({"grid": {"data": "synthetic:4,6,0", "seed": {"from": 0, "to": 2}, "network": "diagonal"}})
    >>> [(cell.network, cell.depth, cell.seed) for cell in plan.cells]
    [('diagonal', 2, 0), ('diagonal', 2, 1), ('diagonal', 2, 2)]
    """
    known_keys(table, ("name", "grid", "options"), "the plan")
    title = table.get("name", name)
    if not isinstance(title, str):
        raise PlanError(f"name must be text, got {title!r}")
    grids = table.get("grid")
    grids = [grids] if isinstance(grids, Mapping) else grids
    if not isinstance(grids, Sequence) or isinstance(grids, str) or not grids:
        raise PlanError('the plan has no [grid]; the shortest is [grid] with data = "wine:0v1"')
    options = options_of(table.get("options", {}))
    axes = [axes_of(grid, f"[[grid]] number {i + 1}" if len(grids) > 1 else "[grid]") for i, grid in enumerate(grids)]
    count = sum(math.prod(map(len, grid.values())) for grid in axes)
    if count > MOST_CELLS:
        raise PlanError(f"the plan spans {count} cells, more than {MOST_CELLS}; split it")
    look = lru_cache(maxsize=None)(lambda data, name: source_of(data, name, options, folder or Path.cwd()))
    found: dict[str, Cell] = {}
    for grid in axes:
        for cell in cells_of(grid, options, look):
            found.setdefault(cell.key, cell)
    limits = Limits(options.cell_seconds, options.cell_memory)
    return SweepPlan(title, tuple(found.values()), text or json.dumps(table, default=str), limits)


def axes_of(grid: Any, where: str) -> dict[str, tuple[Any, ...]]:
    """Every axis of one grid as a tuple of checked values."""
    if not isinstance(grid, Mapping):
        raise PlanError(f"{where} must be a table of keys {', '.join(AXES)}; got {grid!r}")
    known_keys(grid, AXES, where)
    if "data" not in grid:
        raise PlanError(f'{where} names no data; write for instance data = "wine:0v1"')
    given = {name: values_of(AXES[name], value, f"{where}, {name}") for name, value in grid.items()}
    axes = {name: given.get(name, axis.default) for name, axis in AXES.items()}
    if "width" in grid and "fully connected" not in axes["network"]:
        raise PlanError(f"{where} gives a width, and none of its networks is fully connected, which alone has one")
    return axes


def values_of(axis: Axis, value: Any, where: str) -> tuple[Any, ...]:
    """One axis: a value, a list of values, or {from, to, step}; repeats once."""
    if isinstance(value, Mapping):
        values: Iterable[Any] = span(axis, value, where)
    else:
        values = value if isinstance(value, list | tuple) else [value]
    found = tuple(dict.fromkeys(axis.check(entry, where) for entry in values))
    if not found:
        raise PlanError(f"{where} is empty; leave the key out for its default, or give a value")
    return found


def span(axis: Axis, value: Mapping[str, Any], where: str) -> range:
    """{from, to, step} as a range, both ends included."""
    if not axis.ranges:
        raise PlanError(f"{where}: {{from, to}} is for integers; list the values")
    known_keys(value, ("from", "to", "step"), where)
    if not {"from", "to"} <= value.keys():
        raise PlanError(f"{where} must have both from and to, such as {{from = 0, to = 9}}")
    first, last, step = (axis.check(value.get(key, 1), where) for key in ("from", "to", "step"))
    if step < 1 or last < first:
        raise PlanError(f"{where}: wanted from ≤ to and step ≥ 1, got from={first}, to={last}, step={step}")
    if (last - first) // step >= MOST_CELLS:
        raise PlanError(f"{where} spans more than {MOST_CELLS} values")
    return range(first, last + 1, step)


def options_of(table: Any) -> Options:
    """[options], checked."""
    if not isinstance(table, Mapping):
        raise PlanError(f"[options] must be a table, got {table!r}")
    checks = {option.name: option.metadata["check"] for option in fields(Options)}
    known_keys(table, checks, "[options]")
    return Options(**{name: checks[name](value, f"[options] {name}") for name, value in table.items()})


def source_of(template: str, name: str, options: Options, folder: Path) -> Source:
    """Load a data set once, to see that it can be had and what is in it."""
    is_file = Path(name).suffix.lower() in FILE_SUFFIXES
    try:
        location = str(folder / Path(name).expanduser()) if is_file else name
    except RuntimeError as error:
        raise PlanError(f"data {name!r}: {error}; write the whole path") from error
    dataset = load(location, scale=options.standardize, offset=options.offset, several=False)
    return Source(name, dataset.sha256, dataset.image_shape, template, location, options.standardize, options.offset)


def cells_of(
    axes: Mapping[str, tuple[Any, ...]], options: Options, look: Callable[[str, str], Source]
) -> Iterator[Cell]:
    """The product of the axes, each cell with only the parameters that matter to it.

    All data are looked at first: what a regularizer is only a network says, for which torch is imported.
    """
    for data, network, seed in itertools.product(axes["data"], axes["network"], axes["seed"]):
        source = look(data, data.replace("{seed}", str(seed)))
        if ARCHITECTURES[network].images and source.image_shape is None:
            raise PlanError(f"network {network!r} needs images, and {source.name!r} holds none")
    for data, network, depth, width, seed, scale, loss, method in itertools.product(*axes.values()):
        source = look(data, data.replace("{seed}", str(seed)))
        row = ARCHITECTURES[network]
        explicit = method == "max_margin"
        regularizer = row.regularizer(depth) if explicit else None
        convex = regularizer is not None and regularizer.is_norm
        sized = network == "fully connected" and depth > 1 and not explicit
        yield Cell(
            data=source,
            network=network,
            depth=depth,
            width=width if sized else None,
            seed=None if explicit and convex else seed,
            scale=None if explicit else scale,
            loss=None if explicit else loss,
            method=method,
            steps=None if explicit else options.max_steps if method == "flow" else options.steps,
            tol=options.tol,
            image_shape=source.image_shape if row.images else None,
        )
