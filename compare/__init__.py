"""Where the two roads meet: measures, experiments, reports, the command line.

Names are loaded when they are first used: the command line must answer before torch has been imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compare.channels.channels import compare_channels
    from compare.channels.data import load_channels
    from compare.data.dataset import DataError, Dataset
    from compare.data.load import load
    from compare.function_distance import l2_distance, uniform_distance
    from compare.margin.depth import compare_depths
    from compare.margin.initial_scale import compare_scales
    from compare.margin.losses import compare_losses
    from compare.margin.margin import compare_margin
    from compare.margin.outputs import compare_outputs
    from compare.margin.padding import compare_paddings
    from compare.measures import angle, margin_gap, normalized_margin
    from compare.reports.findings import Check, Column, Figure, Section
    from compare.reports.provenance import Provenance
    from compare.reports.report import Report
    from compare.spline.spline import compare_spline
    from compare.sweep.store import load_sweep
    from compare.sweep.sweep import run_sweep

HOMES = {
    "angle": "compare.measures",
    "margin_gap": "compare.measures",
    "normalized_margin": "compare.measures",
    "uniform_distance": "compare.function_distance",
    "l2_distance": "compare.function_distance",
    "compare_margin": "compare.margin.margin",
    "compare_depths": "compare.margin.depth",
    "compare_scales": "compare.margin.initial_scale",
    "compare_losses": "compare.margin.losses",
    "compare_paddings": "compare.margin.padding",
    "compare_outputs": "compare.margin.outputs",
    "compare_channels": "compare.channels.channels",
    "compare_spline": "compare.spline.spline",
    "run_sweep": "compare.sweep.sweep",
    "load_sweep": "compare.sweep.store",
    "load": "compare.data.load",
    "load_channels": "compare.channels.data",
    "Dataset": "compare.data.dataset",
    "DataError": "compare.data.dataset",
    "Report": "compare.reports.report",
    "Section": "compare.reports.findings",
    "Column": "compare.reports.findings",
    "Check": "compare.reports.findings",
    "Figure": "compare.reports.findings",
    "Provenance": "compare.reports.provenance",
}
"""Each public name and the file that defines it."""

__all__ = [
    "angle", "margin_gap", "normalized_margin", "uniform_distance", "l2_distance",
    "compare_margin", "compare_depths", "compare_scales", "compare_losses", "compare_paddings", "compare_outputs",
    "compare_channels", "compare_spline",
    "run_sweep", "load_sweep",
    "load", "load_channels", "Dataset", "DataError",
    "Report", "Section", "Column", "Check", "Figure", "Provenance",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'compare' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
