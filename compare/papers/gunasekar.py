"""Gunasekar, Lee, Soudry, Srebro (2018), "Implicit bias of gradient descent on linear convolutional networks"."""

from __future__ import annotations

from dataclasses import replace

from compare.experiments.bounded import BoundedComparison
from compare.experiments.decay import DecayComparison
from compare.experiments.kernel_rich import KernelRichComparison
from compare.experiments.losses import LossComparison
from compare.experiments.margin import MarginComparison
from compare.experiments.optimizers import OptimizerComparison
from compare.experiments.outputs import OutputsComparison
from compare.experiments.padding import PaddingComparison
from compare.experiments.path import PathComparison
from compare.margin.output_limits import planted_classes
from compare.papers.lines import Line, Measured, about

SIGNALS = MarginComparison("synthetic:10,20,0", depths=(1, 2, 3, 4), seeds=(0, 1, 2), steps=1000)
"""Every architecture at depths 1 to 4, three starts; separable by construction."""

SIGNALS_QUICKLY = MarginComparison("synthetic:10,20,0", depths=(1, 2, 3, 4), seeds=(0,), steps=200)
"""The same with one start."""

TABLE = MarginComparison("wine:0v1", depths=(1, 2, 3), seeds=(0, 1), steps=1000)
"""Wine."""

TABLE_QUICKLY = MarginComparison("wine:0v1", depths=(1, 2, 3), seeds=(0,), steps=200)
"""The same with one start."""

IMAGES = MarginComparison("digits:3v8", architectures=("convolutional 2-D",), depths=(2, 3), seeds=(0,), steps=200)
"""Two digits, convolutions over both axes."""

IMAGES_QUICKLY = MarginComparison(
    "digits:3v8", architectures=("convolutional 2-D",), depths=(2,), seeds=(0,), steps=200
)
"""Depth two alone."""

SEVERAL_CLASSES = MarginComparison(
    planted_classes(12, 16, 3, 0), architectures=("convolutional",), depths=(2, 3), seeds=(0,), steps=200
)
"""Convolutional networks with three outputs."""

OUTPUTS = OutputsComparison("synthetic:10,8,3,0", depths=(1, 2, 3), seeds=(0,))
"""Three outputs, depths 1 to 3."""

PADDING = PaddingComparison("synthetic:6,10,0", kernels=(3, 5), seeds=(0, 1))
"""Zero padding and narrow kernels."""

PADDING_QUICKLY = PaddingComparison("synthetic:6,10,0", kernels=(3,), seeds=(0,))
"""One kernel, one start."""

BOUNDED = BoundedComparison()
"""Pooling, depth 3, wavelets."""

BOUNDED_QUICKLY = replace(BoundedComparison.quick()[0], data_sets=200)
"""Few networks; data sets without networks are cheap."""

LOSSES = LossComparison("iris:0v1", depths=(2, 3), seeds=(0,))
"""Logistic beside exponential loss."""

PATH = PathComparison("synthetic:12,8,3", steps=1000)
"""Data that separate: rates, and the two paths."""

PATH_NOT_SEPARABLE = PathComparison("partial:40,6,0", steps=1000)
"""Data of which a part separates."""

DECAY = DecayComparison()
"""The paths of weight decay: each point on the explicit regularization path."""

DECAY_QUICKLY = DecayComparison.quick()[0]
"""Few decays."""

COORDINATES = OptimizerComparison(
    "synthetic:6,10,0", architectures=("linear predictor",), optimizers=("gradient", "coordinate"), eps=0.0
)
"""Coordinate descent on linear predictors."""

COORDINATES_QUICKLY = replace(COORDINATES, steps=4000)
"""Fewer steps."""

REGRESSION = KernelRichComparison()
"""Squared loss: every initial scale."""

REGRESSION_QUICKLY = KernelRichComparison.quick()[0]
"""Few scales."""


def on_all(*words: str) -> tuple[Measured, ...]:
    """The predictions about some networks, on signals and on the table."""
    chosen = about(*words)
    return Measured(SIGNALS, SIGNALS_QUICKLY, chosen), Measured(TABLE, TABLE_QUICKLY, chosen)


ORIGINAL = "a definition: "
NOT_IN_OUR_TEXT = "The proof itself is in the appendices, which are not in our text"
LINES = (
    Line("section 1", "coordinate descent on logistic regression ends at the ℓ1 max margin",
         ("cost-l1", "weak-duality", "lp-duality"), (Measured(COORDINATES, COORDINATES_QUICKLY, about("coordinate")),)),
    Line("eq. (1)", "fully connected networks, β = w_1 ⋯ w_L", elsewhere=ORIGINAL + "gd.FullyConnected"),
    Line("eq. (2)", "full-width circular convolution, as printed without 1/√D: β̂ = ŵ_1 ⊙ ⋯ ⊙ ŵ_L",
         ("lemma-3-as-printed",)),
    Line("eq. (2), corrected", "without 1/√D, β̂ = D^{(L−1)/2} ŵ_1 ⊙ ⋯ ⊙ ŵ_L", ("lemma-3-unscaled",)),
    Line("eq. (3)", "the convolutional network's output", elsewhere=ORIGINAL + "gd.Convolutional"),
    Line("section 2, P_conv", "P_conv = w_1↓ ⋆ ⋯ ⋆ w_L, w↓[k] = w[D−k−1]", ("p-conv-as-printed",)),
    Line("section 2, P_conv corrected", "the flip is w[−k mod D], and the order from w_L back; or no flip at all",
         ("p-conv", "p-conv-without-flip")),
    Line("section 2", "convolutional networks compute every linear predictor", ("every-predictor",)),
    Line("eqs. (4), (5)", "the risk over weights and over predictors",
         elsewhere=ORIGINAL + "gd.descend, gd.Exponential"),
    Line("eq. (6)", "gradient descent on β itself ends at the ℓ2 max margin (Soudry et al.)",
         measured=on_all("linear predictor")),
    Line("eq. (7)", "gradient descent on the weights", elsewhere=ORIGINAL + "gd.descend"),
    Line("Theorem 1, eq. (8)", "fully connected networks of every depth end at the ℓ2 max margin",
         ("kkt-fully-connected", "lemma-5"), on_all("fully connected")),
    Line("eq. (8) as printed", "the minimum is over w", ("eq-8-argmin",)),
    Line("eq. (8), corrected", "the minimum is over β", ("eq-8-value",)),
    Line("Theorem 2, eq. (9)", "convolutional networks of depth 2 end at the ℓ1 max margin in frequency",
         ("kkt-two-layer",), on_all("convolutional", "L=2")),
    Line("Figures 1a, 1b", "ℓ2 for fully connected networks, ℓ_{2/L} in frequency for convolutional ones",
         measured=on_all("onvolutional")),
    Line("Theorem 2a, eq. (10)", "convolutional networks of depth L end at stationary points of ‖β̂‖_{2/L}",
         ("kkt-bridge",), (Measured(SIGNALS, SIGNALS_QUICKLY, about("convolutional", "L=3")),
                           Measured(SIGNALS, SIGNALS_QUICKLY, about("convolutional", "L=4")))),
    Line("eq. (11)", "stationarity by Clarke's subdifferential as it is printed", ("eq-11-as-printed",)),
    Line("eq. (11), corrected", "off the support nothing is asked of a stationary point",
         ("off-support", "eq-11-empty")),
    Line("eq. (12)", "the subdifferential of ‖β̂‖_1", ("eq-12",)),
    Line("eq. (13)", "the subdifferential of ‖β̂‖_p as it is printed", ("eq-13-as-printed",)),
    Line("eq. (13), corrected", "it is that of ‖β̂‖_p^p", ("eq-13",)),
    Line("Lemma 3", "β̂ = diag(ŵ_1) ⋯ diag(ŵ_{L−1}) ŵ_L, with 1/√D in the convolution", ("lemma-3",)),
    Line("Figure 1c", "diagonal networks end at the ℓ_{2/L} max margin, or a stationary point of it",
         measured=on_all("diagonal")),
    Line("section 4, definition", "the maps are homogeneous polynomials", ("homogeneity",)),
    Line("Theorem 4, eq. (14), as printed", "the weights are in ℝ^D", ("theorem-4-space-as-printed",)),
    Line("Theorem 4, eq. (14)", "homogeneous networks end at first-order stationary points of min ‖w‖²",
         ("theorem-4-space",), (Measured(PADDING, PADDING_QUICKLY),)),
    Line("section 4, suspected", "the limit is a local minimum of (14), not only stationary",
         measured=(Measured(BOUNDED, BOUNDED_QUICKLY, about("local minimum")),)),
    Line("eq. (15)", "stationary points of (14) need not be stationary for the predictor problem",
         measured=(Measured(BOUNDED, BOUNDED_QUICKLY, about("not the optimum")),)),
    Line("Lemma 5", "fully connected: R = L‖β‖_2^{2/L}", ("lemma-5",)),
    Line("Lemma 6", "diagonal: R = L‖β‖_{2/L}^{2/L}", ("lemma-6",)),
    Line("Lemma 7 with eq. (2) as printed", "convolutional: R = L‖β̂‖_{2/L}^{2/L} without 1/√D",
         ("lemma-7-as-printed",)),
    Line("Lemma 7", "convolutional: R = L‖β̂‖_{2/L}^{2/L}, with 1/√D in the convolution",
         ("lemma-7", "lemma-7-unscaled")),
    Line("section 6", "the results extend to two dimensions",
         measured=(Measured(IMAGES, IMAGES_QUICKLY, about("onvolutional")),)),
    Line("section 6, expected", "zero padding: KKT points in weight space",
         measured=(Measured(PADDING, PADDING_QUICKLY, about("zero padding")),)),
    Line("section 6, asked", "bounded width: sparsity in a wavelet representation?",
         measured=(Measured(BOUNDED, BOUNDED_QUICKLY, about("wavelet")),)),
    Line("section 6, suspected", "several outputs: nuclear norm at depth 2, shrinking Schatten penalties beyond",
         ("cost-schatten", "spectral-nuclear-duality"), (Measured(OUTPUTS, OUTPUTS),)),
    Line("section 6, expected", "convolutional networks with several outputs: sparsity in frequency",
         measured=(Measured(SEVERAL_CLASSES, SEVERAL_CLASSES),)),
    Line("section 6, expected", "parallel filters, average pooling: a bias of this kind, a nuclear norm",
         measured=(Measured(BOUNDED, BOUNDED_QUICKLY, about("average pooling")),)),
    Line("section 6, max pooling", "more complex; measured: the limits are KKT points in weight space",
         measured=(Measured(BOUNDED, BOUNDED_QUICKLY, about("max pooling")),)),
    Line("section 6, nonlinear activations", "no statement is made", elsewhere="compare relu follows ReLU networks"),
    Line("section 6, squared loss", "matrix factorization: the bias depends on the start",
         ("hyperbolic-entropy", "diagonal-flow"), (Measured(REGRESSION, REGRESSION_QUICKLY),)),
    Line("section 6, other losses", "exponential tails, logistic loss among them: one limit",
         measured=(Measured(LOSSES, LOSSES),)),
    Line("section 6, rates", "rates of convergence to the separator can be computed",
         ("rate-multipliers", "rate-direction", "rate-margin", "rate-homogeneous"),
         (Measured(PATH, PATH, about("at least 1/")),)),
    Line("section 6, data that do not separate", "gradient descent goes to a direction plus a finite part",
         measured=(Measured(PATH_NOT_SEPARABLE, PATH_NOT_SEPARABLE),)),
    Line("section 6, two paths", "the optimization path beside the regularization path",
         measured=(Measured(DECAY, DECAY_QUICKLY, about("least for its R")), Measured(PATH, PATH, about("paths")))),
    Line("section 6, degenerate data", "data of measure zero",
         elsewhere="solvers.Uniqueness says whether the optimum is unique; compared is then R, not the direction"),
    Line("proofs of Theorems 1, 2, 2a and 4", "that hypotheses (a) to (c) lead to the limit",
         elsewhere=NOT_IN_OUR_TEXT),
)  # fmt: skip
