"""Step time of `descend_image` against the same layers as a plain torch module, alternating in one run.

    python benchmarks/generators_step_time.py [--size 64] [--channels 64] [--steps 40] [--rounds 7] [--kinds …]

Both fit the same noise image with momentum 0.9; the plain loop keeps nothing but its last loss. Prints, per kind, the
median milliseconds per step of each, the ratio of the medians, and images per second.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import numpy as np
import torch
from torch import nn

from gd.generators import PUBLISHED_DEPTH, ConvGenerator, Kind
from gd.image_descend import descend_image


def plain_module(net: ConvGenerator) -> nn.Sequential:
    """The same layers from torch.nn, one network."""
    k, layers = net.channels, []
    for i in range(net.depth):
        if net.kind == "deconvolution":
            layers.append(nn.ConvTranspose2d(k, k, 4, stride=2, padding=1, bias=False))
        elif net.kind == "learned":
            layers += [nn.ReflectionPad2d((2, 1, 2, 1)), nn.Conv2d(k, k, 4, bias=False)]
        else:
            if net.kind == "fixed":
                stencil = nn.Conv2d(k, k, 4, groups=k, bias=False)
                stencil.requires_grad_(False)
                layers += [nn.ReflectionPad2d((2, 1, 2, 1)), stencil]
            layers.append(nn.Conv2d(k, k, 1, bias=False))
        if net.kind == "bilinear" and i < net.depth - 1:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
        layers += [nn.ReLU(), nn.BatchNorm2d(k)]
    return nn.Sequential(*layers, nn.Conv2d(k, net.out_channels, 1, bias=False), nn.Sigmoid())


def plain_seconds(net: ConvGenerator, target: torch.Tensor, steps: int, device: torch.device) -> float:
    """Seconds per step of the loop a user would write."""
    model = plain_module(net).to(device)
    x = torch.rand(1, net.channels, *net.sizes[0], device=device) / 10
    update = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    began = time.perf_counter()
    for _ in range(steps):
        update.zero_grad()
        loss = nn.functional.mse_loss(model(x), target[None])
        loss.backward()
        update.step()
    loss.item()
    return (time.perf_counter() - began) / steps


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
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {chosen.size}×{chosen.size}, "
          f"{chosen.channels} channels")
    target = np.random.default_rng(0).random((1, chosen.size, chosen.size))
    on_device = torch.as_tensor(target, dtype=torch.float32, device=device)
    for kind in chosen.kinds:
        measure(kind, target, on_device, chosen)


def measure(kind: Kind, target: np.ndarray, on_device: torch.Tensor, chosen: argparse.Namespace) -> None:
    """One line of the table."""
    net = ConvGenerator(kind, chosen.channels, PUBLISHED_DEPTH[kind], 1, (chosen.size, chosen.size))
    ours, theirs = [], []
    for turn in range(chosen.rounds + 1):
        path = descend_image(net, target, steps=chosen.steps, step=0.1, optimizer="momentum", snapshots=2,
                             device=on_device.device)
        plain = plain_seconds(net, on_device, chosen.steps, on_device.device)
        if turn:  # the first round warms up
            ours.append(path.seconds_per_step)
            theirs.append(plain)
    a, b = statistics.median(ours), statistics.median(theirs)
    spread = f"{min(x / y for x, y in zip(ours, theirs)):.3f} to {max(x / y for x, y in zip(ours, theirs)):.3f}"
    print(f"{kind:14s} descend {1e3 * a:8.3f} ms/step   plain {1e3 * b:8.3f} ms/step   ratio {a / b:.3f} "
          f"(rounds {spread})   {1 / a:.1f} images·steps/s")


if __name__ == "__main__":
    main()
