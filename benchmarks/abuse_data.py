"""What `abuse.py` calls with: random data in every shape, order and type, and adversarial data by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Rng = np.random.Generator
TINY = 5e-324
"""The smallest denormal number."""


def flavoured(rng: Rng, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """(X, y) of one of many flavours; about nine in ten separable."""
    X, planted = rng.standard_normal((n, d)), rng.standard_normal(d)
    flavour = rng.integers(14)
    if flavour == 1:  # ties
        X = rng.integers(-2, 3, (n, d)).astype(float)
    elif flavour == 2:
        X[rng.random((n, d)) < 0.7] = 0.0
    elif flavour == 3:
        X = X[rng.integers(0, max(1, n // 2), n)]  # duplicated rows
    elif flavour == 4:
        X[:, rng.integers(d)] = rng.choice([1.0, 0.0, -3.0])  # a constant column
    elif flavour == 5:
        X = X[:, :1] @ rng.standard_normal((1, d)) + 10.0 ** rng.uniform(-12, 0) * X  # nearly of rank one
    elif flavour == 6:
        X *= 10.0 ** rng.uniform(-6, 6, d)  # columns of different units
    elif flavour == 7:
        X *= 10.0 ** rng.uniform(-6, 6, (n, 1))  # rows of different norms
    elif flavour == 8:
        X *= 10.0 ** rng.uniform(-95, 95)
    elif flavour == 9:
        X = X[:, rng.integers(0, d, d)]  # duplicated columns
    elif flavour == 10:
        X[rng.random((n, d)) < 0.3] = rng.choice([TINY, -TINY, 1e-310])
    y = np.where(X @ planted >= 0, 1.0, -1.0)
    if flavour == 11:  # nearly contradicting pairs: margins down to rounding
        X[-1] = X[0] + 10.0 ** rng.uniform(-14, -2) * rng.standard_normal(d)
        y[-1] = -y[0]
    elif flavour == 12:
        y = rng.choice([-1.0, 1.0], n)  # separable or not, as it comes
    elif flavour == 13:  # every point on the margin of the planted predictor
        X -= np.outer(X @ planted - y, planted) / (planted @ planted)
    return X, y


def dressed(rng: Rng, X: np.ndarray) -> Any:
    """The same numbers (rounded, where the type is a short one) as another container, order or type."""
    dress = rng.integers(12)
    if dress == 0:
        return np.asfortranarray(X)
    if dress == 1:
        out = X.copy()
        out.flags.writeable = False
        return out
    if dress == 2:
        return np.repeat(X, 2, axis=-1)[..., ::2]
    if dress == 3 and np.abs(X).max() < 1e30:
        return X.astype(np.float32)
    if dress == 4 and np.abs(X).max() < 100:
        return X.astype(np.float16)
    if dress == 5 and np.abs(X).max() < 40:
        return np.round(3 * X).astype(np.int8)
    if dress == 6:
        return X.astype(">f8")
    if dress == 7:
        return X.tolist()
    if dress == 8 and X.ndim == 2:
        return pd.DataFrame(X)
    if dress == 9:
        return X.astype(np.longdouble)
    if dress == 10:
        return X.astype(object)
    return X


def hilbert(n: int) -> np.ndarray:
    return 1.0 / (1.0 + np.add.outer(np.arange(n), np.arange(n)))


def adversarial_margins() -> list[tuple[str, Any, Any]]:
    """(name, X, y): some solvable, some hopeless, some malformed. Every regularizer gets each."""
    rng = np.random.default_rng(99)
    G, s = rng.standard_normal((6, 8)), np.array([1.0, -1, 1, 1, -1, -1])
    ulp = np.nextafter(1.0, 2.0)
    moment = np.vander(np.linspace(0.1, 1, 8), 8)
    return [
        ("opposite labels one ulp apart", [[1.0, 1.0], [ulp, 1.0]], [1, -1]),
        ("contradiction", [[1.0, 2.0], [1.0, 2.0]], [1, -1]),
        ("Hilbert matrix", hilbert(10), np.tile([1.0, -1.0], 5)),
        ("Vandermonde matrix", moment, np.where(np.arange(8) % 3, 1.0, -1.0)),
        ("one denormal entry among ones", np.array([[TINY, 1.0], [1.0, TINY]]), [1, -1]),
        ("only denormals", np.full((2, 3), TINY), [1, 1]),
        ("largest floats", np.full((2, 3), 1.7e308), [1, 1]),
        ("1e-99 next to 1e99", np.diag([1e99, 1e-99, 1.0]), [1, 1, 1]),
        ("rows over 60 decades", np.eye(4) * 10.0 ** np.array([[-30], [-10], [10], [30]]), [1, -1, 1, -1]),
        ("needs β of 1e12", [[1.0, 1.0], [-1.0, -1.0 + 1e-12]], [1, 1]),
        ("needs β of 1e7", [[1.0, 1.0], [-1.0, -1.0 + 1e-7]], [1, 1]),
        ("edge of inseparable", [[1.0, 0.0], [-1.0, 1e-300]], [1, 1]),
        ("every vertex of a cube", np.array(list(np.ndindex(2, 2, 2))) * 2.0 - 1, [-1, -1, -1, -1, 1, 1, 1, 1]),
        ("NaN", np.where(np.eye(6, 8) > 0, np.nan, G), s),
        ("infinity", np.where(np.eye(6, 8) > 0, np.inf, G), s),
        ("empty", np.empty((0, 8)), np.empty(0)),
        ("a million labels too many", G, np.ones(10**6)),
        ("complex", G + 0j, s),
        ("words", [["a", "b"]] * 6, s),
        ("ragged", [[1.0], [1.0, 2.0]], [1, -1]),
        ("labels 0/1", G, (s + 1) / 2),
        ("masked array", np.ma.masked_less(G, -1.0), s),
        ("a matrix of one entry", [[-3.0]], [-1]),
        ("300 equal points", np.ones((300, 4)), np.ones(300)),
        ("integers near 2^63", np.array([[2**62, 1], [1, 2**62]]), [1, -1]),
        ("a zero row", np.vstack([G, np.zeros(8)]), np.append(s, 1)),
    ]


def spline_data(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) in any order, clustered, repeated, huge, tiny."""
    m = int(rng.integers(1, 30))
    x, y = rng.standard_normal(m), rng.standard_normal(m)
    flavour = rng.integers(8)
    if flavour == 1:
        x = np.round(x, 1)
        y = np.round(x**2, 6)  # repeats, with one y each
    elif flavour == 2:
        x[m // 2 :] = x[: m - m // 2] + 10.0 ** rng.uniform(-15, -3)  # pairs
    elif flavour == 3:
        x *= 10.0 ** rng.uniform(-150, 150)
    elif flavour == 4:
        y *= 10.0 ** rng.uniform(-150, 150)
    elif flavour == 5:
        y = np.full(m, rng.choice([0.0, 1.0, TINY]))
    elif flavour == 6:
        x = x + 10.0 ** rng.uniform(0, 12)  # far from the origin
    return x, y


def adversarial_functions() -> list[tuple[str, Callable[[], tuple[Any, Any]]]]:
    """(name, () -> (x, y)) for the one-input problems."""
    return [
        ("one ulp apart", lambda: ([0.0, 1.0, np.nextafter(1.0, 2.0), 2.0], [0.0, 1.0, -1.0, 0.0])),
        ("denormal apart", lambda: ([0.0, TINY, 1.0], [0.0, 1.0, 0.0])),
        ("one x, two y", lambda: ([0.0, 0.0, 1.0], [0.0, 1.0, 0.0])),
        ("x of 1e308", lambda: ([-1e308, 0.0, 1e308], [0.0, 1.0, 0.0])),
        ("y of 1e308", lambda: ([-1.0, 0.0, 1.0], [1e308, -1e308, 1e308])),
        ("NaN", lambda: ([0.0, np.nan, 1.0], [0.0, 1.0, 0.0])),
        ("empty", lambda: ([], [])),
        ("column", lambda: (np.ones((3, 1)), np.ones(3))),
        ("one point", lambda: ([0.3], [2.0])),
        ("words", lambda: (["a", "b"], [0.0, 1.0])),
        ("complex", lambda: (np.array([0j, 1, 2]), [0.0, 1.0, 0.0])),
    ]
