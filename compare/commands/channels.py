"""`implicitbias compare channels`."""

from __future__ import annotations

from pathlib import Path

import click

from compare.commands.network_options import integers, network_options
from compare.commands.outcome import deliver, report_options


@click.command(name="channels")
@click.option(
    "--data",
    default="digits:0v1",
    show_default=True,
    metavar="SOURCE",
    help="mnist:AvB, cifar10:AvB, digits:AvB, FILE.npz, synthetic:N,D,seed, …",
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where MNIST's or CIFAR-10's standard files are.")
@click.option("--count", default=128, show_default=True, help="Images taken of MNIST or CIFAR-10.")
@click.option("--signals", is_flag=True, help="Flatten images and convolve in one dimension.")
@click.option("--kernels", default="1,2,3", show_default=True, callback=integers, help="Kernel sizes K.")
@click.option("--channels", default="1,2,4", show_default=True, callback=integers, help="Output channels C.")
@network_options(depths=None, seeds="0,1,2")
@click.option("--loss", type=click.Choice(["exponential", "logistic"]), default="exponential", show_default=True)
@report_options("implicitbias-report-channels")
def command(
    data: str,
    folder: Path | None,
    count: int,
    signals: bool,
    kernels: tuple[int, ...],
    channels: tuple[int, ...],
    seeds: tuple[int, ...],
    init: float,
    loss: str,
    out: Path,
    as_json: bool,
) -> None:
    """Multi-channel linear CNNs: the certified R_K max margin and where gradient flow ends, for each K and C."""
    from compare.channels.channels import ChannelPlan, compare_channels
    from compare.channels.data import load_channels

    loaded = load_channels(data, folder=folder, count=count)
    if signals:
        loaded = loaded.as_signals
    if not init > 0:
        raise click.UsageError(f"--init is a standard deviation, so positive; got {init}")
    for size in (*kernels, *channels):
        if size < 1:
            raise click.UsageError("--kernels and --channels are positive integers")
    if max(kernels) > min(loaded.grid):
        raise click.UsageError(f"--kernels: {max(kernels)} is wider than the data, {loaded.grid}")
    report = compare_channels(loaded, ChannelPlan(kernels, channels, seeds, init, loss), progress=True)
    deliver(report, out=out, as_json=as_json)


def quick() -> object:
    """The part of bare `implicitbias compare`."""
    from compare.channels.channels import quick

    return quick()
