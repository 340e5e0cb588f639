"""The unit that responds most to weighted points: what the dual constraint of a ReLU network asks.

    max_{‖u‖₂ ≤ 1} |g(u)|,      g(u) = Σ_n c_n σ(u · z_n),      σ(t) = max(t, s t),  0 ≤ s < 1.        (1)

Write σ(t) = s t + (1 − s) t₊, q = s Σ_n c_n z_n and p_n = (1 − s)|c_n| z_n. With P the points of positive weight and Q
those of negative weight, t₊ = max_{0≤μ≤1} μ t gives

    max_u g(u) = max_{S ⊆ P} min_{0 ≤ μ ≤ 1} ‖ q + Σ_{n∈S} p_n − Σ_{n∈Q} μ_n p_n ‖₂        (or 0, at u = 0).        (2)

Here S is the set of gates that are open at P, so only the cells of P have to be looked at, and for each of them the
minimum is a least-squares problem in a box. Any μ in the box proves an upper bound, and the residual is the direction
of a unit that proves a lower bound. Any S gives a value that some unit has; so a cell too many does no harm.

- `largest_unit`: all cells of P, where the points with weight have rank ≤ `LARGEST_RANK`. Exact up to rounding. Where
  the cells are at least half of all subsets of P, all subsets. Beyond that rank S is relaxed: with t₊ = ½(t + |t|) and
  the Cauchy–Schwarz inequality on Σ|u · p_n|, for any μ,

      g(u) ≤ ‖q + ½ Σ_P p_n − Σ_Q μ_n p_n‖₂ + ½ √(Σ_P ‖p_n‖ · λ_max(Σ_P p_n p_nᵀ/‖p_n‖)).                    (3)

- `local_maxima`: from given gates S, solve for u, read the gates of u, repeat (the difference-of-convex algorithm).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from solvers.arrays import Array
from solvers.relu.cells import gates_of_cells, most_cells

LARGEST_RANK = 4
"""Up to this rank of the points with weight their cells are enumerated."""

MOST_CELLS = 400_000
"""More cells are not enumerated. 100 points of one sign and of rank 4 have 323,600: 13 s of one core, 0.2 GB."""


@dataclass(frozen=True)
class LargestUnit:
    """What is known about max |g(u)| over the unit ball."""

    unit: Array
    """A unit vector u, shape (k,); zero where no unit was looked for, or every response is zero."""
    response: float
    """|g(u)|: the maximum is at least this."""
    upper_bound: float
    """The maximum is proved to be at most this."""
    exact: bool
    """Whether all cells were enumerated, so that both agree to rounding."""


def activation(t: Array, slope: float) -> Array:
    """σ(t) = max(t, s t)."""
    return np.maximum(t, slope * t)


def row_space(points: Array) -> Array:
    """Orthonormal rows (rank, k) that span the points."""
    _, singular, vt = np.linalg.svd(points, full_matrices=False)
    rank = int((singular > singular.max(initial=0.0) * max(points.shape) * np.finfo(np.float64).eps).sum())
    return np.asarray(vt[:rank])


@dataclass(frozen=True)
class _Side:
    """max g(u) in the form of (2)."""

    points: Array
    """The points with weight, (m, k)."""
    weights: Array
    """c (m,)."""
    slope: float

    @property
    def positive(self) -> NDArray[np.bool_]:
        return self.weights > 0

    @property
    def parts(self) -> Array:
        """p_n (m, k)."""
        return (1.0 - self.slope) * np.abs(self.weights)[:, None] * self.points

    @property
    def offset(self) -> Array:
        """q (k,)."""
        return self.slope * (self.weights @ self.points)

    def responses(self, units: Array) -> Array:
        """g at each row of `units`."""
        return activation(units @ self.points.T, self.slope) @ self.weights


def _sides(points: Array, weights: Array, slope: float) -> tuple[_Side, _Side]:
    """max g and max −g."""
    used = (weights != 0) & points.any(axis=1)
    return _Side(points[used], weights[used], slope), _Side(points[used], -weights[used], slope)


def largest_unit(points: Array, weights: Array, slope: float = 0.0, *, max_rank: int = LARGEST_RANK) -> LargestUnit:
    """Problem (1), exactly where the points with weight have rank ≤ `max_rank`, else an upper bound and u = 0.

    Args:
        points: z, shape (m, k).
        weights: c, shape (m,).
        slope: s.
        max_rank: the largest rank whose cells are enumerated.
    """
    best = LargestUnit(np.zeros(points.shape[1]), 0.0, 0.0, True)
    for side in _sides(points, weights, slope):
        basis = row_space(side.points)
        flat = _Side(side.points @ basis.T, side.weights, slope)
        found = _exact(flat) if _few_cells(flat, max_rank) else _bounded(flat)
        found = replace(found, unit=found.unit @ basis)
        upper, exact = max(best.upper_bound, found.upper_bound), best.exact and found.exact
        best = replace(found if found.response > best.response else best, upper_bound=upper, exact=exact)
    return best


def _few_cells(side: _Side, max_rank: int) -> bool:
    m, rank = int(side.positive.sum()), side.points.shape[1]
    return rank <= max_rank and most_cells(m, rank) <= MOST_CELLS


def _exact(side: _Side, sweeps: int = 10) -> LargestUnit:
    """All cells of P; those whose bound falls below the response of another cell's unit are dropped as they are."""
    basis = row_space(side.points[side.positive])
    m, rank = int(side.positive.sum()), basis.shape[0]
    everything = 2**m <= 2 * most_cells(m, rank)
    gates = _subsets(m) if everything else gates_of_cells(side.points[side.positive] @ basis.T)
    sums = side.offset + gates @ side.parts[side.positive]
    residual, multipliers = sums, np.zeros((sums.shape[0], int((~side.positive).sum())))
    unit, response = np.zeros(side.points.shape[1]), 0.0
    upper = np.linalg.norm(residual, axis=1)
    for _ in range(sweeps):
        residual, multipliers = _box_sweep(residual, multipliers, side.parts[~side.positive])
        upper = np.linalg.norm(residual, axis=1)
        unit, response = _better(side, residual, unit, response)
        kept = upper > response * (1.0 + 1e-14)
        residual, multipliers, sums, upper = residual[kept], multipliers[kept], sums[kept], upper[kept]
    for n in np.argsort(-upper):  # whatever the sweeps have not decided, by an active-set method
        if upper[n] > response * (1.0 + 1e-14):
            closest = _box_residual(sums[n], side.parts[~side.positive])
            unit, response = _better(side, closest[None], unit, response)
            upper[n] = min(upper[n], float(np.linalg.norm(closest)))
    return LargestUnit(unit, response, max(response, float(upper.max(initial=0.0))), True)


def _subsets(m: int) -> NDArray[np.bool_]:
    """All gates that m points could have, shape (2^m, m)."""
    return np.asarray(np.arange(2**m)[:, None] >> np.arange(m) & 1, dtype=bool)


def _better(side: _Side, residual: Array, unit: Array, response: float) -> tuple[Array, float]:
    """The unit of the largest response among `unit` and the directions of `residual`."""
    directions = _directions(residual)
    responses = side.responses(directions)
    if responses.size and responses.max() > response:
        return directions[responses.argmax()], float(responses.max())
    return unit, response


def _directions(vectors: Array) -> Array:
    """The rows scaled to norm one; zero stays zero."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(size > 0, size, 1.0))


def _box_residuals(v: Array, parts: Array, rounds: int = 10) -> Array:
    """v − Σ μ_n p_n for each row v, nearly of least norm over 0 ≤ μ ≤ 1.

    Coordinate descent finds the coordinates inside the box, a Newton step for these, cut at the walls, the rest.
    """
    m = parts.shape[0]
    multipliers = np.zeros((v.shape[0], m))
    gram = parts @ parts.T
    ridge = np.eye(m) * 1e-12 * gram.trace()
    for _ in range(rounds if m else 0):
        before = multipliers
        v, multipliers = _box_sweep(v, multipliers, parts)
        inside = (multipliers > 0) & (multipliers < 1)
        both = inside[:, :, None] & inside[:, None, :]
        move = np.linalg.solve(np.where(both, gram, np.eye(m)) + ridge, (inside * (v @ parts.T))[:, :, None])[:, :, 0]
        room = np.where(move > 0, 1.0 - multipliers, multipliers) / np.maximum(np.abs(move), 1e-300)
        move *= np.minimum(1.0, np.where(inside, room, 1.0).min(axis=1, keepdims=True))
        multipliers = np.clip(multipliers + move, 0.0, 1.0)
        v = v - move @ parts
        if np.abs(multipliers - before).max(initial=0.0) <= 1e-12:
            break
    return v


def _box_sweep(residual: Array, multipliers: Array, parts: Array) -> tuple[Array, Array]:
    """One round of coordinate descent on min_{0≤μ≤1} ‖v − Σ μ_n p_n‖, for many v at once; residual v − Σ μ_n p_n."""
    residual, multipliers = residual.copy(), multipliers.copy()
    for n, part in enumerate(parts):
        moved = np.clip(multipliers[:, n] + residual @ part / (part @ part), 0.0, 1.0)
        residual -= np.outer(moved - multipliers[:, n], part)
        multipliers[:, n] = moved
    return residual, multipliers


def _box_residual(v: Array, parts: Array) -> Array:
    """v − Σ μ_n p_n of least norm over 0 ≤ μ ≤ 1."""
    if parts.size == 0:
        return v
    mu = np.clip(lsq_linear(parts.T, v, (0.0, 1.0), method="bvls", tol=1e-15).x, 0.0, 1.0)
    return np.asarray(v - mu @ parts)


def _bounded(side: _Side) -> LargestUnit:
    """The bound (3)."""
    parts, negative = side.parts[side.positive], side.parts[~side.positive]
    size = np.linalg.norm(parts, axis=1)
    spread = np.linalg.norm(parts / np.sqrt(size)[:, None], ord=2) if size.size else 0.0
    middle = _box_residual(side.offset + 0.5 * parts.sum(axis=0), negative)
    upper = float(np.linalg.norm(middle) + 0.5 * np.sqrt(size.sum()) * spread)
    return LargestUnit(np.zeros(side.points.shape[1]), 0.0, upper, False)


def local_maxima(
    points: Array, weights: Array, slope: float, starts: Array, deadline: float = np.inf
) -> tuple[Array, Array]:
    """Local maxima of |g| from given unit vectors: units (·, k), and their signed responses g(u), largest |g| first.

    Each step solves the concave problem that holds the gates of P open as they are, so g never falls; gates that stay
    are a local maximum. Those of the largest responses are solved exactly at the end. From the `deadline` on, a time of
    `time.monotonic`, one step is made of each of the two signs, and units are handed back where it ends.
    """
    units, responses = [np.zeros((0, points.shape[1]))], [np.zeros(0)]
    for sign, side in zip((1.0, -1.0), _sides(points, weights, slope), strict=True):
        inputs, parts, negative = side.points[side.positive], side.parts[side.positive], side.parts[~side.positive]
        gates = np.unique(starts @ inputs.T > 0, axis=0)
        seen: set[bytes] = set()
        while gates.shape[0]:
            seen |= {gate.tobytes() for gate in gates}
            sums = side.offset + gates @ parts
            found = _directions(_box_residuals(sums, negative))
            after = found @ inputs.T > 0
            stays = (after == gates).all(axis=1) & found.any(axis=1)
            local, size = found[stays], side.responses(found[stays])
            for n in np.flatnonzero(size > (1.0 - 1e-3) * size.max(initial=0.0)):
                local[n] = _directions(_box_residual(sums[stays][n], negative)[None])
            units.append(local)
            responses.append(sign * side.responses(local))
            gates = np.unique(after[found.any(axis=1)], axis=0)
            gates = gates[[gate.tobytes() not in seen for gate in gates]]
            if monotonic() >= deadline:
                units.append(found[~stays])
                responses.append(sign * side.responses(found[~stays]))
                break
    all_units, all_responses = np.concatenate(units), np.concatenate(responses)
    order = np.argsort(-np.abs(all_responses))
    return all_units[order], all_responses[order]
