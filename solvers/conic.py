"""The conic formulation: the same problems through cvxpy, by a cone solver that nobody here wrote.

    min R(β)   s.t.  A β ≥ 1

R is said by `Regularizer.conic`. MOSEK answers where a licence is found, else Clarabel, else SCS. The solver is always
named: cvxpy's own choice prefers an installed MOSEK even without a licence and then fails, and solver_path= does not
fall through, because mosek.Error is no cvxpy.SolverError. cvxpy is imported when a problem is solved and not before.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.arrays import Array
from solvers.extended_precision import powers_of_two
from solvers.interpolation.row_space import Found
from solvers.margin_losses import MarginLoss
from solvers.problem import MarginProblem
from solvers.solution import Candidate, NoSolverError

if TYPE_CHECKING:
    from solvers.interpolation.problem import InterpolationProblem

Conic = Callable[[Any], Any]
"""R(β) as a convex cvxpy expression, from β as an affine one of a predictor's shape."""

MOST_ACCURATE: Mapping[str, Mapping[str, Any]] = {
    "MOSEK": {
        "mosek_params": {
            "MSK_DPAR_INTPNT_CO_TOL_REL_GAP": 1e-12,
            "MSK_DPAR_INTPNT_CO_TOL_PFEAS": 1e-12,
            "MSK_DPAR_INTPNT_CO_TOL_DFEAS": 1e-12,
        }
    },
    "CLARABEL": {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12, "max_iter": 500},
    "SCS": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 100_000},
}
"""Options that ask each solver for all the digits it has."""


def cvxpy_library() -> Any:
    """cvxpy, imported when it is asked for (seconds); its functions are re-exported out of type checkers' sight."""
    import cvxpy

    return cvxpy


class ConicSolverError(RuntimeError):
    """No conic solver returned a solution; the message says what each one answered."""


@cache
def mosek_licence() -> bool:
    """Whether MOSEK is installed and may optimize here, found out by a three-variable problem (0.3 s, once)."""
    try:
        import mosek
    except ImportError:
        return False
    try:
        with mosek.Env() as env, env.Task(0, 0) as task:
            task.appendvars(3)
            for j in range(3):
                task.putvarbound(j, mosek.boundkey.fr, 0.0, 0.0)
            task.putvarbound(0, mosek.boundkey.fx, 1.0, 1.0)
            task.appendafes(3)
            task.putafefentrylist([0, 1, 2], [0, 1, 2], [1.0, 1.0, 1.0])
            task.appendacc(task.appendquadraticconedomain(3), [0, 1, 2], None)
            task.optimize()
    except mosek.Error:
        return False
    return True


def solver_order() -> tuple[str, ...]:
    """The conic solvers to try, in order."""
    return ("MOSEK", "CLARABEL", "SCS") if mosek_licence() else ("CLARABEL", "SCS")


def solve_conic(
    problem: Any,
    solvers: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] = MOST_ACCURATE,
    seconds: float = math.inf,
) -> str:
    """Solve a cvxpy problem by the first solver that succeeds; return its name.

    A solver that stops at "optimal_inaccurate" has an answer, which its caller certifies; the next one is tried only
    when there is none. So has one that is stopped because the `seconds` of the whole call are over.

    Raises:
        ConicSolverError: every solver failed. The problem's status (infeasible, unbounded) is in the message.
    """
    cvxpy = cvxpy_library()
    failures: list[tuple[str, str]] = []
    deadline = time.monotonic() + seconds
    for name in solver_order() if solvers is None else solvers:
        left = deadline - time.monotonic()
        if failures and left <= 0:
            failures.append((name, "no time left"))
            break
        try:
            with warnings.catch_warnings():
                # "solution may be inaccurate": our certificate says how accurate it is
                warnings.simplefilter("ignore", UserWarning)
                problem.solve(solver=name, **{**options.get(name, {}), **_stopped_after(name, left)})
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:  # each solver raises its own errors; a panic of Clarabel's is no Exception
            failures.append((name, f"{type(failure).__name__}: {failure}"))
            continue
        stopped = seconds < math.inf and problem.status == cvxpy.USER_LIMIT
        if stopped or problem.status in (cvxpy.OPTIMAL, cvxpy.OPTIMAL_INACCURATE):
            return name
        failures.append((name, str(problem.status)))
        if problem.status in (cvxpy.INFEASIBLE, cvxpy.UNBOUNDED):
            break
    raise ConicSolverError("no conic solver returned a solution: " + "; ".join(f"{n}: {why}" for n, why in failures))


def _stopped_after(solver: str, seconds: float) -> dict[str, Any]:
    """The option of a solver that stops it."""
    if seconds == math.inf:
        return {}
    if solver == "MOSEK":
        limit = {"MSK_DPAR_OPTIMIZER_MAX_TIME": seconds}
        return {"mosek_params": {**MOST_ACCURATE["MOSEK"]["mosek_params"], **limit}}
    return {"time_limit" if solver == "CLARABEL" else "time_limit_secs": seconds}


def _margins(problem: MarginProblem) -> tuple[Any, Any, Any]:
    """cvxpy, β as an expression of a predictor's shape, and the margins, in the shape of the labels."""
    cp = cvxpy_library()
    flat = cp.Variable(int(np.prod(problem.shape)))
    beta = flat if len(problem.shape) == 1 else cp.reshape(flat, problem.shape, order="C")
    return cp, beta, problem.conic_margins(cp, flat)


def _value(conic: Conic, beta: Any) -> Any:
    """R(β). Raises NoSolverError where a norm of a user's own does not say it."""
    try:
        return conic(beta)
    except NotImplementedError as error:
        raise NoSolverError("R", f"has no conic form ({str(error) or 'not implemented'})") from error


def margin_program(problem: MarginProblem, conic: Conic, right: Array) -> tuple[Any, Any, Any]:
    """min R(β) s.t. margins ≥ `right`, in the shape of the labels: the cvxpy problem, β, and the margin constraint."""
    cp, beta, margins = _margins(problem)
    constraint = margins >= right
    return cp.Problem(cp.Minimize(_value(conic, beta)), [constraint]), beta, constraint


def loss_program(problem: MarginProblem, conic: Conic, radius: float, loss: MarginLoss) -> tuple[Any, Any]:
    """min L(β) s.t. R(β) ≤ radius: the cvxpy problem and β."""
    cp, beta, margins = _margins(problem)
    return cp.Problem(cp.Minimize(loss.conic(cp, margins)), [_value(conic, beta) <= radius]), beta


def support_program(shape: tuple[int, ...], conic: Conic, z: Array) -> tuple[Any, Any]:
    """max ⟨z, β⟩ s.t. R(β) ≤ 1, z scaled to a largest entry of one: the cvxpy problem and β."""
    cp = cvxpy_library()
    flat = cp.Variable(z.size)
    beta = flat if len(shape) == 1 else cp.reshape(flat, shape, order="C")
    slope = z.reshape(-1) / max(float(np.abs(z).max()), 1e-300)
    return cp.Problem(cp.Maximize(slope @ flat), [conic(beta) <= 1.0]), beta


def conic_candidate(
    problem: MarginProblem,
    conic: Conic,
    solvers: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] = MOST_ACCURATE,
) -> Candidate:
    """min R(β) s.t. Aβ ≥ 1 by a cone solver, R said by `conic`; β scaled to margin one.

    Rows are scaled to norm one with their right sides. A solver misses these by about its tolerance, which may be all
    of a small one, and then β would have to grow; so small ones are raised by what was missed, in a second attempt.

    Raises:
        ConicSolverError: no solver answered.
    """
    sizes = powers_of_two(np.linalg.norm(problem.points, axis=1))
    smallest = float(sizes.min())
    right = np.broadcast_to((smallest / sizes).reshape(-1, *[1] * (len(problem.label_shape) - 1)), problem.label_shape)
    scaled = replace(problem, points=problem.points / sizes[:, None])

    def attempt(right_sides: Array) -> tuple[float, float, Candidate]:
        """R(β) of margin one, inf where β does not separate; by how much a scaled margin was missed; β and α."""
        program, beta, constraint = margin_program(scaled, conic, right_sides)
        how: dict[str, object] = {
            "method": "conic",
            "solver": solve_conic(program, solvers, options),
            "solver_status": program.status,
        }
        found = np.asarray(beta.value, dtype=np.float64).reshape(problem.shape)
        margins = scaled.margins(found).reshape(right.shape)
        margin = float((margins / right).min())
        value = float(program.value) / margin if margin > 0 else np.inf
        found = found / smallest / (margin if margin > 0 else 1.0)
        dual = np.asarray(constraint.dual_value, dtype=np.float64) * right
        return value, float((right_sides - margins).max()), Candidate(found, dual, how, by_cones=True)

    value, short, candidate = attempt(right)
    if short > 1e-9 * right.min():
        with suppress(ConicSolverError):
            raised, _, other = attempt(right + np.where(right < 1e6 * short, 4.0 * short, 0.0))
            return other if raised < value else candidate
    return candidate


def conic_interpolation(problem: InterpolationProblem, conic: Conic) -> Found:
    """min R(β) s.t. Xβ = y by a cone solver, R said by `conic`; β moved onto the constraints to the last digit.

    The constraints are those on an orthonormal basis of the rows, of one norm and independent.

    Raises:
        InconsistentDataError: no β fits.
        ConicSolverError: no solver answered.
    """
    spaces = problem.row_spaces
    if not problem.targets.any():
        return Found(np.zeros(problem.shape), np.zeros(problem.targets.shape), {"method": "zero fits"})
    cp = cvxpy_library()
    scale = max((float(np.abs(rows.b).max(initial=0.0)) for rows in spaces), default=0.0) or 1.0
    flat = cp.Variable(int(np.prod(problem.shape)))
    beta = flat if len(problem.shape) == 1 else cp.reshape(flat, problem.shape, order="C")
    parts = [flat] if problem.targets.ndim == 1 else [beta[m] for m in range(len(spaces))]
    constraints = [rows.Q @ part == rows.b / scale for rows, part in zip(spaces, parts, strict=True)]
    program = cp.Problem(cp.Minimize(_value(conic, beta)), constraints)
    name = _solve_as_well_as_it_goes(program)
    found = scale * np.asarray(flat.value, dtype=np.float64).reshape(len(spaces), -1)
    for rows, part in zip(spaces, found, strict=True):
        part += (rows.b - rows.Q @ part) @ rows.Q
    # cvxpy's multiplier of an equality has the other sign
    dual = [rows.multipliers(-np.asarray(c.dual_value)) for rows, c in zip(spaces, constraints, strict=True)]
    return Found(found.reshape(problem.shape), np.stack(dual, axis=1), {"method": "conic", "solver": name})


def _solve_as_well_as_it_goes(program: Any) -> str:
    """`solve_conic`, with fewer digits asked for where all of them are too many for the first solvers."""
    for digits in (12, 10, 9):
        wanted = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 10.0**-digits)
        options = {**MOST_ACCURATE, "CLARABEL": {**MOST_ACCURATE["CLARABEL"], **wanted}}
        try:
            return solve_conic(program, solver_order()[:-1], options)
        except ConicSolverError:
            continue
    return solve_conic(program, options={})
