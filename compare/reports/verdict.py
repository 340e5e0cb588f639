"""What a measurement says about a prediction: four answers, each with a word for tables and a sentence for people.

**The gate.** Today a prediction is decided by `decide` from one measured number and one tolerance. What else a verdict
should require (evidence of the network by itself, before any equation of the explicit side was solved from it) belongs
into `decide`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """The value is the word that tables and JSON show; `str` is the sentence.

    >>> Verdict.CONFIRMED.value
    'holds'
    >>> print(Verdict.CONFIRMED)
    The measurement confirms the prediction.
    """

    sentence: str

    CONFIRMED = "holds", "The measurement confirms the prediction."
    REFUTED = "fails", "The measurement refutes the prediction."
    NOT_REACHED = "not reached", "The network was not followed to its limit, so the prediction is not tested."
    NO_PREDICTION = "no prediction", "Theory makes no prediction here."

    def __new__(cls, word: str, sentence: str) -> Verdict:
        """A member from its word and its sentence."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        return member

    def __str__(self) -> str:
        return self.sentence

    @property
    def tested(self) -> bool:
        """Whether a prediction was made and tested."""
        return self in (Verdict.CONFIRMED, Verdict.REFUTED)

    @classmethod
    def of_all(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """One verdict of several: the first of REFUTED, CONFIRMED, NOT_REACHED that occurs, else NO_PREDICTION.

        >>> Verdict.of_all([Verdict.CONFIRMED, Verdict.NO_PREDICTION]).value
        'holds'
        """
        found = set(verdicts)
        order = (cls.REFUTED, cls.CONFIRMED, cls.NOT_REACHED)
        return next((verdict for verdict in order if verdict in found), cls.NO_PREDICTION)


def decide(measured: float, tolerance: float) -> Verdict:
    """CONFIRMED where measured ≤ tolerance, else REFUTED; NaN refutes. The gate: see the module."""
    return Verdict.CONFIRMED if measured <= tolerance else Verdict.REFUTED
