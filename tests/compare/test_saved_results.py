"""Results in files: what comes back is what was saved, everything else is refused; and their pictures and frames."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from compare import Report, compare_margin
from gd import Diagonal, descend, flow_limit
from gd.flow.limit import Limit
from solvers import Bridge, ConvKernel, Regularizer, Solution, max_margin, weighted_spline
from solvers.storage import VERSION

X = [[2.0, 1.0, 0.3], [-1.0, -3.0, 1.0], [3.0, 1.0, -0.4]]
y = ["oak", "elm", "oak"]


@pytest.fixture(scope="module")
def report() -> Report:
    """A small one, with figures."""
    return compare_margin(X, y, architectures=["diagonal"], depths=[2], seeds=[0], steps=20)


def same(one: Any, other: Any) -> bool:
    """Whether two results hold the same numbers: as files, which have no place for anything else."""
    files = []
    for i, result in enumerate((one, other)):
        path = Path(f"{i}.npz")
        result.save(path)
        with np.load(path, allow_pickle=False) as archive:
            files.append({name: archive[name].tolist() for name in archive.files})
    return str(files[0]) == str(files[1])


@pytest.mark.parametrize("regularizer", [Bridge(1), Bridge(0.5), ConvKernel(2)], ids=str)
def test_solutions_come_back(regularizer: Regularizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    solution = max_margin(X, y, regularizer, fit_intercept=True)
    again = Solution.load(solution.save("solution.npz"))
    assert type(again) is type(solution)
    assert same(again, solution)
    assert again.predict(X).tolist() == y
    assert repr(again) == repr(solution)


def test_limits_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    limit = flow_limit(Diagonal(3, 2, seed=0), X, y)
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


def altered(path: Path, change: Any) -> Path:
    """A copy of a file whose record is changed."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    record = json.loads(arrays["record"].tobytes())
    change(record)
    arrays["record"] = np.frombuffer(json.dumps(record).encode(), np.uint8)
    np.savez(path.with_name("altered.npz"), **arrays)
    return path.with_name("altered.npz")


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    path = max_margin(X, y, "l2").save(tmp_path / "s.npz")
    wrong = [
        (
            lambda record: record.update(version=VERSION + 1),
            r"version 2 of the format, and this release reads version 1",
        ),
        (lambda record: record.update(format="another"), "no result that `save` wrote"),
        (lambda record: record["result"]["fields"].pop("beta"), "damaged, or no result of this release.*beta"),
        (lambda record: record["result"]["fields"].update(beta={"array": "absent"}), "damaged.*absent"),
        (lambda record: record["result"].update(object="Popen"), "damaged.*Popen"),
        (lambda record: record["result"]["fields"].update(objective={"number": "abc"}), "npz.*damaged.*abc"),
        (lambda record: record["result"]["fields"].update(status={"enum": "Status", "name": "PERFECT"}), "damaged"),
    ]
    for change, message in wrong:
        with pytest.raises(ValueError, match=message):
            Solution.load(altered(path, change))
    with pytest.raises(ValueError, match="no result of this release"):
        Limit.load(path)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="no result that `save` wrote"):
        Solution.load(tmp_path / "text.npz")
    np.savez(tmp_path / "pickle.npz", record=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="no result that `save` wrote"):
        Solution.load(tmp_path / "pickle.npz")
    with pytest.raises(FileNotFoundError):
        Solution.load(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError):
        max_margin(X, y, "l2").save(tmp_path / "absent" / "s.npz")
    assert [file.name for file in tmp_path.iterdir() if "s.npz" in file.name] == ["s.npz"]  # no half-written file


def test_arrays_of_dates_are_refused(tmp_path: Path) -> None:
    path = max_margin([[1.0, 2.0]], [1.0], Bridge(1)).save(tmp_path / "s.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["beta"] = np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]")
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="neither numbers, nor truth values, nor text"):
        Solution.load(path)


def test_results_draw_themselves() -> None:
    canvas = Figure()
    axes = canvas.subplots(1, 4)
    limit = flow_limit(Diagonal(3, 2, seed=0), X, y)
    drawn = [
        max_margin(X, y, "l1").plot(axes[0]),
        max_margin(np.array(X).reshape(3, 1, 3), y, "fourier").plot(axes[1]),
        limit.plot(axes[2]),
        weighted_spline([0.0, 1.0, 3.0], [0.0, 1.0, 0.5]).plot(axes[3]),
    ]
    canvas.savefig(io.BytesIO())
    for one in drawn:
        assert one.get_title()
        assert one.get_xlabel()
        assert one.get_ylabel()
    assert drawn[2].lines[-1].get_ydata()[0] == limit.margin
    spline = drawn[3].lines[0]
    np.testing.assert_allclose(np.interp([0.0, 1.0, 3.0], spline.get_xdata(), spline.get_ydata()), [0.0, 1.0, 0.5])
