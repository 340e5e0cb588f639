"""Heckel, Hand (2019), "Implicit bias of gradient descent on convolutional generators"."""

from __future__ import annotations

from compare.experiments.generators import GeneratorComparison
from compare.papers.lines import Line, Measured, about

GENERATORS = GeneratorComparison()
"""The usual images, four architectures, overparameterized 1, 4 and 16 times, several images, the toy model."""

QUICKLY = GeneratorComparison.quick()[0]
"""Kinds i and iv on one photograph."""


def of(*words: str) -> tuple[Measured, ...]:
    """The predictions of the one experiment that are about this."""
    return (Measured(GENERATORS, QUICKLY, about(*words)),)


LINES = (
    Line("abstract", "a natural image is fitted faster than noise", measured=of("takes at least")),
    Line("section 2, the layer as printed", "b_{i+1,l} = relu(Σ_j M(c_{ijl}) b_i)",
         ("generator-layer-index-as-printed",)),
    Line("section 2, corrected", "b_{ij} for b_i", ("generator-layer-index",)),
    Line("i)", "bilinear upsampling, M = cT(u)U", ("linear-upsampling", "upsampling-shapes")),
    Line("ii)", "fixed interpolation kernels, M = cT(u)", ("fixed-and-learned-convolutions",)),
    Line("iii), iv)", "learned convolutions, deconvolutions", elsewhere="definitions: gd.ConvGenerator"),
    Line("Figure 1, right", "the weights move more for noise", ("relative-distance",), of("weights move less")),
    Line("Figure 2", "i) and ii): an order of magnitude between phantom and noise, at factors 1, 4, 16",
         measured=of("takes at least", "phantom")),
    Line("section 3, as printed", "“ii) and iii)” show a smaller effect",
         ("fixed-and-learned-convolutions-as-printed",)),
    Line("section 3, corrected", "iii) and iv) show a smaller effect", ("fixed-and-learned-convolutions",),
         of("the effect is smaller")),
    Line("section 3", "of iii) and iv) the effect vanishes where they are highly overparameterized",
         measured=of("essentially vanishes")),
    Line("Figure 3, replication", "many images: orders of magnitude faster than noise, bands of one deviation apart",
         measured=(*of("several orders"), *of("bands"))),
    Line("checkerboards", "pixels that alternate between 1 and 0 are fitted slowly", measured=of("checkerboard")),
    Line("channel normalization", "mean and variance of each channel", ("channel-normalization",)),
    Line("Figure 4", "the toy model: a step almost an order of magnitude before noise",
         measured=of("order of magnitude earlier")),
)  # fmt: skip
