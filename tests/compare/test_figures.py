"""What the report's figures draw: nothing that was not measured, nothing under another, rounding as rounding."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from compare.channels.channel_limits import figure
from compare.margin.loss_clock import shared_clock
from compare.margin.margin_figures import spectrum
from compare.reports.curves import Curve, curve_plot
from compare.reports.report import Figure


def axes_of(plotted):
    canvas = Canvas(figsize=(5.2, 3.6))
    plotted.draw(canvas)
    canvas.draw_without_rendering()
    return canvas.axes[0]


def plot(*curves, **options):
    return curve_plot("f", "C.", list(curves), ("x", "y"), **options)


def test_two_points_are_not_joined():
    for xs, style in (([1, 2], "None"), ([1, 2, 3], "-"), ([1, 2, np.nan], "None")):
        (line,) = axes_of(plot(Curve("a", xs, xs, "s-"))).lines
        assert (line.get_linestyle(), line.get_marker()) == (style, "s")
    (guide,) = axes_of(plot(Curve("a", [1, 2], [1, 1], ":"))).lines  # a line that is no measurement
    assert guide.get_linestyle() == ":"


def test_what_is_below_the_floor_is_drawn_on_it_and_said():
    values = [1.0, 1e-5, 3e-17, 0.0, -2e-16]
    shown = plot(Curve("a", range(5), values, "o-"), log="y", floor=1e-12)
    line, low = axes_of(shown).lines
    assert list(low.get_xdata()) == [2, 3, 4]
    assert set(low.get_ydata()) == {1e-12}
    assert low.get_color() == line.get_color()
    assert list(line.get_ydata()) == [1.0, 1e-5, 1e-12, 1e-12, 1e-12]
    assert line.get_markevery() == [0, 1]  # no dot where the triangles are
    assert shown.caption == "C. Triangles: at most 10⁻¹², which is rounding."
    above = plot(Curve("a", range(2), values[:2], "o-"), log="y", floor=1e-12)
    assert above.caption == "C."
    assert len(axes_of(above).lines) == 1


@pytest.mark.parametrize("ends", [(-3.0, 8.0), (-3.0, 61.0), (0.5, 815.0)])
def test_the_clock_of_the_loss_begins_where_its_lines_do_and_has_labels_to_its_end(ends):
    axes = axes_of(plot(Curve("a", np.linspace(*ends, 50), np.ones(50)), adjust=shared_clock))
    left, right = axes.get_xlim()
    assert ends[0] - 1 <= left <= ends[0]
    assert ends[1] <= right <= 1.1 * ends[1] + 1
    shown = [place for place in axes.get_xticks() if left <= place <= right]
    assert len(shown) >= 3
    assert max(shown) > 0.1 * right


def test_optimum_and_flows_of_all_channels_are_seen():
    groups = [
        [SimpleNamespace(kernel=K, channels=C, cost=9.0 / K, optimum=SimpleNamespace(objective=9.0 / K))]
        for K in (1, 5)
        for C in (1, 2)
    ]
    axes = axes_of(figure(groups, "f"))
    names = axes.get_legend_handles_labels()[1]
    assert names == ["certified optimum", "flow, C = 1", "flow, C = 2"]
    spots = [line.get_transform().transform(line.get_xydata()) for line in axes.lines if line.get_marker() in "os"]
    assert len(spots) == 2
    assert np.abs(spots[0] - spots[1])[:, 0].min() > 20  # pixels: side by side


def holding(beta):
    return SimpleNamespace(predictor=np.array(beta), beta=np.array(beta))


def test_a_spectrum_reaches_to_its_smallest_coefficient_and_shows_zeros_as_such():
    family = SimpleNamespace(regularizer=None)
    run = SimpleNamespace(
        limit=holding([2.0, 1e-40, 0.2]), descent=holding([2.0, 6e-4, 0.3]), solution=holding([2.0, 0.0, 0.2]),
        family=family, label="diagonal",
    )  # fmt: skip
    shown = spectrum(run, "f")
    axes = axes_of(shown)
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    edge = axes.get_ylim()[0]
    assert 1e-5 <= edge < 3e-4
    assert drawn == {"solver": [1.0, edge, 0.1], "flow": [1.0, edge, 0.1], "descent": [1.0, 3e-4, 0.15]}
    assert "On the lower edge: less than 10⁻⁸." in shown.caption
    assert list(shown.data["|β| solver"]) == [1.0, 0.0, 0.1]  # the numbers themselves
    assert list(shown.data["coordinate"]) == [0, 1, 2]
    dense = spectrum(
        SimpleNamespace(
            limit=holding([2.0, 1.0]), descent=holding([2.0, 0.9]), solution=None, family=family, label="l"
        ),
        "f",
    )
    assert "edge" not in dense.caption


def test_a_line_under_another_is_found(hidden_by):
    xs = np.linspace(0, 1, 9)
    for look, style, hidden in (({}, "-", True), ({}, "--", False), ({"linewidth": 0.5}, "-", False)):
        under, over = axes_of(plot(Curve("a", xs, xs), Curve("b", xs, xs, style, look=look))).lines
        assert hidden_by(over, under) is hidden
    under, over = axes_of(plot(Curve("a", xs, xs), Curve("b", xs, xs + 0.1))).lines
    assert not hidden_by(over, under)


def test_a_saved_figure_is_drawn_against_what_its_first_column_is():
    data = {"steps: a": [1, 2, 3], "angle: a": [1.0, 1e-2, 1e-5], "steps: b": [1, 5], "angle: b": [2.0, 1e-4]}
    axes = axes_of(Figure("f", "C.", data=data))
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 2, 3], [1, 5]]
    assert axes.get_legend_handles_labels()[1] == ["angle: a", "angle: b"]
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_xlabel()) == ("linear", "log", "steps")
    shared = axes_of(Figure("f", "C.", data={"t": [0.0, 1.0], "x": [0.0, 1e-9], "word": ["a", "b"]}))
    assert [list(line.get_ydata()) for line in shared.lines] == [[0.0, 1e-9]]
    assert shared.get_yscale() == "linear"  # 0 has no place on the other
    picture = Canvas()
    Figure("f", "C.").draw(picture)
    assert not picture.axes
    assert "not saved" in picture.texts[0].get_text()
