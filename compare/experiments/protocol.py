"""What an experiment is: a frozen dataclass of parameters, each with its help text, that can run.

    Experiment ─┬─ function_of(cls, name)            the Python function: data first, the rest by keyword
                ├─ compare.commands.experiment        the command and its options
                ├─ cls.quick()                        its part of bare `implicitbias compare`
                └─ experiment.record, .call           what the report's provenance holds

So a parameter is written once. Files that define experiments import torch, cvxpy and scikit-learn inside `run` only:
help and bad parameters are answered before those seconds are spent.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Self, TypeVar

from compare.experiments.values import DURATION, FLAG, INTEGER, NUMBER, SECONDS, TEXT, Interval, Kind, Wanted

if TYPE_CHECKING:
    from compare.data.dataset import Dataset
    from compare.reports.progress import Done
    from compare.reports.provenance import DataUsed
    from compare.reports.report import Report, Section

T = TypeVar("T")
P = ParamSpec("P")
KINDS: dict[type, Kind] = {bool: FLAG, int: INTEGER, float: NUMBER, str: TEXT}
WAITING = ("time_limit", "progress")
"""Parameters of every experiment that are about waiting for it, and not about what it computes."""


@dataclass(frozen=True)
class Parameter:
    """What is known of one field of an experiment."""

    help: str
    option: str | None
    """The option's name, "--init" or "--offset/--no-offset"; "" for the field's own; None: Python only."""
    wanted: Wanted
    shown: str = ""
    """The default as the help shows it, where that is not the value itself."""
    positional: bool = False
    """Whether the command takes it as an argument: one of the choices."""


def parameter(
    default: T,
    help: str,
    *,
    option: str | None = "",
    kind: Kind | None = None,
    choices: tuple[str, ...] = (),
    within: Interval | None = None,
    shown: str = "",
    positional: bool = False,
) -> T:
    """A field of an experiment with its help text. `kind` is found from the default where that is no tuple or None."""
    known = kind or KINDS.get(type(default), TEXT)
    metadata = {"parameter": Parameter(help, option, Wanted(known, within, choices), shown, positional)}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Experiment(ABC):
    """Parameters of one experiment. Subclasses add fields by `parameter`, and say how to run.

    Raises ValueError for a parameter outside its range, named in the message.
    """

    topic: ClassVar[str]
    """What its reports are about, in a title."""
    study: ClassVar[str] = ""
    """"module:function" (experiment → report) that runs it; imported then, for it may import torch."""
    function_name: ClassVar[str] = ""
    """Of its Python function; set by `function_of`."""

    _: KW_ONLY
    time_limit: float = parameter(
        math.inf,
        "Seconds after which nothing more begins and what is at work is ended; what is finished is reported, the rest "
        "is not reached. The report is written after them.",
        kind=SECONDS,
        within=DURATION,
        shown="none",
    )
    progress: bool = parameter(False, "Whether to draw a progress bar on standard error.", option=None)

    def __post_init__(self) -> None:
        for name, known in self.parameters().items():
            value = getattr(self, name)
            if known.wanted.kind.several and isinstance(value, Iterable | Path):
                value = (value,) if isinstance(value, str | Path) else tuple(value)
                object.__setattr__(self, name, value)
            known.wanted.check(name, value)
        for name, value in self.derived().items():
            object.__setattr__(self, name, value)
        self.check()

    def derived(self) -> Mapping[str, Any]:
        """Parameters whose value follows from others: what a flag such as --full stands for, defaults left open."""
        return {}

    def check(self) -> None:  # noqa: B027 – most experiments have nothing to add
        """Raise ValueError for parameters that do not fit each other."""

    def inspect(self) -> None:  # noqa: B027 – some experiments read no data
        """Read the data, and raise ValueError for what is wrong with them, before torch is imported."""

    def run(self) -> Report:
        """Run the experiment, which ends at its time limit."""
        self.inspect()
        from compare.reports.time_limit import within

        with within(self.time_limit):
            return self.studied()

    def studied(self) -> Report:
        """What it does: import the function that `study` names, and call it with these parameters."""
        module, _, name = self.study.partition(":")
        report: Report = getattr(import_module(module), name)(self)
        return report

    @classmethod
    @abstractmethod
    def quick(cls) -> tuple[Self, ...]:
        """The parameters of its part of bare `implicitbias compare`: a few seconds; one instance per data set."""

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """Every parameter by its field's name: those by position first, those about waiting last."""
        described = [f for f in fields(cls) if "parameter" in f.metadata]
        described.sort(key=lambda f: (f.kw_only, f.name in WAITING))
        return {f.name: f.metadata["parameter"] for f in described}

    @property
    def record(self) -> dict[str, Any]:
        """The parameters in JSON's types, for the report's provenance."""
        return {"experiment": type(self).__name__, **self.written}

    @property
    def written(self) -> dict[str, Any]:
        """Each parameter that is about what is computed, as `readable` writes it."""
        return {name: readable(getattr(self, name)) for name in self.parameters() if name not in WAITING}

    @property
    def call(self) -> str:
        """The Python call that runs this again: every parameter that is not at its default."""
        defaults = {f.name: f.default for f in fields(self)}
        given = [f"{name}={value!r}" for name, value in self.written.items() if value != readable(defaults[name])]
        return f"compare.{self.function_name}({', '.join(given)})"

    def report_of_parts(
        self,
        parts: Sequence[tuple[str, Callable[[], Iterable[T]]]],
        title: str,
        sections: Callable[[list[T]], Iterable[Section]],
        dataset: Dataset,
        *,
        seeds: Iterable[int] = (),
    ) -> Report:
        """Run the parts under a progress bar; the report of the sections that are made of what they found."""
        from compare.reports.progress import run_parts

        done = run_parts(parts, title, show=self.progress)
        found = [one for several in done.results for one in several]
        made = sections(found) if found else ()
        return self.report(made, done, on=dataset.name, used=[dataset.used], seeds=seeds, notes=dataset.notes)

    def report(
        self,
        sections: Iterable[Section],
        done: Done[Any],
        *,
        on: str = "",
        used: Iterable[DataUsed] = (),
        seeds: Iterable[int] = (),
        notes: Iterable[str] = (),
    ) -> Report:
        """A report of these sections, and of what came too late, with the parameters and the data in its provenance."""
        from dataclasses import replace

        from compare.reports.provenance import Provenance
        from compare.reports.report import Report
        from compare.reports.time_limit import late_section

        title = f"{self.topic} on {on}" if on else self.topic
        provenance = Provenance.collect(used, seeds=seeds, command=self.call, parameters=self.record)
        late = (late_section(done.late),) if done.late else ()
        grouped = tuple(replace(section, group=title) for section in (*sections, *late))
        return Report(title, grouped, provenance, tuple(n for n in (*notes, done.note) if n), done.complete)


def quick_report(experiment: type[Experiment], *, progress: bool = False) -> Report:
    """The quick form of an experiment: one report of all its presets, as far as they were finished."""
    from dataclasses import replace

    from compare.reports.report import Report

    reports: list[Report] = []
    for preset in experiment.quick():
        reports.append(replace(preset, progress=progress).run())
        if not reports[-1].complete:
            break
    return reports[0] if len(reports) == 1 else Report.merge(reports, experiment.topic)


def readable(value: Any) -> Any:
    """A parameter in JSON's types; what is more than that by its name or its type's name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [readable(item) for item in value]
    if isinstance(value, dict):
        return [str(key) for key in value]
    return str(value) if isinstance(value, Path) else str(getattr(value, "name", type(value).__name__))


def function_of(experiment: Callable[P, Experiment], name: str) -> Callable[P, Report]:
    """The Python function of an experiment: its parameters, then `run`.

    The docstring is the class's, with the help texts of the parameters as `Args`.
    """

    def compare(*args: P.args, **kwargs: P.kwargs) -> Report:
        return experiment(*args, **kwargs).run()

    found: Any = compare
    found.experiment = experiment
    found.__name__ = found.__qualname__ = name
    found.__module__ = experiment.__module__
    found.__signature__ = inspect.signature(experiment).replace(return_annotation="Report")
    found.__doc__ = docstring(found.experiment)
    found.experiment.function_name = name
    return compare


def docstring(experiment: type[Experiment]) -> str:
    """The class's docstring with an Args section made of the help texts."""
    described = inspect.getdoc(experiment) or ""
    head = help_of(experiment)
    lines = [f"{name}: {known.help}" for name, known in experiment.parameters().items()]
    wrapped = [textwrap.fill(line, 110, initial_indent=" " * 4, subsequent_indent=" " * 8) for line in lines]
    return f"{head}\n\nArgs:\n" + "\n".join(wrapped) + described[len(head) :]


def help_of(experiment: type[Experiment]) -> str:
    """The class's docstring up to its first section: what the experiment does."""
    described = inspect.getdoc(experiment) or ""
    return described.partition("\n\nReturns:")[0].partition("\n\nRaises:")[0].rstrip()
