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
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from compare.reports import records
from compare.reports.drawing import svg
from compare.reports.findings import Column, Figure, Findings, Section, Value
from compare.reports.overview import overview
from compare.reports.terminal import comparison, headline, is_number
from compare.reports.verdict import Verdict
from compare.reports.wording import cell, clean, header, shown_in_unit

MOST_OPEN = 6
"""Sections of a page that is unfolded at first; a longer one shows its overview, and what went wrong. A convention."""
POLICY = "policy-of-this-page"
"""Stands for the policy while the page is made."""
INDEX = re.compile(r"(?<![\w.][^\W\d_])(?<=[^\W\d_]|[‖)∇])_(\{[^{}<>&;]{1,12}\}|[A-Za-z0-9ₙα-ω]{1,3})(?!\w|\.\w)")
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
    text = template().render(
        report=report,
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
        "picture": picture,
        "section_csv": lambda section: download(records.section_csv(section)),
        "figure_csv": lambda figure: download(records.columns_csv(figure.data)),
        "slug": records.slug,
        "sort_key": sort_key,
    }
    environment.filters |= {"clean": clean, "paragraphs": paragraphs, "typeset": typeset}
    return environment.get_template("webpage.html")


def counts(section: Section) -> list[tuple[int, Verdict]]:
    """How many of a section's predictions are confirmed, refuted, not reached; none of those that are 0."""
    found = Counter[Verdict](check.verdict for check in section.checks)
    return [(found[v], v) for v in Verdict if found[v] and v is not Verdict.NO_PREDICTION]


def typeset(text: str) -> Markup:
    """A text whose indices and powers, written R_K, y_{nm}, t^(−1/2), stand below and above the line.

    Only after a single letter or a sign: names of files keep their underscores. A hyphen that is a minus becomes one.

    >>> str(typeset("R_K(β) ≥ -1.5 in x_1.csv & my_x"))
    'R<sub>K</sub>(β) ≥ −1.5 in x_1.csv &amp; my_x'
    """
    shown = MINUS.sub("−", str(escape(clean(text))))
    shown = INDEX.sub(lambda found: f"<sub>{bare(found[1])}</sub>", shown)
    return Markup(POWER.sub(lambda found: f"<sup>{bare(found[1])}</sup>", shown))


def bare(script: str) -> str:
    """What is in the braces or parentheses around an index or a power."""
    return script[1:-1] if script[0] in "{(" else script


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a plain text, separated by empty lines; one that begins with four spaces is a formula."""
    return [part.strip("\n") for part in clean(text).split("\n\n") if part.strip()]


def download(text: str) -> str:
    """A data link to a CSV text."""
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode("utf-8", "backslashreplace")).decode()


def filled(section: Section) -> list[Column]:
    """The columns of a table that hold anything."""
    return [column for column in section.columns if any(row.get(column.key) is not None for row in section.rows)]


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


def picture(figure: Figure) -> Any:
    """The figure's SVG; a plot that cannot be drawn leaves a sentence, for it must not cost the numbers around it."""
    try:
        return Markup(svg(figure))
    except Exception as error:
        reason = f"{type(error).__name__}: {clean(str(error))}"
        return f"This plot could not be drawn ({reason}). Its numbers are in the CSV."
