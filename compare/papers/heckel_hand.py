"""Heckel, Hand (2019), "Implicit bias of gradient descent on convolutional generators"."""

from __future__ import annotations

from compare.experiments.generators import QUESTIONS, GeneratorComparison
from compare.papers.lines import Line, Measured, about

PHANTOM = ("shepp_logan_phantom",)
SIDE = 32
"""Pixels on a side: a question then takes a processor minutes."""

PHOTOGRAPH = GeneratorComparison(
    ("camera",), size=SIDE, kinds=("bilinear", "fixed"), factors=(4.0,), questions=("noise",)
)
"""A natural image, fixed filters."""

FIGURE_2 = GeneratorComparison(PHANTOM, size=SIDE, questions=("noise",))
"""The phantom, four architectures, overparameterized 1, 4 and 16 times, counted to a hundredth of the variance."""

TENTH = GeneratorComparison(
    PHANTOM, size=SIDE, kinds=("learned", "deconvolution"), fraction=0.1, reach=60.0, questions=("noise",)
)
"""Its learned convolutions counted to a tenth: noise is followed for longer, so that its own ratio is known."""

WIDE = GeneratorComparison(
    ("camera",), size=SIDE, kinds=("learned", "deconvolution"), factors=(16.0,), questions=("noise",)
)
"""Learned convolutions at the largest overparameterization, on a photograph."""

BOARD, MANY, TOY = (GeneratorComparison(size=SIDE, questions=(question,)) for question in QUESTIONS[1:])
"""A checkerboard; several images; the toy model. Each by itself, so that an interrupted run keeps what is decided."""

QUICKLY = GeneratorComparison.quick()[0]
"""Kinds i and iv on one photograph, and a checkerboard."""

PHANTOM_QUICKLY = GeneratorComparison(
    PHANTOM,
    size=32,
    kinds=("bilinear", "fixed"),
    seeds=(0,),
    fraction=0.1,
    questions=("noise",),
    jobs=1,
)
"""Figure 2 at its three overparameterizations, counted to a tenth of the variance."""

WIDE_QUICKLY = GeneratorComparison(
    PHANTOM, size=16, kinds=("learned", "deconvolution"), factors=(16.0,), seeds=(0,), questions=("noise",), jobs=1
)
"""Learned convolutions where they are highly overparameterized."""

TREND_QUICKLY = GeneratorComparison(
    PHANTOM,
    size=16,
    kinds=("learned", "deconvolution"),
    seeds=(0,),
    fraction=0.1,
    reach=60.0,
    questions=("noise",),
    jobs=1,
)
"""The same at 1, 4 and 16, counted to a tenth of the variance; noise is followed long enough for its own ratio."""

MANY_QUICKLY = GeneratorComparison(size=32, questions=("many",), many_steps=150, jobs=1)
"""Six photographs."""

TOY_QUICKLY = GeneratorComparison(questions=("toy",), toy_search=False, jobs=1)
"""The setting in which Figure 4 holds."""


def of(
    *words: str, full: GeneratorComparison = FIGURE_2, quickly: GeneratorComparison = QUICKLY
) -> tuple[Measured, ...]:
    """The predictions of the full experiment, and of a quick one, that are about this."""
    return (Measured(full, quickly, about(*words)),)


LINES = (
    Line("abstract", "a natural image is fitted faster than noise",
         measured=of("noise takes at least", full=PHOTOGRAPH)),
    Line("section 2, the layer as printed", "b_{i+1,l} = relu(Σ_j M(c_{ijl}) b_i)",
         ("generator-layer-index-as-printed",)),
    Line("section 2, corrected", "b_{ij} for b_i", ("generator-layer-index",)),
    Line("i)", "bilinear upsampling, M = cT(u)U", ("linear-upsampling", "upsampling-shapes")),
    Line("ii)", "fixed interpolation kernels, M = cT(u)", ("fixed-and-learned-convolutions",)),
    Line("iii), iv)", "learned convolutions, deconvolutions", elsewhere="definitions: gd.ConvGenerator"),
    Line("sizes", "here 32 × 32, and 16 × 16 in some quick forms; there 512 × 512 in Figure 3, else not in our text",
         elsewhere="compare generators --full has sides of 256, and 512 for many images; it needs a GPU"),
    Line("Figure 1, right", "the weights move more for noise", ("relative-distance",), of("weights move less")),
    Line("Figure 2", "i) and ii): an order of magnitude between phantom and noise, at factors 1, 4, 16",
         measured=of("noise takes at least", "phantom", quickly=PHANTOM_QUICKLY)),
    Line("section 3, as printed", "“ii) and iii)” show a smaller effect",
         ("fixed-and-learned-convolutions-as-printed",)),
    Line("section 3, corrected", "iii) and iv) show a smaller effect", ("fixed-and-learned-convolutions",),
         of("the effect is smaller")),
    Line("Figure 2, its trend",
         "of iii) and iv) the effect falls from 1 to 4 to 16 times overparameterized, to a tenth of the variance",
         measured=of("the effect falls", full=TENTH, quickly=TREND_QUICKLY)),
    Line("section 3", "of iii) and iv) the effect vanishes where they are highly overparameterized: photograph",
         measured=of("essentially vanishes", full=WIDE, quickly=WIDE)),
    Line("section 3", "the same: phantom, to a tenth of the variance",
         measured=of("essentially vanishes", full=TENTH, quickly=TREND_QUICKLY)),
    Line("section 3", "the same: phantom, to a hundredth",
         measured=of("essentially vanishes", quickly=WIDE_QUICKLY)),
    Line("Figure 3, replication", "many images: bands of one deviation around the mean errors are apart",
         measured=of("bands", full=MANY, quickly=MANY_QUICKLY)),
    Line("section 3, replication", "natural images are fitted several orders of magnitude faster than noise",
         measured=of("several orders", full=MANY, quickly=MANY_QUICKLY)),
    Line("checkerboards", "pixels that alternate between 1 and 0 are fitted slowly",
         measured=of("checkerboard", full=BOARD)),
    Line("channel normalization", "mean and variance of each channel", ("channel-normalization",)),
    Line("Figure 4", "the toy model: a step almost an order of magnitude before noise",
         measured=of("order of magnitude earlier", full=TOY, quickly=TOY_QUICKLY)),
)  # fmt: skip
