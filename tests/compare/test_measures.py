import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compare.measures import angle, direction, margin_gap, normalized_margin
from solvers.regularizers import L2, Bridge, FourierBridge

# Each unit vector is right to half an ulp per entry and its length to one rounding: ‖δu‖ ≤ 2ε, so the angle is off by
# at most about 4ε ≈ 9e-16.
ROUNDING = 1e-15


def exact_angle(a, b):
    """The angle in 60 digits, from the very floats."""
    with mpmath.workdps(60):
        u, v = [mpmath.matrix([mpmath.mpf(float(t)) for t in x]) for x in (a, b)]
        u, v = u / mpmath.norm(u), v / mpmath.norm(v)
        return float(2 * mpmath.atan2(mpmath.norm(u - v), mpmath.norm(u + v)))


@pytest.mark.parametrize("size", [0.0, 1e-15, 1e-12, 1e-8, 1e-3, 0.7, math.pi / 2, 3.0, math.pi - 1e-9])
@pytest.mark.parametrize("D", [2, 64, 1000])
def test_angle_agrees_with_sixty_digits(size, D):
    rng = np.random.default_rng(D)
    a, noise = rng.standard_normal(D), rng.standard_normal(D)
    noise -= a * (noise @ a) / (a @ a)
    b = 17.0 * (math.cos(size) * a / np.linalg.norm(a) + math.sin(size) * noise / np.linalg.norm(noise))
    assert abs(angle(a, b) - exact_angle(a, b)) <= ROUNDING


def test_angle_where_arccos_sees_nothing():
    a = np.random.default_rng(0).standard_normal(500)
    b = a + 1e-12 * np.random.default_rng(1).standard_normal(500)
    assert angle(a, b) == pytest.approx(exact_angle(a, b), abs=ROUNDING)
    assert angle(a, b) > 1e-13


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_angle_at_every_scale(scale):
    a, b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0])
    digits = 1e-9 if scale < 1e-300 else ROUNDING  # denormals have few digits themselves
    assert angle(scale * a, b) == pytest.approx(angle(a, b), abs=digits)


vectors = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=3, max_size=8).map(np.array)


@given(vectors, st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
@settings(max_examples=60, deadline=None)
def test_angle_invariances(a, seed, s, t):
    if not np.any(a):
        a = a + 1.0
    rng = np.random.default_rng(seed)
    b, c = rng.standard_normal((2, len(a)))
    Q = np.linalg.qr(rng.standard_normal((len(a), len(a))))[0]
    assert angle(a, a) <= ROUNDING
    assert angle(a, b) == angle(b, a)
    assert angle(s * a, t * b) == pytest.approx(angle(a, b), abs=ROUNDING)
    assert angle(a, -b) == pytest.approx(math.pi - angle(a, b), abs=2 * ROUNDING)
    assert angle(Q @ a, Q @ b) == pytest.approx(angle(a, b), abs=1e-14)  # Q itself is orthogonal to a few ε
    assert angle(a, c) <= angle(a, b) + angle(b, c) + 4 * ROUNDING


def test_angle_of_images_and_spectra():
    a, b = np.random.default_rng(0).standard_normal((2, 4, 6))
    flat = angle(a.ravel(), b.ravel())
    assert angle(a, b) == flat
    # the unitary DFT is an isometry, but for complex vectors the angle is the real one: arccos Re⟨a, b⟩
    assert angle(np.fft.fft2(a, norm="ortho"), np.fft.fft2(b, norm="ortho")) == pytest.approx(flat, abs=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        ([0.0, 0.0], [1.0, 0.0], "a is zero"),
        ([1.0, 0.0], [0.0, 0.0], "b is zero"),
        ([], [], "zero"),
        ([np.nan, 0.0], [1.0, 0.0], "not finite"),
        ([np.inf, 0.0], [1.0, 0.0], "not finite"),
        ([1.0, 0.0], [1.0, 0.0, 0.0], "one shape"),
        ([[1.0], [0.0]], [1.0, 0.0], "one shape"),
    ],
)
def test_angle_refuses_what_has_no_angle(a, b, complaint):
    with pytest.raises(ValueError, match=complaint):
        angle(a, b)


def test_direction_has_length_one():
    for D in (1, 10, 100_000):
        u = direction(np.random.default_rng(D).standard_normal(D))
        assert abs(math.sqrt(math.fsum(u * u)) - 1.0) <= 2.3e-16


def test_margins_by_hand():
    X, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, -1.0])
    β = np.array([1.0, -1.0])
    assert normalized_margin(X, y, β, Bridge(1)) == 0.5
    # ℓ1: max min(β_0, −2β_1)/‖β‖₁ is at (2, −1): margin 2 at value 3
    assert margin_gap(X, y, β, [2.0, -1.0], Bridge(1)) == pytest.approx(1 - 0.5 / (2 / 3))
    assert margin_gap(X, y, [2.0, -1.0], [2.0, -1.0], Bridge(1)) == 0.0
    assert margin_gap(X, y, [1.0, 1.0], [2.0, -1.0], Bridge(1)) > 1.0  # one point on the wrong side
    with pytest.raises(ValueError, match="zero"):
        normalized_margin(X, y, [0.0, 0.0], L2())


@given(st.integers(0, 1000), st.floats(1e-6, 1e6))
@settings(max_examples=30, deadline=None)
def test_normalized_margin_sees_only_directions(seed, scale):
    rng = np.random.default_rng(seed)
    X, y, β = rng.standard_normal((5, 4)), np.sign(rng.standard_normal(5)), rng.standard_normal(4)
    for R in (L2(), Bridge(1), FourierBridge(1), Bridge(0.5)):
        assert normalized_margin(X, y, scale * β, R) == pytest.approx(normalized_margin(X, y, β, R), rel=1e-12)


def test_image_predictors_meet_their_images():
    X, β = np.random.default_rng(0).standard_normal((6, 3, 5)), np.random.default_rng(1).standard_normal((3, 5))
    y = np.ones(6)
    expected = np.einsum("nhw,hw->n", X, β).min() / FourierBridge(1).value(β)
    assert normalized_margin(X, y, β, FourierBridge(1)) == pytest.approx(expected, rel=1e-13)
