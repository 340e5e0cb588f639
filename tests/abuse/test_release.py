"""What a release promises about itself."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import solvers

ROOT = Path(__file__).parents[2]


def test_one_version_everywhere() -> None:
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert citation is not None
    assert changes is not None
    assert citation[1] == changes[1] == solvers.__version__ == version("implicitbias")


def test_citation_agrees_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"license: {project['license']}" in citation
    assert project["dynamic"] == ["version"]
    assert all(f"- {keyword}" in citation for keyword in project["keywords"])
