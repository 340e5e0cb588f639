"""ℓ∞ max margin: a linear program, solved by an interior point and refined on its face.

    min ‖β‖_∞   s.t.  A β ≥ r            dual:  max rᵀα  s.t.  α ≥ 0, ‖Aᵀα‖₁ ≤ 1

It is solved as max γ s.t. A u ≥ γ r, −1 ≤ u ≤ 1, with β = u/γ. With slacks s = Au − γr, l = 1 + u, h = 1 − u and
multipliers α, λ, ν the optimality conditions are

    Aᵀα + λ − ν = 0,   rᵀα = 1,   s α = l λ = h ν = 0,                                                        (1)

and u = 0 with any α > 0 is a point inside, primal and dual. Steps are Mehrotra's: all but α is eliminated in closed
form, so that a step costs one Cholesky factorization, of A diag(λ/l + ν/h)⁻¹Aᵀ + diag(s/α), of order N, or one of order
D + 1 with u and γ as the unknowns. Where rounding ends the path early, orthogonal factorizations follow it again.

With t = ‖β‖_∞, J the rows with weight and F the coordinates with |β_d| < t, the optima have β_d = t σ_d off F, and

    A_JF β_F + t A_J σ = r,        A_JFᵀ α_J = 0,  (A_J σ)ᵀ α_J = 1        (σ_d = 0 on F),

one matrix and its transpose, solved to rounding for the point nearest to the one at hand.

Reference: Mehrotra (1992), "On the implementation of a primal-dual interior point method".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.linalg import LinAlgError
from scipy.optimize import linprog

from solvers.algorithms.factorizations import normal_solver
from solvers.arrays import Array
from solvers.extended_precision import extended_product
from solvers.problem import MarginProblem
from solvers.separability import raise_if_not_resolved
from solvers.solution import Candidate, Uniqueness

ENOUGH = 1e-11
"""The relative gap at which the interior point ends: it then tells the rows with weight from the others."""

LARGEST_CAREFUL = 1000
"""Coefficients up to which orthogonal factorizations take seconds at most."""


@dataclass(frozen=True)
class _Point:
    """A point inside of (1)."""

    l: Array  # noqa: E741 – the formula's letter
    h: Array
    gamma: float
    s: Array
    alpha: Array
    lower: Array
    upper: Array
    """The multipliers λ and ν."""

    @property
    def u(self) -> Array:
        return 0.5 * (self.l - self.h)

    @property
    def complementarity(self) -> float:
        """The mean product μ."""
        total = self.s @ self.alpha + self.l @ self.lower + self.h @ self.upper
        return float(total) / (self.s.size + 2 * self.l.size)

    def moved(self, step: _Point, length: float) -> _Point:
        pairs = zip(vars(self).values(), vars(step).values(), strict=True)
        return _Point(*(mine + length * its for mine, its in pairs))

    def longest(self, step: _Point) -> float:
        """The step to the boundary."""
        inside = [(self.s, step.s), (self.l, step.l), (self.h, step.h)]
        inside += [(self.alpha, step.alpha), (self.lower, step.lower), (self.upper, step.upper)]
        return min(float((x[dx < 0] / -dx[dx < 0]).min(initial=np.inf)) for x, dx in inside)


def linf_max_margin(problem: MarginProblem) -> Candidate:
    """β and multipliers. Raises NotSeparableError or IllConditionedError for data without a margin."""
    raise_if_not_resolved(problem.A, problem.label_shape)
    unit = problem.equilibrated
    best = _Pair(np.zeros(unit.rows.shape[1]), np.zeros(unit.right.size), np.inf)
    stats: dict[str, object] = {"method": "interior point"}
    for careful in (False, True):
        point, steps = _interior_point(unit.rows, unit.right, careful)
        inner = _Pair.of(unit.rows, unit.right, point.u, point.alpha)
        for found in (inner, _on_face(unit.rows, unit.right, point)):
            if found.gap < best.gap:
                best = found
                stats |= {"iterations": steps, "polished": found is not inner}
        if best.gap <= ENOUGH or best.beta.size > LARGEST_CAREFUL:
            break
    return Candidate((best.beta / unit.scale).reshape(problem.shape), best.alpha * unit.share, stats)


@dataclass(frozen=True)
class _Pair:
    """β and α, both scaled to feasibility, and their relative duality gap, inf where one of them is of no use."""

    beta: Array
    alpha: Array
    gap: float

    @classmethod
    def of(cls, rows: Array, right: Array, beta: Array, alpha: Array) -> _Pair:
        margin, size = float((extended_product(rows, beta) / right).min()), float(np.abs(alpha @ rows).sum())
        if not (margin > 0 and size > 0 and alpha.min() >= 0):
            return cls(beta, alpha, np.inf)
        gap = abs(1.0 - float(right @ alpha) / size * margin / float(np.abs(beta).max()))
        return cls(beta / margin, alpha / size, gap)


def _interior_point(rows: Array, right: Array, careful: bool, max_steps: int = 100) -> tuple[_Point, int]:
    """The point nearest to the end of the central path, as far as rounding lets it go, and the steps taken."""
    n, d = rows.shape
    alpha = 1.0 / (n * right)
    z = alpha @ rows
    spread = float(np.abs(z).mean())
    point = _Point(np.ones(d), np.ones(d), -1.0, right.copy(), alpha, (-z).clip(0) + spread, z.clip(0) + spread)
    best, at = point, 0
    for steps in range(max_steps):
        if point.complementarity < best.complementarity:
            best, at = point, steps
        # (n + 2D)μ = ‖Aᵀα‖₁ − γ is the gap, up to rounding in (1), which may be all that is left of it
        if (n + 2 * d) * best.complementarity <= ENOUGH * best.gamma or steps - at > 3:
            break
        try:
            point = _mehrotra_step(rows, right, point, careful)
        except (LinAlgError, ValueError):  # not positive definite, or not finite: rounding has the last word
            break
    return best, at


def _mehrotra_step(rows: Array, right: Array, at: _Point, careful: bool) -> _Point:
    theta = at.lower / at.l + at.upper / at.h
    # by columns is more accurate, as γ is one of its unknowns, and slower where there are few rows
    few = 2 * len(rows) <= rows.shape[1] and not careful
    solve = (_by_rows if few else partial(_by_columns, careful=careful))(rows, right, theta, at.s / at.alpha)
    primal = right * at.gamma + at.s - rows @ at.u
    dual = at.upper - at.lower - at.alpha @ rows
    missing = 1.0 - float(right @ at.alpha)

    def direction(c_s: Array, c_l: Array, c_h: Array) -> _Point:
        """α ds + s dα = c_s, λ dl + l dλ = c_l, ν dh + h dν = c_h, and the residuals of (1)."""
        u, gamma, alpha = solve(c_s / at.alpha + primal, c_l / at.l - c_h / at.h - dual, missing)
        s = (c_s - at.s * alpha) / at.alpha
        return _Point(u, -u, gamma, s, alpha, (c_l - at.lower * u) / at.l, (c_h + at.upper * u) / at.h)

    products = at.s * at.alpha, at.l * at.lower, at.h * at.upper
    first = direction(*(-product for product in products))
    mu = at.complementarity
    after = at.moved(first, min(1.0, at.longest(first))).complementarity
    goal = mu * max(after / mu, 1e-4) ** 3
    corrected = first.s * first.alpha, first.l * first.lower, first.h * first.upper
    step = direction(*(goal - product - change for product, change in zip(products, corrected, strict=True)))
    return at.moved(step, min(1.0, 0.99 * at.longest(step)))


_Newton = Callable[[Array, Array, float], tuple[Array, float, Array]]
"""k, g, m ↦ the du, dγ, dα of A du − r dγ + ρ dα = k, θ du − Aᵀdα = g, rᵀdα = m."""


def _by_rows(rows: Array, right: Array, theta: Array, ratio: Array) -> _Newton:
    """By (A diag(θ)⁻¹ Aᵀ + diag ρ) dα = k + r dγ − A(g/θ), of order N."""
    inverse = normal_solver(rows / np.sqrt(theta), ratio, careful=False)
    by_right = inverse(right)

    def solve(k: Array, g: Array, m: float) -> tuple[Array, float, Array]:
        fixed = inverse(k - rows @ (g / theta))
        gamma = (m - float(right @ fixed)) / float(right @ by_right)
        alpha = fixed + gamma * by_right
        return (alpha @ rows + g) / theta, gamma, alpha

    return solve


def _by_columns(rows: Array, right: Array, theta: Array, ratio: Array, careful: bool) -> _Newton:
    """By (Bᵀ diag(ρ)⁻¹ B + diag(θ, 0)) (du, dγ) = Bᵀ(k/ρ) + (g, m), B = [A, −r], of order D + 1."""
    B = np.column_stack([rows, -right])
    inverse = normal_solver((B / np.sqrt(ratio)[:, None]).T, np.append(theta, 0.0), careful)

    def solve(k: Array, g: Array, m: float) -> tuple[Array, float, Array]:
        both = inverse((k / ratio) @ B + np.append(g, m))
        return both[:-1], float(both[-1]), (k - B @ both) / ratio

    return solve


def _on_face(rows: Array, right: Array, point: _Point) -> _Pair:
    """The optimum nearest to a point close to one, by least squares, refined twice."""
    tight = np.flatnonzero(point.alpha > point.s)
    inside = (point.lower < point.l) & (point.upper < point.h)
    free, u = np.flatnonzero(inside), point.u
    sides = np.where(inside, 0.0, np.sign(u))
    matrix = np.column_stack([rows[np.ix_(tight, free)], rows[tight] @ sides])
    last = np.append(np.zeros(free.size), 1.0)
    solution, weights = np.append(u[free], 1.0) / point.gamma, point.alpha[tight] / point.gamma
    inverse = np.linalg.pinv(matrix)
    for _ in range(3):
        solution = solution + inverse @ (right[tight] - extended_product(matrix, solution))
        weights = weights + inverse.T @ (last - extended_product(matrix.T, weights))
    beta, multipliers = solution[-1] * sides, np.zeros_like(point.alpha)
    beta[free] = solution[:-1]
    multipliers[tight] = weights
    return _Pair.of(rows, right, beta, multipliers)


def linf_unique(rows: Array, beta: Array, dual: Array, tolerance: float = 1e-9) -> Uniqueness:
    """Whether β is the only minimizer, from an optimal dual: decided on the face of all minimizers,

        { β : |β_d| ≤ t, β_d = t sign(z_d) where z_d ≠ 0, Aβ = 1 on {α > 0}, Aβ ≥ 1 elsewhere },        z = Aᵀα,

    a point when the tight columns of the other coordinates are independent, and otherwise exactly when a generic linear
    functional has equal minimum and maximum over it.

    Reference: Mangasarian (1979), "Uniqueness of solution in linear programming".
    """
    scale = float(np.abs(rows).max())
    rows, beta = rows / scale, beta * scale
    t, z = float(np.abs(beta).max()), dual @ rows
    free = np.abs(z) <= tolerance * np.abs(z).max()
    tight = dual > tolerance * dual.max()
    columns = rows[np.ix_(tight, free)]
    if not free.any() or np.linalg.matrix_rank(columns) == int(free.sum()):
        return Uniqueness.UNIQUE
    held = rows[:, ~free] @ beta[~free]
    objective = np.random.default_rng(0).standard_normal(int(free.sum()))
    ends = []
    for sign in (1.0, -1.0):
        answer = linprog(
            sign * objective,
            A_ub=-rows[np.ix_(~tight, free)] if (~tight).any() else None,
            b_ub=held[~tight] - 1.0 + tolerance if (~tight).any() else None,
            A_eq=columns,
            b_eq=1.0 - held[tight],
            bounds=(-t, t),
            method="highs",
        )
        if answer.status != 0:
            return Uniqueness.UNKNOWN
        ends.append(answer.x)
    apart = float(np.abs(ends[0] - ends[1]).max()) / t
    if apart <= 1e-6:
        return Uniqueness.UNIQUE
    # both ends must be optimal: margin one at the same norm
    margins = [float((rows[:, free] @ end + held).min()) for end in ends]
    return Uniqueness.NOT_UNIQUE if apart > 1e-4 and min(margins) >= 1.0 - 1e-6 else Uniqueness.UNKNOWN
