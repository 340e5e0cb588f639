"""Wrong predictions about wide networks: another kernel for several inputs, another f₀, faster rates, other times."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

from compare.mutants.function_mutants import RESOLVED, SHARE, STANDARD_ERRORS
from compare.mutants.trial import Mutant, Trial
from compare.reports.report import Check, Evidence
from compare.spline.exponents import exponent_check
from compare.spline.initial_function import POINTS, nearer_check, printed_start, train
from compare.spline.linearization import PAPER, largest, trajectories
from compare.spline.several_inputs import scattered
from compare.spline.spline_cases import SplineCase, parse_init
from gd.networks.mirrored_relu import WideReLUVectors
from gd.squared.squared_flow import squared_flow_limit
from solvers.arrays import Array
from solvers.splines.vector_kernels import GaussianInputs, SphereInputs, vector_interpolant

WIDTHS, NETWORKS = (160, 400, 1000), 20
LATER = 4
"""Snapshots by which training of the output weights is read too late: a factor of some 20 in t."""


def inputs_trial(d: int, width: int, networks: int) -> Trial:
    """W on the sphere, data as they are: another law's kernel, other powers of r."""
    X, y, grid = scattered(d)
    law = SphereInputs(1.5)
    nets = [WideReLUVectors(width, d, law, seed=seed) for seed in range(networks)]
    values = squared_flow_limit(nets, X, y, grid=grid, accuracy=1e-2, max_steps=1000).grid_outputs[:, -1]
    uncertainty = STANDARD_ERRORS * float((values.std(axis=0, ddof=1) / np.sqrt(networks)).max())
    resolution = min(RESOLVED * uncertainty, SHARE * float(np.ptp(y)))
    right = vector_interpolant(X, y, law, "penalized")(grid)
    wrong = {
        "of Gaussian weights": vector_interpolant(X, y, GaussianInputs(1.0, 0.1), "penalized")(grid),
        "r for r³": RBFInterpolator(X, y, kernel="linear")(grid),
        "r² ln r for r³": RBFInterpolator(X, y, kernel="thin_plate_spline")(grid),
    }

    def check(claim: str, explicit: Array) -> Check:
        far = float(np.abs(values.mean(axis=0) - explicit).max())
        statement = f"d = {d}, width {width}: the mean network is the kernel interpolant {claim}"
        return Check.of(statement, Evidence(far, uncertainty), resolution, unit="y", reference=PAPER)

    mutants = [Mutant("its own kernel interpolant", check("of its law", right))]
    for claim, explicit in wrong.items():
        apart = float(np.abs(explicit - right).max())
        mutants.append(Mutant(claim, check(claim, explicit), apart, RESOLVED * uncertainty))
    return Trial("several inputs", f"eight points, d = {d}", tuple(mutants))


def printed_start_trial(case: SplineCase, init: str, width: int, networks: int) -> Trial:
    """Initialization as printed: f₀ with another factor is no nearer than leaving it out."""
    grid = np.unique(np.concatenate([np.linspace(*case.interval, POINTS), case.x]))
    runs = [train(case, printed_start(width, parse_init(init), seed), grid) for seed in range(networks)]
    ignored = np.array([run.distance(0.0) for run in runs])
    shares = {"f₀": 1.0, "−f₀": -1.0, "3 f₀": 3.0}
    mutants = []
    for claim, share in shares.items():
        check = nearer_check(
            f"nearer with {claim} than without f₀", np.array([r.distance(share) for r in runs]), ignored
        )
        apart = [float(np.abs(r.predicted(share) - r.predicted(1.0)).max()) for r in runs]
        mutants.append(Mutant(check.statement, check, None if share == 1.0 else float(np.median(apart))))
    return Trial(f"f₀ ≠ 0, {init}, width {width}", case.name, tuple(mutants))


def training_trial(case: SplineCase, init: str) -> Trial:
    """Output weights alone, and the linearized network: rates that are faster than measured, and other times."""
    law = parse_init(init)
    paths = [trajectories(case, law, width, range(NETWORKS)) for width in WIDTHS]
    output = np.stack([largest(lin - out) for lin, out, _ in paths])
    linear = np.stack([largest(lin - full) for lin, _, full in paths])
    late = np.stack([largest(lin[:, :-LATER] - out[:, LATER:]) for lin, out, _ in paths])
    mutants = []
    for name, gaps, right, wrong in (
        ("|all weights − output weights|", output, -1.0, -2.0),
        ("|f − f_lin|", linear, -0.5, -2.5),
    ):
        for exponent in (right, wrong):
            check = exponent_check(f"{name} is O(n^{exponent})", WIDTHS, gaps, exponent, PAPER)
            apart = None if exponent == right else right - wrong
            mutants.append(Mutant(check.statement, check, apart))
    check = exponent_check("|all weights − output weights later| is O(n^-1)", WIDTHS, late, -1.0, PAPER)
    mutants.append(Mutant(check.statement, check, 1.0))
    return Trial(f"training, {init}", case.name, tuple(mutants))
