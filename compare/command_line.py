"""`implicitbias`: the commands by name, each loaded only when it is called.

Importing torch or cvxpy takes seconds, so this file imports nothing but click: `implicitbias --help` answers from the
tables below. **A new experiment is one row in EXPERIMENTS and one file `compare/commands/<name>.py`** with

    command   a click command, `implicitbias compare <name>`: the full experiment, with its options
    quick     a function () -> Report, a few seconds: its part of bare `implicitbias compare`

Exit codes: 0 every prediction holds; 1 a prediction fails; 2 the input is bad (one line says what); 130 interrupted,
with the report of what was finished written.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True)
class Row:
    """One line of a command table: where the command lives ("module:attribute") and its one line of help."""

    target: str
    help: str


COMMANDS = {
    "compare": Row("compare.commands.compare:command", "Compare solvers with gradient descent; write a report."),
    "solve": Row("compare.commands.solve:command", "Solve an explicit problem and print its certificate."),
    "prove": Row("compare.commands.prove:command", "Verify the identities both roads rest on."),
}
"""The top level."""

EXPERIMENTS = {
    "margin": Row("compare.commands.margin:command", "Max margin of linear networks (classification)."),
}
"""`implicitbias compare <name>`. Bare `implicitbias compare` runs `quick()` of each, in this order."""


def load(target: str) -> Any:
    """The object named "module:attribute"."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
