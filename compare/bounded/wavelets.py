"""Bounded width: is the max-margin predictor of R_K sparse in some wavelet basis?

    β_K = argmin R_K(β)  s.t.  y_n⟨x_n, β⟩ ≥ 1,        size(c) = ‖c‖₁²/(D‖c‖₂²) ∈ [1/D, 1],  c = W β, W orthonormal

Gunasekar et al. (2018) ask it in their discussion. K = 1 is the ℓ2 max margin, which knows no basis, so it is the
control: on each data set the size of β_K in a basis is divided by that of β_1 in the same basis, and the logarithm is
averaged over data sets. K = D is the ℓ1 norm in frequency. The predictors are the certified optima; that flows end at
them is what `compare channels` tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from compare.bounded.signals import Signals
from compare.reports.report import Check, Column, Evidence, Section, Value
from solvers.arrays import Array, ComplexArray
from solvers.max_margin import max_margin
from solvers.regularizers import L2, ConvKernel

ASKED = "asked in the discussion of Gunasekar et al. (2018): perhaps sparsity in some wavelet representation"
WAVELETS = {"Haar": "haar", "Daubechies 4": "db4", "symlet 6": "sym6"}
CONFIDENCE = 0.995
"""Of a mean's interval: a dozen of them are tested, and 0.995¹² = 0.94."""
COLUMNS = (
    Column("kernel", "K"),
    Column("basis", "basis"),
    Column(
        "size", "size", format=".3f", about="Mean of ‖c‖₁²/(D‖c‖₂²): 1/D for one coefficient, 2/π for Gaussian ones."
    ),
    Column(
        "gain", "ln size(β_1)/size(β_K)", format="+.3f", about="Mean over data sets: positive is sparser than ℓ2's."
    ),
    Column("error", "standard error", format=".1g"),
)


@dataclass(frozen=True)
class Sizes:
    """On one data set: the size of the optimum in each basis, for K = 1 (the ℓ2 max margin) and the kernels."""

    signals: Signals = field(repr=False)
    size: dict[tuple[int, str], float]


def bases(beta: Array) -> dict[str, Array | ComplexArray]:
    """The coefficients of β in each basis; complex ones for frequencies."""
    pywt: Any = import_module("pywt")
    found: dict[str, Array | ComplexArray] = {"entries": beta, "frequencies": np.fft.fft(beta, norm="ortho")}
    for name, wavelet in WAVELETS.items():
        levels = pywt.dwt_max_level(beta.size, wavelet)
        parts = pywt.wavedec(beta, wavelet, mode="periodization", level=levels)
        found[name] = np.concatenate(parts)
    return found


def size_of(c: Array | ComplexArray) -> float:
    """‖c‖₁²/(D‖c‖₂²)."""
    return float(np.abs(c).sum() ** 2 / (c.size * np.vdot(c, c).real))


def sizes(signals: Signals, kernels: Sequence[int]) -> Sizes:
    """The optimum for every kernel, measured in every basis."""
    found = {}
    for kernel in (1, *kernels):
        regularizer = L2() if kernel == 1 else ConvKernel(kernel)
        beta = max_margin(signals.X, signals.y, regularizer).beta
        for name, c in bases(beta).items():
            found[kernel, name] = size_of(c)
    return Sizes(signals, found)


def gains(found: Sequence[Sizes], kernel: int, basis: str) -> Array:
    """ln size(β_1)/size(β_K) on each data set."""
    return np.array([np.log(one.size[1, basis] / one.size[kernel, basis]) for one in found])


def sparser_check(statement: str, gain: Array) -> Check:
    """That the mean of ln(size of the control/size) is positive."""
    mean = Evidence.of_sample(gain, CONFIDENCE)
    reason = f"mean of {gain.size} data sets, {100 * CONFIDENCE:g} % interval"
    return Check.of(statement, Evidence(-mean.figure, mean.uncertainty), 0.0, reference=ASKED, reason=reason)


def wavelet_section(found: Sequence[Sizes], kernels: Sequence[int]) -> Section:
    """The table, and a prediction for each kernel and basis."""
    rows: list[dict[str, Value]] = []
    checks = []
    for kernel in kernels:
        for basis in sorted({name for _, name in found[0].size}):
            gain = Evidence.of_mean(gains(found, kernel, basis))
            mean = float(np.mean([one.size[kernel, basis] for one in found]))
            rows.append(
                {"kernel": kernel, "basis": basis, "size": mean, "gain": gain.figure, "error": gain.uncertainty}
            )
            if basis in WAVELETS:
                statement = f"K={kernel}: the max margin of R_K is sparser in wavelets ({basis}) than that of ℓ2"
                checks.append(sparser_check(statement, gains(found, kernel, basis)))
    N, D = found[0].signals.X.shape
    text = (
        f"Certified max-margin predictors of R_K on {len(found)} data sets, {N} Gaussian signals of length {D} each, "
        "in orthonormal bases. The control is the ℓ2 max margin of the same data, in the same basis. Wavelets are "
        "local in frequency too, so their gain is to be compared with that in frequencies: the larger K, the more of "
        "it is in frequencies alone."
    )
    return Section("Bounded width and wavelets", text, COLUMNS, rows, checks)
