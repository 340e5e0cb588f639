"""`implicitbias prove`: table, JSON, page, exit codes."""

import json
import math
import random
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

import proofs.catalogue
from compare.command_line import cli
from proofs.catalogue import GROUPS, claims, find, verify
from proofs.claim import Kind
from proofs.page import render


def run(*arguments: str):
    return CliRunner().invoke(cli, ["prove", *arguments])


def test_table_of_named_claims() -> None:
    result = run("one-tap", "lemma-3-as-printed")
    assert result.exit_code == 0, result.output
    assert "ALGEBRA PROVED FOR ALL SIZES" in result.output
    assert "REFUTED" in result.output
    assert "see lemma-3-unscaled" in result.output
    assert "2 of 2 claims have the expected verdict" in result.output


def test_details_show_every_step() -> None:
    result = run("convolution-lemma-2", "--details")
    verdict = claims()["convolution-lemma-2"].verify()
    assert all(f"{number}." in result.output for number in range(1, len(verdict.steps) + 1))
    assert "left − right" in result.output


def test_json_is_whole() -> None:
    (record,) = json.loads(run("two-dimensions", "--json").stdout)
    assert record["verdict"] == record["expected"] == "PROVED"
    assert {step["verdict"] for step in record["steps"]} == {"PROVED"}
    assert record["seconds"] >= 0


def test_max_K_reaches_the_identities_in_K() -> None:
    (small,) = json.loads(run("autocorrelation-polynomial", "--max-K", "2", "--json").stdout)
    (large,) = json.loads(run("autocorrelation-polynomial", "--max-K", "10", "--json").stdout)
    assert len(small["steps"]) < len(large["steps"])
    assert "K ≤ 2," in small["scope"]
    assert "K ≤ 10," in large["scope"]


def test_unknown_name_is_one_line_with_the_nearest() -> None:
    result = run("lema-5")
    assert result.exit_code == 2
    assert "lemma-5" in result.output


def test_exit_code_when_a_verdict_is_not_the_expected_one(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(claims()["one-tap"], expected=Kind.REFUTED)
    monkeypatch.setattr(proofs.catalogue, "find", lambda names=(): [wrong])
    result = run("one-tap")
    assert result.exit_code == 1
    assert "expected REFUTED" in result.output


def test_progress_and_the_time_limit_are_those_of_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("one-tap", "lemma-3-as-printed")
    assert done.stderr.splitlines()[0] == "2 claims to verify"
    assert [line.partition(",")[0] for line in done.stderr.splitlines()[1:]] == ["one-tap", "lemma-3-as-printed"]
    ends = iter((math.inf, math.inf, math.inf, 0.0))  # asked before each part, and for its alarm
    monkeypatch.setattr("compare.reports.progress.deadline", lambda: next(ends))
    late = run("one-tap", "lemma-3-as-printed", "lemma-5", "lemma-7", "--json", "--time-limit", "100")
    assert late.exit_code == 3
    assert [record["claim"] for record in json.loads(late.stdout)] == ["one-tap", "lemma-3-as-printed", "lemma-5"]
    assert "The time limit came before 'lemma-7' was finished: 3 of 4 parts are finished." in late.stderr


def test_a_time_limit_ends_what_is_at_work() -> None:
    """In a process of its own: the suite's own time limit holds the alarm here. The factorization is begun all the
    same, and ended."""
    a, b = (",".join(map(str, random.Random(seed).choices(range(-9, 10), k=80))) for seed in (0, 1))
    command = [sys.executable, "-m", "compare.command_line", "prove", "lemma", f"--a={a}", f"--b={b}", "--exact"]
    late = subprocess.run([*command, "--time-limit", "1e-6"], capture_output=True, text=True, timeout=60)
    assert (late.returncode, late.stderr, late.stdout) == (3, "Not decided: the time limit came first.\n", "")


def test_page_is_self_contained_and_well_formed() -> None:
    chosen = find(["convolution-lemma-2", "lemma-3-as-printed", "stationarity"])
    page = render([(claim, claim.verify()) for claim in chosen])

    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.stack: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag not in {"meta", "br"}:
                self.stack.append(tag)
            assert not {name for name, _ in attrs} & {"src", "onload"}

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    parser = Balance()
    parser.feed(page)
    assert parser.stack == []
    assert "http" not in page
    assert page.count("<math") > 10
    assert "counterexample" in page


def test_groups_and_workers_agree() -> None:
    names = [claim.name for claim in find(["generator-equations", "one-tap", "dual-norm"])]
    alone = [verdict for _, verdict in verify(names)]
    shared = [verdict for _, verdict in verify(names, jobs=2)]
    assert alone == shared
    assert all(any(claim.name == name for group in GROUPS for claim in find([group])) for name in names)


def test_a_refuted_line_is_not_printed_as_an_equation() -> None:
    assert "≠" in run("eq-13-as-printed", "--details").output
    page = render([(claim, claim.verify()) for claim in find(["eq-13-as-printed", "lemma-5"])])
    assert "<mo>≠</mo>" in page
    assert "<mo>&gt;</mo>" in page or "<mo>></mo>" in page


def test_proofs_need_neither_torch_nor_cvxpy() -> None:
    code = (
        "import sys, proofs; proofs.claims(); proofs.spectral_factor([1, 2], [3, 4]); "
        "print(sorted({'torch', 'cvxpy', 'gd', 'compare'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_interruption_keeps_what_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object):
        claim = claims()["one-tap"]
        yield claim, claim.verify()
        raise KeyboardInterrupt

    monkeypatch.setattr(proofs.catalogue, "verify", interrupted)
    result = run()
    assert result.exit_code == 130
    assert "1 of 1 claims" in result.output
