"""What a wide one-input ReLU network learns, from its kernel: least norm in the space of its trained output layer.

Training the output layer of a wide network from zero is interpolation in the reproducing kernel Hilbert space of

    k(x, x′) = E [Wx + B]₊ [Wx′ + B]₊.

Two programs of the paper, numbered as there, differ in whether a line is free:

    (18)  linear="penalized":   min ‖g‖²_k                    s.t. g(x_i) = y_i
    (21)  linear="free":        min over g, u, v of ‖g‖²_k    s.t. g(x_i) + u x_i + v = y_i

Both are what some network converges to. A network trained on the data as they are ends at (18). A network trained on
the data **corrected** by the (u, v) of (21), y_i − u x_i − v, ends at the g of (21), and adding the line back gives
the weighted spline: with the line free, units that bend outside the data add to ‖g‖² and contribute nothing, and ‖g‖²
is ∫ g″²/ζ. The correction is of the data; the network itself is the same.

This formulation knows k and not ζ, so its agreement with `weighted_spline` checks both. It takes O(M³) time, and its
accuracy falls with the condition number of K, which grows like M³ to M⁴: a check for M up to some hundreds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import lapack

from solvers.arrays import Array, real_array
from solvers.card import Card
from solvers.plots import plot_function
from solvers.splines.data import Linear, check_linear, spline_data
from solvers.splines.initial_distributions import InitialDistribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class KernelInterpolant(Card):
    """g(x) + ux + v with g = Σ_i c_i k(x_i, ·). Callable; `line` is (0, 0) when the line is penalized.

    Example:
        >>> from solvers.splines.initial_distributions import UniformInit
        >>> g = kernel_interpolant([0.0, 1.0], [1.0, 3.0], UniformInit(1, 2))
        >>> g.line, float(g(0.5)), g.corrected([0.0, 1.0], [1.0, 3.0])
        ((2.0, 1.0), 2.0, array([0., 0.]))
    """

    knots: Array
    """Distinct x, ascending, shape (M,)."""
    coefficients: Array = field(repr=False)
    """c, shape (M,)."""
    line: tuple[float, float]
    """(u, v): slope and intercept of the free line; the correction of the data."""
    energy: float
    """‖g‖²_k = cᵀKc."""
    condition: float
    """Condition number of the linear system solved; values are good to about condition·1e-16."""
    init: InitialDistribution
    """The law of (W, B) whose kernel is k."""
    initial: Callable[[Array], Array] | None = field(default=None, repr=False)
    """f₀, or None for zero."""

    def __call__(self, x: ArrayLike) -> Array:
        points = real_array("x", x)
        values = self.init.kernel(points[..., None], self.knots) @ self.coefficients
        values = values + self.line[0] * points + self.line[1]
        return np.asarray(values if self.initial is None else values + self.initial(points))

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the function over the data's range and a tenth more on both sides, with the data.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes.
        """
        return plot_function(
            self, self.knots, f"kernel interpolant of energy {self.energy:.6g}", axes, data=self(self.knots)
        )

    def corrected(self, x: ArrayLike, y: ArrayLike) -> Array:
        """y − ux − v, the data on which a network ends at the spline (less the line)."""
        return np.asarray(real_array("y", y) - self.line[0] * real_array("x", x) - self.line[1])


def kernel_interpolant(
    x: ArrayLike,
    y: ArrayLike,
    init: InitialDistribution,
    linear: Linear = "free",
    *,
    initial: Callable[[Array], Array] | None = None,
) -> KernelInterpolant:
    """Least norm in the kernel of `init`, a line free or penalized.

        linear="penalized"   min cᵀKc s.t. Kc = y − f₀                                              (18)
        linear="free"        [ K   P ] [ c    ]   [ y − f₀ ]        P = (x, 1)                      (21)
                             [ Pᵀ  0 ] [ u, v ] = [ 0      ]

    Args:
        x, y: (M,), data as for `weighted_spline`; M = 1 with a free line takes the constant v = y.
        init: law of (W, B), whose kernel k is used.
        linear: "free" or "penalized".
        initial: f₀, the function the network starts at; takes and returns arrays of shape (M,). Default 0.

    Returns:
        KernelInterpolant: callable, with coefficients (M,), the line (u, v), the energy cᵀKc and a condition number.

    Raises:
        ValueError: for the data errors of `weighted_spline`, for another `linear`, and when the system is singular in
            double precision (points closer than the kernel resolves), naming its condition number.

    Reference:
        Jin and Montúfar (2023), problems (18) and (21).

    Example:
        >>> from solvers.splines.initial_distributions import UniformInit
        >>> from solvers.splines.weighted_spline import weighted_spline
        >>> x, y, init = [-1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.0, 2.0], UniformInit(1, 2)
        >>> kernel, spline = kernel_interpolant(x, y, init), weighted_spline(x, y, init)
        >>> bool(abs(kernel(0.3) - spline(0.3)) < 1e-9), bool(abs(kernel.energy / spline.energy - 1) < 1e-9)
        (True, True)
    """
    check_linear(linear)
    data = spline_data(x, y, None, initial)
    init.check_inside_support(data.x)
    size = data.x.size
    with np.errstate(over="ignore", invalid="ignore"):  # a kernel that overflows is found singular below
        gram = init.kernel(data.x[:, None], data.x)
    if linear == "penalized":
        coefficients, condition = solve_symmetric(gram, data.y)
        line = (0.0, 0.0)
    elif size < 3:
        slope = float(np.diff(data.y)[0] / np.diff(data.x)[0]) if size == 2 else 0.0
        coefficients, line, condition = np.zeros(size), (slope, float(data.y[0] - slope * data.x[0])), 1.0
    else:
        # (x − centre)/radius and K/scale: the same problem, equilibrated
        centre, radius, scale = data.x.mean(), float(np.ptp(data.x)) / 2.0, float(np.abs(gram).max())
        affine = np.stack([(data.x - centre) / radius, np.ones(size)], axis=1)
        system = np.block([[gram / scale, affine], [affine.T, np.zeros((2, 2))]])
        solution, condition = solve_symmetric(system, np.concatenate([data.y, [0.0, 0.0]]))
        coefficients = solution[:size] / scale
        u = float(solution[size] / radius)
        line = (u, float(solution[size + 1] - u * centre))
    energy = float(coefficients @ gram @ coefficients)
    return KernelInterpolant(data.x, coefficients, line, energy, condition, init, initial)


def solve_symmetric(system: Array, right: Array) -> tuple[Array, float]:
    """LAPACK's expert driver for symmetric systems: Bunch–Kaufman with refinement and a condition estimate."""
    *_, solution, rcond, _, _, info = lapack.dsysvx(system, right)
    condition = 1.0 / rcond if rcond > 0 else np.inf
    if info > 0:
        raise ValueError(
            f"the kernel system of {right.size} equations is singular in double precision (condition {condition:.1e}): "
            "points lie closer together than this kernel resolves. Use weighted_spline (one input), which does not, or "
            "merge the points"
        )
    return np.asarray(solution).reshape(right.shape), float(condition)
