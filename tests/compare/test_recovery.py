"""Recovery: the convex baselines against a second formulation, the sampling mask, and one small run end to end."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from compare.experiments.recovery import RecoveryComparison, compare_recovery
from compare.generators import recovery_sections
from compare.generators.image_sources import shipped
from compare.generators.recovery_convex import rows_and_data, total_variation, wavelet_basis, wavelet_l1
from compare.generators.recovery_sections import (
    deep_decoder,
    line_section,
    relative,
    variable_density_mask,
)
from compare.generators.recovery_transition import Draw, located, proportional_check, recover, transition_checks
from compare.reports.verdict import Evidence, Verdict
from solvers.filters.compressive_sensing import (
    DenseMeasurement,
    FourierMeasurement,
    gaussian_measurement,
    kernel_recovery,
)
from solvers.filters.dual_kernel import dual_kernel, gaussian_kernel


def test_total_variation_in_one_dimension_is_the_linear_program():
    A = gaussian_measurement(10, (16,), seed=0)
    x = np.repeat([0.0, 1.0, -0.5, 0.2], 4)
    y = A.forward(x)
    found = total_variation(A, y)
    difference = np.diff(np.eye(16), axis=0)
    blocks = np.block([[difference, -np.eye(15)], [-difference, -np.eye(15)]])
    reference = linprog(
        np.r_[np.zeros(16), np.ones(15)],
        A_ub=blocks,
        b_ub=np.zeros(30),
        A_eq=np.c_[A.matrix, np.zeros((10, 15))],
        b_eq=y,
        bounds=[(None, None)] * 16 + [(0, None)] * 15,
    )
    assert np.abs(np.diff(found)).sum() == pytest.approx(reference.fun, rel=1e-6)
    np.testing.assert_allclose(A.forward(found), y, atol=1e-6)


def test_wavelet_l1_recovers_what_is_sparse_and_beats_other_solutions():
    W = wavelet_basis((16,))
    np.testing.assert_allclose(W.T @ W, np.eye(16), atol=1e-12)
    sparse = np.zeros(16)
    sparse[[1, 6]] = 1.0, -2.0
    A = gaussian_measurement(11, (16,), seed=3)
    np.testing.assert_allclose(wavelet_l1(A, A.forward(W @ sparse)), W @ sparse, atol=1e-5)
    with pytest.raises(ValueError, match="even sides"):
        wavelet_basis((9,))


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_masks_are_closed_under_reflection_and_have_the_size_asked_for(share):
    mask = variable_density_mask((12, 10), share, seed=1)
    measurement = FourierMeasurement(mask)
    np.testing.assert_array_equal(measurement.full_mask, mask)
    assert mask[0, 0]
    assert share * 120 <= mask.sum() <= share * 120 + 1


def test_real_equations_are_the_complex_ones():
    x = np.random.default_rng(0).standard_normal((6, 4))
    measurement = FourierMeasurement(variable_density_mask((6, 4), 0.5, seed=0))
    rows, data = rows_and_data(measurement, measurement.forward(x))
    assert len(data) == measurement.count
    np.testing.assert_allclose(rows @ x.ravel(), data, atol=1e-12)
    np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-12)


def test_the_deep_decoder_fits_every_system_of_its_batch():
    x = shipped("camera", 16).pixels[0]
    taken = [gaussian_measurement(m, (16, 16), seed=m) for m in (40, 120)]
    outputs = deep_decoder(x, taken, RecoveryComparison(channels=24, depth=3, steps=600))
    for output, measurement in zip(outputs, taken, strict=True):
        missing = np.linalg.norm(measurement.forward(output - x)) / np.linalg.norm(measurement.forward(x))
        assert missing < 0.1


def test_the_network_follows_the_explicit_trajectory_and_another_one_is_rejected(monkeypatch):
    def section():
        return line_section(n=64, k=512, counts=(8, 24), steps=60)

    confirmed = section()
    assert [check.verdict for check in confirmed.checks] == [Verdict.CONFIRMED]
    assert max(row["residual"] for row in confirmed.rows) < 1e-10
    descend = recovery_sections.descend_image

    def slower(*arguments, step, **others):  # a network trained with another step than the one predicted for
        return descend(*arguments, step=step / 4, **others)

    monkeypatch.setattr(recovery_sections, "descend_image", slower)
    assert [check.verdict for check in section().checks] == [Verdict.REFUTED]


def test_the_explicit_limit_of_fourier_rows_is_the_zero_filled_image():
    """A circulant kernel is diagonal in the measured basis, so the kernel does not matter."""
    x = shipped("camera", 8).pixels[0]
    kernel = dual_kernel(gaussian_kernel((8, 8), 0.1))
    measurement = FourierMeasurement(variable_density_mask((8, 8), 0.3, seed=0))
    limit = kernel_recovery(kernel, measurement, measurement.forward(x))
    filled = np.fft.ifft2(np.where(measurement.full_mask, np.fft.fft2(x), 0)).real
    assert limit.residual < 1e-6
    assert relative(filled, limit.signal) < 1e-8
    early = kernel_recovery(kernel, measurement, measurement.forward(x), step=0.1 / kernel.largest, t=3)
    assert early.residual > 1e-3
    assert relative(filled, early.signal) > 1e-3


def draws_of(counts, errors, trained=None):
    trained = errors if trained is None else trained
    return [Draw(5, m, e, 0.9, t, 0.01) for m, e, t in zip(counts, errors, trained, strict=True)]


def test_m_star_is_where_half_of_the_draws_are_recovered():
    counts = [m for m in (4, 6, 9, 14, 21, 32) for _ in range(400)]
    chance = 1 / (1 + np.exp(-(np.log(counts) - np.log(11.0)) / 0.2))
    errors = np.where(np.random.default_rng(0).random(len(counts)) < chance, 0.05, 0.5)
    star = located(draws_of(counts, errors), "limit")
    assert star.figure == pytest.approx(11.0, rel=0.05)
    assert abs(star.figure - 11.0) < 2 * star.uncertainty < 0.8  # half a 95 % interval is two standard errors
    assert located(draws_of([4, 8], [0.5, 0.5]), "limit").uncertainty == np.inf  # beyond what was tried


def test_a_network_trained_to_convergence_ends_at_the_explicit_limit():
    draw = recover(3, 6, 0, 128)
    assert draw.converged
    assert draw.gap < 4 / np.sqrt(128)
    assert draw.unfiltered > 2 * draw.limit


def test_measurements_that_are_not_few_are_rejected():
    counts = [m for m in (8, 10, 12, 14, 17, 20) for _ in range(40)]
    noise = np.random.default_rng(0).lognormal(0.0, 0.3, len(counts))
    errors = 0.1 * noise * (13.0 / np.array(counts)) ** 3
    draws = draws_of(counts, errors)
    near, far = Evidence(13.0, 0.5), Evidence(60.0, 1.0)

    def verdicts(network, ends=near, without=far):
        return [check.verdict for check in transition_checks(network, ends, without, 5, 512)]

    figure = [Verdict.NO_PREDICTION]
    assert verdicts(draws) == [*[Verdict.CONFIRMED] * 3, *figure]
    assert verdicts(draws, far, near) == [Verdict.CONFIRMED, Verdict.CONFIRMED, Verdict.REFUTED, *figure]
    worse = draws_of(counts, errors, 1.9 * errors)  # which needs 1.9^(1/3) = 1.24 times as many, two numbers further
    assert verdicts(worse)[1] is not Verdict.CONFIRMED
    assert verdicts(draws_of(counts, errors, 3.5 * errors))[1] is Verdict.REFUTED
    away, late = replace(draws[0], gap=0.5), replace(draws[0], converged=False)
    assert verdicts([*draws, away])[0] is Verdict.REFUTED
    assert verdicts([*draws, late])[0] is Verdict.NOT_REACHED
    stars = [Evidence(v, 0.1) for v in (9.0, 15.0, 21.0)]
    assert proportional_check((3, 5, 7), stars).verdict is Verdict.CONFIRMED
    assert proportional_check((3, 5, 7), stars, 0.5).verdict is Verdict.REFUTED
    assert proportional_check((3, 5, 7), [Evidence(12.0, 0.1)] * 3).verdict is Verdict.REFUTED
    assert proportional_check((3, 5, 7), [*stars[:2], Evidence(np.nan, np.inf)]).verdict is Verdict.NOT_REACHED


def test_a_report_from_end_to_end(tmp_path):
    image = shipped("shepp_logan_phantom", 16)
    report = compare_recovery([image], shares=(0.2, 0.5), channels=12, depth=3, steps=30, transition=False)
    assert len(report.sections) == 3
    assert report.passed
    assert "phantom" in report.write(tmp_path).read_text()


def test_everything_measured_is_everything_recovered():
    x = np.random.default_rng(0).standard_normal(8)
    measurement = DenseMeasurement(np.eye(8), (8,))
    np.testing.assert_allclose(total_variation(measurement, x), x, atol=1e-6)
    np.testing.assert_allclose(wavelet_l1(measurement, x), x, atol=1e-6)
