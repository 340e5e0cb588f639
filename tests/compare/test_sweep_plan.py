import os
import random
import string
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.data.load import DataError, load
from compare.sweep.plan import Options, plan_of, read_plan, source_of
from compare.sweep.plan_checks import PlanError

TINY = "synthetic:3,4,0"


def cells(**grid):
    return plan_of({"grid": {"data": TINY, **grid}}).cells


def test_the_grid_is_the_product_of_its_axes_in_their_order():
    found = cells(network=["diagonal", "convolutional"], depth=[2, 3], seed={"from": 1, "to": 7, "step": 3})
    assert [(c.network, c.depth, c.seed) for c in found] == [
        (network, depth, seed) for network in ("diagonal", "convolutional") for depth in (2, 3) for seed in (1, 4, 7)
    ]


def test_parameters_that_cannot_change_a_cell_do_not_multiply_it():
    axes = {"seed": [0, 1, 2], "scale": [0.1, 0.01], "loss": ["exponential", "logistic"]}
    assert len(cells(network="diagonal", method="max_margin", **axes)) == 1
    # below p = 1 the explicit solver starts at random: its seed matters, the network's scale does not
    assert [c.seed for c in cells(network="diagonal", depth=3, method="max_margin", **axes)] == [0, 1, 2]
    assert len(cells(network="diagonal", method="flow", **axes)) == 12
    widths = cells(network=["fully connected", "diagonal"], width=[4, 8], method="flow")
    assert [(c.network, c.width) for c in widths] == [
        ("fully connected", 4), ("fully connected", 8), ("diagonal", None),
    ]  # fmt: skip
    assert [c.width for c in cells(network="fully connected", depth=1, width=[4, 8])] == [None]


def test_several_grids_are_joined_and_overlaps_run_once():
    first = {"data": TINY, "network": "diagonal", "seed": {"from": 0, "to": 5}}
    second = {"data": TINY, "network": "diagonal", "seed": {"from": 4, "to": 9}}
    plan = plan_of({"name": "two", "grid": [first, second]})
    assert [c.seed for c in plan.cells] == list(range(10))
    assert plan.name == "two"


def test_the_seed_in_a_data_name_is_the_cells_seed():
    found = cells(data="synthetic:3,4,{seed}", seed=[0, 5], network="diagonal", method="max_margin")
    assert [c.data.name for c in found] == ["synthetic:3,4,0", "synthetic:3,4,5"]
    assert found[0].data.sha256 != found[1].data.sha256
    assert found[0].kind == found[1].kind


def test_a_key_is_of_the_contents_not_of_the_name(tmp_path):
    X, y = np.eye(3), np.array([1, -1, 1])
    np.savez(tmp_path / "a.npz", X=X, y=y)
    (tmp_path / "elsewhere").mkdir()
    np.savez(tmp_path / "elsewhere" / "b.npz", X=X, y=y)
    a = plan_of({"grid": {"data": "a.npz"}}, folder=tmp_path).cells
    b = plan_of({"grid": {"data": "b.npz"}}, folder=tmp_path / "elsewhere").cells
    assert [c.key for c in a] == [c.key for c in b]
    np.savez(tmp_path / "a.npz", X=2 * X, y=y)
    changed = plan_of({"grid": {"data": "a.npz"}}, folder=tmp_path).cells
    assert not {c.key for c in changed} & {c.key for c in a}


def test_keys_are_the_same_in_every_session():
    # a change here orphans every stored sweep: it must be meant, and FORMAT raised
    assert cells(network="diagonal")[0].key == "583d32a3ee0ef2d3ffdd9a3467207fa5"


@given(st.data())
def test_different_parameters_have_different_keys(data):
    axes = {
        "network": st.sampled_from(["diagonal", "convolutional", "fully connected"]),
        "depth": st.integers(1, 9),
        "seed": st.integers(0, 2**63 - 1),
        "scale": st.floats(1e-12, 1e12),
        "loss": st.sampled_from(["exponential", "logistic"]),
        "method": st.sampled_from(["flow", "descend:armijo", "max_margin"]),
    }
    draw = lambda: cells(**{name: data.draw(values) for name, values in axes.items()})[0]  # noqa: E731
    one, other = draw(), draw()
    assert (one.key == other.key) == (one.parameters == other.parameters)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no [grid]", 'data = "wine:0v1"']),
        ("[grid]\nseed = 3", ["names no data"]),
        ("[grid]\ndata = 'wine:0v1'\nsede = 1", ["no key 'sede'", "did you mean 'seed'"]),
        ("[grdi]\ndata = 'wine:0v1'", ["no key 'grdi'", "did you mean 'grid'"]),
        ("[grid]\ndata = 'wine:0v1'\n[options]\nstep = 5", ["no key 'step'", "did you mean 'steps'"]),
        ("[grid]\ndata = 'wine:0v1'\nnetwork = 'diagnoal'", ["no network 'diagnoal'", "did you mean 'diagonal'"]),
        ("[grid]\ndata = 'wine:0v1'\nmethod = 'descend:armijoo'", ["did you mean 'descend:armijo'"]),
        ("[grid]\ndata = 'wine:0v1'\nloss = 'squared'", ["no loss 'squared'", "exponential, logistic"]),
        ("[grid]\ndata = 'wnie:0v1'", ["did you mean 'wine'"]),
        ("[grid]\ndata = 'missing.csv'", ["there is no file", "missing.csv"]),
        ("[grid]\ndata = 'wine:0v1'\ndepth = 0", ["depth", "integer from 1"]),
        ("[grid]\ndata = 'wine:0v1'\ndepth = true", ["depth", "True"]),
        ("[grid]\ndata = 'wine:0v1'\ndepth = 2.0", ["depth", "2.0"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = -1", ["seed", "-1"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = 99999999999999999999", ["seed"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = []", ["seed is empty"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = {from = 5, to = 1}", ["from ≤ to"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = {from = 5}", ["both from and to"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = {from = 0, upto = 3}", ["'upto'", "known are from, to, step"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = {from = 0, to = 9, step = 0}", ["step ≥ 1"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = {from = 0, to = 1000000000000}", ["more than 10000000 values"]),
        ("[grid]\ndata = 'wine:0v1'\nseed = {from = 0, to = 9999}\nscale = [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,"
         "18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34]\nnetwork = ['diagonal','convolutional']\n"
         "depth = {from = 1, to = 20}", ["cells, more than"]),
        ("[grid]\ndata = 'wine:0v1'\nscale = nan", ["scale", "positive"]),
        ("[grid]\ndata = 'wine:0v1'\nscale = inf", ["scale", "positive"]),
        ("[grid]\ndata = 'wine:0v1'\nscale = {from = 1, to = 2}", ["for integers"]),
        ("[grid]\ndata = 'wine:0v1'\nwidth = 4\nnetwork = 'diagonal'", ["width", "fully connected"]),
        ("[grid]\ndata = 'wine:0v1'\nnetwork = 'convolutional 2-D'", ["needs images", "wine:0v1"]),
        ("[grid]\ndata = 3", ["data", "text"]),
        ("grid = 3", ["no [grid]"]),
        ("grid = [3]", ["must be a table"]),
        ("name = 3\n[grid]\ndata = 'wine:0v1'", ["name must be text"]),
        ("[grid]\ndata = 'wine:0v1'\n[options]\ntol = 2.0", ["tol"]),
        ("[grid]\ndata = 'wine:0v1'\n[options]\nsteps = 0", ["steps"]),
        ("[grid]\ndata = 'wine:0v1'\n[options]\noffset = 'yes'", ["offset"]),
        ("[grid]\ndata = 'wine:0v1'\n[options]\nstandardize = 'all'", ["standardize"]),
        ("[grid]\ndata = 'a'\ndata = 'b'", ["is not TOML", "overwrite"]),
        ("[grid\ndata = 'a'", ["is not TOML", "line 1"]),
        ("x = " + "[" * 100_000, ["not TOML"]),
        ("a" + ".a" * 200_000 + " = 1", ["key of more than 20 parts"]),
        ("[" + "a . " * 200_000 + "a]", ["key of more than 20 parts"]),
        ("a" * 900_000, ["not TOML"]),
        ("[grid]\ndata = '~nosuch/own.csv'", ["nosuch", "write the whole path"]),
    ],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused_in_one_line_that_helps(tmp_path, text, words):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    load("wine:0v1")  # what is timed is no import
    began = time.process_time()
    with pytest.raises((PlanError, DataError)) as caught:
        read_plan(path)
    assert time.process_time() - began < 1
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for word in words:
        assert word in message


def test_files_that_are_no_plans_are_refused(tmp_path):
    with pytest.raises(PlanError, match="there is no plan"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(PlanError, match="could not be read"):
        read_plan(tmp_path)
    os.mkfifo(tmp_path / "fifo.toml")
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    for name in ("fifo.toml", "zero.toml"):
        with pytest.raises(PlanError, match="no regular file"):
            read_plan(tmp_path / name)
    (tmp_path / "bytes.toml").write_bytes(b"[grid]\ndata = '\xff\xfe'")
    with pytest.raises(PlanError, match="UTF-8"):
        read_plan(tmp_path / "bytes.toml")
    (tmp_path / "huge.toml").write_text("#" * 1_000_001)
    with pytest.raises(PlanError, match="more than"):
        read_plan(tmp_path / "huge.toml")


def test_any_text_is_a_plan_or_a_plan_error(tmp_path):
    """Seeded mutations of a good plan: nothing but PlanError and DataError comes out."""
    good = f'[grid]\ndata = "{TINY}"\nseed = {{from = 0, to = 2}}\nscale = [0.1, 1e-3]\n[options]\nsteps = 10\n'
    rng = random.Random(0)
    refused = 0
    for trial in range(300):
        text = list(good)
        for _ in range(rng.randint(1, 4)):
            text[rng.randrange(len(text))] = rng.choice(string.printable)
        path = tmp_path / f"{trial}.toml"
        path.write_text("".join(text))
        try:
            assert read_plan(path).cells
        except (PlanError, DataError):
            refused += 1
    assert refused > 100


def test_files_are_looked_for_beside_the_plan(tmp_path, monkeypatch):
    (tmp_path / "own.csv").write_text("a,b,y\n1,2,0\n3,-1,1\n")
    (tmp_path / "plan.toml").write_text("[grid]\ndata = 'own.csv'\n")
    monkeypatch.chdir("/")
    plan = read_plan(tmp_path / "plan.toml")
    assert plan.cells[0].data.name == "own.csv"
    assert plan.name == "plan"
    assert source_of("own.csv", "own.csv", Options(), tmp_path) == plan.cells[0].data


def test_plans_are_read_and_refused_before_torch_is_imported(tmp_path):
    (tmp_path / "flow.toml").write_text("[grid]\ndata = 'wine:0v1'\n")
    grid = "data = ['wine:0v1', 'digits:3v8']\nmethod = ['flow', 'max_margin']\nnetwork = 'convolutional 2-D'"
    (tmp_path / "bad.toml").write_text(f"[grid]\n{grid}\n")
    program = """
import sys
from compare.sweep.plan import PlanError, read_plan
print(len(read_plan("flow.toml").cells))
try:
    read_plan("bad.toml")
except PlanError as error:
    print(error)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "3",
        "network 'convolutional 2-D' needs images, and 'wine:0v1' holds none",
        "False",
    ]
