"""The table of optimizers, its predictions on runs, wrong norms refuted, and a gate that can answer "not reached"."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import proofs
from compare.data.load import load
from compare.experiments.optimizers import OPTIMIZERS, OptimizerComparison, compare_optimizers
from compare.mutants.optimizer_mutants import optimizer_trial
from compare.optimizers.optimizer_checks import RESOLUTION, margin_check, run_checks
from compare.optimizers.optimizer_report import adam_with_epsilon, section, several_labels
from compare.optimizers.optimizer_report import trained as trained_all
from compare.optimizers.optimizer_runs import WAYS, run, unit_step
from compare.optimizers.predictions import ARCHITECTURES, FAMILIES, TABLE, Standing, as_markdown, prediction
from compare.reports.drawing import svg
from compare.reports.verdict import Verdict
from solvers.regularizers import L2, Bridge, Schatten
from solvers.solution import NotSeparableError

A = np.array([[3.0, 1, 0, 2], [1, -2, 3, 1], [-2, 1, 1, 5]])
ONES = np.ones(3)
STEPS = 4000


def trained(name, X=A, y=ONES, *, depth=1, architecture="linear predictor", steps=STEPS):
    return run(X, y, architecture, depth, name, steps=steps, init=0.1, seed=0, optima={})


@pytest.fixture(scope="module")
def sign():
    return trained("sign")


def test_the_table_names_known_pairs_and_claims_once_each():
    pairs = [(row.architecture, row.optimizer) for row in TABLE]
    assert len(set(pairs)) == len(pairs)
    assert {a for a, _ in pairs} == set(ARCHITECTURES)
    assert {o for _, o in pairs} == set(FAMILIES)
    assert {way.family for way in WAYS.values()} <= set(FAMILIES)
    assert set(OPTIMIZERS) == set(WAYS)
    known = proofs.claims()
    for row in TABLE:
        assert all(claim in known for claim in row.claims)
        assert (row.standing is Standing.DERIVED) <= bool(row.claims)  # a derivation is one that is checked
        assert (row.norm is None) or row.regularizer(2) is not None


def test_the_documentation_prints_the_table():
    page = Path(__file__).parents[2] / "docs" / "optimizers.md"
    assert as_markdown() in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_diagonal_networks_divide_the_exponent_by_the_depth(p):
    family = {1.0: "coordinate", 2.0: "gradient", math.inf: "sign"}[p]
    for depth in (1, 2, 3):
        assert prediction("diagonal", family).regularizer(depth) == Bridge(p / depth)


def test_one_output_and_several():
    row = prediction("linear predictor", "spectral")
    assert (row.regularizer(1), row.regularizer(1, several=True)) == (L2(), Schatten(math.inf))
    deep = prediction("fully connected, several outputs", "gradient")
    assert deep.regularizer(2, several=True) == Schatten(1.0)


def test_the_margins_of_a_known_optimum(sign):
    """On A the ℓ∞ optimum is 15/68; the shortfall is measured against it, by numpy alone."""
    excess = sign.excess(Bridge(math.inf))
    β = sign.trajectory.predictor[0]
    np.testing.assert_allclose(excess[-1], np.abs(β).max() / (A @ β).min() * 68 / 15 - 1, rtol=1e-9)
    assert 0 <= excess[-1] < 0.02
    # the own bound holds for the certified optimum, and needs no solver
    assert sign.trajectory.gap(Bridge(math.inf)).lower[0, -1] <= 15 / 68 * (1 + 1e-12)


def test_the_right_norm_is_confirmed_and_wrong_ones_are_refuted(sign):
    (check,) = run_checks(sign)
    assert check.verdict is Verdict.CONFIRMED
    for wrong in (Bridge(1.0), L2()):
        assert margin_check(sign, wrong, "").verdict is Verdict.REFUTED


def test_a_run_that_has_only_begun_decides_nothing():
    begun = trained("sign", steps=12)
    for norm in (Bridge(math.inf), L2()):
        assert margin_check(begun, norm, "").verdict is Verdict.NOT_REACHED


def test_the_limit_of_a_figure_is_bracketed(sign):
    """e + c/‖θ‖ is extrapolated exactly; other powers and oscillations by two doublings that disagree."""
    θ = sign.trajectory.norm[0]
    u = θ[-1] / np.maximum(θ, 1e-3 * θ[-1])
    for limit in (0.0, 0.3):
        exact = sign.evidence(limit + 0.01 * u)
        assert exact.figure == pytest.approx(limit, abs=1e-12)
        assert exact.uncertainty <= 1e-12
        for law in (u**0.5, u**2, u**3, np.sin(5.0 * np.log(u)) * u):
            other = sign.evidence(limit + 0.01 * law)
            assert abs(other.figure - limit) <= other.uncertainty
    figures = 0.01 * u
    still = replace(sign.trajectory, norm=np.ones_like(sign.trajectory.norm))
    assert replace(sign, trajectory=still).evidence(figures).uncertainty == math.inf
    assert sign.evidence(np.where(np.arange(θ.size) == θ.size - 2, math.inf, figures)).uncertainty == math.inf


def test_wrong_norms_are_refuted_for_each_optimizer():
    data = load("synthetic:6,10,0")
    for name, outputs in (("coordinate", 1), ("spectral", 3)):
        trial = optimizer_trial(data, name, steps=STEPS, seed=0, outputs=outputs)
        found = [mutant.caught("here").verdict for mutant in trial.mutants]
        assert found[0] is Verdict.CONFIRMED
        assert set(found) <= {Verdict.CONFIRMED, Verdict.NO_PREDICTION}, trial
        assert found.count(Verdict.CONFIRMED) >= 4
        for mutant in trial.mutants[1:]:
            assert mutant.equivalent == (mutant.apart <= RESOLUTION)


def test_deep_networks_are_held_to_kkt_points_and_their_margin_is_only_measured():
    deep = trained("sign", architecture="diagonal", depth=2, steps=300)
    stationary, margin = run_checks(deep)
    assert "KKT point" in stationary.statement
    assert stationary.verdict is Verdict.NOT_REACHED  # 300 steps
    assert margin.verdict is Verdict.NO_PREDICTION
    # ℓ_{1/2} is no norm: nothing is measured against an optimum
    assert len(run_checks(trained("coordinate", architecture="diagonal", depth=2, steps=100))) == 1


def test_steps_and_labels():
    y = several_labels(A, 2, 0)
    assert y.shape == (3, 2)
    assert unit_step(A, ONES, WAYS["sign"].optimizer) == pytest.approx(1 / 9)  # ‖(−2, 1, 1, 5)‖₁
    assert unit_step(A, ONES, WAYS["coordinate"].optimizer) == pytest.approx(1 / 5)
    assert unit_step(A, y, WAYS["spectral"].optimizer) == pytest.approx(1 / math.sqrt(31))


def test_the_report_of_linear_predictors_and_several_outputs():
    parts = ("linear predictor", "several outputs")
    report = compare_optimizers(
        A, ONES, architectures=parts, optimizers=("sign", "spectral"), outputs=2, steps=100, eps=0
    )
    assert [section.title for section in report.sections] == [
        "data: linear predictor",
        "data: 2 outputs, linear predictor",
    ]
    linear, several = report.sections
    assert [row["optimizer"] for row in linear.rows] == ["sign", "spectral"]
    for row in linear.rows:  # 100 steps name the active points: the KKT system then closes the gap
        assert row["limit"] == "optimal"
        assert row["closed"] <= 1e-9
    assert several.rows[1]["norm"] == "‖σ(β)‖∞"
    names = [figure.name for section in report.sections for figure in section.figures]
    assert len(set(names)) == len(names)
    assert "heat-map" in names[0]
    assert svg(linear.figures[0]).startswith("<svg")


def test_the_sections_of_deep_networks_and_of_adam(sign):
    data = load(A, ONES)
    asked = OptimizerComparison(A, ONES, optimizers=("sign", "spectral"), steps=60)
    (deep,) = trained_all(asked, A, ONES, "diagonal", 2, {})  # vectors are no matrices: spectral descent is left out
    adam = adam_with_epsilon(replace(asked, eps=1e-3), data, {})
    for runs, title in (([deep], "data: diagonal, L=2"), (adam, "data: Adam with a fixed ε")):
        for one in runs:
            vars(one)["limit"] = sign.limit  # as if it were theirs: finding one takes seconds
        found = section(runs, data)
        assert found.title == title
        assert len(found.rows) == len(runs)
        assert found.figures
    assert found.rows[1]["theory"] is Verdict.NO_PREDICTION
    assert svg(found.figures[0]).startswith("<svg")


def test_the_quick_preset_is_small():
    (preset,) = OptimizerComparison.quick()
    assert preset.steps * len(preset.optimizers) <= 12_000


def test_unknown_names_and_points_that_do_not_separate_are_refused():
    with pytest.raises(ValueError, match="optimizers must be among"):
        compare_optimizers(A, ONES, optimizers=("newton",))
    with pytest.raises(NotSeparableError):
        compare_optimizers([[1.0, 0.0], [-1.0, 0.0]], [1, 1])
    with pytest.raises(ValueError, match="architectures must be among"):
        compare_optimizers(A, ONES, architectures=("transformer",))
