"""Jin, Montúfar (2020), "Implicit bias of gradient descent for mean squared error regression" (slides)."""

from __future__ import annotations

from dataclasses import replace

from compare.experiments.margin import MarginComparison
from compare.experiments.spline import SplineComparison
from compare.papers.lines import Line, Measured, about

LAW = "gaussian:1,0.316228"
"""B ~ N(0, 0.1) is the variance."""

TOLD = ("rates", "panels", "linearization")

UNIFORM = SplineComparison(
    inits=("uniform:1,2",), widths=(10, 40, 160, 640, 2560, 5120), seeds=range(300), questions=(*TOLD, "start")
)
"""W ~ U(−1, 1), B ~ U(−2, 2); the figure's widths and wider ones, from which the slope is fitted."""

UNIFORM_QUICKLY = replace(SplineComparison.quick()[0], questions=UNIFORM.questions)
"""Sixty networks."""

GAUSSIAN = SplineComparison(
    inits=(LAW,), widths=(20, 80, 160, 320, 640, 1280, 2560, 5120), seeds=range(300), questions=TOLD
)
"""W ~ N(0, 1), B ~ N(0, 0.1), the figure's widths and those between."""

GAUSSIAN_QUICKLY = SplineComparison(inits=(LAW,), widths=(160, 800, 2560, 5120), seeds=range(120), questions=TOLD)
"""The errors of this law spread more: twice as many networks."""

INPUTS = SplineComparison(questions=("inputs",))
"""Two and three inputs."""

DEEP = SplineComparison(questions=("deep",))
"""Depth three."""

LINEAR = MarginComparison("iris:0v1", architectures=("fully connected",), depths=(1, 2, 3), seeds=(0,), steps=200)
"""Deep linear networks."""


def of_both(*words: str) -> tuple[Measured, ...]:
    """The predictions about these words, of both laws of the figures."""
    chosen = about(*words)
    return Measured(UNIFORM, UNIFORM_QUICKLY, chosen), Measured(GAUSSIAN, GAUSSIAN_QUICKLY, chosen)


LINES = (
    Line("opening figure", "deep linear networks end at the ℓ2 max margin", measured=(Measured(LINEAR, LINEAR),)),
    Line("eq. (1)", "the network", elsewhere="a definition: gd.WideReLU"),
    Line("eqs. (2), (3)", "the initialization, mirrored or not: the network ends O(n^{−1/2}) from its own problem",
         measured=(Measured(UNIFORM, UNIFORM_QUICKLY, about("as printed")),)),
    Line("main theorem as printed", "an inf over [−L, L] of |f − g*| says that f is near g* on [−L, L]",
         ("theorem-inf-as-printed",)),
    Line("main theorem, eq. (4)", "sup over [−L, L] of |f − g*| is O(n^{−1/2}); g* solves the variational problem",
         ("theorem-sup", "initial-function"), of_both("falls like width")),
    Line("ζ(x)", "∫|W|³p(W, −Wx)dW", ("zeta-breakpoints",)),
    Line("eqs. (5), (6)", "anti-symmetrical initialization: f_0 = 0", ("anti-symmetric",)),
    Line("figure: uniform initialization", "W ~ U(−1, 1), B ~ U(−2, 2): the error falls like n^{−1/2}",
         measured=(Measured(UNIFORM, UNIFORM_QUICKLY, about("falls like width")),)),
    Line("figure: uniform, panels", "functions of 10, 40, 160, 640 neurons approach the spline",
         measured=(Measured(UNIFORM, UNIFORM_QUICKLY, about("units and more fit")),
                   Measured(UNIFORM, UNIFORM_QUICKLY, about("widest panel")))),
    Line("figure: Gaussian initialization", "W ~ N(0, 1), B ~ N(0, 0.1): the error falls like n^{−1/2}",
         measured=(Measured(GAUSSIAN, GAUSSIAN_QUICKLY, about("falls like width")),)),
    Line("figure: Gaussian, panels", "functions of 20, 80, 320, 2560 neurons approach the spline",
         measured=(Measured(GAUSSIAN, GAUSSIAN_QUICKLY, about("units and more fit")),
                   Measured(GAUSSIAN, GAUSSIAN_QUICKLY, about("widest panel")))),
    Line("eq. (7)", "the linearized model; sup over t of |fₗᵢₙ − f| is O(n^{−1/2}) (Lee et al. 2019)",
         ("linearized-network",), of_both("fₗᵢₙ − f|")),
    Line("eqs. (8)-(11)", "the gradients and their sizes", ("gradients", "kernel-shares")),
    Line("eq. (12), theorem", "output weights alone against all: O(1/n)", ("output-layer-training",),
         of_both("O(1/n)")),
    Line("eq. (13), theorem", "the least change of parameters", ("least-change",)),
    Line("eqs. (14)-(17)", "the problem of the output weights, as an empirical measure", ("empirical-problem",)),
    Line("eq. (18)", "infinite width",
         elsewhere="solvers.kernel_interpolant; on data that are not corrected by u and v it is not the spline, which "
         "is why (21) follows: the claim kernel-18-is-the-spline is refuted"),
    Line("theorem: (17) against (18)", "O(n^{−1/2})", ("width-rate",)),
    Line("eq. (19)", "breakpoints", ("breakpoint-problem", "zeta-breakpoints")),
    Line("eq. (20)", "the second derivative", ("eq-20",)),
    Line("eq. (21)", "with a free line ux + v", ("kernel-21", "arc-cosine-kernel")),
    Line("eq. (22)", "the function of the solution", ("curvature-outside",)),
    Line("eq. (23)", "ζ by conditional expectation", ("zeta-breakpoints", "curvature-value")),
    Line("eq. (24), theorem", "the spline on the data, a line outside",
         ("curvature-value", "curvature-outside", "euler-lagrange", "tridiagonal")),
    Line("proposition, Gaussian", "ζ = 2σ_w³σ_b³/(π(σ_b² + x²σ_w²)²)", ("zeta-gaussian",)),
    Line("proposition, binary-uniform", "ζ is constant on [−L, L]", ("zeta-binary-uniform",)),
    Line("proposition, uniform", "ζ is constant on [−L, L]", ("zeta-uniform", "natural-cubic-spline")),
    Line("figure: the effect of ζ", "green line, ζ constant: the natural cubic spline of the five points",
         ("spline-of-five-points", "natural-cubic-spline")),
    Line("figure: the effect of ζ", "blue and orange lines: where ζ peaks the solution bends",
         elsewhere="docs/gallery/initial_distributions.py draws them; solvers.weighted_spline certifies each"),
    Line("future work 1", "several inputs: networks on ℝ² and ℝ³ end O(n^{−1/2}) from the kernel's interpolant",
         measured=(Measured(INPUTS, None, needs="networks of up to 2,560 units, two minutes of processor time"),)),
    Line("future work 2", "depth 3: the kernel moves, and for small y the function is off, by O(m^{−1/2})",
         measured=(Measured(DEEP, None, needs="networks of three layers, two minutes of processor time"),)),
    Line("future work 3", "other optimization methods",
         elsewhere="gd.descend takes them; for the squared loss nothing is predicted of them here"),
)  # fmt: skip
