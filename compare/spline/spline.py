"""Wide ReLU networks against the weighted spline they converge to, and the rich regime beside it: the experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compare.reports.progress import run_parts
from compare.reports.provenance import Provenance
from compare.reports.report import Report, Section
from compare.spline.cases import BUILTIN, Case, default_inits, parse_init
from compare.spline.rate import FITTED_FROM, corrected_problem, train_batch, training_gaps, width_study
from compare.spline.sections import rate_section, rich_section, shape_section, training_section, trajectory_section
from compare.spline.trajectory import trajectory_study
from gd.descent.weight_decay import train_with_decay
from solvers.splines.rich_regime import rich_interpolant
from solvers.splines.weighted_spline import weighted_spline

WIDTHS = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240)
ENOUGH_SEEDS = 20


def compare_spline(
    case: Case = BUILTIN,
    inits: Sequence[str] = (),
    *,
    widths: Sequence[int] = WIDTHS,
    seeds: int = 100,
    command: str = "",
    show: bool = False,
) -> Report:
    """The whole comparison on one data set; see `compare.spline.sections` for what each section says.

    case      the data, `compare.spline.cases.load_case`
    inits     initializations by name, as "gaussian:1,1"; the paper's by default
    widths    units of one half, ascending; the slope is fitted from 80 on
    seeds     networks per width; from 20 on, with widths from 80 to 5000 and more, slopes are judged

    Returns a `Report`; interrupted, it holds what was finished. Raises ValueError for unknown initializations, data
    outside the support of ζ, fewer than one seed or no width.
    """
    if seeds < 1 or not widths or min(widths) < 1 or list(widths) != sorted(set(widths)):
        raise ValueError(f"widths must be positive and ascending and seeds at least 1, got {list(widths)}, {seeds}")
    names = tuple(inits) or default_inits(case)
    laws = {name: parse_init(name) for name in names}
    for law in laws.values():
        law.check_inside_support(case.x)
    fitted = [n for n in widths if n >= FITTED_FROM]
    enough = seeds >= ENOUGH_SEEDS and bool(fitted) and fitted[0] <= 160 and fitted[-1] >= 5000
    first, widest = names[0], max(widths)

    def shapes() -> Section:
        solutions = {}
        for name, law in laws.items():
            y, spline = corrected_problem(case, law)
            net = train_batch(case, y, law, widest, [0], accuracy=1e-3)[0]
            if net is not None:
                solutions[name] = (law, spline, net.pieces())
        return shape_section(case, solutions)

    def training() -> Section:
        chosen = tuple(fitted) or tuple(widths)
        gaps = training_gaps(case, laws[first], chosen, min(seeds, 20))
        return training_section(first, chosen, gaps, enough=enough)

    def rich() -> Section:
        spline = weighted_spline(case.x, case.y, laws[first])
        exact = rich_interpolant(case.x, case.y, "penalized")
        return rich_section(case, exact, train_with_decay(case.x, case.y), spline, first)

    def rate(name: str) -> Callable[[], Section]:
        return lambda: rate_section(name, width_study(case, laws[name], widths, seeds), case, enough=enough)

    parts: list[tuple[str, Callable[[], Section]]] = [("shapes", shapes)]
    parts += [(f"error against width, {name}", rate(name)) for name in names]
    parts.append(("all weights against the output layer", training))
    trajectory_width = min(10_000, max(widths))
    parts.append(("trajectory", lambda: trajectory_section(
        first, trajectory_study(case, laws[first], width=trajectory_width))))  # fmt: skip
    parts.append(("rich regime", rich))
    done = run_parts(parts, "Wide ReLU networks", show=show)
    provenance = Provenance.collect([case.used], seeds=range(seeds), command=command)
    title = f"Wide ReLU networks and the weighted spline: {case.name}"
    return Report(title, done.results, provenance, (done.note,) if done.note else (), complete=done.complete)


def quick() -> Report:
    """A few seconds: two initializations, few widths and seeds, slopes shown and not judged."""
    command = "implicitbias compare spline --init uniform:1,2 --init gaussian:1,1 --widths 80,320,1280 --seeds 8"
    return compare_spline(BUILTIN, ("uniform:1,2", "gaussian:1,1"), widths=(80, 320, 1280), seeds=8, command=command)
