"""What `abuse.py` does to files: bits of a sweep's store flipped, writers of reports and sweeps killed, files mangled.

Each function counts how its trials ended; what must not happen is counted under a name in capitals.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import multiprocessing
import os
import random
import signal
import struct
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = {f"measured_{k}": (k + 1) / 7 for k in range(12)}


def outcome(i: int) -> Any:
    """A cell of a sweep with numbers that only it has."""
    from compare.sweep.store import Outcome

    return Outcome(f"{i:032x}", {"network": "diagonal", "seed": i}, 0.25, "w", {n: i + v for n, v in NUMBERS.items()})


def flipped_bits(seed: int, count: int, folder: Path, cells: int = 300) -> Counter[str]:
    """One bit of a store flipped at a time: every row is what was stored or is named, and the next driver mends it."""
    from compare.sweep.frame import load_sweep
    from compare.sweep.store import Store
    from compare.sweep.store_file import FILE

    whole = folder / "whole"
    with Store(whole) as store:
        store.begin("name", "plan", "command")
        for first in range(0, cells, 10):
            store.add([outcome(i) for i in range(first, first + 10)])
    content, rng, counts = (whole / FILE).read_bytes(), random.Random(seed), Counter[str]()
    for trial in range(count):
        place = folder / str(trial)
        place.mkdir()
        at, bit = rng.randrange(len(content)), rng.randrange(8)
        (place / FILE).write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frame = load_sweep(place)
        wrong = sum(
            any(row[name] != value for name, value in outcome(row["seed"]).numbers.items())
            or row["key"] != outcome(row["seed"]).key
            for row in frame.to_dict("records")
        )
        counts["flips"] += 1
        counts["named"] += bool(caught)
        counts["cells lost and named"] += cells - len(frame)
        counts["WRONG NUMBERS"] += wrong
        counts["LOST SILENTLY"] += bool(len(frame) < cells and not caught)
        with Store(place) as store:
            store.begin("name", "plan", "command")
            store.add([outcome(i) for i in range(cells) if outcome(i).key not in store.done])
        counts["NOT MENDED"] += len(load_sweep(place)) != cells
    return counts


def write_reports(folder: str, name: str, started: Any) -> None:
    """Report after report, each with a title of its own."""
    from compare.reports.findings import Column
    from compare.reports.provenance import Provenance
    from compare.reports.report import Report, Section

    for i in range(10**6):
        rows = [{"title": f"{name} {i}", "k": k} for k in range(20)]
        sections = [
            Section(f"part {k}", columns=(Column("title", "title"), Column("k", "k")), rows=rows) for k in range(9)
        ]
        Report(f"{name} {i}", tuple(sections), Provenance()).write(folder)
        started.set()  # the first one imports what it needs


def killed_reports(seed: int, count: int, folder: Path) -> Counter[str]:
    """A writer killed at a random time: all files of the folder are of one run."""
    from solvers.whole_files import locked

    rng, counts, context = random.Random(seed), Counter[str](), multiprocessing.get_context("spawn")
    for trial in range(count):
        started = context.Event()
        writer = context.Process(target=write_reports, args=(str(folder), f"run {trial}", started))
        writer.start()
        started.wait(60)
        time.sleep(rng.uniform(0.0, 0.3))
        writer.kill()
        writer.join()
        with locked(folder):  # the process that renames ends its work
            pass
        record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.*") if path.is_file()}
        counts["kills"] += 1
        counts["MIXED"] += (
            not all(record["title"] in text for name, text in texts.items() if name != "checks.csv")
            or record["run"] not in texts["report.html"]
        )
        counts["FILES OF ANOTHER RUN"] += set(texts) != {*record["tables"], "report.html", "report.json"}
    return counts


def run_cells(folder: str, cells: int) -> None:
    """A sweep of quick cells, each with a number that only it has."""
    from compare import run_sweep

    axes = {"data": "synthetic:3,4,0", "network": "diagonal", "seed": {"from": 0, "to": cells - 1}}

    def measure(cell: Any) -> dict[str, float]:
        time.sleep(0.02)
        return {"value": cell.seed * cell.seed + 0.5}

    run_sweep({"grid": axes}, folder, jobs=2, measure=measure)


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{process}/task")
    return [int(child) for task in tasks.glob("*/children") for child in task.read_text().split()]


def killed_sweeps(seed: int, count: int, folder: Path, cells: int = 150) -> Counter[str]:
    """Drivers and workers of one sweep killed at random times, so often; then it is run to its end."""
    from compare import load_sweep

    rng, counts, context = random.Random(seed), Counter[str](), multiprocessing.get_context("spawn")
    place = folder / "sweep"
    for trial in range(count + 1):
        driver = context.Process(target=run_cells, args=(str(place), cells))
        driver.start()
        driver.join(rng.uniform(0.0, 8.0) if trial < count else None)
        if not driver.is_alive():
            break
        workers, whom = children(driver.pid or 0), rng.choice(("driver", "worker"))
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(workers) if whom == "worker" and workers else driver.pid or 0, signal.SIGKILL)
        counts[f"kills of a {whom}"] += 1
        driver.join(rng.uniform(0.0, 2.0))
        driver.kill()
        driver.join()
    counts["runs"] = trial + 1
    run_cells(str(place), cells)
    frame = load_sweep(place)
    right = {i * i + 0.5 for i in range(cells)}
    counts["cells"] = len(frame)
    counts["LOST"] = len(set(range(cells)) - set(frame.seed))
    counts["DOUBLED"] = len(frame) - frame.key.nunique()
    counts["CHANGED"] = len([value for value in frame.value if value not in right]) if "value" in frame else cells
    return counts


def samples() -> dict[str, bytes]:
    """One sound file of every kind that is read, by name."""
    import pandas as pd
    from PIL import Image

    rng, files = np.random.default_rng(0), {}
    pixels = rng.integers(0, 255, (9, 11, 3), dtype=np.uint8)
    for suffix, form in (
        (".png", "PNG"),
        (".jpg", "JPEG"),
        (".tif", "TIFF"),
        (".bmp", "BMP"),
        (".gif", "GIF"),
        (".webp", "WEBP"),
    ):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, form)
        files[f"image{suffix}"] = out.getvalue()
    for name, array in (("image.npy", pixels), ("bits.npy", rng.integers(0, 4000, (7, 7)))):
        out = io.BytesIO()
        np.save(out, array)
        files[name] = out.getvalue()
    X, y = rng.standard_normal((6, 3)), np.array([0, 1, 1, 0, 1, 0])
    frame = pd.DataFrame(X, columns=list("abc")).assign(y=y)
    files["table.csv"] = frame.to_csv(index=False).encode()
    files["table.tsv"] = frame.to_csv(index=False, sep="\t").encode("utf-16")
    for name, save in (("table.npz", np.savez_compressed), ("plain.npz", np.savez)):
        out = io.BytesIO()
        save(out, X=X, y=y)
        files[name] = out.getvalue()
    out = io.BytesIO()
    frame.to_parquet(out)
    files["table.parquet"] = out.getvalue()
    idx = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(24)
    files |= {"images.idx": idx, "images.gz": gzip.compress(idx)}
    files["plan.toml"] = (
        b'name = "n"\n[grid]\ndata = "synthetic:3,4,{seed}"\nseed = {from = 0, to = 2}\nnetwork = "diagonal"\n'
        b"scale = [0.1, 1e-3]\n[options]\nsteps = 10\ncell_seconds = 1.5\n"
    )
    return files | saved(X, y)


def saved(X: Any, y: Any) -> dict[str, bytes]:
    """What the package writes itself: a solution, a report, a search, a sweep's store."""
    from compare.channels.counterexample_search import Search, SearchPlan
    from compare.reports.provenance import Provenance
    from compare.reports.report import Check, Column, Figure, Report, Section
    from compare.sweep.store import Store
    from compare.sweep.store_file import FILE
    from solvers import Bridge, max_margin

    figure = Figure("f", "caption", data={"x": [1.0, np.inf]})
    checks = [Check.at_most("it ends there", 1e-9, 1e-6, unit="rad")]
    section = Section("s", "text", [Column("a", "a")], [{"a": 1.5}, {"a": None}], checks, [figure])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        max_margin(X[:3], y[:3], Bridge(0.5)).save(folder / "a.solution")
        Report("t", (section,), Provenance.collect(seeds=[0])).save(folder / "report.json")
        Search(SearchPlan((8,), (3,), 1, 1, 4, 2, 3, 5), 0).record(0.25, "random", np.arange(8.0)).save(
            folder / "a.search"
        )
        with Store(folder) as store:
            store.begin("name", "plan", "command")
            store.add([outcome(0), outcome(1)])
        return {each: (folder / each).read_bytes() for each in ("a.solution", "report.json", "a.search", FILE)}


def read(path: Path) -> None:
    """Read a file as the package does."""
    from compare import Report, load, load_sweep
    from compare.channels.channel_data import read_idx
    from compare.channels.counterexample_search import Search
    from compare.generators.image_sources import SUFFIXES, read_image
    from compare.sweep.plan import read_plan
    from solvers import Solution

    own = {".solution": Solution.load, ".json": Report.load, ".search": Search.load}
    if path.suffix in SUFFIXES:
        pixels = read_image(path, 8).pixels
        assert np.isfinite(pixels).all()
        assert pixels.min() >= 0 <= 1 >= pixels.max()
    elif path.suffix in own:
        assert own[path.suffix](path)
    elif path.suffix == ".sqlite":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # which say what is damaged
            load_sweep(path.parent)
    elif path.suffix == ".toml":
        assert read_plan(path).cells
    elif path.suffix in (".idx", ".gz"):
        assert read_idx(path, 3).size
    else:
        data = load(path)
        assert np.isfinite(data.X).all()
        assert set(data.y) == {-1.0, 1.0} or len(data.classes) == len(set(data.y)) > 2  # a mangled label is a class


def mangled(rng: random.Random, content: bytes) -> bytes:
    """Bits flipped, pieces cut, doubled, overwritten; the beginning, where headers are, more often."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = int(len(data) * rng.random() ** rng.choice((1, 3)))
        size = rng.choice((1, 1, 2, 8, 64))
        piece = rng.choice(
            (rng.randbytes(size), b"\xff" * size, b"\0" * size, bytes(data[at : at + size]) * 2, b"9" * size)
        )
        how = rng.randrange(5)
        if how == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del data[at : at + size]
        elif how == 2:
            data[at:at] = piece
        elif how == 3:
            data[at : at + len(piece)] = piece
        else:
            del data[at + size :]
    return bytes(data)


def fuzzed_files(seed: int, count: int, folder: Path, show: Callable[[str], None] = print) -> Counter[str]:
    """Mangled files of every kind: read, or refused in one line within a second."""
    from compare.data.dataset import DataError
    from compare.sweep.plan_checks import PlanError
    from compare.sweep.store_file import StoreError

    rng, kinds, counts = random.Random(seed), list(samples().items()), Counter[str]()
    for name, content in kinds:  # the first of each kind imports its reader
        (folder / name).write_bytes(content)
        read(folder / name)
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        for trial in range(count):
            name, content = kinds[trial % len(kinds)]
            path = folder / name
            path.write_bytes(mangled(rng, content))
            began = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    read(path)
                counts["read"] += 1
            except BaseException as error:
                named = isinstance(error, ValueError) and str(error).startswith(repr(str(path)))
                if named or isinstance(error, DataError | PlanError | StoreError):
                    counts["refused"] += 1
                    if "\n" in str(error):
                        counts["SEVERAL LINES"] += 1
                        show(f"{name}, trial {trial}: {error}")
                    continue
                counts["TRACEBACK"] += 1
                show(f"{name}, trial {trial}: {traceback.format_exc()}")
                path.rename(folder / f"traceback-{trial}-{name}")
            finally:
                if time.perf_counter() - began > 1:
                    counts["SLOW"] += 1
                    show(f"{name}, trial {trial}: {time.perf_counter() - began:.1f} s")
    counts["printed by libraries"] = len(printed.getvalue().splitlines())
    return counts
