"""The documentation does what it says.

The Python sessions of README.md and of every page are doctests, collected by pytest itself (`--doctest-glob`). The
pictures are drawn, and the formulas set, when the site is built. This file checks what is left: that every command
exists, that no page or script names what is not there, and that the reference lists every public name.
"""

import ast
import contextlib
import importlib
import importlib.util
import inspect
import json
import re
import runpy
import shlex
from enum import Enum
from pathlib import Path

import click
import pytest

from compare.command_line import cli
from proofs import claims

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "examples" not in page.relative_to(DOCS).parts)
MARKDOWN = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
GALLERY = sorted((DOCS / "gallery").glob("*.py"))
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(page):
    """(info line, body) of every fenced block of a page."""
    return [(f["info"].strip(), f["body"]) for f in FENCE.finditer(page.read_text(encoding="utf-8"))]


def commands(page):
    """The `implicitbias …` lines of the page's shell blocks."""
    lines = [line for info, body in fences(page) if info == "sh" for line in body.replace("\\\n", "").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if re.match(r"(\S*/)?implicitbias\b", line)]


def parsed(command, arguments):
    """Walk a command line down to its last command without running it. Raises click.UsageError where it is none."""
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        _, command, arguments = command.resolve_command(click.Context(command), list(arguments))
    with contextlib.suppress(click.exceptions.Exit):  # --help answers at once
        command.make_context(command.name, list(arguments)).close()


@pytest.mark.parametrize("page", [page for page in MARKDOWN if commands(page)], ids=lambda page: page.stem)
def test_commands_are_known_with_their_options(page):
    for arguments in commands(page):
        parsed(cli, arguments)


@pytest.mark.parametrize("line", ["compare margin --no-such-option", "compare no-such-experiment", "sweep"])
def test_a_command_line_that_is_none_is_caught(line):
    with pytest.raises(click.UsageError):
        parsed(cli, line.split())


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_is_a_session_that_pytest_runs(page):
    """A block without prompts would not be executed, and a last line of output must not touch the closing fence."""
    for info, body in fences(page):
        assert info != "python"
        if info == "pycon":
            assert body.startswith(">>> ")
            assert body.endswith("\n\n")


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_wrapped_at_100_columns(page):
    """Tables cannot be wrapped, and a line of output is as long as what is printed."""
    lines = page.read_text(encoding="utf-8").splitlines()
    printed = {
        line
        for info, body in fences(page)
        if info == "pycon"
        for line in body.splitlines()
        if not line.startswith((">>>", "..."))
    }
    assert [line for line in lines if len(line) > 100 and not line.startswith("|") and line not in printed] == []


def test_scripts_that_pages_name_exist():
    for page in MARKDOWN:
        for script in re.findall(r"\b((?:benchmarks|docs|tests)/[\w/]+\.py)\b", page.read_text(encoding="utf-8")):
            assert (ROOT / script).is_file(), f"{page.name} names {script}"


@pytest.mark.parametrize("package", ["solvers", "gd", "compare", "proofs"])
def test_every_public_name_is_in_the_reference_once(package):
    public = importlib.import_module(package)
    pages = (page.read_text(encoding="utf-8") for page in (DOCS / "api" / package).glob("*.rst"))
    listed = sorted(
        name for page in pages for name in re.findall(r"^\.\. (?:auto\w+|py:data):: (\w+)$", page, re.MULTILINE)
    )
    assert listed == sorted(public.__all__)


@pytest.mark.parametrize("package", ["solvers", "gd", "compare", "proofs"])
def test_signatures_are_written_so_that_sphinx_can_lay_them_out(package):
    """It prints what Python cannot parse, such as a default <function f at 0x…>, on one line with its raw names."""
    spec = importlib.util.spec_from_file_location("plain_docstrings", DOCS / "extensions" / "plain_docstrings.py")
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    public = importlib.import_module(package)
    for thing in (getattr(public, name) for name in public.__all__):
        if inspect.isfunction(thing) or (inspect.isclass(thing) and not issubclass(thing, (Exception, Enum))):
            signature = inspect.signature(thing)
            plain = signature.replace(
                parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
                return_annotation=signature.empty,
            )
            ast.parse(f"def f{extension.parsable(str(plain))}: ...")


@pytest.mark.parametrize("script", GALLERY, ids=lambda script: script.stem)
def test_scripts_of_the_gallery_import_what_exists_and_say_what_they_show(script):
    """They run when the site is built; a name that has moved is found here."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    title, line, *_, caption = ast.get_docstring(tree).split("\n", 3)
    assert len(title) == len(line)
    assert len(caption) > 80
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def test_the_notebook_of_the_tutorial_is_that_of_its_page(monkeypatch):
    """The page's examples are doctests of the suite, and the notebook's cells are those examples."""
    monkeypatch.syspath_prepend(DOCS)
    made = importlib.import_module("tutorial_notebook").notebook((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    assert made == (DOCS / "tutorial.ipynb").read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(made)["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 6
    for cell in cells:
        ast.parse("".join(cell["source"]))


def test_every_script_of_the_gallery_is_shown_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [script.stem for script in GALLERY if f"sphx_glr_{script.stem}_001" not in text] == []


@pytest.mark.parametrize(
    ("line", "escaped"),
    [
        ("|β| of `x_*` and `Image`s", r"\|β\| of `x_*` and `Image`\ s"),
        ("w_* is 2*x, x_n stays", r"w\_\* is 2\*x, x_n stays"),
    ],
)
def test_signs_of_mathematics_in_docstrings_are_no_markup(line, escaped):
    assert runpy.run_path(str(DOCS / "extensions" / "plain_docstrings.py"))["escaped"](line) == escaped


def test_a_formula_in_a_docstring_is_kept_as_it_stands():
    process = runpy.run_path(str(DOCS / "extensions" / "plain_docstrings.py"))["process"]
    lines = [
        "Solve",
        "",
        "    min |β|   s.t.   Aβ ≥ 1",
        "",
        "for A.",
        "",
        "Args:",
        "    A: points.",
        "",
        ">>> 2 * 3",
        "6",
    ]
    process(None, "function", "f", None, None, lines)
    start = lines.index(".. code-block:: none")
    assert lines[start + 1 : start + 5] == ["   :class: formula", "", "    min |β|   s.t.   Aβ ≥ 1", ""]
    assert lines[-5:] == ["Args:", "    A: points.", "", ">>> 2 * 3", "6"]


# The coverage page: every numbered item of the papers, and names that exist

COVERAGE = (DOCS / "coverage.md").read_text(encoding="utf-8")
PAPERS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", COVERAGE, re.MULTILINE | re.DOTALL))
ROWS = [row for body in PAPERS.values() for row in re.findall(r"^\| (?!in the )(.*) \| (.*) \|$", body, re.MULTILINE)]


def items(author):
    """What the table of a paper lists, its first column."""
    body = next(body for title, body in PAPERS.items() if title.startswith(author))
    return "\n".join(re.findall(r"^\| (?!in the )(.*) \| ", body, re.MULTILINE))


def equations(text):
    """The numbers after "eq." and "eqs.", ranges such as (8)–(11) written out."""
    found = set()
    for listed in re.findall(r"eqs?\. ((?:\(\d+\)(?:, |–)?)+)", text):
        for first, last in re.findall(r"\((\d+)\)(?:–\((\d+)\))?", listed):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def exists(dotted):
    """Whether a public name, its attribute or its field is there."""
    package, *names = dotted.split(".")
    thing = importlib.import_module(package)
    for name in names:
        if name in getattr(thing, "__dataclass_fields__", {}):
            return True
        thing = getattr(thing, name, None)
    return thing is not None


def test_coverage_has_every_number_of_the_papers():
    assert len(PAPERS) == 5
    assert equations(items("Gunasekar")) == set(range(1, 16))
    assert equations(items("Jin")) == set(range(1, 25))
    theorems = ["Theorem 1", "Theorem 2 ", "Theorem 2a", "Theorem 4", "Lemma 3", "Lemma 5", "Lemma 6", "Lemma 7"]
    assert [name for name in [*theorems, "1a", "1b", "1c"] if name not in items("Gunasekar")] == []
    assert [n for n in range(1, 5) if f"Figure {n}" not in items("Heckel, Hand")] == []
    assert items("Jin").count("theorem") == 5
    assert items("Jin").count("Proposition") == 3


@pytest.mark.parametrize(("item", "where"), ROWS, ids=[item for item, _ in ROWS])
def test_coverage_names_what_exists(item, where):
    names = re.findall(r"`([^`]+)`", where)
    assert names or where == "not here", item
    for name in names:
        if name.startswith("implicitbias "):
            parsed(cli, shlex.split(name)[1:])
        elif name.endswith(".py"):
            assert (ROOT / name).is_file(), name
        elif name.partition(".")[0] in ("solvers", "gd", "compare", "proofs"):
            assert exists(name), name
        else:
            assert name in claims(), name


@pytest.mark.parametrize("name", ["solvers.no_such_name", "gd.Limit.no_such_field"])
def test_a_name_on_the_coverage_page_that_is_none_is_caught(name):
    assert not exists(name)


def test_coverage_names_every_claim():
    assert [name for name in claims() if f"`{name}`" not in COVERAGE] == []


@pytest.mark.parametrize("package", ["solvers", "gd", "compare"])
def test_the_picture_of_a_package_names_each_of_its_folders(package):
    drawn = (ROOT / "docs" / "images" / f"{package}.svg").read_text(encoding="utf-8")
    folders = [path.parent.name for path in (ROOT / package).glob("*/__init__.py")]
    assert folders
    assert [name for name in folders if f"{name}/" not in drawn] == []
