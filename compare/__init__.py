"""Where the explicit side and the network side meet: measures, experiments, reports, the command line.

Names are loaded when they are first used: the command line must answer before torch has been imported. The functions of
the experiments come from `compare.experiments.table`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from compare.experiments.table import APART, EXPERIMENTS

if TYPE_CHECKING:
    from compare.channels.channel_data import load_channels as load_channels
    from compare.data.dataset import DataError as DataError
    from compare.data.dataset import Dataset as Dataset
    from compare.data.load import load as load
    from compare.experiments.bounded import compare_bounded as compare_bounded
    from compare.experiments.channels import compare_channels as compare_channels
    from compare.experiments.conjecture import compare_conjecture as compare_conjecture
    from compare.experiments.decay import compare_decay as compare_decay
    from compare.experiments.denoising import compare_denoising as compare_denoising
    from compare.experiments.depth import compare_depths as compare_depths
    from compare.experiments.generators import compare_generators as compare_generators
    from compare.experiments.initial_scale import compare_scales as compare_scales
    from compare.experiments.kernel_rich import compare_kernel_rich as compare_kernel_rich
    from compare.experiments.losses import compare_losses as compare_losses
    from compare.experiments.margin import compare_margin as compare_margin
    from compare.experiments.mutants import compare_mutants as compare_mutants
    from compare.experiments.optimizers import compare_optimizers as compare_optimizers
    from compare.experiments.outputs import compare_outputs as compare_outputs
    from compare.experiments.padding import compare_paddings as compare_paddings
    from compare.experiments.paper import compare_paper as compare_paper
    from compare.experiments.path import compare_paths as compare_paths
    from compare.experiments.recovery import compare_recovery as compare_recovery
    from compare.experiments.relu import compare_relu as compare_relu
    from compare.experiments.spline import compare_spline as compare_spline
    from compare.function_distance import l2_distance as l2_distance
    from compare.function_distance import uniform_distance as uniform_distance
    from compare.generators.image_sources import load_image_folder as load_image_folder
    from compare.generators.image_sources import load_images as load_images
    from compare.measures import angle as angle
    from compare.measures import margin_gap as margin_gap
    from compare.measures import normalized_margin as normalized_margin
    from compare.reports.findings import Check as Check
    from compare.reports.findings import Column as Column
    from compare.reports.findings import Figure as Figure
    from compare.reports.findings import Section as Section
    from compare.reports.provenance import Provenance as Provenance
    from compare.reports.report import Report as Report
    from compare.reports.verdict import Verdict as Verdict
    from compare.sweep.frame import load_sweep as load_sweep
    from compare.sweep.sweep import run_sweep as run_sweep

HOMES = {
    "angle": "compare.measures",
    "margin_gap": "compare.measures",
    "normalized_margin": "compare.measures",
    "uniform_distance": "compare.function_distance",
    "l2_distance": "compare.function_distance",
    "run_sweep": "compare.sweep.sweep",
    "load_sweep": "compare.sweep.frame",
    "load": "compare.data.load",
    "load_channels": "compare.channels.channel_data",
    "load_images": "compare.generators.image_sources",
    "load_image_folder": "compare.generators.image_sources",
    "Dataset": "compare.data.dataset",
    "DataError": "compare.data.dataset",
    "Report": "compare.reports.report",
    "Section": "compare.reports.findings",
    "Column": "compare.reports.findings",
    "Check": "compare.reports.findings",
    "Verdict": "compare.reports.verdict",
    "Figure": "compare.reports.findings",
    "Provenance": "compare.reports.provenance",
}
"""Each public name but the experiments', and the file that defines it."""

__all__ = [*HOMES, *(row.attribute for row in (EXPERIMENTS | APART).values())]


def __getattr__(name: str) -> Any:
    homes = HOMES | {row.attribute: row.module for row in (EXPERIMENTS | APART).values()}
    if name not in homes:
        raise AttributeError(f"module 'compare' has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
