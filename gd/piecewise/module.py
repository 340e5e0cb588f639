"""A module's margins as a piecewise smooth function of its weights, with all kinks, held states, and derivatives.

Kinks are numbered: first those of the samples, sample by sample, then those of the weights alone. A kink belongs to
the margins that it bends, whichever layout the module gives its tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gd.piecewise.builder import HiddenKinkError
from gd.piecewise.program import Evaluation, Program, Rectifier, States
from gd.piecewise.rows import Block, Outer, Rows
from gd.piecewise.stack import matrices
from gd.piecewise.switches import as_program
from gd.piecewise.trace import ReadsDataError, Trace, trace
from gd.piecewise.two_layers import TwoLayers, two_layers

SAME = 1e-10  # relative: outputs of the program and of the module itself
PROBES = 2  # random weights at which jumps are measured, and the program compared with the module

Outputs = Callable[[Sequence[Tensor], Tensor], Tensor]
"""(parameters, X) ↦ f(X), a pure function."""


@dataclass(frozen=True)
class Derivatives:
    """Margins, pre-activations and their gradients at held gates."""

    margins: Tensor
    """(C,)."""
    z: Tensor
    """Of all kinks."""
    rows: Rows
    """∇m, then ∇z at the kinks asked for: (C + K, P)."""
    sensitivity: Tensor
    """∂/∂(output of the rectifier) of margins and of z asked for, by the kinks of the row's own sample, then those of
    weights: (C + K, U + V)."""
    items: Tensor
    """The sample of every row, (C + K,)."""


class PiecewiseMargins:
    """m_c(θ) = y_c f_c(X; θ) with every kink of f.

    Args:
        outputs: f as a pure function.
        sizes: shapes of the parameters that θ consists of.
        X: (N, …).
        y: labels, (N,) or (N, M).
        start: θ (P,), near which random weights are drawn.
        seed: of these.

    Raises HiddenKinkError or UntraceableError where kinks cannot be located.
    """

    def __init__(
        self, outputs: Outputs, sizes: Sequence[tuple[int, ...]], X: Tensor, y: Tensor, start: Tensor, seed: int
    ) -> None:
        self._sizes, self.y = list(sizes), y.flatten()
        generator = torch.Generator().manual_seed(seed)
        spread = float(start.abs().mean()) or 1.0
        noise = [torch.randn(start.numel(), generator=generator, dtype=torch.float64) for _ in range(PROBES)]
        probes = [start + spread * n.to(start.device) for n in noise]
        self.program = self._program(outputs, X, probes, start)
        self.n_items = self.program.n_items
        self.outputs_of_item = self.y.numel() // self.n_items
        self.n_units, self.n_weight_units = self.program.n_units, self.program.n_weight_units
        self.n_kinks = self.n_items * self.n_units + self.n_weight_units
        self._stack = matrices(self.program, self.split(start))
        self._two_layers = two_layers(self.program, [self.split(start), self.split(probes[0])])
        self._expanded = self.program.expanded() if self._stack is None else None
        device = X.device
        self._item_of_constraint = torch.arange(self.y.numel(), device=device) // self.outputs_of_item

    def _program(self, outputs: Outputs, X: Tensor, probes: Sequence[Tensor], start: Tensor) -> Program:
        """By one sample where samples do not meet, else with all data as constants."""
        split = [self.split(probe) for probe in probes]
        expected = [outputs(p, X).detach().reshape(-1) for p in (*split, self.split(start))]

        def agrees(program: Program) -> bool:
            for p, f in zip((*split, self.split(start)), expected, strict=True):
                found = program.evaluate(p).output.reshape(-1)
                if found.shape != f.shape or float((found - f).abs().max()) > SAME * float(f.abs().max()):
                    return False
            return True

        def one_item(*values: Tensor) -> Tensor:
            return outputs(values[:-1], values[-1])

        try:
            program = as_program(trace(one_item, split[0], X[:1]), split, X[:, None])
            if agrees(program):
                return program
        except (ReadsDataError, RuntimeError):
            pass  # a module that takes no single sample, or in which samples meet
        whole: Trace = trace(lambda *values: outputs(values, X), split[0])
        program = as_program(whole, split, X.new_zeros(1, 1))
        if agrees(program):
            return program
        raise HiddenKinkError(
            "the forward pass gives other outputs than the list of torch operations that it calls, so it is no fixed "
            "function of the weights"
        )

    @property
    def stacked(self) -> bool:
        """Whether the module is a stack of matrices, whose gradients are products of two vectors."""
        return self._stack is not None

    def split(self, theta: Tensor) -> list[Tensor]:
        """θ (…, P) as parameters."""
        parts = torch.split(theta, [math.prod(size) for size in self._sizes], dim=-1)
        return [part.reshape((*theta.shape[:-1], *size)) for part, size in zip(parts, self._sizes, strict=True)]

    def states(self, of_kinks: Tensor) -> States:
        """Values of all kinks, sorted by sample: the argument of the program."""
        of_items, of_weights = torch.split(of_kinks, [self.n_items * self.n_units, self.n_weight_units])
        return States(of_items.view(self.n_items, self.n_units), of_weights)

    def _both(self, found: Evaluation) -> tuple[Tensor, Tensor]:
        return self.y * found.output.reshape(-1), torch.cat([found.z_items.reshape(-1), found.z_weights])

    def plain(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """m and all z at θ (P,)."""
        with torch.no_grad():
            return self._both(self.program.evaluate(self.split(theta)))

    def gated(self, theta: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
        """m and all z with gates in {0, 1}, smooth in θ."""
        return self._both(self.program.evaluate(self.split(theta), gates=self.states(gates)))

    def conserved(self, theta: Tensor) -> Tensor | None:
        """Balancedness of consecutive matrices at θ (B, P): whole between linear layers, diagonal across rectifiers.

        None unless the module is a stack of matrices.
        """
        if self._stack is None:
            return None
        weights = self.split(theta)
        matrices = [w if layer.transposed else w.mT for w, layer in zip(weights, self._stack, strict=True)]
        place = {layer.node: i for i, layer in enumerate(self._stack)}
        parts = []
        for after, layer in zip(matrices, self._stack, strict=True):
            source, bent = self._source(layer.input)
            if source in place:
                before = matrices[place[source]]
                difference = after.mT @ after - before @ before.mT
                parts.append(difference.diagonal(dim1=1, dim2=2) if bent else difference.flatten(1))
        return torch.cat(parts, 1) if parts else None

    def two_layers(self, theta: Tensor) -> TwoLayers | None:
        """The module as f(x) = Σ_j a_j φ(w_j·x), at θ (P,); None unless it is that."""
        return None if self._two_layers is None else self._two_layers.at(self.split(theta))

    def _source(self, index: int) -> tuple[int, bool]:
        """The node that a value comes from through rectifiers alone, and whether there are any."""
        node, bent = self.program.nodes[index], False
        while isinstance(node.func, Rectifier):
            index, bent = node.args[0].index, True
            node = self.program.nodes[index]
        return index, bent

    def bounds(self, found: Derivatives, multipliers: Tensor) -> Tensor:
        """−∂(Σ_c p_c m_c − Σ_k q_k z_k)/∂(output of the rectifier) of all kinks, for multipliers (p, q) of the rows.

        Positive where both sides push towards z = 0. The multiplier q_k of a kink that the flow slides along stands for
        what the margins gain by its output, and passes through to the rectifiers before it.
        """
        signed = torch.cat([multipliers[: found.margins.shape[0]], -multipliers[found.margins.shape[0] :]])
        weighted = signed[:, None] * found.sensitivity
        of_items = weighted.new_zeros(self.n_items, self.n_units).index_add(0, found.items, weighted[:, : self.n_units])
        return -torch.cat([of_items.flatten(), weighted[:, self.n_units :].sum(0)])

    def bends(self, found: Derivatives, kinks: Tensor) -> Tensor:
        """The bounds of these kinks as a table (K, C + K) of what a row's multiplier adds; zero for other samples."""
        C = found.margins.shape[0]
        signed = torch.cat([-found.sensitivity[:C], found.sensitivity[C:]])
        table = signed.new_zeros(kinks.shape[0], signed.shape[0])
        of_items = kinks < self.n_items * self.n_units
        items, units = kinks // max(self.n_units, 1), kinks % max(self.n_units, 1)
        own = of_items[:, None] & (items[:, None] == found.items)
        if self.n_units:
            table = torch.where(own, signed[:, torch.where(of_items, units, 0)].T, table)
        if self.n_weight_units:
            weights = torch.where(of_items, 0, self.n_units + kinks - self.n_items * self.n_units)
            table = torch.where(of_items[:, None], table, signed[:, weights].T)
        return table

    def change(self, theta: Tensor, gates: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
        """All z at held gates, and their derivatives along a direction (P,)."""
        # the derivative by u of ⟨Zᵀu, move⟩: torch's own forward mode takes a second to import
        with torch.enable_grad():
            t = theta.detach().requires_grad_()
            z = self.gated(t, gates)[1]
            u = torch.ones_like(z, requires_grad=True)
            (pulled,) = torch.autograd.grad((z * u).sum(), t, create_graph=True)
            (change,) = torch.autograd.grad((pulled * move).sum(), u)
        return z.detach(), change

    def derivatives(self, theta: Tensor, gates: Tensor, kinks: Tensor) -> Derivatives:
        """Everything that a step needs, at held gates and for these kinks (numbers, (K,))."""
        with torch.no_grad():
            z = self.gated(theta, gates)[1] if self.n_kinks else theta[:0]
        of_items = kinks < self.n_items * self.n_units
        items = torch.cat([self._item_of_constraint, torch.where(of_items, kinks // max(self.n_units, 1), 0)])
        columns = torch.where(
            of_items, kinks % max(self.n_units, 1), self.n_units + kinks - self.n_items * self.n_units
        )
        states = self.states(gates)
        count, C = items.shape[0], self.y.numel()
        picked = torch.arange(C, device=theta.device) % self.outputs_of_item
        both = torch.cat([states.of_items[items], states.of_weights.expand(count, -1)], 1)
        offset = torch.zeros_like(both, requires_grad=True)

        def of_rows(found: Evaluation) -> tuple[Tensor, Tensor]:
            margins = self.y * found.output[torch.arange(C, device=theta.device), picked]
            return margins, found.z_items[torch.arange(C, count, device=theta.device), columns]

        with torch.enable_grad():
            m, blocks, delta = (
                self._dense_rows(theta, items, both, offset, of_rows)
                if self._stack is None
                else self._outer_rows(theta, items, both, offset, of_rows)
            )
        return Derivatives(m.detach(), z, Rows(blocks), delta, items)

    def _dense_rows(
        self,
        theta: Tensor,
        items: Tensor,
        gates: Tensor,
        offset: Tensor,
        of_rows: Callable[[Evaluation], tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, list[Block], Tensor]:
        """With weights of their own for every row, which the gradient of the sum tells apart."""
        assert self._expanded is not None
        count = items.shape[0]
        weights = [p.detach().expand(count, *p.shape).requires_grad_() for p in self.split(theta)]
        none = gates.new_zeros(0)
        found = self._expanded.evaluate(weights, items, States(gates, none), States(offset, none))
        m, z = of_rows(found)
        *found_rows, delta = torch.autograd.grad(m.sum() + z.sum(), [*weights, offset], materialize_grads=True)
        return m, [row.reshape(count, -1) for row in found_rows], delta

    def _outer_rows(
        self,
        theta: Tensor,
        items: Tensor,
        gates: Tensor,
        offset: Tensor,
        of_rows: Callable[[Evaluation], tuple[Tensor, Tensor]],
    ) -> tuple[Tensor, list[Block], Tensor]:
        """For a stack of matrices: each row's gradient is the product of the layer's input and its output's."""
        assert self._stack is not None
        weights = [p.detach() for p in self.split(theta)]
        none, count = gates.new_zeros(0), items.shape[0]
        taps: dict[int, Tensor | None] = {layer.node: None for layer in self._stack}
        found = self.program.evaluate(weights, items, States(gates, none), States(offset, none), taps)
        zeros = [zero for zero in taps.values() if zero is not None]
        m, z = of_rows(found)
        *errors, delta = torch.autograd.grad(m.sum() + z.sum(), [*zeros, offset], materialize_grads=True)
        blocks: list[Block] = []
        for layer, error in zip(self._stack, errors, strict=True):
            h, error = found.values[layer.input].detach().reshape(count, -1), error.reshape(count, -1)
            blocks.append(Outer(error, h) if layer.transposed else Outer(h, error))
        return m, blocks, delta
