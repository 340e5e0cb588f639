"""Gradient flow in normalized coordinates: the path of w/‖w‖ when ‖w‖ runs to e^{1000} and the loss to e^{−e^{2000}}.

Write w = e^ρ θ with ‖θ‖ = 1, and let the network be homogeneous of degree L. With the temperature T = e^{−Lρ} the
loss weights are p_n ∝ φ(m_n(θ)/T), φ(s) = e^{−s} or another of `gd.flow.loss_weights`, and in the time
dτ = loss·‖w‖^{L−2} dt the flow is

    dθ/dτ = (I − θθᵀ) Jᵀp,    dρ/dτ = ⟨θ, Jᵀp⟩,    J = ∂m/∂θ.                                    (1)

Neither overflows. One step leaves θ free of its sphere: with T held, θ′ = J(θ)ᵀ p(m(θ)/T) is the same flow in another
time, exactly, because m(e^ρ θ) = e^{Lρ} m(θ); afterwards the length of θ is moved into ρ, which is what lowers T. No
projection is ever formed, so a weight of e^{−40} keeps its relative accuracy, and weights that must come back from
there do.

The step is the linearly implicit Euler method with J held and p taken at the end (`implicit_weights`), once with h
and twice with h/2, extrapolated to second order; their difference, as an angle, controls h. The stiffness 1/T sits in
p and is solved for, so h follows the curvature of the path and grows to order one where the direction has settled.
Below `LOWEST_TEMPERATURE` it is held: the path is then that of T → 0 to O(T), and the last digits of its end are the
business of the polish (`gd.flow.margin_map`), or of a still lower temperature.

Reference: Lyu, Li (2020), section 3, for the normalized flow; Deuflhard, Hairer, Zugck (1987) for extrapolated linearly
implicit Euler steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gd.flow.explicit_step import explicit_steps
from gd.flow.implicit_weights import SILENT, explicit_weights, forceful
from gd.flow.loss_weights import FlowWeights
from gd.flow.margin_map import Local, MarginMap, Step
from gd.flow.step_rows import Moved, extrapolated, rows_chosen, steps_chosen, unit, where_chosen
from solvers.arrays import Array

LOWEST_TEMPERATURE = 1e-8  # in units of the margins' gradients: below it steps can fail before the path has settled
LOWEST_OF_THE_MARGIN = 1e-3
"""Of the smallest margin: where that is small next to its gradients, as on nearly separable data, the temperature falls
lower. A margin 2 % above the smallest then has a weight below `ACTIVE` (`gd.flow.kkt`)."""
LOWEST_ON_DEMAND = 1e-12
"""Measured: at 1e-12 the flow's own duality gap falls below 1e-9 on all degenerate data of the tests, and the rounding
of the margins over T, 1e-16/1e-12, is still below the integrator's tolerance."""
SETTLED = 1.5e-3  # residual (radians) below which steps are exact in the weights, where they are offered
LATE_TOLERANCE = 1e-2  # of the tolerance, in those steps: long ones leave what they err by in the direction reported
LARGEST_MOVE = 0.8  # of |θ| in one step, while ‖w‖ still matters through the temperature
BROUGHT_BACK = 1e-2
"""Of a step that lowers the soft margin: the length of the one after it. (Measured with one column scaled by 1e6: at
0.01 it helped in 254 of 254 cases, at 0.1 in 265 of 379.)"""
SMALLEST_STEP = 1e-14
NO_FORCE = LOWEST_ON_DEMAND
"""Of the margins' gradients: a force that moves θ by about its length in 10¹² units of time, as long as a flow without
a positive margin is followed. Data of relative margin 1e-10 still have more force than that."""
HOTTEST = 600.0  # ln T: there all samples weigh the same, whatever T is
LEAST_FORCE = 1e-250
"""Of a network on which every unit is dead, which has none: steps may grow 10¹⁵ times before they leave float64."""


@dataclass
class Flow:
    """A batch of B flows, each at its own τ with its own step; the rows step independently of one another."""

    mapping: MarginMap
    loss: FlowWeights
    tolerance: float
    """Of the angle (radians) between the one-step and the two-step result, per step."""
    theta: Tensor
    log_norm: Array
    tau: Array
    step: Array
    weights: Array
    """p of the last solve, (B, N)."""
    local: Local
    steps: NDArray[np.int64]
    rejected: NDArray[np.int64]
    lowest: Array
    """The lowest temperature of each row, (B,), relative to the size of the margins' gradients."""
    carried: Sequence[Any] | None = None
    explicit: bool = False
    """Whether the next step is explicit: of maps that offer it, until the flow is stiff."""

    @classmethod
    def begin(
        cls, mapping: MarginMap, start: Tensor, *, loss: FlowWeights, tolerance: float, longer: float = 0.0
    ) -> Flow:
        """At e^longer times the parameters `start` (B, P), not normalized."""
        norm = torch.linalg.vector_norm(start, dim=1)
        theta = start / norm[:, None]
        local = mapping.at(theta)
        B = start.shape[0]
        flow = cls(
            mapping, loss, tolerance, theta, longer + np.log(norm.cpu().numpy()), np.zeros(B), np.ones(B),
            np.ones((B, mapping.n_constraints)), local, np.zeros(B, dtype=np.int64), np.zeros(B, dtype=np.int64),
            np.full(B, LOWEST_TEMPERATURE),
        )  # fmt: skip
        margins = forceful(flow.margins, local.squares)
        flow.weights = explicit_weights(margins, flow.temperature, loss)
        force = np.linalg.norm(flow.force().cpu().numpy(), axis=1)
        flow.step = 1e-3 / np.maximum(force, LEAST_FORCE)
        flow.explicit = mapping.explicit_gradients > 0
        return flow

    @property
    def margins(self) -> Array:
        return np.asarray(self.local.margins.cpu().numpy())

    @property
    def loss_temperature(self) -> Array:
        """e^{−Lρ}, that of the loss."""
        return np.asarray(np.exp(np.minimum(-self.mapping.degree * self.log_norm, HOTTEST)))

    @property
    def temperature(self) -> Array:
        """The one that is integrated."""
        return np.maximum(self.loss_temperature, self.lowest_temperature)

    @property
    def lowest_temperature(self) -> Array:
        """The lowest temperature integrated, in units of the margins' gradients (as the data are scaled, so is it)."""
        least = np.maximum(LOWEST_OF_THE_MARGIN * self.margins.min(axis=1), LOWEST_ON_DEMAND * self.size)
        return np.asarray(np.minimum(self.lowest * self.size, least))

    @property
    def size(self) -> Array:
        """The size of the margins' gradients, (B,), the unit of temperatures: as the data are scaled, so is it."""
        return np.asarray(np.sqrt(np.maximum((self.weights * self.local.squares).sum(axis=1), 1e-300)))

    @property
    def slowest(self) -> Array:
        """How many times slower the slowest sample moves than all together, (B,); those that do not move excepted."""
        roots = np.sqrt(np.maximum(self.local.squares, 0.0))
        moving = roots > LOWEST_ON_DEMAND * self.size[:, None]
        return np.asarray(self.size / np.where(moving, roots, self.size[:, None]).min(axis=1))

    @property
    def separated(self) -> NDArray[np.bool_]:
        """Whether all margins are positive, (B,), by more than the lowest temperature: less is rounding."""
        return np.asarray(self.margins.min(axis=1) > LOWEST_ON_DEMAND * self.size)

    @property
    def at_rest(self) -> NDArray[np.bool_]:
        """Whether so little is left of the force, (B,), that it leads nowhere: the loss is at a critical point, or all
        but at one, as where the force falls like 1/τ."""
        return np.asarray(np.linalg.norm(self.force().cpu().numpy(), axis=1) <= NO_FORCE * self.size)

    def cool(self, row: int) -> None:
        """Let the temperature of one row fall ten times lower, down to `LOWEST_ON_DEMAND`."""
        self.lowest[row] = max(0.1 * self.lowest[row], LOWEST_ON_DEMAND)

    def force(self) -> Tensor:
        """Jᵀp (B, P), p the weights of the last solve."""
        return self.local.pull(torch.as_tensor(self.weights, device=self.theta.device))

    def residual(self) -> Array:
        """Sine of the angle between θ and the force; 1 where the force points inwards."""
        force = self.force()
        length = torch.linalg.vector_norm(force, dim=1)
        along = (self.theta.conj() * force).real.sum(1)
        across = torch.linalg.vector_norm(force - self.theta * along[:, None], dim=1)
        return np.where(along.cpu().numpy() > 0, (across / torch.clamp(length, min=1e-300)).cpu().numpy(), 1.0)

    def log_loss(self) -> Array:
        """ln of the loss at the true temperature e^{−Lρ}."""
        exponent = self.mapping.degree * self.log_norm
        with np.errstate(over="ignore"):
            s = np.minimum(np.exp(np.minimum(exponent, 709.0)), 1e308)[:, None] * self.margins
        return self.loss.log_loss(s)

    def log_log_loss(self) -> Array:
        """ln(−ln loss); −inf where the loss is not below one."""
        exponent, smallest = self.mapping.degree * self.log_norm, self.margins.min(axis=1)
        direct = -self.log_loss()
        huge = exponent + np.log(np.maximum(smallest, 1e-300))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(huge > 40, huge, np.where(direct > 0, np.log(np.maximum(direct, 1e-300)), -np.inf))

    def advance(self) -> NDArray[np.bool_]:
        """Attempt one step of every row; which rows were accepted. Rejected rows only shorten their step."""
        if self.explicit:
            return self._advance_explicitly()
        T, h = self.temperature, self.step
        cold = self.lowest_temperature >= T
        # long steps of a row colder than usual would leave p in the rounding of h·g over T
        usual = self.lowest >= LOWEST_TEMPERATURE
        # without a positive margin the flow has no limit to arrive at
        implicit = cold & usual & self.separated & self.mapping.exact_in_weights
        if implicit.any():
            implicit &= self.residual() < SETTLED
        whole, first, last = self._once_and_twice(h, T, implicit)
        # where gates would change a map holds the Jacobian after all: then in all three, or their lengths do not fit
        exact = np.array([step.growth != 0 for step in (whole, first, last)])
        if (mixed := implicit & exact.any(axis=0) & ~exact.all(axis=0)).any():
            whole, first, last = self._once_and_twice(h, T, implicit & ~mixed)
        implicit &= exact.all(axis=0)
        once, twice = self.theta + whole.move, self.theta + first.move + last.move
        error = torch.linalg.vector_norm(unit(once) - unit(twice), dim=1).cpu().numpy()
        move = torch.linalg.vector_norm(twice - self.theta, dim=1).cpu().numpy()
        solved = whole.converged & first.converged & last.converged & np.isfinite(error) & np.isfinite(move)
        largest = np.where(cold, self.mapping.largest_stretch, LARGEST_MOVE)
        with np.errstate(divide="ignore"):
            tolerance = np.where(implicit, LATE_TOLERANCE, 1.0) * self.tolerance
            # a free move grows faster than h, so its bound is approached by square roots
            factor = np.minimum(0.9 * np.sqrt(tolerance / error), np.sqrt(0.8 * largest / move))
        accepted: NDArray[np.bool_] = solved & (error <= 2.0 * tolerance) & (move <= largest)
        growth = 2.0 * (first.growth + last.growth) - whole.growth
        self._settle(accepted, extrapolated(once, twice), h, growth, last, implicit)
        self.step = h * np.where(accepted, np.clip(factor, 0.3, 3.0), np.where(solved, np.clip(factor, 0.1, 0.7), 0.4))
        self.steps += accepted
        self.rejected += ~accepted
        return accepted

    def _once_and_twice(self, h: Array, T: Array, implicit: NDArray[np.bool_]) -> tuple[Step, Step, Step]:
        """A step of length h, and two of half of it."""
        whole = self.local.solve(h, T, self.weights, self.loss, implicit)
        first = self.local.solve(h / 2, T, self.weights, self.loss, implicit)
        middle = self.mapping.at(self.theta + first.move, first.carried)
        return whole, first, middle.solve(h / 2, T, first.p, self.loss, implicit)

    def _advance_explicitly(self) -> NDArray[np.bool_]:
        """One step of the only row that leads as far as an implicit one, or as far as explicit ones lead."""
        T, silent, size = self.temperature, forceful(self.margins, self.local.squares) != self.margins, self.size[0]
        radius = float(size**2 / T[0] + self.mapping.degree * size)

        def weights(margins: Tensor) -> Array:
            m = np.where(silent, SILENT, margins.detach().cpu().numpy()[None])
            return explicit_weights(m, T, self.loss)

        def force(theta: Tensor) -> Tensor:
            with torch.enable_grad():
                theta = theta.detach().requires_grad_()
                m = self.mapping.smooth_margins(theta)
                p = torch.as_tensor(weights(m)[0], device=theta.device)
                (found,) = torch.autograd.grad(p @ m, theta)
            return found

        most = self.mapping.explicit_gradients
        found = explicit_steps(force, self.theta[0], radius, float(self.step[0]), self.tolerance, most)
        moved = np.array([found.elapsed > 0])
        # an implicit step leads as far as many explicit ones
        step = max(found.elapsed, found.step) if found.stiff else found.step
        p = weights(self.mapping.smooth_margins(found.theta))
        last = Step(p, found.theta[None], np.zeros(1), moved, None)
        began = moved.copy()
        self._settle(moved, found.theta[None], np.array([found.elapsed]), np.zeros(1), last, np.zeros(1, dtype=bool))
        # explicit steps go as far whatever the first of them is: where that is too far, an implicit one can be shorter
        self.explicit = not found.stiff and bool(moved[0] or not began[0])
        self.step = np.where(moved, step, 0.3 * np.where(began, found.elapsed, self.step))
        self.steps += moved
        self.rejected += ~moved
        return moved

    def _settle(
        self,
        accepted: NDArray[np.bool_],
        moved: Tensor,
        h: Array,
        growth: Array,
        last: Step,
        exact: NDArray[np.bool_],
    ) -> None:
        """Take the accepted steps. Where one lowers the soft margin, a short step after it brings it back onto the
        path; if that does not help, `accepted` is left without it.

        Where `exact` steps in the weights, which are long, err by more than T, a short one ties the margins again. Its
        p is the push that this takes, so that of the long step is kept.
        """
        if not accepted.any():
            return
        after = self._moved(accepted, moved, last)
        margins = after.local.margins.cpu().numpy()
        exact = exact & ((last.p * margins).sum(1) - margins.min(1) > self.temperature * np.log(margins.shape[1]))
        fell = accepted & (exact | self._falls(after))
        if fell.any():
            T = self.temperature / after.length**self.mapping.degree
            back = after.local.solve(BROUGHT_BACK * h, T, last.p, self.loss, exact)
            fell &= back.converged
            kept = last.p
            last = steps_chosen(fell, back, last)
            last = replace(last, p=np.where(exact[:, None], kept, last.p))
            h, growth = h * np.where(fell, 1.0 + BROUGHT_BACK, 1.0), growth + np.where(fell, back.growth, 0.0)
            length = torch.as_tensor(after.length, device=moved.device)[:, None]
            moved = where_chosen(fell, length * (after.theta + back.move), moved)
            after = self._moved(accepted, moved, last)
            if (falls := accepted & self._falls(after)).any():
                accepted &= ~falls
                after = self._moved(accepted, moved, last)
        stretch = np.log(after.length)
        self.theta, self.carried, self.local = after.theta, after.carried, after.local
        self.log_norm = self.log_norm + np.where(accepted, stretch + growth, 0.0)
        # the step ran in time ds = ‖θ‖^{L−2} dτ, ‖θ‖ = 1 … e^stretch: the mean of ‖θ‖^{2−L} over it, by trapezoid
        self.tau = self.tau + np.where(accepted, h * (1.0 + np.exp((2.0 - self.mapping.degree) * stretch)) / 2.0, 0.0)
        self.weights = np.where(accepted[:, None], last.p, self.weights)

    def _moved(self, accepted: NDArray[np.bool_], moved: Tensor, last: Step) -> Moved:
        """The rows of the accepted steps where they lead, the others where they are."""
        norm = torch.linalg.vector_norm(moved, dim=1)
        theta = self.mapping.above_underflow(where_chosen(accepted, moved / norm[:, None], self.theta))
        carried = last.carried
        if carried is not None and self.carried is not None:
            carried = rows_chosen(accepted, carried, self.carried)
        return Moved(theta, np.where(accepted, norm.cpu().numpy(), 1.0), carried, self.mapping.at(theta, carried))

    def _falls(self, after: Moved) -> NDArray[np.bool_]:
        """Whether the soft margin falls over a step, (B,), by more than the tolerance: along the flow it never does.

        T times `FlowWeights.soft_margin` of m(θ)/T rises along gradient flow of θ free of its sphere, and its ratio to
        ‖θ‖^L where it is positive. Where margins are small differences of large numbers, as where one column of X is
        large, angles do not see that a step has left the path.
        """
        T, scale = self.temperature, after.length**self.mapping.degree
        before = self._soft_margin(self.margins)
        least = before * np.where(before > 0, scale, 1.0)
        slack = self.tolerance * (np.abs(least) + T) + LOWEST_ON_DEMAND * self.size
        return np.asarray(self._soft_margin(scale[:, None] * after.local.margins.cpu().numpy()) < least - slack)

    def _soft_margin(self, margins: Array) -> Array:
        T = self.temperature
        return np.asarray(T * self.loss.soft_margin(margins / T[:, None]))

    def restrict(self, rows: NDArray[np.intp]) -> Flow:
        """The flows of these rows alone."""
        theta = self.theta[torch.as_tensor(rows, device=self.theta.device)]
        carried = None if self.carried is None else [self.carried[row] for row in rows]
        return Flow(
            self.mapping, self.loss, self.tolerance, theta, self.log_norm[rows], self.tau[rows], self.step[rows],
            self.weights[rows], self.mapping.at(theta, carried), self.steps[rows], self.rejected[rows],
            self.lowest[rows], carried, self.explicit,
        )  # fmt: skip
