"""A sweep's plan: a TOML file that spans a grid of cells, read and checked whole before anything runs.

    name = "wine, how the limit depends on the start"    # optional
    [grid]                                      # or several [[grid]], whose cells are joined
    data    = ["wine:0v1", "own.csv", "synthetic:10,20,{seed}"]   # required; names and files of `compare.data`
    network = ["diagonal", "convolutional"]     # names of `compare.margin.networks`; default: those for signals
    depth   = {from = 1, to = 3}                # numbers of layers L, both ends included; default 2
    width   = [8, 64]                           # hidden units of fully connected networks; default D
    seed    = {from = 0, to = 99, step = 1}     # of the initial weights; default 0
    scale   = [0.1, 0.001]                      # standard deviation of the initial weights; default 0.1
    loss    = ["exponential", "logistic"]       # default "exponential"
    road    = ["flow", "descend:armijo", "max_margin"]            # default "flow"
    [options]                                   # the same for every cell
    steps = 2000          # of descend
    max_steps = 20000     # of flow
    tol = 1e-9            # of the explicit problem's certificate, and of flow's
    standardize = "auto"  # "auto", "none" or "standard", as --scale of the command line
    offset = false        # whether to append a column of ones; default as in `compare.data`

Every key takes one value or a list; integers also {from, to, step}. `{seed}` in a data name is replaced by the cell's
seed. Files are looked for beside the plan.

A cell keeps only the keys that can change its numbers: an explicit solution has no width, scale or loss, and where R is
a norm no seed. Combinations that come to the same cell are one cell. Its `key` is a hash of these parameters and of the
data's SHA-256, so that an edited file makes new cells, and a renamed or moved one does not.
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from compare.data.load import FILE_SUFFIXES, Dataset, load
from compare.margin.networks import ARCHITECTURES
from compare.sweep.cell import Cell, Options

LARGEST_PLAN = 10**6
"""Bytes of a plan file."""
MOST_CELLS = 10**7
ROADS = (
    "flow", "max_margin",
    "descend:armijo", "descend:constant", "descend:normalized", "descend:accelerated", "descend:rescaled",
)  # fmt: skip
LOSSES = ("exponential", "logistic")
DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "data": (),
    "network": tuple(name for name, row in ARCHITECTURES.items() if not row.images),
    "depth": (2,),
    "width": (None,),
    "seed": (0,),
    "scale": (0.1,),
    "loss": ("exponential",),
    "road": ("flow",),
}
"""The axes of a grid, in the order in which the cells run, slowest first."""
LARGEST_INTEGER = {"depth": 1000, "width": 10**6, "seed": 2**63 - 1}


class PlanError(ValueError):
    """The plan cannot be run as written; the message is one line that says where and what to write instead."""


@dataclass(frozen=True)
class SweepPlan:
    """A checked plan."""

    name: str
    cells: tuple[Cell, ...] = field(repr=False)
    """Every cell once."""
    text: str = field(default="", repr=False)
    """The plan as it was written."""


def read_plan(path: str | Path) -> SweepPlan:
    """The plan in a TOML file, as the module describes.

    Raises PlanError when the file is missing, is not TOML, has an unknown key or a value that makes no sense, and
    DataError when data that it names cannot be had.
    """
    path = Path(path)
    try:
        if path.is_file() and path.stat().st_size > LARGEST_PLAN:
            raise PlanError(f"{str(path)!r} has more than {LARGEST_PLAN} bytes; a plan is a short TOML file")
        text = path.read_bytes().decode("utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError as error:
        raise PlanError(f"there is no plan {str(path)!r}") from error
    except OSError as error:
        raise PlanError(f"the plan {str(path)!r} could not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"the plan {str(path)!r} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"the plan {str(path)!r} is not TOML: {error}") from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, PlanError):
            raise
        raise PlanError(f"the plan {str(path)!r} is not TOML that can be read: {str(error)[:200]}") from error
    return plan_of(table, folder=path.resolve().parent, text=text, name=path.stem)


def plan_of(table: Mapping[str, Any], *, folder: Path | None = None, text: str = "", name: str = "sweep") -> SweepPlan:
    """The plan in a nested dictionary: {"grid": {"data": …, …}, "options": {…}}.

    Args:
        table: what a TOML file holds.
        folder: where files of data are looked for; the working directory by default.
        text: the plan as it was written, for the record.
        name: used where the plan gives none.

    Raises PlanError and DataError as `read_plan`.

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
    count = sum(math.prod(len(values) for values in grid.values()) for grid in axes)
    if count > MOST_CELLS:
        raise PlanError(f"the plan spans {count} cells, more than {MOST_CELLS}; split it")
    found: dict[str, Cell] = {}
    look = lru_cache(maxsize=None)(lambda data: described(data, options, folder or Path.cwd()))
    for grid in axes:
        for cell in cells_of(grid, options, look):
            found.setdefault(cell.key, cell)
    return SweepPlan(title, tuple(found.values()), text or json.dumps(table, default=str))


def axes_of(grid: Any, where: str) -> dict[str, tuple[Any, ...]]:
    """Every axis of one grid as a tuple of checked values."""
    if not isinstance(grid, Mapping):
        raise PlanError(f"{where} must be a table of keys {', '.join(DEFAULTS)}; got {grid!r}")
    known_keys(grid, tuple(DEFAULTS), where)
    if "data" not in grid:
        raise PlanError(f'{where} names no data; write for instance data = "wine:0v1"')
    axes = dict(DEFAULTS)
    for name, value in grid.items():
        axes[name] = values_of(name, value, f"{where}, {name}")
    if "width" in grid and "fully connected" not in axes["network"]:
        raise PlanError(f"{where} gives a width, and none of its networks is fully connected, which alone has one")
    return axes


def values_of(name: str, value: Any, where: str) -> tuple[Any, ...]:
    """One axis: a value, a list of values, or {from, to, step}; repeats once."""
    if isinstance(value, Mapping):
        if name not in LARGEST_INTEGER:
            raise PlanError(f"{where}: {{from, to}} is for integers; list the values")
        values: Sequence[Any] = span(name, value, where)
    else:
        values = value if isinstance(value, list | tuple) else [value]
    if not len(values):
        raise PlanError(f"{where} is empty; leave the key out for its default, or give a value")
    return tuple(dict.fromkeys(checked(name, entry, where) for entry in values))


def span(name: str, value: Mapping[str, Any], where: str) -> range:
    """{from, to, step} as a range, both ends included."""
    known_keys(value, ("from", "to", "step"), where)
    if not {"from", "to"} <= value.keys():
        raise PlanError(f"{where} must have both from and to, such as {{from = 0, to = 9}}")
    first, last, step = (checked(name, value.get(k, 1), where) for k in ("from", "to", "step"))
    if step < 1 or last < first:
        raise PlanError(f"{where}: wanted from ≤ to and step ≥ 1, got from={first}, to={last}, step={step}")
    if (last - first) // step >= MOST_CELLS:
        raise PlanError(f"{where} spans more than {MOST_CELLS} values")
    return range(first, last + 1, step)


def checked(name: str, value: Any, where: str) -> Any:
    """One value of an axis."""
    if name in LARGEST_INTEGER:
        least, most = 0 if name == "seed" else 1, LARGEST_INTEGER[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise PlanError(f"{where}: wanted an integer from {least} to {most}, got {value!r}")
        return value
    if name == "scale":
        return positive(value, where)
    if not isinstance(value, str):
        raise PlanError(f"{where}: wanted text, got {value!r}")
    known = {"network": tuple(ARCHITECTURES), "loss": LOSSES, "road": ROADS}.get(name)
    if known is not None and value not in known:
        raise PlanError(f"{where}: there is no {name} {value!r}; {nearest(value, known)}known are {', '.join(known)}")
    return value


def positive(value: Any, where: str) -> float:
    """A finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value < 1e300):
        raise PlanError(f"{where}: wanted a positive number, got {value!r}")
    return float(value)


def options_of(table: Any) -> Options:
    """[options], checked."""
    if not isinstance(table, Mapping):
        raise PlanError(f"[options] must be a table, got {table!r}")
    known_keys(table, ("steps", "max_steps", "tol", "standardize", "offset"), "[options]")
    for name in ("steps", "max_steps"):
        value = table.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**12:
            raise PlanError(f"[options] {name}: wanted an integer ≥ 1, got {value!r}")
    options = Options(**table)
    if positive(options.tol, "[options] tol") >= 1:
        raise PlanError(f"[options] tol: wanted a number between 0 and 1, got {options.tol!r}")
    if options.standardize not in ("auto", "none", "standard"):
        raise PlanError(f"[options] standardize is one of auto, none, standard; got {options.standardize!r}")
    if not (options.offset is None or isinstance(options.offset, bool)):
        raise PlanError(f"[options] offset is true or false, got {options.offset!r}")
    return replace(options, tol=float(options.tol))


@dataclass(frozen=True)
class Described:
    """What a plan needs to know of a data set; the numbers themselves are loaded where they are used."""

    source: str
    sha256: str
    image_shape: tuple[int, int] | None


def described(data: str, options: Options, folder: Path) -> Described:
    """Load a data set once, to see that it can be had and what is in it."""
    is_file = Path(data).suffix.lower() in FILE_SUFFIXES
    source = str(folder / Path(data).expanduser()) if is_file else data
    dataset = opened(source, options)
    return Described(source, dataset.sha256, dataset.image_shape)


def opened(source: str, options: Options) -> Dataset:
    """The data set that a cell's `source` names."""
    return load(source, scale=options.standardize, offset=options.offset)  # type: ignore[arg-type]


def cells_of(axes: Mapping[str, tuple[Any, ...]], options: Options, look: Any) -> Iterator[Cell]:
    """The product of the axes, each cell with only the parameters that matter to it."""
    for data, network, depth, width, seed, scale, loss, road in itertools.product(*(axes[name] for name in DEFAULTS)):
        name = data.replace("{seed}", str(seed))
        known = look(name)
        row = ARCHITECTURES[network]
        if row.images and known.image_shape is None:
            raise PlanError(f"network {network!r} needs images, and {name!r} holds none")
        regularizer = row.regularizer(depth)
        convex = regularizer is not None and regularizer.is_norm
        explicit = road == "max_margin"
        sized = network == "fully connected" and depth > 1 and not explicit
        yield Cell(
            data=name,
            sha256=known.sha256,
            network=network,
            depth=depth,
            width=width if sized else None,
            seed=None if explicit and convex else seed,
            scale=None if explicit else scale,
            loss=None if explicit else loss,
            road=road,
            steps=options.steps if road.startswith("descend") else options.max_steps if road == "flow" else None,
            tol=options.tol,
            image_shape=known.image_shape if row.images else None,
            source=known.source,
            kind=(data, network, depth, width if sized else None, loss, road),
            options=options,
        )


def known_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Refuse any other key, with the nearest known one."""
    for key in table:
        if key not in known:
            raise PlanError(f"{where} has no key {key!r}; {nearest(str(key), known)}known are {', '.join(known)}")


def nearest(name: str, known: Sequence[str]) -> str:
    """ "did you mean …? " where something is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}? " if near else ""
