"""What max_margin takes of memory at real size, and what BLAS threads change on small problems.

    python benchmarks/memory_and_threads.py

1. ℓ2 on points in float64, float32 and scipy.sparse, each in a process of its own: processor seconds, and by how much
   the largest resident set grew (Linux) from before X was read until the answer was there, as a multiple of X.
2. Small problems with one and two BLAS threads, each in a process of its own: processor seconds (the sum over threads,
   the best of several calls), their ratio, and whether β is the same to the last bit.

Prints a calibration line and Markdown tables.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from calibration import calibration_line
from max_margin import gaussian, images
from scipy import sparse

from solvers import L2, Bridge, ConvKernel, FourierBridge, induced_regularizer, max_margin

Array = np.ndarray

SMALL = {
    "ℓ2, 20 × 40": (L2(), 20, 40),
    "ℓ2, 100 × 512": (L2(), 100, 512),
    "ℓ1, 20 × 40": (Bridge(1), 20, 40),
    "ℓ1, 100 × 512": (Bridge(1), 100, 512),
    "Fourier ℓ1, 200 × 1,024": (FourierBridge(1), 200, 1024),
    "R_8 margin, 20 × 48": (ConvKernel(8), 20, 48),
}


def sparse_points(n: int = 20_000, density: float = 0.1, d: int = 784) -> tuple[sparse.csr_matrix, Array]:
    """Entries uniform on (0, 1), some of them there, less the points next to a hyperplane, about a fifth."""
    rng = np.random.default_rng(5)
    X = sparse.random_array((n, d), density=density, format="csr", rng=rng)
    X = X[np.diff(X.indptr) > 0]
    scores = X @ rng.standard_normal(d)
    far = np.abs(scores) > 0.05 * np.abs(scores).max()
    return sparse.csr_matrix(X[far]), np.sign(scores[far])


def peak_bytes() -> int:
    """The largest resident set so far. Not getrusage's, which a process inherits from the one that starts it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def measure(path: str) -> None:
    """In a process of its own: solve the points of a file."""
    max_margin([[2.0, 1.0], [-1.0, 0.0]], [1, -1], L2())
    before, y = peak_bytes(), np.load(f"{path}.y.npy")
    X = sparse.load_npz(f"{path}.npz") if Path(f"{path}.npz").exists() else np.load(f"{path}.npy")
    size = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes if sparse.issparse(X) else X.nbytes
    began = time.process_time()
    solution = max_margin(X, y, L2())
    seconds, taken = time.process_time() - began, peak_bytes() - before
    print(
        f"{X.shape[0]:,} × {X.shape[1]} | {size / 1e6:.0f} | {taken / 1e6:.0f} | {taken / size:.1f} | "
        f"{solution.certificate.gap:.0e} | {seconds:.1f} |"
    )


def memory() -> None:
    """Table 1."""
    print("| ℓ2 | points | X, MB | peak, MB | peak / X | gap | time, s |\n|---|---|---:|---:|---:|---:|---:|")
    X, y = images(12_665)
    S, y_sparse = sparse_points()
    with tempfile.TemporaryDirectory() as folder:
        for name, points, labels in (
            ("float64", X, y),
            ("float32", X.astype(np.float32), y),
            ("sparse, 10 % of the entries", S, y_sparse),
            ("the same, filled", S.toarray(), y_sparse),
            ("sparse, 1 %", *sparse_points(72_000, 0.01)),
            ("sparse, 3 %", *sparse_points(72_000, 0.03)),
            ("sparse, 10 %", *sparse_points(72_000, 0.1)),
        ):
            path = f"{folder}/{name.replace(' ', '_')}"
            np.save(f"{path}.y.npy", labels)
            if sparse.issparse(points):
                sparse.save_npz(f"{path}.npz", points)
            else:
                np.save(f"{path}.npy", points)
            print(f"| {name} | {in_process('measure', path, threads=1)}", flush=True)


def solve_small(out: str) -> None:
    """In a process of its own: every small problem several times; seconds and β to a file."""
    found: dict[str, Array] = {}
    for name, (regularizer, n, d) in SMALL.items():
        X, y = gaussian(n, d)
        times = []
        for _ in range(9):
            began = time.process_time()
            beta = max_margin(X, y, regularizer).beta
            times.append(time.process_time() - began)
        found[f"{name} β"], found[f"{name} s"] = beta, np.array(min(times))
    w = np.random.default_rng(0).standard_normal(256)
    times = []
    for _ in range(9):
        began = time.process_time()
        value = induced_regularizer(w, 9).value
        times.append(time.process_time() - began)
    found["R_9, D = 256 β"], found["R_9, D = 256 s"] = np.array(value), np.array(min(times))
    np.savez(out, **found)


def threads() -> None:
    """Table 2."""
    print("\n| problem | one thread, ms | two threads, ms | ratio | same β |\n|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in (1, 2):
            in_process("solve_small", f"{folder}/{count}.npz", threads=count)
        with np.load(f"{folder}/1.npz") as one, np.load(f"{folder}/2.npz") as two:
            for name in (*SMALL, "R_9, D = 256"):
                a, b = float(one[f"{name} s"]), float(two[f"{name} s"])
                same = "yes" if np.array_equal(one[f"{name} β"], two[f"{name} β"]) else "no"
                print(f"| {name} | {1e3 * a:.2f} | {1e3 * b:.2f} | {b / a:.2f} | {same} |")


def in_process(part: str, argument: str, threads: int) -> str:
    """What `part` prints when it runs in a new process with this many BLAS threads."""
    environment = os.environ | {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}
    command = [sys.executable, "-W", "ignore", __file__, part, argument]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    if len(sys.argv) == 3:
        {"measure": measure, "solve_small": solve_small}[sys.argv[1]](sys.argv[2])
    else:
        print(calibration_line() + "\n")
        memory()
        threads()
