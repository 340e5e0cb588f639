"""The denoising comparison: its yardsticks against their definitions, its verdicts in both directions, a small run."""

from dataclasses import replace

import numpy as np
import pytest

from compare.generators.denoising_bands import BANDS, band_errors, band_section, learned
from compare.generators.denoising_filter import (
    closest,
    example_signal,
    fluctuation,
    image_section,
    psnr,
    stopping_section,
    width_section,
)
from compare.generators.denoising_images import (
    PUBLISHED_TRAINING,
    DecoderTraining,
    baselines,
    noisy_images,
    photograph_checks,
    photograph_section,
)
from compare.generators.denoising_labels import LabelFitter, corrupted_run, label_curves, label_section, two_digits
from compare.generators.image_sources import Image, shipped
from compare.reports.verdict import Verdict
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel


def test_fluctuation_is_the_spread_of_the_kernels_of_trained_starts():
    """Drawn directly: k/2 channels, J Jᵀ y averaged, 400 times; both sides are known to about 4%."""
    u, n, k = gaussian_kernel(16, 0.1), 16, 64
    kernel, y = dual_kernel(u), example_signal(16)
    U = np.array([np.roll(u, i) for i in range(n)]).T
    rng, gaps = np.random.default_rng(1), []
    for _ in range(400):
        s = (U @ rng.standard_normal((n, k // 2)) > 0).astype(float)
        gaps.append(((s @ s.T) / (k // 2) * (U @ U.T)) @ y - kernel.apply(y))
    direct = 0.3 * np.sqrt(np.mean(np.sum(np.square(gaps), axis=1))) / np.linalg.norm(y)
    assert fluctuation(u, kernel, y, 0.3, k) == pytest.approx(direct, rel=0.12)


def test_the_filter_sections_hold_and_a_poor_network_fails():
    good = width_section(n=64, widths=(128, 1024), seeds=(0, 1, 2), steps=20)
    assert [c.verdict for c in good.checks[:2]] == [Verdict.CONFIRMED, Verdict.CONFIRMED]
    assert good.rows[1]["mean"] < good.rows[0]["mean"]
    timed = stopping_section(n=64, k=1024, seeds=(0,), steps=120)
    assert timed.checks[0].verdict is Verdict.CONFIRMED


def test_psnr_and_closest():
    assert psnr(np.zeros(4), np.full(4, 0.1)) == pytest.approx(20.0)
    assert psnr(np.ones(3), np.ones(3)) == float("inf")
    assert closest(np.zeros(2), [np.ones(2), np.full(2, 0.1), np.full(2, -2.0)])[0] == 0.1


def test_image_filters_improve_on_noise():
    section = image_section(shipped("camera", 32), k=128, steps=40)
    scores = {row["method"]: row["psnr"] for row in section.rows}
    assert all(score > scores["noisy"] for name, score in scores.items() if name != "noisy")
    assert section.checks[0].verdict is Verdict.CONFIRMED


def test_baselines_improve_on_noise_and_noise_has_its_level():
    image = shipped("coffee", 32, colour=True)
    plan = DecoderTraining(level=0.1)
    y = noisy_images([image], plan)[0]
    inside = (y > 0) & (y < 1)
    assert (y - image.pixels)[inside].std() == pytest.approx(0.1, rel=0.1)  # 2000 pixels, some clipped away
    same = noisy_images([image], replace(plan, same_noise=True))[0] - image.pixels
    free = ((same + image.pixels > 0) & (same + image.pixels < 1)).all(axis=0)
    np.testing.assert_allclose(same[0][free], same[2][free], atol=1e-12)
    for name, estimate in baselines(image.pixels, y, 0.1).items():
        assert psnr(image.pixels, estimate) > psnr(image.pixels, y), name


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_the_decoder_grows_with_the_image(size):
    """Every size starts at 8 × 8, after depth − 1 doublings; 64 × 64 is the default, 512 × 512 as published."""
    plan = DecoderTraining.for_size(size)
    assert size // 2 ** (plan.depth - 1) == 8
    assert DecoderTraining.for_size(64) == DecoderTraining()
    assert DecoderTraining.for_size(512).channels == pytest.approx(PUBLISHED_TRAINING.channels, rel=0.1)


def test_photographs_end_to_end_and_verdicts_both_ways():
    plan = DecoderTraining(channels=16, depth=3, steps=60, window=5, max_stale_steps=10)
    section = photograph_section([shipped("coffee", 16, colour=True)], plan)
    scores = {row["method"]: row["mean"] for row in section.rows}
    assert scores["deep decoder, best step"] >= scores["deep decoder, running variance"]
    assert scores["deep decoder, best step"] >= scores["deep decoder, noise level"]
    won = photograph_checks(scores | {"deep decoder, best step": 99.0})
    lost = photograph_checks(scores | {"deep decoder, best step": 1.0})
    assert [c.verdict for c in won[:2]] == [Verdict.CONFIRMED, Verdict.CONFIRMED]
    assert [c.verdict for c in lost[:2]] == [Verdict.REFUTED, Verdict.REFUTED]


def test_band_errors_see_the_band_that_is_missing():
    """y has one wave in each band; leaving one out is an error of 1 in its band and 0 in the others."""
    rows = np.arange(64)[:, None]
    waves = [np.cos(2 * np.pi * f * rows / 64 + 0.3) * np.ones((64, 64)) for f in (1, 5, 12, 24)]
    y = sum(waves)
    for i in range(len(BANDS)):
        np.testing.assert_allclose(band_errors((y - waves[i])[None], y)[0], np.eye(4)[i], atol=1e-12)
    errors = np.array([[1, 1], [0.4, 1], [0.6, 0.9], [0.3, 0.4], [0.2, 0.3]])
    np.testing.assert_array_equal(learned(errors, np.array([0, 1, 2, 4, 8])), [4, 4])  # the dip at 1 does not last


def test_bands_end_to_end():
    section = band_section(shipped("camera", 16), steps=40)
    assert len(section.rows) == 4
    assert section.checks[-1].verdict is Verdict.CONFIRMED  # the filter's prediction


def test_corrupted_labels():
    X, truth = two_digits(40)
    y, flipped, path = corrupted_run(X, truth, 0.25, (0, 1), 30, 40)
    assert flipped.sum(axis=1).tolist() == [10, 10]
    assert (flipped[0] != flipped[1]).any()
    np.testing.assert_array_equal(y, np.where(flipped, -truth, truth))
    curves = label_curves(path, truth, flipped)
    at = 20
    outputs = path.outputs[at]
    assert curves["true labels"][at] == pytest.approx((np.sign(outputs) == truth).mean())
    assert curves["corrupted labels memorized"][at] == pytest.approx(
        np.mean([(np.sign(outputs[b]) != truth)[flipped[b]].mean() for b in range(2)])
    )
    net = LabelFitter(X, 40, (0,))
    W, v = net.W[0].detach().numpy(), net.v.numpy()
    np.testing.assert_allclose(net().detach().numpy()[0], np.maximum(X @ W.T, 0) @ v, atol=1e-12)
    section = label_section(count=60, fractions=(0.2,), seeds=(0,), steps=400, k=60)
    assert all(check.verdict is Verdict.CONFIRMED for check in section.checks)


def test_a_constant_image_is_not_a_division_by_zero():
    flat = Image("flat", np.full((1, 16, 16), 0.5))
    assert np.isfinite(image_section(flat, k=64, steps=10).rows[0]["psnr"])
