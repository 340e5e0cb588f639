"""The convolution lemma for a user's kernels: exact c, certified c, and kernels that have none."""

import json
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from click.testing import CliRunner
from flint import fmpq, fmpz_mpoly, fmpz_poly
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.signal import correlate

from compare.command_line import cli
from proofs import exact_factor, verify_lemma
from proofs.balls import lags
from proofs.catalogue import GROUPS, claims
from proofs.claim import Kind
from proofs.exact_factor import autocorrelation, inside, roots_on_the_circle
from proofs.matrix_kernels import _PLANE, ruppert, spectrum


def summed(kernels) -> np.ndarray:
    """Σ_i a_i⋆a_i at all linear lags, of one or two dimensions, by scipy."""
    return np.sum([correlate(a, a) for a in np.asarray(kernels, dtype=float)], axis=0)


def run(*arguments: str):
    return CliRunner().invoke(cli, ["prove", "lemma", *arguments])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda K: st.lists(st.lists(st.integers(-4, 4), min_size=K, max_size=K), min_size=2, max_size=4)
    )
)
def test_small_integers_have_an_exact_kernel(kernels: list[list[int]]) -> None:
    """Small integers meet every degeneracy: shared roots on the circle, zeros, multiples."""
    verdict = verify_lemma(*kernels, dim=len(kernels[0]) + 1)
    assert verdict.kind is Kind.PROVED, verdict.failure
    # doubles: c is rounded once, and K products are added
    np.testing.assert_allclose(summed([verdict.c]), summed(kernels), atol=1e-13 * max(1, summed(kernels).max()))
    circle = np.sum([np.abs(np.fft.fft(a, verdict.dim)) ** 2 for a in kernels], axis=0)
    np.testing.assert_allclose(np.abs(np.fft.fft(verdict.c, verdict.dim)) ** 2, circle, atol=1e-12 * (1 + circle.max()))
    for entry, (low, high) in zip(verdict.c, verdict.intervals, strict=True):
        assert 0 <= high - low < Fraction(1, 10**60)
        assert abs(Fraction(float(entry)) - low) <= Fraction(float(np.spacing(abs(entry)))) + (high - low)


@pytest.mark.parametrize(
    "kernels",
    [
        ([1, 1], [0, 1]),
        ([1, 2, 0], [3, -1, 4]),
        ([1, 2, 3, 4], [2, 0, -1, 3]),
        (["1/2", "1/3", 1], [0, 2, "5/7"]),
        ([1, 2, 3, 4, 5], [1, 0, 0, -1, 2], [2, 1, 1, 0, 3]),
    ],
)
def test_minimal_polynomials_vanish_in_the_interval_and_are_irreducible(kernels) -> None:
    verdict = verify_lemma(*kernels)
    assert len(verdict.minimal_polynomials) == len(kernels[0])
    mpmath.mp.dps = 100
    for text, (low, high) in zip(verdict.minimal_polynomials, verdict.intervals, strict=True):
        f = sympy.Poly(sympy.sympify(text.replace("^", "**")))
        assert f.is_irreducible
        value, slope = ([mpmath.mpf(int(v)) for v in g.all_coeffs()] for g in (f, f.diff()))
        middle = mpmath.mpf((low + high).numerator) / (2 * (low + high).denominator)
        # within the interval of width 1e-70 a simple root moves the value by at most width·|slope|
        assert abs(mpmath.polyval(value, middle)) <= 1e-70 * (1 + abs(mpmath.polyval(slope, middle)))


def test_shortest_kernels() -> None:
    assert verify_lemma([3], [4], dim=1).c.tolist() == [5.0]
    assert verify_lemma([0], [0]).minimal_polynomials == ()
    assert verify_lemma([0, 0], [0, 0], dim=3).c.tolist() == [0.0, 0.0]


def test_verdicts_compare_and_print_briefly() -> None:
    verdict = verify_lemma([1, 2, 0], [3, -1, 4])
    assert verdict == verify_lemma([1, 2, 0], [3, -1, 4])
    assert verdict != verify_lemma([1, 2, 0], [3, -1, 5])
    assert len(repr(verdict)) < 800


def test_golden_ratio() -> None:
    verdict = verify_lemma([1, 1], [0, 1])
    assert verdict.minimal_polynomials == ("x^2 - x - 1", "x^2 + x - 1")
    np.testing.assert_allclose(verdict.c, [(np.sqrt(5) + 1) / 2, (np.sqrt(5) - 1) / 2], rtol=1e-15)


def test_floats_are_certified_and_can_be_taken_exactly() -> None:
    kernels = np.random.default_rng(1).standard_normal((3, 16))
    certified, exact = verify_lemma(*kernels), verify_lemma(*kernels, exact=True)
    assert certified.kind is certified.expected is Kind.CERTIFIED
    assert exact.kind is Kind.PROVED
    # both enclose a factor; the one with all roots inside and its mirror image are compared
    orders = [np.abs(np.abs(exact.c[::order]) - np.abs(certified.c)).max() for order in (1, -1)]
    assert min(orders) < 1e-13
    for low, high in certified.intervals:
        assert 0 < high - low < Fraction(1, 10**13)


def test_a_long_kernel_takes_seconds_and_no_minimal_polynomials() -> None:
    kernels = np.random.default_rng(2).integers(-9, 10, (2, 48))
    verdict = verify_lemma(*kernels)
    assert verdict.kind is Kind.PROVED
    assert verdict.minimal_polynomials == ()
    assert verdict.seconds < 20
    assert verify_lemma(*kernels, exact=False).kind is Kind.CERTIFIED
    assert verify_lemma(*np.random.default_rng(2).integers(-9, 10, (2, 65))).kind is Kind.CERTIFIED


def test_the_steps_refute_other_lags() -> None:
    """A difference changes its sign on the circle, a factor on b moves c away, a lag too many is no autocorrelation."""

    def difference(kernels):
        return [u - v for u, v in zip(autocorrelation(kernels[:1]), autocorrelation(kernels[1:]), strict=True)]

    def doubled(kernels):
        return [u + 2 * v for u, v in zip(autocorrelation(kernels[:1]), autocorrelation(kernels[1:]), strict=True)]

    stated = verify_lemma([1, 2, 0], [3, -1, 4], dim=5).stated
    assert stated.verify().kind is Kind.PROVED
    assert stated.altered(lags=difference).verify().kind is Kind.REFUTED
    assert stated.altered(lags=doubled).verify().kind is Kind.REFUTED
    same_sign = verify_lemma([3, 1, 0], [1, 0, 1]).stated  # 9 + … − …: positive at lag 0, and roots on the circle
    assert same_sign.altered(lags=difference).verify().kind is Kind.REFUTED


def test_roots_on_the_circle_refute_an_odd_power() -> None:
    """r = (1, 1): q = x² + x + 1 has both roots on the circle, each once; it is no autocorrelation."""
    verdict = verify_lemma([1, 0], [0, 1]).stated.altered(lags=lambda kernels: [fmpq(1), fmpq(1)]).verify()
    assert verdict.kind is Kind.REFUTED
    assert verdict.counterexample["roots on the circle"] == "1"


def test_floats_that_nearly_share_a_root_on_the_circle_are_taken_exactly() -> None:
    kernels = [1.0, 2.0, 1.0], [0.5, 1.0 + 1e-12, 0.5]
    verdict = verify_lemma(*kernels)
    assert verdict.kind is verdict.expected is Kind.PROVED
    np.testing.assert_allclose(summed([verdict.c]), summed(kernels), rtol=1e-15)
    assert verify_lemma(*kernels, exact=False).kind is Kind.NOT_PROVED


def test_certified_steps_refute_other_lags() -> None:
    stated = verify_lemma([1.5, 2.0], [0.25, -3.0]).stated
    own = stated.formula["lags"]
    assert stated.altered(lags=lambda p, K: [2 * v for v in own(p, K)]).verify().kind is Kind.REFUTED
    assert stated.altered(lags=lambda p, K: own(p[:1], K)).verify().kind is Kind.REFUTED


def test_doubles_that_hold_few_digits_certify_nothing() -> None:
    """Multiples of 2⁻¹⁰⁷⁴: rounded to them, c is off by half of Σ‖a_i‖², though by less than 5e-324 in all."""
    a, b = [5e-324, 1e-323], [1.5e-323, 0.0]
    assert verify_lemma(a, b, exact=False).kind is Kind.NOT_PROVED
    verdict = verify_lemma(a, b)
    assert verdict.kind is Kind.PROVED
    whole = verify_lemma([1, 2], [3, 0]).intervals
    unit = Fraction(5e-324)
    for (low, high), (least, most) in zip(verdict.intervals, whole, strict=True):
        assert low <= most * unit
        assert least * unit <= high
    assert len(str([step.text for step in verdict.steps])) < 1000
    large = verify_lemma([1e200, 3e199], [1e200, 1e-5])
    assert large.kind is Kind.CERTIFIED
    assert large.stated.altered(lags=lambda p, K: [1 + v for v in lags(p[:1], K)]).verify().kind is Kind.REFUTED


def nearest_autocorrelation(kernels, shape: tuple[int, ...]) -> float:
    """min over real c, from many starts, of the largest |Σ a⋆a − c⋆c|: 0 where there is a c."""
    target, rng = summed(kernels), np.random.default_rng(0)
    starts = rng.standard_normal((12, int(np.prod(shape))))
    found = [least_squares(lambda c: (summed([c.reshape(shape)]) - target).ravel(), c, xtol=1e-15) for c in starts]
    return min(np.abs(answer.fun).max() for answer in found)


@pytest.mark.parametrize(
    "kernels",
    [
        ([[1, 1], [0, 0]], [[1, 0], [1, 0]]),
        ([[1, 2, 0], [0, 1, 1]], [[0, 1, 3], [2, 0, 1]]),
        tuple(np.random.default_rng(3).integers(-5, 6, (2, 3, 3))),
        tuple(np.random.default_rng(4).standard_normal((3, 3, 3))),
    ],
)
def test_images_without_a_common_kernel(kernels) -> None:
    verdict = verify_lemma(*kernels)
    assert verdict.kind is verdict.expected is Kind.REFUTED
    assert verdict.c is None
    assert verdict.counterexample["factors over ℂ"] == "1"
    assert nearest_autocorrelation(kernels, np.shape(kernels[0])) > 1e-3


@pytest.mark.parametrize(
    "kernels",
    [
        ([[1, 1], [0, 0]], [[0, 0], [1, 1]]),  # b a shift of a
        ([[1, 2], [0, 0]], [[3, -1], [0, 0]]),  # rows
        ([[1, 0, 0], [0, 2, 0], [0, 0, 1]], [[3, 0, 0], [0, -1, 0], [0, 0, 4]]),  # a diagonal
        ([[0, 0, 1], [0, 2, 0], [1, 0, 0]], [[0, 0, 3], [0, -1, 0], [4, 0, 0]]),  # the other one
        ([[1, 2], [3, 4]], [[2, 4], [6, 8]]),  # a multiple
        ([[1, 2, 1], [3, 7, 2]], [[1, 2, 1], [3, 7, 2]]),
        ([[1, 0], [0, 0]], [[0, 0], [0, 2]]),  # two impulses
    ],
)
def test_images_with_a_common_kernel(kernels) -> None:
    verdict = verify_lemma(*kernels, dim=9)
    assert verdict.kind is Kind.PROVED
    np.testing.assert_allclose(summed([verdict.c]), summed(kernels), atol=1e-12)
    own = verdict.stated.altered(lags=lambda matrices: spectrum(matrices[:1]))
    assert own.verify().kind is Kind.REFUTED


def test_factors_over_the_complex_numbers_are_counted() -> None:
    x, y = _PLANE.gens()
    irreducible: fmpz_mpoly = x**2 * y + y**2 + x + 3
    assert ruppert(irreducible) == 1
    assert ruppert((x + 1) ** 2 - 2 * y**2) == 2  # (x + 1 + √2 y)(x + 1 − √2 y)
    assert ruppert((x + y + 1) ** 2 + 3 * (x - y) ** 2) == 2
    cubic = x**3 - 2 * y**3 + 6 * x * y + 4  # a norm from ℚ(∛2): (x − αy + α²)(…)(…)
    assert ruppert(cubic) == 3


def test_a_kernel_over_a_number_field_is_left_open() -> None:
    """With a* = a and b* = −b the kernel c = a + √2 b has c⋆c = a⋆a + 2 b⋆b: it exists, but the search is over ℚ."""
    a, b = np.array([[1, 2], [2, 1]]), np.array([[1, 1], [-1, -1]])
    np.testing.assert_allclose(summed([a + np.sqrt(2) * b]), summed([a, b, b]), atol=1e-14)
    verdict = verify_lemma(a, b, b)
    assert verdict.kind is Kind.NOT_PROVED
    assert verdict.expected is Kind.PROVED
    assert verdict.c is None
    assert run("--a", "1,2;2,1", "--b", "1,1;-1,-1", "--more", "1,1;-1,-1").exit_code == 1


@pytest.mark.parametrize(
    ("kernels", "holds"),
    [
        (([[1, 2], [0, 1]], [[1, 0], [3, 1]]), False),
        (([[1, 2], [0, 1]], [[2, 4], [0, 2]]), True),
        (([[1, 2, 0], [0, 1, 0]], [[2, 5, 2], [0, 2, 1]]), True),  # f = 1 and 2 + x times the same u
        (([[0, 0, 0], [1, 2, 0]], [[0, 0, 0], [0, 3, 1]]), True),  # one channel empty
        (tuple(np.random.default_rng(5).standard_normal((2, 3, 4))), False),
    ],
)
def test_input_channels(kernels, holds: bool) -> None:
    verdict = verify_lemma(*kernels, channels=True)
    assert verdict.kind is verdict.expected is (Kind.PROVED if holds else Kind.REFUTED)
    turn = np.exp(-2j * np.pi * np.arange(16)[:, None] * np.arange(np.shape(kernels)[2]) / 16)
    spectra = [turn @ np.asarray(a, dtype=float).T for a in kernels]
    total = sum(np.einsum("dr,ds->drs", u, u.conj()) for u in spectra)
    second = np.linalg.eigvalsh(total)[:, -2].max()
    assert bool(second < 1e-9) is holds
    if holds:
        own = turn @ verdict.c.T
        np.testing.assert_allclose(np.einsum("dr,ds->drs", own, own.conj()), total, atol=1e-11)


def test_bad_kernels() -> None:
    with pytest.raises(ValueError, match=r"one shape and not empty; got shapes \(1,\), \(2,\)"):
        verify_lemma([1], [1, 2])
    with pytest.raises(ValueError, match="one shape and not empty"):
        verify_lemma([], [])
    with pytest.raises(ValueError, match=r"need dim ≥ 3 \(K ≤ D\), got dim=2"):
        verify_lemma([1, 2, 3], [1, 2, 3], dim=2)
    with pytest.raises(ValueError, match=r"need dim ≥ 3 .*no lag of a matrix may wrap"):
        verify_lemma(np.eye(2), np.eye(2), dim=2)
    with pytest.raises(ValueError, match="finite real numbers"):
        verify_lemma([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="these kernels are vectors"):
        verify_lemma([1, 2], [1, 2], channels=True)


def test_no_claim_has_the_name_of_the_command() -> None:
    assert "lemma" not in {*GROUPS, *claims()}


def test_command(tmp_path) -> None:
    result = run("--a", "1,2,0", "--b", "3,-1,4", "--dim", "5", "--json", "--picture", str(tmp_path / "lemma.svg"))
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["verdict"] == record["expected"] == "PROVED"
    np.testing.assert_allclose(summed([record["c"]]), summed([[1, 2, 0], [3, -1, 4]]), atol=1e-13)
    low, high = (Fraction(end) for end in record["intervals"][1])
    exact = verify_lemma([1, 2, 0], [3, -1, 4]).intervals[1]
    assert low <= exact[0] < exact[1] <= high < low + Fraction(1, 10**28)
    assert record["minimal_polynomials"][1] == "x^4 - 55*x^2 + 25"
    assert (tmp_path / "lemma.svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")
    refused = run("--a", "1", "--b", "2", "--picture", str(tmp_path / "lemma"))
    assert (refused.exit_code, "must end in .svg, .png or .pdf" in refused.output) == (2, True)


def test_command_prints_the_intervals_and_the_steps() -> None:
    result = run("--a", "1,1", "--b", "0,1", "--more", "1/2 0")
    assert result.exit_code == 0, result.output
    assert "PROVED for these 3 kernels" in result.output
    assert "c[0] ∈ [" in result.output
    assert "root of" in result.output


def test_command_reads_decimals_as_doubles_or_as_fractions() -> None:
    assert json.loads(run("--a", "0.1,2", "--b", "1,1", "--json").stdout)["verdict"] == "CERTIFIED"
    exact = json.loads(run("--a", "0.1,2", "--b", "1,1", "--exact", "--json").stdout)
    assert exact["verdict"] == "PROVED"
    assert exact["minimal_polynomials"][0] == verify_lemma(["1/10", 2], [1, 1]).minimal_polynomials[0]


def test_command_reads_files_and_matrices(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, 1], [0, 0]]))
    (tmp_path / "b.txt").write_text("1 0\n1, 0\n", encoding="utf-8")
    files = ("--a", str(tmp_path / "a.npy"), "--b", str(tmp_path / "b.txt"))
    refuted = run(*files)
    assert refuted.exit_code == 0, refuted.output
    assert "REFUTED" in refuted.output
    assert json.loads(run("--a", "1,1;0,0", "--b", "1,0;1,0", "--json").stdout)["c"] is None
    assert json.loads(run(*files, "--channels", "--json").stdout)["verdict"] == "REFUTED"
    (tmp_path / "rows.csv").write_text("1,2,0\n3,-1,4\n1/2,0,1\n", encoding="utf-8")
    rows = json.loads(run("--kernels", str(tmp_path / "rows.csv"), "--json").stdout)
    assert len(rows["kernels"]) == 3
    assert rows["minimal_polynomials"] == list(verify_lemma([1, 2, 0], [3, -1, 4], ["1/2", 0, 1]).minimal_polynomials)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--a", "1,x", "--b", "1,2"), "'x' is no finite number"),
        (("--a", "1,2", "--b", "1"), "one shape"),
        (("--a", "1,2"), "two kernels or more, got 1"),
        (("--a", " ", "--b", "1"), "has no entries"),
    ],
)
def test_command_refuses_in_one_line(arguments, words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0)])
def test_command_refuses_an_array_without_a_vector(shape, tmp_path) -> None:
    place = tmp_path / "kernels.npy"
    np.save(place, np.ones(shape))
    for arguments in (("--kernels", str(place)), ("--a", str(place), "--b", "1,2")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert f"the array has shape {shape}" in result.output


@pytest.mark.parametrize(
    "verdict",
    [
        verify_lemma([1, 2, 0], [3, -1, 4], dim=5),
        verify_lemma([1, 2], [0, 0], [1, 1]),
        verify_lemma([[1, 2], [0, 1]], [[1, 0], [3, 1]], channels=True),
        verify_lemma([[1, 1], [0, 0]], [[1, 0], [1, 0]]),
        verify_lemma([[1, 1], [0, 0]], [[0, 0], [1, 1]]),
    ],
)
def test_figure_has_two_panels_and_says_the_verdict(verdict) -> None:
    figure = verdict.figure()
    assert len(figure.axes) == 2
    assert str(verdict.kind) in figure.get_suptitle()


def test_roots_that_are_nearly_on_the_circle_are_told_from_it():
    # smooth kernels: at x = −1 their spectrum is of the order of the last bit, and roots are nearly there
    a, b = (np.exp(-(np.linspace(-width, width, 32) ** 2)) for width in (3, 2))
    verdict = verify_lemma(a, b, exact=True)
    assert verdict.kind is Kind.PROVED
    np.testing.assert_allclose(summed([verdict.c]), summed([a, b]), rtol=1e-14)


def test_a_circle_may_be_very_long():
    verdict = verify_lemma([1, 2], [3, 4], dim=10**12)
    assert verdict.kind is Kind.PROVED
    altered = replace(verdict.stated, formula={"lags": lambda kernels: [fmpq(30), fmpq(13)]})
    assert altered.verify().kind is Kind.REFUTED
    assert len(verdict.figure().axes) == 2
    # the minor is (x − 1)²·16, 0 at the frequency 0 and next to nothing near it
    channels = verify_lemma([[1, -1], [0, 0]], [[0, 0], [16, -16]], channels=True, dim=10**12)
    assert channels.kind is Kind.REFUTED
    assert channels.counterexample["minor of the cross-spectrum there"] == "≥ 4096, not 0"


def test_images_of_doubles_may_have_factors_of_one_shape():
    a = np.random.default_rng(0).standard_normal((3, 3))
    verdict = verify_lemma(a, 2.0 * a)
    assert verdict.kind is Kind.PROVED
    np.testing.assert_allclose(summed([verdict.c]), summed([a, 2.0 * a]), atol=1e-13)


@pytest.mark.parametrize("digits", [40, 200])
def test_roots_however_near_to_the_circle_are_counted_as_by_sturm(digits, monkeypatch) -> None:
    """x² + (2 ± 1/B)x + 1 has roots at distances of about B^(−1/2) from −1: real ones, or on the circle."""
    B = 10**digits
    for sign, expected in ((1, 0), (-1, 2)):
        f = fmpz_poly([B, 2 * B + sign, B])
        assert roots_on_the_circle(f)[0] * 2 == expected
        monkeypatch.setattr(exact_factor, "_STURM_UP_TO", 0)
        count, how = roots_on_the_circle(f)
        assert (count * 2, how) == (expected, "isolated in balls")
        monkeypatch.undo()
    assert len(inside(fmpz_poly([B, 2 * B + 1, B]))) == 1
