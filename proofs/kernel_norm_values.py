"""Certified values of R_K: kernels from the solver bound it from above, its dual vector from below, in ball arithmetic.

    ⟨z, β⟩ / R_K°(z)  ≤  R_K(β)  ≤  ‖U‖² + Σ_d |β̂[d]|²/P_d        for any z and any U

with R_K°(z) = ‖T_K z‖_op/(2√D). That σ² bounds ‖T_K z‖²_op is proved by elimination: σ²I − T Tᵀ, the Toeplitz matrix of
z's circular autocorrelation taken away, has only positive pivots. The floats that the solver returns are exact numbers
here, and nothing else of it is trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from flint import arb

from proofs.balls import bits, fourier
from proofs.claim import Claim, Formula, Step, claim
from proofs.steps import Truth, check
from solvers.induced_regularizer import induced_regularizer


def _power(signal: Sequence[arb], dim: int) -> list[arb]:
    """|x̂[d]|², unitary, of the zero-padded signal."""
    return [(value.real**2 + value.imag**2) / dim for value in fourier(signal, dim)]


def _upper(beta: Sequence[arb], kernels: Sequence[Sequence[arb]], formula: Formula) -> arb:
    dim = len(beta)
    powers = zip(*(_power(u, dim) for u in kernels), strict=True)
    shares = (
        formula["value"](energy, sum(power, arb(0))) for energy, power in zip(_power(beta, dim), powers, strict=True)
    )
    return sum((entry**2 for u in kernels for entry in u), arb(0)) + sum(shares, arb(0))


def _lower(beta: Sequence[arb], z: Sequence[arb], K: int, formula: Formula) -> arb | None:
    """⟨z, β⟩/(constant·σ), or None if σ is not proved to bound the operator norm."""
    dim = len(beta)
    lags = [sum((z[i] * z[(i + j) % dim] for i in range(dim)), arb(0)) for j in range(dim)]
    gram = [[lags[(i - j) % dim] for j in range(K)] for i in range(K)]
    largest = float(np.linalg.eigvalsh([[float(v) for v in row] for row in gram])[-1])
    square = arb(largest * (1 + 1e-12))
    shifted = [[(square if i == j else arb(0)) - gram[i][j] for j in range(K)] for i in range(K)]
    if not _positive_definite(shifted):
        return None
    inner = sum((u * v for u, v in zip(z, beta, strict=True)), arb(0))
    dual_norm: arb = formula["constant"](arb(dim)) * square.sqrt()
    return inner / dual_norm


def _positive_definite(matrix: list[list[arb]]) -> bool:
    """Whether Gaussian elimination meets only pivots that are certainly positive."""
    rows = [list(row) for row in matrix]
    for k, pivot_row in enumerate(rows):
        if not pivot_row[k] > 0:
            return False
        for row in rows[k + 1 :]:
            factor = row[k] / pivot_row[k]
            for j in range(k, len(rows)):
                row[j] -= factor * pivot_row[j]
    return True


def _argument(formula: Formula, size: int) -> Iterator[Step]:
    beta = np.asarray(formula["beta"], dtype=np.float64)
    for K, value in formula["values"].items():
        if size < K:
            continue
        found = induced_regularizer(beta, K)
        with bits(200):
            exact = [arb(float(v)) for v in beta]
            upper = _upper(exact, [[arb(float(v)) for v in u] for u in found.kernels], formula)
            lower = _lower(exact, [arb(float(v)) for v in found.dual], K, formula)
            stated, slack = arb(value), arb(formula["tolerance"])
            above, below = stated > upper + slack, lower is not None and stated < lower - slack
            inside = lower is not None and upper <= stated + slack and lower >= stated - slack
        shown = "no lower bound" if lower is None else f"{float(lower.lower()):.9f}"
        truth = Truth.of(inside, above or below)
        how, found_at = f"{shown} ≤ R_{K}(β) ≤ {float(upper.upper()):.9f}", {"K": K, "bound": shown}
        yield check(f"R_{K}(β) = {value} to within {formula['tolerance']}").decided(
            truth, how, counterexample=found_at, residual=f"stated {value}"
        )


_VALUES = {1: "80.79603951", 2: "66.00711246", 3: "61.01354987", 4: "59.22107186", 5: "57.18927868"}
_FORMULA = {"value": lambda energy, P: energy / P, "constant": lambda D: 1 / (2 * D.sqrt())}

CLAIMS: tuple[Claim, ...] = (
    claim("kernel-norm-values", _argument, _FORMULA, beta=tuple(range(1, 9)), values=_VALUES, tolerance="2e-8")
    .refutes("K off by one", values={K + 1: v for K, v in list(_VALUES.items())[:4]})
    .refutes("the eighth digit", values={2: "66.00711346"})
    .refutes("half the value", value=lambda energy, P: energy / (2 * P))
    .refutes("constant 1/(4√D)", constant=lambda D: 1 / (4 * D.sqrt())),
)
