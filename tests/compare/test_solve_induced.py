"""`implicitbias solve induced`: R_K of a user's vector."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from compare import DataError
from compare.command_line import cli
from compare.data.arrays import read_array

RAMP = {1: 80.79603951, 2: 66.00711246, 3: 61.01354987, 4: 59.22107186, 8: 57.18927869}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ramp = np.arange(1.0, 9.0)
    np.save("w.npy", ramp)
    np.savetxt("w.csv", ramp)
    (tmp_path / "row.csv").write_text("w1,w2,w3,w4,w5,w6,w7,w8\n1,2,3,4,5,6,7,8\n")
    np.savetxt("channels.csv", np.arange(6.0).reshape(2, 3), delimiter=",")


def induced(*arguments):
    return CliRunner().invoke(cli, ["solve", "induced", *arguments])


@pytest.mark.parametrize("name", ["w.npy", "w.csv", "row.csv"])
def test_the_values_of_the_ramp(name):
    done = induced(name, "--kernel", "1,2,3,4,8", "--json")
    assert done.exit_code == 0, done.output
    results = json.loads(done.output)["results"]
    assert {int(one["kernel"]): one["value"] for one in results} == pytest.approx(RAMP, rel=1e-8)
    assert all(one["status"] == "OPTIMAL" and one["channels"] == 1 for one in results)


def test_the_semidefinite_program_and_fewer_channels(tmp_path):
    done = induced("w.csv", "--kernel", "2", "--sdp", "--json", "--save", "net.npz")
    (one,) = json.loads(done.output)["results"]
    assert one["sdp"] == pytest.approx(RAMP[2], rel=1e-7)
    assert (one["sdp_rank"], one["reduced_channels"]) == (2, 1)
    assert np.load("net.npz")["kernels_K2"].shape == (1, 2)
    assert "tr Z of the SDP" in induced("w.csv", "--kernel", "2", "--sdp").output


def test_images_and_channels():
    image = induced("w.npy", "--kernel", "2", "--image-shape", "2x4", "--channels-out", "1")
    assert image.exit_code in (0, 1)
    assert "2x2" in image.output
    assert induced("channels.csv", "--kernel", "2", "--channels-in", "2").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["absent.npy", "--kernel", "2"], "no file"),
        (["w.npy"], "--kernel"),
        (["w.npy", "--kernel", "two"], "write a length"),
        (["w.npy", "--kernel", "²"], "write a length"),
        (["w.npy", "--kernel", "9"], "from 1 to D"),
        (["w.npy", "--kernel", "2", "--image-shape", "3x3"], "wanted 3×3"),
        (["words.csv", "--kernel", "2"], "no number"),
        (["objects.npy", "--kernel", "2"], "could not be read"),
    ],
)
def test_bad_input_is_one_line(arguments, complaint, tmp_path):
    (tmp_path / "words.csv").write_text("1,2\nx,3\n")
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    done = induced(*arguments)
    assert done.exit_code == 2
    assert complaint in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("content", ["", "1,2\n3\n", "nan\n1\n", "1,inf\n"])
def test_arrays_are_finite_and_rectangular(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError):
        read_array(tmp_path / "a.csv")
