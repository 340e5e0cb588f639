"""Signals from few measurements, by untrained generators and by what predicts them: the sections.

For the two-layer generator gradient descent on ½‖A G(C) − y‖² has a closed form at every step and a limit, the
measurement-consistent signal of least norm in the dual kernel. The trained network is held against it; on images a
deep decoder, total variation and wavelets are compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compare.generators.denoising_filter import example_signal
from compare.generators.generator_figures import strip
from compare.generators.image_sources import Image
from compare.generators.recovery_convex import rows_and_data, total_variation, wavelet_l1
from compare.reports.curves import MARKERS, Curve, curve_plot
from compare.reports.records import slug
from compare.reports.report import Check, Column, Figure, Section
from compare.reports.tables import table
from compare.reports.wording import number
from gd.images.conv_generator import ConvGenerator
from gd.images.descend_image import ImageTrajectory, descend_image
from gd.images.two_layer_generator import TwoLayerGenerator
from solvers.arrays import Array
from solvers.filters.compressive_sensing import (
    DenseMeasurement,
    FourierMeasurement,
    Measurement,
    gaussian_measurement,
    kernel_recovery,
)
from solvers.filters.dual_kernel import DualKernel, dual_kernel, gaussian_kernel

if TYPE_CHECKING:
    from compare.experiments.recovery import RecoveryComparison

REFERENCE = 'Heckel & Soltanolkotabi (2020), "Compressive sensing with un-trained neural networks"'
METHODS = ("explicit limit", "deep decoder", "total variation", "wavelet ℓ1")


def relative(x: Array, estimate: Array) -> float:
    """‖estimate − x‖₂ / ‖x‖₂."""
    return float(np.linalg.norm(estimate - x) / np.linalg.norm(x))


def variable_density_mask(shape: tuple[int, int], share: float, seed: int) -> NDArray[np.bool_]:
    """Random frequencies, the lower the likelier, the mean always: about share·H·W of them, closed under d → −d.

    Pairs ±d are drawn with weights 1/(radius + 1)² without replacement until the count is reached.
    """
    index = np.indices(shape).reshape(2, -1)
    reflected = np.ravel_multi_index(tuple((-index) % np.array(shape)[:, None]), shape)
    own = np.arange(index.shape[1])
    first = own[own <= reflected]
    lag = np.minimum(index, np.array(shape)[:, None] - index)
    weight = 1.0 / (np.hypot(*lag)[first] + 1.0) ** 2
    order = np.argsort(-np.log(np.random.default_rng(seed).random(first.size)) / weight)  # Efraimidis & Spirakis
    mask = np.zeros(index.shape[1], dtype=bool)
    mask[0] = True
    for i in first[order]:
        if mask.sum() >= share * mask.size:
            break
        mask[i] = mask[reflected[i]] = True
    return mask.reshape(shape)


def project(matrix: Tensor, signal: Tensor) -> Tensor:
    """A x."""
    return signal @ matrix.T


def follow_line(x: Array, u: Array, A: DenseMeasurement, k: int, steps: int) -> tuple[ImageTrajectory, float]:
    """The generator trained on A x with the step size 1/λ_max(AΣAᵀ), and that."""
    step = 1.0 / float(np.linalg.eigvalsh(A.matrix @ dual_kernel(u).matrix() @ A.matrix.T)[-1])
    net = TwoLayerGenerator(x.size, k, u, scale=float(np.linalg.norm(x)))
    measure = partial(project, torch.as_tensor(A.matrix))
    y = A.forward(x)
    path = descend_image(net, y, steps=steps, step=step, reduction="half_sum", snapshots=8, measurement=measure)
    return path, step


def trajectory_gap(x: Array, path: ImageTrajectory, kernel: DualKernel, A: DenseMeasurement, step: float) -> float:
    """The largest distance of the outputs to the explicit trajectory of this kernel and step size, over ‖x‖₂."""
    at = [kernel_recovery(kernel, A, A.forward(x), step=step, t=int(t)).signal for t in path.steps]
    return max(relative(x, x + path.outputs[s, 0] - predicted) for s, predicted in enumerate(at))


def line_section(
    *, n: int = 128, k: int = 1024, counts: Sequence[int] = (8, 16, 32, 64), steps: int = 200, kernel_width: float = 0.1
) -> Section:
    """The two-layer generator against its explicit trajectory and limit, in one dimension."""
    x = example_signal(n)
    u = gaussian_kernel(n, kernel_width)
    kernel = dual_kernel(u)
    lines = []
    for count in counts:
        A = gaussian_measurement(count, (n,), seed=count)
        y = A.forward(x)
        path, step = follow_line(x, u, A, k, steps)
        gap = trajectory_gap(x, path, kernel, A, step)
        limit = kernel_recovery(kernel, A, y)
        lines.append((count, relative(x, limit.signal), limit.residual, relative(x, path.output[0]), gap))
    _, limits, _, trained, gaps = zip(*lines, strict=True)
    columns = (
        Column("count", "measurements"),
        Column("limit", "explicit limit", "relative error", ".4f", "‖x̂ − x‖₂/‖x‖₂ of the least-norm signal."),
        Column("residual", "its residual", "‖Ax̂ − y‖/‖y‖", ".1e", "With x̂ = ΣA*α the proof of least norm."),
        Column("trained", "trained network", "relative error", ".4f", f"After {steps} steps."),
        Column("gap", "network to prediction", "‖·‖₂ / ‖x‖₂", ".4f", "Largest over the snapshots, same step."),
    )
    made = (trajectory_check("the trained network follows the explicit trajectory", max(gaps), k),)
    text = (
        f"A smooth signal of length {n}, Gaussian measurements, the two-layer generator with k = {k} and a "
        f"Gaussian kernel of width {kernel_width:g}, η = 1/λ_max(AΣA*). Prediction: "
        f"x_t = ΣA*K⁺[I − (I − ηK)^t]y, K = AΣA*."
    )
    figure = error_plot("line", np.array(counts) / n, {"explicit limit": limits, "trained network": trained})
    return Section("One dimension: the trajectory and its limit", text, *table(columns, lines), made, (figure,))


def trajectory_check(claim: str, gap: float, k: int) -> Check:
    """The largest distance of the network to a trajectory, over ‖x‖₂."""
    return Check.at_most(claim, gap, 4 / np.sqrt(k), reference=REFERENCE, reason=f"k = {k}; the tolerance is 4/√k")


def measurements(kind: str, shape: tuple[int, int], plan: RecoveryComparison) -> list[Measurement]:
    """One measurement per share."""
    size = shape[0] * shape[1]
    if kind == "Gaussian":
        return [gaussian_measurement(round(s * size), shape, seed=plan.seed) for s in plan.shares]
    return [FourierMeasurement(variable_density_mask(shape, s, plan.seed)) for s in plan.shares]


def deep_decoder(x: Array, taken: Sequence[Measurement], plan: RecoveryComparison) -> list[Array]:
    """One deep decoder per measurement, trained together on mean (A G(C) − y)²; the last outputs."""
    systems = [rows_and_data(m, m.forward(x)) for m in taken]
    longest = max(len(data) for _, data in systems)
    A = torch.zeros((len(taken), longest, x.size))
    y = torch.zeros((len(taken), longest))
    for i, (rows, data) in enumerate(systems):  # shorter ones are filled with equations 0 = 0
        A[i, : len(data)], y[i, : len(data)] = torch.as_tensor(rows), torch.as_tensor(data)

    def measure(image: Tensor) -> Tensor:
        return torch.einsum("bmn,bn->bm", A.to(image), image.flatten(1))

    net = ConvGenerator("bilinear", plan.channels, plan.depth, 1, x.shape, seeds=[plan.seed] * len(taken))
    path = descend_image(net, y, steps=plan.steps, step=plan.step, optimizer="adam", measurement=measure, snapshots=2)
    return [output[0].astype(np.float64) for output in path.output]


def image_section(image: Image, kind: str, plan: RecoveryComparison) -> Section:
    """Recovery error of an image against the number of measurements, all methods."""
    x = image.pixels[0]
    taken = measurements(kind, (x.shape[0], x.shape[1]), plan)
    kernel = dual_kernel(gaussian_kernel(x.shape, plan.kernel_width))
    data = [m.forward(x) for m in taken]
    limits = [kernel_recovery(kernel, m, y) for m, y in zip(taken, data, strict=True)]
    found: dict[str, list[Array]] = {
        "explicit limit": [r.signal for r in limits],
        "deep decoder": deep_decoder(x, taken, plan),
        "total variation": [total_variation(m, y) for m, y in zip(taken, data, strict=True)],
        "wavelet ℓ1": [wavelet_l1(m, y) for m, y in zip(taken, data, strict=True)],
    }
    errors = {name: [relative(x, e) for e in estimates] for name, estimates in found.items()}
    shares = [m.count / x.size for m in taken]
    residuals = [r.residual for r in limits]
    lines = [(m.count, *values) for m, *values in zip(taken, shares, *errors.values(), residuals, strict=True)]
    columns = (
        Column("count", "measurements"),
        Column("share", "of the pixels", "", ".0%"),
        *(Column(name, name, "relative error", ".4f") for name in METHODS),
        Column("residual", "residual of the limit", "‖Ax̂ − y‖/‖y‖", ".1e", "With x̂ = ΣA*α the proof of least norm."),
    )
    text = (
        f"{image.name} ({x.shape[0]} × {x.shape[1]}) from {kind} measurements without noise. The explicit limit "
        f"is that of a two-layer generator with a Gaussian kernel of width {plan.kernel_width:g}; the deep decoder "
        f"has {plan.channels} channels and {plan.steps} Adam steps. Total variation and wavelets (Daubechies 2) "
        "are solved exactly."
    )
    strips = [
        (f"{share:.0%}", [("image", x[None]), *((name, found[name][i][None]) for name in METHODS)])
        for i, share in enumerate(shares)
    ]
    caption = f"{image.name} recovered from {kind} measurements: rows by their number, columns by method."
    figures = (
        error_plot(f"{image.name}-{kind}", np.array(shares), errors),
        strip(strips, slug(f"recovered-{image.name}-{kind}"), caption),
    )
    checks = (closest_check(errors),)
    return Section(f"{image.name}, {kind} measurements", text, *table(columns, lines), checks, figures)


def closest_check(errors: Mapping[str, Sequence[float]]) -> Check:
    """Who is closest, of which nothing is predicted."""
    convex = np.minimum(errors["total variation"], errors["wavelet ℓ1"])
    claim = "the better of total variation and wavelets minus deep decoder, worst share"
    why = "the theory covers the two-layer generator only"
    return Check.no_prediction(claim, np.min(convex - errors["deep decoder"]), why=why)


def error_plot(name: str, shares: Array, errors: Mapping[str, Sequence[float]]) -> Figure:
    """Relative error against the share of measurements."""
    across = "measurements [share of unknowns]"
    curves = [
        Curve(m, shares, values, f"{marker}-", names=(across, f"relative error: {m}"))
        for marker, (m, values) in zip(cycle(MARKERS), errors.items(), strict=False)
    ]
    caption = "Recovery error against the number of measurements."
    labels = ("measurements / unknowns", "‖x̂ − x‖₂ / ‖x‖₂")

    def adjust(axes: Any) -> None:
        if len(shares) < 6:
            axes.set_xticks(shares, [number(share) for share in shares])
            axes.margins(x=0.15)

    return curve_plot(slug(f"recovery-{name}"), caption, curves, labels, log="y", adjust=adjust)
