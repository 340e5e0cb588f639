"""Results in files: what comes back is what was saved, everything else is refused; and their pictures and frames."""

from __future__ import annotations

import functools
import json
import math
import operator
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from compare import Report, compare_margin
from compare.reports.provenance import Provenance
from compare.reports.report import Check, Section
from compare.reports.verdict import Evidence
from gd import Diagonal, descend, flow_limit
from gd.flow.limit import Limit
from solvers import Bridge, ConvKernel, Regularizer, Solution, max_margin
from solvers.storage import SCHEMA, headed

X = [[2.0, 1.0, 0.3], [-1.0, -3.0, 1.0], [3.0, 1.0, -0.4]]
y = ["oak", "elm", "oak"]


@pytest.fixture(scope="module")
def report() -> Report:
    """A small one, with figures."""
    return compare_margin(X, y, architectures=["diagonal"], depths=[2], seeds=[0], steps=20)


@pytest.fixture(scope="module")
def limit() -> Limit:
    """Of a network whose regularizer is a norm."""
    return flow_limit(Diagonal(3, 2, seed=0), X, y)


def same(one: Any, other: Any) -> bool:
    """Whether two results hold the same: as files, which have no place for anything else."""
    return Path(one.save("one")).read_bytes() == Path(other.save("other")).read_bytes()


@pytest.mark.parametrize("regularizer", [Bridge(1), Bridge(0.5), ConvKernel(2)], ids=str)
def test_solutions_come_back(regularizer: Regularizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    solution = max_margin(X, y, regularizer, fit_intercept=True)
    again = Solution.load(solution.save("solution.npz"))
    assert type(again) is type(solution)
    assert same(again, solution)
    assert again.predict(X).tolist() == y
    assert repr(again) == repr(solution)


def test_limits_come_back(limit: Limit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    again = Limit.load(limit.save("limit.npz"))
    assert same(again, limit)
    assert again.predict(X).tolist() == y
    network = again.load_weights(Diagonal(3, 2, seed=5))
    np.testing.assert_allclose(
        np.concatenate([p.detach().numpy().ravel() for p in network.parameters()]), limit.direction
    )
    with pytest.raises(ValueError, match=r"points of shape \(3,\)"):
        again.predict([[1.0, 2.0]])
    assert descend(Diagonal(3, 2, seed=0), X, y, steps=60).predict(X).tolist() == y


def test_reports_come_back(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    again = Report.load(report.save("report.npz"))
    assert same(again, report)
    assert again.summary == report.summary
    assert json.loads(again.to_json())["sections"] == json.loads(report.to_json())["sections"]
    figure = next(figure for section in again.sections for figure in section.figures)
    canvas = Figure()
    figure.draw(canvas)
    assert canvas.axes[0].get_xlabel()
    frame = again.to_frame()
    assert len(frame) == len(report.checks)
    assert set(frame.verdict) <= {"confirmed", "refuted", "not reached", "no prediction"}


def test_a_report_has_one_form(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path)
    saved = report.save(tmp_path / "saved.json").read_bytes()
    assert saved == (tmp_path / "report.json").read_bytes() == report.to_json().encode()
    assert Report.load(tmp_path).to_json() == Report.load(tmp_path / "saved.json").to_json() == report.to_json()


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_files_have_the_mode_that_the_umask_leaves(report: Report, mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        files = [max_margin(X, y, "l2").save(tmp_path / "s.npz"), report.save(tmp_path / "r.json")]
    finally:
        os.umask(before)
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o666 & ~mask] * 2


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a solution in which other solutions are."""
    return max_margin(X, y, Bridge(0.5), fit_intercept=True).save(tmp_path_factory.mktemp("saved") / "s.npz")


def rewritten(
    file: Path, to: Path, change: Callable[[dict[str, Any]], Any], *, checksum: bool = True, **others: Any
) -> Path:
    """A copy of a file whose record is changed, and in which other arrays are, its checksum computed anew or not."""
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    record = json.loads(arrays.pop("record.json"))
    change(record)
    arrays.update(others)
    if checksum:
        inside = {key: item for key, item in record.items() if key not in ("schema", "run")}
        record = {**headed(inside, arrays), **({"schema": record["schema"]} if "schema" in record else {})}
    np.savez(to, **arrays)
    with zipfile.ZipFile(to, "a") as archive:
        archive.writestr("record.json", json.dumps(record))
    return to


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(objective=record["objective"] + 1.0),
        lambda record: record.update(status="OPTIMAL"),
        lambda record: record["beta"].update(x=1),
        lambda record: record.update(dual=record["beta"]),
        lambda record: record["certificate"].update(gap=0.0),
        lambda record: record["stats"].update(method="another"),
    ],
    ids=["number", "status", "key", "array", "certificate", "stats"],
)
def test_an_edited_record_is_refused(file: Path, change: Callable[[dict[str, Any]], Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it was changed after it was written"):
        Solution.load(rewritten(file, tmp_path / "s.npz", change, checksum=False))


@pytest.mark.parametrize("name", ["beta", "dual", "classes", "certificate.dual", "added"])
def test_an_edited_array_is_refused(file: Path, name: str, tmp_path: Path) -> None:
    """Another value, shape, type or name."""
    with np.load(file) as archive:
        was = archive[name] if name in archive.files else np.zeros(1)
    other = np.nextafter(was, np.inf) if was.dtype.kind == "f" else was[::-1].copy()
    for array in (other, was.reshape(1, -1), was.astype("U9"), was[:-1]):
        with pytest.raises(ValueError, match="it was changed after it was written"):
            Solution.load(rewritten(file, tmp_path / "s.npz", lambda record: None, checksum=False, **{name: array}))


def test_a_file_without_a_checksum_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it has no checksum.*the release that wrote it"):
        Solution.load(rewritten(file, tmp_path / "s.npz", lambda record: record.pop("run"), checksum=False))
    assert Solution.load(rewritten(file, tmp_path / "s.npz", lambda record: None, checksum=False))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "implicitbias/3"}, "'implicitbias/3', and this release reads 'implicitbias/2'"),
        ({"kind": "Limit"}, "a Limit, not a Solution"),
        ({"kind": "Popen"}, "a Popen, not a Solution"),
        ({"kind": "Solution"}, "from_start.*too few or too many"),
        ({"beta": {"array": "absent"}}, "absent"),
        ({"beta": [1.0, 2.0]}, "beta is a list"),
        ({"objective": "1.0"}, "objective is a str, and a float is wanted"),
        ({"objective": True}, "objective is a bool, and a float is wanted"),
        ({"objective": None}, "objective is a NoneType, and a float is wanted"),
        ({"status": "PERFECT"}, "PERFECT"),
        ({"unique": 1}, "unique is a int, and a Uniqueness is wanted"),
        ({"stats": [1]}, "stats is a list"),
        ({"certificate": {}}, "certificate.Certificate's fields.*margin.*too few or too many"),
        ({"stationary_points": [3]}, "stationary_points.0 is a int"),
    ],
    ids=str,
)
def test_fields_of_another_type_are_refused(file: Path, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"is no Solution that `save` wrote, or damaged: .*{message}"):
        Solution.load(rewritten(file, tmp_path / "s.npz", lambda record: record.update(change)))


def entry(record: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The object that holds the field of this dotted name, and the field's own name in it."""
    *outer, last = name.split(".")
    return functools.reduce(operator.getitem, outer, record), last


def changed(file: Path, to: Path, name: str, value: Any) -> Path:
    """A copy with a right checksum in which one field is another, or, where it is a number, changed by a factor."""
    with np.load(file) as archive:
        if isinstance(value, np.ndarray) or f"{name}.npy" in zipfile.ZipFile(file).namelist():
            array = value if isinstance(value, np.ndarray) else value(archive[name])
            return rewritten(file, to, lambda record: None, **{name: array})

    def change(record: dict[str, Any]) -> None:
        owner, key = entry(record, name)
        owner[key] = value(owner[key]) if callable(value) else value

    return rewritten(file, to, change)


def doubled(value: Any) -> Any:
    """Twice a number or an array."""
    return 2 * value


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("objective", doubled, "objective is certificate.objective"),
        ("lower_bound", 0.1, "lower_bound is not below"),
        ("dual", doubled, "dual is certificate.dual"),
        ("dual", np.ones(2), "dual is certificate.dual"),
        ("beta", np.array(1.0), "beta has the rows"),
        ("classes", np.array(["oak"]), "classes are two labels or more"),
        ("classes", np.array(["oak", "elm", "ash"]), "dual has a column less than"),
        ("intercept", {"array": "beta"}, "intercept is one number"),
        ("status", "STATIONARY", "status is one that the certificate proves"),
        ("certificate.objective", doubled, r"certificate\.gap is"),
        ("certificate.lower_bound", doubled, r"certificate\.gap is"),
        ("certificate.margin", 0.5, r"certificate\.primal is"),
        ("certificate.primal", 0.5, r"certificate\.primal is"),
        ("certificate.gap", -0.25, r"certificate\.gap is"),
        ("certificate.gap", None, r"certificate\.gap is"),
        ("certificate.direction_gap", 1.0, r"certificate\.direction_gap is"),
        ("certificate.dual", lambda dual: -dual, r"certificate\.dual has no negative"),
    ],
)
def test_a_solution_that_contradicts_itself_is_refused(name: str, value: Any, says: str, tmp_path: Path) -> None:
    file = max_margin(X, y, "l1").save(tmp_path / "s.npz")
    with pytest.raises(ValueError, match=f"contradict each other, since it should be that .*{says}") as refused:
        Solution.load(changed(file, tmp_path / "t.npz", name, value))
    assert "\n" not in str(refused.value)


def test_a_bound_above_the_value_and_an_open_gap_are_no_proof(tmp_path: Path) -> None:
    """Fields that agree by their formulas, but say what weak duality, or the status, excludes."""
    file = max_margin(X, y, "l1").save(tmp_path / "s.npz")
    value = Solution.load(file).objective
    for share, says in ((0.0, "status is one that"), (1.5, "lower_bound is at most objective / margin")):
        gaps = {"lower_bound": share * value, "gap": 1.0 - share, "direction_gap": 1.0 - share}

        def change(record: dict[str, Any], gaps: dict[str, float] = gaps) -> None:
            record["certificate"].update(gaps, margin=1.0, primal=0.0)
            record["lower_bound"] = gaps["lower_bound"]

        with pytest.raises(ValueError, match=says):
            Solution.load(rewritten(file, tmp_path / "t.npz", change))


def test_a_network_that_costs_something_else_is_refused(tmp_path: Path) -> None:
    file = max_margin(X, y, ConvKernel(2)).save(tmp_path / "s.npz")
    for name in ("kernels", "output_weights"):
        with pytest.raises(ValueError, match=f"{name} have half of objective"):
            Solution.load(changed(file, tmp_path / "t.npz", name, doubled))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("weights.weights.0", doubled, "weights have norm 1"),
        ("integrated.weights.weights.0", doubled, r"integrated\.weights have norm 1"),
        ("dual", doubled, "dual is not negative and sums to one"),
        ("dual", np.ones(2) / 2, "dual has the shape of active"),
        ("integrated.dual", np.ones(2) / 2, r"integrated\.dual has the shape of active"),
        ("active", np.array([True]), "dual has the shape of active"),
        ("margin", doubled, "norm_at_unit_margin is"),
        ("norm_at_unit_margin", doubled, "norm_at_unit_margin is"),
        ("path.residual", np.ones(1), r"path\.residual has an entry"),
        ("path.margins", lambda margins: margins[:, :1], r"path\.margins has a column"),
        ("certificate.primal", 1.0, r"certificate\.primal is"),
        ("integrated.certificate.gap", -1.0, r"integrated\.certificate\.gap is"),
    ],
)
def test_a_limit_that_contradicts_itself_is_refused(
    limit: Limit, name: str, value: Any, says: str, tmp_path: Path
) -> None:
    file = limit.save(tmp_path / "s.npz")
    with pytest.raises(ValueError, match=f"contradict each other, since it should be that .*{says}"):
        Limit.load(changed(file, tmp_path / "t.npz", name, value))


@pytest.mark.parametrize("make", [Check.of, Check.at_least])
def test_checks_of_numbers_of_any_kind_come_back(make: Callable[..., Check], tmp_path: Path) -> None:
    """Halves and float32 are decided as what is stored, so that the file contradicts nothing."""
    figures = [0.3, math.nan, math.inf, -math.inf, np.float32(0.3), np.float16(0.3), np.float64(1.0), 2]
    errors = [0.0, 1e-9, np.float32(1e-9), math.inf, np.float64(np.inf), math.nan]
    checks = [make("s", Evidence(f, e), t) for f in figures for e in errors for t in (1, np.float32(0.3), math.inf)]
    report = Report("checks", (Section("one", checks=checks),), Provenance.collect())
    path = tmp_path / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    assert [c.verdict for c in Report.load(path).sections[0].checks] == [c.verdict for c in checks]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda record: record.update(passed=not record["passed"]), "its passed does not follow"),
        (lambda record: record["counts"].update(refuted=7), "its counts does not follow"),
        (lambda record: record.update(summary="all well"), "its summary does not follow"),
        (lambda record: record.update(tables=[]), "its tables does not follow"),
        (lambda record: record["sections"][0]["checks"][0].update(measured=1e9), "verdict is 'refuted'"),
    ],
    ids=["passed", "counts", "summary", "tables", "verdict"],
)
def test_a_report_that_contradicts_itself_is_refused(
    report: Report, change: Callable[[dict[str, Any]], Any], says: str, tmp_path: Path
) -> None:
    record = json.loads(report.to_json())
    change(record)
    inside = {key: item for key, item in record.items() if key not in ("schema", "run")}
    (tmp_path / "report.json").write_text(json.dumps(headed(inside)), encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        Report.load(tmp_path)


@pytest.mark.parametrize(
    "beta",
    [np.array(["2020-01-01"], dtype="datetime64[D]"), np.array(["a", "b", "c"]), np.arange(3), np.array([{}], object)],
    ids=["dates", "text", "integers", "objects"],
)
def test_arrays_of_another_kind_are_refused(file: Path, beta: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="or damaged"):
        Solution.load(rewritten(file, tmp_path / "s.npz", lambda record: None, beta=beta))


def test_any_field_of_another_kind_is_refused(file: Path, tmp_path: Path) -> None:
    """Each number, text, list and object of the record, in turn, replaced by what is of no field's type there."""
    with zipfile.ZipFile(file) as archive:
        record = json.loads(archive.read("record.json"))

    def places(value: Any) -> list[tuple[Any, Any]]:
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [place for key, item in inside if key not in ("stats", "run") for place in [(value, key), *places(item)]]

    for owner, key in places(record):
        kept = owner[key]
        for wrong in (["x"], {"x": 1}):
            owner[key] = wrong
            with pytest.raises(ValueError, match="or damaged"):
                Solution.load(rewritten(file, tmp_path / "s.npz", lambda written: written.update(record)))
        owner[key] = kept
    assert Solution.load(rewritten(file, tmp_path / "s.npz", lambda written: written.update(record)))


def test_a_flipped_bit_is_noticed_or_changes_nothing(file: Path, report: Report, tmp_path: Path) -> None:
    """Every result of a damaged file is refused or the same; times and other fields that nobody reads may change."""
    random = np.random.default_rng(0)
    for cls, path in ((Solution, file), (Report, report.save(tmp_path / "r.json"))):
        whole, damaged, refused = path.read_bytes(), tmp_path / "damaged", 0
        text = cls.load(path).save(tmp_path / "again").read_bytes()
        for bit in random.integers(8 * len(whole), size=150):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            damaged.write_bytes(changed)
            try:
                found = cls.load(damaged)
            except ValueError:  # in one sentence; every other exception fails
                refused += 1
            else:
                assert found.save(tmp_path / "again").read_bytes() == text
        assert refused > 75


def test_other_files_are_refused_in_a_sentence(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a BridgeSolution, not a Limit"):
        Limit.load(file)
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", beta=np.zeros(3))
    for other in ("text.npz", "other.npz"):
        with pytest.raises(ValueError, match="is no Solution that `save` wrote"):
            Solution.load(tmp_path / other)
    with pytest.raises(FileNotFoundError):
        Solution.load(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError):
        Solution.load(file).save(tmp_path / "absent" / "s.npz")


def test_pipes_devices_and_bombs_are_refused(file: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "report.json")
    for cls, place in ((Solution, "pipe"), (Report, "pipe"), (Report, "folder")):
        with pytest.raises(ValueError, match="is no regular file"):
            cls.load(tmp_path / place)
    with pytest.raises(ValueError, match="is no regular file"):
        Solution.load("/dev/zero")
    with np.load(file) as archive:
        np.savez_compressed(tmp_path / "bomb.npz", **archive, dual_=np.zeros(10**6))
    with pytest.raises(ValueError, match="unpacks to more bytes than it has"):
        Solution.load(tmp_path / "bomb.npz")
    (tmp_path / "long.json").touch()
    os.truncate(tmp_path / "long.json", 2**40)
    with pytest.raises(ValueError, match=f"has more than {2**28} bytes"):
        Report.load(tmp_path / "long.json")


def test_saving_clears_up_after_a_killed_writer_and_keeps_links(file: Path, report: Report, tmp_path: Path) -> None:
    for saved, cls in ((Solution.load(file), Solution), (report, Report)):
        (tmp_path / ".unfinished-1.part").mkdir()
        (tmp_path / ".unfinished-1.part" / "half").touch()
        link = tmp_path / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / "real")
        saved.save(link)
        assert link.is_symlink()
        assert cls.load(tmp_path / "real")
        assert {path.name for path in tmp_path.iterdir()} == {"real", "link"}


def test_what_would_be_refused_is_not_written(file: Path, tmp_path: Path) -> None:
    solution = max_margin(X, y, "l2")
    for wrong in ({"stats": {"a": object()}}, {"objective": "1"}, {"beta": [1.0]}, {"dual": np.zeros(3, complex)}):
        with pytest.raises(TypeError):
            replace(solution, **wrong).save(tmp_path / "s.npz")
    assert list(tmp_path.iterdir()) == []


def test_the_form_is_what_the_documentation_says(file: Path) -> None:
    with np.load(file, allow_pickle=False) as archive:
        record = json.loads(archive["record.json"])
        assert archive["beta"].tolist() == Solution.load(file).beta.tolist()
        assert {f"{name}.npy" for name in archive.files} >= {"beta.npy", "certificate.dual.npy"}
    assert (record["schema"], record["kind"], record["status"]) == (SCHEMA, "BridgeSolution", "STATIONARY")
    assert record["certificate"]["dual"] == {"array": "certificate.dual"}
    assert [point["kind"] for point in record["stationary_points"]] == ["Solution"] * len(record["stationary_points"])
