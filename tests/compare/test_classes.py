"""Several classes by name and from tables, their comparison, and the experiments that are of two classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compare import DataError, compare_margin, load
from compare.experiments.losses import LossComparison
from compare.margin.output_limits import planted_classes
from compare.measures import normalized_margin
from compare.mutants.margin_mutants import WRONG_OF_CLASSES, margin_trial
from gd import FullyConnected
from solvers import L2, max_margin


def test_names_without_a_pair_are_all_classes() -> None:
    digits = load("digits")
    assert digits.X.shape == (1797, 64)
    assert digits.classes == tuple("0123456789")
    assert digits.outputs == 10
    assert digits.X.max() == 1.0
    wine = load("wine")
    np.testing.assert_allclose(wine.X.std(axis=0), 1.0)
    assert load("wine:0v1", several=True).outputs == 1
    with pytest.raises(DataError, match="write wine:AvB"):
        load("wine", several=False)


def test_tables_of_several_classes(tmp_path: Path) -> None:
    table = tmp_path / "fruit.csv"
    table.write_text("size,label\n1,plum\n2,pear\n3,quince\n4,pear\n")
    data = load(table)
    assert data.classes == ("pear", "plum", "quince")
    assert data.y.tolist() == [1.0, 0.0, 2.0, 0.0]
    with pytest.raises(DataError, match=r"takes 3 values.*binary"):
        load(table, several=False)
    table.write_text("size,label\n1,0.5\n2,1.5\n3,2.5\n")
    with pytest.raises(DataError, match="integers or words"):
        load(table)
    arrays = load(np.eye(3), [7, 5, 6])
    assert arrays.named == {"0": "5", "1": "6", "2": "7"}


def test_experiments_of_two_classes_say_so() -> None:
    with pytest.raises(DataError, match=r"takes 3 values.*binary"):
        LossComparison(planted_classes(6, 4, 3, 0)).dataset()


def test_networks_of_several_classes() -> None:
    data = planted_classes(8, 10, 3, 1)
    report = compare_margin(data, depths=[1, 2], seeds=[0], steps=20, loss="cross entropy")
    assert report.passed
    said = {check.statement: check for section in report.sections for check in section.checks}
    linear = next(check for statement, check in said.items() if "linear predictor" in statement)
    assert linear.verdict.value == "confirmed"
    assert "Soudry" in linear.reference
    # of the nuclear norm nothing is proved: the prediction is the KKT point, the gap is shown beside it
    deep = {check.verdict.value for statement, check in said.items() if "fully connected, L=2" in statement}
    assert deep == {"confirmed", "no prediction"}
    rows = report.sections[0].rows
    assert len(rows) == 4  # linear, fully connected, diagonal, convolutional


def test_own_networks_need_one_output_a_class() -> None:
    data = planted_classes(8, 10, 3, 1)
    assert compare_margin(data, models=FullyConnected(10, 1, outputs=3), steps=10).passed
    with pytest.raises(ValueError, match="one a class"):
        compare_margin(data, models=FullyConnected(10, 1, outputs=2), steps=10)


def test_margin_of_a_matrix() -> None:
    data = planted_classes(8, 10, 3, 1)
    solution = max_margin(data.X, data.y, L2())
    assert normalized_margin(data.X, data.y, 3.0 * solution.beta, L2()) == pytest.approx(1.0 / solution.objective)


@pytest.mark.parametrize(("name", "depth"), [("fully connected", 1), ("diagonal", 2)])
def test_wrong_norms_and_wrong_constraints_are_refuted(name: str, depth: int) -> None:
    trial = margin_trial(planted_classes(10, 20, 3, 0), name, depth, 0, 0.1)
    assert trial.mutants[0].check.verdict.value == "confirmed"
    assert len(trial.mutants) == 1 + len(WRONG_OF_CLASSES[name, depth]) + (depth == 1)
    for mutant in trial.mutants[1:]:
        assert mutant.check.verdict.value == "refuted", mutant.claim
        assert not mutant.equivalent
    assert (trial.mutants[-1].claim == "each class against the rest") is (depth == 1)
