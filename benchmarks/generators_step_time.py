"""Step time of `descend_image` against the same layers as a plain torch module, alternating in one run.

    python benchmarks/generators_step_time.py [--size 64] [--channels 64] [--steps 40] [--rounds 7] [--kinds …]

Both fit the same noise image with momentum 0.9; the plain loop keeps nothing but its last loss. What each spends on
setting up is left out by timing two lengths and taking the difference. On a CPU the clock is the process's own CPU
time, which other work on the machine disturbs least; on a GPU it is wall time. Prints, per kind, the median
milliseconds per step of each, the median ratio of neighbours in time, and images per second.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from gd.images.conv_generator import PUBLISHED_DEPTH, ConvGenerator, Kind
from gd.images.descend_image import descend_image


def plain_module(net: ConvGenerator) -> nn.Sequential:
    """The same layers from torch.nn, one network."""
    k, layers = net.channels, []
    for i in range(net.depth):
        if net.kind == "deconvolution":
            layers.append(nn.ConvTranspose2d(k, k, 4, stride=2, padding=1, bias=False))
        elif net.kind == "learned":
            layers += [nn.ReflectionPad2d((1, 0, 1, 0)), nn.Conv2d(k, k, 4, padding=1, bias=False)]
        else:
            if net.kind == "fixed":
                stencil = nn.Conv2d(k, k, 4, padding=1, groups=k, bias=False)
                stencil.requires_grad_(False)
                layers += [nn.ReflectionPad2d((1, 0, 1, 0)), stencil]
            layers.append(nn.Conv2d(k, k, 1, bias=False))
        if net.kind == "bilinear" and i < net.depth - 1:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
        layers += [nn.ReLU(), nn.BatchNorm2d(k)]
    return nn.Sequential(*layers, nn.Conv2d(k, net.out_channels, 1, bias=False), nn.Sigmoid())


def plain_fit(net: ConvGenerator, target: torch.Tensor, steps: int, device: torch.device) -> None:
    """The loop a user would write."""
    model = plain_module(net).to(device)
    x = torch.rand(1, net.channels, *net.sizes[0], device=device) / 10
    update = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(steps):
        update.zero_grad()
        loss = nn.functional.mse_loss(model(x), target[None])
        loss.backward()
        update.step()
    loss.item()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=64)
    options.add_argument("--channels", type=int, default=64)
    options.add_argument("--steps", type=int, default=40)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--kinds", nargs="*", default=list(PUBLISHED_DEPTH))
    chosen = options.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.processor() or platform.machine()}"
    print(
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {chosen.size}×{chosen.size}, "
        f"{chosen.channels} channels"
    )
    target = np.random.default_rng(0).random((1, chosen.size, chosen.size))
    on_device = torch.as_tensor(target, dtype=torch.float32, device=device)
    for kind in chosen.kinds:
        measure(kind, target, on_device, chosen)


def measure(kind: Kind, target: np.ndarray, on_device: torch.Tensor, chosen: argparse.Namespace) -> None:
    """One line of the table."""
    net = ConvGenerator(kind, chosen.channels, PUBLISHED_DEPTH[kind], 1, (chosen.size, chosen.size))
    ours: list[float] = []
    theirs: list[float] = []
    device = on_device.device

    def ours_of(steps: int) -> None:
        descend_image(net, target, steps=steps, step=0.1, optimizer="momentum", snapshots=2, device=device)

    for turn in range(chosen.rounds + 1):
        a = per_step(ours_of, chosen.steps, device)
        b = per_step(lambda steps: plain_fit(net, on_device, steps, device), chosen.steps, device)
        if turn:  # the first round warms up
            ours.append(a)
            theirs.append(b)
    ratios = [x / y for x, y in zip(ours, theirs, strict=True)]
    a, b = statistics.median(ours), statistics.median(theirs)
    print(
        f"{kind:14s} descend {1e3 * a:8.3f} ms/step   plain {1e3 * b:8.3f} ms/step   "
        f"ratio {statistics.median(ratios):.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f})   "
        f"{1 / a:.1f} images·steps/s"
    )


def per_step(fit: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Seconds per step: (time of 2·steps − time of steps) / steps."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    times = []
    for count in (steps, 2 * steps):
        began = clock()
        fit(count)
        times.append(clock() - began)
    return (times[1] - times[0]) / steps


if __name__ == "__main__":
    main()
