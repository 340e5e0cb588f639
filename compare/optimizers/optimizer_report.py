"""The report on optimizers: linear predictors in every norm, Adam's ε, deep networks, several outputs.

Each run is held to its line of `compare.optimizers.predictions`; the shortfall of its margin is measured in the other
norms too. The run's own duality gap, from the loss weights it has met, needs no solver, and is printed beside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compare.data.dataset import Dataset
from compare.optimizers.optimizer_checks import RESOLUTION, run_checks
from compare.optimizers.optimizer_figures import heat_map, margin_plot, two_norms
from compare.optimizers.optimizer_runs import WAYS, Run, Way, run
from compare.reports.report import Column, Report, Section, Verdict
from compare.reports.tables import table_of
from gd.optimizers.adam import Adam
from solvers.arrays import Array
from solvers.regularizers import L2, Bridge, Regularizer, Schatten
from solvers.separability import raise_if_not_separable
from solvers.solution import Solution
from solvers.validation import check_problem

if TYPE_CHECKING:
    from compare.experiments.optimizers import OptimizerComparison

NORMS: tuple[Regularizer, ...] = (Bridge(1.0), Bridge(1.5), L2(), Bridge(3.0), Bridge(np.inf))
MATRIX_NORMS: tuple[Regularizer, ...] = (Bridge(1.0), Schatten(1.0), Schatten(2.0), Schatten(np.inf), Bridge(np.inf))
SHORTFALL = "R(β)/R* − 1 at margin one, R* the certified optimum: how far the margin is below the largest in this norm."
LIMIT = (
    "What solving the KKT system on the active set makes of the run's end. It decides nothing: equations were solved."
)
CLOSED = "The limit's duality gap in R, or its KKT residual where R is no norm."
TESTED = "What the verdict is about: the margin's shortfall in R where that is proved, else the KKT residual."
FIGURE = f"Where its course over the steps leads; confirmed where that and its uncertainty are below {RESOLUTION:g}."
OWN = "1 − lower/upper bound from the run alone, in its own norm: weak duality at the mean of its loss weights."


def optimizer_report(asked: OptimizerComparison) -> Report:
    """Every part that was asked for."""
    dataset = asked.dataset()
    problem = check_problem(dataset.X, dataset.y, L2())
    raise_if_not_separable(problem.signed_rows, problem.label_shape)
    parts = []
    optima: dict[Regularizer, Solution] = {}
    for architecture in asked.architectures:
        if architecture == "several outputs":
            labels = several_labels(dataset.X, asked.outputs, asked.seed)
            parts.append((architecture, partial(trained, asked, dataset.X, labels, "linear predictor", 1, {})))
            continue
        for depth in (1,) if architecture == "linear predictor" else asked.depths:
            name = f"{architecture}, L={depth}"
            parts.append((name, partial(trained, asked, dataset.X, dataset.y, architecture, depth, optima)))
    if asked.eps > 0:
        parts.append((f"Adam, ε = {asked.eps:g}", partial(adam_with_epsilon, asked, dataset, optima)))

    def sections(runs: Sequence[Run]) -> list[Section]:
        groups = dict.fromkeys((r.architecture, r.depth, r.several, r.family.startswith("Adam")) for r in runs)
        return [
            section(
                [r for r in runs if (r.architecture, r.depth, r.several, r.family.startswith("Adam")) == key], dataset
            )
            for key in groups
        ]

    return asked.report_of_parts(parts, "Optimizers", sections, dataset, seeds=[asked.seed])


def several_labels(X: Array, outputs: int, seed: int) -> Array:
    """Labels (N, M) of M Gaussian predictors, so that every output separates; of the same points."""
    return np.where(X @ np.random.default_rng(seed).standard_normal((X.shape[1], outputs)) > 0, 1.0, -1.0)


def trained(
    asked: OptimizerComparison, X: Array, y: Array, architecture: str, depth: int, optima: dict[Regularizer, Solution]
) -> list[Run]:
    """One network under every optimizer that is defined for it."""
    names = [n for n in asked.optimizers if not (architecture == "diagonal" and WAYS[n].family == "spectral")]
    return [
        run(X, y, architecture, depth, name, steps=asked.steps, init=asked.init, seed=asked.seed, optima=optima)
        for name in names
    ]


def adam_with_epsilon(asked: OptimizerComparison, dataset: Dataset, optima: dict[Regularizer, Solution]) -> list[Run]:
    """Adam with a fixed ε on raw gradients, and on gradients divided by the loss, where ε vanishes."""
    X, y = dataset.X, dataset.y
    adam = Adam(beta1=0.9, beta2=0.99, eps=asked.eps)
    ways = {
        f"Adam, ε = {asked.eps:g}, raw gradients": Way("Adam, ε > 0", adam, slow=3.0),
        f"Adam, ε = {asked.eps:g}, gradients divided by the loss": Way("Adam, ε → 0", adam, rescaled=True, slow=3.0),
    }
    steps, init, seed = 5 * asked.steps, asked.init, asked.seed
    return [
        run(X, y, "linear predictor", 1, name, steps=steps, init=init, seed=seed, optima=optima, ways=ways)
        for name in ways
    ]


def section(runs: Sequence[Run], dataset: Dataset) -> Section:
    """The table of one network's runs, their predictions and plots."""
    first = runs[0]
    norms = MATRIX_NORMS if first.several else NORMS
    name = "several-outputs" if first.several else f"{first.architecture}-{first.depth}".replace(" ", "-")
    epsilon = first.family.startswith("Adam")
    if epsilon:
        figures = tuple(two_norms(r, (L2(), Bridge(np.inf)), f"adam-{i}") for i, r in enumerate(runs))
    else:
        figures = (heat_map(runs, norms, name), *(margin_plot(runs, norm, name) for norm in norms))
    columns = [
        (Column("optimizer", "optimizer"), lambda r: r.optimizer),
        (Column("norm", "R(β)", about="Of the table's line for this pair."), norm_of),
        (Column("tested", "tends to 0", about=TESTED), tested),
        (Column("figure", "extrapolated", format=".2g", about=FIGURE), lambda r: decisive(r, "measured")),
        (Column("uncertainty", "±", format=".1g", about="Of the extrapolation."), lambda r: decisive(r, "uncertainty")),
        (Column("own", "own gap", format=".2g", about=OWN), own_gap),
        *(
            (Column(str(R), R.formula, format=".2g", about=SHORTFALL if R is norms[0] else ""), last_of(R))
            for R in norms
        ),
        (
            Column("kkt", "KKT residual", format=".2g", about="1 − L·min m·Σp/(‖θ‖·‖Σp∇m‖°) in the optimizer's norm."),
            kkt,
        ),
        (Column("limit", "limit", about=LIMIT), lambda r: r.limit.status.name.lower()),
        (Column("closed", "its gap", format=".1g", about=CLOSED), limit_gap),
        (
            Column(
                "moved", "moved", format=".1g", about="From the run's end to it, relative, in the optimizer's norm."
            ),
            moved,
        ),
        (Column("loss", "ln loss", format=".3g"), lambda r: float(r.trajectory.log_loss[0, r.reached - 1])),
        (Column("theory", "theory", format="verdict"), lambda r: Verdict.of_all(c.verdict for c in run_checks(r))),
    ]
    checks = [check for r in runs for check in run_checks(r)]
    return Section(title(first, dataset, epsilon), text(first, epsilon), *table_of(runs, *columns), checks, figures)


def title(first: Run, dataset: Dataset, epsilon: bool) -> str:
    """The heading."""
    if epsilon:
        return f"{dataset.name}: Adam with a fixed ε"
    if first.several:
        return f"{dataset.name}: {first.y.shape[1]} outputs, linear predictor"
    return f"{dataset.name}: {first.architecture}" + (f", L={first.depth}" if first.depth > 1 else "")


def text(first: Run, epsilon: bool) -> str:
    """What is compared."""
    if epsilon:
        return (
            "While √v̂ is above ε Adam takes signs, and its margin is largest in ‖β‖∞. Gradients vanish with the loss, "
            "so in the end ε is all there is below them: Adam is then gradient descent with momentum, and ends at the "
            "largest margin in ‖β‖₂, at the rate of ln t. Gradients divided by the loss never pass ε, and stay at ‖β‖∞."
        )
    problem = "    min R(β)   s.t.   y_n⟨x_n, β⟩ ≥ 1,   R(β) = min { ‖θ‖ : the network with weights θ computes β },"
    if first.depth == 1:
        return (
            "Every optimizer maximizes the margin in a norm of its own. The limit of its margin is the optimum of\n\n"
            f"{problem}\n\nwhich is certified by itself; the table holds the iterate to it in every norm."
        )
    return (
        "The norm of all weights at margin one is made small. It is proved that the limit is a KKT point of that, and "
        f"derived what it means for β:\n\n{problem}\n\nThat the KKT point is the optimum in R is measured, and not "
        "predicted."
    )


def norm_of(r: Run) -> str:
    """R of the table's line."""
    return "–" if r.regularizer is None else r.regularizer.formula


def tested(r: Run) -> str:
    """Which figure the verdict is about."""
    predicted = next((check for check in run_checks(r) if check.predicts), None)
    return "–" if predicted is None else "KKT residual" if "KKT" in predicted.statement else "shortfall"


def decisive(r: Run, name: str) -> float | None:
    """The measurement that decides the verdict, or its uncertainty."""
    predicted = next((check for check in run_checks(r) if check.predicts), None)
    return None if predicted is None else float(getattr(predicted, name))


def last_of(R: Regularizer) -> Callable[[Run], float]:
    """The column of one norm's shortfall at the end."""
    return lambda r: float(r.excess(R)[-1])


def limit_gap(r: Run) -> float:
    """The duality gap of the limit in R where that is a norm, else its KKT residual."""
    proof = r.limit.certificate
    closed = None if proof is None else proof.direction_gap
    return r.limit.stationarity if closed is None else closed


def moved(r: Run) -> float | None:
    """How far the limit is from the run's end; None where there is none."""
    return r.limit.distance if r.limit.status.converged else None


def own_gap(r: Run) -> float | None:
    """The run's own duality gap in its own norm."""
    R = r.regularizer
    return None if R is None or not R.is_norm else float(r.trajectory.gap(R).relative[0, r.reached - 1])


def kkt(r: Run) -> float | None:
    """The KKT residual in weight space at the end."""
    found = r.trajectory.stationarity
    return None if found is None else float(found[0, r.reached - 1])
