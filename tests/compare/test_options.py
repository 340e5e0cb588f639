"""Every option of every command: bad values are refused in our words and before torch is imported, and help reads well.

Data are read by a process of their own, in which torch must not have been imported when the refusal comes.
"""

import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from compare.command_line import COMMANDS, PROBLEMS, cli
from compare.commands.compare import Experiments
from compare.commands.lemma import command as lemma
from compare.commands.report import diff
from compare.commands.written import Place, Written
from compare.experiments.generators import GeneratorComparison
from compare.experiments.margin import MarginComparison
from compare.experiments.spline import SplineComparison
from compare.experiments.table import APART, EXPERIMENTS
from compare.near_names import nearest

ALL = {f"compare {name}": Experiments(name="x").get_command(None, name) for name in (*EXPERIMENTS, *APART)}
ALL |= {name: row.load() for name, row in COMMANDS.items() if name not in ("solve", "report")}
ALL |= {f"solve {name}": row.load() for name, row in PROBLEMS.items()} | {"report diff": diff, "prove lemma": lemma}
OPTIONS = [(line, option) for line, command in ALL.items() for option in command.params if option.opts[0][0] == "-"]
PATHS = [(line, option) for line, option in OPTIONS if isinstance(option.type, click.Path)]
READ = [(line, option) for line, option in OPTIONS if isinstance(option.type, Written)]
NUMBERS = [(line, option) for line, option in READ if option.type.wanted.within is not None]
ARGUMENTS = {"compare paper": ["gunasekar"], "solve induced": ["w.npy", "--kernel", "2"], "sweep": ["plan.toml"]}
ARGUMENTS |= {"report diff": ["a", "b"]}


def run(line, *arguments):
    words = [*line.split(), *ARGUMENTS.get(line, ()), *arguments]
    return CliRunner().invoke(cli, words, prog_name="implicitbias", terminal_width=80)


def named(cases):
    return [pytest.param(*case, id=f"{case[0]} {case[1].opts[0]}") for case in cases]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("line", "option"), named(NUMBERS))
def test_a_number_outside_its_range_is_refused_with_the_range(line, option):
    wanted = option.type.wanted
    for text in ("-1", "nan", "", "abc", "1,x") + (() if wanted.within.infinite else ("inf",)):
        done = run(line, option.opts[0], text)
        assert done.exit_code == 2, text
        assert str(wanted.within) in done.output
        assert not re.search(r"\(\d+,\)|float|range x|1e\+", done.output), done.output
    assert not os.listdir()


@pytest.mark.parametrize(("line", "option"), named(PATHS))
def test_an_empty_path_is_refused(line, option):
    done = run(line, option.opts[0], "")
    assert done.exit_code == 2
    assert "a path is wanted" in done.output


def test_every_number_and_path_is_read_by_us():
    """click's own types say "not a valid float" and "x>=1", and take an empty path."""
    assert all(isinstance(option.type, Place) for _, option in PATHS)
    types = {type(option.type) for _, option in OPTIONS if not option.is_flag} - {Place, Written}
    assert types <= {click.Choice, type(click.STRING), type(click.BOOL)}


@pytest.mark.parametrize("line", ALL)
def test_help_has_ranges_and_whole_defaults(line):
    """At 80 columns every default is there, broken at spaces alone, and so is every range."""
    done = CliRunner().invoke(cli, [*line.split(), "--help"], prog_name="implicitbias", terminal_width=80)
    assert done.exit_code == 0, done.output
    words = done.output.replace("\N{NO-BREAK SPACE}", " ").split()
    shown = " ".join(words)
    for name, option in READ:
        wanted, default = option.type.wanted, option.default
        if name != line:
            continue
        if wanted.within is not None:
            assert str(wanted.within) in shown, option.name
        if isinstance(default, str) and wanted.kind.several and "default: 0-" not in option.help:
            assert ", ".join(default.split(",")) in shown, option.name
    assert max(map(len, done.output.partition("Options:")[2].splitlines())) <= 80


ONE_MEANING = {
    "kernels": "the lemma's come from a file, those of experiments are sizes",
    "channels": "a flag for the rows of the lemma's matrices",
    "init": "the scale of the initial weights, and their distribution",
    "size": "pixels on a side; the conjecture's may be an image's HxW",
    "out": "a folder; of one predictor the file",
    "kernel": "several where each is an answer of its own",
}
"""Options of one name whose values are of several kinds, and why that is one meaning."""


def test_one_name_has_one_kind_of_value():
    kinds = {}
    for _, option in OPTIONS:
        read = option.type.wanted.kind.noun if isinstance(option.type, Written) else option.type.name
        kinds.setdefault(option.opts[0].removeprefix("--"), set()).add(read)
    several = {name for name, found in kinds.items() if len(found) > 1}
    assert several == set(ONE_MEANING), {name: kinds[name] for name in several ^ set(ONE_MEANING)}
    assert kinds["seeds"] == {"integers"}
    assert {"channels-in", "channels-out"} <= set(kinds)
    assert not {"in-channels", "out-channels"} & set(kinds)
    assert [line for line, option in OPTIONS if option.opts[0] == "--folder"] == ["compare channels"]


def test_a_count_is_no_list_of_seeds():
    for experiment in (MarginComparison, GeneratorComparison, SplineComparison):
        with pytest.raises(ValueError, match=r"seeds must be integers ≥ 0.*such as \(3,\); got 3"):
            experiment(seeds=3)
    with pytest.raises(ValueError, match="steps must be an integer"):
        MarginComparison(steps=2.5)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("digit", "digits"), ("winr", "wine"), ("inf", ""), ("nan", ""), ("x", ""), ("foo", ""), ("0", "")],
)
def test_only_a_near_name_is_suggested(name, meant):
    known = ("digits", "wine", "iris", "breast_cancer", "synthetic", "random", "partial")
    assert nearest(name, known) == (f"did you mean {meant!r}? " if meant else "")


REFUSED = {
    "compare padding --kernels 3,99": "kernels must be at most 13",
    "compare decay --kernel 99": "kernel must be at most 12",
    "compare decay --log-inverse-decays 5,1": "log_inverse_decays must increase, as in 1,5; got 5,1",
    "compare decay --log-inverse-decays 5,5": "log_inverse_decays must increase",
    "compare spline --widths 80,40": "widths must increase, as in 40,80; got 80,40",
    "compare denoising --widths 80,40": "widths must increase",
    "compare denoising --seeds 3": "seeds must be two or more; got 3",
    "compare mutants --data foo": "there is no data called 'foo'",
    "compare depth --architectures foo": "no architecture 'foo'",
    "compare losses --architectures diagonal,foo": "no architecture 'foo'",
    "compare depth --architectures diagonal,": "write names, with commas between them",
    "compare bounded --data-sets 1": "data_sets must be 0 or at least 2",
    "compare bounded --kernel 13": "kernel must be at most 12",
    "compare bounded --kernels 2,65": "kernels must be at most 64",
    "compare channels --folder .": "folder is where the files of mnist or cifar10 lie; 'digits:0v1' has no such files",
    "compare channels --kernels 9": "wider than the data",
    "compare conjecture --size 3 --kernel 4": "kernel",
    "compare recovery --size 0": "size must be 16, 32 or 64; got 0",
    "compare generators --images nosuch": "no image called 'nosuch'",
    "prove lemma --a 1,nan --b 1,2": "the kernel '1,nan': 'nan' is no finite number such as 2, 1/3 or 0.5",
    "prove lemma --a 1,2 --b 1e999": "'1e999' is no finite number",
    "prove lemma --a 1,2 --b 1/0": "'1/0' is no finite number",
    "prove lemma --a 1,2 --b kernel.txt": "there is no file 'kernel.txt'",
    "prove lemma --a 1,2": "the lemma adds two kernels or more, got 1",
}
SCRIPT = """
import sys
from compare.command_line import cli
for line in sys.stdin.read().splitlines():
    try:
        cli.main(line.split(), standalone_mode=False)
    except Exception as error:
        print({"torch", "cvxpy", "sympy"} & set(sys.modules) or "", error)
    else:
        print("accepted")
"""


def test_what_does_not_fit_the_data_is_refused_before_torch_is_imported():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input="\n".join(REFUSED), capture_output=True, text=True, timeout=120
    )
    said = done.stdout.splitlines()
    assert len(said) == len(REFUSED), done.stderr
    for line, answer, words in zip(REFUSED, said, REFUSED.values(), strict=True):
        assert answer.startswith(" "), (line, answer)
        assert words in answer, (line, answer)
