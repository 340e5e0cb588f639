"""What `flow_limit` hands back: where gradient flow ends, and one sentence on what has been proved about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from gd.flow.second_order import NOT_KNOWN, SecondOrder, WeightSpacePoint
from gd.flow.termination import Reached
from gd.flow.two_layer_optimum import TwoLayerRelu, certified
from gd.status import FlowStatus
from solvers.agreements import Agreements, near
from solvers.arrays import Array
from solvers.card import Card
from solvers.plots import axes_for, many_decades
from solvers.prediction import labels_of, scores
from solvers.regularizers import Regularizer
from solvers.relu.certificate import ReluCertificate
from solvers.solution import Certificate
from solvers.storage import Stored

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABSENT_UNIT = 1e-9  # of all units' sizes: less is no unit, as relative KKT residuals at limits are below it


@dataclass(frozen=True, repr=False)
class FlowPath(Card):
    """The flow at K places, log-spaced in τ and in ln‖w‖; dτ = loss·‖w‖^{L−2} dt, dimensionless where the data are.

    Two runs, or a run and plain gradient descent, are compared at equal `log_norm` or equal `log_loss`, not at equal τ.
    """

    tau: Array
    """τ, shape (K,)."""
    elapsed: Array
    """Wall-clock seconds at the snapshots, of the whole batch, shape (K,)."""
    log_norm: Array
    """ln‖w‖, shape (K,)."""
    log_loss: Array
    """ln Σ_n ℓ(m_n), shape (K,); −inf where it is below −10^308."""
    margins: Array
    """m_n(θ) = y_n f(x_n; w/‖w‖), shape (K, constraints)."""
    residual: Array
    """Sine of the angle between w and the force Σ p_n ∇m_n: 0 at stationary directions. Shape (K,)."""
    predictors: Array | None
    """β of the unit-norm weights w/‖w‖, shape (K, *shape of β); None when the network is not a linear predictor."""

    def in_short(self) -> str:
        """How many snapshots, and how far."""
        return f"{self.tau.size} snapshots up to ln‖w‖ = {self.log_norm[-1]:.3g}"


@dataclass(frozen=True, repr=False)
class Integrated(Card):
    """The direction where the integration of the flow ended, before any polish: evidence by itself.

    Reference: Lyu, Li (2020), section 3, for the normalized flow that is integrated.
    """

    weights: Mapping[str, Array] = field(repr=False)
    """Named parameters of joint Euclidean norm 1."""
    predictor: Array | None = field(repr=False)
    """β scaled to unit margin; None where the network is not a linear predictor or no margin is positive."""
    dual: Array = field(repr=False)
    """The loss weights p (shape of y): p ≥ 0, Σp = 1."""
    margin: float
    """The smallest margin of the unit-norm weights."""
    residual: float
    """Sine of the angle between w and the force Σ p_n ∇m_n: 0 at a stationary direction."""
    turned: float
    """Radians that the weights' direction turned while ln‖w‖ last grew by a quarter (0.5 at least), with every margin
    positive; inf where it did not grow so far."""
    growth: float
    """Growth per unit of ln‖w‖ of the small weights that would grow fastest (`gd.flow.growth`): positive where the
    direction is a saddle that the flow will leave."""
    duality_gap: float | None
    """The relative duality gap of the induced problem that p proves; None where R is no norm."""
    certificate: Certificate | None = field(repr=False)
    """The induced problem's certificate of `predictor` with multipliers p, where a regularizer is known."""

    def in_short(self) -> str:
        """Margin and residual."""
        return f"margin {self.margin:.6g}, residual {self.residual:.2g} rad"


@dataclass(frozen=True, repr=False)
class Limit(Stored, Card):
    """Where gradient flow ends, w(t)/‖w(t)‖ → `weights`, and the evidence.

    The KKT conditions are those of  min ½‖w‖²  s.t.  m_n(w) = y_n f(x_n; w) ≥ 1,  at w̃ = weights·(min_n m_n)^{−1/L}:
    an (ε, δ)-KKT point in the sense of Lyu & Li (2020, Definition C.4) has λ ≥ 0 with

        ‖w̃ − Σ_n λ_n ∇m_n(w̃)‖₂ ≤ ε,      λ_n (m_n(w̃) − 1) ≤ δ  for every n.
    """

    weights: Mapping[str, Array] = field(repr=False)
    """The limit direction: named parameters of joint Euclidean norm 1."""
    predictor: Array | None = field(repr=False)
    """β scaled to unit margin, min_n y_n⟨x_n, β⟩ = 1; None where the network is not a linear predictor or no margin."""
    log_norm: float
    """ln‖w‖ that the integration reached before the limit was identified."""
    log_log_loss: float
    """ln(−ln loss) there; −inf where the loss is not below 1."""
    kkt_epsilon: float
    """ε above, in units of ‖w̃‖'s (absolute, as Lyu & Li define it)."""
    kkt_delta: float
    """δ above."""
    norm_at_unit_margin: float
    """‖w̃‖ = γ^{−1/L}; ε divided by it is the relative residual."""
    margin: float
    """γ = min_n m_n of the unit-norm weights: the normalized margin."""
    active: NDArray[np.bool_] = field(repr=False)
    """Which constraints have the smallest margin (relative 1e-7), shape of y."""
    dual: Array = field(repr=False)
    """Limit of the loss weights p (shape of y): p ≥ 0, Σp = 1, proportional to the KKT multipliers."""
    path: FlowPath = field(repr=False)
    """The flow at log-spaced places."""
    status: FlowStatus
    """What is known about the limit; prints as a sentence."""
    reached: Reached
    """What ties the flow to the limit."""
    polish_angle: float
    """Radians between the flow's last direction and the limit, in weight space; 0 where nothing was polished."""
    integrated: Integrated = field(repr=False)
    """The flow's last direction, with its own certificate."""
    certificate: Certificate | None
    """The induced problem's certificate of `predictor`, where the architecture has a known regularizer."""
    conservation_drift: float | None = None
    """Largest violation along the path of what gradient flow conserves (w₁² − w₂² of diagonal networks, balancedness of
    linear and ReLU layers), relative to ‖w‖²: an error of the integration. None where no such law is known."""
    two_layers: TwoLayerRelu | None = field(default=None, repr=False)
    """The limit as a two-layer (leaky) ReLU network with one output, and its data; None for every other network."""
    point: WeightSpacePoint | None = field(default=None, repr=False, compare=False, metadata={"stored": False})
    """The limit with its margins, for `second_order`; None after pickling."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """`steps`, `rejected`, `tau`, `degree`, `seconds`, `kinks` (that a ReLU network slides along), `device`."""
    regularizer: Regularizer | None = field(default=None, compare=False, metadata={"stored": False})
    """R, whose max margin `certificate` is of; None where no closed form is known, and in a limit that was loaded."""
    classes: NDArray[Any] = field(default_factory=lambda: np.array([-1.0, 1.0]))
    """The labels as they were given, in order: those that stand for −1 and +1, or all K."""

    def agreements(self) -> Agreements:
        """What holds between its fields, whatever the data are."""
        own, path, degree = self.integrated, self.path, self.stats.get("degree")
        for name, part in (("", self), ("integrated.", own)):
            norm = math.hypot(*(float(np.linalg.norm(w)) for w in part.weights.values()))
            yield near(norm, 1.0), f"{name}weights have norm 1"
            yield part.dual.shape == self.active.shape, f"{name}dual has the shape of active, that of y"
            sums_to_one = near(float(part.dual.sum()), 1.0)
            yield sums_to_one and not (part.dual < 0).any(), f"{name}dual is not negative and sums to one"
            of_y = part.certificate is None or part.certificate.dual.shape == part.dual.shape
            yield of_y, f"{name}certificate.dual has the shape of dual"
        if self.two_layers is not None:
            rounding = 1e-9 * path.margins.max(initial=0.0)
            same = math.isclose(self.two_layers.margins.min(), self.margin, rel_tol=1e-6, abs_tol=rounding)
            yield same, "two_layers has the margin that is said"
        shapes, others = ({name: w.shape for name, w in part.weights.items()} for part in (self, own))
        yield shapes == others, "integrated.weights have the shapes of weights"
        if degree and self.margin > 0:
            norm = self.margin ** (-1.0 / degree)
            yield math.isclose(self.norm_at_unit_margin, norm, rel_tol=1e-9), "norm_at_unit_margin is margin^(−1/L)"
        for name in ("elapsed", "log_norm", "log_loss", "margins", "residual"):
            yield len(getattr(path, name)) == path.tau.size, f"path.{name} has an entry for each of path.tau"
        yield path.margins.shape[1:] == (self.dual.size,), "path.margins has a column for each constraint"

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The label of each point at the limit, shape (N,), in the kind that `y` was given in; (N, M) for M tasks.

        Raises:
            ValueError: the network is not a linear predictor (see `load_weights`), or X holds points of
                another shape.

        >>> from gd import Diagonal, flow_limit
        >>> limit = flow_limit(Diagonal(2, 2, seed=0), [[2.0, 1.0], [-1.0, -3.0]], ["oak", "elm"])
        >>> limit.predict([[1.0, 1.0], [-1.0, -1.0]]).tolist()
        ['oak', 'elm']
        """
        if self.predictor is None:
            raise ValueError(
                "this limit is of a network that is not a linear predictor, or has no margin: put the weights into the "
                "network by load_weights(model), and call that"
            )
        return labels_of(scores(X, self.predictor, 0.0, rows=self.dual.ndim == 2), self.classes)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the smallest margin of the unit-norm weights along the flow, and that of the limit.

        Args:
            axes: of matplotlib, to draw into; a new figure of pyplot's unless given.

        Returns:
            The axes: ln‖w‖ across, the margin, in units of f, upwards.
        """
        chosen: Axes = axes_for(axes)
        chosen.plot(self.path.log_norm, self.path.margins.min(axis=1), "C0.-", label="along the flow")
        chosen.axhline(self.margin, color="C1", linestyle="--", label="of the limit")
        title = f"gradient flow, {self.status.name.lower()}"
        chosen.set(xlabel="ln‖w‖", ylabel="min margin at ‖w‖ = 1 [units of f]", title=title)
        many_decades(chosen, self.path.log_norm)
        chosen.legend()
        return chosen

    def load_weights(self, model: nn.Module) -> nn.Module:
        """Copy the limit direction, of norm one, into a module of the same architecture, and return it."""
        with torch.no_grad():
            for name, values in self.weights.items():
                model.get_parameter(name).copy_(torch.from_numpy(values))
        return model

    @property
    def polished(self) -> bool:
        """Whether the limit is a point that Newton's method found, rather than the flow's own direction."""
        return self.reached not in (Reached.BY_CERTIFICATE, Reached.NOT)

    @property
    def direction(self) -> Array:
        """The limit direction as one vector of norm 1, parameters in their order."""
        return np.concatenate([np.ravel(w) for w in self.weights.values()])

    @property
    def dying_units(self) -> NDArray[np.intp] | None:
        """The units of a two-layer network that the limit is without, by number; None for every other network.

        Their share of ‖w‖ tends to zero. Where it falls slowly, `reached` says APPROACHING, IN_THE_CELL or CLOSING_IN,
        and the integration ended with these units still there (`integrated`). A printed limit lists them beside it.
        """
        net = self.two_layers
        if net is None or not self.status.converged:
            return None
        size = np.abs(net.output) * np.linalg.norm(net.hidden, axis=1)
        return np.flatnonzero(size <= ABSENT_UNIT * size.sum())

    def in_card(self, name: str) -> str:
        """The line of one field on the printed card; `reached` with the units that die."""
        line, dying = super().in_card(name), self.dying_units
        if name != "reached" or dying is None or not dying.size:
            return line
        return f"{line} Units that die: {', '.join(map(str, dying))}."

    def second_order(self) -> SecondOrder:
        """Is the limit a strict local minimum of the weight-space problem, a degenerate one, or a saddle?

            min ½‖w‖²    s.t.    m_n(w) = y_n f(x_n; w) ≥ 1

        The answer is that of the eigenvalues of the Lagrangian's Hessian I − Σ λ_n ∇²m_n along the active constraints,
        computed when it is asked for: seconds for 1,000 weights. STRICT_MINIMUM is proved by the sufficient conditions,
        SADDLE by the necessary ones, both up to rounding (`gd.flow.second_order`). Rotations between layers, phases of
        frequencies and rotations of channels change neither margins nor norm; they are counted apart.

        Returns:
            `SecondOrder`: the kind, the smallest curvature, how many directions are flat, how many are symmetries. Its
            kind is UNKNOWN where the limit was not reached, for networks with kinks, above 2,000 weights, and for a
            limit that was pickled.

        Reference: Nocedal, Wright (2006), Theorems 12.5 and 12.6; the question is that of Gunasekar et al. (2018),
        section 4.

        >>> from gd import Diagonal, flow_limit
        >>> limit = flow_limit(Diagonal(3, 2, seed=0), [[2.0, 1.0, 0.0], [1.0, 3.0, 1.0]], [1, 1])
        >>> found = limit.second_order()
        >>> found.kind.name, found.flat
        ('STRICT_MINIMUM', 0)
        """
        return NOT_KNOWN if self.point is None else self.point.second_order()

    def global_optimum(
        self, *, tol: float = 1e-8, n_starts: int = 32, seed: int = 0, max_steps: int = 200, time_limit: float = np.inf
    ) -> ReluCertificate:
        """Is this limit of a two-layer (leaky) ReLU network the global optimum, among networks of every width, of

            min ½‖w‖²    s.t.   y_n Σ_j a_j σ(w_j · x_n) ≥ 1,        σ(t) = max(t, s t)?

        Gradient flow ends at a KKT point of this problem, and these need not be global. The answer is computed when it
        is asked for, because it may take longer than the flow did: milliseconds where the points have rank two, up to
        minutes where units have to be searched.

        - GLOBAL: some multipliers of the limit prove it, by enumeration of all cells. Never said where the points with
          multipliers have a rank above four.
        - NOT_GLOBAL: only beside `cheaper`, a network of smaller norm, which may have more units.
        - UNKNOWN: neither; or `cheaper` is no proof, because it is cheaper by less than the accuracy of the limit,
          2ε/‖w̃‖ + 2Nδ/‖w̃‖², or because the limit was not found (`status`) and the norm still falls on the way.

        Args:
            tol: the largest relative gap that counts as closed.
            n_starts: random starts of the search for units, in each round.
            seed: of these starts.
            max_steps: the largest number of rounds, each a linear program.
            time_limit: seconds after which no round starts.

        Returns:
            `solvers.ReluCertificate`. `verdict` is the answer; `lower_bound`, `entering_unit`, `cheaper` and
            `sampled_maximum` are the evidence. Norms are ½‖w‖² at margin one, of balanced units.

        Raises:
            ValueError: the network is no two-layer (leaky) ReLU network without bias and with one output; or it
                classifies a point wrongly.

        Reference: Lyu, Li (2020), Theorem 4.4, for the KKT points; `solvers.certify_relu` for the certificate.

        >>> import torch
        >>> from gd.flow.flow_limit import flow_limit
        >>> _ = torch.manual_seed(5)
        >>> xor = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
        >>> layers = torch.nn.Linear(2, 10, bias=False), torch.nn.ReLU(), torch.nn.Linear(10, 1, bias=False)
        >>> limit = flow_limit(torch.nn.Sequential(*layers).double(), xor, [1, -1, -1, 1])
        >>> found = limit.global_optimum()
        >>> found.verdict.name, round(found.value, 9)
        ('GLOBAL', 2.828427125)
        """
        if self.two_layers is None:
            raise ValueError(
                "the global optimum is known for two-layer ReLU and leaky ReLU networks without bias and with one "
                "output; this network's forward pass is not one"
            )
        norm = self.norm_at_unit_margin
        # by weak duality in the cell of the limit, with its own multipliers scaled until they pass
        accuracy = 2.0 * (self.kkt_epsilon + self.dual.size * self.kkt_delta / norm) / norm
        return certified(
            self.two_layers,
            tol,
            accuracy=accuracy if self.status.converged else np.inf,
            n_starts=n_starts,
            seed=seed,
            max_steps=max_steps,
            time_limit=time_limit,
        )
