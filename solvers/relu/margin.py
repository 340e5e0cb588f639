"""The two-layer ReLU network of least norm, and whether a given network is one: validation, search, certificate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from solvers.algorithms.signed_rows import dense
from solvers.arrays import Array
from solvers.extended_precision import power_of_two
from solvers.problem import MarginProblem
from solvers.regularizers.l2 import L2
from solvers.relu.certificate import (
    DualBound,
    GlobalOptimum,
    ReluCertificate,
    ReluSolution,
    dual_bound,
    value_at_margin_one,
)
from solvers.relu.column_generation import Options, column_generation
from solvers.relu.faces import polished
from solvers.relu.largest_unit import LARGEST_RANK, activation, row_space
from solvers.relu.separability import raise_if_no_network_separates
from solvers.search import Progress, deadline_after
from solvers.solution import Status
from solvers.validation import check_problem, check_starts, check_tolerance, finite_array

TRAINED_KINK = 1e-6
"""A trained unit counts as on the kink of a point up to this cosine: gradient flow comes as near as its accuracy."""

PARALLEL = (1e-12, 1e-5)
"""Units of one sign and of directions as near as this are made one, where the value does not grow: first those that are
one to rounding, then those that the search has left next to each other."""


def relu_max_margin(
    X: ArrayLike,
    y: ArrayLike,
    *,
    slope: float = 0.0,
    tol: float = 1e-9,
    max_rank: int = LARGEST_RANK,
    n_starts: int = 32,
    seed: int = 0,
    max_steps: int = 200,
    time_limit: float = np.inf,
    progress: Progress | None = None,
) -> ReluSolution:
    """The two-layer (leaky) ReLU network without bias that classifies with margin one at the least norm.

        min ½‖θ‖₂²  =  min Σ_j |a_j|‖w_j‖₂    s.t.   y_n Σ_j a_j σ(w_j · x_n) ≥ 1,        σ(t) = max(t, s t),

    over networks of every width. That is a convex problem in the measure of the units, with the dual

        max Σ_n α_n    s.t.   α ≥ 0,   max_{‖u‖₂ ≤ 1} |Σ_n α_n y_n σ(u · x_n)| ≤ 1.

    A network has an optimum of this problem once its width is at least the number of units of one, which is at most N;
    a narrower network costs at least as much. Units enter one by one where they violate the dual. At the end all cells
    of the points with α_n > 0 are enumerated where these have rank ≤ `max_rank`. Beyond, units are searched from many
    starts, and the lower bound rests on a relaxation that is proved, not on what the search found.

    Args:
        X: points, shape (N, D).
        y: labels −1 or +1, shape (N,).
        slope: s of the leaky ReLU, 0 ≤ s < 1; 0 is the ReLU.
        tol: the largest relative gap of an optimal answer.
        max_rank: the largest rank of points whose cells are enumerated. With P points of each label the cost is
            about P^rank, and never more than 2^P: raise it for few points in many dimensions.
        n_starts: random starts of the search for units, in each round.
        seed: of these starts.
        max_steps: the largest number of rounds, each a linear program.
        time_limit: seconds after which no round starts; what was found until then is returned.
        progress: called with (rounds done, max_steps).

    Returns:
        ReluSolution. `status` is OPTIMAL where enumeration closes the gap to `tol`. It is BOUNDED where units were
        sampled; `sampled_maximum` then says what the search found. INACCURATE: enumerated, but the gap is larger. The
        value is inf where `time_limit` came before any network.

    Raises:
        NotSeparableError: no such network classifies the points, as two positive multiples of one point with different
            labels; `error.farkas` proves it.
        ValueError: data that are not finite numbers of matching shapes, labels other than ±1, options out of range.

    Reference: Neyshabur, Tomioka, Srebro (2015), Theorem 1 and Bach (2017), section 2, for the convex problem; Pilanci,
    Ergen (2020), Theorem 1, for the cells. The dual is theirs with margins for labels; the enumeration is ours.

    >>> xor = relu_max_margin([[1, 1], [1, -1], [-1, 1], [-1, -1]], [1, -1, -1, 1])
    >>> round(xor.value, 12), xor.output_weights.size, xor.status.name
    (2.828427124746, 4, 'OPTIMAL')
    """
    problem = _check_data(X, y)
    options = _check_options(slope, tol, max_rank, n_starts, seed, max_steps, time_limit, progress)
    raise_if_no_network_separates(problem.points, problem.labels)
    none = np.zeros((0, problem.points.shape[1])), np.zeros(0)
    return _search(problem, *none, options)


def certify_relu(
    X: ArrayLike,
    y: ArrayLike,
    hidden: ArrayLike,
    output: ArrayLike,
    *,
    slope: float = 0.0,
    tol: float = 1e-9,
    max_rank: int = LARGEST_RANK,
    n_starts: int = 32,
    seed: int = 0,
    max_steps: int = 200,
    time_limit: float = np.inf,
    progress: Progress | None = None,
) -> ReluCertificate:
    """Is a two-layer (leaky) ReLU network of least norm at its margin, among networks of every width?

    The network f(x) = Σ_j a_j σ(w_j · x) is compared by its value at margin one,

        Σ_j |a_j|‖w_j‖₂ / min_n y_n f(x_n),

    with the dual bound of `relu_max_margin`. The multipliers of a KKT point need not be unique, and then only some of
    them may prove that it is global. Tried are those of the network with its gates held, then the best of all there
    are: where the network is global, an optimal dual is one of its multipliers.

    - GLOBAL: some multipliers prove it, with all cells enumerated. It holds at every width.
    - NOT_GLOBAL: `cheaper` is a network of smaller value. It may have more units than the one at hand, which can still
      be the best of its width. By strong duality such a network exists exactly when no multipliers of the point prove
      that it is global, so where cells are enumerated the search decides between the two, unique multipliers or not.
    - UNKNOWN: neither was found, and `sampled_maximum` says what the search for units found.

    Args:
        X: points, shape (N, D).
        y: labels −1 or +1, shape (N,).
        hidden: w, shape (units, D): `weight` of the first torch layer.
        output: a, shape (units,) or (1, units).
        slope: s of the leaky ReLU, 0 ≤ s < 1; 0 is the ReLU.
        tol: the largest relative gap that counts as closed. For trained weights, their accuracy.
        max_rank: the largest rank of points whose cells are enumerated.
        n_starts: random starts of the search for units, in each round.
        seed: of these starts.
        max_steps: the largest number of rounds, each a linear program.
        time_limit: seconds after which no round starts; what was found until then is returned.
        progress: called with (rounds done, max_steps).

    Returns:
        ReluCertificate.

    Raises:
        ValueError: as `relu_max_margin`; weights of the wrong shape; a network that classifies a point wrongly.

    Reference: Lyu, Li (2020), Theorem 4.4, for KKT points of ½‖θ‖² as limits of gradient flow; Pilanci, Ergen (2020),
    Theorem 1, for the convex problem.

    >>> X, y = [[1, 1], [1, -1], [1, 2], [1, -2]], [1, 1, 1, 1]
    >>> certify_relu(X, y, hidden=[[1.0, 0.0]], output=[1.0]).verdict.name
    'GLOBAL'
    """
    problem = _check_data(X, y)
    options = _check_options(slope, tol, max_rank, n_starts, seed, max_steps, time_limit, progress)
    points, labels = problem.points, problem.labels
    neurons, outputs = _check_network(hidden, output, points.shape[1])
    value, margin = value_at_margin_one(points, labels, neurons, outputs, slope)
    if not margin > 0:
        raise ValueError(
            f"the network does not classify every point: its smallest margin y_n f(x_n) is {margin:.3g}, so it has no "
            "value at margin one. Train it until every margin is positive"
        )
    own = _own_bound(problem, neurons, outputs, options)
    cheaper, bound, alpha, sampled = None, own.value, own.dual, None
    proved = own.largest.exact and own.value >= (1.0 - tol) * value
    if not proved:
        entering = own.largest.unit[None] if own.largest.response > 0 else np.zeros((0, points.shape[1]))
        sign = np.sign(activation(entering @ points.T, slope) @ (labels * own.dual))
        starts = np.concatenate([neurons, entering]), np.append(np.sign(outputs), sign)
        best = _search(problem, *starts, options)
        if best.lower_bound > bound:
            bound, alpha = best.lower_bound, best.dual
        proved = best.status is Status.OPTIMAL and bound >= (1.0 - tol) * value
        cheaper = best if best.value < (1.0 - tol) * value and not proved else None
        sampled = None if best.sampled_maximum is None else best.sampled_maximum * value / best.value
    known = GlobalOptimum.GLOBAL if proved else GlobalOptimum.NOT_GLOBAL if cheaper else GlobalOptimum.UNKNOWN
    return ReluCertificate(
        verdict=known,
        value=value,
        margin=margin,
        lower_bound=bound,
        gap=(value - bound) / value,
        dual=alpha,
        cheaper=cheaper,
        entering_unit=own.largest.unit if own.value > 0 else None,
        largest_response=own.largest.response if own.value > 0 else None,
        sampled_maximum=sampled,
    )


def _search(problem: MarginProblem, neurons: Array, signs: Array, options: Options) -> ReluSolution:
    """The search in coordinates of the points' span, and the certificate of what it found on the points themselves."""
    points, labels = problem.points, problem.labels
    basis, scale = row_space(points), power_of_two(problem.largest_norm)
    inside = neurons @ basis.T
    seen = np.linalg.norm(inside, axis=1) > 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows fails its certificate
        found = column_generation(
            points @ basis.T / scale,
            labels,
            inside[seen] / np.linalg.norm(inside[seen], axis=1, keepdims=True),
            signs[seen],
            options,
        )
    units, outputs = found.neurons @ basis, found.outputs
    value, margin = value_at_margin_one(points, labels, units, outputs, options.slope)
    for within in PARALLEL:
        fewer, weights = merged(units, outputs, within)
        least = value_at_margin_one(points, labels, fewer, weights, options.slope)
        if least[0] <= value * (1.0 + 1e-12):
            (units, outputs), (value, margin) = (fewer, weights), least
    bound = dual_bound(
        points, labels, found.dual, options.slope, options.max_rank, options.n_starts, options.seed, options.deadline
    )
    gap = (value - bound.value) / value if np.isfinite(value) else np.inf
    exact = bound.largest.exact
    return ReluSolution(
        value=value,
        neurons=units,
        output_weights=outputs / margin,
        dual=bound.dual,
        lower_bound=bound.value,
        status=Status.BOUNDED if not exact else Status.OPTIMAL if gap <= options.tol else Status.INACCURATE,
        gap=gap,
        sampled_maximum=None if exact else bound.largest.response * value / float(np.maximum(found.dual, 0.0).sum()),
        slope=options.slope,
        stats={"rounds": found.rounds},
    )


def merged(units: Array, outputs: Array, within: float) -> tuple[Array, Array]:
    """The network with the sum in place of units of one sign whose directions (unit vectors) are near each other."""
    weighed = np.abs(outputs)[:, None] * units
    left, sums, signs = np.arange(outputs.size), [], []
    while left.size:
        near = np.linalg.norm(units[left] - units[left[0]], axis=1) <= within
        near &= np.sign(outputs[left]) == np.sign(outputs[left[0]])
        sums.append(weighed[left[near]].sum(axis=0))
        signs.append(float(np.sign(outputs[left[0]])))
        left = left[~near]
    sizes = np.linalg.norm(np.reshape(sums, (-1, units.shape[1])), axis=1)
    return np.reshape(sums, (-1, units.shape[1])) / sizes[:, None].clip(1e-300), np.array(signs) * sizes


def _own_bound(problem: MarginProblem, neurons: Array, outputs: Array, options: Options) -> DualBound:
    """What the multipliers of the network with its gates held prove; α = 0, which proves nothing, where it has none."""
    points, labels = problem.points, problem.labels
    basis, scale = row_space(points), power_of_two(problem.largest_norm)
    inside = neurons @ basis.T
    seen = np.linalg.norm(inside, axis=1) > 0
    found = polished(
        points @ basis.T / scale, labels, inside[seen], outputs[seen], options.slope, options.tol, kink=TRAINED_KINK
    )
    dual = np.zeros(labels.size) if found is None else found[2] / scale
    return dual_bound(
        points, labels, dual, options.slope, options.max_rank, options.n_starts, options.seed, options.deadline
    )


def _check_data(X: ArrayLike, y: ArrayLike) -> MarginProblem:
    """Points and labels of a network with one output. Raises ValueError for anything else."""
    problem = check_problem(X, y, L2())
    problem = replace(problem, points=dense(problem.points))
    if len(problem.shape) != 1 or problem.labels.ndim != 1:
        raise ValueError(
            "X must have shape (N, D) and y shape (N,), for one output; got points x_n of shape "
            f"{problem.shape} and labels of shape {problem.label_shape}"
        )
    return problem


def _check_options(
    slope: float,
    tol: float,
    max_rank: int,
    n_starts: int,
    seed: int,
    max_steps: int,
    time_limit: float,
    progress: Progress | None,
) -> Options:
    """The options. Raises ValueError for one out of its range."""
    if not 0 <= slope < 1:
        raise ValueError(f"slope must be in [0, 1), 0 for the ReLU; got {slope!r}")
    if max_rank < 1 or max_steps < 1:
        raise ValueError(f"max_rank and max_steps must be at least 1; got {max_rank} and {max_steps}")
    deadline, starts = deadline_after(time_limit), check_starts(n_starts)
    return Options(slope, check_tolerance(tol), max_rank, starts, seed, max_steps, deadline, progress)


def _check_network(hidden: ArrayLike, output: ArrayLike, width: int) -> tuple[Array, Array]:
    """w (units, D) and a (units,) of the units that are not zero. Raises ValueError for other shapes."""
    neurons, outputs = finite_array("hidden", hidden), finite_array("output", output)
    if outputs.ndim == 2 and outputs.shape[0] == 1:
        outputs = outputs[0]
    if neurons.ndim != 2 or neurons.shape[1] != width or outputs.shape != neurons.shape[:1]:
        raise ValueError(
            f"hidden must have shape (units, {width}) and output (units,), one row and one weight a unit; got "
            f"{neurons.shape} and {outputs.shape}"
        )
    alive = np.abs(outputs) * np.linalg.norm(neurons, axis=1) > 0  # a dying unit may be above 0 and its norm not
    return neurons[alive], outputs[alive]
