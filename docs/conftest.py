"""The Python sessions on the pages are doctests, which pytest collects from the Markdown files (`--doctest-glob`)."""

import pytest

collect_ignore_glob = ["*.py", "*/*.py"]  # scripts of the gallery and the configuration of Sphinx


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path, monkeypatch):
    """What a page writes does not land in the repository."""
    monkeypatch.chdir(tmp_path)
