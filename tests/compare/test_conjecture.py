"""The search: repeatable, resumable to the bit, right where theorems decide, and careful with its two words."""

from dataclasses import replace

import numpy as np
import pytest

from compare.channels.counterexample_search import (
    NOISE,
    GapEvidence,
    Search,
    Verification,
    gap_check,
    plan_of,
    run_search,
    verify,
)
from compare.data.load import DataError
from compare.experiments.conjecture import ConjectureSearch
from compare.reports.verdict import Verdict
from solvers import ConvKernel, induced_regularizer
from solvers.conv_kernel.gap_search import generation

SMALL = ConjectureSearch(channels_in=1, generations=1, batch=5, restarts=3, ascents=1, iterations=30, verifications=8)
IMAGES = replace(SMALL, grid=(4, 4), kernel=(2, 2))
SIGNALS = replace(SMALL, grid=(7,), kernel=(3,), restarts=4, iterations=40, verifications=6, seed=1)
CHANNELS = replace(SIGNALS, grid=(5,), kernel=(2,), channels_in=2, channels_out=4, batch=3, restarts=3)


def test_gaps_of_the_search_are_those_of_the_solvers():
    found = generation(plan_of(IMAGES), (3, 0))
    for w, gap in zip(found.instances, found.gaps, strict=True):
        one = induced_regularizer(w, (2, 2), out_channels=1, n_starts=12)
        # both are best-of-restarts over the same convex bound, known to 1e-9
        assert one.value / one.lower_bound - 1 <= gap + 2e-9
        assert gap == pytest.approx(one.value / one.lower_bound - 1, abs=1e-6)


def test_lower_bounds_of_the_search_are_valid_for_any_dual_vector():
    regularizer = ConvKernel((2, 2))
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 4, 4))
    z = rng.standard_normal((4, 4, 4)) + w
    bounds = [np.vdot(a, b) / regularizer.dual_norm(a) for a, b in zip(z, w, strict=True)]
    for image, bound in zip(w, bounds, strict=True):
        assert bound <= induced_regularizer(image, (2, 2)).value


@pytest.mark.parametrize("plan", [SIGNALS, CHANNELS])
def test_where_a_theorem_decides_there_is_no_gap(plan):
    search, _ = run_search(plan)
    assert search.best_gap <= NOISE
    report = plan.run()
    assert report.passed
    assert [check.verdict for check in report.checks] == [Verdict.CONFIRMED]


@pytest.mark.parametrize("plan", [SIGNALS, CHANNELS])
def test_a_gap_refutes_where_a_theorem_says_there_is_none(plan):
    for gap, verdict in ((NOISE / 2, Verdict.CONFIRMED), (1e-3, Verdict.REFUTED)):
        found = Verification(GapEvidence.CANDIDATE, gap, float("nan"))
        assert gap_check(plan_of(plan), found, "").verdict is verdict
        assert gap_check(plan_of(IMAGES), found, "").verdict is Verdict.NO_PREDICTION


def test_images_have_a_certified_gap():
    search, _ = run_search(IMAGES)
    assert search.best_gap > 1e-3
    found = verify(search.instance, plan_of(IMAGES), restarts=8)
    assert found.evidence is GapEvidence.CERTIFIED
    assert 0 < found.certified_gap <= found.gap
    made = IMAGES.run()
    assert [check.verdict for check in made.checks] == [Verdict.NO_PREDICTION]  # a finding, not a failure
    made.to_html()


def test_without_a_proof_a_gap_is_only_a_candidate():
    plan = plan_of(replace(IMAGES, grid=(5, 5), kernel=(3, 3), batch=1, restarts=2, ascents=0))
    found = verify(np.random.default_rng(0).standard_normal((5, 5)), plan, restarts=6)
    assert found.evidence is GapEvidence.CANDIDATE
    assert np.isnan(found.certified_gap)
    signal = verify(np.random.default_rng(0).standard_normal(7), plan_of(SIGNALS), restarts=4)
    assert signal.evidence is GapEvidence.NONE


def test_a_stopped_search_goes_on_to_the_same_end(tmp_path):
    path = tmp_path / "search.npz"
    run_search(replace(IMAGES, seed=5, state=path))
    resumed, _ = run_search(replace(IMAGES, seed=5, generations=2, state=path))
    whole, _ = run_search(replace(IMAGES, seed=5, generations=2))
    assert resumed.largest == whole.largest
    again = Search.load(path)
    np.testing.assert_array_equal(again.instance, whole.instance)
    assert verify(again.instance, again.plan, restarts=4).gap > 0
    with pytest.raises(DataError, match="another plan or seed"):
        run_search(replace(IMAGES, seed=6, generations=2, state=path))
    content = path.read_bytes()
    for damaged in (b"{}", content.replace(b"implicitbias/2", b"implicitbias/1"), content[:-100]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="no Search that `save` wrote, or damaged"):
            Search.load(path)


def test_a_kernel_that_does_not_fit_is_refused():
    for grid, kernel in (((8,), (2, 2)), ((3,), (4,))):
        with pytest.raises(ValueError, match="needs one size"):
            ConjectureSearch(grid, kernel)
