"""The store of a sweep: whole rows or named damage, one writer, and nothing that goes nowhere."""

import os
import random
import shutil
import sqlite3
import warnings

import pytest

from compare import load_sweep
from compare.sweep.sealed_rows import salvaged
from compare.sweep.store import Outcome, Store
from compare.sweep.store_file import FILE, StoreError, SweepBusyError

CELLS = 80


def outcome(i):
    """A cell about as long as a real one, with numbers that only it has."""
    numbers = {f"measured_{k}": (i + 1) / (k + 3) for k in range(12)}
    parameters = {"data": "synthetic:3,4,0", "sha256": "ab" * 32, "network": "diagonal", "depth": 2, "seed": i}
    return Outcome(f"{i:032x}", parameters, 0.25, "host:1", numbers)


def written(folder):
    with Store(folder) as store:
        store.begin("name", "plan", "command")
        for first in range(0, CELLS, 10):
            store.add([outcome(i) for i in range(first, first + 10)])
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return written(tmp_path_factory.mktemp("store") / "whole")


def loaded(folder):
    """Every row as the outcome that it must be, and whether a warning named damage."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = load_sweep(folder)
    for row in frame.to_dict("records"):
        wanted = outcome(row["seed"])
        assert row["key"] == wanted.key
        assert (row["status"], row["seconds"], row["session"]) == ("done", 0.25, 1)
        assert {name: row[name] for name in wanted.numbers} == wanted.numbers
        assert {name: row[name] for name in wanted.parameters} == wanted.parameters
    assert bool(caught) == bool(frame.attrs["damage"])
    return set(frame.key), frame.attrs["damage"]


def flipped(content, bit):
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


def bits(content, seed):
    """Anywhere, and in the file's header, schema and the heads of its pages, where one bit does the most."""
    rng = random.Random(seed)
    heads = [page + rng.randrange(100) for page in range(0, len(content), 16_384) for _ in range(1)]
    return [8 * byte + rng.randrange(8) for byte in [*heads, *(rng.randrange(len(content)) for _ in range(25))]]


def test_one_flipped_bit_costs_a_row_which_is_named_and_runs_again(whole, tmp_path):
    content, hits = (whole / FILE).read_bytes(), 0
    for bit in bits(content, 0):
        folder = tmp_path / str(bit)
        folder.mkdir(exist_ok=True)
        (folder / FILE).write_bytes(flipped(content, bit))
        found, damage = loaded(folder)
        assert len(found) >= CELLS - 1
        assert damage or len(found) == CELLS
        hits += bool(damage)
        with Store(folder) as store:
            assert store.done == found
            assert bool(store.damage) == bool(damage)
            store.begin("name", "plan", "command")
            store.session = 1  # so that `loaded` finds what it wrote before
            store.add([outcome(i) for i in range(CELLS) if outcome(i).key not in found])
        assert loaded(folder) == ({outcome(i).key for i in range(CELLS)}, [])
        assert len(list(folder.glob(f"{FILE}.damaged-*"))) == bool(damage)
        shutil.rmtree(folder)
    assert hits > 12  # the rest fell on bytes that hold nothing


def test_a_damaged_row_is_named(whole, tmp_path):
    content = (whole / FILE).read_bytes()
    at = content.index(b'"measured_3": ', content.index(f'"key": "{outcome(7).key}"'.encode()))
    (tmp_path / FILE).write_bytes(flipped(content, 8 * (at + 16)))
    with pytest.warns(UserWarning, match=rf"is damaged \(cell {outcome(7).key}\): 79 cells were read from it"):
        frame = load_sweep(tmp_path)
    assert frame.attrs["damage"] == [f"cell {outcome(7).key}"]
    assert 7 not in set(frame.seed)
    assert [s["id"] for s in frame.attrs["sessions"]] == ["1"]


def test_a_file_cut_short_keeps_what_is_left(whole, tmp_path):
    content = (whole / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    found, damage = loaded(tmp_path)
    assert damage
    assert CELLS / 8 < len(found) < CELLS


def test_of_a_cell_that_ran_again_the_last_outcome_is_salvaged(tmp_path):
    with Store(tmp_path) as store:
        store.begin("n", "p", "c")
        store.add([Outcome("k", {"seed": 0}, 0.1, "w", {}, "KeyError", "no")])
        store.add([Outcome("k", {"seed": 0}, 0.1, "w", {"value": 2.0})])
        assert (store.done, store.failed) == ({"k"}, {})
    assert salvaged([tmp_path / FILE])["cell", "k"]["numbers"] == {"value": 2.0}
    assert b"KeyError" not in (tmp_path / FILE).read_bytes()  # and the first one is gone from the file


def test_doubles_are_refused_and_nothing_of_their_batch_is_kept(tmp_path):
    with Store(tmp_path) as store:
        store.begin("n", "p", "c")
        store.add([outcome(0)])
        with pytest.raises(StoreError, match="holds one of these cells already"):
            store.add([outcome(1), outcome(0)])
        assert store.done == {outcome(0).key}
        store.add([outcome(2)])
    assert loaded(tmp_path)[0] == {outcome(0).key, outcome(2).key}


def test_the_database_is_the_lock(tmp_path):
    with Store(tmp_path) as store:
        store.begin("n", "p", "c")
        for file in tmp_path.iterdir():  # whatever somebody removes that looks like a lock
            if file.name != FILE:
                file.unlink()
        for i in range(3):
            with pytest.raises(SweepBusyError, match="another sweep is writing to"):
                Store(tmp_path)
            store.add([outcome(i)])
            assert len(loaded(tmp_path)[0]) == i + 1  # readers pass
    with Store(tmp_path) as store:
        assert len(store.done) == 3


def removed(folder):
    (folder / FILE).unlink()


def renamed(folder):
    (folder / FILE).rename(folder / "elsewhere")


def replaced(folder):
    shutil.copy(folder / FILE, folder / "copy")
    (folder / "copy").replace(folder / FILE)


def moved(folder):
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("happens", [removed, renamed, replaced, moved])
def test_a_store_that_is_taken_away_is_noticed_at_the_next_commit(tmp_path, happens):
    folder = tmp_path / "store"
    with Store(folder) as store:
        store.begin("n", "p", "c")
        store.add([outcome(0)])
        happens(folder)
        with pytest.raises(StoreError, match="was removed, renamed or replaced"):
            store.add([outcome(1)])
        store.session = 0  # nothing is left to end


def test_a_file_that_is_cut_while_the_sweep_runs_is_no_success(tmp_path):
    """Long enough that SQLite does not write all of it anew."""

    def sweep():
        with Store(tmp_path) as store:
            store.begin("n", "p", "c")
            store.add([outcome(i) for i in range(3000)])
            os.truncate(tmp_path / FILE, (tmp_path / FILE).stat().st_size // 2)
            store.add([outcome(3000)])

    with pytest.raises(StoreError, match=r"damaged while the sweep ran: \d+ of the cells"):
        sweep()


def test_other_files_are_refused_and_left_alone(tmp_path):
    texts = {
        "text": b"not a database, and long enough to be looked at" * 100,
        "empty json": b"{}",
    }
    for name, content in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / FILE).write_bytes(content)
    (tmp_path / "other program").mkdir()
    other = sqlite3.connect(tmp_path / "other program" / FILE)
    other.executescript("CREATE TABLE mine (x);")
    other.close()
    (tmp_path / "first version").mkdir()
    old = sqlite3.connect(tmp_path / "first version" / FILE)
    old.executescript("PRAGMA journal_mode=WAL; CREATE TABLE cells (key TEXT PRIMARY KEY); PRAGMA user_version = 2;")
    old.close()
    for folder in tmp_path.iterdir():
        before = (folder / FILE).read_bytes()
        for attempt in (Store, load_sweep):
            with pytest.raises(StoreError, match="cannot be used as a sweep's store") as caught:
                attempt(folder)
            assert "\n" not in str(caught.value)
            assert ("another version" in str(caught.value)) == (folder.name in ("other program", "first version"))
        after = (folder / FILE).read_bytes()
        assert after == before or folder.name == "first version"  # whose log SQLite itself has put away
    with pytest.raises(StoreError, match="holds no sweep"):
        load_sweep(tmp_path / "nowhere")


def test_a_transaction_that_was_torn_is_rolled_back(tmp_path):
    """The machine stops in the middle of a commit: file and journal as they are then."""
    store = Store(tmp_path / "a")
    store.begin("n", "p", "c")
    store.add([outcome(i) for i in range(40)])
    database = store._database
    database.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
    database.execute("UPDATE records SET sealed = substr(sealed, 2) || 'torn' WHERE kind = 'cell'")
    (tmp_path / "b").mkdir()
    for file in (tmp_path / "a").iterdir():
        shutil.copy(file, tmp_path / "b" / file.name)
    assert (tmp_path / "b" / f"{FILE}-journal").stat().st_size > 0
    assert b"torn" in (tmp_path / "b" / FILE).read_bytes()
    for statement in ("ROLLBACK", "BEGIN IMMEDIATE"):
        database.execute(statement)
    store.__exit__(None, None, None)
    with Store(tmp_path / "b") as mended:
        assert (len(mended.done), mended.damage) == (40, ())
        mended.begin("n", "p", "c")
    assert len(loaded(tmp_path / "b")[0]) == 40


def test_a_full_disk_is_one_error_and_keeps_what_was_stored(tmp_path):
    with Store(tmp_path) as store:
        store.begin("n", "p", "c")
        store.add([outcome(0)])
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="could not be written: database or disk is full"):
            store.add([outcome(i) for i in range(1, 100)])
        assert store.done == {outcome(0).key}
        with pytest.raises(SweepBusyError):  # and the lock is still held
            Store(tmp_path)
