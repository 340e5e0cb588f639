"""`implicitbias doctor`: what is installed here, what works, and what is missing for what."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.command_line import ONE_THREAD, SET_HERE

NEEDED = ("numpy", "scipy", "torch", "cvxpy", "clarabel", "scs", "sympy", "python-flint", "scikit-learn",
          "scikit-image", "pandas", "joblib", "click", "rich", "jinja2", "matplotlib")  # fmt: skip
OPTIONAL = {
    "mosek": "a faster conic solver, with a licence",
    "pyarrow": "Parquet files",
    "distributed": "sweeps on a cluster",
}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Versions, solvers, licence, threads, GPU. Exit code 1 when something that is needed is missing."""
    facts = [*versions(), licence(), conic_solvers(), threads(), devices()]
    if as_json:
        click.echo(json.dumps([{"what": what, "found": found, "good": good} for what, found, good in facts]))
    else:
        table = Table.grid(padding=(0, 2))
        for what, found, good in facts:
            mark = {True: ("ok", "green"), False: ("missing", "bold red"), None: ("–", "dim")}[good]
            table.add_row(Text(mark[0], style=mark[1]), Text(what), Text(found))
        Console().print(table)
    ctx.exit(1 if any(good is False for _, _, good in facts) else 0)


Fact = tuple[str, str, bool | None]
"""What was looked for, what was found, and whether that is good; None where it does not matter."""


def versions() -> list[Fact]:
    """The interpreter and every distribution, needed or optional."""
    facts: list[Fact] = [
        ("implicitbias", installed("implicitbias") or "from source", None),
        ("python", f"{platform.python_version()}, {sys.executable}", sys.version_info >= (3, 11)),
        ("machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores", None),
    ]
    for name in NEEDED:
        found = installed(name)
        facts.append((name, found or f"not installed: pip install {name}", found is not None))
    for name, purpose in OPTIONAL.items():
        facts.append((name, installed(name) or f"not installed; optional, for {purpose}", None))
    return facts


def installed(name: str) -> str | None:
    """A distribution's version."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def licence() -> Fact:
    """Whether MOSEK may optimize here, asked by letting it."""

    def ask() -> str:
        from solvers.conic import mosek_licence

        return "found" if mosek_licence() else "none found; Clarabel and SCS need none"

    return tried("MOSEK licence", ask, needed=False)


def conic_solvers() -> Fact:
    """Which solver `method="conic"` really uses here, asked by solving a small problem."""

    def solve() -> str:
        from solvers.max_margin import max_margin
        from solvers.regularizers import L2

        solution = max_margin([[2.0, 1.0], [-1.0, 1.0]], [1.0, -1.0], L2(), method="conic")
        return str(solution.stats.get("solver", "unknown"))

    return tried("conic solver", solve, needed=True)


def threads() -> Fact:
    """How many threads torch and the BLAS libraries use, and who says so: this program, where the user does not."""

    def count() -> str:
        import torch
        from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

        pools = sorted({f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info()})
        settings = [
            f"{name}={os.environ.get(name, 'not set')}{' (by this command; in Python not set)' * (name in SET_HERE)}"
            for name in ONE_THREAD
        ]
        return "; ".join([f"torch {torch.get_num_threads()}, {', '.join(pools)}", *settings])

    return tried("threads", count, needed=False)


def devices() -> Fact:
    """The GPU that gradient descent would run on."""

    def look() -> str:
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "none; everything runs on the CPU"

    return tried("GPU", look, needed=False)


def tried(what: str, look: Callable[[], Any], *, needed: bool) -> Fact:
    """What a look finds, or why it could not look."""
    try:
        return what, str(look()), True if needed else None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in Rust is no Exception
        return what, f"{type(error).__name__}: {' '.join(str(error).split())[:150]}", False if needed else None
