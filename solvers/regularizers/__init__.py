"""The regularizers, one file each, and their names on the command line."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from solvers.regularizers.bridge import Bridge
from solvers.regularizers.conv_kernel import ConvKernel
from solvers.regularizers.fourier_bridge import FourierBridge
from solvers.regularizers.l2 import L2
from solvers.regularizers.largest_layer import LargestLayer
from solvers.regularizers.mahalanobis import Mahalanobis
from solvers.regularizers.regularizer import Norm, QuasiNorm, Regularizer
from solvers.regularizers.schatten import Schatten

__all__ = [
    "L2",
    "REGULARIZERS",
    "Bridge",
    "ConvKernel",
    "FourierBridge",
    "LargestLayer",
    "Mahalanobis",
    "Norm",
    "QuasiNorm",
    "Regularizer",
    "Schatten",
    "regularizer_from_name",
]

REGULARIZERS: dict[str, Callable[..., Regularizer]] = {
    "l2": L2,
    "l1": lambda: Bridge(1.0),
    "linf": lambda: Bridge(math.inf),
    "bridge": Bridge,
    "fourier": lambda p=1.0: FourierBridge(p),
    "schatten": lambda p=1.0: Schatten(p),
    "spectral": lambda: Schatten(math.inf),
    "nuclear": lambda: Schatten(1),
    "kernel": ConvKernel,
}
"""Name → what makes the regularizer, from the number after the colon where there is one."""

PARAMETERS = {
    "bridge": "P is a number with 0 < P ≤ inf, 2/L for depth L, such as 2/3",
    "fourier": "P is a number with 0 < P ≤ 1, or 2; 2/L for depth L, such as 2/3",
    "schatten": "P is a number with 0 < P ≤ 1, or 2, or inf; 2/L for depth L, such as 2/3",
    "kernel": "K is a whole number, the size of the kernel: 1, 2, 3, …",
}
"""What the number after the colon is."""


def _number(text: str) -> float:
    """A decimal, a fraction, inf or nan. Raises ValueError for any other text."""
    try:
        return float(Fraction(text)) if "/" in text else float(text)
    except (ZeroDivisionError, OverflowError):
        return math.nan


def regularizer_from_name(name: str) -> Regularizer:
    """The regularizer that a text names: `l2`, `l1`, `linf`, `fourier`, `nuclear`, `bridge:P`, `kernel:K` and others.

    Args:
        name: the kind, then a colon and its number where it takes one. P is a decimal, a fraction such as 2/3 (2/L
            for depth L), or inf; K is a whole number, the size of the kernel.

    Returns:
        The regularizer: `l2` is L2(), `l1` is Bridge(1), `linf` is Bridge(inf), `fourier` is FourierBridge(1), and
        `spectral` is Schatten(inf), `nuclear` is Schatten(1). `bridge:P`, `fourier:P`, `schatten:P` and `kernel:K` take
        their number.

    Raises:
        ValueError: any other text, or a number that the regularizer refuses.

    Reference: Gunasekar, Lee, Soudry, Srebro (2018), Theorems 1, 2 and 2a, say which network induces which of them;
    Jagadeesan, Razenshteyn, Gunasekar (2021) for `kernel:K`.

    >>> regularizer_from_name("bridge:2/4"), regularizer_from_name("kernel:3")
    (Bridge(p=0.5), ConvKernel(kernel_size=3, in_channels=1, out_channels=None))
    """
    kind, colon, argument = name.partition(":")
    if kind in PARAMETERS and (colon or kind in ("bridge", "kernel")):
        try:
            return REGULARIZERS[kind](int(argument) if kind == "kernel" else _number(argument))
        except ValueError:
            letter = PARAMETERS[kind][0]
            raise ValueError(f"{name!r}: in {kind}:{letter}, {PARAMETERS[kind]}; got {argument!r}") from None
    if kind in REGULARIZERS and not colon:
        return REGULARIZERS[kind]()
    raise ValueError(
        f"{name!r} names no regularizer: write l2, l1, linf, fourier, spectral, nuclear, bridge:P, fourier:P, "
        "schatten:P (P = 2/L, such as 2/3) or kernel:K (the size of a convolution's kernel, 1, 2, 3, …)"
    )
