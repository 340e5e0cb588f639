"""R_K against the textbook semidefinite program, side by side in one run, and its cost against D and K.

    python benchmarks/conv_kernel.py [--largest 20] [--peer-up-to 48] [--images FILE.npz] [--out FIGURE.svg]

1. Value of a Gaussian predictor: this package (certificate included) and cvxpy's conic solver on the (K + D)-square
   program up to D = `--peer-up-to`, values compared.
2. Max margin of Gaussian points, the same two.
3. Value for D = 2^6 … 2^LARGEST at K = 9 and for K = 2 … 256 at D = 4096; with --out both on log axes.
4. With --images FILE.npz (X: N×H×W, y): max margin with K×K kernels, and the flow of the network with C channels.

Times are the best of several calls after one to warm up; the peer is called once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from solvers.conv_kernel.semidefinite import conv_kernel_sdp
from solvers.induced_regularizer import induced_regularizer
from solvers.max_margin import max_margin
from solvers.regularizers.conv_kernel import ConvKernel


def best_time(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Seconds of the fastest of `repeats` calls after a first, and the last result."""
    result = call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    return min(times), result


def once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and its result."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def values(peer_up_to: int, largest: int) -> None:
    """Section 1."""
    print("value of one predictor\n       D    K        ours [s]     gap     peer [s]   values differ by")
    rng = np.random.default_rng(0)
    for D, K in ((48, 5), (128, 9), (256, 9), (1 << 14, 33), (1 << largest, 64)):
        w = rng.standard_normal(D)
        seconds, answer = best_time(lambda w=w, K=K: induced_regularizer(w, K), 5 if D < 10**5 else 2)
        line = f"{D:8d}  {K:3d}   {seconds:12.6f}   {answer.gap:.0e}"
        if peer_up_to >= D:
            peer, program = once(lambda w=w, K=K: conv_kernel_sdp(w, K))
            line += f"   {peer:10.3f}   {abs(answer.value / program.value - 1):.0e} ({program.solver})"
        print(line, flush=True)


def margins(peer_up_to: int) -> None:
    """Section 2."""
    print("\nmax margin\n       N     D    K        ours [s]     gap     peer [s]   values differ by")
    rng = np.random.default_rng(1)
    for N, D, K in ((20, 48, 8), (60, 1024, 32)):
        X, y = rng.standard_normal((N, D)), rng.choice([-1.0, 1.0], N)
        regularizer = ConvKernel(K)
        seconds, answer = best_time(lambda X=X, y=y, R=regularizer: max_margin(X, y, R), 5)
        line = f"{N:8d}  {D:4d}  {K:3d}   {seconds:12.6f}   {answer.certificate.gap:.0e}"
        if peer_up_to >= D:
            peer, conic = once(lambda X=X, y=y, R=regularizer: max_margin(X, y, R, method="conic"))
            line += f"   {peer:10.3f}   {abs(answer.objective / conic.objective - 1):.0e} ({conic.stats['solver']})"
        print(line, flush=True)


def scaling(largest: int) -> dict[str, list[tuple[int, float]]]:
    """Section 3: seconds against D and against K."""
    rng = np.random.default_rng(2)
    curves: dict[str, list[tuple[int, float]]] = {"D, K = 9": [], "K, D = 4096": []}
    for power in range(6, largest + 1, 2):
        w = rng.standard_normal(1 << power)
        seconds, _ = best_time(lambda w=w: induced_regularizer(w, 9), 3 if power < 17 else 1)
        curves["D, K = 9"].append((1 << power, seconds))
    w = rng.standard_normal(4096)
    for K in (2, 4, 8, 16, 32, 64, 128, 256):
        seconds, _ = best_time(lambda K=K: induced_regularizer(w, K), 2 if K < 128 else 1)
        curves["K, D = 4096"].append((K, seconds))
    for name, points in curves.items():
        slope = np.polyfit(*np.log(np.array(points[len(points) // 2 :])).T, 1)[0]
        print(f"\nseconds against {name}: exponent {slope:.2f} over the upper half")
        print("   " + "   ".join(f"{size}: {seconds:.2g}" for size, seconds in points), flush=True)
    return curves


def images(path: str) -> None:
    """Section 4."""
    from gd.flow.flow_limit import flow_limit
    from gd.networks.multi_channel import MultiChannelCNN

    with np.load(path, allow_pickle=False) as arrays:
        X, y = arrays["X"].astype(np.float64), arrays["y"].astype(np.float64)
    print(f"\nimages {X.shape}: max margin with K×K kernels")
    for K in (1, 3, 8, 16, min(X.shape[1:])):
        seconds, answer = once(lambda K=K: max_margin(X, y, ConvKernel((K, K))))
        print(f"   K = {K:2d}: {answer.objective:.9g}, gap {answer.certificate.gap:.0e}, {seconds:.2f} s", flush=True)
        if K == 8:
            for C in (1, 2, 4, 8):
                network = MultiChannelCNN(X.shape[1:], K, 1, C, seed=0)
                seconds, limit = once(lambda network=network: flow_limit(network, X, y))
                above = limit.norm_at_unit_margin**2 / answer.lower_bound - 1
                print(f"      flow, C = {C}: {above:.1e} above, {limit.status.name}, {seconds:.1f} s", flush=True)


def draw(curves: dict[str, list[tuple[int, float]]], out: str) -> None:
    """Both curves on log axes, one panel each."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, (name, points) in zip(canvas.subplots(1, 2), curves.items(), strict=True):
        axes.loglog(*np.array(points).T, marker="o")
        axes.set_xlabel(name)
        axes.set_ylabel("seconds")
        axes.grid(True, which="both", alpha=0.3)
    canvas.savefig(out)
    print(f"\n{out}")


def main() -> None:
    """Run all sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=20, help="largest D is 2 to this power")
    parser.add_argument("--peer-up-to", type=int, default=48, help="largest D that the conic solver is asked")
    parser.add_argument("--images")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    values(arguments.peer_up_to, arguments.largest)
    margins(arguments.peer_up_to)
    curves = scaling(arguments.largest)
    if arguments.images:
        images(arguments.images)
    if arguments.out:
        draw(curves, arguments.out)


if __name__ == "__main__":
    main()
