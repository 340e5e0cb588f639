"""What the world does to a run: Ctrl-C, SIGTERM, a full disk, a second writer, other numbers of threads, large data."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import abuse
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from threadpoolctl import threadpool_info, threadpool_limits

from compare.command_line import cli
from gd import Convolutional, Diagonal, flow_limit
from solvers import (
    L2,
    Bridge,
    ConvKernel,
    FourierBridge,
    GaussianInit,
    UniformInit,
    induced_regularizer,
    kernel_interpolant,
    max_margin,
    regularization_path,
    weighted_spline,
)

SMALL = ["compare", "margin", "--data", "synthetic:4,3,0", "--architectures", "fully connected", "--depths", "1,2",
         "--seeds", "0", "--steps", "5"]  # fmt: skip

ENDLESS_SECOND_PART = """
import json, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin by ignoring it
import compare.margin.margin_report as margin
import gd
from compare.command_line import main
real, calls = margin.measure_family, []
def measured(*arguments):
    calls.append(arguments)
    if len(calls) == 2:
        os.write(2, f"second part {os.getpid()} {sys.argv[-1]}\\n".encode())  # one write, as there are two writers
        while True:
            real(*arguments)
    return real(*arguments)
margin.measure_family = measured
arguments, *folders = sys.argv[1:]
running = {}
for folder in folders:
    running[folder] = os.fork()
    if not running[folder]:
        sys.argv = ["implicitbias", *json.loads(arguments), "--out", folder]
        main()
print(json.dumps({folder: os.waitstatus_to_exitcode(os.waitpid(running[folder], 0)[1]) for folder in folders}))
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[signal.Signals, tuple[int, Path]]:
    """The two signals, each in the second of two parts: exit code and report folder."""
    folder = tmp_path_factory.mktemp("signals")
    places = {number: folder / number.name for number in (signal.SIGINT, signal.SIGTERM)}
    both = start(ENDLESS_SECOND_PART, json.dumps(SMALL), *map(str, places.values()))  # one import for both
    assert both.stderr is not None
    waiting = set(places.values())
    while waiting:
        line = both.stderr.readline()
        assert line, "the process ended before it came so far"
        if line.startswith("second part"):
            process, place = line.split()[2:]
            os.kill(int(process), signal.Signals[Path(place).name])
            waiting.remove(Path(place))
    codes = json.loads(both.communicate(timeout=60)[0].splitlines()[-1])
    return {number: (codes[str(place)], place) for number, place in places.items()}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_what_is_finished(
    interrupted: dict[signal.Signals, tuple[int, Path]], number: signal.Signals, code: int
) -> None:
    returned, folder = interrupted[number]
    assert returned == code
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert record["complete"] is False
    assert any("1 of 2 parts" in note for note in record["notes"])
    assert len(record["sections"][0]["rows"]) == 1
    assert (folder / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert not list(folder.glob(".*"))


def test_a_full_disk_leaves_the_old_report(interrupted: dict[signal.Signals, tuple[int, Path]]) -> None:
    """Files of at most 16 kB stand in for the full disk: the operating system fails the write as it does there."""
    folder = interrupted[signal.SIGINT][1]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, allowed[1]))
    try:
        done = CliRunner().invoke(cli, [*SMALL, "--out", str(folder)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert done.exit_code == 2
    last = done.stderr.rstrip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert "too large" in last
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


WRITER = """
import json, sys
from pathlib import Path
from solvers.whole_files import write_text
for i in range(15):
    write_text(Path(sys.argv[1]) / "report.json", json.dumps({"who": sys.argv[2], "i": i, "all": "x" * 200_000}))
"""


def test_two_processes_write_one_folder(tmp_path: Path) -> None:
    writers = [start(WRITER, str(tmp_path), who) for who in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if (tmp_path / "report.json").exists():
            record = json.loads((tmp_path / "report.json").read_text())  # whole, at any time
            assert len(record["all"]) == 200_000
            seen.add(record["who"])
    for writer in writers:
        _, errors = writer.communicate()
        assert (writer.returncode, errors) == (0, "")
    assert seen
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def solved() -> dict[str, object]:
    """Answers of every algorithm."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((40, 120)), rng.choice([-1.0, 1.0], 40)
    found = {str(r): max_margin(X, y, r).beta for r in (L2(), Bridge(1), FourierBridge(1), ConvKernel(5))}
    found["images"] = max_margin(X[:20, :100].reshape(20, 10, 10), y[:20], FourierBridge(1)).beta
    found["bridge"] = max_margin(X[:6, :12], y[:6], Bridge(2 / 3)).objective
    found["induced"] = induced_regularizer(X[0], 7).value
    found["path"] = regularization_path(X, y, [1.0, 2.0], L2()).losses
    found["spline"] = weighted_spline(X[0], X[1], GaussianInit(1.0, 1.0))(X[2])
    found["kernel"] = kernel_interpolant(X[0, :9], X[1, :9], UniformInit(1.0, 4.0))(X[2])
    found["diagonal"] = flow_limit(Diagonal(20, 2, seed=0), X[:8, :20], y[:8]).predictor
    found["convolutional"] = flow_limit(Convolutional(20, 2, seed=0), X[:8, :20], y[:8]).predictor
    return found


def test_one_thread_or_two() -> None:
    """Sums in another order: rounding only, 1e-10 of the largest coefficient."""
    before, answers = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with threadpool_limits(threads):
                pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
                counts = {pool["num_threads"] for pool in pools if pool["threading_layer"] != "disabled"}  # scs's own
                assert counts == {torch.get_num_threads()} == {threads}
                answers.append(solved())
    finally:
        torch.set_num_threads(before)
    one, two = answers
    for name, answer in one.items():
        assert np.abs(answer - two[name]).max() <= 1e-10 * np.abs(answer).max(), name


LARGE = """
import resource
import numpy as np
from solvers import L2, Bridge, max_margin
rng = np.random.default_rng(0)
X, planted = rng.standard_normal((20_000, 50)), rng.standard_normal(50)
y = np.sign(X @ planted)
X += 0.2 * y[:, None] * planted / np.linalg.norm(planted)
max_margin(X[:100], y[:100], Bridge(1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for regularizer in (L2(), Bridge(1)):
    assert max_margin(X, y, regularizer).certificate.worst < 1e-9
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_on_twenty_thousand_points() -> None:
    """An N × N matrix would take 3.2 GB; linear programs hold A and −A, in two copies and their factors."""
    process = start(LARGE)
    grown, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert int(grown) * 1024 < 60 * 20_000 * 50 * 8


CONCURRENT = """
import json, sys
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from gd import Diagonal, flow_limit
from solvers import L2, Bridge, ConvKernel, FourierBridge, max_margin
rng = np.random.default_rng(0)
X, y = rng.standard_normal((4, 6)), np.array([1.0, -1, 1, 1])
def work(seed):
    margins = [max_margin(X, y, r).beta.tolist() for r in (L2(), Bridge(1), FourierBridge(1), ConvKernel(3))]
    return [*margins, flow_limit(Diagonal(6, 2, seed=seed), X, y).predictor.tolist()]
if __name__ == "__main__":
    found = {"alone": [work(seed) for seed in (0, 1)]}
    with ThreadPoolExecutor(8) as pool:
        found["threads"] = list(pool.map(work, (0, 1) * 4))
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            found[method] = pool.map_async(work, (0, 1)).get(100)
    print(json.dumps(found))
"""


@pytest.mark.slow
def test_eight_threads_forked_and_spawned_processes_find_the_same(tmp_path: Path) -> None:
    script = tmp_path / "many_at_once.py"  # spawned processes import it
    script.write_text(CONCURRENT, encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "ignore", script], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["threads"] == found["alone"] * 4
    assert found["fork"] == found["spawn"] == found["alone"]


def test_repeated_calls_keep_nothing() -> None:
    """The longer one is `python benchmarks/abuse.py --repeat 500`."""
    assert abuse.repeated(3) == 0
