"""A margin problem as one cone program, from the conic form of its norm: solved by Clarabel, refined by Newton's method.

cvxpy says the norm as R(β) = min { cᵀv : Gv + s = h, s ∈ K, part of v is β }. The margins are rows of one more cone, so
that all of s and z is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from solvers.algorithms.cone_newton import Cone, ConePoint, ConeProgram
from solvers.arrays import Array
from solvers.problem import MarginProblem, raised
from solvers.solution import Candidate

LARGEST = 1000
"""Unknowns and rows of cones up to which a step of Newton's method takes about a second."""


class NormProgram:
    """min R(β) s.t. Aβ ≥ 1, R said by `conic`; rows scaled to norm one with their right sides."""

    def __init__(self, problem: MarginProblem, conic: Callable[[Any], Any]) -> None:
        import cvxpy as cp

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
        self.known = len(self.program.h) == sum(cone.rows for cone in self.program.cones) and "P" not in data
        """Whether all cones are of these kinds: there are others, of powers and exponentials."""

    def refined(self, options: Mapping[str, Any]) -> Candidate:
        """β and α of Newton's method from Clarabel's point; β scaled to margin one."""
        point = self.program.newton(self._clarabel(options))
        beta = point.v[self.part].reshape(self.problem.shape) / self.unit.scale
        margin = float(self.problem.careful_margins(beta).min())
        dual = point.z[-self.problem.n_constraints :] * self.unit.share
        how: dict[str, object] = {"method": "conic + Newton", "solver": "CLARABEL"}
        return Candidate(beta / margin if margin > 0 else beta, dual, how, by_cones=True)

    def _clarabel(self, options: Mapping[str, Any]) -> ConePoint:
        """Where Clarabel stops, whatever it says of it."""
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
        c, G, h = self.program.c, self.program.G, self.program.h
        cones = [kinds[cone.kind](cone.size) for cone in self.program.cones]
        found = clarabel.DefaultSolver(csc_array((c.size, c.size)), c, csc_array(G), h, cones, settings).solve()
        return ConePoint(*(np.asarray(part, dtype=np.float64) for part in (found.x, found.s, found.z)))
