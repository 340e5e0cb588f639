"""How fast this machine is now: two fixed pieces of work, so that tables of different machines can be compared."""

from __future__ import annotations

import time

import numpy as np


def calibration_line() -> str:
    """Processor seconds of a product of 2,000 × 2,000 matrices and of 5 million additions in Python, best of three."""
    matrix = np.random.default_rng(0).standard_normal((2000, 2000))

    def seconds(work: object) -> float:
        began = time.process_time()
        work()  # type: ignore[operator]
        return time.process_time() - began

    def loop() -> int:
        total = 0
        for i in range(5_000_000):
            total += i
        return total

    product = min(seconds(lambda: matrix @ matrix) for _ in range(3))
    return f"Calibration: matrix product {product:.2f} s, Python loop {min(seconds(loop) for _ in range(3)):.2f} s."
