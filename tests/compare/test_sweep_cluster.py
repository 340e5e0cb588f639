"""Sweeps on a real Dask scheduler with several worker processes, all on this machine."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from compare import load_sweep, run_sweep
from compare.command_line import cli
from compare.sweep.plan import plan_of

QUIET = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",  # two deaths instead of four, for the test's time
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "OMP_NUM_THREADS": "1",
}


def plan(cells):
    """That many cells; what they do is the test's `measure`."""
    return plan_of({"grid": {"data": "synthetic:3,4,0", "network": "diagonal", "seed": {"from": 0, "to": cells - 1}}})


def until(condition, seconds=100.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a scheduler with three workers, each under a nanny that restarts it."""
    folder = tmp_path_factory.mktemp("dask")
    assert importlib.util.find_spec("distributed"), "the tests need Dask: pip install 'implicitbias[test]'"
    environment = {**os.environ, **QUIET, "DASK_TEMPORARY_DIRECTORY": str(folder)}
    dask = lambda *arguments: subprocess.Popen(  # noqa: E731
        [sys.executable, "-m", "dask", *arguments],
        env=environment, cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    file = folder / "scheduler.json"
    scheduler = dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    workers = dask(
        "worker", "--scheduler-file", str(file), "--nworkers", "3", "--nthreads", "1", "--no-dashboard",
        "--host", "127.0.0.1", "--death-timeout", "60",
    )  # fmt: skip
    try:
        until(lambda: file.exists() and file.read_text().rstrip().endswith("}"))  # it is there before it is written
        yield json.loads(file.read_text())["address"]
    finally:
        for process in (workers, scheduler):  # each with the processes it started
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def test_cells_run_on_the_cluster_and_its_killed_workers_lose_nothing(cluster, tmp_path):
    assert cluster.startswith("tcp://127.0.0.1:")
    cells, log = 150, tmp_path / "log"
    log.mkdir()
    here = str(log)

    def measure(cell):
        with open(f"{here}/{os.getpid()}", "a") as file:
            file.write(f"{cell.seed}\n")
        time.sleep(0.03)
        return {"value": cell.seed * cell.seed + 0.5}

    killed, stop = [], threading.Event()

    def kill():
        while not stop.wait(0.3):
            victims = [int(file.name) for file in log.iterdir() if int(file.name) not in killed]
            if len(victims) >= 2 and len(killed) < 2:
                os.kill(victims[0], signal.SIGKILL)
                killed.append(victims[0])

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = run_sweep(plan(cells), tmp_path / "out", scheduler=cluster, measure=measure)
    finally:
        stop.set()
        killer.join()
    assert len(killed) == 2
    assert (result.done, result.failed, result.complete) == (cells, 0, True)
    frame = load_sweep(tmp_path / "out")
    assert sorted(frame.seed) == list(range(cells))
    assert frame.key.is_unique
    assert (frame.value == frame.seed.astype(float) ** 2 + 0.5).all()
    assert frame.worker.nunique() >= 2


def test_a_cell_that_kills_its_workers_fails_alone(cluster, tmp_path):
    def measure(cell):
        if cell.seed == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if cell.seed == 4:
            raise ArithmeticError("no")
        time.sleep(0.3)  # longer than a batch, so that cells travel one by one
        return {"value": cell.seed**2 + 0.5}

    result = run_sweep(plan(10), tmp_path, scheduler=cluster, measure=measure)
    assert (result.done, result.failed, result.complete) == (8, 2, True)
    frame = load_sweep(tmp_path).set_index("seed")
    assert frame.loc[3, "error_type"] == "WorkerDied"
    assert frame.loc[4, "error_type"] == "ArithmeticError"


def test_the_command_line_takes_the_schedulers_address(cluster, tmp_path):
    (tmp_path / "p.toml").write_text("[grid]\ndata = 'synthetic:3,4,0'\nnetwork = 'diagonal'\nmethod = 'max_margin'\n")
    done = CliRunner().invoke(cli, ["sweep", str(tmp_path / "p.toml"), "--scheduler", cluster])
    assert done.exit_code == 0, done.output
    assert list(load_sweep(tmp_path / "p").outcome) == ["OPTIMAL"]


def test_no_scheduler_at_the_address_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("compare.sweep.workers.CONNECT", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x", "tcp://"):
        with pytest.raises(ValueError, match="no Dask scheduler answers at"):
            run_sweep(plan(2), tmp_path / "out", scheduler=address)
