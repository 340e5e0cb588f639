"""The pictures of the documentation, drawn by the code that the gallery shows, while the site is being built.

Each script in `docs/gallery/` has a docstring (the first line is its title, the rest its caption) and a function
`draw(canvas)` that computes what it shows. Nothing drawn is kept in the repository: as a hook of MkDocs this file puts

    <!-- picture: NAME -->     the drawing of docs/gallery/NAME.py, inline, in the colours of the reader's scheme
    <!-- code: NAME -->        that script, folded
    <!-- commands: TABLE -->   the commands of a table of `compare.command_line`
    <!-- claims: A, B -->      these statements of `proofs` (*: all) and the verdicts that the tests hold them to

into the pages that ask for them. `python docs/make_gallery.py FOLDER` writes the same drawings as SVG files.
"""

from __future__ import annotations

import html
import os
import re
import runpy
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same bytes on every machine

REMOTE_SHIM = "https://unpkg.com/iframe-worker/shim"
GALLERY = Path(__file__).parent / "gallery"
MARKER = re.compile(r"<!-- (picture|claims|commands): ([^>]*?) -->")
VERBATIM = re.compile(  # formulas, in group 1, only look like code
    r'(<div class="[^"]*formula[^"]*">.*?</div>)|<(pre|code|svg|nav|h\d)\b.*?</\2>|<[^>]*>', re.DOTALL
)
SUBSCRIPT = re.compile(  # not within names of code, which are longer words than min, max and inf
    r"(?<=[^\s_])(?:(?<=min)|(?<=max)|(?<=inf)|(?<![A-Za-z]{3}))_(?:\{([^{}]*)\}|([A-Za-z0-9Α-ω∞]{1,4})(?![A-Za-z0-9_]))"
)
SUPERSCRIPT = re.compile(r"\^(?:\{([^{}]*)\}|([−-]?[A-Za-z0-9Α-ω]+))")
BACKTICKS = re.compile(r"`([^`]+)`")
TAGS = re.compile(r"(<[^>]*>)|[^<]+")
CODE = re.compile(r"^<!-- code: (\S+) -->$", re.MULTILINE)


@cache
def drawing(name: str) -> tuple[str, str, str]:
    """Title, caption and SVG of one script."""
    from compare import Figure
    from compare.reports.drawing import svg

    script = runpy.run_path(str(GALLERY / f"{name}.py"))
    title, _, caption = script["__doc__"].strip().partition("\n")
    caption = " ".join(caption.split())
    figure = Figure(name, caption, script["draw"], size=script.get("SIZE", (5.6, 3.6)))
    return title.rstrip("."), caption, svg(figure)


def picture(name: str) -> str:
    """The drawing with its caption."""
    title, caption, markup = drawing(name)
    title, caption = html.escape(title), BACKTICKS.sub(r"<code>\1</code>", html.escape(caption))
    return (
        f'<figure class="drawing" aria-label="{title}">{markup}'
        f"<figcaption><b>{title}.</b> {caption}</figcaption></figure>"
    )


def claim_table(names: str) -> str:
    """The claims with these names: statement, verdict expected, and which claim says it right when that is REFUTED."""
    from proofs import find

    rows = []
    for claim in find([] if names == "*" else [name.strip() for name in names.split(",")]):
        verdict = html.escape(str(claim.expected))
        if claim.corrected_by:
            verdict += f" – see <code>{html.escape(claim.corrected_by)}</code>"
        rows.append((f"<code>{html.escape(claim.name)}</code>", html.escape(claim.statement), verdict))
    return table(("claim", "statement", "verdict"), rows)


def command_table(name: str) -> str:
    """The commands of one of the tables of `compare.command_line`, "COMMANDS" or "EXPERIMENTS"."""
    from compare import command_line

    group = "implicitbias compare " if name == "EXPERIMENTS" else "implicitbias "
    named = getattr(command_line, name).items()
    rows = [(f"<code>{group}{word}</code>", html.escape(row.help)) for word, row in named]
    return table(("command", "what it does"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells of HTML as a table that scrolls sideways where it must."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="claims"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


FILLED_BY = {"picture": picture, "claims": claim_table, "commands": command_table}


def folded_code(name: str) -> str:
    """A script of the gallery as a folded code block."""
    source = (GALLERY / f"{name}.py").read_text(encoding="utf-8")
    lines = ["```python", *source.splitlines(), "```"]
    return f'??? example "`docs/gallery/{name}.py`"\n' + "\n".join(f"    {line}".rstrip() for line in lines)


def typeset(text: str) -> str:
    """x_n and e^{−m} with their indices and exponents set as such.

    >>> typeset("e^{−m_n}")
    'e<sup>−m<sub>n</sub></sup>'
    """
    for _ in range(2):  # an index within an exponent, an exponent within an index
        text = SUBSCRIPT.sub(lambda found: f"<sub>{found[1] or found[2]}</sub>", text)
        text = SUPERSCRIPT.sub(lambda found: f"<sup>{found[1] or found[2]}</sup>", text)
    return text


def typeset_page(content: str) -> str:
    """`typeset` on what a person reads: text and formulas, but no code, drawing or tag."""
    parts, end = [], 0
    for found in VERBATIM.finditer(content):
        parts.append(typeset(content[end : found.start()]))
        parts.append(TAGS.sub(lambda piece: piece[1] or typeset(piece[0]), found[1]) if found[1] else found[0])
        end = found.end()
    return "".join([*parts, typeset(content[end:])])


def on_config(config: Any, **_: Any) -> Any:
    """MkDocs: after the configuration has been read. Imports what only a build needs; the tests do without it."""
    from markdown import Markdown
    from markdown.extensions import Extension
    from markdown.inlinepatterns import SimpleTextInlineProcessor

    class PlainUnderscores(Extension):
        """An underscore is an index, never emphasis: ‖β‖_p and ‖β̂‖_p in one line are not italics between them."""

        def extendMarkdown(self, md: Markdown) -> None:
            """Markdown: a bare underscore is text. Priority: after HTML (90), before emphasis (60)."""
            md.inlinePatterns.register(SimpleTextInlineProcessor("(_)"), "underscore", 65)

    config.markdown_extensions.append(PlainUnderscores())
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs: before a page is rendered."""
    return CODE.sub(lambda found: folded_code(found[1]), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """MkDocs: after a page is rendered."""
    return typeset_page(MARKER.sub(lambda found: FILLED_BY[found[1]](found[2].strip()), content))


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """MkDocs: the finished HTML. The theme would fetch its search shim from the network; ours lies beside the pages."""
    return output.replace(REMOTE_SHIM, "../" * page.url.count("/") + "javascripts/worker.js")


def on_post_template(output_content: str, **_: Any) -> str:
    """MkDocs: the finished page for addresses that do not exist."""
    return output_content.replace(REMOTE_SHIM, "javascripts/worker.js")


def main() -> None:
    """Write every drawing into a folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for script in sorted(GALLERY.glob("*.py")):
        path = folder / f"{script.stem}.svg"
        path.write_text(drawing(script.stem)[2], encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
