"""What `plot` draws of each kind of result: axes with title, units and labels, and the numbers themselves."""

from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from gd import Diagonal, FullyConnected, descend, flow_limit, optimizer_limit
from solvers import (
    GaussianInit,
    GaussianInputs,
    kernel_interpolant,
    max_margin,
    regularization_path,
    rich_interpolant,
    vector_interpolant,
    weighted_spline,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((8, 5))
y = np.where(X[:, 0] > 0, 1, -1)
CLASSES = np.arange(8) % 3
IMAGES = RNG.standard_normal((6, 4, 3))
x, values = np.arange(5.0), np.array([1.0, 0.0, 0.0, 1.0, 3.0])
KINDS = {
    "coefficients": lambda: max_margin(X, y, "l1"),
    "classes": lambda: max_margin(X, CLASSES, "l2"),
    "image": lambda: max_margin(IMAGES, [1, -1] * 3, "fourier"),
    "images of classes": lambda: max_margin(IMAGES, [0, 1, 2] * 2, "fourier"),
    "limit": lambda: flow_limit(Diagonal(5, 2, seed=0), X, y),
    "limit of classes": lambda: flow_limit(FullyConnected(5, 2, seed=0, outputs=3), X, CLASSES),
    "run": lambda: descend(Diagonal(5, 2, seed=0), X, y, steps=300),
    "runs": lambda: descend([FullyConnected(5, 2, seed=k) for k in range(3)], X, y, steps=300),
    "run on the squared loss": lambda: descend(Diagonal(5, 2, seed=0), X, X[:, 0], loss="squared", steps=300),
    "limit of an optimizer": lambda: optimizer_limit(FullyConnected(5, 1, seed=0), X, y),
    "path": lambda: regularization_path(X, y, [0.5, 1.0, 2.0], "l1"),
    "long path": lambda: regularization_path(X, y, [0.1, 1.0, 50.0], "l2"),
    "path of classes": lambda: regularization_path(X, CLASSES, [0.5, 1.0], "l2"),
    "spline": lambda: weighted_spline(x, values),
    "kernel interpolant": lambda: kernel_interpolant(x, values, GaussianInit()),
    "rich regime": lambda: rich_interpolant(x, values),
    "kernel interpolant of vectors": lambda: vector_interpolant(x[::-1, None], values[::-1], GaussianInputs()),
    "kernel interpolant of planes": lambda: vector_interpolant(X[:, :2], X[:, 2], GaussianInputs()),
}


def drawn(kind):
    canvas = Figure(figsize=(5.2, 3.6), layout="constrained")
    result = KINDS[kind]()
    axes = result.plot(canvas.subplots())
    canvas.draw_without_rendering()
    return result, axes


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_title_labels_and_ticks(kind):
    _, axes = drawn(kind)
    assert axes.get_title()
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    for places, texts, limits in (
        (axes.get_xticks(), axes.get_xticklabels(), axes.get_xlim()),
        (axes.get_yticks(), axes.get_yticklabels(), axes.get_ylim()),
    ):
        seen = [t for at, t in zip(places, texts, strict=True) if min(limits) <= at <= max(limits) and t.get_text()]
        assert len(seen) >= 2


@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith(("limit", "runs", "spline", "kernel", "rich"))])
def test_the_legend_covers_no_point_of_the_data(kind):
    _, axes = drawn(kind)
    box = axes.get_legend().get_window_extent()
    dots = [line for line in axes.lines if line.get_marker() not in ("None", "")]
    for line in dots:
        places = axes.transData.transform(np.column_stack(line.get_data()))
        assert not any(box.contains(*place) for place in places)


@pytest.mark.parametrize("kind", ["run", "runs", "run on the squared loss", "limit of an optimizer"])
def test_steps_are_not_negative(kind):
    _, axes = drawn(kind)
    assert axes.get_xlim()[0] > -0.5


@pytest.mark.parametrize("kind", ["coefficients", "classes", "image", "images of classes"])
def test_what_is_counted_has_whole_numbers(kind):
    solution, axes = drawn(kind)
    assert all(float(place).is_integer() for place in axes.get_xticks())
    if kind == "images of classes":
        assert axes.images[0].get_array().shape == (4, 9)
        np.testing.assert_array_equal(axes.images[0].get_array()[:, 3:6], solution.beta[1])


def test_the_ticks_of_a_flow_do_not_run_into_each_other():
    limit, axes = drawn("limit")
    assert axes.lines[-1].get_ydata()[0] == limit.margin
    low, high = axes.get_xlim()
    boxes = [t.get_window_extent() for t, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
             if low <= at <= high]  # fmt: skip
    assert len(boxes) >= 2
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


@pytest.mark.parametrize("kind", ["spline", "kernel interpolant", "kernel interpolant of vectors", "rich regime"])
def test_functions_go_through_their_data(kind):
    _, axes = drawn(kind)
    curve = axes.lines[0]
    np.testing.assert_allclose(np.interp(x, *curve.get_data()), values, atol=1e-6)
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.column_stack(dots.get_data()), np.column_stack([x, values]), atol=1e-6)


def test_a_function_of_two_inputs_is_drawn_where_it_is():
    """Colours are g at the places of the mesh, dots are the points; three inputs have no picture."""
    g, axes = drawn("kernel interpolant of planes")
    mesh, (dots,) = axes.collections[0], axes.lines
    np.testing.assert_array_equal(np.column_stack(dots.get_data()), g.points)
    np.testing.assert_allclose(mesh.get_array().reshape(-1), g(mesh.get_coordinates()).reshape(-1), atol=1e-12)
    with pytest.raises(ValueError, match="a function of 3 inputs has no picture"):
        vector_interpolant(X[:, :3], X[:, 3], GaussianInputs()).plot()


def test_the_band_of_the_rich_regime_holds_both_minimizers():
    result, axes = drawn("rich regime")
    (band,) = axes.collections
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {
        "g",
        "data",
        "all minimizers",
        "fewest bends",
    }
    low = band.get_paths()[0].vertices[:, 1].min()
    assert low == pytest.approx(float(result.sparsest(1.5)), abs=1e-2)


def test_a_path_is_drawn_in_units_of_its_radius():
    result, axes = drawn("path")
    assert len(axes.lines) == 5
    np.testing.assert_allclose(axes.lines[0].get_ydata() * result.radii, result.predictors[:, 0])
    assert drawn("long path")[1].get_xscale() == "log"


def test_without_axes_a_figure_of_pyplot_is_made():
    backend = matplotlib.get_backend()
    matplotlib.use("Agg")
    from matplotlib import pyplot

    try:
        assert pyplot.get_fignums() == []
        rich_interpolant(x, values).plot()
        assert len(pyplot.get_fignums()) == 1
    finally:
        pyplot.close("all")
        matplotlib.use(backend)
