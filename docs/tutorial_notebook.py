"""Writes `tutorial.ipynb` from `tutorial.md`: `python docs/tutorial_notebook.py`. A test holds the two together."""

from __future__ import annotations

import json
import re
from pathlib import Path

DOCS = Path(__file__).parent


def notebook(page: str) -> str:
    """The page's text as cells, and each of its examples as a cell of code, without outputs."""
    cells = []
    for number, part in enumerate(re.split(r"^```pycon\n(.*?)^```\n", page, flags=re.MULTILINE | re.DOTALL)):
        if number % 2:
            kind, text = "code", "\n".join(line[4:] for line in part.splitlines() if line[:4] in (">>> ", "... "))
        else:
            kind, text = (
                "markdown",
                part.replace("The page is also a notebook:\n{download}`tutorial.ipynb`.\n", "").strip(),
            )
        if text:
            cell = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}, "source": text.splitlines(True)}
            cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    (DOCS / "tutorial.ipynb").write_text(notebook((DOCS / "tutorial.md").read_text(encoding="utf-8")), encoding="utf-8")
