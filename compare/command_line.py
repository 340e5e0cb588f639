"""`implicitbias`: the commands by name, each loaded only when it is called.

Importing torch or cvxpy takes seconds, so this file imports nothing but click: `implicitbias --help` answers from the
tables here and in `compare.experiments.table`. A new experiment is one file and one line of that table.

Exit codes: 0 all that is predicted is confirmed, and something is; 1 a prediction is refuted; 3 none is refuted, but
something was not reached or nothing was predicted; 2 the input is bad (one line says what); 130 interrupted by Ctrl-C
and 143 by SIGTERM, with the report of what was finished written; 141 when whoever reads the output closed it.
"""

from __future__ import annotations

import codecs
import errno
import gc
import json
import math
import os
import signal
import sys
import time
import traceback as tracebacks
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from compare.experiments.table import Row
from compare.near_names import nearest

CONFIRMED, REFUTED, NOT_REACHED = 0, 1, 3
"""How a comparison came out; 2 is click's code for bad input."""
INTERRUPTED = 130
"""128 + SIGINT, what shells expect of an interrupted command."""

CLOSED = 141
"""128 + SIGPIPE, what shells expect of a command whose output nobody reads any more."""

BEGAN: list[float] = []
"""When `main` did: a time limit on the command line counts from there."""

AT_ONCE = 1.0
"""Seconds in which a second SIGTERM is the first one, sent twice."""

SET_HERE: list[str] = []
"""Those of `ONE_THREAD` that this program has set, since the user did not; what `doctor` says."""

WRITING = (errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Errors that, where they name no file, are of what is printed."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread each unless the user says otherwise: the matrices here are small, so a second thread gains nothing, and on
a busy machine threads that wait for each other by spinning were measured to cost ten times the time. The libraries read
these when they are imported, so `main` sets them first."""


COMMANDS = {
    "compare": Row("compare.commands.compare:command", "Compare solvers with gradient descent; write a report."),
    "solve": Row("compare.commands.solve:command", "Solve an explicit problem and print its certificate."),
    "sweep": Row("compare.commands.sweep:command", "Run a grid of networks, data and methods; resumable."),
    "report": Row("compare.commands.report:command", "Two reports side by side."),
    "doctor": Row("compare.commands.doctor:command", "What is installed here, which solvers work, which GPU there is."),
    "prove": Row("compare.commands.prove:command", "Verify the identities that both sides rest on."),
}
"""The top level."""

PROBLEMS = {
    "margin": Row("compare.commands.solve_margin:command", "min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1, for a regularizer R."),
    "induced": Row("compare.commands.solve_induced:command", "R_K(w), the least weights of a CNN that computes w."),
}
"""`implicitbias solve <name>`."""


class Refusal(click.ClickException):
    """Bad input, in one line."""

    exit_code = 2


class LazyGroup(click.Group):
    """A click group that knows its commands' names and help lines, and imports a command when it is called."""

    rows: ClassVar[Mapping[str, Row]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return list(self.rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now."""
        if cmd_name not in self.rows:
            return None
        command: click.Command = self.rows[cmd_name].load()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but an unknown name is answered with the nearest known one."""
        if args and not args[0].startswith("-") and args[0] not in self.rows:
            known = f"{nearest(args[0], self.rows)}known are {', '.join(self.rows)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {known}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.help) for name, row in self.rows.items()])


class CommandLine(LazyGroup):
    """The top level: errors about the input become one line and exit code 2."""

    rows = COMMANDS

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """As click does it; --help prints here."""
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError:
            sys.exit(CLOSED)
        except OSError as error:
            raise Refusal(printable(one_line(error))) from error
        except click.ClickException as error:
            vars(error)["message"] = printable(error.message)  # which click declares final
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run; with --traceback what led to an error is printed."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            sys.exit(CLOSED)  # for click and rich a closed output is a 1
        except click.ClickException as error:
            vars(error)["message"] = printable(error.message)  # which click declares final
            raise
        except KeyboardInterrupt:  # click's own exit code is 1, which here says that a prediction is refuted
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except (ValueError, OSError, ArithmeticError) as error:
            if ctx.params.get("traceback"):
                tracebacks.print_exc()
                ctx.exit(Refusal.exit_code)
            line = one_line(error)
            if type(error).__name__ == "LinAlgError":  # numpy's, a ValueError that is about no input by name
                line = f"the numbers broke down on this input ({line}); --traceback before the command shows where"
            raise Refusal(printable(line)) from error


def one_line(error: Exception) -> str:
    """What an error says, on one line; that the output cannot be written where no other file can be meant."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        return f"{'the output could not be written: ' if error.errno in WRITING else ''}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def printable(text: str) -> str:
    """A message without what repaints a terminal: it may quote arguments, and file names among them."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


@click.group(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all predictions confirmed, 1 one refuted, 2 bad input, 3 one not reached or none made, 130 "
    "interrupted (143 by SIGTERM).",
)
@click.version_option(package_name="implicitbias", prog_name="implicitbias")
@click.option("--traceback", is_flag=True, help="On bad input show the whole traceback instead of one line.")
def cli(traceback: bool) -> None:
    """Which predictor gradient descent ends at: the induced regularizer's certified optimum, compared with the limit of
    the network itself."""
    del traceback


def main() -> None:
    """The console command. SIGTERM ends it like Ctrl-C, what is finished is kept, but with its own exit code.

    `timeout` sends it twice, to the process and to its group: the second time must not end what writes the report.
    """
    BEGAN.append(time.monotonic())
    terminated: list[int] = []
    first = -math.inf

    def terminate(number: int, frame: object) -> None:
        nonlocal first
        del frame
        if time.monotonic() - first < AT_ONCE:
            return
        first = time.monotonic()
        terminated.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    SET_HERE.extend(name for name in ONE_THREAD if name not in os.environ)
    os.environ.update(dict.fromkeys(SET_HERE, "1"))
    prepare_output()
    code: str | int | None = INTERRUPTED
    try:
        cli.main(prog_name="implicitbias", standalone_mode=True)
    except KeyboardInterrupt:  # before click took over, or after
        pass
    except SystemExit as end:
        code = CLOSED if isinstance(end.__context__, BrokenPipeError) else end.code
    gc.freeze()  # or Python looks through all objects again before it ends: 2 of 2.5 seconds with torch and cvxpy
    sys.exit(flushed(128 + terminated[0] if terminated and code == INTERRUPTED else code))


def prepare_output() -> None:
    """Output that is closed goes nowhere, and what its encoding has no character for is escaped as in JSON."""

    def escape(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        return json.dumps(error.object[error.start : error.end])[1:-1], error.end

    codecs.register_error("escape", escape)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  it stays open to the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="escape")


def flushed(code: str | int | None) -> str | int | None:
    """The exit code, after what is still to be written has been."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        if isinstance(error, BrokenPipeError):
            return CLOSED
        click.echo(f"Error: the output could not be written: {error.strerror}", err=True)
        return Refusal.exit_code
    return code


if __name__ == "__main__":  # python -m: the module that the commands import is another one
    from compare import command_line

    command_line.main()
