"""Many networks of one architecture as ONE function of a (B, P) matrix of weights, on one device.

Row b holds all P weights of run b. Linear networks are evaluated through P(w) with the batch axis in front, so a
gradient costs one product with X each way and a backward pass through P alone; any other module goes through
`torch.func.functional_call` under `vmap`. Either way B runs cost one sequence of kernels, not B of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from gd.flow.homogeneity import measured_degree
from gd.losses import Loss
from gd.networks.declaration import declared
from gd.optimizers.weight_norm import WeightNorm
from gd.squared.effective_start import EffectiveStart
from gd.targets import Targets
from solvers.arrays import Array


@dataclass(frozen=True)
class Gradient:
    """∇L = e^{log_scale} · `direction` for every run; for margin losses `direction` is ∇ log L."""

    log_loss: Tensor
    """log L, shape (B,)."""
    direction: Tensor
    """Shape (B, P)."""
    log_scale: Tensor
    """Shape (B,)."""
    slope: Tensor
    """∂L/∂f · e^{−log_scale}, the shape of the outputs (B, N, …)."""
    outputs: Tensor
    """f(x_n; w_b), shape (B, N, …)."""


def pulled(outputs: Tensor, W: Tensor, slope: Tensor) -> Tensor:
    """Σ slope ∂f/∂W, the shape of W; from a scalar, since to check the shape of a vector torch imports sympy."""
    (direction,) = torch.autograd.grad((outputs * slope).sum(), W)
    return direction


class _Predictor(nn.Module):
    """A module whose forward pass is another module's `compose`, because functional calls reach `forward` only."""

    def __init__(self, model: nn.Module, compose: Callable[[], Tensor]) -> None:
        super().__init__()
        self.model, self._compose = model, compose

    def forward(self) -> Tensor:
        return self._compose()


class Objective:
    """L(f(X; w_b), y) for b = 1 … B.

    Args:
        models: modules of one architecture (`gd.data.check_models`); the parameters that require gradients are trained,
            from `start`, the others and all buffers stay as they are in each. Not modified.
        X: inputs, the first axis counts the N points.
        y: labels or targets, the shape of the outputs of one run.
        loss: the loss.
        device, dtype: where, and in which precision, everything is computed.
        targets: how outputs are compared with y; themselves, unless given.

    Raises ValueError when nothing is to be trained or the outputs do not match y.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        X: Tensor,
        y: Tensor,
        loss: Loss,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float64,
        targets: Targets | None = None,
    ) -> None:
        self.X, self.loss = X.to(device, dtype), loss
        self.targets = (Targets(y) if targets is None else targets).to(device, dtype)
        self.y = self.targets.values
        self._model = copy.deepcopy(models[0]).to(device, dtype)
        self._declared = declared(self._model)
        self._linear = self._declared.linear_network
        trained = {name: tuple(p.shape) for name, p in models[0].named_parameters() if p.requires_grad}
        if not trained:
            raise ValueError(f"{type(models[0]).__name__} has no parameters to train")
        self.names, self.shapes = list(trained), list(trained.values())
        self.sizes = [math.prod(shape) for shape in self.shapes]
        copies = [copy.deepcopy(model).to(device, dtype) for model in models]
        parameters, buffers = stack_module_state(copies)  # type: ignore[arg-type,unused-ignore]
        self._fixed = buffers | {name: p.detach() for name, p in parameters.items() if name not in trained}
        self.start = torch.cat([parameters[name].detach().flatten(1) for name in self.names], dim=1)
        self._rows = self.X.flatten(1)
        self.is_predictor = False
        self.is_predictor = self._weights_are_predictor()
        """Whether the weights are the linear predictor itself, f(x) = ⟨x, w⟩; then gradients are products with X."""
        self.degree = self._measured_degree()
        if self._linear is not None:
            rows = self._rows
            norm = torch.linalg.vector_norm(rows, dim=1).max() if loss.margin else torch.linalg.matrix_norm(rows, 2)
            self._input_norm = float(norm) * self.targets.stretch
            self._one = torch.eye(self._linear.depth, dtype=torch.bool, device=self.X.device)
            self._two = self._one[:, None, :] | self._one[None, :, :]
        with torch.no_grad():
            shape = tuple(self.outputs(self.start).shape[1:])
        if shape != self.targets.output_shape:
            raise ValueError(
                f"targets y of shape {self.targets.output_shape} (K outputs for K classes) do not match the network's "
                f"outputs, of shape {shape} for inputs X of shape {tuple(self.X.shape)}"
            )

    def layers(self, W: Tensor) -> list[Tensor]:
        """The parameters, in order, each with the run axis in front; views of W."""
        flat = torch.split(W, self.sizes, dim=1)
        return [part.view(-1, *shape) for part, shape in zip(flat, self.shapes, strict=True)]

    def _call(self, module: nn.Module, prefix: str, W: Tensor, arguments: tuple[Tensor, ...]) -> Tensor:
        parameters = {prefix + name: part for name, part in zip(self.names, self.layers(W), strict=True)}
        fixed = {prefix + name: part for name, part in self._fixed.items()}
        one = lambda state: functional_call(module, state, arguments)  # noqa: E731
        return vmap(one, randomness="same")({**parameters, **fixed})  # type: ignore[no-any-return]

    def outputs(self, W: Tensor, rows: Tensor | None = None) -> Tensor:
        """f(X; w_b), shape (B, N, …); of the points with these indices where some are given."""
        if self.is_predictor and self._linear is not None:
            points = (self._rows if rows is None else self._rows[rows]).T
            several = self._linear.outputs > 1
            return (W.view(W.shape[0], self._linear.outputs, -1) @ points).mT if several else W @ points
        X = self.X if rows is None else self.X[rows]
        if self._linear is not None:
            return self._linear.apply_predictor(self._linear.P(self.layers(W)), X)
        outputs = self._call(self._model, "", W, (X,))
        # a last layer of one unit gives (N, 1) where the labels are (N,)
        return outputs.squeeze(2) if self.y.ndim == 1 and tuple(outputs.shape[2:]) == (1,) else outputs

    def log_loss(self, W: Tensor) -> Tensor:
        """log L, shape (B,), without a gradient."""
        with torch.no_grad():
            return self.loss.log_value(self.targets.compared(self.outputs(W)), self.y)

    def gradient(self, W: Tensor, rows: Tensor | None = None) -> Gradient:
        """log L and ∇L, scaled; of the points with these indices where some are given."""
        if not self.is_predictor:
            W = W.detach().requires_grad_(True)
        outputs = self.outputs(W, rows)
        with torch.no_grad():
            targets = self.targets if rows is None else self.targets.at(rows)
            compared = targets.compared(outputs)
            log_loss = self.loss.log_value(compared, targets.values)
            slope = targets.spread(self.loss.slope(compared, targets.values, log_loss))
        if self.is_predictor:
            direction = self._combined(slope, self._rows if rows is None else self._rows[rows])
        else:
            direction = pulled(outputs, W, slope)
        return Gradient(log_loss, direction, self.loss.log_scale(log_loss), slope, outputs.detach())

    def pull(self, W: Tensor, slope: Tensor) -> Tensor:
        """Σ_n slope_n ∇f(x_n; w_b), shape (B, P)."""
        W = W.detach().requires_grad_(True)
        return pulled(self.outputs(W), W, slope)

    @property
    def predicts(self) -> bool:
        """Whether the networks have a predictor β (a `compose` method)."""
        return self._declared.compose is not None

    def predictors(self, W: Tensor) -> Tensor:
        """β of every run, shape (B, *shape of β)."""
        with torch.no_grad():
            if self._linear is not None:
                return self._linear.P(self.layers(W))
            assert self._declared.compose is not None  # `predicts` says so
            return self._call(_Predictor(self._model, self._declared.compose), "model.", W, ())

    def unit_step(self, norm: WeightNorm) -> float:
        """4 over the largest dual norm of a point: the first step of normalized steepest descent with η_t ~ 1/√t.

        Of the factors 1, 2, 4, 8, 16, 4 left the smallest bounds after 4,000 steps on Gaussian points, for sign,
        coordinate and spectral descent alike.

        Raises ValueError unless the network is the linear predictor itself: elsewhere none is known.
        """
        if not self.is_predictor:
            raise ValueError(
                f"no step size is known for {type(self._model).__name__} with this optimizer: give a schedule, as in "
                "schedule=DecayingStep(0.01)"
            )
        return 4.0 / float(norm.dual(self._rows, lambda points: [points.unsqueeze(1)]).max().clamp(min=1e-300))

    def predictor_gradient(self, slope: Tensor) -> Tensor | None:
        """∇_β L up to a positive factor, Σ_n slope_n x_n; None where outputs are not ⟨x, β⟩."""
        return None if self._linear is None else self._combined(slope, self._rows)

    @staticmethod
    def _combined(slope: Tensor, rows: Tensor) -> Tensor:
        """Σ_n slope_n x_n, (B, size of β)."""
        return (slope.mT @ rows).flatten(1) if slope.ndim == 3 else slope @ rows

    def _weights_are_predictor(self) -> bool:
        """Measured, because a subclass may have a map of its own."""
        if self._linear is None or self._linear.depth > 1:
            return False
        beta = self.predictors(self.start).flatten(1)
        return beta.shape == self.start.shape and torch.equal(beta, self.start)

    def effective_start(self) -> EffectiveStart | None:
        """What accumulates the effective start of finite steps, where the networks have one and the loss is squared."""
        return None if self._linear is None or self.loss.margin else self._linear.effective_start(self.start)

    def _measured_degree(self) -> float | None:
        """L with f(x; c·w) = c^L f(x; w): stated by the model, else measured near the start; None if there is none."""
        if self._declared.degree is not None:
            return self._declared.degree
        # points only have to be enough for every unit to be awake at ±w for one of them
        few = torch.arange(0, len(self.X), max(len(self.X) // 256, 1), device=self.X.device)
        with torch.no_grad():
            try:
                return measured_degree(lambda named: self.outputs(named["w"], few), {"w": self.start}, seed=0)
            except ValueError:  # not homogeneous, not finite or zero everywhere
                return None

    def curvature(self, W: Tensor) -> Tensor:
        """An upper bound, shape (B,), on the norm of ∇² log L (margin losses) or ∇²L (squared loss) at W.

        In a linear network m_n is linear in each layer, and with R = max_n ‖x_n‖₂ and a_l the operator norm of layer l
        (`LinearNetwork.operator_norms`)

            ‖∇m_n‖² ≤ R² Σ_l Π_{k≠l} a_k²,    ‖∇²m_n‖ ≤ R max_l Σ_{j≠l} Π_{k≠l,j} a_k,

        the second because the norm of a block matrix is at most its largest row sum of block norms. And
        ‖∇² log L‖ ≤ max ‖∇m_n‖² + max ‖∇²m_n‖ since Σp ≤ 1. At L = 1 this is R², the constant of the linear theory.
        For the squared loss R² becomes ‖X‖² and R becomes ‖X‖·‖f − y‖, with the spectral norm of X.

        Raises ValueError for modules that are not this package's linear networks: no such bound is known.
        """
        if self._linear is None:
            raise ValueError(
                f"no safe step size is known for {type(self._model).__name__}, which is not one of this package's "
                "linear networks: give the schedule a step, as in ConstantStep(1e-3), or use ArmijoLineSearch()"
            )
        if self._linear.depth == 1:
            return torch.full_like(W[:, 0], self._input_norm**2)
        with torch.no_grad():
            a = self._linear.operator_norms(self.layers(W))
        if self._linear.depth == 2:  # the formulas below with their single factors written out
            others, row_sums = a, torch.ones_like(a)
        else:
            others = torch.where(self._one, 1.0, a[:, None, :]).prod(dim=-1)
            row_sums = (torch.where(self._two, 1.0, a[:, None, None, :]).prod(dim=-1) * ~self._one).sum(dim=-1)
        bent = self._input_norm * row_sums.amax(dim=-1)
        if not self.loss.margin:
            bent = bent * torch.exp(0.5 * (self.log_loss(W) + math.log(2.0)))
        bound = self._input_norm**2 * others.square().sum(dim=-1) + bent
        return bound.clamp(min=torch.finfo(W.dtype).tiny)  # at w = 0 with L > 2 the gradient is zero too

    def parameters(self, W: Tensor) -> Mapping[str, Array]:
        """The weights by name, each with the run axis in front."""
        return {name: part.detach().cpu().numpy().copy() for name, part in zip(self.names, self.layers(W), strict=True)}
