"""Which torch operations have no kinks, by their names in the dispatcher (aten::…)."""

from __future__ import annotations

_SMOOTH_NAMES = """
    add sub rsub mul div neg pow square sqrt rsqrt reciprocal exp expm1 exp2 log log1p log2 log10 sin cos tan
    sinh cosh tanh asinh atan atan2 sigmoid log_sigmoid_forward softplus mish silu gelu erf erfc hypot addcmul
    addcdiv lerp xlogy logaddexp logsumexp _softmax _log_softmax glu where masked_fill mm bmm addmm addmv addbmm
    baddbmm mv dot vdot addr convolution avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d
    _adaptive_avg_pool3d mean sum prod cumsum cumprod var var_mean trace linalg_cross view _unsafe_view reshape
    t transpose permute unsqueeze squeeze select slice expand cat stack clone detach alias _to_copy lift_fresh
    flip roll repeat unfold im2col col2im gather index index_select constant_pad_nd reflection_pad1d
    reflection_pad2d replication_pad1d replication_pad2d split split_with_sizes unbind diagonal diag_embed tril
    triu pixel_shuffle pixel_unshuffle index_put index_add scatter scatter_add select_scatter slice_scatter
    diagonal_scatter as_strided copy fill _fft_r2c _fft_c2r _fft_c2c real imag view_as_real view_as_complex
    complex _conj _neg_view resolve_conj upsample_nearest1d upsample_nearest2d upsample_bilinear2d
    native_layer_norm native_group_norm _native_batch_norm_legit_no_training linalg_inv_ex linalg_solve_ex
    linalg_cholesky_ex _linalg_det triangular_solve zero
"""
SMOOTH = frozenset(_SMOOTH_NAMES.split())
"""Operations without kinks in their arguments where these are tensors of numbers (aten::… names)."""
SHAPE_ONLY = frozenset(
    {"zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"}
)
VIEWS = frozenset(
    {
        "view",
        "_unsafe_view",
        "reshape",
        "t",
        "transpose",
        "permute",
        "unsqueeze",
        "squeeze",
        "select",
        "slice",
        "expand",
        "clone",
        "detach",
        "alias",
        "flip",
        "roll",
        "repeat",
        "gather",
        "index_select",
        "diagonal",
    }
)
COMPARISONS: dict[str, int] = {"gt": 1, "ge": 1, "lt": -1, "le": -1}
"""Comparisons with the sign of a − b for which they hold."""
