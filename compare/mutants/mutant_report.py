"""The report of the mutants: which trials there are, and a section for each kind of network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from compare.channels.channel_data import load_channels
from compare.data.dataset import Dataset
from compare.data.load import load
from compare.generators.denoising_filter import example_signal
from compare.margin.output_limits import planted, planted_classes, wine
from compare.mutants.function_mutants import diabetes, filter_trial, scan_line, spline_trial
from compare.mutants.margin_mutants import WRONG, WRONG_OF_CLASSES, margin_trial
from compare.mutants.network_mutants import channel_trial, outputs_trial, padding_trial
from compare.mutants.optimizer_mutants import optimizer_trial
from compare.mutants.path_mutants import path_trial
from compare.mutants.regression_mutants import TRIALS
from compare.mutants.relu_mutants import relu_trial
from compare.mutants.trial import Trial, section
from compare.regression.regression_data import regression_data
from compare.reports.progress import run_parts
from compare.reports.report import Report
from compare.spline.spline_cases import BUILTIN

if TYPE_CHECKING:
    from compare.experiments.mutants import MutantComparison

TEXT = (
    "The network is trained once; each prediction then goes through the comparison's own code, which is not told "
    "whether it is right. A wrong prediction whose certified answer is not further from the right one than the "
    "comparison resolves is equivalent, and is not counted."
)
KERNELS = (3, 2)
"""Kernel sizes of padded and multi-channel networks."""
STEPS = 12_000
"""Of optimizers: then all runs are extrapolated to 5e-3."""
REGRESSION = "sparse:10,20,2,0"
WIDTH, NETWORKS = 1280, 24
PLANES = ("random:6,2,0", "synthetic:10,2,4")
"""Points of two-layer ReLU networks, of a rank at which the optimum is enumerated."""
CHANNELS, GENERATORS = 4096, (0, 1, 2, 3)

Part = tuple[str, Callable[[], Trial]]


def mutant_report(asked: MutantComparison) -> Report:
    """Every trial that was asked for."""
    datasets = [load(name, several=False) for name in asked.data]
    chosen = [(kind, part) for kind in asked.kinds for part in parts(kind, asked, datasets)]
    done = run_parts([part for _, part in chosen], "Mutants", show=asked.progress)
    finished = list(zip((kind for kind, _ in chosen), done.results, strict=False))
    sections = [
        section(f"Mutants: {kind}", TEXT, [trial for mine, trial in finished if mine == kind])
        for kind in dict.fromkeys(kind for kind, _ in finished)
    ]
    return asked.report(sections, done, used=[dataset.used for dataset in datasets], seeds=[asked.seed])


def parts(kind: str, asked: MutantComparison, datasets: list[Dataset]) -> Iterator[Part]:
    """The trials of one kind, each with a name for the progress bar."""
    seed, init = asked.seed, asked.init
    points = [dataset for dataset in datasets if dataset.image_shape is None]
    if kind == "padding":
        for dataset in points:
            yield f"{kind}, {dataset.name}", partial(padding_trial, dataset, KERNELS[0], 2, seed, init)
    elif kind == "outputs":
        for table, labels in (planted(10, 6, 3, seed), wine()):
            yield f"{kind}, {table.name}", partial(outputs_trial, table.name, table.X, labels, seed, init)
    elif kind == "classes":
        # at depth 3 the convolutional flow on wine ends where its residual has just fallen below the resolution
        for table, deepest in ((planted_classes(10, 20, 3, seed), 3), (load("wine", several=True), 2)):
            for name, depth in WRONG_OF_CLASSES:
                if depth in (1, *asked.depths) and depth <= deepest:
                    of_classes = partial(margin_trial, table, name, depth, seed, init)
                    yield f"{kind}, {table.name}, {name}, L={depth}", of_classes
    elif kind == "channels":
        for name in asked.data:
            if load(name).image_shape is None:
                for K, C in zip(KERNELS, (2, 1), strict=True):
                    yield f"{kind}, {name}, K={K}", partial(channel_trial, load_channels(name), K, C, seed, init)
    elif kind == "optimizers":
        for outputs in (1, 3):
            for name in ("gradient", "sign", "adam", "coordinate", "spectral"):
                data = load(f"synthetic:6,10,{seed}")
                run = partial(optimizer_trial, data, name, steps=STEPS, seed=seed, outputs=outputs)
                yield f"{kind}, {name}, {outputs} outputs", run
    elif kind == "path":
        for name in ("partial:40,6,0", "synthetic:12,8,3"):
            yield f"{kind}, {name}", partial(path_trial, load(name))
    elif kind == "relu":
        for plane in map(load, PLANES):
            yield f"{kind}, {plane.name}", partial(relu_trial, plane.name, plane.X, plane.y)
    elif kind == "regression":
        for name, trial in TRIALS.items():
            yield f"{kind}, {name}", partial(trial, regression_data(REGRESSION, None), seed)
    elif kind == "spline":
        for case in (BUILTIN, diabetes()):
            for law in ("gaussian:1,1", "gaussian:1,0.316228", "uniform:1,1"):
                yield f"{kind}, {case.name}, {law}", partial(spline_trial, case, law, WIDTH, NETWORKS)
    elif kind == "filter":
        for name, signal in (("three low frequencies", example_signal(128)), ("a row of the camera man", scan_line())):
            yield f"{kind}, {name}", partial(filter_trial, name, signal, CHANNELS, GENERATORS)
    else:
        images = kind.endswith("2-D")
        for dataset in datasets:
            if (dataset.image_shape is not None) is images:
                for depth in (d for d in asked.depths if (kind, d) in WRONG):
                    yield f"{kind}, {dataset.name}, L={depth}", partial(margin_trial, dataset, kind, depth, seed, init)
