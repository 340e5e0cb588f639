"""The pictures that are committed: `python docs/images/draw.py` writes them into this folder, as SVG.

They are the boxes of the architecture page, the first figure of the gallery for the README, and the lemma's.

A picture is a table of rows; a row is a list of boxes (title, lines). An arrow is (from, to, label) between titles.
"""

from __future__ import annotations

import runpy
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt

from proofs import verify_lemma

FONT = 'font-family="DejaVu Sans, Verdana, sans-serif"'
WIDTH, LINE, PAD, GAP, BETWEEN = 960, 18, 12, 20, 46
COLOURS = {"solvers": "#dbe9f6", "gd": "#fbe3d3", "proofs": "#efe0f2", "compare": "#dcefe4", "": "#f3f3f3"}

Box = tuple[str, list[str]]
Arrow = tuple[str, str, str]


def picture(rows: list[list[Box]], arrows: list[Arrow], colour: str = "") -> str:
    """Rows of boxes from top to bottom, boxes of a row from left to right, arrows between them."""
    places: dict[str, tuple[float, float, float, float]] = {}
    drawn, top = [], GAP
    for row in rows:
        width = (WIDTH - GAP * (len(row) + 1)) / len(row)
        height = PAD * 2 + LINE * (1 + max(len(lines) for _, lines in row))
        for column, (title, lines) in enumerate(row):
            left = GAP + column * (width + GAP)
            places[title] = (left, top, width, height)
            fill = COLOURS.get(title.split("/")[0], COLOURS[colour])
            drawn.append(
                f'<rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6" '
                f'fill="{fill}" stroke="#7a7f87"/>'
            )
            for number, line in enumerate([title, *lines]):
                weight = ' font-weight="bold"' if number == 0 else ""
                y = top + PAD + LINE * (number + 0.75)
                drawn.append(text(left + PAD, y, line, f'font-size="13" fill="#1b1f24"{weight}'))
        top += height + BETWEEN
    for source, target, label in arrows:
        drawn.append(arrow(places[source], places[target], label))
    height = top - BETWEEN + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" {FONT}>\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#454a52"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff" rx="8"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def arrow(source: tuple[float, ...], target: tuple[float, ...], label: str) -> str:
    """A line between the nearest edges of two boxes, with a label at its middle."""
    (x, y, w, h), (u, v, s, t) = source, target
    if y + h <= v or v + t <= y:  # one above the other: a vertical line where they overlap
        across = (max(x, u) + min(x + w, u + s)) / 2
        start, end = ((across, y + h), (across, v)) if y < v else ((across, y), (across, v + t))
    else:
        start, end = ((x + w, y + h / 2), (u, v + t / 2)) if x < u else ((x, y + h / 2), (u + s, v + t / 2))
    (a, b), (c, d) = start, end
    named = text((a + c) / 2 + 6, (b + d) / 2 + 4, label, 'font-size="12" fill="#454a52"')
    return f'<path d="M{a:.0f} {b:.0f}L{c:.0f} {d:.0f}" stroke="#454a52" marker-end="url(#tip)"/>' + named * bool(label)


def text(x: float, y: float, words: str, style: str) -> str:
    """A line of words."""
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(words)}</text>'


PICTURES: dict[str, str] = {
    "packages": picture(
        [
            [("architecture, optimizer, data", ["a network and its loss; points X with labels y"])],
            [
                ("solvers", ["the explicit problem", "min R(β) s.t. y_n⟨x_n, β⟩ ≥ 1", "answer: β and a certificate"]),
                (
                    "gd",
                    ["the network itself", "gradient descent, gradient flow", "answer: its limit and the evidence"],
                ),
                (
                    "proofs",
                    ["the identities behind both", "sympy and ball arithmetic", "answer: a verdict a claim"],
                ),
            ],
            [("compare", ["angle, distance, checks; experiments, reports, sweeps, the command line"])],
        ],
        [
            ("architecture, optimizer, data", "solvers", "R(β)"),
            ("architecture, optimizer, data", "gd", "f(x; w)"),
            ("solvers", "compare", ""),
            ("gd", "compare", ""),
            ("proofs", "compare", ""),
        ],
    ),
    "solvers": picture(
        [
            [
                ("max_margin, regularization_path, classifier", ["margins; logistic_limit: no margin"]),
                ("validation, problem, classes, separability", ["data checked once; Farkas certificate"]),
            ],
            [
                ("regularizers/", ["one class a file: value, dual_norm,", "conic, minimize, unique, project"]),
                ("certificate, solution", ["gap and status from A, R, β, α alone", "frozen results"]),
            ],
            [
                ("algorithms/", ["interior point, active set,", "linear program, least distance,", "reweighting"]),
                ("conv_kernel/", ["R_K: central path, factors,", "bounds for few channels"]),
                ("conic, expressions", ["the same problems by cvxpy"]),
            ],
            [
                ("splines/", ["weighted splines, initial", "distributions, rich regime"]),
                ("filters/", ["dual kernel, early stopping,", "recovery"]),
                ("factorization/", ["spectral factorization"]),
            ],
            [
                ("relu/", ["two-layer ReLU networks:", "cones, dual, global optimum"]),
                ("interpolation/", ["squared loss: min R(β)", "s.t. Xβ = y, Fenchel gap"]),
                ("fourier, arrays", ["half spectrum; array types"]),
            ],
        ],
        [
            ("max_margin, regularization_path, classifier", "validation, problem, classes, separability", ""),
            ("max_margin, regularization_path, classifier", "regularizers/", "minimize"),
            ("validation, problem, classes, separability", "certificate, solution", ""),
            ("regularizers/", "certificate, solution", ""),
            ("regularizers/", "algorithms/", ""),
            ("regularizers/", "conv_kernel/", ""),
        ],
        "solvers",
    ),
    "gd": picture(
        [
            [
                ("networks/", ["torch modules with weights, predictor,", "regularizer; what a module declares"]),
                ("data, targets, losses", ["input validation, device; ±1, classes,", "real; losses in the log domain"]),
            ],
            [
                ("piecewise/", ["modules traced: Jacobians,", "kinks, their two sides"]),
                ("optimizers/", ["sign, coordinate, spectral,", "Adam, torch's own: norms"]),
            ],
            [
                ("flow/", ["margin maps, integration,", "termination, polish: Limit"]),
                ("squared/", ["flow of the squared loss", "in function space"]),
                ("descent/", ["steps, schedules; Trajectory,", "optimizer_limit"]),
                ("images/", ["generators, fitted", "to one image"]),
            ],
            [("solvers", ["certificate, separability, regularizers"])],
        ],
        [
            ("networks/", "piecewise/", ""),
            ("data, targets, losses", "optimizers/", ""),
            ("piecewise/", "flow/", "margin map"),
            ("optimizers/", "descent/", "steps"),
            ("flow/", "solvers", "certify"),
        ],
        "gd",
    ),
    "compare": picture(
        [
            [
                ("command_line, commands/", ["implicitbias compare, solve,", "sweep, prove, doctor"]),
                ("experiments/", ["a dataclass of parameters each:", "function, options, quick preset, record"]),
                ("sweep/", ["grids of cells: plan, workers,", "store, resumption"]),
            ],
            [
                ("margin/, channels/, bounded/", ["linear networks; linear", "convolutional ones; few units"]),
                ("optimizers/, regression/", ["the second axis; the", "squared loss at every scale"]),
                ("relu/, spline/", ["two-layer networks; wide", "ones with one input"]),
                ("generators/", ["images by", "convolutional ones"]),
            ],
            [
                ("data/", ["tables, images, data sets by name"]),
                ("papers/, mutants/", ["their statements; wrong ones"]),
                ("measures, function_distance", ["angle, margin gap, distances"]),
            ],
            [("reports/", ["checks, tables, figures, provenance; HTML, JSON, CSV, terminal"])],
        ],
        [
            ("command_line, commands/", "experiments/", ""),
            ("experiments/", "optimizers/, regression/", "run"),
            ("margin/, channels/, bounded/", "data/", ""),
            ("relu/, spline/", "measures, function_distance", ""),
            ("measures, function_distance", "reports/", ""),
        ],
        "compare",
    ),
    "proofs": picture(
        [
            [("catalogue", ["every claim by name; verify runs them"]), ("page", ["verdicts as JSON and HTML"])],
            [
                (
                    "claims by topic",
                    [
                        "linear_networks, stationarity, induced_regularizers, convolution_…,",
                        "two_layer_…, wide_relu, spline and generator equations",
                    ],
                ),
                ("claim", ["statement, argument, mutants; verdict"]),
            ],
            [
                ("steps, symbols", ["identities, signs, exact instances"]),
                ("balls", ["enclosures, transforms"]),
                ("lemma, certified_factor, exact_factor", ["spectral factors of a user's kernels"]),
            ],
        ],
        [
            ("catalogue", "claims by topic", ""),
            ("catalogue", "page", ""),
            ("claims by topic", "claim", ""),
            ("claims by topic", "steps, symbols", ""),
            ("claims by topic", "balls", ""),
        ],
        "proofs",
    ),
}


def main() -> None:
    """Write every picture."""
    here = Path(__file__).parent
    for name, drawing in PICTURES.items():
        (here / f"{name}.svg").write_text(drawing, encoding="utf-8")
    plt.switch_backend("agg")
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "implicitbias"})  # the same bytes every time
    runpy.run_path(str(here.parent / "gallery" / "architectures.py"))
    plt.savefig(here / "architectures.svg", metadata={"Date": None, "Creator": None})
    lemma = verify_lemma([1, 2, 0, 1], [3, -1, 4, 2], dim=9)
    lemma.figure().savefig(here / "lemma.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
