"""Sphinx: the directive `claims`, a table of statements that `proofs` checks.

Its content lists the claims by name; without content the table has all of them. The table shows the verdict to which
a test holds each claim.
"""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from proofs import find


def entry(*children: nodes.Node) -> nodes.entry:
    """A cell of a table."""
    return nodes.entry("", nodes.paragraph("", "", *children))


class Claims(Directive):
    """name, statement, verdict, and which claim says it right where the verdict is REFUTED."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """docutils: the table."""
        names = " ".join(self.content).replace(",", " ").split()
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (20, 60, 20)), cols=3)
        head = (entry(nodes.Text(title)) for title in ("claim", "statement", "verdict"))
        group += nodes.thead("", nodes.row("", *head))
        body = nodes.tbody()
        for claim in find(names):
            verdict: list[nodes.Node] = [nodes.Text(str(claim.expected))]
            if claim.corrected_by:
                verdict += [nodes.Text("; right: "), nodes.literal(text=claim.corrected_by)]
            cells = entry(nodes.literal(text=claim.name)), entry(nodes.Text(claim.statement)), entry(*verdict)
            body += nodes.row("", *cells)
        group += body
        return [nodes.table("", group, classes=["claims"])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx: called once."""
    app.add_directive("claims", Claims)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
