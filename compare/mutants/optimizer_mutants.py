"""Wrong norms for optimizers: every other norm of the comparison, claimed for each of them."""

from __future__ import annotations

from compare.data.dataset import Dataset
from compare.mutants.trial import Mutant, Trial
from compare.optimizers.optimizer_checks import margin_check
from compare.optimizers.optimizer_report import MATRIX_NORMS, NORMS, several_labels
from compare.optimizers.optimizer_runs import Run, run
from solvers.regularizers import Regularizer


def optimizer_trial(dataset: Dataset, name: str, *, steps: int, seed: int, outputs: int = 1) -> Trial:
    """A linear predictor of one output, or of several, under one optimizer: its own norm, and the others."""
    y = dataset.y if outputs == 1 else several_labels(dataset.X, outputs, seed)
    trained = run(dataset.X, y, "linear predictor", 1, name, steps=steps, init=0.1, seed=seed, optima={})
    right = trained.regularizer
    assert right is not None
    norms = MATRIX_NORMS if trained.several else NORMS
    wrong = [mutant(trained, norm, right) for norm in norms if norm.formula != right.formula and not same(norm, right)]
    what = "linear predictor" + (f", {outputs} outputs" if trained.several else "")
    return Trial(f"{name}, {what}", dataset.name, (Mutant(right.formula, margin_check(trained, right, "")), *wrong))


def same(norm: Regularizer, right: Regularizer) -> bool:
    """Whether two names are one norm: of matrices ‖σ(β)‖₂ is ‖β‖₂."""
    return {norm.formula, right.formula} == {"‖σ(β)‖₂", "‖β‖₂"}


def mutant(trained: Run, claimed: Regularizer, right: Regularizer) -> Mutant:
    """The same run with another norm claimed for its optimizer.

    It is apart by how much the margin of the right optimum falls short in the claimed norm; where the right optimum is
    not the only one, the run's end stands for it.
    """
    optimum = trained.optimum(right)
    apart = claimed.value(optimum.beta) / trained.optimum(claimed).lower_bound - 1.0
    apart = apart if optimum.unique else float(trained.excess(claimed)[-1])
    return Mutant(claimed.formula, margin_check(trained, claimed, ""), apart)
