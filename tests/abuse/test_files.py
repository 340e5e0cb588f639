"""Files from strangers: any bytes at all give a table of finite numbers or one DataError, and nothing is unpickled."""

import io
import pickle
import re
import zipfile
from pathlib import Path

import abuse_files
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare import DataError, load

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
CSV = b"a,b,y\n1.5,2,cat\n-0.25,1e3,dog\n3,4,cat\n"


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


NPZ = npz(X=RNG.standard_normal((4, 3)), y=np.array([1, -1, 1, -1]))
edits = st.lists(st.tuples(st.integers(0, 10**4), st.sampled_from("xid"), st.binary(max_size=6)), max_size=8)
"""(place, overwrite / insert / delete, bytes)."""


def mutated(original: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    data = bytearray(original)
    for place, what, piece in changes:
        at = place % (len(data) + 1)
        data[at : at + (0 if what == "i" else len(piece))] = b"" if what == "d" else piece
    return bytes(data)


def check(folder: Path, suffix: str, content: bytes) -> None:
    """Either a proper data set, or one line that names the file."""
    path = folder / f"file{suffix}"
    path.write_bytes(content)
    refused = ""
    try:
        data = load(str(path))
    except DataError as error:
        refused = str(error)
    if refused:
        assert path.name in refused
        assert "\n" not in refused
        return
    assert data.X.ndim == 2
    assert data.X.dtype == np.float64
    assert np.isfinite(data.X).all()
    assert set(np.unique(data.y)) == {-1.0, 1.0}
    assert data.y.shape == data.X.shape[:1]


@given(edits)
def test_mutated_csv(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str, bytes]]) -> None:
    check(tmp_path_factory.getbasetemp(), ".csv", mutated(CSV, changes))
    check(tmp_path_factory.getbasetemp(), ".tsv", mutated(CSV.replace(b",", b"\t"), changes))


@given(edits)
def test_mutated_npz(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str, bytes]]) -> None:
    check(tmp_path_factory.getbasetemp(), ".npz", mutated(NPZ, changes))


@given(edits)
def test_mutated_arrays_in_a_sound_archive(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str, bytes]]
) -> None:
    """The checksums of a ZIP hide most of numpy's own header parser; here they are right."""
    out, array = io.BytesIO(), io.BytesIO()
    np.save(array, RNG.standard_normal((4, 3)))
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("X.npy", mutated(array.getvalue(), changes))
        archive.writestr("y.npy", zipfile.ZipFile(io.BytesIO(NPZ)).read("y.npy"))
    check(tmp_path_factory.getbasetemp(), ".npz", out.getvalue())


@given(st.binary(max_size=60), st.sampled_from([".csv", ".tsv", ".npz", ".parquet"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str) -> None:
    check(tmp_path_factory.getbasetemp(), suffix, content)


class Bomb:
    """Unpickling this leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "unpickled"
    bomb = np.array([Bomb(trace)], dtype=object)
    with pytest.raises(DataError, match="holds Python objects, which are not read"):
        check_raises(tmp_path / "bomb.npz", npz(X=bomb, y=np.array([1.0])))
    with pytest.raises(DataError):
        check_raises(tmp_path / "plain.npz", pickle.dumps(Bomb(trace)))
    assert not trace.exists()
    pickle.loads(pickle.dumps(Bomb(trace)))  # the bomb is live
    assert trace.exists()


def test_mangled_files_of_every_kind(tmp_path: Path) -> None:
    """The longer one, with other seeds, is `python benchmarks/abuse.py --files`."""
    told: list[str] = []
    counts = abuse_files.fuzzed_files(1, 300, tmp_path, told.append)
    assert not told
    assert counts["read"] > 20
    assert counts["refused"] > 100
    assert counts["read"] + counts["refused"] == 300


def test_every_sound_file_is_read(tmp_path: Path) -> None:
    for name, content in abuse_files.samples().items():
        (tmp_path / name).write_bytes(content)
        abuse_files.read(tmp_path / name)


def check_raises(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    load(str(path))


def test_no_code_here_unpickles() -> None:
    forbidden = re.compile(r"torch\.load|pickle\.loads?\b|import pickle|allow_pickle=True|read_pickle|joblib\.load\b|"
                           r"\beval\(|\bexec\(|yaml\.load\(")  # fmt: skip
    allowed = re.compile(r"\.eval\(\)|def eval\(")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for package in ("solvers", "gd", "compare", "proofs")
        for path in sorted((ROOT / package).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if forbidden.search(line) and not allowed.search(line)
    ]
    assert not found
