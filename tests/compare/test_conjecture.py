"""The hunt: repeatable, resumable to the bit, right where theorems decide, and careful with its two words."""

import numpy as np
import pytest

from compare.channels.conjecture import NOISE, Hunt, Verdict, report, run_hunt, verify
from compare.data.load import DataError
from gd.multi_channel_search import HuntPlan, Prices, generation
from solvers import induced_regularizer

IMAGES = HuntPlan((4, 4), (2, 2), 1, 1, batch=5, restarts=3, climbs=1, iterations=30)
SIGNALS = HuntPlan((7,), (3,), 1, 1, batch=5, restarts=4, climbs=1, iterations=40)
CHANNELS = HuntPlan((5,), (2,), 2, 4, batch=3, restarts=3, climbs=1, iterations=40)


def test_gaps_of_the_hunt_are_those_of_the_solvers():
    found = generation(IMAGES, (3, 0), "cpu")
    for w, gap in zip(found.instances, found.gaps, strict=True):
        one = induced_regularizer(w, (2, 2), out_channels=1, n_starts=12)
        # both are best-of-restarts over the same convex bound, known to 1e-9
        assert one.value / one.lower_bound - 1 <= gap + 2e-9
        assert gap == pytest.approx(one.value / one.lower_bound - 1, abs=1e-6)


def test_lower_bounds_of_the_hunt_are_valid_for_any_dual_vector():
    import torch

    prices = Prices(IMAGES, torch.device("cpu"))
    rng = np.random.default_rng(0)
    w = rng.standard_normal((4, 1, 4, 4))
    z = prices.spectra(torch.as_tensor(rng.standard_normal((4, 1, 4, 4)) + w))
    bounds = prices.lower_bounds(z, prices.spectra(torch.as_tensor(w))).numpy()
    for image, bound in zip(w[:, 0], bounds, strict=True):
        assert bound <= induced_regularizer(image, (2, 2)).value


@pytest.mark.parametrize("plan", [SIGNALS, CHANNELS])
def test_where_a_theorem_decides_there_is_no_gap(plan):
    hunt, _ = run_hunt(plan, 1, 1)
    assert hunt.best_gap <= NOISE
    judged = report(hunt, restarts=6)
    assert judged.passed
    assert [check.passed for check in judged.checks] == [True]


def test_images_have_a_certified_gap():
    hunt, _ = run_hunt(IMAGES, 0, 1)
    assert hunt.best_gap > 1e-3
    judged = verify(hunt.instance, IMAGES, restarts=8)
    assert judged.verdict is Verdict.CERTIFIED
    assert 0 < judged.certified_gap <= judged.gap
    made = report(hunt, restarts=8)
    assert [check.passed for check in made.checks] == [None]  # a finding, not a failure
    made.to_html()


def test_without_a_proof_a_gap_is_only_a_candidate():
    plan = HuntPlan((5, 5), (3, 3), 1, 1, batch=1, restarts=2, climbs=0, iterations=30)
    judged = verify(np.random.default_rng(0).standard_normal((5, 5)), plan, restarts=6)
    assert judged.verdict is Verdict.CANDIDATE
    assert np.isnan(judged.certified_gap)
    signal = verify(np.random.default_rng(0).standard_normal(7), SIGNALS, restarts=4)
    assert signal.verdict is Verdict.NONE


def test_a_stopped_hunt_goes_on_to_the_same_end(tmp_path):
    path = tmp_path / "hunt.json"
    run_hunt(IMAGES, 5, 1, path=path)
    resumed, _ = run_hunt(IMAGES, 5, 2, path=path)
    whole, _ = run_hunt(IMAGES, 5, 2)
    assert resumed.largest == whole.largest
    again = Hunt.load(path)
    np.testing.assert_array_equal(again.instance, whole.instance)
    assert verify(again.instance, again.plan, restarts=4).gap > 0
    with pytest.raises(DataError, match="another plan or seed"):
        run_hunt(IMAGES, 6, 2, path=path)
    path.write_text("{}")
    with pytest.raises(DataError, match="not a hunt's file"):
        Hunt.load(path)
