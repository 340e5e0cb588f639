"""Every call that can take long has a time limit and a progress function, and the page of conventions lists it."""

import inspect
import re
from pathlib import Path

import pytest

import compare
import gd
import proofs
import solvers

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conventions.md"
PACKAGES = (solvers, gd, compare)

ONE_STEP = {
    solvers: {
        "certify", "regularizer_from_name", "fourier_l1", "conv_kernel_norm", "spectral_factorization",
        "weighted_spline", "kernel_interpolant", "rich_interpolant", "dual_kernel", "triangle_kernel",
        "gaussian_kernel", "early_stopping_filter", "tikhonov_filter", "truncated_filter", "predicted_error",
        "best_stopping_time", "kernel_recovery", "gaussian_measurement",
    },
    gd: {"linear_flow"},
    compare: {
        "angle", "margin_gap", "normalized_margin", "uniform_distance", "l2_distance", "load_sweep", "load",
        "load_channels", "load_images", "load_image_folder",
    },
}  # fmt: skip
"""One closed form, one factorization, a certificate, or a file; a new function is long, or is written down here."""


def functions(package):
    return {name for name in package.__all__ if inspect.isfunction(getattr(package, name))}


def long_calls():
    return [(package, name) for package in PACKAGES for name in sorted(functions(package) - ONE_STEP[package])]


@pytest.mark.parametrize(("package", "name"), long_calls())
def test_a_long_call_has_a_time_limit_and_progress(package, name):
    parameters = inspect.signature(getattr(package, name)).parameters
    for word in ("time_limit", "progress"):
        assert parameters[word].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"{word}: " in getattr(package, name).__doc__


def test_the_page_of_conventions_lists_them():
    table = PAGE.read_text(encoding="utf-8").partition("## Long calls")[2]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert listed | functions_of_experiments() == {name for _, name in long_calls()}


def functions_of_experiments():
    """Listed in one line."""
    return {name for name in functions(compare) if name.startswith("compare_")}


def test_no_short_call_is_said_to_be_one_that_is_gone():
    for package, names in ONE_STEP.items():
        assert names <= functions(package)


def test_claims_come_one_by_one():
    """So that who verifies many can stop, and sees how far it is."""
    assert inspect.isgenerator(proofs.verify())
