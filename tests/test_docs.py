"""The documentation does what it says: every Python block runs, prints what the page shows, and every command exists.

The blocks of a page share one namespace, in order. A fenced block of class `output` right after a Python block is what
that block prints, compared as a doctest would (ellipses, whitespace).
"""

import contextlib
import doctest
import importlib
import io
import re
import runpy
import shlex
import sys
from pathlib import Path

import click
import pytest

from compare.command_line import cli

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"^``` ?(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def fences(page):
    """(first word or classes of the info line, body, line number) of every fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(f["info"].strip(), f["body"], text[: f.start()].count("\n") + 2) for f in FENCE.finditer(text)]


def with_python(pages):
    return [page for page in pages if any(info == "python" for info, _, _ in fences(page))]


def check(page, folder):
    """Run a page's blocks in `folder`; the first difference between what it shows and what is printed, else None."""
    namespace = {"__name__": "page"}
    blocks = fences(page)
    for number, (info, body, line) in enumerate(blocks):
        if info != "python":
            continue
        printed = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
            exec(compile("\n" * (line - 1) + body, str(page), "exec"), namespace)
        follows = blocks[number + 1] if number + 1 < len(blocks) else ("", "", 0)
        shown = follows[1] if ".output" in follows[0] else ""
        if not doctest.OutputChecker().check_output(shown, printed.getvalue(), FLAGS):
            return f"{page.name}:{line} shows\n{shown}\nbut prints\n{printed.getvalue()}"
    return None


@pytest.mark.parametrize("page", with_python(PAGES), ids=lambda page: str(page.relative_to(DOCS)))
def test_blocks_run_and_print_what_the_page_shows(page, tmp_path):
    difference = check(page, tmp_path)
    assert difference is None, difference


def test_a_page_that_shows_another_output_is_caught(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n\n``` { .text .output }\n3\n```\n", encoding="utf-8")
    assert "but prints\n2" in check(page, tmp_path)


def commands(page):
    """The `implicitbias …` lines of the page's shell blocks."""
    lines = [line for info, body, _ in fences(page) if info == "sh" for line in body.splitlines()]
    return [shlex.split(line)[1:] for line in lines if re.match(r"(\S*/)?implicitbias\b", line)]


def parsed(command, arguments):
    """Walk a command line down to its last command without running it. Raises click.UsageError where it is none."""
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        _, command, arguments = command.resolve_command(click.Context(command), list(arguments))
    with contextlib.suppress(click.exceptions.Exit):  # --help answers at once
        command.make_context(command.name, list(arguments)).close()


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_are_known_with_their_options(page):
    for arguments in commands(page):
        parsed(cli, arguments)


@pytest.mark.parametrize("line", ["compare margin --no-such-option", "compare no-such-experiment", "sweep"])
def test_a_command_line_that_is_none_is_caught(line):
    with pytest.raises(click.UsageError):
        parsed(cli, line.split())


def test_no_line_of_python_needs_scrolling_on_a_laptop():
    lines = [line for page in PAGES for info, body, _ in fences(page) if info == "python" for line in body.splitlines()]
    assert [line for line in lines if len(line) > 100] == []


def test_scripts_that_pages_name_exist():
    for page in PAGES:
        for script in re.findall(r"\b((?:benchmarks|docs)/\w+\.py)\b", page.read_text(encoding="utf-8")):
            assert (ROOT / script).is_file(), f"{page.name} names {script}"


@pytest.mark.parametrize("package", ["solvers", "gd", "compare", "proofs"])
def test_every_public_name_is_in_the_reference(package):
    face = importlib.import_module(package)
    listed = set(re.findall(r"^::: (\S+)$", (DOCS / "api" / f"{package}.md").read_text(encoding="utf-8"), re.MULTILINE))
    missing = []
    for name in face.__all__:
        home = getattr(getattr(face, name), "__module__", None)  # None: a table, described where it is used
        if home is not None and not listed & {home, f"{home}.{name}", f"{package}.{name}"}:
            missing.append(name)
    assert missing == []


def gallery_hook():
    sys.path.insert(0, str(DOCS))
    try:
        import make_gallery
    finally:
        sys.path.remove(str(DOCS))
    return make_gallery


def test_every_script_of_the_gallery_is_shown_with_its_code():
    shown = (DOCS / "gallery" / "index.md").read_text(encoding="utf-8")
    for script in (DOCS / "gallery").glob("*.py"):
        assert f"<!-- picture: {script.stem} -->\n\n<!-- code: {script.stem} -->" in shown


@pytest.mark.parametrize("script", sorted((DOCS / "gallery").glob("*.py")), ids=lambda script: script.stem)
def test_scripts_of_the_gallery_import_and_say_what_they_show(script):
    """They are run when the site is built; a name that has moved is found here."""
    contents = runpy.run_path(str(script))
    title, _, caption = contents["__doc__"].partition("\n\n")
    assert title.endswith(".")
    assert len(caption) > 80
    assert callable(contents["draw"])


def test_markers_of_every_page_can_be_filled():
    hook = gallery_hook()
    for page in PAGES:
        for kind, names in hook.MARKER.findall(page.read_text(encoding="utf-8")):
            if kind == "picture":
                assert (DOCS / "gallery" / f"{names}.py").is_file()
            elif kind == "claims" and names != "*":
                assert hook.claim_table(names).count("<tr>") == names.count(",") + 2
            else:
                assert hook.FILLED_BY[kind](names).count("<tr>") > 3


def test_a_drawing_is_the_same_bytes_every_time_and_needs_no_network():
    hook = gallery_hook()
    once = hook.picture("rich_regime")
    hook.drawing.cache_clear()
    assert hook.picture("rich_regime") == once
    assert not re.search(r'href="[^#]|<image|url\((?!#)', once)


def test_indices_and_exponents_are_set_in_text_and_not_in_code():
    hook = gallery_hook()
    assert hook.typeset("L‖β̂‖_{2/L}^{2/L}, e^{−m_n}, w_l²") == (
        "L‖β̂‖<sub>2/L</sub><sup>2/L</sup>, e<sup>−m<sub>n</sub></sup>, w<sub>l</sub>²"
    )
    page = '<p title="x_n">x_n <code>x_n</code></p><pre>x_n</pre>'
    assert hook.typeset_page(page) == '<p title="x_n">x<sub>n</sub> <code>x_n</code></p><pre>x_n</pre>'
    formula = '<div class="text formula highlight"><pre><code id="a_b">x_n\n</code></pre></div>'
    assert hook.typeset_page(formula) == formula.replace("x_n", "x<sub>n</sub>")
