"""The report of the mutants: which trials there are, and a section for each kind of network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from compare.bounded.signals import gaussian_signals
from compare.channels.channel_data import load_channels
from compare.data.dataset import Dataset
from compare.data.load import load
from compare.generators.denoising_filter import example_signal
from compare.margin.output_limits import planted, planted_classes, wine
from compare.mutants.bounded_mutants import minima_trial, pooling_trial, wavelet_trial
from compare.mutants.decay_mutants import decay_trial
from compare.mutants.function_mutants import diabetes, filter_trial, scan_line, spline_trial
from compare.mutants.generator_mutants import TRIALS as GENERATOR_TRIALS
from compare.mutants.margin_mutants import WRONG, WRONG_OF_CLASSES, margin_trial
from compare.mutants.network_mutants import channel_trial, outputs_trial, padding_trial, relu_kkt_trial
from compare.mutants.optimizer_mutants import optimizer_trial
from compare.mutants.path_mutants import path_trial
from compare.mutants.regression_mutants import TRIALS
from compare.mutants.relu_mutants import relu_trial
from compare.mutants.trial import Trial, section
from compare.mutants.wide_mutants import inputs_trial, printed_start_trial, training_trial
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
PLANES = ("random:6,2,6", "synthetic:10,2,4")
"""Points of two-layer ReLU networks, of a rank at which the optimum is enumerated."""
RELU_POINTS = "random:20,10,0"
"""Of a wide one, whose limit is held to the KKT conditions of other networks."""
CHANNELS, GENERATORS = 4096, (0, 1, 2, 3)

Part = tuple[str, Callable[[], Trial]]


def mutant_report(asked: MutantComparison) -> Report:
    """Every trial that was asked for."""
    datasets = asked.datasets()
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
    of_kind = PARTS.get(kind, partial(_margins, kind))
    for name, trial in of_kind(asked, datasets):
        yield f"{kind}, {name}", trial


def _margins(kind: str, asked: MutantComparison, datasets: list[Dataset]) -> Iterator[Part]:
    """One architecture, at every depth that has wrong predictions."""
    images = kind.endswith("2-D")
    for dataset in datasets:
        if (dataset.image_shape is not None) is images:
            for depth in (d for d in asked.depths if (kind, d) in WRONG):
                yield f"{dataset.name}, L={depth}", partial(margin_trial, dataset, kind, depth, asked.seed, asked.init)


def _padding(asked: MutantComparison, datasets: list[Dataset]) -> Iterator[Part]:
    for dataset in _tables(datasets):
        yield dataset.name, partial(padding_trial, dataset, KERNELS[0], 2, asked.seed, asked.init)


def _outputs(asked: MutantComparison, _: list[Dataset]) -> Iterator[Part]:
    for table, labels in (planted(10, 6, 3, asked.seed), wine()):
        yield table.name, partial(outputs_trial, table.name, table.X, labels, asked.seed, asked.init)


def _classes(asked: MutantComparison, _: list[Dataset]) -> Iterator[Part]:
    # at depth 3 the convolutional flow on wine ends where its residual has just fallen below the resolution
    for table, deepest in ((planted_classes(10, 20, 3, asked.seed), 3), (load("wine", several=True), 2)):
        for name, depth in WRONG_OF_CLASSES:
            if depth in (1, *asked.depths) and depth <= deepest:
                trial = partial(margin_trial, table, name, depth, asked.seed, asked.init)
                yield f"{table.name}, {name}, L={depth}", trial


def _channels(asked: MutantComparison, datasets: list[Dataset]) -> Iterator[Part]:
    for source, dataset in zip(asked.data, datasets, strict=True):
        if dataset.image_shape is None:
            for K, C in zip(KERNELS, (2, 1), strict=True):
                trial = partial(channel_trial, load_channels(source), K, C, asked.seed, asked.init)
                yield f"{source}, K={K}", trial


def _optimizers(asked: MutantComparison, _: list[Dataset]) -> Iterator[Part]:
    data = load(f"synthetic:6,10,{asked.seed}")
    for outputs in (1, 3):
        for name in ("gradient", "sign", "adam", "coordinate", "spectral"):
            trial = partial(optimizer_trial, data, name, steps=STEPS, seed=asked.seed, outputs=outputs)
            yield f"{name}, {outputs} outputs", trial


def _path(_: MutantComparison, __: list[Dataset]) -> Iterator[Part]:
    for name in ("partial:40,6,0", "synthetic:12,8,3"):
        yield name, partial(path_trial, load(name))


def _decay(asked: MutantComparison, _: list[Dataset]) -> Iterator[Part]:
    data = load("synthetic:4,6,0")
    yield data.name, partial(decay_trial, data, asked.seed)


def _bounded(asked: MutantComparison, _: list[Dataset]) -> Iterator[Part]:
    signals = gaussian_signals(6, 8, 0)
    yield f"pooling, {signals.name}", partial(pooling_trial, signals, asked.seed)
    yield f"local minima, {signals.name}", partial(minima_trial, signals, asked.seed)
    yield "wavelets", partial(wavelet_trial, 8, 12, 64, 40)


def _wide(_: MutantComparison, __: list[Dataset]) -> Iterator[Part]:
    yield "two inputs", partial(inputs_trial, 2, 640, 16)
    yield "f₀ ≠ 0", partial(printed_start_trial, BUILTIN, "gaussian:1,1", 10240, 24)
    yield "training", partial(training_trial, BUILTIN, "uniform:1,2")


def _relu(asked: MutantComparison, __: list[Dataset]) -> Iterator[Part]:
    for plane in map(load, PLANES):
        yield plane.name, partial(relu_trial, plane.name, plane.X, plane.y)
    points = load(RELU_POINTS)
    yield points.name, partial(relu_kkt_trial, points.name, points.X, points.y, 50, asked.seed)


def _regression(asked: MutantComparison, _: list[Dataset]) -> Iterator[Part]:
    for name, trial in TRIALS.items():
        yield name, partial(trial, regression_data(REGRESSION, None), asked.seed)


def _spline(_: MutantComparison, __: list[Dataset]) -> Iterator[Part]:
    for case in (BUILTIN, diabetes()):
        for law in ("gaussian:1,1", "gaussian:1,0.316228", "uniform:1,1"):
            yield f"{case.name}, {law}", partial(spline_trial, case, law, WIDTH, NETWORKS)


def _filter(_: MutantComparison, __: list[Dataset]) -> Iterator[Part]:
    for name, signal in (("three low frequencies", example_signal(128)), ("a row of the camera man", scan_line())):
        yield name, partial(filter_trial, name, signal, CHANNELS, GENERATORS)


def _generators(_: MutantComparison, __: list[Dataset]) -> Iterator[Part]:
    yield from GENERATOR_TRIALS.items()


def _tables(datasets: list[Dataset]) -> list[Dataset]:
    return [dataset for dataset in datasets if dataset.image_shape is None]


PARTS: dict[str, Callable[[MutantComparison, list[Dataset]], Iterator[Part]]] = {
    "padding": _padding, "outputs": _outputs, "classes": _classes, "channels": _channels, "optimizers": _optimizers,
    "path": _path, "decay": _decay, "bounded": _bounded, "wide": _wide, "relu": _relu,
    "regression": _regression, "spline": _spline, "filter": _filter, "generators": _generators,
}  # fmt: skip
"""The trials of each kind that is not an architecture of the margin comparison."""
