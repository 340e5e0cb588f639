"""Which norm of the predictor an optimizer prefers on an architecture: the one table, its sources, and what is proved.

Steepest descent in a norm of the weights makes that norm small at a given margin, so the pair of architecture and
optimizer has the regularizer

    R(β) = min { ‖θ‖ : the network with weights θ computes β },        ‖·‖ the optimizer's norm of all weights.

Proved means here that the margin in R is maximized. Beyond linear predictors it is proved that the limit is a KKT point
of min ‖θ‖ at margin one; that R is the representation cost is derived (`implicitbias prove`), and that the KKT point is
the optimum in R is not promised. Full batches, losses with an exponential tail, steps that fall slowly enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from solvers.regularizers import L2, Bridge, Regularizer, Schatten

Norm = Callable[[int, bool], Regularizer]
"""(depth L, whether β is a matrix of several outputs) → R, up to a power and a factor."""


class Standing(Enum):
    """What is known of one line; the value is the sentence to read."""

    PROVED = "Proved: the margin in this norm is maximized."
    DERIVED = "Derived: the representation cost; proved is a KKT point of the weights' problem."
    FROM_THE_RUN = "No prediction: the norm depends on the path, and is read from the run."
    OPEN = "Open: no closed form is known."

    def __str__(self) -> str:
        return self.value

    @property
    def word(self) -> str:
        """For tables."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Prediction:
    """One line of the table."""

    architecture: str
    """Of `ARCHITECTURES`."""
    optimizer: str
    """Of `FAMILIES`: what optimizers of one geometry have in common."""
    formula: str
    """R, with L the depth."""
    standing: Standing
    source: str
    norm: Norm | None = None
    """None where R has no closed form, or depends on the run."""
    claims: tuple[str, ...] = ()
    """Of `implicitbias prove`, that derive R."""

    def regularizer(self, depth: int, *, several: bool = False) -> Regularizer | None:
        """R at this depth; None where no closed form is known."""
        return None if self.norm is None else self.norm(depth, several)


def entrywise(p: float) -> Norm:
    """‖β‖_p at every depth."""
    return lambda depth, several: L2() if p == 2 and not several else Bridge(p)


def diagonal(p: float) -> Norm:
    """‖β‖_{p/L}."""
    return lambda depth, several: Bridge(p / depth)


def spectral(depth: int, several: bool) -> Regularizer:
    """The largest singular value, which of one output is the length."""
    return Schatten(math.inf) if several else L2()


def schatten(depth: int, several: bool) -> Regularizer:
    """The singular values in ℓ_{2/L}."""
    return Schatten(2.0 / depth) if several else L2()


ARCHITECTURES = ("linear predictor", "diagonal", "fully connected", "fully connected, several outputs")
FAMILIES = ("gradient", "sign", "coordinate", "spectral", "Adam, ε > 0", "AdaGrad", "mirror, p")
"""Gradient descent with or without momentum; sign descent, Signum and Adam with ε = 0; coordinate descent; spectral
descent and Muon; Adam with a fixed ε and raw gradients; AdaGrad; mirror descent with the potential ‖w‖_p^p."""

GEOMETRY = "Gunasekar, Lee, Soudry, Srebro (2018), optimization geometry, Theorem 5"
HOMOGENEOUS = "KKT: Tsilivis, Gronich, Vardi, Kempe (2024)"
GRADIENT = "KKT: Lyu, Li (2020), Theorem 4.4"
TABLE = (
    Prediction("linear predictor", "gradient", "‖β‖₂", Standing.PROVED, "Soudry et al. (2018)", entrywise(2)),
    Prediction(
        "linear predictor",
        "sign",
        "‖β‖∞",
        Standing.PROVED,
        f"{GEOMETRY}; Adam: Zhang, Zou, Cao (2024); Signum: Fan, Schmidt, Thrampoulidis (2025)",
        entrywise(math.inf),
    ),
    Prediction(
        "linear predictor", "coordinate", "‖β‖₁", Standing.PROVED, f"Telgarsky (2013); {GEOMETRY}", entrywise(1)
    ),
    Prediction(
        "linear predictor",
        "spectral",
        "σ_max(β), which of one output is ‖β‖₂",
        Standing.PROVED,
        f"{GEOMETRY}; several classes: Fan, Schmidt, Thrampoulidis (2025)",
        spectral,
    ),
    Prediction(
        "linear predictor", "Adam, ε > 0", "‖β‖₂", Standing.PROVED, "Wang, Meng, Chen, Liu (2021)", entrywise(2)
    ),
    Prediction("linear predictor", "AdaGrad", "√(βᵀQβ), Q of the run", Standing.FROM_THE_RUN, "Qian, Qian (2019)"),
    Prediction("linear predictor", "mirror, p", "‖β‖_p", Standing.PROVED, "Sun, Ahn, Thrampoulidis, Azizan (2022)"),
    Prediction("diagonal", "gradient", "‖β‖_{2/L}", Standing.DERIVED, GRADIENT, diagonal(2), ("lemma-6",)),
    Prediction("diagonal", "sign", "‖β‖∞", Standing.DERIVED, HOMOGENEOUS, diagonal(math.inf), ("cost-diagonal-max",)),
    Prediction("diagonal", "coordinate", "‖β‖_{1/L}", Standing.DERIVED, HOMOGENEOUS, diagonal(1), ("cost-diagonal",)),
    Prediction("diagonal", "spectral", "vectors are no matrices", Standing.OPEN, "not defined"),
    Prediction(
        "fully connected",
        "gradient",
        "‖β‖₂",
        Standing.PROVED,
        "Gunasekar, Lee, Soudry, Srebro (2018), Theorem 1",
        entrywise(2),
        ("lemma-5",),
    ),
    Prediction(
        "fully connected",
        "sign",
        "‖β‖∞, at any widths",
        Standing.DERIVED,
        HOMOGENEOUS,
        entrywise(math.inf),
        ("cost-max",),
    ),
    Prediction(
        "fully connected",
        "coordinate",
        "‖β‖₁, at any widths",
        Standing.DERIVED,
        HOMOGENEOUS,
        entrywise(1),
        ("cost-l1",),
    ),
    Prediction(
        "fully connected",
        "spectral",
        "‖β‖₂, at any widths",
        Standing.DERIVED,
        HOMOGENEOUS,
        spectral,
        ("cost-spectral",),
    ),
    Prediction(
        "fully connected, several outputs",
        "gradient",
        "‖σ(β)‖_{2/L}, hidden widths ≥ rank β",
        Standing.DERIVED,
        GRADIENT,
        schatten,
        ("cost-schatten",),
    ),
    Prediction(
        "fully connected, several outputs", "sign", "the width enters", Standing.OPEN, f"no closed form; {HOMOGENEOUS}"
    ),
    Prediction("fully connected, several outputs", "coordinate", "–", Standing.OPEN, f"no closed form; {HOMOGENEOUS}"),
    Prediction(
        "fully connected, several outputs",
        "spectral",
        "σ_max(β), hidden widths ≥ rank β",
        Standing.DERIVED,
        HOMOGENEOUS,
        spectral,
        ("cost-spectral",),
    ),
)
"""Every pair of which something is known. For minibatches: Signum keeps ℓ∞ where its momentum is near 1, Adam does not
(Baek, Song, Yun 2025)."""


def prediction(architecture: str, family: str) -> Prediction | None:
    """The line of a pair; None where the table has none.

    >>> found = prediction("diagonal", "sign")
    >>> found.regularizer(3), found.standing.word
    (Bridge(p=inf), 'derived')
    """
    return next((row for row in TABLE if (row.architecture, row.optimizer) == (architecture, family)), None)


def as_markdown() -> str:
    """The table as the documentation prints it."""
    head = "| architecture | optimizer | R(β) | standing | source | claims |\n|---|---|---|---|---|---|"
    rows = [
        f"| {row.architecture} | {row.optimizer} | {row.formula} | {row.standing.word} | {row.source} | "
        f"{', '.join(f'`{claim}`' for claim in row.claims) or '–'} |"
        for row in TABLE
    ]
    return "\n".join([head, *rows])
