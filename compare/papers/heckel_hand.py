"""Heckel, Hand (2019), "Implicit bias of gradient descent on convolutional generators"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compare.papers.lines import Line, Measured

if TYPE_CHECKING:
    from compare.experiments.generators import GeneratorComparison


def generators() -> GeneratorComparison:
    """The usual images, four architectures, overparameterized 1, 4 and 16 times, several images, the toy model."""
    from compare.experiments.generators import GeneratorComparison

    return GeneratorComparison()


def quickly() -> GeneratorComparison:
    """Kinds i and iv on one photograph."""
    from compare.experiments.generators import GeneratorComparison

    return GeneratorComparison.quick()[0]


ALL = Measured(generators, quickly)
LINES = (
    Line("abstract", "a natural image is fitted faster than noise", measured=(ALL,)),
    Line("section 2, the layer as printed", "b_{i+1,l} = relu(Σ_j M(c_{ijl}) b_i)",
         ("generator-layer-index-as-printed",)),
    Line("section 2, corrected", "b_{ij} for b_i", ("generator-layer-index",)),
    Line("i)", "bilinear upsampling, M = cT(u)U", ("linear-upsampling", "upsampling-shapes")),
    Line("ii)", "fixed interpolation kernels, M = cT(u)", ("fixed-and-learned-convolutions",)),
    Line("iii), iv)", "learned convolutions, deconvolutions", elsewhere="definitions: gd.ConvGenerator"),
    Line("Figure 1, right", "the weights move more for noise", ("relative-distance",), (ALL,)),
    Line("Figure 2", "i) and ii): an order of magnitude between phantom and noise, at factors 1, 4, 16",
         measured=(ALL,)),
    Line("section 3, as printed", "“ii) and iii)” show a smaller effect",
         ("fixed-and-learned-convolutions-as-printed",)),
    Line("section 3, corrected", "iii) and iv) are meant", ("fixed-and-learned-convolutions",), (ALL,)),
    Line("Figure 3", "mean and deviation over many images", measured=(ALL,)),
    Line("checkerboards", "pixels that alternate between 1 and 0 are fitted slowly", measured=(ALL,)),
    Line("channel normalization", "mean and variance of each channel", ("channel-normalization",)),
    Line("Figure 4", "the toy model: a step almost an order of magnitude before noise", measured=(ALL,)),
)  # fmt: skip
