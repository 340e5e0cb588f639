"""Newton's method on cone programs: projections by Moreau's theorem, and norms of one's own on rows of all sizes."""

from typing import Any

import clarabel
import numpy as np
import own_norms
import pytest
import random_margins

from solvers import Bridge, LargestLayer, Norm, Schatten, Status, max_margin
from solvers.algorithms.cone_newton import Cone, ConeProgram
from solvers.conic import ConicSolverError
from solvers.norm_program import clarabel_point

CONES = [Cone("zero", 3), Cone("nonnegative", 4), Cone("second order", 4), Cone("semidefinite", 3)]


def matrix(u: np.ndarray, n: int) -> np.ndarray:
    """Of its upper triangle, column by column, entries off the diagonal times √2."""
    filled, entries = np.zeros((n, n)), iter(u)
    for j in range(n):
        for i in range(j + 1):
            filled[i, j] = filled[j, i] = next(entries) / (1.0 if i == j else np.sqrt(2.0))
    return filled


def distance_below(cone: Cone, u: np.ndarray) -> float:
    """How far u is from the cone, in the smallest entry that should be ≥ 0."""
    if cone.kind == "zero":
        return float(np.abs(u).max())
    if cone.kind == "nonnegative":
        return float(-u.min())
    if cone.kind == "second order":
        return float(np.linalg.norm(u[1:]) - u[0])
    return float(-np.linalg.eigvalsh(matrix(u, cone.size)).min())


@pytest.mark.parametrize("cone", CONES, ids=lambda cone: cone.kind)
def test_projections(cone: Cone) -> None:
    """Moreau: u = Π(u) − (Π(u) − u), the parts in K and K*, orthogonal. The derivative against differences."""
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.0, 0.0, 9.0, -9.0):
        u = rng.standard_normal(cone.rows)
        u[0] += shift
        s, D = cone.projection(u)
        assert distance_below(cone, s) <= 1e-14
        assert cone.kind == "zero" or distance_below(cone, s - u) <= 1e-14  # these are their own duals
        assert abs(s @ (s - u)) <= 1e-13
        for direction in rng.standard_normal((3, cone.rows)):
            up, down = (cone.projection(u + t * direction)[0] for t in (1e-5, -1e-5))
            np.testing.assert_allclose(D @ direction, (up - down) / 2e-5, atol=1e-8)


@pytest.mark.numerical
def test_a_rough_point_of_a_program_with_every_cone_is_refined() -> None:
    """min tr(CM) + t s.t. M ⪰ 0, M_11 = 1, ‖(M_12, 2)‖₂ ≤ t, M_22 ≤ 3, from three digits. In closed form:

    C = diag(0, 1): M_22 = m² for M_12 = m, and m = 0 is best: t = 2.  C = [[0, −c], [−c, 1]]: min m² − 2cm + √(m²+4).
    """
    c = 1.5
    # v = (M_11, M_12, M_22, t)
    cost = np.array([0.0, -2.0 * c, 1.0, 1.0])
    G = np.zeros((8, 4))
    h = np.zeros(8)
    G[0, 0], h[0] = 1.0, 1.0
    G[1, 2], h[1] = 1.0, 3.0
    G[2, 3], G[3, 1], h[4] = -1.0, -1.0, 2.0
    G[5, 0], G[6, 1], G[7, 2] = -1.0, -np.sqrt(2.0), -1.0
    cones = (Cone("zero", 1), Cone("nonnegative", 1), Cone("second order", 3), Cone("semidefinite", 2))
    m = np.roots([4.0, -8.0 * c, 4.0 * c**2 + 15.0, -32.0 * c, 16.0 * c**2])  # (2m − 2c)²(m² + 4) = m²
    m = float(min(m[np.abs(m.imag) < 1e-9].real, key=lambda m: m**2 - 2 * c * m + np.hypot(m, 2)))
    program = ConeProgram(cost, G, h, cones)
    rough = clarabel_point(program, {"tol_gap_abs": 1e-3, "tol_gap_rel": 1e-3, "tol_feas": 1e-3})
    found = program.newton(rough)
    assert abs(rough.v[1] - m) >= 1e-6
    assert abs(found.v[1] - m) <= 1e-13
    np.testing.assert_allclose(G.T @ found.z + cost, 0.0, atol=1e-13)
    np.testing.assert_allclose(G @ found.v + found.s, h, atol=1e-13)


def test_a_panic_of_the_solver_is_a_failure_and_ctrl_c_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    program = ConeProgram(np.ones(1), -np.ones((1, 1)), -np.ones(1), (Cone("nonnegative", 1),))
    assert clarabel_point(program, {}).v == pytest.approx(1.0)
    for raised, seen in ((BaseException("a panic"), ConicSolverError), (KeyboardInterrupt(), KeyboardInterrupt)):

        def panics(*arguments: Any, raised: BaseException = raised) -> None:
            raise raised

        monkeypatch.setattr(clarabel, "DefaultSolver", panics)
        with pytest.raises(seen):
            clarabel_point(program, {})


OWN: dict[str, Norm] = {
    "groups": own_norms.Groups(3),
    "maximum": own_norms.WeightedMaximum(),
    "largest": own_norms.Largest(9),
    "differences": own_norms.Differences(),
    "halves": own_norms.Halves(),
    "cubes": own_norms.Cubes(),
    "layers": LargestLayer([(Schatten(np.inf), (4, 4)), (Bridge(1.0), (8,))], [1.0, 2.0]),
}


@pytest.mark.numerical
@pytest.mark.parametrize("seed", [0, 2, 4, 13])
@pytest.mark.parametrize("norm", OWN.values(), ids=OWN)
def test_norms_of_ones_own_on_rows_of_all_sizes(norm: Norm, seed: int) -> None:
    """Rows over 1e±6, columns over 1e±3: a cone solver stops at gaps of 1e-9 to 1e-7."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((16, 24)) * 10.0 ** rng.uniform(-6, 6, (16, 1)) * 10.0 ** rng.uniform(-3, 3, 24)
    y = np.where(rng.random(16) < 0.5, -1.0, 1.0)
    solution = max_margin(X, y, norm)
    assert solution.status is Status.OPTIMAL
    assert abs(random_margins.convex_gap(random_margins.signed_rows(X, y), norm, solution)) <= 2e-9
