"""Jagadeesan, Razenshteyn, Gunasekar (2021), "Inductive bias of multi-channel linear convolutional networks"."""

from __future__ import annotations

from dataclasses import replace

from compare.experiments.bounded import BoundedComparison
from compare.experiments.channels import ChannelComparison
from compare.experiments.conjecture import ConjectureSearch
from compare.experiments.decay import DecayComparison
from compare.papers.lines import Line, Measured, about

DECAY = DecayComparison()
"""λ down to exp(−10⁶)."""

DECAY_QUICKLY = DecayComparison.quick()[0]
"""Few decays."""

SIGNALS = ChannelComparison("synthetic:12,24,0", kernels=(1, 3, 24), channels=(1, 2, 4), seeds=(0, 1, 2))
"""K from one tap to full width, C from 1 to 4, three starts."""

SIGNALS_QUICKLY = ChannelComparison("synthetic:12,24,0", kernels=(1, 3, 24), channels=(1, 2), seeds=(0,))
"""One start."""

IMAGES = ChannelComparison("digits:0v1", kernels=(1, 2, 3), channels=(1, 2, 4), seeds=(0,))
"""Digits, as images: the stand-in for MNIST where its files are not at hand (`--data mnist:0v1 --folder`)."""

IMAGES_QUICKLY = ChannelComparison("digits:0v1", kernels=(2,), channels=(1, 2), seeds=(0,))
"""One kernel."""

ONE_CHANNEL = ConjectureSearch(channels_in=1, generations=2, batch=10)
"""R = 1 signals: the theorem."""

ONE_CHANNEL_QUICKLY = ConjectureSearch.quick()[0]
"""One generation."""

TWO_CHANNELS = ConjectureSearch(channels_in=2, generations=2, batch=10)
"""R = 2 signals: the conjecture C ≥ R."""

TWO_CHANNELS_QUICKLY = replace(ONE_CHANNEL_QUICKLY, channels_in=2, channels_out=2)
"""One small generation."""

BOUNDED = BoundedComparison(data_sets=0)
"""Pooling and three layers."""

BOUNDED_QUICKLY = replace(BoundedComparison.quick()[0], data_sets=0)
"""Two data sets."""

LINES = (
    Line("the weight norm, implicitly", "gradient descent controls ‖w‖: the limit is a point of least norm at margin 1",
         measured=(Measured(SIGNALS, SIGNALS_QUICKLY),)),
    Line("the weight norm, explicitly", "weight decay controls ‖w‖: λ → 0 leads to the least R at margin 1",
         measured=(Measured(DECAY, DECAY_QUICKLY),)),
    Line("the induced regularizer", "R_Φ(f) = inf ‖θ‖² s.t. f = Φ(θ; ·), at every λ the cost of the trained weights",
         measured=(Measured(DECAY, DECAY_QUICKLY, about("cheapest")),)),
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
         (Measured(SIGNALS, SIGNALS_QUICKLY, about("K = 1", "cost")),)),
    Line("special case K = D", "2‖ŵ‖_1 for any C", ("full-width",),
         (Measured(SIGNALS, SIGNALS_QUICKLY, about("K = 24", "cost")),)),
    Line("no closed form", "even for K = 2 there appears to be none",
         elsewhere="said, not proved; enclosed values, R_2 among them: the claim kernel-norm-values"),
    Line("main theorem", "R = 1: R_{K,C} does not depend on C, for any K", ("channel-independence",),
         (Measured(ONE_CHANNEL, ONE_CHANNEL_QUICKLY), Measured(SIGNALS, SIGNALS_QUICKLY, about("not depend")))),
    Line("R_{K,C} with U and V", "min ‖U‖² + ‖V‖² s.t. diag(ÛV̂ᵀ) = ŵ", ("variational-form",)),
    Line("the SDP", "min ⟨Z, I⟩ with A_d real and imaginary, rank Z ≤ C", ("sdp-constraints", "sdp-factors")),
    Line("tightness", "there is a solution of rank one", ("channel-independence",)),
    Line("lemma", "a⋆a + b⋆b = c⋆c, ⋆ with respect to dimension D, autocorrelation",
         ("convolution-lemma", "convolution-lemma-many")),
    Line("lemma, ⋆ read as convolution", "a∗a + b∗b = c∗c", ("ordinary-convolution-lemma",)),
    Line("its polynomial form", "x^{K−1}p_c(x)p_c(1/x) = x^{K−1}p_a(x)p_a(1/x) + x^{K−1}p_b(x)p_b(1/x)",
         ("autocorrelation-polynomial", "spectral-factor", "spectral-factor-degenerate")),
    Line("extension 1", "R > 1: no independence for every C ≥ 1; and no lemma",
         ("several-input-channels", "two-channels")),
    Line("extension 2", "independent of C for C ≥ R·K", ("rank-reduction",)),
    Line("conjecture", "independent of C for C ≥ R: no counterexample found", measured=(
        Measured(TWO_CHANNELS, TWO_CHANNELS_QUICKLY),)),
    Line("beyond the slides: two dimensions", "one channel is not enough for images", ("two-dimensions",)),
    Line("experiment", "the limit of gradient descent does not depend on C ≥ R on image data", ("kkt-two-layer",),
         (Measured(IMAGES, IMAGES_QUICKLY),)),
    Line("future: pooling", "average pooling: twice a nuclear norm of the pooled data; max pooling: KKT points",
         measured=(Measured(BOUNDED, BOUNDED_QUICKLY, about("pooling")),)),
    Line("future: depth", "three layers: KKT points in weight space",
         measured=(Measured(BOUNDED, BOUNDED_QUICKLY, about("depth 3")),)),
    Line("future: nonlinearities", "no statement is made", elsewhere="gd.MultiChannelReLU with gd.flow_limit"),
)  # fmt: skip
