"""A thousand random max margins of many kinds and scalings, each judged by a duality check of its own.

    python benchmarks/random_margins.py [--count 1000] [--seed 0] [--only KIND …] [--own] [--show]

The judge shares no code with the package. From β, α and the data it forms margins, Aᵀα and R in numpy's longest format
(80 bits on x86) and has, by weak duality,

    1ᵀα / R°(Aᵀα)  ≤  optimal value  ≤  R(β) / min_n y_n⟨x_n, β⟩.

ConvKernel's R(β) is at most ‖U‖² + ‖V‖² of its network and 2√D‖δ‖₂ for what that misses of β. For p < 1 the judge forms
the stationarity equations of *every* nonzero coefficient. An answer is

    OPTIMAL       (STATIONARY for p < 1) and the judge agrees to 2·tol
    INACCURATE    an answer with its gap, as the judge finds it
    refused       an error; a Farkas certificate is multiplied out
    WRONG         a claim that the judge disproves

The relative margin of a case is its ℓ2 margin with the rows scaled to norm one, bracketed by duality as well. Prints a
table of outcomes by relative margin; the exit code is 0 only when nothing is wrong, nothing is refused above 1e-10, and
at most 0.5 % are INACCURATE above 1e-6.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from own_norms import own_norm
from scipy.optimize import nnls
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.preprocessing import PolynomialFeatures

from solvers import (
    L2,
    Bridge,
    ConvKernel,
    FourierBridge,
    IllConditionedError,
    LargestLayer,
    Mahalanobis,
    NotSeparableError,
    Regularizer,
    Schatten,
    Status,
    max_margin,
)

Long = np.longdouble
Rng = np.random.Generator
TOL = 1e-9
BANDS = ((1e-6, "≥ 1e-6"), (1e-10, "1e-10 to 1e-6"), (0.0, "< 1e-10"), (-1.0, "not separable"))


# ---- the cases -------------------------------------------------------------------------------------------------------


def gaussian(rng: Rng, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d))


def integers(rng: Rng, n: int, d: int) -> np.ndarray:
    return rng.integers(-2, 3, (n, d)).astype(float)


def binary(rng: Rng, n: int, d: int) -> np.ndarray:
    return (rng.random((n, d)) < 0.4).astype(float)


def cauchy(rng: Rng, n: int, d: int) -> np.ndarray:
    return rng.standard_cauchy((n, d))


def offset(rng: Rng, n: int, d: int) -> np.ndarray:
    return 10.0 ** rng.uniform(1, 5) + rng.standard_normal((n, d))


def correlated(rng: Rng, n: int, d: int) -> np.ndarray:
    low = rng.standard_normal((n, 2)) @ rng.standard_normal((2, d))
    return low + 10.0 ** rng.uniform(-4, 0) * rng.standard_normal((n, d))


def columns(rng: Rng, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-8, 8, d)


def rows(rng: Rng, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-6, 6, (n, 1))


def both(rng: Rng, n: int, d: int) -> np.ndarray:
    return rows(rng, n, d) * 10.0 ** rng.uniform(-3, 3, d)


def repeated(rng: Rng, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d))[rng.integers(0, max(1, n // 2), n)]


def contradicting(rng: Rng, n: int, d: int) -> np.ndarray:
    """The last row repeats the first, but for 10^{−8} to 10^{−2}; its label is the other one (see `case`)."""
    X = rng.standard_normal((n, d))
    X[-1] = X[0] + 10.0 ** rng.uniform(-8, -2) * rng.standard_normal(d)
    return X


def raw(rng: Rng, n: int, d: int) -> np.ndarray:
    """Rows and columns of real tables in their own units, with squares and products."""
    table = load_wine().data if rng.random() < 0.5 else load_breast_cancer().data
    table = PolynomialFeatures(int(rng.integers(1, 3))).fit_transform(table[:, :13])
    chosen = rng.permutation(table.shape[1])[: max(d, 2)]
    return np.asarray(table[np.ix_(rng.permutation(len(table))[:n], chosen)])


KINDS = (gaussian, integers, binary, cauchy, offset, correlated, columns, rows, both, repeated, contradicting, raw)


def case(
    rng: Rng, kind: Callable[[Rng, int, int], np.ndarray], own: bool = False
) -> tuple[np.ndarray, np.ndarray, Regularizer]:
    """(X, y, R): labels planted or random, the regularizer drawn, with `own` among norms with only a cone solver."""
    n, d = int(rng.integers(1, 41)), int(rng.integers(1, 61))
    X = kind(rng, n, d)
    X, d = X[np.abs(X).sum(axis=1) > 0], X.shape[1]
    if len(X) == 0:
        return case(rng, kind, own)
    planted = rng.standard_normal(d) / np.abs(X).max(axis=0).clip(1e-300)
    y = np.where(X @ planted >= 0, 1.0, -1.0)
    if rng.random() < 0.5 and len(X) <= d:
        y = rng.choice([-1.0, 1.0], len(X))
    if kind is contradicting:
        y[-1] = -y[0]
    if own:
        return X, y, own_norm(rng, d)
    K = int(rng.integers(1, d + 1)) if rng.random() < 0.5 else min(3, d)
    choices = [L2(), Bridge(1), FourierBridge(1), ConvKernel(K), Bridge(1), FourierBridge(1), ConvKernel(min(2, d)),
               Bridge(float(rng.choice([0.2, 0.5, 2 / 3, 0.9]))), FourierBridge(2 / 3), Schatten(1)]  # fmt: skip
    more = [Bridge(float(rng.choice([4 / 3, 1.5, 3.0, np.inf]))), Mahalanobis(10.0 ** rng.uniform(-2, 2, d))]
    R = choices[int(rng.integers(len(choices)))] if rng.random() < 0.8 else more[int(rng.integers(len(more)))]
    if isinstance(R, Schatten):
        X = X[:12, :16]
        X = X[np.abs(X).sum(axis=1) > 0] if np.abs(X).sum() > 0 else np.ones((1, X.shape[1]))
        d = X.shape[1]
        y = np.where(X @ (rng.standard_normal((d, 3)) / np.abs(X).max(axis=0).clip(1e-300)[:, None]) >= 0, 1.0, -1.0)
    return X, y, R


# ---- the judge -------------------------------------------------------------------------------------------------------


def signed_rows(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """a_m = y_m x_m in the longest format; with several outputs flattened over the shape (M, D) of β."""
    if y.ndim == 1:
        return (y[:, None] * X).astype(Long)
    n, m = y.shape
    A = np.zeros((n, m, m, X.shape[1]), dtype=Long)
    A[:, np.arange(m), np.arange(m)] = y[:, :, None] * X[:, None, :]
    return A.reshape(n * m, -1)


def times(A: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A @ v without BLAS, which has no long format."""
    return np.asarray((A * v[None, :]).sum(axis=1))


def dft(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary part of the unitary DFT."""
    d = len(v)
    angle = (2 * Long("3.14159265358979323846264338328") / d) * (np.outer(np.arange(d), np.arange(d)) % d).astype(Long)
    return times(np.cos(angle), v) / np.sqrt(Long(d)), times(np.sin(angle), v) / np.sqrt(Long(d))


def network_predictor(solution: Any, d: int) -> np.ndarray:
    """β[p] = D^{-1/2} Σ_c Σ_k u_c[k] v_c[p − k]: what the kernels and output weights compute."""
    U, V = (np.asarray(w, dtype=Long) for w in (solution.kernels, solution.output_weights))
    U, V = U.reshape(len(V), -1), V.reshape(len(V), -1)
    total = np.zeros(d, dtype=Long)
    for u, v in zip(U, V, strict=True):
        for k in range(len(u)):
            total += u[k] * np.roll(v, k)
    return total / np.sqrt(Long(d))


def power_norm(v: np.ndarray, p: float) -> Any:
    """‖v‖_p."""
    largest = np.abs(v).max()
    return (
        largest if p == np.inf or largest == 0 else largest * ((np.abs(v) / largest) ** Long(p)).sum() ** (1 / Long(p))
    )


def norms(R: Regularizer, b: np.ndarray, z: np.ndarray, solution: Any) -> tuple[Any, Any]:
    """R(β) and R°(z)."""
    if isinstance(R, FourierBridge):
        (re, im), (zre, zim) = dft(b), dft(z)
        return np.sqrt(re**2 + im**2).sum(), np.sqrt(zre**2 + zim**2).max()
    if isinstance(R, Bridge):
        return power_norm(b, R.p), power_norm(z, np.inf if R.p == 1 else 1.0 if R.p == np.inf else R.p / (R.p - 1.0))
    if isinstance(R, Mahalanobis):
        q = np.diag(R.Q).astype(Long)
        return np.sqrt((q * b**2).sum()), np.sqrt((z**2 / q).sum())
    if isinstance(R, ConvKernel):
        K, size = int(np.prod(R.kernel_size)), np.abs(z).max()
        w = z / size if size > 0 else z
        lags = np.array([(w * np.roll(w, k)).sum() for k in range(K)]).astype(float)
        T = lags[np.abs(np.subtract.outer(np.arange(K), np.arange(K)))]
        cost = (np.asarray(solution.kernels, Long) ** 2).sum() + (np.asarray(solution.output_weights, Long) ** 2).sum()
        delta = network_predictor(solution, b.size) - b
        cost = cost + 2 * np.sqrt(Long(b.size) * (delta**2).sum())
        return cost, size * Long(np.sqrt(np.linalg.eigvalsh(T)[-1])) / (2 * np.sqrt(Long(z.size)))
    if isinstance(R, LargestLayer):
        ends = np.cumsum([int(np.prod(shape)) for _, shape in R.layers])[:-1]
        parts = [
            norms(norm, u, v, replace(solution, beta=u.reshape(shape)))
            for (norm, shape), u, v in zip(R.layers, np.split(b, ends), np.split(z, ends), strict=True)
        ]
        return max(c * u for c, (u, _) in zip(R.scales, parts, strict=True)), sum(
            v / c for c, (_, v) in zip(R.scales, parts, strict=True)
        )
    if isinstance(R, Schatten):
        sigma, tau = (np.linalg.svd(m.reshape(solution.beta.shape).astype(float))[1] for m in (b, z))
        return (sigma.sum(), tau.max()) if R.p == 1 else (sigma.max(), tau.sum())
    if isinstance(R, L2):
        return np.sqrt((b**2).sum()), np.sqrt((z**2).sum())
    return R.value(b), R.dual_norm(z)  # of a norm of one's own


def convex_gap(A: np.ndarray, R: Regularizer, solution: Any) -> float:
    """The relative duality gap of β scaled to margin one and α scaled to dual feasibility, with what β misses of it."""
    b, alpha = solution.beta.reshape(-1).astype(Long), solution.dual.reshape(-1).astype(Long)
    if (alpha < 0).any():
        return np.inf
    margin, z = times(A, b).min(), times(A.T, alpha)
    if not margin > 0:
        return np.inf
    value, dual = norms(R, b, z, solution)
    return max(float(1 - alpha.sum() / dual * margin / value), float(1 - margin))


def stationarity_gap(A: np.ndarray, R: Any, solution: Any) -> float:
    """The largest residual of ∇‖·‖_p^p = λAᵀα over all nonzero coefficients, relative, and of complementarity."""
    b, alpha = solution.beta.reshape(-1).astype(Long), solution.dual.reshape(-1).astype(Long)
    margins, z = times(A, b), times(A.T, alpha)
    if isinstance(R, FourierBridge):
        (bre, bim), (zre, zim) = dft(b), dft(z)
        size = np.hypot(bre, bim)
        on = size > 1e-13 * size.max()  # a transform of float64 numbers has no zeros
        ratio = np.hypot(zre[on] * bre[on] + zim[on] * bim[on], zim[on] * bre[on] - zre[on] * bim[on]) / size[on] ** 2
        ratio = ratio * size[on] ** Long(2 - R.p)
    else:
        on = b != 0
        ratio = (z[on] / b[on]) * np.abs(b[on]) ** Long(2 - R.p)
    scale = (ratio.max() + ratio.min()) / 2
    tight = float((alpha * np.abs(margins / margins.min() - 1)).sum() / alpha.sum())
    return max(float(np.abs(ratio / scale - 1).max()), tight, abs(float(1 - margins.min())))


def l2_bracket(A: np.ndarray) -> tuple[float, float]:
    """Bounds on the ℓ2 margin with rows of norm one, from any β and α; the lower one is ≤ 0 when none separates."""
    unit = A / np.sqrt((A**2).sum(axis=1))[:, None]
    rows_, t = unit.astype(float), 1.0
    lower, upper = Long(-1), Long(1)
    for _ in range(8):
        alpha, _ = nnls(np.vstack([rows_.T, np.full(len(A), t)]), np.append(np.zeros(A.shape[1]), t))
        if alpha.sum() <= 0:
            break
        z = times(unit.T, alpha.astype(Long))
        upper = min(upper, np.sqrt((z**2).sum()) / alpha.astype(Long).sum())
        candidates = [z]
        on = alpha > 0
        candidates.append(np.linalg.lstsq(rows_[on], np.ones(int(on.sum())), rcond=1e-15)[0].astype(Long))
        for b in candidates:
            size = np.sqrt((b**2).sum())
            lower = max(lower, times(unit, b).min() / size) if size > 0 else lower
        if lower >= 0.5 * upper or t < 1e-15:
            break
        t = max(float(upper), 1e-16)
    return float(lower), float(upper)


def refusal(A: np.ndarray, error: Exception, lower: float) -> str:
    """'refused', or 'WRONG' when a Farkas certificate does not multiply out or β separates the points."""
    if isinstance(error, NotSeparableError):
        unit = A / np.abs(A).max(axis=0).clip(1e-300)
        alpha = error.farkas.reshape(-1).astype(Long)
        terms = times(np.abs(unit).T, alpha)
        left = float((np.abs(times(unit.T, alpha)) / terms.clip(1e-300)).max())
        return "refused" if left <= 1e-9 and (alpha >= 0).all() and lower < 1e-10 else "WRONG"
    return "refused"


def judge(X: np.ndarray, y: np.ndarray, R: Regularizer) -> tuple[str, str, float, str]:
    """(band, outcome, the judge's gap, and what the package says)."""
    A = signed_rows(X, y)
    lower, _ = l2_bracket(A)
    try:
        solution = max_margin(X, y, R, **({"n_starts": 3} if not R.is_norm else {}))
    except (NotSeparableError, IllConditionedError) as error:
        separable = lower > 0
        band = next(name for least, name in BANDS if (lower if separable else -1.0) >= least)
        return band, refusal(A, error, lower), np.nan, f"{type(error).__name__}: {str(error)[:90]}"
    margins = times(A, solution.beta.reshape(-1).astype(Long)) / np.sqrt((A**2).sum(axis=1))
    lower = max(lower, float(margins.min() / np.sqrt((solution.beta.astype(Long) ** 2).sum())))
    band = next(name for least, name in BANDS if max(lower, -0.5) >= least or least < 0)
    gap = convex_gap(A, R, solution) if R.is_norm else stationarity_gap(A, R, solution)
    claimed = solution.status in (Status.OPTIMAL, Status.STATIONARY)
    agrees = gap <= 2 * TOL if claimed else gap <= 2 * max(solution.certificate.worst, TOL)
    outcome = ("OPTIMAL" if claimed else "INACCURATE") if agrees and gap >= -2 * TOL else "WRONG"
    return band, outcome, gap, f"{solution.status.name} worst {solution.certificate.worst:.1e}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", nargs="*", choices=[kind.__name__ for kind in KINDS])
    parser.add_argument("--own", action="store_true", help="norms of a user's own, which only a cone solver minimizes")
    parser.add_argument("--show", action="store_true", help="every case that is not OPTIMAL, and every slow one")
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    kinds = [kind for kind in KINDS if not arguments.only or kind.__name__ in arguments.only]
    counts: Counter[tuple[str, str]] = Counter()
    worst, slowest, began = 0.0, (0.0, ""), time.perf_counter()
    for index in range(arguments.first, arguments.first + arguments.count):
        rng = np.random.default_rng([arguments.seed, index])
        kind = kinds[index % len(kinds)]
        X, y, R = case(rng, kind, arguments.own)
        start = time.perf_counter()
        band, outcome, gap, said = judge(X, y, R)
        seconds = time.perf_counter() - start
        counts[band, outcome] += 1
        worst = max(worst, gap if outcome == "OPTIMAL" else 0.0)
        slowest = max(slowest, (seconds, f"{index} {kind.__name__} {X.shape} {R}"))
        ordinary = outcome == "OPTIMAL" or (outcome == "refused" and band == "not separable")
        if arguments.show and (not ordinary or seconds > 5):
            print(f"{index:5d} {kind.__name__:13s} {X.shape!s:9s} {R!s:34.34s} {band:14s} {outcome:10s} "
                  f"{gap:8.1e} {seconds:5.1f} s  {said}", flush=True)  # fmt: skip
    outcomes = ("OPTIMAL", "INACCURATE", "refused", "WRONG")
    print("| relative margin |", " | ".join(outcomes), "|\n|---|" + "---|" * len(outcomes))
    for _, band in BANDS:
        print(f"| {band} |", " | ".join(str(counts[band, outcome]) for outcome in outcomes), "|")
    print(f"largest gap of an OPTIMAL answer, by the judge: {worst:.1e}; "
          f"{time.perf_counter() - began:.0f} s, the slowest {slowest[0]:.1f} s: {slowest[1]}")  # fmt: skip
    above = {outcome: counts[BANDS[0][1], outcome] for outcome in outcomes}
    wrong = sum(counts[band, "WRONG"] for _, band in BANDS)
    refused = above["refused"] + counts[BANDS[1][1], "refused"]
    return int(wrong > 0 or refused > 0 or above["INACCURATE"] > 0.005 * max(sum(above.values()), 1))


if __name__ == "__main__":
    sys.exit(main())
