"""Exact spectral factors of rational kernels, as algebraic numbers.

    c(x) = √|λ| · g(x) · ∏_i (x − r_i),     g over ℤ, r_i algebraic with |r_i| < 1, λ = q's leading coefficient's share

q(x) = x^n Σ p_i(x) p_i(1/x) is factored over ℤ. An irreducible factor f of even power gives f^{e/2}; a pair f, f* of
reciprocal factors gives f; only a self-reciprocal f of odd power has to be split, and its roots pair off as r, 1/r
with none on the circle (q ≥ 0 there), so exactly half of them lie inside. The roots are isolated in balls, so that
count is proved, and with it c⋆c = Σ a_i⋆a_i: both sides have the same roots, and the constant is fixed by q(0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm
from typing import Any

import sympy
from flint import acb, acb_poly, arb, ctx, fmpz_poly

from proofs.balls import bits

_X = sympy.Symbol("x")


@dataclass(frozen=True)
class ExactFactor:
    """c(x) = √|λ| · g(x) · ∏(x − r_i), of length K.

    Example:
        >>> exact_spectral_factor([3, 0], [0, 4]).balls()[0] == 5
        True
    """

    rational: fmpz_poly
    """g, a polynomial over ℤ."""
    split: tuple[fmpz_poly, ...]
    """Irreducible self-reciprocal polynomials over ℤ; the r_i are their roots inside the unit disc."""
    leading: Any
    """q's coefficient of x^{2n}, a rational: fixes λ by q(x) = λ·x^n ∏|…|²."""
    length: int
    """K; entries beyond the degree of c are zero."""

    def balls(self, precision: int = 256) -> list[arb]:
        """c_0, …, c_{K−1} enclosed at this many bits."""
        with bits(precision):
            roots = [r for f in self.split for r in inside(f)]
            product = acb_poly.from_roots(roots) * acb_poly([acb(v) for v in self.rational.coeffs()])
            coefficients = product.coeffs()
            # q's leading coefficient is |λ|·c(0)·lead(c) of the shape
            share = arb(int(self.leading.p)) / int(self.leading.q) / (coefficients[0] * coefficients[-1]).real
            scale = share.sqrt() if share > 0 else (-share).sqrt()
            return [scale * v.real for v in coefficients] + [arb(0)] * (self.length - len(coefficients))

    def numeric(self, digits: int = 30) -> tuple[Any, ...]:
        """The entries to this many digits."""
        balls = self.balls(int(digits * 3.4) + 80)
        return tuple(sympy.Float(ball.str(digits, radius=False), digits) for ball in balls)

    @property
    def entries(self) -> tuple[Any, ...]:
        """c_0, …, c_{K−1} as sympy expressions: radicals for quadratic pieces, `CRootOf` beyond."""
        roots = [r for f in self.split for r in _symbolic_roots(f)]
        shape = [sympy.Integer(int(v)) for v in self.rational.coeffs()]
        for r in roots:
            shape = [
                (shape[k - 1] if k else 0) - r * (shape[k] if k < len(shape) else 0) for k in range(len(shape) + 1)
            ]
        scale = sympy.sqrt(sympy.Abs(self.leading / (shape[0] * shape[-1])))
        return (*(scale * v for v in shape), *[sympy.Integer(0)] * (self.length - len(shape)))


def exact_spectral_factor(*summands: Sequence[Any]) -> ExactFactor:
    """The exact c with c⋆c = Σ a_i⋆a_i for rational kernels.

    Args:
        summands: real rational kernels of one length K (ints, fractions, sympy rationals or their texts).

    Returns:
        ExactFactor: `entries` as algebraic expressions (small K), `balls(bits)` and `numeric(digits)` as numbers.

    Raises:
        ValueError: when an entry is not rational, the lengths differ, or all kernels are zero.

    Reference:
        Fejér (1916), Riesz (1916); Jagadeesan, Razenshteyn, Gunasekar (2021), polynomial convolution lemma.

    Example:
        >>> exact_spectral_factor([1, 1], [0, 1]).numeric(6)
        (0.618034, 1.61803)
        >>> exact_spectral_factor([3, 0], [0, 4]).entries
        (5, 0)
    """
    rows = [[sympy.nsimplify(v, rational=True) for v in a] for a in summands]
    K = len(rows[0]) if rows else 0
    if K == 0 or any(len(a) != K for a in rows) or not all(v.is_Rational for a in rows for v in a):
        raise ValueError("exact factors are for one or more rational kernels of one length K ≥ 1")
    lags = [sum(a[k] * a[k + j] for a in rows for k in range(K - j)) for j in range(K)]
    if lags[0] == 0:
        raise ValueError("all kernels are zero; c = 0 is the only factor")
    top = max(j for j in range(K) if lags[j] != 0)
    denominator = lcm(*(int(v.q) for v in lags))
    q = fmpz_poly([int(lags[abs(m - top)] * denominator) for m in range(2 * top + 1)])
    rational, split = _halves(q)
    return ExactFactor(rational, tuple(split), lags[top], K)


def _halves(q: fmpz_poly) -> tuple[fmpz_poly, list[fmpz_poly]]:
    """g, and the irreducible polynomials whose roots inside the disc belong to c."""
    rational, split, taken = fmpz_poly([1]), [], []
    for factor, power in q.factor()[1]:
        mirror = fmpz_poly(factor.coeffs()[::-1])
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
    for precision in (ctx.prec, 1024, 4096):
        with bits(precision):
            roots = _roots(f)
        found = [r for r in roots if abs(r) < 1]
        if len(found) == sum(bool(abs(r) > 1) for r in roots) and 2 * len(found) == f.degree():
            return found
    raise ArithmeticError(f"the roots of {f} could not be separated from the unit circle in 4096 bits")


def _roots(f: fmpz_poly) -> list[acb]:
    """Isolating balls of the (simple) roots of f."""
    isolated: Any = f.complex_roots()
    return [root for root, _ in isolated]


def _symbolic_roots(f: fmpz_poly) -> list[Any]:
    polynomial = sympy.Poly([int(v) for v in reversed(f.coeffs())], _X)
    roots = (
        polynomial.all_roots()
        if f.degree() == 2
        else [sympy.CRootOf(polynomial, k, radicals=False) for k in range(f.degree())]
    )
    return sorted(roots, key=lambda r: float(abs(r.evalf(15))))[: f.degree() // 2]
