"""Cone programs on which a solver stops early: solved again in other ways, and refined by Newton's method.

cvxpy says the norm as R(β) = min { cᵀv : Gv + s = h, s ∈ K, part of v is β }. The margins are rows of one more cone, so
that s and z of the whole program are at hand (`solvers.algorithms.cone_newton`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from solvers.algorithms.cone_newton import Cone, ConePoint, ConeProgram
from solvers.conic import MOST_ACCURATE, Conic, ConicSolverError, conic_candidate, cvxpy_library
from solvers.problem import MarginProblem, raised
from solvers.solution import Candidate

LARGEST = 1000
"""Unknowns and rows of cones up to which a step of Newton's method takes a second at most."""

_SHORT = {"max_step_fraction": 0.9}
_PLAIN = {"equilibrate_enable": False}
_EXACT = {
    "iterative_refinement_reltol": 1e-16,
    "iterative_refinement_abstol": 1e-16,
    "iterative_refinement_max_iter": 50,
    "static_regularization_constant": 1e-12,
}
OTHER_WAYS: tuple[Mapping[str, float], ...] = (
    _SHORT,
    _PLAIN,
    _EXACT,
    {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10},
    _SHORT | _PLAIN,
    _SHORT | _EXACT,
    _PLAIN | _EXACT,
)
"""Options of Clarabel's for programs on which it stops early. A measurement: of 21 among 120 of LargestLayer
(random, 0/1 or of many units) that ended at gaps of 1e-9 to 2e-8, the first four closed 17, all of them 20. Newton's
method from the first way's point closes 60 of the 65 that other norms left open."""


def conic_candidates(problem: MarginProblem, conic: Conic) -> Iterator[Candidate]:
    """What Clarabel finds in `OTHER_WAYS`, refined where Newton's method suits, and as `conic_candidate` finds it."""
    program = NormProgram(problem, conic)
    for way in OTHER_WAYS:
        options = {**MOST_ACCURATE["CLARABEL"], **way}
        if program.suits:
            with suppress(ConicSolverError):
                yield program.refined(options)
        with suppress(ConicSolverError):
            yield conic_candidate(problem, conic, ("CLARABEL",), {"CLARABEL": options})


class NormProgram:
    """min R(β) s.t. Aβ ≥ 1, R said by `conic`; rows scaled to norm one with their right sides."""

    def __init__(self, problem: MarginProblem, conic: Conic) -> None:
        cp = cvxpy_library()
        flat = cp.Variable(int(np.prod(problem.shape)))
        beta = flat if len(problem.shape) == 1 else cp.reshape(flat, problem.shape, order="C")
        data, _, _ = cp.Problem(cp.Minimize(conic(beta))).get_problem_data(cp.CLARABEL)
        dims, first = data["dims"], data["param_prob"].var_id_to_col[flat.id]
        self.problem, self.unit = problem, problem.equilibrated
        self.part = slice(first, first + flat.size)
        rows = np.zeros((problem.n_constraints, data["c"].size))
        rows[:, self.part] = -self.unit.rows
        cones = [
            Cone("zero", dims.zero),
            Cone("nonnegative", dims.nonneg),
            *(Cone("second order", size) for size in dims.soc),
            *(Cone("semidefinite", size) for size in dims.psd),
            Cone("nonnegative", len(rows)),
        ]
        self.program = ConeProgram(
            data["c"],
            np.vstack([data["A"].toarray(), rows]),
            np.concatenate([data["b"], -raised(self.unit.share)]),
            tuple(cone for cone in cones if cone.size),
        )
        rows_known = sum(cone.rows for cone in self.program.cones)
        self.suits = rows_known == len(self.program.h) <= LARGEST - data["c"].size and "P" not in data
        """Whether all cones are of these kinds, not of powers or exponentials, and there are few enough."""

    def refined(self, options: Mapping[str, Any]) -> Candidate:
        """β and α of Newton's method from Clarabel's point; β scaled to margin one."""
        point = self.program.newton(clarabel_point(self.program, options))
        beta = point.v[self.part].reshape(self.problem.shape) / self.unit.scale
        margin = float(self.problem.careful_margins(beta).min())
        dual = point.z[-self.problem.n_constraints :] * self.unit.share
        how: dict[str, object] = {"method": "conic + Newton", "solver": "CLARABEL"}
        return Candidate(beta / margin if margin > 0 else beta, dual, how, by_cones=True)


def clarabel_point(program: ConeProgram, options: Mapping[str, Any]) -> ConePoint:
    """Where Clarabel stops, whatever it says of it. Raises ConicSolverError where it panics."""
    import clarabel
    from scipy.sparse import csc_array

    kinds = {
        "zero": clarabel.ZeroConeT,
        "nonnegative": clarabel.NonnegativeConeT,
        "second order": clarabel.SecondOrderConeT,
        "semidefinite": clarabel.PSDTriangleConeT,
    }
    settings = clarabel.DefaultSettings()
    for name, value in ({"verbose": False} | dict(options)).items():
        setattr(settings, name, value)
    c, G, h = program.c, program.G, program.h
    cones = [kinds[cone.kind](cone.size) for cone in program.cones]
    try:
        found = clarabel.DefaultSolver(csc_array((c.size, c.size)), c, csc_array(G), h, cones, settings).solve()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as failure:  # a panic of Clarabel's is no Exception
        raise ConicSolverError(f"CLARABEL: {type(failure).__name__}: {failure}") from failure
    return ConePoint(*(np.asarray(part, dtype=np.float64) for part in (found.x, found.s, found.z)))
