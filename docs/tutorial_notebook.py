"""Writes `tutorial.ipynb` from `tutorial.md`: `python docs/tutorial_notebook.py`. A test holds the two together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent


def notebook(page: str) -> str:
    """The page's text as cells, and each of its examples as a cell of code, with the output that the page shows.

    The page's tests hold that output. Links to other pages, which a notebook leaves behind, are their text alone.
    """
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"^```pycon\n(.*?)^```\n", page, flags=re.MULTILINE | re.DOTALL)):
        cell = code(part.splitlines()) if number % 2 else prose(part)
        if cell["source"]:
            cells.append({**cell, "id": f"cell-{len(cells)}", "metadata": {}})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def code(lines: list[str]) -> dict[str, Any]:
    typed = [line[4:] for line in lines if line[:4] in (">>> ", "... ")]
    printed = [line + "\n" for line in lines if line and line[:3] not in (">>>", "...")]
    outputs = [{"output_type": "stream", "name": "stdout", "text": printed}] if printed else []
    return {
        "cell_type": "code",
        "source": "\n".join(typed).splitlines(True),
        "execution_count": None,
        "outputs": outputs,
    }


def prose(text: str) -> dict[str, Any]:
    text = text.replace("The page is also a notebook:\n{download}`tutorial.ipynb`.\n", "").strip()
    return {"cell_type": "markdown", "source": re.sub(r"\[([^\]]*)\]\((?!http)[^)]*\)", r"\1", text).splitlines(True)}


if __name__ == "__main__":
    (DOCS / "tutorial.ipynb").write_text(notebook((DOCS / "tutorial.md").read_text(encoding="utf-8")), encoding="utf-8")
