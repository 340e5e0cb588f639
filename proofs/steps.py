"""The checks an argument is made of: identities, signs, exact instances, enclosures.

Each returns a `Step`. An identity is *proved* when its residual becomes the symbol 0, and *refuted* when exact values
of its symbols make the residual a number different from zero; if neither happens it is NOT PROVED, never the one or
the other by default. Refutation is tried first because it is cheap: a residual that vanishes at several random
rational points is worth the time of a simplifier, one that does not is finished.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from proofs.claim import Kind, Step

_SAMPLES = 4
_NONZERO = sympy.Rational(1, 10**20)  # evalf keeps 40 true digits, so a value above this is not rounding


def identity(
    text: str,
    left: Any,
    right: Any = 0,
    *,
    kind: Kind = Kind.PROVED,
    instance: bool = False,
    where: Mapping[Any, Iterable[Any]] | None = None,
) -> Step:
    """left = right for all values of the symbols in them. `where` restricts the values tried for a counterexample."""
    left, right = sympy.sympify(left), sympy.sympify(right)
    if any(side.has(sympy.nan, sympy.zoo) for side in (left, right)):  # nan is structurally equal to nan
        return Step(text, "a side is undefined", Kind.NOT_PROVED, residual=shorten(left - right), instance=instance)
    if left == right:
        return Step(text, f"both sides evaluate to {shorten(left, 60)}", kind, left, right, instance=instance)
    residual = sympy.expand(left - right)
    if residual == 0:
        return Step(text, "expand(left − right) = 0", kind, left, right, instance=instance)
    found = counterexample(residual, where)
    if found is not None:
        values, number = found
        return Step(
            text, f"left − right = {number} at the counterexample", Kind.REFUTED, left, right,
            residual=shorten(sympy.factor_terms(residual)), counterexample=values, instance=instance,
        )  # fmt: skip
    for name, simplifier in _SIMPLIFIERS:
        if simplifier(residual) == 0:
            return Step(text, f"{name}(left − right) = 0", kind, left, right, instance=instance)
    return Step(
        text, "no counterexample found, residual not reduced to 0", Kind.NOT_PROVED, left, right,
        residual=shorten(residual), instance=instance,
    )  # fmt: skip


def nonnegative(
    text: str, expression: Any, certificate: Any, *, kind: Kind = Kind.PROVED, strict: bool = False
) -> Step:
    """expression ≥ 0 (or > 0), because it equals a certificate whose sign can be read off it.

    The certificate is written in squares and in symbols known to be positive, so that its sign follows from the
    assumptions on its symbols alone; both facts are checked.
    """
    expression, certificate = sympy.sympify(expression), sympy.sympify(certificate)
    sign = ">" if strict else "≥"
    below = counterexample(expression, None, negative=True, strict=strict)
    if below is not None:
        return Step(
            text, f"expression = {below[1]}, not {sign} 0", Kind.REFUTED, expression, sympy.Integer(0), relation=sign,
            residual=shorten(expression), counterexample=below[0],
        )  # fmt: skip
    equal = identity(text, expression, certificate, kind=kind)
    readable = certificate.is_positive if strict else certificate.is_nonnegative
    if equal.kind is not kind or not readable:
        return Step(text, "certificate not matched", Kind.NOT_PROVED, expression, certificate, residual=equal.residual)
    check = f"equals {shorten(certificate)}, which is {sign} 0 term by term"
    return Step(text, check, kind, expression, sympy.Integer(0), relation=sign)


def decided(
    text: str,
    truth: bool | None,
    check: str,
    *,
    kind: Kind = Kind.CERTIFIED,
    counterexample: Mapping[str, Any] | None = None,
    residual: Any = "",
    instance: bool = False,
    left: Any = None,
    right: Any = None,
) -> Step:
    """A line settled by exact or ball arithmetic elsewhere: True holds, False is refuted, None is undecided."""
    if truth:
        return Step(text, check, kind, left, right, instance=instance)
    shown = {name: str(value) for name, value in (counterexample or {}).items()}
    verdict = Kind.NOT_PROVED if truth is None else Kind.REFUTED
    return Step(text, check, verdict, left, right, residual=str(residual), counterexample=shown, instance=instance)


def counterexample(
    residual: Any,
    where: Mapping[Any, Iterable[Any]] | None = None,
    *,
    negative: bool = False,
    strict: bool = False,
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
