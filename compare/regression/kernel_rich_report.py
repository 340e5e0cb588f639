"""The report of `compare kernel-rich`: its parts and their sections."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from compare.regression.finite_steps import step_runs, step_section
from compare.regression.initial_scales import Extremes, regimes, scale_section
from compare.regression.other_networks import factorizations, other_section, vector_networks
from compare.regression.regression_data import RegressionData, regression_data
from compare.reports.progress import run_parts
from compare.reports.report import Report, Section

if TYPE_CHECKING:
    from compare.experiments.kernel_rich import KernelRichComparison

VECTORS = (
    "A fully connected network moves β as a vector. From balanced weights it ends at the least ‖β‖^{3/2} − ⟨c, β⟩, c "
    "from the start. For other starts, and for convolutional networks, no potential is known: what small weights are "
    "said to favour is measured beside them, ‖β‖₂ and ‖β̂‖₁."
)
MATRICES = (
    "β = W₁W₂ᵀ from W₁ = αI, W₂ = 0, seen through ⟨X_n, β⟩. Where the X_n are symmetric and commute the flow stays "
    "in their eigenbasis, and the eigenvalues behave as a diagonal network of depth 2: the least nuclear norm as "
    "α → 0. For measurements that do not commute that is a conjecture with counterexamples, and is measured."
)


def kernel_rich_report(asked: KernelRichComparison) -> Report:
    """Every part that was asked for."""
    data = regression_data(asked.data, asked.y)
    parts = [(f"depth {depth}", partial(scales, data, depth, asked)) for depth in dict.fromkeys(asked.depths)]
    parts += [("finite steps", partial(steps, data, asked))] if asked.steps else []
    parts += [("other networks", partial(others, data, asked))] if asked.others else []
    done = run_parts(parts, "Kernel to rich", show=asked.progress)
    sections = [section for several in done.results for section in several]
    return asked.report(sections, done, on=data.name, used=[data.used], seeds=[asked.seed])


def scales(data: RegressionData, depth: int, asked: KernelRichComparison) -> list[Section]:
    """One depth at every initial scale. Deep networks leave α = 0.001 after a time of 1/α^{L−2}, which costs steps."""
    found = regimes(data, depth, tuple(dict.fromkeys(asked.inits)), asked.seed)
    return [scale_section(data, depth, found, Extremes.of(data))]


def steps(data: RegressionData, asked: KernelRichComparison) -> list[Section]:
    """Gradient descent."""
    return [step_section(data, step_runs(data, asked.step_init, asked.shares, asked.steps, asked.seed))]


def others(data: RegressionData, asked: KernelRichComparison) -> list[Section]:
    """Fully connected, convolutional, matrix factorization."""
    vectors = vector_networks(data, asked.other_init, asked.seed)
    matrices = factorizations(tuple(dict.fromkeys(asked.matrix_inits)), asked.seed)
    return [
        other_section(f"{data.name}: fully connected and convolutional networks", VECTORS, vectors),
        other_section("Matrix factorization", MATRICES, matrices),
    ]
