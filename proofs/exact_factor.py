"""Exact spectral factors of rational kernels, as algebraic numbers.

    c = √r_0 · C/‖C‖,    C(x) = g(x) ∏_i (x − r_i),     g over ℤ, r_i algebraic with |r_i| < 1

q(x) = x^n Σ p_i(x) p_i(1/x) is factored over ℤ. An irreducible factor f of even power gives f^{e/2}; a pair f, f* of
reciprocal factors gives f; only a self-reciprocal f of odd power has to be split, and its roots pair off as r, 1/r
with none on the circle (q ≥ 0 there), so exactly half of them lie inside. `proofs.lemma` checks each of these for the
kernels of a user.

The entries are no nested radicals. A conjugate of c takes the other root of some of the pairs, so the c_k² of all
choices are the roots of one polynomial over ℚ. With the denominators cleared c_k is an algebraic integer (products of
coefficients of two factors of an integer polynomial are), so that polynomial is over ℤ, and enclosing its coefficients
within ½ gives it exactly; the factor that vanishes at c_k is its minimal polynomial.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import lcm
from typing import Any

import sympy
from flint import acb, acb_poly, arb, ctx, fmpq, fmpq_poly, fmpz_poly
from numpy.typing import ArrayLike

from proofs.balls import bits
from proofs.kernels import rational_kernels

_X = sympy.Symbol("x")
_STURM_UP_TO = 60_000
"""Up to this degree²·bits roots are counted by Sturm's theorem, measured below two seconds; beyond, by isolation."""
PRECISIONS = (256, 1024, 4096)
"""Bits in which roots are isolated, until it is known on which side of the circle, or of ±2, each lies."""
_PAIRS = 4
"""Up to so many split pairs r, 1/r minimal polynomials are computed: their degree is at most 2^(pairs + 1)."""


@dataclass(frozen=True)
class ExactFactor:
    """c = √r_0 · C/‖C‖ with C(x) = g(x) ∏(x − r_i), of length K; its larger end comes first, and is positive.

    Example:
        >>> exact_spectral_factor([3, 0], [0, 4]).balls()[0] == 5
        True
        >>> exact_spectral_factor([1, 2, 0], [3, -1, 4]).minimal_polynomials[1]
        x^4 + (-55)*x^2 + 25
    """

    rational: fmpz_poly
    """g, a polynomial over ℤ."""
    split: tuple[fmpz_poly, ...]
    """Irreducible self-reciprocal polynomials over ℤ; the r_i are their roots inside the unit disc."""
    lags: tuple[fmpq, ...]
    """r_0, …, r_{K−1}, the lags of Σ a_i⋆a_i."""

    def balls(self, precision: int = 256) -> list[arb]:
        """c_0, …, c_{K−1} enclosed at this many bits."""
        with bits(precision):
            shape = [v.real for v in self._shape([r for f in self.split for r in inside(f)])]
            energy = sum((v * v for v in shape), arb(0))
            scale = (arb(self.lags[0]) / energy).sqrt() * (1 if shape[0] > 0 else -1)
            return [scale * v for v in shape] + [arb(0)] * (len(self.lags) - len(shape))

    def numeric(self, digits: int = 30) -> tuple[Any, ...]:
        """The entries to this many digits."""
        balls = self.balls(int(digits * 3.4) + 80)
        return tuple(sympy.Float(ball.str(digits, radius=False), digits) for ball in balls)

    @property
    def minimal_polynomials(self) -> tuple[fmpz_poly, ...]:
        """Of c_0, …, c_{K−1}, over ℤ. Raises ArithmeticError beyond four split pairs, where degrees reach 64."""
        pairs = sum(f.degree() for f in self.split) // 2
        if pairs > _PAIRS:
            raise ArithmeticError(
                f"{pairs} pairs of roots are split, so the entries have degrees up to {2 ** (pairs + 1)}; "
                "`balls` encloses them to any number of digits"
            )
        unit = lcm(*(int(v.q) for v in self.lags))  # unit²·r_j is whole, so unit·c_k is an algebraic integer
        for precision in (256, 1024, 4096):
            found = self._minimal(unit, precision)
            if found is not None:
                return found
        raise ArithmeticError("4096 bits do not separate the conjugates of the entries")

    @property
    def entries(self) -> tuple[Any, ...]:
        """c_0, …, c_{K−1} in sympy: radicals for roots of quadratics and their roots, one `CRootOf` beyond.

        Raises ArithmeticError as `minimal_polynomials` does.
        """
        return tuple(map(_number, self.minimal_polynomials, self.balls()))

    @cached_property
    def _order(self) -> int:
        """−1 where the coefficients of g ∏(x − r_i) have to be read backwards to have the larger end first."""
        with bits(256):
            ends = self._coefficients([r for f in self.split for r in inside(f)])
            return -1 if abs(ends[0]) < abs(ends[-1]) else 1

    def _coefficients(self, roots: Sequence[acb]) -> list[acb]:
        """Of g(x) ∏(x − root)."""
        return list((acb_poly.from_roots(roots) * acb_poly([acb(v) for v in self.rational.coeffs()])).coeffs())

    def _shape(self, roots: Sequence[acb]) -> list[acb]:
        return self._coefficients(roots)[:: self._order]

    def _conjugates(self) -> Iterator[list[acb]]:
        """c_k² of every choice of one root from each pair; the scale is that of c_0·c_n = r_n, the highest lag."""
        roots = [r for f in self.split for r in inside(f)]
        top = next(v for v in reversed(self.lags) if v != 0)
        for choice in itertools.product((False, True), repeat=len(roots)):
            shape = self._shape([1 / r if other else r for r, other in zip(roots, choice, strict=True)])
            square = acb(arb(top)) / (shape[0] * shape[-1])
            yield [square * v**2 for v in shape] + [acb(0)] * (len(self.lags) - len(shape))

    def _minimal(self, unit: int, precision: int) -> tuple[fmpz_poly, ...] | None:
        with bits(precision):
            choices, found = list(self._conjugates()), []
            for k, value in enumerate(self.balls(precision)):
                f = _vanishing_at(unit * value, acb_poly.from_roots([unit**2 * c[k] for c in choices]))
                if f is None:
                    return None
                found.append(_primitive(f(fmpz_poly([0, unit]))))
        return tuple(found)


def exact_spectral_factor(*summands: ArrayLike) -> ExactFactor:
    """The exact c with c⋆c = Σ a_i⋆a_i for rational kernels.

        find c ∈ ℝ^K, algebraic,   with   c⋆c = Σ_i a_i⋆a_i                                            (1)

    Args:
        summands: rational kernels, shape (K,) each: ints, fractions, sympy rationals or their texts; floats are the
            binary fractions that they are.

    Returns:
        ExactFactor: `balls(bits)` and `numeric(digits)` as numbers; for few pairs of roots `minimal_polynomials`, and
        `entries` as algebraic numbers of sympy.

    Raises:
        ValueError: when an entry is not rational, the lengths differ, or all kernels are zero.

    Reference:
        Fejér (1916), Riesz (1916); Jagadeesan, Razenshteyn, Gunasekar (2021), polynomial convolution lemma.

    Example:
        >>> exact_spectral_factor([1, 1], [0, 1]).numeric(6)
        (1.61803, 0.618034)
        >>> exact_spectral_factor([1, 1], [0, 1]).entries
        (1/2 + sqrt(5)/2, -1/2 + sqrt(5)/2)
    """
    try:
        kernels = rational_kernels(summands)
    except ValueError as error:
        raise ValueError(f"exact factors are for rational kernels of one length; {error}") from error
    lags = autocorrelation(kernels)
    if lags[0] == 0:
        raise ValueError("all kernels are zero; c = 0 is the only factor")
    rational, split = halves(self_reciprocal(lags)[0])
    return ExactFactor(rational, tuple(split), tuple(lags))


def autocorrelation(kernels: Sequence[Sequence[fmpq]]) -> list[fmpq]:
    """r_j = Σ_i Σ_k a_i[k] a_i[k+j], j = 0, …, K − 1."""
    K = len(kernels[0])
    return [sum((a[k] * a[k + j] for a in kernels for k in range(K - j)), fmpq(0)) for j in range(K)]


def self_reciprocal(lags: Sequence[fmpq]) -> tuple[fmpz_poly, int]:
    """d·x^n (r_0 + Σ_j r_j (x^j + x^{−j})) over ℤ, n the highest lag that is not 0; and the common denominator d."""
    top = max(j for j, value in enumerate(lags) if value != 0)
    denominator = lcm(*(int(v.q) for v in lags))
    return fmpz_poly([int((lags[abs(m - top)] * denominator).p) for m in range(2 * top + 1)]), denominator


def mirrored(f: fmpz_poly) -> fmpz_poly:
    """f* = x^{deg f} f(1/x)."""
    return fmpz_poly(f.coeffs()[::-1])


def halves(q: fmpz_poly) -> tuple[fmpz_poly, list[fmpz_poly]]:
    """g, and the irreducible polynomials whose roots inside the disc belong to c."""
    rational, split, taken = fmpz_poly([1]), [], []
    for factor, power in q.factor()[1]:
        mirror = mirrored(factor)
        if mirror not in (factor, -factor):
            if mirror not in taken and -mirror not in taken:
                taken.append(factor)
                rational *= factor**power
            continue
        rational *= factor ** (power // 2)
        if power % 2:
            split.append(factor)
    return rational, split


def inside(f: fmpz_poly) -> list[acb]:
    """The roots of f in the open unit disc as balls, half of them all; the precision grows until each is decided."""
    for precision in (max(precision, ctx.prec) for precision in PRECISIONS):  # the caller's, and more
        with bits(precision):
            roots = isolated_roots(f)
        found = [r for r in roots if abs(r) < 1]
        if len(found) == sum(bool(abs(r) > 1) for r in roots) and 2 * len(found) == f.degree():
            return found
    raise ArithmeticError(f"the roots of {f} could not be separated from the unit circle in 4096 bits")


def roots_on_the_circle(f: fmpz_poly) -> tuple[int, str]:
    """How many roots an irreducible f = ±x^deg·f(1/x) has on |x| = 1, and how they are counted.

    f = x^m F(x + 1/x) has them where F has real roots in [−2, 2], never at ±2, for f is irreducible. Isolated roots
    are known in more and more bits until each is proved inside or outside. An odd degree means f = x ∓ 1.

    Raises ArithmeticError where 4096 bits do not tell.
    """
    if f.degree() % 2:
        return 1, "odd degree"
    F = _in_the_middle(f)
    coefficients = [int(v) for v in F.coeffs()]
    if F.degree() ** 2 * max(abs(v).bit_length() for v in coefficients) <= _STURM_UP_TO:
        return sympy.Poly(coefficients[::-1], _X).count_roots(-2, 2), "Sturm"
    for precision in PRECISIONS:
        with bits(precision):
            real = [abs(root.real) for root in isolated_roots(F) if root.imag == 0]
            if all(size > 2 or size < 2 for size in real):
                return sum(bool(size < 2) for size in real), "isolated in balls"
    raise ArithmeticError(f"the roots of {F} could not be told from ±2 in {PRECISIONS[-1]} bits")


def _in_the_middle(f: fmpz_poly) -> fmpz_poly:
    """F with f(x) = x^m F(x + 1/x), for f = x^{2m} f(1/x): x^j + x^{−j} by its recursion in t = x + 1/x."""
    coefficients, m, t = f.coeffs(), f.degree() // 2, fmpz_poly([0, 1])
    before, power = fmpz_poly([2]), t
    total = fmpz_poly([coefficients[m]])
    for value in coefficients[m + 1 :]:
        total += value * power
        before, power = power, t * power - before
    return total


def isolated_roots(f: fmpz_poly) -> tuple[acb, ...]:
    """Balls around the roots of f without square factors, disjoint; those of real roots have imaginary part 0."""
    return _isolated(tuple(int(v) for v in f.coeffs()), ctx.prec)


@lru_cache(maxsize=64)  # the same roots are asked for by the order of c, its enclosure and its minimal polynomials
def _isolated(coefficients: tuple[int, ...], precision: int) -> tuple[acb, ...]:
    with bits(precision):
        roots: Any = fmpz_poly(list(coefficients)).complex_roots()
        return tuple(root for root, _ in roots)


def _vanishing_at(value: arb, squares: acb_poly) -> fmpz_poly | None:
    """The irreducible polynomial over ℤ of a number whose square is a root of `squares`, a polynomial over ℤ in balls.

    None where the balls are too wide for that.
    """
    whole = [v.real.unique_fmpz() for v in squares.coeffs() if v.imag.contains(0)]
    known = [v for v in whole if v is not None]
    if len(known) < len(squares.coeffs()):
        return None
    spread = fmpz_poly([v for coefficient in known for v in (coefficient, 0)])
    found = [f for f, _ in spread.factor()[1] if f(value).contains(0)]
    return found[0] if len(found) == 1 else None


def written(f: fmpz_poly | fmpq_poly) -> str:
    """x^2 - x - 1, where flint writes x^2 + (-1)*x + (-1)."""
    text = re.sub(r"\+ \(-([^)]*)\)", r"- \1", str(f))
    return re.sub(r"(?<![\d/])1\*x", "x", text)


def _primitive(f: fmpz_poly) -> fmpz_poly:
    return f // f.content()


def _number(polynomial: fmpz_poly, value: arb) -> Any:
    """The root of this minimal polynomial that lies in the ball."""
    f = sympy.Poly([int(v) for v in reversed(polynomial.coeffs())], _X)
    if f.degree() <= 2 or (f.degree() == 4 and f == f.compose(sympy.Poly(-_X, _X))):
        roots = list(sympy.roots(f))
    else:
        roots = [sympy.CRootOf(f, k, radicals=False) for k in range(f.count_roots())]
    near = float(value)
    return sympy.sqrtdenest(min(roots, key=lambda r: abs(complex(r.evalf(30)) - near)))
