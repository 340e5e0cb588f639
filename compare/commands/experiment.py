"""The command of any experiment, made from its parameters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Iterable
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from compare.command_line import BEGAN
from compare.commands.outcome import deliver, report_options
from compare.experiments.protocol import Experiment, Parameter, help_of
from compare.experiments.values import FILE, FLAG, FOLDER, SWITCH, TEXT, TEXTS

F = TypeVar("F", bound=Callable[..., Any])
PATHS = {FILE: click.Path(path_type=Path, dir_okay=False), FOLDER: click.Path(path_type=Path)}

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # which takes no type before click 8.3


class Written(ParamType):
    """A parameter as text: read by its kind, and checked."""

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        self.name = parameter.kind.noun.removeprefix("an ").removeprefix("a ")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; one that is no text is a default."""
        if not isinstance(value, str):
            return value
        try:
            read = self.parameter.kind.read(value)
            self.parameter.check("the value", read)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return read


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
    text = parameter.help + (f" [default: {parameter.shown}]" if parameter.shown else "")
    if parameter.positional:
        return click.argument(field, type=click.Choice(parameter.choices))
    shown = not parameter.shown and default is not None and default != ()
    if parameter.kind is FLAG:
        return click.option(flag, field, is_flag=True, help=text)
    if parameter.kind is SWITCH:
        return click.option(flag, field, default=default, help=text)
    if parameter.kind is TEXTS:
        return click.option(flag, field, multiple=True, default=default, show_default=shown, help=text)
    kind: Any = PATHS.get(parameter.kind) or Written(parameter)
    if parameter.choices and parameter.kind is TEXT:
        kind = click.Choice(parameter.choices)
    if isinstance(default, tuple):
        default = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in default)
    return click.option(flag, field, type=kind, default=default, show_default=shown, help=text)


def time_limit_option(command: F) -> F:
    """--time-limit, as every experiment has it."""
    known = Experiment.parameters()["time_limit"]
    return option("time_limit", known, math.inf)(command)


def from_the_start(time_limit: float) -> AbstractContextManager[None]:
    """The time limit of this block, in seconds from the beginning of the program."""
    from compare.reports.time_limit import within

    return within(time_limit - (time.monotonic() - BEGAN[0] if BEGAN else 0.0))


def formulas(text: str) -> str:
    """The text with its indented paragraphs marked, so that click leaves their lines as they are."""
    paragraphs: Iterable[str] = text.split("\n\n")
    return "\n\n".join(f"\b\n{part}" if part.startswith("    ") else part for part in paragraphs)
