"""Wrong optima for two-layer ReLU networks: other activations, other labels, units in too few directions.

Wide networks, whose flows end at the global optimum, are held to the certified value of their own problem and to the
optima of others. All of them are held to lower bounds, some of which are too high to be any.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import linprog

from compare.mutants.trial import Mutant, Trial
from compare.relu.relu_limits import bound_check, follow, optimum_check
from solvers.arrays import Array
from solvers.relu.margin import relu_max_margin

WIDTH, SEEDS, MAX_STEPS = 30, (0, 1), 1000
"""Wide enough for flows on a dozen points to end at the optimum; where none does, the right prediction is refuted."""


def relu_trial(name: str, X: Array, y: Array) -> Trial:
    """Networks of torch's default initialization on points of rank at most four."""
    right = relu_max_margin(X, y)
    runs = follow(X, y, right, WIDTH, 1.0, SEEDS, MAX_STEPS)
    best, along = min(runs, key=lambda run: run.value), along_the_points(X, y)
    flipped = np.where(np.arange(y.size) == int(right.dual.argmax()), -y, y)
    optima = {
        "min ‖w‖², without the ½": 2.0 * right.value,
        "min ½‖w‖² of leaky units, s = 0.1": relu_max_margin(X, y, slope=0.1).value,
        "min ½‖w‖² with biases in the first layer": relu_max_margin(np.column_stack([X, np.ones(len(X))]), y).value,
        "min ½‖w‖² with one label changed": relu_max_margin(X, flipped).value,
        "min ½‖w‖² of units along the points": along,
    }
    bounds = {
        "a bound too high by 0.1 %": 1.001 * right.lower_bound,
        "the optimum of units along the points": along,
    }
    mutants = [
        Mutant("min ½‖w‖²", optimum_check("the flow ends at min ½‖w‖²", best)),
        Mutant("no network is below the certified bound", bound_check(runs, right.lower_bound, "the certified bound")),
    ]
    for claim, value in optima.items():
        wrong = optimum_check(f"the flow ends at {claim}", replace(best, optimum=replace(right, value=value)))
        mutants.append(Mutant(claim, wrong, apart=abs(right.value / value - 1.0)))
    for claim, bound in bounds.items():
        apart = abs(right.lower_bound / bound - 1.0)
        mutants.append(Mutant(f"no network is below {claim}", bound_check(runs, bound, claim), apart))
    return Trial(f"two-layer ReLU, width {WIDTH}", name, tuple(mutants))


def along_the_points(X: Array, y: Array) -> float:
    """The least norm of networks whose units lie along the points and their negatives; inf where these do not separate.

    Restricting the units restricts the networks, so this is at least the optimum, and no lower bound of it.
    """
    units = np.concatenate([X, -X]) / np.linalg.norm(np.concatenate([X, -X]), axis=1, keepdims=True)
    features = y[:, None] * np.maximum(X @ units.T, 0.0)
    both = np.hstack([features, -features])
    found = linprog(np.ones(both.shape[1]), A_ub=-both, b_ub=-np.ones(y.size), bounds=(0, None), method="highs")
    return float(found.fun) if found.status == 0 else np.inf
