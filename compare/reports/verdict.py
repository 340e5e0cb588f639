"""What a measurement says about a prediction: four answers, each with a word for tables and a sentence for people.

**The gate.** A prediction says that some figure of the network is 0: an angle, an excess, a residual. What was measured
is that figure where the network has got to, and `uncertainty`, how much it may still change on the way to the limit:
inf where that is not known. Both are `Evidence`, and `decide` is the one place where evidence becomes a verdict:

    CONFIRMED      figure + uncertainty ≤ resolution        what is left cannot be told from 0
    REFUTED        figure − uncertainty > resolution        the network settled elsewhere; or the figure is NaN
    NOT REACHED    neither                                  it has to be followed further

So every prediction can fail, and a network that is still moving decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
"""Of the interval of a sample's mean: it misses the true one once in twenty times."""


class Verdict(StrEnum):
    """The value is the word that tables and JSON show; `str` is the sentence.

    >>> Verdict.CONFIRMED.value
    'confirmed'
    >>> print(Verdict.CONFIRMED)
    The measurement confirms the prediction.
    """

    sentence: str

    CONFIRMED = "confirmed", "The measurement confirms the prediction."
    REFUTED = "refuted", "The measurement refutes the prediction."
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
        """One verdict of several: the first of REFUTED, NOT_REACHED, CONFIRMED that occurs, else NO_PREDICTION.

        >>> Verdict.of_all([Verdict.CONFIRMED, Verdict.NO_PREDICTION]).value
        'confirmed'
        """
        found = set(verdicts)
        order = (cls.REFUTED, cls.NOT_REACHED, cls.CONFIRMED)
        return next((verdict for verdict in order if verdict in found), cls.NO_PREDICTION)


@dataclass(frozen=True)
class Evidence:
    """A figure that a prediction says is 0, as it was measured on the network.

    Args:
        figure: what was measured.
        uncertainty: how much it may still change on the way to the limit; inf where that is not known.
    """

    figure: float
    uncertainty: float = 0.0

    @classmethod
    def of_mean(cls, values: ArrayLike) -> Evidence:
        """The mean of independent measurements with its standard error: inf for one alone or none.

        >>> Evidence.of_mean([1.0, 3.0])
        Evidence(figure=2.0, uncertainty=1.0)
        """
        each = np.asarray(values, dtype=np.float64)
        error = float(each.std(ddof=1)) / math.sqrt(each.size) if each.size > 1 else math.inf
        return cls(float(each.mean()) if each.size else 0.0, error)

    @classmethod
    def of_sample(cls, values: ArrayLike, confidence: float = CONFIDENCE) -> Evidence:
        """The same with half its confidence interval, by Student's t.

        >>> round(Evidence.of_sample([1.0, 2.0, 3.0, 4.0]).uncertainty, 3)  # 3.182 standard errors
        2.054
        """
        from scipy.special import stdtrit  # slow to load, and this file is read for every help text

        mean, freedom = cls.of_mean(values), max(np.size(values) - 1, 1)
        return cls(mean.figure, float(stdtrit(freedom, 0.5 * (1.0 + confidence))) * mean.uncertainty)


def decide(evidence: Evidence, resolution: float) -> Verdict:
    """What evidence says of the prediction that its figure is 0, `resolution` being what can be told from 0.

    >>> decide(Evidence(1e-9), 1e-6).name, decide(Evidence(1.0, 0.1), 1e-6).name, decide(Evidence(1.0, 2.0), 1e-6).name
    ('CONFIRMED', 'REFUTED', 'NOT_REACHED')
    """
    if math.isnan(evidence.figure) or evidence.figure - evidence.uncertainty > resolution:
        return Verdict.REFUTED
    return Verdict.CONFIRMED if evidence.figure + evidence.uncertainty <= resolution else Verdict.NOT_REACHED
