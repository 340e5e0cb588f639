"""The command of any experiment, made from its parameters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Iterable
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Any, TypeVar

import click

from compare.command_line import BEGAN
from compare.commands.outcome import deliver, report_options
from compare.commands.written import Place, described, written
from compare.experiments.protocol import Experiment, Parameter, help_of
from compare.experiments.values import FILE, FLAG, FOLDER, SWITCH, TEXT, TEXTS

F = TypeVar("F", bound=Callable[..., Any])
PATHS = {FILE: Place(dir_okay=False), FOLDER: Place()}
OTHERWISE = (FLAG, SWITCH, TEXTS, *PATHS)
"""Kinds of values that click reads."""


def experiment_command(name: str, experiment: type[Experiment]) -> click.Command:
    """`implicitbias compare <name>` with an option for each parameter, --out, --json and --verbose."""

    def run(out: Any, as_json: bool, verbose: bool, **parameters: Any) -> None:
        asked = experiment(**parameters, progress=True)
        with from_the_start(asked.time_limit):
            report = asked.run()
        deliver(report, out=out, as_json=as_json, verbose=verbose)

    decorated = options_of(experiment)(report_options(f"implicitbias-report-{name}")(run))
    return click.command(name=name, help=formulas(help_of(experiment)))(decorated)


def options_of(experiment: type[Experiment], only: Container[str] | None = None) -> Callable[[F], F]:
    """The options of an experiment's parameters, or of `only` some of them, by field."""

    def decorate(command: F) -> F:
        defaults = {field.name: field.default for field in fields(experiment)}
        for name, parameter in reversed(experiment.parameters().items()):
            if parameter.option is not None and (only is None or name in only):
                command = option(name, parameter, defaults[name])(command)
        return command

    return decorate


def option(field: str, parameter: Parameter, default: Any) -> Callable[[F], F]:
    """The click option of one parameter."""
    flag = parameter.option or f"--{field.replace('_', '-')}"
    wanted = parameter.wanted
    if parameter.positional:
        return click.argument(field, type=click.Choice(wanted.choices))
    if wanted.kind not in OTHERWISE and not (wanted.kind is TEXT and wanted.choices):
        return written(flag, field, wanted=wanted, default=default, shown=parameter.shown, help=parameter.help)
    text = described(parameter.help, wanted, None if wanted.kind is FLAG else default, parameter.shown)
    if wanted.kind is FLAG:
        return click.option(flag, field, is_flag=True, help=text)
    kind = click.Choice(wanted.choices) if wanted.choices else PATHS.get(wanted.kind)
    return click.option(flag, field, type=kind, multiple=wanted.kind is TEXTS, default=default, help=text)


def time_limit_option(command: F) -> F:
    """--time-limit, as every experiment has it."""
    known = Experiment.parameters()["time_limit"]
    return option("time_limit", known, math.inf)(command)


def from_the_start(time_limit: float) -> AbstractContextManager[None]:
    """The time limit of this block, in seconds from the beginning of the program."""
    from compare.reports.time_limit import within

    return within(time_limit - (time.monotonic() - BEGAN[-1] if BEGAN else 0.0))


def formulas(text: str) -> str:
    """The text with its indented paragraphs marked, so that click leaves their lines as they are."""
    paragraphs: Iterable[str] = text.split("\n\n")
    return "\n\n".join(f"\b\n{part}" if part.startswith("    ") else part for part in paragraphs)
