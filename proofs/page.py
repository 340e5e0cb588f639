"""Claims and verdicts as records for JSON, and as one self-contained HTML page with the formulas in MathML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import sympy
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from sympy.printing.mathml import MathMLPresentationPrinter
from sympy.printing.pretty.pretty import PrettyPrinter
from sympy.printing.pretty.stringpict import prettyForm

from proofs.claim import Claim, Kind, Step, Verdict
from solvers.whole_files import write_text

_LONGEST = 60
"""Operations in a formula that is still rendered; longer ones are named by their size."""


def record(claim: Claim, verdict: Verdict) -> dict[str, Any]:
    """What `--json` prints for one claim."""
    step_fields = ("text", "check", "verdict", "instance", "residual", "counterexample")
    steps = [(s.text, s.check, str(s.kind), s.instance, s.residual, dict(s.counterexample)) for s in verdict.steps]
    return {
        "claim": claim.name,
        "statement": claim.statement,
        "assumptions": list(claim.assumptions),
        "source": claim.reference,
        "scope": verdict.scope,
        "verdict": str(verdict.kind),
        "expected": str(verdict.expected),
        "as_expected": verdict.as_expected,
        "corrected_by": claim.corrected_by,
        "seconds": round(verdict.seconds, 4),
        "residual": verdict.residual,
        "counterexample": dict(verdict.counterexample),
        "steps": [dict(zip(step_fields, step, strict=True)) for step in steps],
    }


def write(results: Sequence[tuple[Claim, Verdict]], path: Path) -> None:
    """Write the page; it needs no network."""
    write_text(path, render(results))


def render(results: Sequence[tuple[Claim, Verdict]]) -> str:
    """The page as text."""
    loader = PackageLoader("proofs", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["equation"] = equation
    environment.filters["typeset"] = typeset
    expected = sum(verdict.as_expected for _, verdict in results)
    return environment.get_template("page.html").render(results=results, expected=expected)


def typeset(text: str) -> Markup:
    """Subscripts and superscripts, x_k, x^{p/2}, of a unicode formula as <sub> and <sup>; the rest is escaped."""

    def raised(found: re.Match[str]) -> str:
        if found[3] == "(":
            return found[0]
        tag = "sub" if found[1] == "_" else "sup"
        return f"<{tag}>{found[2] or found[3]}</{tag}>"

    return Markup(re.sub(r"([_^])(?:\{([^{}]*)\}|([^\W_]+|\())", raised, str(escape(text))))


def equation(step: Step) -> Markup:
    """left = right (or ≠, ≥, …) in MathML, or how long they are."""
    if _bare(step):
        return Markup("")
    operations = int(sympy.count_ops(step.left)) + int(sympy.count_ops(step.right))
    if operations > _LONGEST:
        return Markup("<span class='long'>an identity with {} operations</span>").format(operations)
    sides = [_mathml(step.left), _mathml(step.right)]
    return Markup(f'<math display="block"><mrow>{sides[0]}<mo>{relation(step)}</mo>{sides[1]}</mrow></math>')


def pretty(step: Step, widest: int = 110) -> str:
    """left = right (or ≠, ≥, …) as lines of text for a terminal; nothing where it would not fit."""
    if _bare(step) or sympy.count_ops(step.left) + sympy.count_ops(step.right) > _LONGEST:
        return ""
    printer = PrettyPrinter({"use_unicode": True, "wrap_line": False})
    left, right = (printer._print(sympy.sympify(side)) for side in (step.left, step.right))
    text = str(prettyForm(*left.right(f" {relation(step)} ", right)))
    return text if max(map(len, text.splitlines())) <= widest else ""


def _bare(step: Step) -> bool:
    """No formula to show: none was given, or both sides came out the same, as the check says."""
    return step.left is None or step.right is None or bool(step.left == step.right)


def relation(step: Step) -> str:
    """The sign between the two sides; crossed out when the line was refuted."""
    return {"=": "≠", "≥": "≱", ">": "≯"}[step.relation] if step.kind is Kind.REFUTED else step.relation


@cache
def _printer() -> MathMLPresentationPrinter:
    return MathMLPresentationPrinter({"mul_symbol": "None"})


def _mathml(expression: Any) -> str:
    """sympy escapes the names of symbols itself: they become text nodes of a DOM."""
    return str(_printer()._print(sympy.sympify(expression)).toxml())
