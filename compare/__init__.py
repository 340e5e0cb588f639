"""Where the two roads meet: measures, experiments, reports, the command line.

Names are loaded when they are first used: the command line must answer before torch has been imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compare.channels import compare_channels
    from compare.channels_data import load_channels
    from compare.data import load
    from compare.dataset import DataError, Dataset
    from compare.depth import compare_depths
    from compare.findings import Check, Column, Figure, Section
    from compare.function_distance import l2_distance, uniform_distance
    from compare.initial_scale import compare_scales
    from compare.losses import compare_losses
    from compare.margin import compare_margin
    from compare.measures import angle, margin_gap, normalized_margin
    from compare.outputs import compare_outputs
    from compare.padding import compare_paddings
    from compare.provenance import Provenance
    from compare.report import Report
    from compare.spline import compare_spline
    from compare.sweep import run_sweep
    from compare.sweep_store import load_sweep

HOMES = {
    "angle": "compare.measures",
    "margin_gap": "compare.measures",
    "normalized_margin": "compare.measures",
    "uniform_distance": "compare.function_distance",
    "l2_distance": "compare.function_distance",
    "compare_margin": "compare.margin",
    "compare_depths": "compare.depth",
    "compare_scales": "compare.initial_scale",
    "compare_losses": "compare.losses",
    "compare_paddings": "compare.padding",
    "compare_outputs": "compare.outputs",
    "compare_channels": "compare.channels",
    "compare_spline": "compare.spline",
    "run_sweep": "compare.sweep",
    "load_sweep": "compare.sweep_store",
    "load": "compare.data",
    "load_channels": "compare.channels_data",
    "Dataset": "compare.dataset",
    "DataError": "compare.dataset",
    "Report": "compare.report",
    "Section": "compare.findings",
    "Column": "compare.findings",
    "Check": "compare.findings",
    "Figure": "compare.findings",
    "Provenance": "compare.provenance",
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
