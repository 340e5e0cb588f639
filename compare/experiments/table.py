"""The table of experiments: command name, Python function, one line of help.

**A new experiment is one file and one line here.** The file defines a subclass of
`compare.experiments.protocol.Experiment` and its function, `compare_<name> = function_of(<Class>, "compare_<name>")`.
From that line it is a function of `compare`, a command of `implicitbias compare`, and a part of bare
`implicitbias compare`. This file imports nothing, so that the command line answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of a table of commands: where the command is defined ("module:attribute") and one line of help."""

    target: str
    help: str

    @property
    def module(self) -> str:
        """The module's dotted name."""
        return self.target.partition(":")[0]

    @property
    def attribute(self) -> str:
        """The name in that module."""
        return self.target.partition(":")[2]

    def load(self) -> Any:
        """Import the module and return the object."""
        return getattr(import_module(self.module), self.attribute)


def _table(*lines: tuple[str, str, str]) -> dict[str, Row]:
    return {name: Row(f"compare.experiments.{target}", help) for name, target, help in lines}


EXPERIMENTS = _table(
    ("margin", "margin:compare_margin", "Max margin of linear networks (classification)."),
    ("depth", "depth:compare_depths", "Depth 1 to 6: the support of the limit as p = 2/L falls."),
    ("scale", "initial_scale:compare_scales", "Initial scale against time: kernel regime to rich regime."),
    ("kernel-rich", "kernel_rich:compare_kernel_rich", "Regression at every initial scale: ℓ2 to ℓ1."),
    ("losses", "losses:compare_losses", "Logistic loss and exponential loss: one limit or two."),
    ("path", "path:compare_paths", "Optimization path beside regularization path, separable data or not."),
    ("padding", "padding:compare_paddings", "Zero padding and narrow kernels: KKT points in weight space."),
    ("outputs", "outputs:compare_outputs", "Several outputs: the Schatten norms, nuclear at depth 2."),
    ("optimizers", "optimizers:compare_optimizers", "The optimizer's norm: sign ℓ∞, coordinate ℓ1, Muon spectral."),
    ("relu", "relu:compare_relu", "Two-layer ReLU networks: how often the flow ends at the global optimum."),
    ("channels", "channels:compare_channels", "Multi-channel CNNs against the certified R_K max margin."),
    ("conjecture", "conjecture:compare_conjecture", "Search for predictors that cost more with few channels."),
    ("spline", "spline:compare_spline", "Wide ReLU networks against the weighted spline (regression)."),
    ("generators", "generators:compare_generators", "Untrained generators: iterations, image and noise."),
    ("denoising", "denoising:compare_denoising", "Early stopping is a filter; the deep decoder against TV."),
    ("recovery", "recovery:compare_recovery", "Few measurements: generators and their explicit limit."),
    ("mutants", "mutants:compare_mutants", "Wrong predictions, which must be refuted: a comparison can fail."),
)
"""`implicitbias compare <name>`. Bare `implicitbias compare` runs the quick form of each, in this order."""

APART = _table(
    ("paper", "paper:compare_paper", "A paper's statements and figures, line by line, in its order."),
    ("decay", "decay:compare_decay", "Weight decay λ → 0 beside the flow's limit and the explicit path."),
    ("bounded", "bounded:compare_bounded", "Narrow kernels: average pooling, depth 3, sparsity in wavelets."),
)
"""The same, but no part of bare `implicitbias compare`: they repeat its experiments, or take as long as all of it."""
