"""Jagadeesan, Razenshteyn, Gunasekar (2021), "Inductive bias of multi-channel linear convolutional networks"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compare.papers.lines import Line, Measured, about

if TYPE_CHECKING:
    from compare.experiments.bounded import BoundedComparison
    from compare.experiments.channels import ChannelComparison
    from compare.experiments.conjecture import ConjectureSearch
    from compare.experiments.decay import DecayComparison


def decay() -> DecayComparison:
    """λ down to exp(−10⁶)."""
    from compare.experiments.decay import DecayComparison

    return DecayComparison()


def decay_quickly() -> DecayComparison:
    """Few decays."""
    from compare.experiments.decay import DecayComparison

    return DecayComparison.quick()[0]


def signals() -> ChannelComparison:
    """K from one tap to full width, C from 1 to 4, three starts."""
    from compare.experiments.channels import ChannelComparison

    return ChannelComparison("synthetic:12,24,0", kernels=(1, 3, 24), channels=(1, 2, 4), seeds=(0, 1, 2))


def signals_quickly() -> ChannelComparison:
    """One start."""
    from compare.experiments.channels import ChannelComparison

    return ChannelComparison("synthetic:12,24,0", kernels=(1, 3, 24), channels=(1, 2), seeds=(0,))


def images() -> ChannelComparison:
    """Digits, as images: the stand-in for MNIST where its files are not at hand (`--data mnist:0v1 --folder`)."""
    from compare.experiments.channels import ChannelComparison

    return ChannelComparison("digits:0v1", kernels=(1, 2, 3), channels=(1, 2, 4), seeds=(0,))


def images_quickly() -> ChannelComparison:
    """One kernel."""
    from compare.experiments.channels import ChannelComparison

    return ChannelComparison("digits:0v1", kernels=(2,), channels=(1, 2), seeds=(0,))


def one_channel() -> ConjectureSearch:
    """R = 1 signals: the theorem."""
    from compare.experiments.conjecture import ConjectureSearch

    return ConjectureSearch(channels_in=1, generations=2, batch=10)


def one_channel_quickly() -> ConjectureSearch:
    """One generation."""
    from compare.experiments.conjecture import ConjectureSearch

    return ConjectureSearch.quick()[0]


def two_channels() -> ConjectureSearch:
    """R = 2 signals: the conjecture C ≥ R."""
    from compare.experiments.conjecture import ConjectureSearch

    return ConjectureSearch(channels_in=2, generations=2, batch=10)


def two_channels_quickly() -> ConjectureSearch:
    """One small generation."""
    from dataclasses import replace

    return replace(one_channel_quickly(), channels_in=2, channels_out=2)


def bounded() -> BoundedComparison:
    """Pooling and three layers."""
    from compare.experiments.bounded import BoundedComparison

    return BoundedComparison(data_sets=0)


def bounded_quickly() -> BoundedComparison:
    """Two data sets."""
    from dataclasses import replace

    from compare.experiments.bounded import BoundedComparison

    return replace(BoundedComparison.quick()[0], data_sets=0)


LINES = (
    Line("the weight norm, implicitly", "gradient descent controls ‖w‖: the limit is a point of least norm at margin 1",
         measured=(Measured(signals, signals_quickly),)),
    Line("the weight norm, explicitly", "weight decay controls ‖w‖: λ → 0 leads to the least R at margin 1",
         measured=(Measured(decay, decay_quickly),)),
    Line("the induced regularizer", "R_Φ(f) = inf ‖θ‖² s.t. f = Φ(θ; ·), at every λ the cost of the trained weights",
         measured=(Measured(decay, decay_quickly, about("cheapest")),)),
    Line("its values: fully connected", "ℓ2 norm of the predictor", ("lemma-5",)),
    Line("its values: diagonal", "ℓ_{2/L} norm of the predictor", ("lemma-6",)),
    Line("its values: full-dimensional kernels", "ℓ1 norm in Fourier space", ("lemma-7", "full-width")),
    Line("its values: two-layer ReLU, infinite width", "by the Radon transform",
         elsewhere="solvers.rich_interpolant for one input; for several: solvers.relu_max_margin, without biases"),
    Line("two-layer linear CNN", "C channels, kernels of size K", elsewhere="a definition: gd.MultiChannelCNN"),
    Line("observation 1", "every linear function, at any C and K", ("every-predictor",)),
    Line("observation 2", "more channels never raise R", ("monotone-in-channels",)),
    Line("observation 3", "larger kernels never raise R", ("monotone-in-kernel",)),
    Line("special case K = 1", "2√D‖w‖_2 for any C", ("one-tap",),
         (Measured(signals, signals_quickly, about("K = 1", "cost")),)),
    Line("special case K = D", "2‖ŵ‖_1 for any C", ("full-width",),
         (Measured(signals, signals_quickly, about("K = 24", "cost")),)),
    Line("no closed form", "even for K = 2 there appears to be none",
         elsewhere="said, not proved; enclosed values, R_2 among them: the claim kernel-norm-values"),
    Line("main theorem", "R = 1: R_{K,C} does not depend on C, for any K", ("channel-independence",),
         (Measured(one_channel, one_channel_quickly), Measured(signals, signals_quickly, about("not depend")))),
    Line("R_{K,C} with U and V", "min ‖U‖² + ‖V‖² s.t. diag(ÛV̂ᵀ) = ŵ", ("variational-form",)),
    Line("the SDP", "min ⟨Z, I⟩ with A_d real and imaginary, rank Z ≤ C", ("sdp-constraints", "sdp-factors")),
    Line("tightness", "there is a solution of rank one", ("channel-independence",)),
    Line("lemma", "a⋆a + b⋆b = c⋆c, ⋆ with respect to dimension D, autocorrelation",
         ("convolution-lemma", "convolution-lemma-many")),
    Line("lemma, ⋆ read as convolution", "a∗a + b∗b = c∗c", ("ordinary-convolution-lemma",)),
    Line("its polynomial form", "x^{K−1}p_c(x)p_c(1/x) = x^{K−1}p_a(x)p_a(1/x) + x^{K−1}p_b(x)p_b(1/x)",
         ("autocorrelation-polynomial", "spectral-factor", "spectral-factor-degenerate")),
    Line("extension 1", "R > 1: the lemma fails, and with it independence for every C ≥ 1", ("two-channels",)),
    Line("extension 2", "independent of C for C ≥ R·K", ("rank-reduction",)),
    Line("conjecture", "independent of C for C ≥ R: no counterexample found", measured=(
        Measured(two_channels, two_channels_quickly),)),
    Line("beyond the slides: two dimensions", "one channel is not enough for images", ("two-dimensions",)),
    Line("experiment", "the limit of gradient descent does not depend on C ≥ R on image data", ("kkt-two-layer",),
         (Measured(images, images_quickly),)),
    Line("future: pooling", "average pooling: twice a nuclear norm of the pooled data",
         measured=(Measured(bounded, bounded_quickly, about("pooling")),)),
    Line("future: depth", "three layers: KKT points in weight space",
         measured=(Measured(bounded, bounded_quickly, about("depth 3")),)),
    Line("future: nonlinearities", "no statement is made", elsewhere="gd.MultiChannelReLU with gd.flow_limit"),
)  # fmt: skip
