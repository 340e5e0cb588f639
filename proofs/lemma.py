"""The polynomial convolution lemma for the kernels of a user: c with a⋆a + b⋆b = c⋆c, and the proof of it.

Rational vectors: every step is exact. The spectrum q(x) = x^n Σ p_i(x) p_i(1/x) is factored over ℤ and multiplied back;
each irreducible factor comes with its mirror image, or has an even power, or is shown by Sturm's theorem to have no
root on the circle, so that half of its roots lie inside; the constant is r_0/‖C‖². c itself is enclosed in intervals,
and for few pairs of roots its entries have minimal polynomials.

Floats: `spectral_factor` rounds c to doubles and proves how far an exact factor is at most.

Matrices, input channels or images: the lemma ends there. `proofs.matrix_kernels` decides whether these kernels have c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb
from numpy.typing import ArrayLike

from proofs import lemma_arguments as arguments
from proofs.balls import bits
from proofs.certified_factor import spectral_factor
from proofs.claim import Claim, Kind, Verdict
from proofs.kernels import rational_kernels
from proofs.lemma_arguments import Problem
from solvers.arrays import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EXACT_UP_TO = 64
"""Up to this K rational kernels are factored exactly unless the caller says otherwise; there it takes two seconds."""


@dataclass(frozen=True)
class LemmaVerdict(Verdict):
    """The verdict on the lemma for given kernels, with c.

    Example:
        >>> verdict = verify_lemma([1, 1], [0, 1], dim=4)
        >>> print(verdict.kind, verdict.minimal_polynomials)
        PROVED ('x^2 - x - 1', 'x^2 + x - 1')
        >>> float(verdict.intervals[0][1] - verdict.intervals[0][0]) < 1e-70
        True
    """

    kernels: tuple[Array, ...] = field(repr=False, compare=False)
    """The kernels in double precision."""
    dim: int | None
    """D, or None: every D."""
    channels: bool
    """Whether the rows of matrices are input channels, not those of an image."""
    c: Array | None = field(compare=False)
    """c in double precision, of the shape of the kernels; None where there is none, or none was found."""
    intervals: tuple[tuple[Fraction, Fraction], ...] = field(repr=False)
    """Proved: rationals below and above each entry of an exact c, row by row."""
    minimal_polynomials: tuple[str, ...]
    """Of each entry of c, where it is exact and at most four pairs of roots are split; otherwise none."""
    stated: Claim = field(repr=False, compare=False)
    """What was verified, as a claim; the same steps refute what `Claim.altered` makes of it."""

    def figure(self) -> Figure:
        """Roots and spectra, as a figure of matplotlib: `figure().savefig("lemma.svg")`."""
        from proofs.lemma_figure import draw

        return draw(self.kernels, self.c, str(self.kind), self.dim, self.channels)


def verify_lemma(
    a: ArrayLike,
    b: ArrayLike,
    *more: ArrayLike,
    dim: int | None = None,
    exact: bool | None = None,
    channels: bool = False,
) -> LemmaVerdict:
    """Find c with a⋆a + b⋆b (+ …) = c⋆c, and prove it.

        find c ∈ ℝ^K   with   Σ_i a_i⋆a_i = c⋆c (mod D),    (a⋆a)[j] = Σ_k a[k] a[(k+j) mod D]          (1)

    Args:
        a: a kernel, shape (K,). A matrix is the kernel of an image, shape (H, W), or has one row a channel, (R, K).
        b: another one of the same shape.
        more: any number of further ones, of the same shape.
        dim: D ≥ K, the length of the circle; None proves it for every D ≥ K at once. For matrices D has to be so large
            that no lag wraps, D ≥ 2K − 1, in both directions for images.
        exact: True factors exactly (floats are the binary fractions that they are), False certifies double precision.
            None is exact up to K = 64 where every entry is an integer, a fraction or a text such as "1/3", and where
            double precision proves nothing. Matrices are always decided exactly.
        channels: whether the rows of a matrix are input channels, whose cross-correlations are all to be matched.

    Returns:
        LemmaVerdict: PROVED by exact arithmetic, or CERTIFIED by ball arithmetic, with `c`; REFUTED with an obstruction
        for matrices that have no c; NOT PROVED where the machine did not decide it.

    Raises:
        ValueError: when the kernels differ in shape, an entry is not a finite real number, or dim is too small.

    Reference:
        Jagadeesan, Razenshteyn, Gunasekar (2021), polynomial convolution lemma; ⋆ is autocorrelation, for ordinary
        convolution it is false. What matrices do is ours.

    Example:
        >>> verdict = verify_lemma([1, 2, 0], [3, -1, 4], dim=5)
        >>> print(verdict.kind, verdict.c.round(4))
        PROVED [ 4.9714 -0.677   2.4138]
        >>> print(verify_lemma([1.5, 2.0], [0.1, -1.0]).kind)
        CERTIFIED
        >>> print(verify_lemma([[1, 1], [0, 0]], [[1, 0], [1, 0]]).kind)
        REFUTED
    """
    arrays = [np.array(kernel, dtype=object) for kernel in (a, b, *more)]
    shape = _common_shape(arrays)
    _check_dim(dim, shape, channels)
    matrices = [[_vector(row) for row in array.reshape(-1, shape[-1])] for array in arrays]
    rational = shape[-1] <= _EXACT_UP_TO and not any(map(_is_float, np.ravel(arrays)))
    if not any(v != 0 for matrix in matrices for row in matrix for v in row):
        problem = arguments.zero(shape)
    elif len(shape) == 2:
        problem = arguments.channels(matrices, dim) if channels else arguments.planar(matrices)
    else:
        problem = _of_vectors([matrix[0] for matrix in matrices], dim, rational, exact)
    stated = Claim(
        name="lemma",
        statement="Σ_i a_i⋆a_i = c⋆c" + ("" if dim is None else f" (mod {dim})"),
        reference="Jagadeesan et al. (2021), polynomial convolution lemma; Fejér–Riesz",
        scope=f"these {len(arrays)} kernels of shape {shape}, {_circles(dim, shape)}",
        formula=problem.formula,
        argument=problem.argument,
    )
    verdict = stated.verify()
    holds = verdict.kind.rank < Kind.NOT_PROVED.rank
    # of a matrix nothing is promised: what is decided is what was to be expected
    expected = verdict.kind if len(shape) == 2 and verdict.kind is not Kind.NOT_PROVED else problem.expected
    entries = problem.entries() if holds else []
    own = {part.name: getattr(verdict, part.name) for part in fields(Verdict)} | {"expected": expected}
    return LemmaVerdict(
        **own,
        kernels=tuple(np.array([[float(Fraction(str(v))) for v in row] for row in m]).reshape(shape) for m in matrices),
        dim=dim,
        channels=channels,
        c=np.array([float(v) for v in entries]).reshape(shape) if holds else None,
        intervals=tuple(map(_ends, entries)),
        minimal_polynomials=problem.minimal() if holds else (),
        stated=stated,
    )


def _of_vectors(vectors: list[arguments.Vector], dim: int | None, rational: bool, exact: bool | None) -> Problem:
    """In double precision unless asked otherwise; where that proves nothing, exactly after all."""
    if exact or (exact is None and rational):
        return arguments.exact(vectors, dim)
    found = spectral_factor(*vectors)
    if (found.exists and arguments.fine(found)) or exact is False or len(vectors[0]) > _EXACT_UP_TO:
        return arguments.certified(vectors, found)
    return arguments.exact(vectors, dim)


# What comes in


def _common_shape(arrays: Sequence[Array]) -> tuple[int, ...]:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) != 1 or len(shapes[0]) not in (1, 2) or 0 in shapes[0]:
        listed = ", ".join(map(str, shapes))
        raise ValueError(f"the kernels must be vectors or matrices of one shape and not empty; got shapes {listed}")
    return shapes[0]


def _check_dim(dim: int | None, shape: tuple[int, ...], channels: bool) -> None:
    K = shape[-1] if channels or len(shape) == 1 else max(shape)
    least, why = (K, "K ≤ D") if len(shape) == 1 else (2 * K - 1, "no lag of a matrix may wrap, D ≥ 2K − 1")
    if dim is not None and dim < least:
        raise ValueError(f"kernels of length {K} need dim ≥ {least} ({why}), got dim={dim}")
    if channels and len(shape) == 1:
        raise ValueError("channels=True is for matrices, one row a channel; these kernels are vectors")


def _circles(dim: int | None, shape: tuple[int, ...]) -> str:
    return f"D = {dim}" if dim is not None else "every D ≥ K" if len(shape) == 1 else "every D on which no lag wraps"


def _is_float(value: object) -> bool:
    return isinstance(value, (float, np.floating))


def _vector(row: Any) -> arguments.Vector:
    (vector,) = rational_kernels((list(row),))
    return vector


def _ends(value: arb) -> tuple[Fraction, Fraction]:
    """Binary fractions below and above."""
    with bits(320):
        ends = [end.man_exp() for end in (value.lower(), value.upper())]
    low, high = (Fraction(int(man)) * Fraction(2) ** int(exp) for man, exp in ends)
    return low, high
