"""The image-against-noise comparison: its images and folders, its verdicts, and one small run end to end."""

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from compare.data.load import DataError
from compare.experiments.denoising import DenoisingComparison
from compare.experiments.generators import GeneratorComparison, compare_generators
from compare.generators import generator_report
from compare.generators.fit_pairs import fit_pair, fitting_depth
from compare.generators.fitting_speed import (
    HIGH,
    board_section,
    checks,
    falling_effect,
    order_of_magnitude,
    row,
    smaller_effect,
    span,
    vanished_effect,
)
from compare.generators.image_sources import (
    NAMES,
    Image,
    checkerboard,
    folder_of,
    load_image_folder,
    prepared,
    read_image,
    scrambled,
    shipped,
)
from compare.generators.layer_distances import distance_section, distances_at_one_error
from compare.generators.many_images import fit_batch, many_batches, many_section, orders_check
from compare.generators.toy_model import ALMOST, BLURRED, PUBLISHED, STARTS, Setting, fit_toy, toy_check
from compare.reports.terminal import comparison
from compare.reports.verdict import Verdict
from gd import descend_image

PLAN = GeneratorComparison(longest_image=100, fraction=0.2, reach=60.0)  # long enough to measure noise
# to a fifth: further down, noise on these few pixels takes 235 or 439 iterations by a change of 1e-6 in the image
SMOOTH = Image("hill", np.exp(-np.add.outer(np.linspace(-2, 2, 16) ** 2, np.linspace(-2, 2, 16) ** 2))[None])


@pytest.fixture(scope="module")
def fits():
    return [fit_pair(kind, 4.0, SMOOTH, PLAN) for kind in ("bilinear", "deconvolution")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("colour", [False, True])
def test_shipped_images_are_in_range_and_shape(name, colour):
    pixels = shipped(name, (18, 31), colour=colour).pixels
    assert pixels.shape == (3 if colour else 1, 18, 31)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert pixels.std() > 0.01


def test_cropping_is_central_and_integers_are_scaled_by_their_type():
    raw = np.zeros((10, 30), dtype=np.uint16)
    raw[:, 10:20] = 65535
    np.testing.assert_allclose(prepared(raw, (10, 10), colour=False), 1.0)
    transparent = np.stack([np.full((4, 4), 255)] * 3 + [np.zeros((4, 4))], axis=2).astype(np.uint8)
    np.testing.assert_allclose(prepared(transparent, (4, 4), colour=True), 1.0)


def test_noise_has_the_images_mean_and_variance_and_no_structure():
    image = shipped("camera", 64)
    noise = scrambled(image, 0)
    assert noise.mean() == pytest.approx(image.pixels.mean())
    assert noise.var() == pytest.approx(image.variance)
    neighbours = np.corrcoef(noise[0, :, 1:].ravel(), noise[0, :, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.08  # 5 standard errors of 64·63 pairs
    np.testing.assert_array_equal(np.sort(scrambled(image, 0).ravel()), np.sort(image.pixels.ravel()))
    assert np.corrcoef(image.pixels[0, :, 1:].ravel(), image.pixels[0, :, :-1].ravel())[0, 1] > 0.8


def test_a_folder_with_every_kind_of_bad_file(tmp_path):
    (tmp_path / "class a").mkdir()
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 255, (20, 31, 3), dtype=np.uint8)).save(tmp_path / "class a" / "good.png")
    Pillow.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8)).save(tmp_path / "grey.png")
    Pillow.fromarray(np.full((9, 9), 7, dtype=np.uint8)).save(tmp_path / "constant.png")
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    np.save(tmp_path / "nan.npy", np.full((5, 5), np.nan))
    np.save(tmp_path / "loud.npy", np.full((5, 5), 3.0))
    np.save(tmp_path / "deep.npy", np.zeros((2, 3, 4, 5)))
    (tmp_path / "notes.txt").write_text("no image, not counted")
    found = load_image_folder(tmp_path, 16)
    assert sorted(image.name for image in found.images) == ["class a/good.png", "grey.png"]
    assert {name for name, _ in found.skipped} == {
        "constant.png",
        "broken.jpg",
        "empty.png",
        "nan.npy",
        "loud.npy",
        "deep.npy",
    }
    assert found.note.startswith("6 of 8 files were skipped")
    for word in ("constant", "25 of 25 values are NaN", "[0, 1]"):
        assert word in found.note
    with pytest.raises(DataError, match="constant"):
        read_image(tmp_path / "constant.png", 8)
    with pytest.raises(DataError, match="not a folder"):
        load_image_folder(tmp_path / "nowhere", 8)
    (tmp_path / "only").mkdir()
    with pytest.raises(DataError, match="no usable image"):
        load_image_folder(tmp_path / "only", 8)
    with pytest.raises(DataError, match="no image called 'lena'"):
        shipped("lena", 8)


def test_what_is_transparent_is_white_and_said(tmp_path):
    cut_out = np.zeros((8, 8, 4), dtype=np.uint8)  # hidden red behind alpha 0, half transparent black, opaque grey
    cut_out[..., 0] = 255
    cut_out[2:4] = (0, 0, 0, 51)
    cut_out[4:] = (102, 102, 102, 255)
    Pillow.fromarray(cut_out).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", cut_out / 255.0)
    Pillow.fromarray(cut_out).quantize(4).save(tmp_path / "c.png")
    Pillow.fromarray(cut_out[..., [1, 3]], "LA").save(tmp_path / "d.png")
    Pillow.fromarray(cut_out[..., :3]).save(tmp_path / "opaque.png")
    found = load_image_folder(tmp_path, 8, colour=True)
    assert found.skipped == ()
    for image in found.images[:4]:
        for line, grey in ((0, 1.0), (2, 0.8), (7, 0.4)):
            np.testing.assert_allclose(image.pixels[:, line], grey, atol=0.01)
    assert found.note == "White behind the transparent parts of 4 images: a.png; b.npy; c.png; d.png."


def test_photographs_are_turned_as_the_camera_says(tmp_path):
    upright = np.zeros((8, 8), dtype=np.uint8)
    upright[:, 6:] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # stored turned by a quarter
    Pillow.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_allclose(read_image(tmp_path / "turned.png", 8).pixels[0], upright / 255.0)


@pytest.mark.parametrize("name", ["stack.tiff", "film.gif"])
def test_a_file_of_several_images_is_not_taken_for_its_first(tmp_path, name):
    first, second = (Pillow.fromarray(np.full((8, 8), grey, dtype=np.uint8)) for grey in (10, 200))
    first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.raises(DataError, match="holds 2 images; save each in a file of its own"):
        read_image(tmp_path / name, 8)


@pytest.mark.parametrize(
    ("values", "largest"),
    [(np.uint8([0, 51]), 255), (np.int64([0, 255]), 255), (np.int32([1, 200]), 255), (np.uint16([0, 4000]), 4095),
     (np.uint16([0, 1000]), 1023), (np.uint16([5, 60000]), 65535), (np.int16([0, 16000]), 16383)],
)  # fmt: skip
def test_whole_numbers_are_scaled_by_the_bits_that_hold_them(tmp_path, values, largest):
    raw = np.tile(values, (4, 2))
    np.save(tmp_path / "a.npy", raw)
    np.testing.assert_allclose(read_image(tmp_path / "a.npy", 4).pixels[0], raw / largest, atol=1e-12)
    if values.dtype == np.uint16:
        Pillow.fromarray(raw).save(tmp_path / "a.png")
        np.testing.assert_allclose(read_image(tmp_path / "a.png", 4).pixels[0], raw / largest, atol=1e-12)


@pytest.mark.parametrize("values", [np.int16([-5, 5]), np.int64([0, 70000]), np.int64([0, -(2**63)])])
def test_whole_numbers_without_a_scale_are_refused(tmp_path, values):
    np.save(tmp_path / "a.npy", np.tile(values, (4, 2)))
    with pytest.raises(DataError, match=r"floating-point numbers in \[0, 1\]"):
        read_image(tmp_path / "a.npy", 4)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    Pillow.new("L", (8_000, 8_000)).save(tmp_path / "a.png")  # a small file
    assert (tmp_path / "a.png").stat().st_size < 200_000
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000)}"
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    began = time.process_time()
    for name in ("a.png", "b.npy"):
        with pytest.raises(DataError, match=r"more than 33554432|cannot be read as an image"):
            read_image(tmp_path / name, 8)
    assert time.process_time() - began < 0.5


def test_a_smooth_image_is_fitted_ten_times_faster_and_the_checks_say_so(fits):
    structured, free = fits
    assert (structured.ratios > 10).all()
    assert np.median(free.ratios) < np.median(structured.ratios)
    large, smaller = checks(fits, PLAN)
    assert large.verdict is smaller.verdict is Verdict.CONFIRMED
    assert large.measured == structured.ratios.min()
    assert comparison(large).endswith("≥ 10×")


def test_the_verdict_fails_when_noise_is_fast_and_is_withheld_when_unknown(fits):
    fast = replace(fits[0], noise_steps=3.0 * fits[0].image_steps)
    assert order_of_magnitude(fast, "", PLAN).verdict is Verdict.REFUTED
    one = replace(fast, noise_steps=np.array([np.inf, 3.0]) * fits[0].image_steps)
    # one measured seed refutes, whatever the others' bounds
    assert order_of_magnitude(one, "", PLAN).verdict is Verdict.REFUTED
    slow = replace(fast, noise_steps=np.full(2, np.inf), noise_limit=int(10 * fits[0].image_steps.max()))
    assert order_of_magnitude(slow, "", PLAN).verdict is Verdict.CONFIRMED
    # a noise that was stopped before ten times the image's steps decides nothing
    early = replace(slow, noise_limit=int(5 * fits[0].image_steps.max()))
    assert order_of_magnitude(early, "", PLAN).verdict is Verdict.NOT_REACHED
    lost = replace(fast, image_steps=np.array([np.inf, 5.0]), noise_steps=None)
    assert order_of_magnitude(lost, "", PLAN).verdict is Verdict.NOT_REACHED


def with_ratios(fit, ratios, *, stopped=False):
    """The same fit with other noise iterations; stopped: noise was not reached, and these are lower bounds."""
    image = np.full(2, 100.0)
    limit = int(100 * max(ratios))
    noise = np.full(2, np.inf) if stopped else 100 * np.array(ratios)
    return replace(fit, image_steps=image, noise_steps=noise, noise_limit=limit)


def test_an_effect_that_does_not_vanish_is_rejected(fits):
    structured, free = (replace(fit, reached=HIGH) for fit in fits)
    cases = (([1.0, 2.0], False, Verdict.CONFIRMED), ([1.0, 4.0], False, Verdict.REFUTED),
             ([3.0, 3.0], True, Verdict.NOT_REACHED), ([4.0, 4.0], True, Verdict.REFUTED))  # fmt: skip
    for ratios, stopped, verdict in cases:
        assert vanished_effect(with_ratios(free, ratios, stopped=stopped), PLAN).verdict is verdict
    assert [c.statement.startswith("the effect essentially") for c in checks([structured, free], PLAN)] == [0, 0, 1]
    lost = replace(free, image_steps=np.array([np.inf, 5.0]), noise_steps=None)
    assert vanished_effect(lost, PLAN).verdict is Verdict.NOT_REACHED


def test_an_effect_that_is_not_smaller_is_rejected(fits):
    structured, free = with_ratios(fits[0], [8.0, 8.0]), fits[1]
    for ratios, verdict in (([2.0, 7.0], Verdict.CONFIRMED), ([2.0, 9.0], Verdict.REFUTED)):
        assert smaller_effect(with_ratios(free, ratios), structured, PLAN).verdict is verdict
    # a bound on one side says nothing on the other
    bound = with_ratios(fits[0], [8.0, 8.0], stopped=True)
    assert smaller_effect(with_ratios(free, [9.0, 9.0]), bound, PLAN).verdict is Verdict.NOT_REACHED
    assert smaller_effect(with_ratios(free, [7.0, 7.0]), bound, PLAN).verdict is Verdict.CONFIRMED
    assert smaller_effect(with_ratios(free, [7.0, 7.0], stopped=True), structured, PLAN).verdict is Verdict.NOT_REACHED


def test_an_effect_that_does_not_fall_is_rejected(fits):
    def verdict(*ratios, stopped=()):
        each = [with_ratios(replace(fits[1], asked=4.0**i), [r, r], stopped=i in stopped) for i, r in enumerate(ratios)]
        return falling_effect(each, PLAN).verdict

    assert verdict(9.0, 3.0, 2.0) is Verdict.CONFIRMED
    assert verdict(9.0, 3.0, 4.0) is Verdict.REFUTED
    assert verdict(4.0, 5.0, 1.0) is Verdict.REFUTED
    assert verdict(9.0, 2.0, 3.0) is Verdict.CONFIRMED  # it has vanished
    assert verdict(2.0, 3.0, 1.0) is Verdict.NOT_REACHED  # there was none
    assert verdict(2.0, 3.0, 4.0) is Verdict.REFUTED
    assert verdict(9.0, 3.0, 2.0, stopped=(0,)) is Verdict.CONFIRMED  # the first is larger still
    assert verdict(9.0, 3.0, 2.0, stopped=(2,)) is Verdict.NOT_REACHED
    free = [with_ratios(replace(fits[1], asked=a, reached=a), [r, r]) for a, r in ((4.0, 3.0), (1.0, 9.0))]
    (made,) = checks(free, PLAN)
    assert "1× → 4×" in made.statement
    assert "they are 9 (9–9), 3 (3–3)" in made.reason


def test_the_checkerboard_alternates_and_is_on_the_side_of_noise():
    board = checkerboard((1, 16, 16))[0]
    assert set(np.unique(board)) == {0.0, 1.0}
    assert (board[1:] != board[:-1]).all()
    assert (board[:, 1:] != board[:, :-1]).all()
    fit = fit_pair("bilinear", 4.0, SMOOTH, replace(PLAN, seeds=(0,)), "checkerboard")
    assert fit.noise_variance == 0.25
    (check,) = board_section([fit], PLAN).checks
    assert check.verdict is Verdict.CONFIRMED
    assert "the checkerboard takes at least 10 times" in check.statement
    asked = GeneratorComparison(["camera", "checkerboard"], questions=["noise"])
    assert (asked.images, asked.questions) == (("camera",), ("noise", "checkerboard"))
    assert GeneratorComparison(["checkerboard"]).images == GeneratorComparison().images


@pytest.mark.parametrize("output", ["sigmoid", "linear"])
def test_an_unstable_fit_is_called_by_its_name(output):
    """A sigmoid saturates, so its error stays finite whatever the step."""
    wild = GeneratorComparison(seeds=(0,), step=1000.0, output=output, longest_image=60)
    fit = fit_pair("bilinear", 4.0, SMOOTH, wild)
    assert row(fit)["image_steps"] == "unstable"
    verdict = order_of_magnitude(fit, "", wild)
    assert verdict.verdict is Verdict.NOT_REACHED
    assert "step 1000" in str(verdict)
    together = many([SMOOTH, shipped("camera", 16)], wild, 60).checks
    assert [check.verdict for check in together] == [Verdict.NOT_REACHED] * 2


def many(images, plan, steps):
    plan = replace(plan, many=images, many_steps=steps, size=16)
    return many_section([fit_batch(*batch, plan) for batch in many_batches(plan)], plan)


def test_an_unstable_fit_of_noise_is_no_slow_fit(fits):
    there = fits[0].noise_path
    back = np.concatenate([there.mse, np.full((len(there.mse), 2), 3 * there.mse.min())])
    noisy = replace(fits[0], noise_steps=np.full(2, np.inf), noise_path=replace(there, mse=back))
    assert order_of_magnitude(noisy, "", PLAN).verdict is Verdict.NOT_REACHED
    assert row(noisy)["noise_steps"] == "unstable"
    reached = replace(
        noisy, noise_steps=np.array([50.0, 60.0])
    )  # what happens after the level was reached is no matter
    assert not reached.unstable_on


def test_distances_are_compared_at_one_error(fits):
    """An image and a longer run of itself have moved as far, at the error both reached; noise has moved further."""
    short = descend_image(fits[0].image_path.model, SMOOTH.pixels, steps=30, step=0.5, snapshots=range(31))
    long = descend_image(fits[0].image_path.model, SMOOTH.pixels, steps=300, step=0.5, snapshots=range(0, 301, 3))
    error, first, second = distances_at_one_error(short, long)
    assert error == pytest.approx(np.median(short.mse.min(axis=0)))
    np.testing.assert_allclose(first, second, rtol=2e-2)
    copied = replace(fits[0], image_path=short, noise_path=long)
    assert distance_section([copied]).checks[0].verdict is Verdict.REFUTED
    assert distance_section([fits[0]]).checks[0].verdict is Verdict.CONFIRMED


def test_images_that_are_noise_are_not_apart_from_it():
    noise = [replace(SMOOTH, name=str(n), pixels=scrambled(SMOOTH, n)) for n in range(3)]
    for images, verdict in (([SMOOTH, shipped("camera", 16)], Verdict.CONFIRMED), (noise, Verdict.REFUTED)):
        apart, _ = many(images, replace(PLAN, step=0.5), 150).checks
        assert apart.verdict is verdict


def test_several_orders_of_magnitude_are_two_at_the_least():
    def curves(*iterations):  # each falls to nothing at its iteration
        return {str(i): np.where(np.arange(1001)[:, None] < i, 1.0, 0.0) for i in iterations}

    plan = replace(PLAN, many_steps=1000)
    for image, noise, verdict in ((5, 600, Verdict.CONFIRMED), (5, 400, Verdict.REFUTED), (5, 2000, Verdict.CONFIRMED),
                                  (50, 2000, Verdict.NOT_REACHED), (2000, 3000, Verdict.NOT_REACHED)):  # fmt: skip
        assert orders_check(curves(image, noise), [], plan).verdict is verdict


def test_an_interrupted_run_keeps_the_finished_curves(monkeypatch, tmp_path):
    for name in ("camera", "coins", "moon"):
        pixels = (255 * shipped(name, 16, colour=True).pixels).astype(np.uint8)
        Pillow.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    monkeypatch.setattr("compare.generators.fit_pairs.AT_ONCE", 1)
    plan = GeneratorComparison(tmp_path, size=16, colour=True, questions=["many"], many_steps=10, jobs=1, fraction=0.3)
    whole = plan.run()
    assert whole.complete
    assert "1 files were skipped: broken.png" in whole.notes[0]
    assert whole.sections[0].columns[0].label == "3 targets"
    assert len(replace(plan, most=2).run().provenance.data) <= 2
    done = []

    def interrupted(seeds, read, asked):
        done.append(seeds)
        if len(done) == 4:
            raise KeyboardInterrupt
        return fit_batch(seeds, read, asked)

    monkeypatch.setattr(generator_report, "fit_batch", interrupted)
    part = plan.run()
    assert not part.complete
    assert part.sections[0].columns[0].label == "2 targets"


def test_a_toy_that_fits_noise_as_fast_is_rejected():
    fit = fit_toy(Setting("linear", PUBLISHED.taps, "normal", 32), steps=30)
    count = len(STARTS)
    for step, noise, taken, verdict in ((20, 180, 1000, Verdict.CONFIRMED), (20, 60, 1000, Verdict.REFUTED),
                                        (20, np.inf, 60, Verdict.NOT_REACHED), (20, np.inf, 300, Verdict.CONFIRMED),
                                        (np.inf, np.inf, 300, Verdict.NOT_REACHED)):  # fmt: skip
        made = replace(fit, step=np.full((2, count), step), noise=np.full((2, count), noise), steps=taken)
        assert toy_check(made, "", ALMOST).verdict is verdict


def test_figure_4_holds_with_positive_inputs_and_a_wide_kernel_blurs_more():
    assert toy_check(fit_toy(PUBLISHED, 3200), "", ALMOST).verdict is Verdict.CONFIRMED
    assert (fit_toy(BLURRED, 900).ratios[0] > 10).all()  # lower bounds
    gaussian = fit_toy(replace(PUBLISHED, inputs="normal"), 400)
    assert np.exp(np.log(gaussian.ratios[0]).mean()) < 7


def test_batches_change_nothing(monkeypatch):
    images = [shipped(name, 16) for name in ("camera", "coins", "moon")]
    together = many(images, PLAN, 20).rows
    monkeypatch.setattr("compare.generators.fit_pairs.AT_ONCE", 1)
    for row_a, row_b in zip(together, many(images, PLAN, 20).rows, strict=True):
        assert row_a["mean"] == pytest.approx(row_b["mean"], rel=1e-4)  # 20 steps in float32


def test_processes_change_nothing():
    plan = GeneratorComparison([SMOOTH], kinds=("bilinear", "deconvolution"), factors=(4.0,), seeds=(0,), fraction=0.3,
                               longest_image=60, questions=["noise"])  # fmt: skip
    alone, shared = (replace(plan, jobs=n).run() for n in (1, 2))
    assert [c.verdict for c in alone.checks] == [c.verdict for c in shared.checks]
    assert [r["image_steps"] for r in alone.sections[0].rows] == [r["image_steps"] for r in shared.sections[0].rows]


def test_words_for_spans():
    assert span(np.array([3.0])) == "3"
    assert span(np.array([3.0, 5.0])) == "4 (3–5)"
    assert span(np.array([3.0, np.inf])) == "1 of 2 seeds not reached"
    assert span(np.array([np.inf])) == "not reached"


def test_a_report_from_end_to_end(tmp_path):
    both = [SMOOTH, replace(SMOOTH, name="hole", pixels=1 - SMOOTH.pixels)]
    asked = {"questions": ("noise", "many"), "many_steps": 20, "size": 16, "longest_image": 60, "jobs": 1}
    report = compare_generators(
        both, many=both, kinds=("bilinear", "fixed"), factors=(4.0,), seeds=(0,), fraction=0.2, **asked
    )
    assert report.sections[0].title.startswith("Iterations")
    assert len(report.sections) == 3
    assert report.notes[0].startswith("Images are 16 × 16")
    page = report.write(tmp_path).read_text()
    assert "hill" in page


def test_bad_input():
    flat = Image("flat", np.full((1, 16, 16), 0.5))
    with pytest.raises(ValueError, match="flat is constant"):
        fit_pair("bilinear", 1.0, flat, PLAN)
    with pytest.raises(ValueError, match="share one size"):
        compare_generators([SMOOTH, shipped("camera", 8)])
    for name, value, word in (
        ("fraction", 1.0, "fraction"),
        ("step", -1.0, "step"),
        ("seeds", 0, "seed"),
        ("longest_image", 0, "longest_image"),
        ("reach", 5.0, "reach"),
    ):
        with pytest.raises(ValueError, match=word):
            GeneratorComparison(**{name: value})
    assert fitting_depth("bilinear", 8) == 2


def test_a_folder_may_stand_where_names_do(tmp_path):
    for experiment in (GeneratorComparison, DenoisingComparison):
        for images in (str(tmp_path), tmp_path, (str(tmp_path),)):
            asked = experiment(images)
            assert folder_of(asked.images) == tmp_path
            assert asked.size == 64
    assert folder_of(GeneratorComparison("camera").images) is None
    with pytest.raises(DataError, match=r"no image called 'nosuch'.*or give a folder of images"):
        GeneratorComparison(("nosuch",)).inspect()
