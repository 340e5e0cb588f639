"""The block-Toeplitz algebra behind R_K: lags of a K×K matrix on one side, a spectrum on the grid on the other.

For kernels u_c of shape (K, R) on a grid of D points and X = Σ_c u_c u_cᵀ ⪰ 0 (KR × KR), the objective of R_K sees X
only through the spectrum

    P_d = F_d X F_d*  (R×R),      F_d = D^{-1/2} [e^{−2πi d·p/D}]_p ⊗ I_R,

and P is linear in the **lags** r_i = tr(E_i X), E_i the 0/1 matrices that say which entries of a block-Toeplitz
matrix are equal. Dual to X stands the block-Toeplitz matrix T(z) = Σ_i t_i E_i with z*-quadratic lags t, fixed by

    Σ_d ẑ_d* P_d ẑ_d = tr(X T(z))    for all X.                                                            (1)

So everything a solver needs (gradient, curvature, certificate) lives in q ≈ (2K−1)R²/2 numbers, whatever D is: one
FFT leads from the grid to the lags and one back. R = 1 is kept apart where it is simpler, because P is then a number.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from solvers import fourier
from solvers.arrays import Array, ComplexArray

IntArray = NDArray[np.intp]

_TABLE_UP_TO = 4_000_000  # entries of the table e^{−iθℓ}; below it a matrix product beats FFTs by its smaller overhead

_SUMMED_UP_TO = 10  # n up to which sums over all n⁴ products cost less than the overhead of FFTs


class KernelLags:
    """Lags, spectra and their derivatives for kernels of shape `kernel` × `channels` on a periodic `grid`.

    Frequencies are those of `rfftn` over the grid, flattened: H of them, each counted `multiplicity` (1 or 2) times.
    Coefficients of a predictor (R, *grid) have shape (R, H); for R = 1 spectra have shape (H,), else (H, R, R).

    Args:
        grid: (D,) or (H, W).
        kernel: kernel size along each axis of the grid, 1 ≤ K ≤ D.
        channels: R ≥ 1.
    """

    def __init__(self, grid: tuple[int, ...], kernel: tuple[int, ...], channels: int = 1) -> None:
        self.grid, self.kernel, self.channels = grid, kernel, channels
        self.D = int(np.prod(grid))
        self.taps = int(np.prod(kernel))
        self.n = self.taps * channels
        self.multiplicity = fourier.multiplicity(grid)
        self.full_width = grid == kernel
        self._enumerate()

    def _enumerate(self) -> None:
        """Number the free entries of a symmetric block-Toeplitz matrix: (lag, r, s) up to (−lag, s, r)."""
        R, k = self.channels, self.kernel
        positions = np.array(list(product(*map(range, k))), dtype=np.intp)
        shift = np.array([2 * size - 1 for size in k])
        offset = np.array([size - 1 for size in k])
        difference = positions[:, None, :] - positions[None, :, :]
        code = np.zeros(difference.shape[:2], dtype=np.intp)
        mirrored = code.copy()
        for axis in range(len(k)):
            code = code * shift[axis] + difference[..., axis] + offset[axis]
            mirrored = mirrored * shift[axis] - difference[..., axis] + offset[axis]
        r = np.arange(R)
        forward = (code[:, None, :, None] * R + r[:, None, None]) * R + r
        backward = (mirrored[:, None, :, None] * R + r) * R + r[:, None, None]
        chosen = np.maximum(forward, backward).reshape(self.n, self.n)
        codes, index = np.unique(chosen, return_inverse=True)
        self.index: IntArray = index.reshape(self.n, self.n).astype(np.intp)
        self._flat_index = self.index.reshape(-1)
        self.q = codes.size
        self.row, self.column = (codes // R) % R, codes % R
        rest = codes // (R * R)
        lags = np.empty((self.q, len(k)), dtype=np.intp)
        for axis in reversed(range(len(k))):
            lags[:, axis] = rest % shift[axis] - offset[axis]
            rest = rest // shift[axis]
        self.lag: IntArray = lags
        own_mirror = (self.row == self.column) & ~lags.any(axis=1)
        self._share = np.where(own_mirror, 0.5, 1.0)
        self.trace_lags: Array = own_mirror.astype(np.float64)

    # ---- matrices --------------------------------------------------------------------------------------------------

    def lags(self, X: Array) -> Array:
        """r_i = tr(E_i X), shape (q,)."""
        if X.dtype == np.float64:
            return np.asarray(np.bincount(self._flat_index, X.reshape(-1), self.q), dtype=np.float64)
        r = np.zeros(self.q, dtype=X.dtype)
        np.add.at(r, self._flat_index, X.reshape(-1))
        return r

    def matrix(self, t: Array) -> Array:
        """Σ_i t_i E_i, shape (n, n)."""
        return np.asarray(t[self.index])

    def product(self, X: Array, Q: Array) -> Array:
        """M_ij = tr(E_i X E_j Q) for symmetric X, Q: shape (q, q), symmetric. A correlation: by FFT for large n."""
        if self.n <= _SUMMED_UP_TO:
            pairs = np.multiply.outer(X, Q).transpose(3, 0, 1, 2).reshape(self.n**2, self.n**2)
            return np.asarray(self._members @ pairs @ self._members.T)
        C = self._correlations(X, Q)
        lag, r, s = self._flat_lag(self.lag), self.row, self.column
        mirror = self._flat_lag(-self.lag)
        M = np.zeros((self.q, self.q), dtype=C.dtype)
        for a, ra, sa in ((lag, r, s), (mirror, s, r)):
            for b_mirror, rb, sb in ((mirror, r, s), (lag, s, r)):  # C holds the second shift with the opposite sign
                M += C[sa[:, None], rb[None, :], ra[:, None], sb[None, :], a[:, None], b_mirror[None, :]]
        return np.asarray(M * (self._share[:, None] * self._share[None, :]))

    @cached_property
    def _members(self) -> Array:
        """E_i, flattened: (q, n²)."""
        return np.asarray(np.arange(self.q)[:, None] == self._flat_index, dtype=np.float64)

    def _flat_lag(self, lag: IntArray) -> IntArray:
        flat = np.zeros(lag.shape[0], dtype=np.intp)
        for axis, size in enumerate(self.kernel):
            flat = flat * (2 * size) + lag[:, axis] % (2 * size)
        return flat

    def _correlations(self, X: Array, Q: Array) -> Array:
        """C[s, r′, r, s′, ℓ, m] = Σ_{p,u} X[(p,s),(u,r′)] Q[(p+ℓ,r),(u+m,s′)], lags modulo 2K."""
        R, k, axes = self.channels, self.kernel, len(self.kernel)
        order = (axes, 2 * axes + 1, *range(axes), *range(axes + 1, 2 * axes + 1))
        size = tuple(2 * length for length in (*k, *k))
        over = tuple(range(-2 * axes, 0))
        first = fft.rfftn(X.reshape(*k, R, *k, R).transpose(order), size, over)
        second = fft.rfftn(Q.reshape(*k, R, *k, R).transpose(order), size, over)
        pairs = np.conj(first)[:, :, None, None] * second[None, None]
        length = 2**axes * self.taps
        return np.asarray(fft.irfftn(pairs, size, over).reshape(R, R, R, R, length, length))

    # ---- the grid --------------------------------------------------------------------------------------------------

    def fourier(self, values: Array) -> ComplexArray:
        """Unitary DFT over the grid of arrays (..., R·D) or (..., R, *grid): shape (..., R, H)."""
        return fourier.to_half(values.reshape(-1, self.channels, *self.grid), self.grid)

    def inverse(self, hat: ComplexArray) -> Array:
        """The real array (R, *grid) with these coefficients (R, H)."""
        return fourier.from_half(hat.reshape(self.channels, -1), self.grid)

    @cached_property
    def _table(self) -> ComplexArray | None:
        """e^{−iθ_d·ℓ} at the distinct lags, (H, q); None when too large to hold."""
        H = self.multiplicity.size
        if H * self.q > _TABLE_UP_TO:
            return None
        phase = np.zeros((H, self.q))
        sizes = fourier.half_shape(self.grid)
        for axis, frequency in enumerate(np.unravel_index(np.arange(H), sizes)):
            phase += np.outer(frequency, self.lag[:, axis]) % self.grid[axis] / self.grid[axis]
        return np.asarray(np.exp(-2j * np.pi * phase))

    @cached_property
    def _cosines(self) -> Array | None:
        return None if self._table is None else np.ascontiguousarray(self._table.real)

    def _grid_index(self, lag: IntArray) -> IntArray:
        return np.asarray(np.ravel_multi_index(tuple((lag % np.array(self.grid)).T), self.grid))

    @cached_property
    def _places(self) -> IntArray:
        return self._grid_index(self.lag)

    @cached_property
    def _mirror_places(self) -> IntArray:
        return self._grid_index(-self.lag)

    def spectrum(self, r: Array) -> NDArray[Any]:
        """P_d from the lags: (H,) real for R = 1, else (H, R, R) Hermitian."""
        R = self.channels
        if R == 1:
            if self._cosines is not None:
                return np.asarray(self._cosines @ r) / self.D
            field = np.bincount(self._places, 0.5 * r, self.D) + np.bincount(self._mirror_places, 0.5 * r, self.D)
            axes = tuple(range(len(self.grid)))
            return np.asarray(np.fft.rfftn(field.reshape(self.grid), axes=axes).real.reshape(-1) / self.D)
        fields = np.zeros((R, R, self.D), dtype=r.dtype)
        np.add.at(fields, (self.row, self.column, self._places), 0.5 * r)
        np.add.at(fields, (self.column, self.row, self._mirror_places), 0.5 * r)
        hat = np.fft.rfftn(fields.reshape(R, R, *self.grid), axes=tuple(range(2, 2 + len(self.grid))))
        return np.asarray(np.moveaxis(hat.reshape(R, R, -1), -1, 0) / self.D)

    def apply(self, P: NDArray[Any], z: ComplexArray) -> ComplexArray:
        """P_d ẑ_d; z and the result have shape (R, H)."""
        return np.asarray(P * z if self.channels == 1 else np.einsum("hrs,sh->rh", P, z))

    def divide(self, P: NDArray[Any], beta: ComplexArray) -> ComplexArray:
        """P_d^{-1} β̂_d."""
        if self.channels == 1:
            return np.asarray(beta / P)
        return np.asarray(np.linalg.solve(P, beta.T[:, :, None])[:, :, 0].T)

    def inner(self, a: NDArray[Any], b: NDArray[Any]) -> float:
        """⟨a, b⟩ of the real arrays with these coefficients."""
        return float((a.real * b.real + a.imag * b.imag).sum(axis=0) @ self.multiplicity)

    def to_lags(self, weights: NDArray[Any]) -> Array:
        """D^{-1} Re Σ_d w_d e^{−iθ_d ℓ} at the lags of a real-even (R = 1) sequence w (..., H): shape (..., q)."""
        if self._cosines is not None:
            return np.asarray((weights * (self.multiplicity / self.D)) @ self._cosines)
        return np.asarray(self._on_grid(weights)[..., self._places])

    def _on_grid(self, sequence: NDArray[Any]) -> Array:
        """D^{-1} Σ_d w_d e^{iθ_d p} at every point p, (..., H) → (..., D), for Hermitian sequences."""
        lead = sequence.shape[:-1]
        axes = tuple(range(-len(self.grid), 0))
        values = np.fft.irfftn(sequence.reshape(*lead, *fourier.half_shape(self.grid)), self.grid, axes)
        return np.asarray(values.reshape(*lead, self.D))

    def lags_of(self, z: NDArray[Any]) -> Array:
        """The lags t of T(z) in (1), shape (q,)."""
        if self.channels == 1:
            return self.to_lags(z[0].real ** 2 + z[0].imag ** 2)
        return np.asarray(self.cross_lags(z[None], z)[0])

    def cross_lags(self, rows: ComplexArray, z: ComplexArray) -> Array:
        """τ_n = ½ ∂t/∂(amount of row n added to z); rows (N, R, H), z (R, H), result (N, q)."""
        if self.channels == 1:
            return self.to_lags(rows[:, 0].real * z[0].real + rows[:, 0].imag * z[0].imag)
        found = np.empty((rows.shape[0], self.q), dtype=rows.real.dtype)
        for r, s in product(range(self.channels), repeat=2):
            chosen = np.flatnonzero((self.row == r) & (self.column == s))
            sequence = np.conj(rows[:, r]) * z[s] + rows[:, s] * np.conj(z[r])
            found[:, chosen] = 0.5 * self._phased(sequence, chosen)
        return found

    def _phased(self, sequence: ComplexArray, chosen: IntArray) -> Array:
        """D^{-1} Re Σ_d w_d e^{−iθ_d ℓ_i}, i in `chosen`, for Hermitian sequences (..., H)."""
        if self._table is not None:
            weighted = sequence * (self.multiplicity / self.D)
            table = self._table[:, chosen]
            return np.asarray(weighted.real @ table.real - weighted.imag @ table.imag)
        return np.asarray(self._on_grid(sequence)[..., self._mirror_places[chosen]])

    def gram(self, rows: ComplexArray, P: NDArray[Any]) -> Array:
        """⟨a_n, P a_m⟩, shape (N, N)."""
        weighted = rows * P if self.channels == 1 else np.einsum("hrs,nsh->nrh", P, rows)
        left = (rows * self.multiplicity).reshape(rows.shape[0], -1)
        right = weighted.reshape(rows.shape[0], -1)
        return np.asarray(left.real @ right.real.T + left.imag @ right.imag.T)

    def features(self, rows: ComplexArray, P: NDArray[Any]) -> Array:
        """C with C Cᵀ = `gram`, shape (N, 2·R·H): the rows times a root of P."""
        if self.channels == 1:
            weighted = rows * np.sqrt(np.maximum(P, 0.0))
        else:
            weighted = np.einsum("hsr,nsh->nrh", np.conj(_roots(P)), rows)
        flat = (weighted * np.sqrt(self.multiplicity)).reshape(rows.shape[0], -1)
        return np.concatenate([flat.real, flat.imag], axis=1)

    # ---- curvature of S(r) = Σ_d β̂_d* P_d(r)^{-1} β̂_d ---------------------------------------------------

    def curvature(self, P: NDArray[Any], z: NDArray[Any]) -> Array:
        """∂²S/∂r_i∂r_j with z = P^{-1}β̂, shape (q, q), positive semidefinite."""
        if self.channels > 1:
            return self._block_curvature(P, z)
        return self.lag_gram(2.0 * (z[0].real ** 2 + z[0].imag ** 2) / P)

    def lag_gram(self, h: Array) -> Array:
        """D^{-2} Σ_d h_d cos(θ_d ℓ_i) cos(θ_d ℓ_j) of a real-even sequence h (H,): shape (q, q)."""
        if self._cosines is not None and self.multiplicity.size <= 4 * self.q:
            weighted = self._cosines * (h * self.multiplicity / self.D**2)[:, None]
            return np.asarray(self._cosines.T @ weighted)
        values = self._on_grid(h)
        return np.asarray((values[self._differences] + values[self._sums]) / (2.0 * self.D))

    @cached_property
    def _differences(self) -> IntArray:
        return self._grid_index((self.lag[:, None] - self.lag[None]).reshape(self.q**2, -1)).reshape(self.q, self.q)

    @cached_property
    def _sums(self) -> IntArray:
        return self._grid_index((self.lag[:, None] + self.lag[None]).reshape(self.q**2, -1)).reshape(self.q, self.q)

    def _block_curvature(self, P: NDArray[Any], z: ComplexArray) -> Array:
        """2 Re Σ_d z* Φ_i P^{-1} Φ_j z, Φ_i = (e^{−iθℓ} e_r e_sᵀ + e^{iθℓ} e_s e_rᵀ)/(2D)."""
        inverse = np.linalg.inv(P)
        lag, r, s = self.lag, self.row, self.column
        H = np.zeros((self.q, self.q))
        # term (a): z̄_x e^{∓iθℓ_i}; term (b): e^{∓iθℓ_j} z_y; weights w_{xy,uv} = z̄_x P^{-1}_{uv} z_y
        kinds = ((1, r, s), (-1, s, r))
        cache: dict[tuple[int, int, int, int], Array] = {}
        for sign_i, outer_i, inner_i in kinds:
            for sign_j, outer_j, inner_j in kinds:
                # z* (e_outer e_innerᵀ) P^{-1} (e_outer e_innerᵀ) z with phases e^{−iθ(sign_i ℓ_i + sign_j ℓ_j)}
                total = (sign_i * lag[:, None] + sign_j * lag[None]).reshape(self.q**2, -1)
                places = self._grid_index(-total).reshape(self.q, self.q)
                for x, u, v, y in product(range(self.channels), repeat=4):
                    rows = np.flatnonzero((outer_i == x) & (inner_i == u))
                    columns = np.flatnonzero((outer_j == v) & (inner_j == y))
                    if rows.size and columns.size:
                        if (x, u, v, y) not in cache:
                            cache[x, u, v, y] = self._on_grid(np.conj(z[x]) * inverse[:, u, v] * z[y])
                        block = np.ix_(rows, columns)
                        H[block] += cache[x, u, v, y][places[block]]
        return H / (2.0 * self.D)


def _roots(P: NDArray[Any]) -> NDArray[Any]:
    """Lower triangular L_d with L_d L_d* = P_d ⪰ 0, (H, R, R), in the format of P; what is only rounding is zero."""
    L = np.tril(P)
    for k in range(L.shape[1]):
        pivot = L[:, k, k].real
        L[:, k:, k] /= np.sqrt(np.where(pivot > 0, pivot, np.inf))[:, None]
        L[:, k + 1 :, k + 1 :] -= np.tril(L[:, k + 1 :, k, None] * np.conj(L[:, None, k + 1 :, k]))
    return np.asarray(L)
