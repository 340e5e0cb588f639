"""`compare paper NAME`, `compare_paper`: a paper's statements, figures and numbers, line by line."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Self

from compare.experiments.protocol import Experiment, function_of, parameter

PAPERS = {
    "gunasekar": "Gunasekar, Lee, Soudry, Srebro (2018)",
    "jagadeesan": "Jagadeesan, Razenshteyn, Gunasekar (2021)",
    "jin": "Jin, Montúfar (2020)",
    "heckel-hand": "Heckel, Hand (2019)",
    "heckel-soltanolkotabi": "Heckel, Soltanolkotabi (2020) and related abstracts",
}
"""The papers by the name that the command takes."""


@dataclass(frozen=True)
class PaperReproduction(Experiment):
    """A paper reproduced: what its text and figures state, in its order and numbering, line by line.

    Each line is confirmed, refuted or not reached, by claims that are verified, by experiments that are run, or by
    both; a line that is not run says where it lives. Equations that are wrong as printed are refuted, and the next line
    says what is right: so a report on a paper with such an equation has a refuted prediction.

    Returns:
        A report whose first section is the table of the lines; the experiments' own sections follow.

    Raises:
        ValueError: no paper has this name.

    Reference:
        The papers themselves: `PAPERS` of this module.

    >>> from compare.papers.reproduction import lines_of
    >>> lines_of("gunasekar")[0].place
    'section 1'
    """

    topic = "A paper, line by line"
    study = "compare.papers.reproduction:reproduction_report"
    paper: str = parameter("gunasekar", f"One of {', '.join(PAPERS)}.", choices=tuple(PAPERS), positional=True)
    _: KW_ONLY
    quick_form: bool = parameter(False, "Run each experiment in its quick form.", option="--quick")

    @property
    def title(self) -> str:
        """Authors and year."""
        return PAPERS[self.paper]

    @classmethod
    def quick(cls) -> tuple[Self, ...]:
        """Not a part of bare `implicitbias compare`: its experiments are."""
        return ()


compare_paper = function_of(PaperReproduction, "compare_paper")
