"""A report as ONE HTML page that opens from disk, without a network, dark or light, on a phone.

The template `webpage.html` escapes every string; the only markup passed through is the SVG that matplotlib drew, which
escapes its own text. Should markup get in all the same, it does nothing: the page's content security policy allows
nothing but the page's own styles and script, by their hashes. The CSV files ride along as data links, so the page alone
is enough to get at the numbers.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from functools import cache, partial
from itertools import count
from textwrap import dedent
from typing import Any
from unicodedata import normalize

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from compare.reports import records
from compare.reports.drawing import svg
from compare.reports.findings import Column, Figure, Findings, Section, Value
from compare.reports.formulas import formula
from compare.reports.overview import heading, overview
from compare.reports.terminal import comparison, extent, fitting, headline, is_number
from compare.reports.verdict import Verdict
from compare.reports.wording import cell, clean, header, ranges, shown_in_unit

MOST_OPEN = 6
"""Sections of a page that is unfolded at first; a longer one shows its overview, and what went wrong. A convention."""
WIDE, NARROW, GAP = 118, 32, 2
"""Letters in a line of a table in a window of 1280 pixels, on a telephone, and between two columns. A table that needs
more is split in the first and becomes cards on the second. In the widest of the page's fonts, DejaVu Sans: 976, 358 and
17.6 pixels, a letter of words at 8.3."""
LONGEST_CELL = 27
"""Letters of words in a cell before they are wrapped: "‖β‖₂⁄₃, β* from the limit" stays on a line. A convention."""
POLICY = "policy-of-this-page"
"""Stands for the policy while the page is made."""
INDEX = re.compile(r"(?<![\w.][^\W\d_])(?<=[^\W\d_]|[‖)∇²])_(\{[^{}<>&;]{1,12}\}|[A-Za-z0-9ₙα-ω]{1,4}|\*)(?!\w|\.\w)")
LOW = re.compile(r"[₀-₉ₐ-ₜᵢ-ᵥⱼ][₀-₉ₐ-ₜᵢ-ᵥⱼ⁄]*|(?<=ℓ)[0-9∞]")
MINUS = re.compile(r"(?<![^\s(\[=|])-(?=[\d.])")
POWER = re.compile(r"\^(\{[^{}<>&;]{1,12}\}|\([^()<>&;]{1,12}\)|[−-]?[A-Za-z0-9]{1,3}(?!\w))")
CLASSES = {
    Verdict.CONFIRMED.value: "holds",
    Verdict.REFUTED.value: "fails",
    Verdict.NOT_REACHED.value: "late",
    Verdict.NO_PREDICTION.value: "none",
}


def to_html(report: Findings) -> str:
    """The whole page; the same bytes for the same report."""
    return render(report, page=True)


def notebook_fragment(report: Findings) -> str:
    """The same without the page around it, for `_repr_html_`: styles reach only the report, no script."""
    return render(report, page=False)


def render(report: Findings, *, page: bool) -> str:
    """Fill the template, and let the policy name what it was filled with."""
    drawn = count(1)
    text = template().render(
        report=report,
        picture=lambda figure: picture(figure, f"p{next(drawn)}-"),
        notes_of=partial(notes_of, report),
        run=records.run_of(report),
        policy=POLICY,
        page=page,
        headline=str(headline(report)),
        state="fails" if report.failures else "holds" if report.passed else "none",
        overview=overview(report),
        folded=len(report.sections) > MOST_OPEN,
        checks_csv=download(records.to_csv(report)["checks.csv"]) if report.checks else "",
    )
    return text.replace(POLICY, policy(text), 1) if page else text


def policy(page: str) -> str:
    """The content security policy of a page: nothing is loaded, and only the styles and scripts in it have effect."""
    own = {
        tag: " ".join(
            sorted(f"'sha256-{digest(text)}'" for text in set(re.findall(rf"<{tag}.*?>(.*?)</{tag}>", page, re.DOTALL)))
        )
        for tag in ("style", "script")
    }
    return (
        f"default-src 'none'; style-src {own['style']}; script-src {own['script']}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    """SHA-256 in base64, as a policy names the text of an element."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def template() -> Template:
    """The page's template, with everything it calls."""
    environment = Environment(
        loader=PackageLoader("compare.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "cell": cell,
        "classes": CLASSES,
        "comparison": comparison,
        "counts": counts,
        "filled": filled,
        "header": header,
        "is_numeric": is_numeric,
        "ranges": ranges,
        "heading": heading,
        "section_csv": lambda section: download(records.section_csv(section)),
        "figure_csv": lambda figure: download(records.columns_csv(figure.data)),
        "slug": records.slug,
        "parts": parts,
        "sort_key": sort_key,
        "uncertain": uncertain,
    }
    environment.filters |= {"clean": clean, "formula": formula, "paragraphs": paragraphs, "typeset": typeset}
    return environment.get_template("webpage.html")


def counts(section: Section) -> list[tuple[int, Verdict]]:
    """How many of a section's predictions are confirmed, refuted, not reached; none of those that are 0."""
    found = Counter[Verdict](check.verdict for check in section.checks)
    return [(found[v], v) for v in Verdict if found[v] and v is not Verdict.NO_PREDICTION]


def typeset(text: str) -> Markup:
    """A text whose indices and powers, written R_K, y_{nm}, x₁, ℓ1, t^(−1/2), stand below and above the line.

    Only after a single letter or a sign: names of files keep their underscores. A hyphen that is a minus becomes one.

    >>> str(typeset("R_K(β) ≥ -1.5 in x_1.csv & my_x"))
    'R<sub>K</sub>(β) ≥ −1.5 in x_1.csv &amp; my_x'
    """
    shown = MINUS.sub("−", str(escape(clean(text))))
    shown = INDEX.sub(lambda found: f"<sub>{bare(found[1])}</sub>", shown)
    shown = LOW.sub(lambda found: f"<sub>{normalize('NFKC', found[0]).replace('⁄', '/')}</sub>", shown)
    return Markup(POWER.sub(lambda found: f"<sup>{bare(found[1])}</sup>", shown))


def bare(script: str) -> str:
    """What is in the braces or parentheses around an index or a power."""
    return script[1:-1] if script[0] in "{(" else script


def paragraphs(text: str) -> list[tuple[str, str]]:
    """The paragraphs of a plain text, each with its kind: "text", "formula", "code"; see `Section.text`.

    >>> paragraphs("One\\nof\\n\\n    x + y\\n\\n    >>> f()\\n    >>> g()")
    [('text', 'One\\nof'), ('formula', 'x + y'), ('code', '>>> f()\\n>>> g()')]
    """
    found = []
    for part in clean(text).split("\n\n"):
        inset, bare = part.strip("\n").startswith("    "), dedent(part).strip()
        if bare:
            found.append(("code" if bare.startswith(">>> ") else "formula", bare) if inset else ("text", part.strip()))
    return found


def notes_of(report: Findings, group: str | None) -> list[str]:
    """The notes about a group of sections, or with None about none of them; nothing of an interrupted report's."""
    if not report.complete:
        return []
    names = [name for name, _ in report.groups if name]
    if group is None:
        return [note for note in report.notes if not note.startswith(tuple(f"{name}: " for name in names))]
    return [note.removeprefix(f"{group}: ") for note in report.notes if group and note.startswith(f"{group}: ")]


def uncertain(section: Section) -> bool:
    """Whether a measurement of the section says how far off it may still be."""
    return any("±" in comparison(check) for check in section.checks)


def download(text: str) -> str:
    """A data link to a CSV text."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode("utf-8", "backslashreplace")).decode()


def filled(section: Section) -> list[Column]:
    """The columns of a table that hold anything."""
    return [column for column in section.columns if any(row.get(column.key) is not None for row in section.rows)]


def parts(section: Section) -> list[tuple[list[Column], bool]]:
    """The columns in the fewest tables that fit WIDE, about equally wide; whether each is too wide for a telephone."""
    columns = filled(section)
    needs = {column.key: extent(section, column, LONGEST_CELL) + GAP for column in columns}
    found = fitting(section, columns, needs, WIDE)
    for width in range(WIDE if len(found) > 1 else 0):
        if len(narrower := fitting(section, columns, needs, width)) == len(found):
            found = narrower
            break
    return [(table, sum(needs[column.key] for column in table) > NARROW) for table in found]


def is_numeric(section: Section, column: Column) -> bool:
    """Whether a column holds numbers, which stand right-aligned."""
    return any(is_number(row.get(column.key)) for row in section.rows)


def sort_key(value: Value, column: Column) -> str:
    """What a column sorts by: the number itself rather than its print; empty for an empty cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return repr(shown_in_unit(float(value), column.unit)) if isinstance(value, (int, float)) else clean(value)


def picture(figure: Figure, prefix: str) -> Any:
    """The figure's SVG, its ids with a prefix; a plot that cannot be drawn leaves a sentence, and costs no numbers."""
    try:
        return Markup(svg(figure, prefix))
    except Exception as error:
        reason = f"{type(error).__name__}: {clean(str(error))}"
        return f"This plot could not be drawn ({reason}). Its numbers are in the CSV."
