"""A claim, the argument for it, and the verdict: what a formula says, what was checked, and how much that covers.

A `Claim` keeps its formula as data: a table of named callables (or exact numbers) that its `argument` evaluates. The
argument is a generator of `Step`s; it never knows whether the formula it is handed is the stated one, so a formula
with a flipped sign goes through the very same checks (`Claim.altered`). That is what makes REFUTED mean something.

A verdict is never better than its weakest step:

    ALGEBRA PROVED FOR ALL SIZES   every step is an identity or inequality with the sizes indeterminate; that the
                                   steps add up (by induction, in a limit) is said in words, for a reader to check
    PROVED                         symbolic, for all values, at the sizes the scope states
    CERTIFIED                      a rigorous enclosure (ball or exact arithmetic) for the inputs the scope states
    CHECKED                        exact arithmetic on the instances named; a proof of nothing but those
    NOT PROVED                     neither proved nor refuted: the machine did not decide it
    REFUTED                        a step fails, and the counterexample is shown

Steps marked as instances test that a general argument is about the formula as written; they can refute, and they
never raise or lower a verdict.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, wraps
from importlib.resources import files
from types import MappingProxyType
from typing import Any, ParamSpec

P = ParamSpec("P")

Formula = Mapping[str, Any]
"""Named parts of a statement: callables of symbols, or exact numbers."""


class Kind(Enum):
    """What a verdict covers, from the most to the least; the value is what the table prints."""

    PROVED_FOR_ALL_SIZES = "ALGEBRA PROVED FOR ALL SIZES"
    PROVED = "PROVED"
    CERTIFIED = "CERTIFIED"
    CHECKED = "CHECKED"
    NOT_PROVED = "NOT PROVED"
    REFUTED = "REFUTED"

    def __str__(self) -> str:
        return self.value

    @property
    def rank(self) -> int:
        """Position from strongest (0) to weakest."""
        return list(Kind).index(self)


@dataclass(frozen=True)
class Step:
    """One line of an argument together with the check that was run on it."""

    text: str
    """What the line says, in words and unicode formulas."""
    check: str
    """What the machine did to it, for example `expand(left − right) = 0`."""
    kind: Kind
    """What the line is worth: the strength of its check, or NOT PROVED, or REFUTED."""
    left: Any = None
    """The left side, as a sympy expression, where the line is an equation or an inequality."""
    right: Any = None
    """The right side, as `left`."""
    relation: str = "="
    """What the line claims of the two sides: "=", "≥" or ">"."""
    residual: str = "0"
    """left − right after simplification; what is left over when the line fails."""
    counterexample: Mapping[str, str] = field(default_factory=dict)
    """Values at which the line fails."""
    instance: bool = False
    """An instance of a general argument: it can refute, and never raises or lowers a verdict."""


@dataclass(frozen=True, init=False)
class Mutant:
    """An altered statement: the parts of the formula it replaces. It must come out REFUTED."""

    description: str
    """What is altered, in words."""
    changes: Formula
    """The parts of the formula that are replaced, by name."""

    def __init__(self, description: str, **changes: Any) -> None:
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "changes", MappingProxyType(changes))


@dataclass(frozen=True)
class Verdict:
    """What became of a claim."""

    claim: str
    """The claim's name."""
    kind: Kind
    """The weakest of its steps."""
    expected: Kind
    """What the claim was expected to get."""
    scope: str
    """What the verdict covers: sizes, inputs."""
    steps: tuple[Step, ...] = field(repr=False)
    """The steps that were checked, up to the first refuted one."""
    seconds: float = field(compare=False)
    """How long the check took."""

    @property
    def as_expected(self) -> bool:
        return self.kind is self.expected

    @property
    def failure(self) -> Step | None:
        """The step that refuted the claim, else the first one that could not be decided, else None."""
        weakest = max(self.steps, key=lambda step: step.kind.rank, default=None)
        return weakest if weakest is not None and weakest.kind.rank >= Kind.NOT_PROVED.rank else None

    @property
    def residual(self) -> str:
        """What was left of left − right: "0" for everything but a failed claim."""
        return self.failure.residual if self.failure else "0"

    @property
    def counterexample(self) -> Mapping[str, str]:
        return self.failure.counterexample if self.failure else {}


Argument = Callable[[Formula, int], Iterator[Step]]
"""Yields the steps of an argument, given the formula and the largest size of its instances."""


@dataclass(frozen=True)
class Claim:
    """A statement of the theory in a form that can be checked.

    Example:
        >>> import sympy
        >>> from proofs.steps import check
        >>> x, y = sympy.symbols("x y", real=True)
        >>> def argument(formula, size):
        ...     yield check("the square of a sum").equal(formula["square"](x, y), x**2 + 2 * x * y + y**2)
        >>> binomial = Claim(
        ...     name="binomial",
        ...     statement="(x + y)² = x² + 2xy + y²",
        ...     reference="school",
        ...     scope="all x, y",
        ...     formula={"square": lambda x, y: (x + y) ** 2},
        ...     argument=argument,
        ... ).refutes("the sign", square=lambda x, y: (x - y) ** 2)
        >>> print(binomial.verify().kind)
        PROVED
        >>> print(binomial.altered(**binomial.mutants[0].changes).verify().kind)
        REFUTED
    """

    name: str
    """How the claim is called on the command line."""
    statement: str
    """The formula, in unicode."""
    reference: str
    """Author (year), number."""
    scope: str
    """What the verdict covers: sizes, inputs."""
    formula: Formula
    """The parts of the statement, by name: functions that give sympy expressions or numbers."""
    argument: Argument
    """Given the formula and the size, yields the steps of the argument, each one checked."""
    assumptions: tuple[str, ...] = ()
    """What is taken from elsewhere, one sentence each."""
    expected: Kind = Kind.PROVED
    """The kind of verdict that the claim must get; REFUTED for a statement that is false as printed."""
    mutants: tuple[Mutant, ...] = ()
    """Altered statements, each of which must be refuted."""
    correction: Formula = field(default_factory=dict)
    """For a claim that is false as printed: the parts that make it true."""
    corrected_by: str = ""
    """For a claim that is false as printed: the name of the claim that says it right."""
    size: str = ""
    """Which symbol `max_size` bounds where the caller may choose it: "K", or nothing."""
    max_size: int = 4
    """The largest size the argument is asked for; ⟨size⟩ in the scope stands for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "formula", MappingProxyType(dict(self.formula)))

    def refutes(self, description: str, **changes: Any) -> Claim:
        """The same claim with one more altered statement, which it must refute."""
        return self.refutes_all([Mutant(description, **changes)])

    def refutes_all(self, mutants: Iterable[Mutant]) -> Claim:
        """The same claim with more altered statements, which it must refute."""
        return replace(self, mutants=(*self.mutants, *mutants))

    def corrected(self, **changes: Any) -> Claim:
        """The same claim, false as printed, with the parts that make it true."""
        return replace(self, correction=changes)

    def altered(self, **changes: Any) -> Claim:
        """The same claim with parts of its formula replaced; the checks stay what they are.

        Raises ValueError when a name is not a part of the formula.
        """
        unknown = set(changes) - set(self.formula)
        if unknown:
            raise ValueError(
                f"claim {self.name!r} has no part called {', '.join(sorted(unknown))}; "
                f"its formula consists of {', '.join(self.formula)}"
            )
        return replace(self, formula={**self.formula, **changes})

    def verify(self, max_size: int | None = None) -> Verdict:
        """Run the argument, up to the given size; stop at the first refuted step.

        Raises ValueError when max_size is less than 1.
        """
        size = self.max_size if max_size is None else max_size
        if size < 1:
            raise ValueError(f"sizes start at 1, got max_size={size}")
        start = time.perf_counter()
        steps: list[Step] = []
        for step in self.argument(self.formula, size):
            steps.append(step)
            if step.kind is Kind.REFUTED:
                break
        scope = self.scope.replace("⟨size⟩", str(size))
        return Verdict(self.name, _weakest(steps), self.expected, scope, tuple(steps), time.perf_counter() - start)


def claim(name: str, argument: Argument, *shared: Formula, **formula: Any) -> Claim:
    """The claim whose words stand in `proofs/statements.toml` under this name, with its argument and formula.

    Parts that several claims have in common are given as `shared`; a later part takes the place of an earlier one.

    Raises:
        KeyError: when the file has no such name.
    """
    merged = {part: value for parts in shared for part, value in parts.items()}
    words = next(group[name] for group in statements().values() if name in group)
    return Claim(name=name, argument=argument, formula={**merged, **formula}, **words)


@cache
def statements() -> dict[str, dict[str, dict[str, Any]]]:
    """The words of all claims, by subject and name, in the order of the papers."""
    groups = tomllib.loads(files("proofs").joinpath("statements.toml").read_text(encoding="utf-8"))
    for words in (words for group in groups.values() for words in group.values()):
        words["assumptions"] = tuple(words.get("assumptions", ()))
        words["expected"] = Kind(words.get("expected", Kind.PROVED.value))
    return groups


def for_all_sizes(argument: Callable[P, Iterator[Step]]) -> Callable[P, Iterator[Step]]:
    """Mark an argument whose sizes are indeterminate: what it proves, instances aside, it proves for all of them."""

    @wraps(argument)
    def marked(*args: P.args, **kwargs: P.kwargs) -> Iterator[Step]:
        for step in argument(*args, **kwargs):
            general = step.kind is Kind.PROVED and not step.instance
            yield replace(step, kind=Kind.PROVED_FOR_ALL_SIZES) if general else step

    return marked


def _weakest(steps: list[Step]) -> Kind:
    if any(step.kind is Kind.REFUTED for step in steps):
        return Kind.REFUTED
    argument = [step.kind for step in steps if not step.instance or step.kind is Kind.NOT_PROVED]
    return max(argument, key=lambda kind: kind.rank, default=Kind.NOT_PROVED)
