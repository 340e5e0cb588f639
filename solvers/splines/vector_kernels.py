"""What wide ReLU networks with several inputs learn: least norm in a closed-form kernel, and the polyharmonic spline.

Training the output layer of Σ_i a_i [w_i·x + b_i]₊ from zero is interpolation in the reproducing kernel Hilbert
space of

    k(x, x′) = E [W·x + B]₊ [W·x′ + B]₊,      x, x′ in R^d,

closed forms of which are known for two isotropic laws:

    W ~ N(0, σ_w² I), B ~ N(0, σ_b²)           k = (√(|p|²|q|² − (p·q)²) + (π − θ) p·q)/2π
    W uniform on the sphere, B ~ U(−a, a)      k = a²/6 + x·x′/(2d) + c_d |x − x′|³/(24 a)     for |x|, |x′| ≤ a

with p = (σ_w x, σ_b), q = (σ_w x′, σ_b), θ their angle, and c_d = E|W₁|³ = Γ(d/2)/(√π Γ((d + 3)/2)). The second is
affine in x and in x′ but for |x − x′|³: with an affine function free, the least-norm interpolant is the **polyharmonic
spline** of r³, whatever a.

The tangent kernel of deep networks has the same form of recursion, `DeepReLUKernel`.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from solvers.arrays import Array, array_methods, real_array
from solvers.card import Card
from solvers.plots import plot_function, plot_surface
from solvers.search import Progress, deadline_after, untold
from solvers.splines.curvature_weights import require_positive
from solvers.splines.data import Linear, check_linear
from solvers.splines.kernel_interpolant import solve_symmetric
from solvers.validation import finite_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@array_methods(kernel=2, check=1)
class VectorKernel(ABC):
    """A kernel on R^d in closed form; of one's own with a subclass and `kernel`.

    Example:
        >>> DeepReLUKernel(3).kernel(np.eye(2), np.eye(2)).shape
        (2, 2)
    """

    @abstractmethod
    def kernel(self, X: Array, X2: Array) -> Array:
        """k(x, x′) of every pair, (N, d) and (M, d) to (N, M)."""

    def check(self, X: Array) -> None:  # noqa: B027 – most kernels hold everywhere
        """Raise ValueError for points at which the closed form does not hold."""


class InputLaw(VectorKernel):
    """A law of (W, B), W in R^d, with its kernel and a sampler."""

    @abstractmethod
    def sample(self, n: int, d: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """n independent draws: w (n, d) and b (n,)."""


@dataclass(frozen=True)
class GaussianInputs(InputLaw):
    """W ~ N(0, σ_w² I), B ~ N(0, σ_b²), independent; the arc-cosine kernel of degree 1.

    Args:
        sigma_w: σ_w > 0, standard deviation of each entry of W.
        sigma_b: σ_b > 0, in units of w·x.

    Raises:
        ValueError: when a standard deviation is not positive and finite.

    Reference:
        Cho and Saul (2009), degree 1; Jin and Montúfar (2023), several inputs.

    Example:
        >>> float(GaussianInputs().kernel(np.zeros((1, 3)), np.zeros((1, 3)))[0, 0])
        0.5
    """

    sigma_w: float = 1.0
    sigma_b: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, sigma_w=self.sigma_w, sigma_b=self.sigma_b)

    def kernel(self, X: Array, X2: Array) -> Array:
        p, q = (np.column_stack([self.sigma_w * Z, np.full(len(Z), self.sigma_b)]) for Z in (X, X2))
        rectified, _ = arc_cosine(np.sum(p * p, axis=1), np.sum(q * q, axis=1), p @ q.T)
        return rectified / 2.0

    def sample(self, n: int, d: int, generator: np.random.Generator) -> tuple[Array, Array]:
        return self.sigma_w * generator.standard_normal((n, d)), self.sigma_b * generator.standard_normal(n)


@dataclass(frozen=True)
class SphereInputs(InputLaw):
    """W uniform on the unit sphere, B ~ U(−a_b, a_b), independent; |x| ≤ a_b.

        k(x, x′) = a²/6 + x·x′/(2d) + c_d |x − x′|³/(24 a),     c_d = Γ(d/2)/(√π Γ((d + 3)/2))

    Args:
        a_b: largest |b|, > 0, in units of x; the points must lie in the ball of this radius.

    Raises:
        ValueError: when a_b is not positive and finite.

    Reference:
        Jin and Montúfar (2023), several inputs; Duchon (1977) for the spline of r³. In one dimension this is
        `BinaryUniformInit`.

    Example:
        >>> float(SphereInputs(2.0).kernel(np.zeros((1, 3)), np.zeros((1, 3)))[0, 0])  # a²/6
        0.6666666666666666
    """

    a_b: float = 2.0

    def __post_init__(self) -> None:
        require_positive(self, a_b=self.a_b)

    def check(self, X: Array) -> None:
        largest = float(np.linalg.norm(X, axis=1).max(initial=0.0))
        if largest > self.a_b:
            raise ValueError(
                f"the kernel of SphereInputs({self.a_b:g}) holds for |x| ≤ {self.a_b:g}, and a point has norm "
                f"{largest:g}: take a larger a_b, or scale the points"
            )

    def kernel(self, X: Array, X2: Array) -> Array:
        d = X.shape[1]
        third_moment = np.exp(gammaln(d / 2.0) - gammaln((d + 3.0) / 2.0)) / np.sqrt(np.pi)
        cubes = np.linalg.norm(X[:, None, :] - X2[None, :, :], axis=2) ** 3
        found: Array = self.a_b**2 / 6.0 + X @ X2.T / (2.0 * d) + third_moment * cubes / (24.0 * self.a_b)
        return found

    def sample(self, n: int, d: int, generator: np.random.Generator) -> tuple[Array, Array]:
        w = generator.standard_normal((n, d))
        return w / np.linalg.norm(w, axis=1, keepdims=True), generator.uniform(-self.a_b, self.a_b, n)


@dataclass(frozen=True)
class DeepReLUKernel(VectorKernel):
    """The tangent kernel of an infinitely wide ReLU network of `depth` layers, all weights N(0, 1), inputs (x, 1).

        Σ⁰ = x·x′ + 1,   Σˡ = 2E[u]₊[v]₊,   Σ̇ˡ = 2P(u > 0, v > 0),   (u, v) ~ N(0, Σˡ⁻¹),   Θˡ = Σˡ + Θˡ⁻¹ Σ̇ˡ,

    with Θ⁰ = Σ⁰ and Θ = Θˡ at l = depth − 1, for the layers h ↦ √(2/m) [Wh]₊ of m units.

    Args:
        depth: layers of weights, ≥ 1; 2 is one hidden layer.

    Raises:
        ValueError: for a depth below 1.

    Reference:
        Jacot, Gabriel, Hongler (2018), Theorem 1; Lee et al. (2019).

    Example:
        >>> DeepReLUKernel(1).kernel(np.array([[1.0]]), np.array([[2.0]])).tolist()
        [[3.0]]
    """

    depth: int = 3

    def __post_init__(self) -> None:
        if int(self.depth) != self.depth or self.depth < 1:
            raise ValueError(f"depth must be a whole number ≥ 1, got {self.depth!r}")

    def kernel(self, X: Array, X2: Array) -> Array:
        first, second = np.sum(X * X, axis=1) + 1.0, np.sum(X2 * X2, axis=1) + 1.0  # variances, kept by every layer
        covariance = X @ X2.T + 1.0
        tangent = covariance
        for _ in range(self.depth - 1):
            covariance, active = arc_cosine(first, second, covariance)
            tangent = covariance + tangent * active
        return tangent


def arc_cosine(first: Array, second: Array, covariance: Array) -> tuple[Array, Array]:
    """2E[u]₊[v]₊ and 2P(u > 0, v > 0) of Gaussian pairs with these variances (N,), (M,) and covariances (N, M)."""
    scale = np.sqrt(np.outer(first, second))
    cross = np.sqrt(np.maximum((scale - covariance) * (scale + covariance), 0.0))
    angle = np.arctan2(cross, covariance)
    return (cross + (np.pi - angle) * covariance) / np.pi, (np.pi - angle) / np.pi


@dataclass(frozen=True, repr=False)
class VectorInterpolant(Card):
    """g(x) + u·x + v with g = Σ_i c_i k(x_i, ·). Callable on (…, d).

    Example:
        >>> g = vector_interpolant([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1.0, 3.0, 1.0], SphereInputs(2.0))
        >>> g.slope.round(12).tolist(), round(g.constant, 12)
        ([2.0, 0.0], 1.0)
    """

    points: Array = field(repr=False)
    """x_i, shape (N, d)."""
    coefficients: Array = field(repr=False)
    """c, shape (N,)."""
    slope: Array
    """u, shape (d,); zero where the affine function is penalized."""
    constant: float
    """v."""
    energy: float
    """‖g‖²_k = cᵀKc."""
    condition: float
    """Condition number of the linear system solved; values are good to about condition·1e-16."""
    law: VectorKernel
    """Whose kernel k is."""

    def __call__(self, x: ArrayLike) -> Array:
        at = real_array("x", x)
        flat = at.reshape(-1, self.points.shape[1])
        values = self.law.kernel(flat, self.points) @ self.coefficients + flat @ self.slope + self.constant
        return np.asarray(values.reshape(at.shape[:-1]))

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the function of one or two inputs over the points' range and a tenth more on all sides, with the points.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes. Two inputs are across and upwards, and colours show g.

        Raises:
            ValueError: a function of more inputs.
        """
        title = f"kernel interpolant of energy {self.energy:.6g}"
        if self.points.shape[1] == 2:
            return plot_surface(self, self.points, title, axes)
        if self.points.shape[1] > 2:
            raise ValueError(
                f"a function of {self.points.shape[1]} inputs has no picture: draw it along a line, "
                "g(start + t[:, None]*direction)"
            )
        knots = np.sort(self.points[:, 0])
        return plot_function(lambda x: self(x[:, None]), knots, title, axes, data=self(knots[:, None]))

    def corrected(self, x: ArrayLike, y: ArrayLike) -> Array:
        """y − u·x − v, the data on which a network ends at g."""
        return np.asarray(real_array("y", y) - real_array("x", x) @ self.slope - self.constant)


def vector_interpolant(
    X: ArrayLike,
    y: ArrayLike,
    law: VectorKernel,
    linear: Linear = "free",
    *,
    time_limit: float = math.inf,
    progress: Progress | None = None,
) -> VectorInterpolant:
    """Least norm in the kernel of `law` among the functions on R^d that fit, an affine function free or penalized.

        linear="penalized"   min ‖g‖²_k                       s.t. g(x_i) = y_i
        linear="free"        min over g, u, v of ‖g‖²_k       s.t. g(x_i) + u·x_i + v = y_i

    With `SphereInputs` and a free affine function it is the polyharmonic spline of r³, whatever a_b.

    Args:
        X: points, (N, d), distinct.
        y: values, (N,).
        law: the kernel: `GaussianInputs`, `SphereInputs`, `DeepReLUKernel`, or a subclass of `VectorKernel`.
        linear: "free" or "penalized".
        time_limit: seconds after which the linear system is not begun, which is most of the work.
        progress: called with (parts done, 2): the kernel's matrix, the linear system.

    Returns:
        VectorInterpolant: callable, with coefficients (N,), the affine function (u, v), the energy and a condition
        number.

    Raises:
        TimeoutError: the time limit was over before the linear system was begun; there is no answer without it.
        ValueError: shapes that do not fit, NaN, points outside the closed form's range, fewer points in general
            position than d + 1 with a free affine function, or a system that is singular in double precision.

    Reference:
        Jin and Montúfar (2023), problems (18) and (21), for several inputs.

    Example:
        >>> from scipy.interpolate import RBFInterpolator
        >>> X, y = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.2]]), np.array([0.0, 1, 1, 0, 2])
        >>> ours, spline = vector_interpolant(X, y, SphereInputs(2.0)), RBFInterpolator(X, y, kernel="cubic", degree=1)
        >>> bool(abs(ours([0.3, 0.6]) - spline([[0.3, 0.6]])[0]) < 1e-10)
        True
    """
    check_linear(linear)
    deadline, tell = deadline_after(time_limit), progress or untold
    if not isinstance(law, VectorKernel):
        raise TypeError(f"law is a kernel, such as GaussianInputs() or SphereInputs(); got {type(law).__name__}")
    points, values = finite_array("X", X), finite_array("y", y)
    if points.ndim != 2 or values.shape != points.shape[:1] or not points.size:
        raise ValueError(f"X must be (N, d) and y (N,), got {points.shape} and {values.shape}")
    law.check(points)
    count, d = points.shape
    gram = law.kernel(points, points)
    tell(1, 2)
    if time.monotonic() >= deadline:
        raise TimeoutError(f"time_limit={time_limit:g} s was over before the {count} equations were begun: raise it")
    if linear == "penalized":
        coefficients, condition = solve_symmetric(gram, values)
        slope, constant = np.zeros(d), 0.0
    else:
        centre, radius = points.mean(axis=0), float(np.abs(points - points.mean(axis=0)).max()) or 1.0
        affine = np.column_stack([(points - centre) / radius, np.ones(count)])
        if np.linalg.matrix_rank(affine) < d + 1:
            raise ValueError(
                f"{count} points in R^{d} do not determine an affine function: give d + 1 = {d + 1} or more that lie "
                "in no hyperplane, or take linear='penalized'"
            )
        scale = float(np.abs(gram).max())
        system = np.block([[gram / scale, affine], [affine.T, np.zeros((d + 1, d + 1))]])
        solution, condition = solve_symmetric(system, np.concatenate([values, np.zeros(d + 1)]))
        coefficients, slope = solution[:count] / scale, solution[count:-1] / radius
        constant = float(solution[-1] - slope @ centre)
    energy = float(coefficients @ gram @ coefficients)
    tell(2, 2)
    return VectorInterpolant(points, coefficients, slope, constant, energy, condition, law)
