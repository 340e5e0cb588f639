"""The checks an argument is made of: identities, signs, exact instances, enclosures.

`check(text)` names a line; the method called on it decides the line and returns a `Step`. An identity is *proved* when
its residual becomes the symbol 0, and *refuted* when exact values of its symbols make the residual a number different
from zero. If neither happens it is NOT PROVED, never the one or the other by default. Refutation is tried first because
it is fast: a residual that vanishes at several random rational points is worth the time of a simplifier, one that does
not is finished.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from proofs.claim import Kind, Step

_SAMPLES = 4
_NONZERO = sympy.Rational(1, 10**20)  # evalf keeps 40 true digits, so a value above this is not rounding


class Truth(Enum):
    """What exact or ball arithmetic says of a line; prints as a sentence."""

    HOLDS = "it holds"
    FAILS = "it fails"
    OPEN = "the enclosures are too wide to decide it"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def of(cls, holds: bool, fails: bool) -> Truth:
        """From two comparisons of balls; both are false where the balls are too wide, and a failure counts first."""
        return cls.FAILS if fails else cls.HOLDS if holds else cls.OPEN


@dataclass(frozen=True)
class Line:
    """What a line of an argument says, waiting for the check that is run on it."""

    text: str
    instance: bool = False
    """Whether it is an instance of a general argument: see `proofs.claim.Step`."""

    def equal(
        self, left: Any, right: Any = 0, *, kind: Kind = Kind.PROVED, where: Mapping[Any, Iterable[Any]] | None = None
    ) -> Step:
        """left = right for all values of the symbols in them. `where` restricts the values of a counterexample."""
        left, right = sympy.sympify(left), sympy.sympify(right)
        if any(side.has(sympy.nan, sympy.zoo) for side in (left, right)):  # nan is structurally equal to nan
            return self._step("a side is undefined", Kind.NOT_PROVED, residual=shorten(left - right))
        if left == right:
            return self._step(f"both sides evaluate to {shorten(left, 60)}", kind, left, right)
        residual = sympy.expand(left - right)
        if residual == 0:
            return self._step("expand(left − right) = 0", kind, left, right)
        found = counterexample(residual, where)
        if found is not None:
            values, number = found
            how, shown = f"left − right = {number} at the counterexample", shorten(sympy.factor_terms(residual))
            return self._step(how, Kind.REFUTED, left, right, residual=shown, counterexample=values)
        for name, simplifier in _SIMPLIFIERS:
            if simplifier(residual) == 0:
                return self._step(f"{name}(left − right) = 0", kind, left, right)
        undecided = "no counterexample found, residual not reduced to 0"
        return self._step(undecided, Kind.NOT_PROVED, left, right, residual=shorten(residual))

    def nonnegative(self, expression: Any, certificate: Any, *, strict: bool = False) -> Step:
        """expression ≥ 0 (or > 0), because it equals a certificate whose sign can be read off it.

        The certificate is written in squares and in symbols known to be positive, so that its sign follows from the
        assumptions on its symbols alone; both facts are checked.
        """
        expression, certificate = sympy.sympify(expression), sympy.sympify(certificate)
        sign = ">" if strict else "≥"
        below = counterexample(expression, None, negative=True, strict=strict)
        if below is not None:
            values, number = below
            how, shown = f"expression = {number}, not {sign} 0", shorten(expression)
            return self._step(how, Kind.REFUTED, expression, sympy.Integer(0), sign, shown, values)
        equal = self.equal(expression, certificate)
        readable = certificate.is_positive if strict else certificate.is_nonnegative
        if equal.kind is not Kind.PROVED or not readable:
            return self._step(
                "certificate not matched", Kind.NOT_PROVED, expression, certificate, residual=equal.residual
            )
        how = f"equals {shorten(certificate)}, which is {sign} 0 term by term"
        return self._step(how, Kind.PROVED, expression, sympy.Integer(0), sign)

    def decided(
        self,
        truth: Truth | bool,
        how: str,
        *,
        kind: Kind = Kind.CERTIFIED,
        counterexample: Mapping[str, Any] | None = None,
        residual: Any = "",
    ) -> Step:
        """A line settled by exact or ball arithmetic elsewhere."""
        if truth in (True, Truth.HOLDS):
            return self._step(how, kind)
        shown = {name: str(value) for name, value in (counterexample or {}).items()}
        verdict = Kind.NOT_PROVED if truth is Truth.OPEN else Kind.REFUTED
        return self._step(how, verdict, residual=str(residual), counterexample=shown)

    def _step(
        self,
        how: str,
        kind: Kind,
        left: Any = None,
        right: Any = None,
        relation: str = "=",
        residual: str = "0",
        counterexample: Mapping[str, str] = MappingProxyType({}),
    ) -> Step:
        return Step(self.text, how, kind, left, right, relation, residual, counterexample, self.instance)


def check(text: str) -> Line:
    """A line of an argument: `check("the sum").equal(left, right)`."""
    return Line(text)


def instance(text: str) -> Line:
    """A line that shows one instance of a general argument: it can refute, and never raises or lowers a verdict."""
    return Line(text, instance=True)


def counterexample(
    residual: Any, where: Mapping[Any, Iterable[Any]] | None = None, *, negative: bool = False, strict: bool = False
) -> tuple[dict[str, str], str] | None:
    """Values of the symbols at which the residual is not zero (or `negative`: is below zero), and its value there.

    Values of undefined functions at different arguments are free of each other, so they are drawn like symbols.
    """
    applied = sorted(residual.atoms(AppliedUndef), key=str)
    stand_ins = {call: sympy.Symbol(str(call), real=True) for call in applied}
    residual = residual.xreplace(stand_ins)
    symbols = sorted(residual.free_symbols, key=str)
    generator = random.Random(20180601)
    for values in _points(symbols, where or {}, generator):
        number = residual.subs(values)
        if not number.is_number or number.has(sympy.zoo, sympy.nan, sympy.oo):
            continue
        number = number if number.is_Rational else number.evalf(40)
        if not number.is_number or number.has(sympy.nan):
            continue
        outside = _below_zero(number, strict) if negative else abs(number) > _NONZERO
        if outside:
            return {str(symbol): str(value) for symbol, value in values.items()}, str(sympy.N(number, 8))
    return None


def _below_zero(number: Any, strict: bool) -> bool:
    if not number.is_real:
        return False
    return bool(number <= 0) if strict and number.is_Rational else bool(number < -_NONZERO)


def _points(
    symbols: list[Any], where: Mapping[Any, Iterable[Any]], generator: random.Random
) -> Iterator[dict[Any, Any]]:
    allowed = {symbol: list(choices) for symbol, choices in where.items()}
    for attempt in range(_SAMPLES * 3 if symbols else 1):
        yield {symbol: _value(symbol, allowed.get(symbol), generator, attempt < _SAMPLES) for symbol in symbols}


def _value(symbol: Any, choices: list[Any] | None, generator: random.Random, whole: bool) -> Any:
    """A small exact number that satisfies the assumptions of the symbol; whole numbers where they are allowed."""
    if choices:
        return sympy.sympify(generator.choice(choices))
    if whole and not symbol.is_integer:
        return sympy.Integer(generator.randint(1, 4) if symbol.is_nonnegative else generator.choice((-2, -1, 1, 2, 3)))
    if symbol.is_integer:
        value = sympy.Integer(generator.randint(1, 5) * 2 - (1 if symbol.is_odd else 0))
        if not symbol.is_even and not symbol.is_odd:
            value = sympy.Integer(generator.randint(2, 6))
        return value if symbol.is_nonnegative or symbol.is_positive else value * generator.choice((-1, 1))
    magnitude = sympy.Rational(generator.randint(1, 12), generator.randint(1, 5))
    if symbol.is_nonnegative:
        return magnitude
    signed = magnitude * generator.choice((-1, 1))
    return signed if symbol.is_real else signed + sympy.I * sympy.Rational(generator.randint(1, 7), 3)


def _trigonometric(residual: Any) -> Any:
    return sympy.expand(sympy.expand(residual.rewrite(sympy.exp), power_exp=True))


_SIMPLIFIERS = (
    ("powsimp∘expand", lambda residual: sympy.expand(sympy.powsimp(sympy.expand(residual), force=False))),
    ("expand∘powdenest", lambda residual: sympy.expand(sympy.powdenest(residual))),
    ("expand∘exp", _trigonometric),
    ("cancel", lambda residual: sympy.cancel(sympy.together(residual))),
    ("simplify", sympy.simplify),
    ("radsimp∘simplify", lambda residual: sympy.simplify(sympy.radsimp(residual))),
)


def shorten(expression: Any, limit: int = 160) -> str:
    """A formula as text, cut where it would fill the page."""
    text = str(expression)
    return text if len(text) <= limit else text[: limit - 1] + "…"
