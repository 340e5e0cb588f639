import base64
import hashlib
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine

from compare.margin.decay_limits import COLUMNS as DECAY
from compare.margin.margin_predictions import FLOW_COLUMNS as MARGIN
from compare.margin.output_limits import COLUMNS as OUTPUTS
from compare.reports.curves import Curve, curve_plot
from compare.reports.drawing import label_logs, literal, svg
from compare.reports.formulas import formula
from compare.reports.provenance import Provenance
from compare.reports.report import Check, Column, Evidence, Figure, Report, Section, Verdict
from compare.reports.terminal import split
from compare.reports.webpage import heading, is_numeric, parts, typeset
from compare.reports.wording import cell, header

VOID = {"meta", "link", "br", "img", "path", "use", "input"}


class Page(HTMLParser):
    """The elements, attributes and text of a page; complains about tags that do not nest."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.stack = [], "", []
        self.feed(text)
        self.close()
        assert not self.stack, f"never closed: {self.stack}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.stack.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.text += data if not self.stack or self.stack[-1] not in ("script", "style") else ""


@pytest.fixture(params=["page", "fragment"])
def html(request, report):
    return report.to_html() if request.param == "page" else report._repr_html_()


def references(page):
    """Every URL that an element of the page names."""
    names = ("href", "src", "xlink:href", "action", "data", "poster", "srcset")
    return [(tag, a[name]) for tag, a in page.elements for name in names if a.get(name)]


def test_the_page_loads_nothing(html):
    page = Page(html)
    assert all(url.startswith(("#", "data:")) for _, url in references(page))
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert not [a for tag, a in page.elements if tag in ("img", "iframe", "object", "embed", "form", "base")]
    # what remains of http are the names of XML namespaces, which nobody fetches
    assert set(re.findall(r"https?://[^\s\"'<)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(report, hostile):
    for page in (report.to_html(), hostile.to_html()):
        (rule,) = [a["content"] for tag, a in Page(page).elements if a.get("http-equiv") == "Content-Security-Policy"]
        directives = dict(part.split(" ", 1) for part in rule.split("; "))
        assert directives.pop("default-src") == "'none'"
        assert directives["base-uri"] == directives["form-action"] == "'none'"
        assert "unsafe" not in rule
        for tag in ("style", "script"):
            texts = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
            hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts}
            assert set(directives[f"{tag}-src"].split()) == hashes
            assert not any("&" in text for text in texts if tag == "style")  # SVG's <style> would decode it
        # what the policy would leave without effect
        assert not [a for _, a in Page(page).elements if "style" in a or any(name.startswith("on") for name in a)]
    assert "Content-Security-Policy" not in report._repr_html_()  # a notebook has its own


def test_a_label_that_looks_like_an_attribute_stays_text():
    text = ' style="position: fixed" <g style="color: red">'
    drawing = svg(Figure("f", "", lambda canvas: canvas.subplots().set_title(literal(text))))
    assert "position: fixed" not in re.search(r"<style.*?</style>", drawing, re.DOTALL)[0]
    assert text in Page(drawing).text


def test_page_and_json_name_the_same_run(report, failing):
    runs = []
    for one in (report, failing):
        run = json.loads(one.to_json())["run"]
        assert run in Page(one.to_html()).text
        runs.append(run)
    assert runs[0] != runs[1]


def test_the_same_report_is_the_same_bytes(report):
    assert report.to_html() == report.to_html()
    assert report._repr_html_() == report._repr_html_()


@pytest.mark.parametrize("kind", ["page", "fragment"])
def test_hostile_text_stays_text(hostile, harmless, kind):
    evil, good = [Page(r.to_html() if kind == "page" else r._repr_html_()) for r in (hostile, harmless)]
    # not one element or attribute name more than with harmless text
    assert [(t, sorted(a)) for t, a in evil.elements] == [(t, sorted(a)) for t, a in good.elements]
    assert "<script>alert('x')</script>" in evil.text
    assert "\x1b" not in evil.text
    assert all(url.startswith(("#", "data:")) for _, url in references(evil))
    assert not any(name.startswith("on") for _, a in evil.elements for name in a)


def test_hostile_text_in_a_plot_stays_text(hostile_text):
    def draw(canvas):
        axes = canvas.subplots()
        axes.plot([1, 2], [1, 2], label=literal(hostile_text))
        axes.set_title(literal(hostile_text))
        axes.legend()

    drawing = svg(Figure("hostile", "", draw))
    page = Page(drawing)
    assert not [tag for tag, _ in page.elements if tag in ("script", "img")]
    assert page.text.count("<script>alert('x')</script>") == 2
    assert "\x1b" not in drawing


def test_the_page_says_first_what_was_compared_and_what_is_refuted(report, failing):
    text = Page(failing.to_html()).text
    positions = [text.index(word) for word in ("Report on digits", "A prediction is refuted", "What is refuted",
                                               "57.3° > 5.73·10⁻⁵°", "First digits:3v8", "Measurements")]  # fmt: skip
    assert positions == sorted(positions)
    good = Page(report.to_html()).text
    assert "All that is predicted is confirmed" in good
    assert "What is refuted" not in good


def test_a_long_page_is_folded_but_for_what_went_wrong(report):
    wrong = Check.at_most("the directions agree", 1.0, 1e-6, unit="rad")
    sections = [Section(f"Part {i}", checks=(wrong,) if i == 7 else (), group="Group") for i in range(9)]
    page = Page(replace(report, sections=sections).to_html())
    folds = [a for tag, a in page.elements if tag == "details" and "id" in a]
    assert [i for i, a in enumerate(folds) if "open" in a] == [7]
    assert page.text.count("Group") == 2  # once in the contents, once as a heading
    assert "Unfold all" in page.text


def test_everything_can_be_traced(report):
    text = Page(report.to_html()).text
    source = report.provenance
    for trace in ("ab" * 32, "implicitbias digits:3v8", "numpy", source.machine, source.time, "0, 1"):
        assert trace in text


def test_tables_sort_by_the_number_not_its_print(html):
    keys = [a["data-sort"] for tag, a in Page(html).elements if tag == "td" and "data-sort" in a]
    assert "5.729577951308232e-06" in keys  # 1e-7 rad in degrees, unrounded
    assert "inf" in keys
    assert "" in keys


def test_links_inside_the_page_lead_somewhere(report):
    page = Page(report.to_html())
    targets = {a["id"] for _, a in page.elements if "id" in a}
    inside = [url[1:] for tag, url in references(page) if url.startswith("#")]
    assert len(inside) >= 2
    assert set(inside) <= targets
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_csv_rides_along(report):
    links = [a for tag, a in Page(report.to_html()).elements if tag == "a" and "download" in a]
    texts = {a["download"]: base64.b64decode(a["href"].split(",", 1)[1]).decode() for a in links}
    assert texts["checks.csv"] == report.to_csv()["checks.csv"]
    assert texts["first-digits-3v8.csv"] == report.to_csv()["01-first-digits-3v8.csv"]


def test_notebook_fragment_brings_no_script_and_styles_only_itself(report):
    fragment = report._repr_html_()
    assert "<script" not in fragment
    assert "<body" not in fragment
    style = re.search(r"<style>(.*?)</style>", fragment, re.DOTALL)[1]
    rules = re.sub(r"@media[^{]*\{", "", style)
    selectors = [s.strip() for s in re.findall(r"([^{}]+)\{", rules)]
    assert selectors
    assert all(part.strip().startswith(".ib") for s in selectors for part in s.split(","))


def test_plots_follow_the_readers_scheme(report):
    drawing = svg(report.sections[0].figures[0])
    assert "currentColor" in drawing
    assert "#000000" not in drawing
    assert "#ffffff" not in drawing
    assert "<metadata" not in drawing
    head = drawing[: drawing.index(">")]
    assert "viewBox" in head
    assert " width=" not in head


def test_a_plot_that_fails_costs_only_itself(report):
    def broken(canvas):
        raise RuntimeError("no data <b>")

    section = replace(report.sections[0], figures=(Figure("broken", "c", broken),))
    text = Page(replace(report, sections=(section,)).to_html()).text
    assert "This plot could not be drawn (RuntimeError: no data <b>)" in text
    assert "Measurements" in text


def test_an_empty_report_is_a_page():
    text = Page(Report("Nothing", (), Provenance()).to_html()).text
    assert "Nothing was predicted" in text
    assert "Section" in Page(Report("One", (Section("Section"),), Provenance()).to_html()).text


def axes_of(figure):
    """What the page's script reads of a figure's axes, and the figure's groups of lines."""
    (about, *_), *_ = [(a,) for tag, a in Page(svg(figure)).elements if tag == "svg"]
    return json.loads(about["data-axes"])[0]


def test_the_script_can_find_the_numbers_of_a_plot_again():
    x, y = [1.0, 10.0, 100.0], [0.0, 1.0, -1.0]
    figure = curve_plot("f", "c", [Curve("<b>", x, y, "o"), Curve("", x, y)], ("x [s]", "y"), log="x")
    box, across, up, names = axes_of(figure)
    assert (across[:2], up[:2], names) == (["x [s]", "log"], ["y", "linear"], ["<b>", ""])
    page = Page(svg(figure))
    assert [a["data-line"] for _, a in page.elements if "data-line" in a] == ["0 0", "0 1"]
    first = next(i for i, (_, a) in enumerate(page.elements) if a.get("data-line") == "0 0")
    marks = [(float(a["x"]), float(a["y"])) for tag, a in page.elements[first:] if tag == "use"][:3]
    (low, high), (bottom, top) = across[2], up[2]
    for (px, py), value, height in zip(marks, x, y, strict=True):
        share = (px - box[0]) / (box[2] - box[0])
        assert low * (high / low) ** share == pytest.approx(value, rel=1e-3)
        share = (box[3] - py) / (box[3] - box[1])
        assert bottom + share * (top - bottom) == pytest.approx(height, abs=1e-3)


def test_an_axis_of_another_scale_says_its_values():
    figure = curve_plot(
        "f", "c", [Curve("a", [1.0, 900.0], [1.0, 2.0])], ("", ""), adjust=lambda axes: axes.set(xscale="symlog")
    )
    kind, values = axes_of(figure)[1][1:]
    assert kind == "sampled"
    assert len(values) > 100
    assert values == sorted(values)


@pytest.mark.parametrize(("bumps", "above"), [(0, False), (40, True)])
def test_a_legend_that_would_cover_a_line_stands_above(bumps, above, monkeypatch):
    placed, place = [], ConstrainedLayoutEngine.execute
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *given: placed.append(given) or place(*given))
    x = [i / 400 for i in range(401)]
    wave = [(i % 2) if bumps else 0.0 for i in range(401)]  # fills the axes, or leaves them empty
    drawing = svg(curve_plot("f", "c", [Curve("one", x, wave), Curve("two", x, wave)], ("x", "y")))
    top = json.loads(Page(drawing).elements[0][1]["data-axes"])[0][0][1]
    words = [float(a["y"]) for tag, a in Page(drawing).elements if tag == "text"][-2:]
    assert all((y < top) is above for y in words)
    assert len(placed) == 1 + above  # not again for each of matplotlib's drawings


def test_indices_and_powers_are_typeset_and_names_of_files_are_not():
    shown = str(typeset("R_K(β), w_{ij}, λ_max, t^(−1/2), e^{-t} <b> my_x.csv a_1.csv breast_cancer x_n."))
    assert shown == (
        "R<sub>K</sub>(β), w<sub>ij</sub>, λ<sub>max</sub>, t<sup>−1/2</sup>, e<sup>-t</sup> &lt;b&gt; "
        "my_x.csv a_1.csv breast_cancer x<sub>n</sub>."
    )


def test_wide_tables_name_their_cells_for_narrow_screens():
    columns = [Column(name, f"{name}<", about="") for name in "abcd"]
    for first, label in (("a word", None), (4, "a<")):  # a number alone does not say what it is
        for width, labels in ((1, [None] * 4), (12, [label, "b<", "c<", "d<"])):
            rows = [dict.fromkeys("abcd", 10 ** (width - 1)) | {"a": first}]
            page = Page(Report("t", (Section("s", "", columns, rows),), Provenance()).to_html())
            assert [a.get("data-label") for tag, a in page.elements if tag == "td"] == labels


def pixels(section, columns):
    """The least width of a table in DejaVu Sans at 14 px, from the font itself: words may part, numbers may not."""
    font = get_font(findfont("DejaVu Sans"))
    font.set_size(14, 72)

    def width(text):
        font.set_text(text)
        return font.get_width_height()[0] / 64

    total = 0.0
    for column in columns:
        cells = [cell(row.get(column.key), column) for row in section.rows]
        whole = cells if is_numeric(section, column) else [word for text in cells for word in text.split()]
        words = [width(word) for word in header(column).split()]
        total += max([*map(width, whole), *words[:-1], words[-1] + width(" ↕")]) + 1.1 * 16  # a cell's padding
    return total


NUMBERS = [None, 0.0, -4.4e-16, 8.1e-49, -1.234567e-11, 3.3, 815.0, -123456.0]


@pytest.mark.parametrize(
    "columns", [MARGIN, OUTPUTS, DECAY, [Column(f"c{i}", f"‖β‖{i}", "y", ".3g") for i in range(40)]]
)
def test_no_table_is_wider_than_its_box_in_a_window_of_1280_pixels(columns):
    words = {
        "network": "convolutional 2-D, L=2",
        "regularizer": "‖β̂‖₂⁄₃, β* from the limit",
        "theory": Verdict.NO_PREDICTION,
    }
    rows = [
        {
            c.key: words.get(c.key, seed if c.key == "seed" else NUMBERS[(seed + i) % len(NUMBERS)])
            for i, c in enumerate(columns)
        }
        for seed in range(len(NUMBERS))
    ]
    section = Section("s", "", columns, rows)
    tables = [table for table, _ in parts(section)]
    assert len(tables) <= 1 + pixels(section, columns) // 600  # no more than are needed
    assert all(pixels(section, table) <= 976 for table in tables)
    assert list(dict.fromkeys(column for table in tables for column in table)) == list(columns)
    told = [{tuple(row[c.key] for c in table[:2]) for row in rows} for table in tables]  # each says which row is which
    assert "seed" not in rows[0] or all(len(found) == len(rows) for found in told[1:])


def test_a_column_that_names_rows_stands_once_in_every_table():
    """Here it is the first that does not fit, behind one that no other table needs."""
    columns = [Column(name, name) for name in ("seed", "data", "network", "angle", "gap")]
    rows = [dict(zip((c.key for c in columns), (i % 2, "x" * 20, f"L={i}", 0.5, 0.25), strict=True)) for i in range(4)]
    tables = [[c.key for c in table] for table in split(Section("s", "", columns, rows), 25)]
    assert tables == [["seed", "data"], ["seed", "network", "angle"], ["seed", "network", "gap"]]


def test_columns_of_predictions_that_say_nothing_are_left_out():
    late = Check.not_reached("all of margin", None, why="the time limit came first")
    found = Check.at_most("the directions agree", 1e-9, 1e-6)
    for checks, heads in (([late], ["verdict", "theory says"]),
                          ([late, found], ["verdict", "theory says", "measured", "reference"])):  # fmt: skip
        page = Report("t", (Section("s", checks=checks),), Provenance()).to_html()
        assert re.findall(r"<th[^>]*>([^<]*)</th>", page[page.index('ib-checks">') :]) == heads


def test_two_plots_share_no_id_and_each_says_what_it_shows(report):
    sections = [replace(report.sections[0], group=f"Group {i}") for i in range(2)]
    page = Page(replace(report, sections=sections).to_html())
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {url[1:] for _, url in references(page) if url.startswith("#")} <= set(ids)
    labels = [a["aria-label"] for tag, a in page.elements if tag == "svg"]
    assert labels == ["Angle of digits:3v8"] * 2
    clips = {a["clip-path"][5:-1] for _, a in page.elements if "clip-path" in a}
    assert set() < clips <= set(ids)


def test_formulas_are_mathml_and_code_is_code():
    text = "Solve\n\n    min ‖β‖_p   s.t.   y_{nm}⟨xₙ, β̂⟩ ≥ 1 for every n\n\n    >>> f(a_1)\n    >>> g('<b>')"
    page = Page(Report("t", (Section("s", text),), Provenance()).to_html())
    assert [tag for tag, _ in page.elements].count("math") == 3  # words stand between them
    assert [tag for tag, _ in page.elements if tag in ("msub", "msup", "mover")] == ["msub", "msub", "msub", "mover"]
    assert ">>> f(a_1)\n>>> g('<b>')" in page.text
    assert "for every" in page.text
    low = "<msub><mi>β</mi><mrow><msub><mi>y</mi><mrow><mi>n</mi></mrow></msub></mrow></msub>"  # no β_{yn}
    assert low in formula("⟨β_yₙ − β_k, xₙ⟩")
    assert "β<sub>y<sub>n</sub></sub> − β<sub>k</sub>" in typeset("⟨β_yₙ − β_k, xₙ⟩")
    assert "<msub><mi>v</mi><mrow><mn>12</mn></mrow></msub>" in formula("v_12")
    shown = str(formula("D^(−1/2) s⁻¹ Σ_{i<s}"))
    assert shown.startswith('<math><msup><mi>D</mi><mrow><mo stretchy="false">−</mo><mn>1</mn>')
    assert shown.endswith(
        '<msub><mo stretchy="false">∑</mo><mrow><mi>i</mi><mo stretchy="false">&lt;</mo><mi>s</mi></mrow></msub></math>'
    )


@pytest.mark.parametrize("ends", [(160, 5120), (30, 80), (1e-5, 3e-5), (1.01, 1.05), (1e-12, 1.0), (0.02, 1e7)])
def test_logarithmic_axes_have_several_labels_apart_from_each_other(ends):
    canvas = Canvas(figsize=(5.2, 3.6), layout="constrained")
    curve_plot("f", "c", [Curve("a", ends, ends)], ("x", "y"), log="xy").draw(canvas)
    label_logs(canvas)
    canvas.draw_without_rendering()
    for axis in (canvas.axes[0].xaxis, canvas.axes[0].yaxis):
        labels = [label for label in (*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)) if label.get_text()]
        shown = [label for label, place in zip(labels, axis.get_majorticklocs(), strict=False)
                 if axis.get_view_interval()[0] <= place <= axis.get_view_interval()[1]]  # fmt: skip
        assert len(shown) >= 3
        boxes = [label.get_window_extent() for label in shown]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert not any(re.search(r"\de|\$", label.get_text()) for label in shown)  # mathematics is slow to parse


def test_a_heading_does_not_say_again_what_its_group_says():
    for title, group, shown in (
        ("wine, standardized: on the way", "Max margin on wine, standardized", "On the way"),
        ("CNNs: digits", "CNNs", "digits"),
        ("Mutants: diagonal", "Mutants: wrong predictions", "diagonal"),
        ("digits: on the way", "Max margin on wine", "digits: on the way"),
        ("Alone", "Alone", "Alone"),
    ):
        assert heading(Section(title, group=group)) == shown


def test_a_note_stands_where_its_experiment_does(report):
    sections = [Section("one", group="First"), Section("two", group="Second")]
    text = Page(replace(report, sections=sections, notes=("Second: small images", "for all")).to_html()).text
    assert text.index("for all") < text.index("one", text.index("for all")) < text.index("small images")
    assert "Second: small images" not in text


def test_the_page_says_what_plus_or_minus_means(report):
    for evidence, said in ((Evidence(0.1), False), (Evidence(0.1, 0.2), True)):
        section = Section("s", checks=(Check.of("s", evidence, 1.0),))
        assert (
            "± is how much a number may still change" in Page(replace(report, sections=(section,)).to_html()).text
        ) is said


def test_what_is_refuted_is_typeset_as_below(report):
    wrong = Check.at_most("β = w_1 w_L", 1.0, 0.0, unit="claims refuted")
    page = replace(report, sections=(Section("s", checks=(wrong,)),)).to_html()
    assert page.count("w<sub>1</sub> w<sub>L</sub>") == 2
    assert page.count("1 claim refuted &gt; 0<") == 2


def test_notes_come_after_the_overview_but_first_where_the_run_was_interrupted(report):
    for complete in (True, False):
        text = Page(replace(report, complete=complete).to_html()).text
        assert text.index("note digits") < text.index("Predictions")
        assert (text.index("note digits") < text.index("Overview")) is not complete
