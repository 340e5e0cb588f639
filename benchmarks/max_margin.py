"""max_margin and other solvers of the same problems: time and accuracy, alternating in one run.

    python benchmarks/max_margin.py [--rounds 5] [--only l2 l1 fourier]

Gaussian points with random labels. Every solver starts from X and y and ends with a predictor; building a model counts,
imports and one warm-up do not. `gap` is R(β)/v − 1 with β scaled to margin one and v the best proved lower bound, for
every solver by the same code. scikit-learn's LinearSVC gets the loosest of the tolerances 1e-1, 1e-2, … whose gap is
below 1e-6. Prints a Markdown table of medians; `times` is the slowdown against max_margin.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable

import cvxpy as cp
import numpy as np
from sklearn.svm import LinearSVC

from solvers import L2, Bridge, FourierBridge, Regularizer, certify, max_margin

Array = np.ndarray
Solver = Callable[[Array, Array], Array]


def by_max_margin(regularizer: Regularizer) -> Solver:
    return lambda X, y: max_margin(X, y, regularizer).beta


def by_clarabel(regularizer: Regularizer) -> Solver:
    """A good model of each: ‖β‖₂, ‖β‖₁, the half spectrum as real cones; at Clarabel's default accuracy."""

    def solve(X: Array, y: Array) -> Array:
        d = X.shape[1]
        beta = cp.Variable(d)
        if isinstance(regularizer, FourierBridge):
            half = np.fft.rfft(np.eye(d), axis=0, norm="ortho")
            pairs = np.full(half.shape[0], 2.0)
            pairs[0] = 1.0
            if d % 2 == 0:
                pairs[-1] = 1.0
            spectrum = cp.vstack([half.real @ beta, half.imag @ beta])
            norm = pairs @ cp.norm(spectrum, 2, axis=0)
        else:
            norm = cp.norm1(beta) if isinstance(regularizer, Bridge) else cp.norm2(beta)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an inaccurate answer shows in its gap
            cp.Problem(cp.Minimize(norm), [(y[:, None] * X) @ beta >= 1]).solve(solver="CLARABEL")
        return np.asarray(beta.value)

    return solve


def by_linear_svc(X: Array, y: Array, accuracy: float = 1e-6) -> tuple[Solver, float]:
    """LinearSVC(C=1e8, hinge, no intercept) at the loosest tolerance that reaches the accuracy, and that tolerance."""
    bound = certify(X, y, max_margin(X, y, L2()).beta, L2()).lower_bound
    for exponent in range(1, 13):
        solve = _linear_svc(10.0**-exponent)
        if gap(X, y, solve(X, y), L2(), bound) <= accuracy:
            break
    return solve, 10.0**-exponent


def _linear_svc(tol: float) -> Solver:
    def solve(X: Array, y: Array) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged shows in the gap
            model = LinearSVC(C=1e8, loss="hinge", fit_intercept=False, tol=tol, max_iter=1_000_000, random_state=0)
            return np.asarray(model.fit(X, y).coef_[0])

    return solve


def gap(X: Array, y: Array, beta: Array, regularizer: Regularizer, bound: float) -> float:
    """R(β/margin)/bound − 1; inf where β misclassifies."""
    margin = float((y * (X @ beta)).min())
    return regularizer.value(beta) / margin / bound - 1.0 if margin > 0 else float("inf")


def median_times(
    solvers: dict[str, Solver], X: Array, y: Array, rounds: int
) -> tuple[dict[str, float], dict[str, Array]]:
    """Median seconds of each, in turns, after one warm-up; a solver of more than 5 s gets two turns."""
    found = {name: solve(X, y) for name, solve in solvers.items()}
    times: dict[str, list[float]] = {name: [] for name in solvers}
    for turn in range(rounds):
        for name, solve in solvers.items():
            if turn >= 2 and times[name][0] > 5.0:
                continue
            began = time.perf_counter()
            solve(X, y)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(t) for name, t in times.items()}, found


def table(name: str, regularizer: Regularizer, n: int, d: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)
    solvers = {"max_margin": by_max_margin(regularizer), "cvxpy + Clarabel": by_clarabel(regularizer)}
    if isinstance(regularizer, L2):
        solve, tol = by_linear_svc(X, y)
        solvers[f"LinearSVC, tol={tol:.0e}"] = solve
    times, found = median_times(solvers, X, y, rounds)
    bound = certify(X, y, found["max_margin"], regularizer).lower_bound
    for solver, seconds in times.items():
        ratio = seconds / times["max_margin"]
        accuracy = gap(X, y, found[solver], regularizer, bound)
        print(
            f"| {name}, N={n}, D={d} | {solver} | {1e3 * seconds:.1f} | {ratio:.1f} | {abs(accuracy):.0e} |",
            flush=True,
        )


CASES: dict[str, tuple[str, Regularizer, int, int]] = {
    "l2": ("ℓ2", L2(), 100, 512),
    "l1": ("ℓ1", Bridge(1), 100, 512),
    "fourier": ("Fourier ℓ1", FourierBridge(1), 200, 1024),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, cvxpy {cp.__version__}, {platform.machine()}\n")
    print("| problem | solver | time [ms] | times | gap |\n|---|---|---:|---:|---:|")
    for case in arguments.only:
        table(*CASES[case], arguments.rounds)


if __name__ == "__main__":
    main()
