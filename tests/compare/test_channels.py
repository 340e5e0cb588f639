"""The multi-channel comparison: standard files read and refused, what is predicted and what is a finding."""

import gzip
import struct
from dataclasses import replace

import numpy as np
import pytest

from compare.channels.channel_data import load_channels, read_idx
from compare.channels.channel_limits import NOTHING, ChannelLimit, checks
from compare.data.load import DataError
from compare.experiments.channels import compare_channels
from compare.margin.evidence import RESOLUTION
from compare.reports.verdict import Verdict
from gd import MultiChannelCNN, flow_limit
from solvers import ConvKernel, max_margin


def write_mnist(folder, pixels, labels, compress):
    for name, array in (("train-images-idx3-ubyte", pixels), ("train-labels-idx1-ubyte", labels)):
        head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">u4").tobytes()
        content = head + array.tobytes()
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("compress", [True, False])
def test_mnist_from_its_standard_files(tmp_path, compress):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 28, 28), dtype=np.uint8)
    labels = np.array([0, 1, 5, 1, 0, 7, 1, 0, 0], dtype=np.uint8)
    write_mnist(tmp_path, pixels, labels, compress)
    data = load_channels("mnist:0v1", folder=tmp_path, count=6)
    assert data.X.shape == (6, 28, 28)
    assert data.channels == 1
    assert data.y.tolist() == [-1, 1, 1, -1, 1, -1]
    np.testing.assert_allclose(data.X.mean(axis=(1, 2)), 0, atol=1e-14)
    # pixel differences survive centring, in units of the deviation
    expected = (float(pixels[1, 2, 3]) - float(pixels[1, 0, 0])) / 255 / 0.3081
    assert data.X[1, 2, 3] - data.X[1, 0, 0] == pytest.approx(expected, rel=1e-12)
    assert data.as_signals.X.shape == (6, 784)


def test_cifar_from_its_standard_files(tmp_path):
    rng = np.random.default_rng(1)
    records = rng.integers(0, 256, (6, 3073), dtype=np.uint8)
    records[:, 0] = [1, 5, 2, 5, 1, 9]
    (tmp_path / "data_batch_1.bin").write_bytes(records[:4].tobytes())
    (tmp_path / "data_batch_2.bin").write_bytes(records[4:].tobytes())
    data = load_channels("cifar10:1v5", folder=tmp_path)
    assert data.X.shape == (4, 3, 32, 32)
    assert (data.channels, data.grid) == (3, (32, 32))
    assert data.y.tolist() == [-1, 1, 1, -1]
    red_first = (float(records[0, 1]) - float(records[0, 2])) / 255 / 0.2470
    assert data.X[0, 0, 0, 0] - data.X[0, 0, 0, 1] == pytest.approx(red_first, rel=1e-12)


def test_damaged_and_missing_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        load_channels("mnist:0v1", folder=tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no train-images"):
        load_channels("mnist:0v1", folder=tmp_path)
    with pytest.raises(DataError, match="binary version"):
        load_channels("cifar10:0v1", folder=tmp_path)
    with pytest.raises(DataError, match="two different classes"):
        load_channels("mnist:3v3", folder=tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + b"\0" * 20)
    with pytest.raises(DataError, match=r"damaged|not an IDX"):
        load_channels("mnist:0v1", folder=tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"PK\x03\x04 not idx")
    with pytest.raises(DataError, match="not an IDX file"):
        load_channels("mnist:0v1", folder=tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="no multiple of the 3073"):
        load_channels("cifar10:0v1", folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 4), "wanted from 1 to"),  # wraps to 0 in 64 bits
        (struct.pack(">4B3I", 0, 0, 8, 3, 10, 0, 0), "wanted from 1 to"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + b"1234567", "it holds 7 bytes"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + b"123456789", "it holds more bytes"),
        (b"", "is not an IDX file"),
    ],
    ids=["wraps", "zero", "short", "long", "empty"],
)
def test_idx_headers_that_lie_are_refused(tmp_path, content, complaint):
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "a.gz").write_bytes(gzip.compress(content))
    for name in ("a", "a.gz"):
        with pytest.raises(DataError, match=complaint):
            read_idx(tmp_path / name, 3)


def test_compressed_idx_is_read_no_further_than_its_header_says(tmp_path):
    packed = gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 1, 2, 2) + bytes(50_000_000))
    (tmp_path / "a.gz").write_bytes(packed)
    with pytest.raises(DataError, match="it holds more bytes"):
        read_idx(tmp_path / "a.gz", 3)
    for place in range(0, 60, 7):  # damaged anywhere
        (tmp_path / "a.gz").write_bytes(packed[:place] + b"\xff" + packed[place + 1 : 200])
        with pytest.raises(DataError):
            read_idx(tmp_path / "a.gz", 3)


def test_signals_end_at_the_optimum_for_every_number_of_channels():
    report = compare_channels("synthetic:8,16,1", kernels=(1, 4), channels=(1, 2), seeds=(0,))
    assert report.passed
    assert all(check.verdict.tested for check in report.checks)
    rows = report.sections[0].rows
    assert [(row["kernel"], row["channels"]) for row in rows] == [(1, 1), (1, 2), (4, 1), (4, 2)]
    assert max(row["excess"] for row in rows) <= 1e-8
    report.to_html()  # the figure draws


@pytest.fixture(scope="module")
def limits():
    """An optimum of rank 2 and a flow of C = 1 channel: on signals (True) and on images (False)."""
    found, y = {}, np.array([1.0, -1, 1, 1, -1, -1])
    for signals in (True, False):
        grid, kernel = ((12,), (2,)) if signals else ((4, 4), (2, 2))
        X = np.random.default_rng(0).standard_normal((6, *grid))
        optimum = replace(max_margin(X, y, ConvKernel(2 if signals else kernel)), rank=2)
        found[signals] = optimum, flow_limit(MultiChannelCNN(grid, kernel, 1, 1), X, y)
    return found


def settled_at(limits, excess, *, channels=1, signals=True, **changes):
    """The flow's limit as if it had come to rest, long ago, where the cost is `excess` above the optimum."""
    optimum, limit = limits[signals]
    margin = 1.0 / (optimum.lower_bound * (1.0 + excess))
    path = replace(limit.path, margins=np.full_like(limit.path.margins, margin))
    integrated = replace(limit.integrated, **{"margin": margin, "growth": 0.0, **changes})
    return ChannelLimit(2, channels, 0, optimum, replace(limit, integrated=integrated, path=path), 1.0)


def test_a_gap_refutes_only_where_theory_predicts_none(limits):
    far = 10 * RESOLUTION
    (first, *_) = checks([[settled_at(limits, 0.0)]], True)
    assert first.verdict is Verdict.CONFIRMED
    (first, *_) = checks([[settled_at(limits, 0.0), settled_at(limits, far)]], True)
    assert first.verdict is Verdict.REFUTED  # one seed is enough
    assert first.measured == pytest.approx(far)
    (first, *_) = checks([[settled_at(limits, far), settled_at(limits, 1.0, growth=1.0)]], True)
    assert first.verdict is Verdict.REFUTED  # another that still moves does not hide it
    (first, *_) = checks([[settled_at(limits, far, channels=2, signals=False)]], False)
    assert first.verdict is Verdict.REFUTED
    (first, *_) = checks([[settled_at(limits, far, signals=False)]], False)
    assert first.verdict is Verdict.NO_PREDICTION
    # cheaper than a proved lower bound is impossible, for whatever network, wherever it has got to
    for growth in (0.0, 1.0):
        found = checks([[settled_at(limits, -10 * NOTHING, signals=False, growth=growth)]], False)
        assert [check.verdict for check in found if "cheaper" in check.statement] == [Verdict.REFUTED]


def test_a_cost_that_depends_on_the_channels_refutes(limits):
    near = settled_at(limits, 0.0)
    for excess, changes, verdict in (
        (0.0, {}, Verdict.CONFIRMED),
        (10 * RESOLUTION, {}, Verdict.REFUTED),
        (10 * RESOLUTION, {"growth": 1.0}, Verdict.NOT_REACHED),
    ):
        found = checks([[near], [settled_at(limits, excess, channels=2, **changes)]], True)
        assert [check.verdict for check in found if "depend on C" in check.statement] == [verdict]


def test_a_flow_that_still_moves_decides_nothing(limits):
    for excess in (0.0, 1.0):
        (first, *_) = checks([[settled_at(limits, excess, growth=1.0)]], True)
        assert first.verdict is Verdict.NOT_REACHED
        run = settled_at(limits, excess)
        before = replace(run.limit.path, margins=run.limit.path.margins / (1.5 + excess))  # it fell in the last quarter
        (first, *_) = checks([[replace(run, limit=replace(run.limit, path=before))]], True)
        assert first.verdict is Verdict.NOT_REACHED
    (first, *_) = checks([[settled_at(limits, 0.0, margin=-1.0)]], True)
    assert first.verdict is Verdict.NOT_REACHED  # no margin, no cost
