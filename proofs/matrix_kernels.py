"""Where the polynomial convolution lemma ends, decided for the kernels of a user: input channels, and images.

Channels: the cross-spectrum Σ_i â_i,r conj â_i,s of one kernel has rank 1. By Cauchy and Binet its 2×2 minors are
Σ_{i<j} |â_i,r â_j,s − â_i,s â_j,r|², so there is c if and only if all these polynomials vanish; then a_i = f_i·u with
one u, and c = h·u with the spectral factor h of the f_i.

Images: there is c if and only if q(x, y) = x^{H−1}y^{W−1} Σ p_i(x, y) p_i(1/x, 1/y) is a product C(x, y)·C*(x, y),
C* = x^m y^n C(1/x, 1/y). Factors of polynomials in two variables are unique, so a factor f = ±f* that does not split
over ℂ must come with an even power. That f does not split is Ruppert's criterion: the equations
f ∂_y g − g ∂_y f = f ∂_x h − h ∂_x f have as many independent solutions g, h of the right degrees as f has factors
(Gao 2003); their rank modulo a prime bounds it from above.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import gcd, lcm
from typing import Any

from flint import (
    Ordering,
    acb,
    acb_poly,
    arb,
    fmpq,
    fmpq_mpoly_ctx,
    fmpq_poly,
    fmpz_mpoly,
    fmpz_mpoly_ctx,
    fmpz_poly,
    nmod_mat,
)

from proofs.balls import bits
from proofs.claim import Kind, Step
from proofs.exact_factor import inside, roots_on_the_circle, written
from proofs.steps import Truth, check, shorten

Matrix = Sequence[Sequence[fmpq]]
Point = tuple[int, int]
_PRIME = (1 << 61) - 1
_PLANE = fmpz_mpoly_ctx.get(("x", "y"), Ordering.lex)
_RATIONAL = fmpq_mpoly_ctx.get(("x", "y"), Ordering.lex)


# Input channels


def common_direction(kernels: Sequence[Matrix]) -> tuple[list[fmpq_poly], list[fmpq_poly]] | None:
    """u, one polynomial a channel, without a common divisor, and f_i with a_i = f_i·u; None where there are none."""
    rows = _polynomials(kernels)
    if _minor(rows) is not None:
        return None
    first = next(row for row in rows if any(p.degree() >= 0 for p in row))
    divisor = fmpq_poly([0])
    for p in first:
        divisor = divisor.gcd(p)
    u = [p / divisor for p in first]
    channel = next(r for r, p in enumerate(u) if p.degree() >= 0)
    return u, [row[channel] / u[channel] for row in rows]


def channel_step(kernels: Sequence[Matrix], dim: int) -> Step:
    """Whether the kernels of several input channels have one direction u; otherwise where their rank is 2."""
    rows = _polynomials(kernels)
    found, line = _minor(rows), check("one kernel has a cross-spectrum of rank 1; so has the sum where a_i = f_i·u")
    if found is None:
        u, f = common_direction(kernels) or ([], [])
        how = f"multiplied out, equal in ℚ[x]: u = ({', '.join(map(written, u))}), f = ({', '.join(map(written, f))})"
        return line.decided([[p * f_i for p in u] for f_i in f] == rows, how, kind=Kind.PROVED)
    kernels_and_channels, polynomial = found
    # of degree n it vanishes at n frequencies at most, so n + 1 that are spread out are enough, however large D is
    last, count = dim // 2, min(dim // 2, int(polynomial.degree()))
    tried = [last * k // max(count, 1) for k in range(count + 1)]
    with bits(128):
        values = {d: abs(acb_poly(polynomial)((acb(-2 * d) / dim).exp_pi_i())) ** 2 for d in tried}
        frequency = max(tried, key=lambda d: float(values[d].lower()))
    shown = {
        "kernels, channels": kernels_and_channels,
        "frequency": f"{frequency} of D = {dim}",
        "minor of the cross-spectrum there": f"≥ {float(values[frequency].lower()):.6g}, not 0",
    }
    how = f"â_i,r â_j,s − â_i,s â_j,r = {shorten(written(polynomial))}, of degree < D, is not 0 at some frequency"
    return line.decided(False, how, counterexample=shown, residual=written(polynomial))


def _polynomials(kernels: Sequence[Matrix]) -> list[list[fmpq_poly]]:
    return [[fmpq_poly(list(channel)) for channel in kernel] for kernel in kernels]


def _minor(rows: Sequence[Sequence[fmpq_poly]]) -> tuple[tuple[int, ...], fmpq_poly] | None:
    """i < j, r < s and a_i,r a_j,s − a_i,s a_j,r, the first that is not zero."""
    for (i, p), (j, q) in itertools.combinations(enumerate(rows), 2):
        for r, s in itertools.combinations(range(len(p)), 2):
            found = p[r] * q[s] - p[s] * q[r]
            if found.degree() >= 0:
                return (i, j, r, s), found
    return None


# Kernels of images


def spectrum(kernels: Sequence[Matrix]) -> dict[Point, fmpq]:
    """r[s, t] = Σ_i Σ a_i[k, l] a_i[k+s, l+t] over all lags, those that are 0 left out."""
    total: dict[Point, fmpq] = {}
    for kernel in kernels:
        entries = {(k, i): v for k, row in enumerate(kernel) for i, v in enumerate(row) if v != 0}
        for (k, i), v in entries.items():
            for (m, j), w in entries.items():
                total[m - k, j - i] = total.get((m - k, j - i), fmpq(0)) + v * w
    return {lag: value for lag, value in total.items() if value != 0}


def planar_steps(r: dict[Point, fmpq]) -> Iterator[Step]:
    """Each factor of q: it has a mirror image, an even power, or splits along a line; else there is no c."""
    q = _integral(r)
    content, powers = factors(q)
    product = _PLANE.constant(content)
    for f, power in powers:
        product *= f**power
    yield check(
        f"q = x^m y^n Σ r[s, t] x^s y^t = {content}·{' · '.join(f'({shorten(f, 60)})^{e}' for f, e in powers)} over ℤ"
    ).decided(product == q, "multiplied out; equal in ℤ[x, y]", kind=Kind.PROVED)
    for f, power in powers:
        yield _factor_step(f, power, powers)
    yield check("q = λ·C·C* at lag 0: r[0, 0] = λ‖C‖², so λ > 0 and c = √λ·C is real").decided(
        bool(r[0, 0] > 0), f"r[0, 0] = {r[0, 0]}", kind=Kind.PROVED
    )


def halved_factor(name: str, pair: tuple[Any, Any], power: int, powers: Sequence[tuple[Any, int]]) -> Step | None:
    """C's part of a factor, `pair` with its mirror image; None where it is its own and has an odd power."""
    factor, mirror = pair
    if mirror not in (factor, -factor):
        partner = (mirror, power) in powers or (-mirror, power) in powers
        return check(f"{name} and its mirror image have the same power: C takes one, C* the other").decided(
            partner, "compared", kind=Kind.PROVED
        )
    if power % 2 == 0:
        return check(f"{name} = ±its mirror image has an even power: C takes half of it, C* the other half").decided(
            True, f"power {power}", kind=Kind.PROVED
        )
    return None


def _factor_step(f: fmpz_mpoly, power: int, powers: Sequence[tuple[fmpz_mpoly, int]]) -> Step:
    name, mirror = shorten(f, 60), _mirrored(f)
    halved = halved_factor(name, (f, mirror), power, powers)
    if halved is not None:
        return halved
    line = _along_a_line(f)
    if line is not None:
        on_the_circle, how = roots_on_the_circle(line[1])
        return check(f"{name} depends on one monomial alone, and none of its roots is on the circle").decided(
            on_the_circle == 0,
            f"{how}: {on_the_circle} roots",
            kind=Kind.PROVED,
            counterexample={"factor": name, "power": power, "roots on the circle": on_the_circle},
        )
    text = check(
        f"{name} = ±its mirror image has the odd power {power}, so it must split over ℂ into C's half and C*'s"
    )
    solutions = ruppert(f)
    if solutions > 1:
        how = f"Ruppert's equations have up to {solutions} solutions: it may split over a number field"
        return text.decided(Truth.OPEN, how)
    shown = {"factor": name, "power": power, "factors over ℂ": 1}
    return text.decided(
        False, "Ruppert's equations have one solution modulo 2⁶¹ − 1: it does not", counterexample=shown
    )


def planar_factor(r: dict[Point, fmpq], precision: int = 256) -> dict[Point, arb]:
    """c = √r[0, 0]·C/‖C‖ entry by entry, where the steps went through."""
    with bits(precision):
        shape: dict[Point, acb] = {(0, 0): acb(1)}
        taken: list[fmpz_mpoly] = []
        for f, power in factors(_integral(r))[1]:
            mirror = _mirrored(f)
            if mirror not in (f, -f):
                if mirror not in taken and -mirror not in taken:
                    taken.append(f)
                    shape = _product(shape, f**power)
                continue
            shape = _product(shape, f ** (power // 2))
            line = _along_a_line(f)
            if power % 2 and line is not None:
                (s, t), roots = line[0], inside(line[1])
                halved = acb_poly.from_roots(roots).coeffs()
                shape = _product(shape, {(s * n, t * n): v for n, v in enumerate(halved)})
        corner = tuple(min(point[axis] for point in shape) for axis in (0, 1))
        real = {(s - corner[0], t - corner[1]): v.real for (s, t), v in shape.items()}
        scale = (arb(r[0, 0]) / sum((v * v for v in real.values()), arb(0))).sqrt()
        first = next(v for _, v in sorted(real.items()) if not v.contains(0))
        return {point: (scale if first > 0 else -scale) * v for point, v in real.items()}


def _product(shape: dict[Point, acb], other: fmpz_mpoly | dict[Point, acb]) -> dict[Point, acb]:
    total: dict[Point, acb] = {}
    terms = other if isinstance(other, dict) else {(int(s), int(t)): acb(v) for (s, t), v in other.to_dict().items()}
    for (s, t), v in shape.items():
        for (m, n), w in terms.items():
            total[s + m, t + n] = total.get((s + m, t + n), acb(0)) + v * w
    return total


def _integral(r: dict[Point, fmpq]) -> fmpz_mpoly:
    """q over ℤ, without a monomial factor."""
    unit = lcm(*(int(v.q) for v in r.values()))
    low = [min(lag[axis] for lag in r) for axis in (0, 1)]
    return _PLANE.from_dict({(s - low[0], t - low[1]): int((v * unit).p) for (s, t), v in r.items()})


def factors(q: fmpz_mpoly) -> tuple[int, list[tuple[fmpz_mpoly, int]]]:
    """The content and the irreducible factors of q over ℤ with their powers.

    By way of ℚ[x, y]: flint sorts factors over ℤ by coefficients that have to be machine integers.
    """
    found: list[tuple[fmpz_mpoly, int]] = []
    leading = int(q.leading_coefficient())
    for f, power in _RATIONAL.from_dict({point: fmpq(v) for point, v in q.to_dict().items()}).factor()[1]:
        terms = f.to_dict()
        unit = lcm(*(int(v.q) for v in terms.values()))
        whole = {point: int((v * unit).p) for point, v in terms.items()}
        divisor = gcd(*whole.values())
        found.append((_PLANE.from_dict({point: v // divisor for point, v in whole.items()}), int(power)))
        leading //= int(found[-1][0].leading_coefficient()) ** int(power)
    return leading, found


def _mirrored(f: fmpz_mpoly) -> fmpz_mpoly:
    m, n = f.degrees()
    return _PLANE.from_dict({(m - s, n - t): v for (s, t), v in f.to_dict().items()})


def _along_a_line(f: fmpz_mpoly) -> tuple[Point, fmpz_poly] | None:
    """(s, t) and F with f = F(x^s y^t) times a monomial; None where the exponents of f are not on a line."""
    exponents = sorted((int(s), int(t)) for s, t in f.to_dict())
    (s0, t0), (s1, t1) = exponents[0], exponents[-1]
    if any((s - s0) * (t1 - t0) != (t - t0) * (s1 - s0) for s, t in exponents):
        return None
    steps = [gcd(s - s0, t - t0) for s, t in exponents]
    length = steps[-1]
    coefficients = [0] * (length + 1)
    for n, exponent in zip(steps, exponents, strict=True):
        coefficients[n] = int(f.to_dict()[exponent])
    return ((s1 - s0) // length, (t1 - t0) // length), fmpz_poly(coefficients)


def ruppert(f: fmpz_mpoly) -> int:
    """An upper bound of the number of factors over ℂ of f, irreducible over ℚ in two variables; at least 1."""
    m, n = (int(v) for v in f.degrees())
    terms = [((int(s), int(t)), int(v) % _PRIME) for (s, t), v in f.to_dict().items()]
    unknowns = [(0, i, j) for i in range(m) for j in range(n + 1)] + [(1, i, j) for i in range(m + 1) for j in range(n)]
    matrix = nmod_mat(len(unknowns), 4 * m * n, _PRIME)
    for row, (kind, i, j) in enumerate(unknowns):
        for (s, t), v in terms:
            # g = x^i y^j: f g_y − g f_y has (j − t) v x^{i+s} y^{j+t−1}; h = x^i y^j: −(f h_x − h f_x) has (s − i) v …
            degree, weight = ((i + s, j + t - 1), j - t) if kind == 0 else ((i + s - 1, j + t), s - i)
            if weight:
                matrix[row, degree[0] * 2 * n + degree[1]] = weight * v % _PRIME
    return len(unknowns) - int(matrix.rank())
