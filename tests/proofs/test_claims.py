"""Every claim gets the verdict it is expected to get; every altered statement is refuted by the same checks."""

import pytest
import sympy
from flint import arb

from proofs.catalogue import UnknownClaimError, claims, find
from proofs.claim import Claim, Kind, Mutant, for_all_sizes, statements
from proofs.kernel_norm_values import _positive_definite
from proofs.steps import Truth, check, instance

ALL = claims()
X, Y = sympy.symbols("x y", real=True)


@pytest.mark.parametrize("name", ALL)
def test_verdict_is_the_expected_one(name: str) -> None:
    verdict = ALL[name].verify()
    assert verdict.as_expected, verdict.failure
    assert verdict.steps
    if verdict.kind is Kind.REFUTED:
        assert verdict.counterexample or verdict.residual != "0"
    else:
        assert verdict.residual == "0"


MUTANTS = [(name, mutant) for name, claim in ALL.items() for mutant in claim.mutants]


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=[f"{n}: {m.description}" for n, m in MUTANTS])
def test_altered_statement_is_refuted(name: str, mutant: Mutant) -> None:
    verdict = ALL[name].altered(**mutant.changes).verify()
    assert verdict.kind is Kind.REFUTED, verdict
    assert verdict.failure is not None


@pytest.mark.parametrize("name", ALL)
def test_every_claim_has_two_mutants(name: str) -> None:
    assert len(ALL[name].mutants) >= 2
    assert ALL[name].reference
    assert ALL[name].scope


@pytest.mark.parametrize("name", [name for name, claim in ALL.items() if claim.correction])
def test_correction_of_a_printed_statement_is_proved(name: str) -> None:
    assert ALL[name].altered(**ALL[name].correction).verify().kind.rank < Kind.NOT_PROVED.rank


@pytest.mark.parametrize("name", [name for name, claim in ALL.items() if claim.corrected_by])
def test_the_claim_that_corrects_holds(name: str) -> None:
    assert ALL[ALL[name].corrected_by].expected.rank < Kind.NOT_PROVED.rank


def _claim(*steps: object) -> Claim:
    return Claim("c", "s", "r", "scope", {}, lambda formula, size: iter(steps))  # type: ignore[arg-type]


def test_a_verdict_is_its_weakest_step() -> None:
    strong = check("").equal(X, X, kind=Kind.PROVED_FOR_ALL_SIZES)
    assert _claim(strong).verify().kind is Kind.PROVED_FOR_ALL_SIZES
    assert _claim(strong, check("").equal(X, X)).verify().kind is Kind.PROVED
    assert _claim(strong, instance("").equal(X, X)).verify().kind is Kind.PROVED_FOR_ALL_SIZES
    assert _claim(strong, check("").decided(Truth.OPEN, "")).verify().kind is Kind.NOT_PROVED
    assert _claim(strong, check("").decided(False, ""), strong).verify().kind is Kind.REFUTED


def test_what_two_balls_say_of_a_line() -> None:
    assert Truth.of(holds=True, fails=False) is Truth.HOLDS
    assert Truth.of(holds=False, fails=True) is Truth.FAILS
    assert Truth.of(holds=True, fails=True) is Truth.FAILS  # contradicting bounds prove nothing
    assert "too wide to decide" in str(Truth.of(holds=False, fails=False))


def test_no_steps_prove_nothing() -> None:
    assert _claim().verify().kind is Kind.NOT_PROVED
    assert _claim(instance("").equal(X, X)).verify().kind is Kind.NOT_PROVED


def test_identity_refutes_what_differs_by_little() -> None:
    assert check("").equal((X + Y) ** 2, X**2 + 2 * X * Y + Y**2).kind is Kind.PROVED
    step = check("").equal((X + Y) ** 2, X**2 + 2 * X * Y + Y**2 + X * sympy.Rational(1, 10**12))
    assert step.kind is Kind.REFUTED
    values = {sympy.Symbol(name, real=True): sympy.Rational(v) for name, v in step.counterexample.items()}
    assert (step.left - step.right).subs(values) != 0


def test_undefined_sides_prove_nothing() -> None:
    assert check("").equal(sympy.nan, sympy.nan).kind is Kind.NOT_PROVED
    assert check("").equal(sympy.zoo, sympy.zoo).kind is Kind.NOT_PROVED


def test_identity_between_values_of_undefined_functions() -> None:
    f = sympy.Function("f", real=True)
    assert check("").equal(f(X) * f(1 / X), f(1 / X) * f(X)).kind is Kind.PROVED
    assert check("").equal(f(X), f(1 / X)).kind is Kind.REFUTED


def test_an_identity_that_no_simplifier_reaches_is_not_called_proved() -> None:
    n = sympy.Symbol("n", integer=True, positive=True)
    step = check("").equal(sympy.floor(n * (n + 1) / 2), n * (n + 1) / 2)
    assert step.kind in (Kind.NOT_PROVED, Kind.PROVED)  # true, so it must at least not be refuted


def test_nonnegative_wants_a_certificate_and_refutes_a_negative_value() -> None:
    assert check("").nonnegative(X**2 + Y**2 + 2 * X * Y, (X + Y) ** 2).kind is Kind.PROVED
    assert check("").nonnegative(X**2 - Y**2, (X - Y) ** 2).kind is Kind.REFUTED
    assert check("").nonnegative(X**2 + Y**2, X**2 + Y**2 + X - X).kind is Kind.PROVED
    assert check("").nonnegative((X + Y) ** 2, (X - Y) ** 2).kind is Kind.NOT_PROVED
    assert check("").nonnegative(X**2 + 2 * X + 1, X * (X + 2) + 1).kind is Kind.NOT_PROVED


def test_altering_an_unknown_part_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no part called scael; its formula consists of index, scale"):
        ALL["lemma-3"].altered(scael=1)
    with pytest.raises(ValueError, match="sizes start at 1, got max_size=0"):
        ALL["lemma-3"].verify(0)


def test_every_statement_has_its_claim() -> None:
    assert [(name, words["statement"]) for group in statements().values() for name, words in group.items()] == [
        (name, claim.statement) for name, claim in ALL.items()
    ]


def test_sizes_are_indeterminate_only_where_the_argument_says_so() -> None:
    steps = (check("").equal(X, X), instance("").equal(X, X), check("").decided(True, ""))
    general = for_all_sizes(lambda formula, size: iter(steps))
    assert [step.kind for step in general({}, 1)] == [Kind.PROVED_FOR_ALL_SIZES, Kind.PROVED, Kind.CERTIFIED]


def test_one_name_needs_no_list() -> None:
    assert [claim.name for claim in find("lemma-3")] == ["lemma-3"]
    assert find("linear-networks") == find(["linear-networks"])


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownClaimError, match="no claim is called 'lema-3'; the nearest are lemma-3"):
        find(["lema-3"])
    assert find(["linear-networks"])[0].name == "lemma-3"


def test_elimination_rejects_what_is_not_positive_definite() -> None:
    def matrix(rows: list[list[float]]) -> list[list[arb]]:
        return [[arb(value) for value in row] for row in rows]

    assert _positive_definite(matrix([[2, 1], [1, 2]]))
    assert not _positive_definite(matrix([[1, 2], [2, 1]]))
    assert not _positive_definite(matrix([[1, 1], [1, 1]]))  # singular is not definite
