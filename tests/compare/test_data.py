import os
import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_array

from compare.channels.channel_data import load_channels
from compare.command_line import cli
from compare.data.load import DataError, Dataset, load
from solvers.separability import farkas_certificate


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("source", "shape", "classes"),
    [
        ("digits:3v8", (357, 64), ("3", "8")),
        ("digits:8v3", (357, 64), ("8", "3")),
        ("wine:0v1", (130, 13), ("0", "1")),
        ("iris:0v2", (100, 4), ("0", "2")),
        ("breast_cancer", (569, 31), ("malignant", "benign")),
        ("synthetic:10,20,7", (10, 20), ("below", "above")),
    ],
)
def test_named_sources_are_separable(source, shape, classes):
    data = load(source)
    assert data.X.shape == shape
    assert data.classes == classes
    assert set(np.unique(data.y)) == {-1.0, 1.0}
    assert data.X.dtype == data.y.dtype == np.float64
    assert farkas_certificate(data.X * data.y[:, None]) is None
    assert load(source).sha256 == data.sha256


def test_first_named_class_is_minus_one():
    from sklearn.datasets import load_digits

    target = load_digits().target
    target = target[(target == 3) | (target == 8)]
    np.testing.assert_array_equal(load("digits:3v8").y, np.where(target == 8, 1.0, -1.0))
    np.testing.assert_array_equal(load("digits:8v3").y, -load("digits:3v8").y)


def test_scaling_is_named_and_done():
    plain, scaled = load("wine:0v1", scale="none"), load("wine:0v1")
    assert scaled.name == "wine:0v1, standardized"
    assert plain.name == "wine:0v1"
    assert plain.sha256 != scaled.sha256
    np.testing.assert_allclose(scaled.X.mean(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(scaled.X.std(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(scaled.X, (plain.X - plain.X.mean(0)) / plain.X.std(0), rtol=1e-9, atol=1e-12)


def test_standardizing_extremes(tmp_path):
    rows = "\n".join(f"{v}e300,{v}e-300,7.1,{v % 2}" for v in range(1, 7))
    X = load(write(tmp_path / "t.csv", rows), scale="standard").X
    np.testing.assert_allclose(X[:, 0], X[:, 1], rtol=1e-12)
    np.testing.assert_array_equal(X[:, 2], 0.0)
    assert np.isfinite(X).all()


def test_offset_is_a_column_of_ones():
    data = load("digits:3v8", offset=True)
    np.testing.assert_array_equal(data.X[:, -1], 1.0)
    assert data.image_shape is None
    assert "column of ones" in data.name
    assert load("breast_cancer", offset=False).X.shape[1] == 30
    assert farkas_certificate((d := load("breast_cancer", offset=False)).X * d.y[:, None]) is not None


def test_hash_is_of_the_numbers():
    X, y = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0, 1.0])
    data = Dataset("a", X, y, ("0", "1"))
    assert Dataset("b", np.asfortranarray(X), y, ("0", "1")).sha256 == data.sha256
    assert Dataset("a", X.reshape(2, 3), y[:2], ("0", "1")).sha256 != data.sha256
    assert Dataset("a", X, -y, ("0", "1")).sha256 != data.sha256


def test_images_keep_their_shape():
    data = load("digits:3v8")
    assert data.images.shape == (357, 8, 8)
    np.testing.assert_array_equal(data.images[5].ravel(), data.X[5])
    with pytest.raises(DataError, match="no images"):
        load("wine:0v1").images  # noqa: B018


ROWS = [(1.5, -2.0, "cat"), (0.25, 1e-3, "dog"), (3.0, 4.0, "cat")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bare.csv", "1.5,-2,cat\n0.25,1e-3,dog\n3,4,cat\n"),
        ("header.csv", "width,height,animal\n1.5,-2,cat\n0.25,1e-3,dog\n3,4,cat\n"),
        ("label first.csv", "Label,width,height\ncat,1.5,-2\ndog,0.25,1e-3\ncat,3,4\n"),
        ("y in the middle.csv", "width,y,height\n1.5,cat,-2\n0.25,dog,1e-3\n3,cat,4\n"),
        ("bom.csv", "\ufeffwidth,height,y\r\n1.5,-2,cat\r\n0.25,1e-3,dog\r\n3,4,cat\r\n"),
        ("tabs.tsv", "1.5\t-2\tcat\n0.25\t1e-3\tdog\n3\t4\tcat\n"),
        ("spaces.csv", "a, b, y\n1.5, -2, cat\n0.25, 1e-3, dog\n3, 4, cat\n"),
    ],
)
def test_text_tables(tmp_path, name, text):
    data = load(write(tmp_path / name, text))
    np.testing.assert_array_equal(data.X, [[1.5, -2.0], [0.25, 1e-3], [3.0, 4.0]])
    np.testing.assert_array_equal(data.y, [-1.0, 1.0, -1.0])
    assert data.classes == ("cat", "dog")


@pytest.mark.parametrize(("low", "high"), [("-1", "1"), ("0", "1"), ("9", "10"), ("False", "True"), ("1.5", "2")])
def test_the_smaller_label_is_minus_one(tmp_path, low, high):
    data = load(write(tmp_path / "t.csv", f"1,{high}\n2,{low}\n"))
    np.testing.assert_array_equal(data.y, [1.0, -1.0])


def test_npz_and_parquet_hold_the_same(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5, 3)), np.array([2, 1, 2, 2, 1])
    np.savez(tmp_path / "t.npz", X=X, y=y)
    pd.DataFrame(X).assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    binary, text = load(str(tmp_path / "t.npz")), load(str(tmp_path / "t.csv"))
    assert binary.sha256 == text.sha256
    np.testing.assert_array_equal(binary.y, np.where(y == 2, 1.0, -1.0))


def test_npz_images(tmp_path):
    X = np.random.default_rng(0).integers(0, 255, (4, 3, 5)).astype(np.uint8)
    np.savez_compressed(tmp_path / "t.npz", X=X, y=[0, 1, 1, 0])
    data = load(str(tmp_path / "t.npz"))
    assert data.image_shape == (3, 5)
    np.testing.assert_array_equal(data.images, X)


BAD_TEXT = {
    "empty": ("", "is empty"),
    "one column": ("1\n2\n", "one column"),
    "semicolons": ("a;b;y\n1;2;0\n", "separated by semicolons"),
    "decimal commas": ("1,5;2,5;0\n3,5;4,5;1\n", "separated by semicolons"),
    "header only": ("a,b,y\n", "no rows"),
    "word": ("a,b,y\n1,red,0\n2,3,1\n", "column 'b' holds 'red'"),
    "missing": ("a,b,y\n1,,0\n2,3,1\n", r"line 2, column 'b' is empty"),
    "infinite": ("a,b,y\n1,2,0\n2,inf,1\n", r"line 3, column 'b' is infinite"),
    "three labels": ("1,a\n2,b\n3,c\n", "takes 3 values"),
    "one label": ("1,a\n2,a\n", "takes 1 value"),
    "missing label": ("a,y\n1,0\n2,\n3,1\n", "label column 'y' is empty in 1 row;"),
    "ragged": ("1,2,0\n1,2,3,1\n", "line 2 has 4 cells, the first one 3"),
    "row index": (",a,y\n0,1.5,0\n1,2.5,1\n", "column 1 has no name"),
    "only a label": ("y\n", "one column"),
    "longer than the header": ("a,b,y\n1,4,0,0\n2,5,1,1\n", "line 2 has 4 cells, the first one 3"),
    "shorter than the header": ("a,b,y\n1,4,0\n2,1\n", "line 3 has 2 cells, the first one 3"),
    "a class and a label": ("a,target,y\n1,0,0\n2,1,1\n", "may be in the column 'y' or 'target'; say which"),
    "a label that is not the last": ("class,a,b\n1,0,0\n2,1,1\n", "may be in the column 'b' or 'class'; say which"),
    "a row index of pandas": ("Unnamed: 0,a,y\n0,1.5,0\n1,2.5,1\n", "looks like a row index"),
    "a comment": ("# mine\na,y\n0,1\n", "a comment in its first line"),
    "tabs": ("a\ty\n0\t1\n", "tabs between its values; name it .tsv"),
    "blanks": ("0.5 1\n1.5 2\n", r"blanks between its values \(numpy: savetxt"),
    "two labels": ("a,label,Y\n1,0,0\n2,1,1\n", "several label columns, 'label' and 'Y'"),
    "a row index and a comma": ("a,,y\n0,1.5,0\n1,2.5,1\n", "column 2 has no name"),
    "counting or an example": ("0,1,2\n3,4,2\n5,6,1\n", "may be a header that numbers the columns"),
    "counting or an example, from 1": ("1,2\n3,2\n5,1\n", "may be a header that numbers the columns"),
    "years or an example of a third class": ("2001,2002,2003\n3,4,2\n5,6,1\n", "may be a header that numbers"),
    "missing first": ("NA,2,0\n1,2,1\n", "line 1, column '1' is empty or not a number"),
    "underscores": ("a,y\n1_000,0\n2,1\n", "column 'a' holds '1_000', which is not a number"),
    "another separator": ("sep=;\na;y\n1;0\n", "separated by semicolons"),
    "one name twice": ("a,b, a,y\n1,2,3,0\n2,3,4,1\n", "columns 1, 3 have one name, 'a'; rename or remove"),
    "one name three times": ("x,x,x,y\n1,2,3,0\n2,3,4,1\n", "columns 1, 2, 3 have one name"),
    "the label twice": ("a,y,y\n1,0,0\n2,1,1\n", "columns 2, 3 have one name, 'y'"),
    "zero bytes": ("a\0b,y\n1,0\n", "holds zero bytes"),
    "control characters": ("a,y\n\x1b[31m\u202ered,0\n2,1\n", r"holds '\[31mred'"),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_bad_text_tables_are_refused_in_one_line(tmp_path, case):
    text, complaint = BAD_TEXT[case]
    with pytest.raises(DataError, match=complaint) as refused:
        load(write(tmp_path / "t.csv", text), several=False)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "X", "y", "classes"),
    [
        ("a,b,y\n1,4,0,\n2,5,1,\n", [[1, 4], [2, 5]], [-1, 1], ("0", "1")),  # a comma at the end of each line
        ("a,b,y,\n1,4,0,\n2,5,1,\n", [[1, 4], [2, 5]], [-1, 1], ("0", "1")),
        ("0,1,2\n1,4,7\n2,5,8\n", [[1, 4], [2, 5]], [-1, 1], ("7", "8")),  # a header that counts
        ("1,2,3\n1,4,cat\n2,5,dog\n", [[1, 4], [2, 5]], [-1, 1], ("cat", "dog")),
        ("0,1\n2,5\n", [[0], [2]], [-1, 1], ("1", "5")),  # no header: without it there is one class
        ("a,y\n1,NA\n2,null\n", [[1], [2]], [-1, 1], ("NA", "null")),  # classes
        ("a,y\n1,None\n2,nan\n", [[1], [2]], [-1, 1], ("None", "nan")),
        ("sep=,\na,y\n1,0\n2,1\n", [[1], [2]], [-1, 1], ("0", "1")),
        ("a,b,y\nTrue,1,0\nfalse,2,1\n", [[1, 1], [0, 2]], [-1, 1], ("0", "1")),
        ("True,1,0\nfalse,2,1\n", [[1, 1], [0, 2]], [-1, 1], ("0", "1")),  # no header
        ("a,y\n\n1,9007199254740993\n2,9007199254740992\n\n", [[1], [2]], [1, -1],
         ("9007199254740992", "9007199254740993")),
        ("a,y\n1,1.0\n2,0\n3,1\n", [[1], [2], [3]], [1, -1, 1], ("0", "1")),
        ("# a,y\n1,0.000e+00\n2,1.000e+00\n", [[1], [2]], [-1, 1], ("0", "1")),  # numpy.savetxt
        ("# y,a\n1,5\n2,6\n", [[5], [6]], [-1, 1], ("1", "2")),
        ('"a, b","y"\n"1.5","x, y"\n2,z\n', [[1.5], [2]], [-1, 1], ("x, y", "z")),
        ("a,y\n0.1234567890123456789,0\n1e-310,1\n", [[0.1234567890123456789], [1e-310]], [-1, 1], ("0", "1")),
    ],
)  # fmt: skip
def test_what_the_lines_of_a_table_mean(tmp_path, text, X, y, classes):
    data = load(write(tmp_path / "t.csv", text))
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, y)
    assert data.classes == classes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_encodings(tmp_path, encoding):
    text = "höhe,y\n1,ü\n2,z\n"
    content = b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)
    (tmp_path / "t.csv").write_bytes(content)
    assert load(tmp_path / "t.csv").classes == ("z", "ü")
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="is no UTF-8 text; save it as UTF-8"):
        load(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(text.encode("utf-16-le"))
    with pytest.raises(DataError, match=r"UTF-16 without a mark|is no UTF-8"):
        load(tmp_path / "t.csv")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_reading_is_linear_in_the_columns(tmp_path, suffix):
    """A hundred thousand columns; quadratic work would take minutes."""
    frame = pd.DataFrame(np.arange(4.0 * 10**5).reshape(4, -1), columns=[f"c{i}" for i in range(10**5)])
    frame = pd.concat([frame, pd.Series([0, 1, 0, 1], name="y")], axis=1)
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.iloc[:, -10_001:].to_parquet(path)  # to_parquet itself takes a second for these
    began = time.process_time()
    data = load(path)
    assert time.process_time() - began < 5
    np.testing.assert_array_equal(data.X, frame.to_numpy()[:, -data.X.shape[1] - 1 : -1])


def test_a_frame_a_path_and_arrays_are_data_too(tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.0, 3.0], "label": ["no", "yes", "no"], "b": [True, False, True]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = [load(frame), load(tmp_path / "t.csv"), load(frame[["a", "b"]], frame.label)]
    for data in found:
        np.testing.assert_array_equal(data.X, [[1.5, 1], [2, 0], [3, 1]])
        np.testing.assert_array_equal(data.y, [-1, 1, -1])
        assert data.classes == ("no", "yes")
    assert len({data.sha256 for data in found}) == 1
    images = np.random.default_rng(0).standard_normal((4, 2, 3))
    assert load(images, [False, True, True, False]).image_shape == (2, 3)
    assert load(frame, scale="standard").name == "the DataFrame, standardized"
    with pytest.raises(DataError, match="points need their labels"):
        load(images)
    with pytest.raises(DataError, match="several label columns, 'y' and 'label'"):
        load(frame.assign(y=0)[["y", "a", "label"]])
    with pytest.raises(DataError, match="the columns 1, 3 have one name, 'a'"):
        load(frame.iloc[:, [0, 1, 0, 2]])
    with pytest.raises(DataError, match="the columns 1, 3 have one name, '1'"):
        load(frame.rename(columns={"a": 1, "b": "1"}))
    with pytest.raises(DataError, match="the label column 'label' is empty in 1 row;"):
        load(frame.assign(label=["no", None, "yes"]))
    with pytest.raises(DataError, match=r"holds 'x' .*, which is not a number"):
        load(frame.assign(a="x"))
    with pytest.raises(DataError, match=r"holds '1' .category., which is not a number"):
        load(frame.assign(a=pd.Categorical([1, 2, 1])))
    np.testing.assert_array_equal(load(frame.assign(a=[Decimal("1.5"), 2, 3.0])).X, found[0].X)
    np.testing.assert_array_equal(load(frame[["a", "b"]], frame[["label"]]).y, [-1, 1, -1])
    with pytest.raises(DataError, match=r"y.argmax\(axis=1\)"):
        load(frame[["a", "b"]], np.eye(3))
    with pytest.raises(DataError, match=r"looks like channels last.*image_shape=\(6, 3\)"):
        load(np.ones((2, 8, 6, 3)), [0, 1])
    assert load(np.ones((2, 8, 6, 3)), [0, 1], image_shape=(6, 3)).channels == 8
    with pytest.raises(DataError, match=r"and y \(\)"):
        load(found[0].X, 1.0)
    with pytest.raises(DataError, match="same index in another order"):
        load(frame[["a", "b"]], frame.label.iloc[::-1])
    with pytest.raises(DataError, match="same index in another order"):
        load(*(part.set_axis(index) for part, index in ((frame[["a", "b"]], ["u", 1, 2]), (frame.label, [1, "u", 2]))))
    np.testing.assert_array_equal(load(csr_array(found[0].X), frame.label).X, found[0].X)
    scaled = load(load(found[0], scale="standard", offset=True), scale="standard")
    assert (scaled.name, scaled.X.shape) == ("the DataFrame, standardized, with a column of ones", (3, 3))
    assert (scaled.X[:, 2] == 1.0).all()  # standardized again, it would be zero
    for no_data in ((found[0], [0, 1, 0]), (frame.a,)):
        with pytest.raises(DataError, match=r"load\(data.X, y\)|points need their labels"):
            load(*no_data)
    with pytest.raises(DataError, match="structured array"):
        load(frame[["a", "b"]].to_records(), frame.label)
    for points in ([[1.0], [1.0, 2.0]], frame):
        with pytest.raises(DataError, match="no arrays of numbers"):
            load(points, [0, 1])


def test_arrays_are_copied(tmp_path):
    X = np.ones((2, 3))
    data = load(X, [0, 1])
    X[:] = 7
    np.testing.assert_array_equal(data.X, 1.0)


def test_archives_that_unpack_to_more_than_the_limit_are_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr("compare.data.files.LARGEST", 10_000)
    np.savez_compressed(tmp_path / "bomb.npz", X=np.zeros((2000, 1)), y=np.arange(2000) % 2)
    with pytest.raises(DataError, match=r"unpacks to .* bytes, more than 10000"):
        load(tmp_path / "bomb.npz")
    np.savez(tmp_path / "large.npz", X=np.zeros((2000, 1)), y=np.arange(2000) % 2)
    assert load(tmp_path / "large.npz").X.shape == (2000, 1)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "folder.csv").mkdir()
    for name, what in (("fifo.csv", "no regular file"), ("zero.csv", "no regular file"), ("folder.csv", "a folder")):
        with pytest.raises(DataError, match=f"is {what}"):
            load(tmp_path / name)


def test_bad_bytes_are_refused(tmp_path):
    for name, advice in (("t.npy", "one array has no labels"), ("t.csv.gz", "unpack it"), ("t", "convert it")):
        (tmp_path / name).write_bytes(b"1")
        with pytest.raises(DataError, match=f"is none of .csv .tsv .npz .parquet; {advice}"):
            load(tmp_path / name)
    for name in ("t.csv", "t.npz", "t.parquet"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00PK\x03\x04 nonsense \x9c")
        with pytest.raises(DataError):
            load(str(tmp_path / name))
        with pytest.raises(DataError, match="no file"):
            load(str(tmp_path / f"absent {name}"))


def test_pickles_are_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(tmp_path / "t.npz", X=np.array([[Trap()]], dtype=object), y=np.array([1.0]))
    with pytest.raises(DataError, match="holds Python objects, which are not read"):
        load(str(tmp_path / "t.npz"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"data": np.ones((2, 2))}, "must hold X"),
        ({"X": np.ones((2, 2)), "y": np.ones(3)}, "shape"),
        ({"X": np.ones(2), "y": np.ones(2)}, "shape"),
        ({"X": np.ones((0, 2)), "y": np.ones(0)}, "empty"),
        ({"X": np.ones((2, 2)) * 1j, "y": np.array([0, 1])}, "real"),
        ({"X": np.full((2, 2), np.nan), "y": np.array([0, 1])}, "not a number"),
        ({"X": np.ones((2, 2)), "y": np.array([0, np.nan])}, "empty in 1 row;"),
    ],
)
def test_bad_npz(tmp_path, arrays, complaint):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(DataError, match=complaint):
        load(str(tmp_path / "t.npz"))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("digit:3v8", "did you mean 'digits'"),
        ("wine", "write wine:AvB"),
        ("wine:0v3", "two different classes of 0, 1, 2"),
        ("digits:3v3", "two different"),
        ("synthetic:10", "synthetic:N,D,seed"),
        ("synthetic:0,3,1", "N, D ≥ 1"),
        ("synthetic:1000000,1000000,1", "GiB"),
        ("breast_cancer:1", "takes no argument"),
        ("", "no data called"),
        ("/etc/passwd", "no data called"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(source, complaint):
    with pytest.raises(DataError, match=complaint):
        load(source, several=False)


def test_columns_become_images_where_that_is_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.standard_normal((6, 784)), [0, 1] * 3])
    np.savetxt(tmp_path / "flat.csv", table, delimiter=",")
    flat = load(str(tmp_path / "flat.csv"))
    (note,) = flat.notes
    assert "--image-shape 28x28" in note
    images = flat.as_images((28, 28))
    assert images.images.shape == (6, 28, 28)
    assert images.notes == ()
    assert flat.as_images(None) is flat
    assert load_channels(str(tmp_path / "flat.csv"), image_shape=(28, 28)).grid == (28, 28)
    assert load("wine:0v1").notes == ()
    for shape in ((27, 28), (784,)):
        with pytest.raises(DataError, match="784 columns"):
            flat.as_images(shape)


ROWS = "t,x,label,z\n0,1,5,2\n1,3,6,-4\n0,1.5,5,2\n1,3,6,-3\n"


def test_the_label_column_is_asked_for_by_name(tmp_path):
    path = write(tmp_path / "t.csv", ROWS)
    usual, mine = load(path), load(path, label="t")
    np.testing.assert_array_equal(usual.y, [-1, 1, -1, 1])
    assert (usual.X.shape, mine.X.shape, mine.classes) == ((4, 3), (4, 3), ("0", "1"))
    np.testing.assert_array_equal(mine.X[:, 1], [5, 6, 5, 6])  # what is called label is then a column
    frame = pd.read_csv(path)
    frame.to_parquet(tmp_path / "t.parquet")
    for source in (frame, tmp_path / "t.parquet"):
        np.testing.assert_array_equal(load(source, label="t").X, mine.X)
    np.savez(tmp_path / "t.npz", X=mine.X, t=frame.t)
    np.testing.assert_array_equal(load(tmp_path / "t.npz", label="t").y, mine.y)


def test_the_label_column_of_a_file_without_names_is_asked_for_by_number(tmp_path):
    path = write(tmp_path / "t.csv", "0,1,5\n1,3,6\n0,1.5,8\n1,2,7\n")
    np.testing.assert_array_equal(load(path, label="1").X, [[1, 5], [3, 6], [1.5, 8], [2, 7]])
    words = write(tmp_path / "w.csv", "cat,1.5,2\ndog,3,1\n")
    assert (load(words, label="1").classes, load(words, label="1").X.tolist()) == (("cat", "dog"), [[1.5, 2], [3, 1]])
    named = write(tmp_path / "n.csv", "10,20,cls\n0,1,5\n1,3,6\n")
    np.testing.assert_array_equal(load(named, label="cls").y, [-1, 1])  # a name in the first line makes it a header


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        (ROWS, "T", "no column called 'T' to take as the label; its columns are 't', 'x', 'label', 'z'"),
        ("a,a,b\n1,2,3\n2,3,4\n", "a", "columns 1, 2 have one name, 'a'; rename"),
        ("1,2,3\n4,5,6\n", "4", "no column called '4'.*'1', '2', '3'"),
        ("0,1,2\n1,3,6\n0,1.5,8\n", "1", "counts from 0 and columns are numbered from 1; name them"),
    ],
)
def test_a_label_column_that_is_not_there_is_refused(tmp_path, text, label, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path / "t.csv", text), label=label)


@pytest.mark.parametrize("name", ["class", "Target", "label", "y"])
def test_a_feature_that_may_be_a_label_is_said(tmp_path, name):
    path = write(tmp_path / "t.csv", f"a,{name},kind\n1,0,u\n2,1,v\n")
    frame = pd.DataFrame({"a": [1, 2], name: [0, 1], "kind": ["u", "v"]})
    said = f"The column '{name}' is a feature beside the label 'kind'; remove it if it gives it away."
    for data in (load(path, label="kind"), load(frame, label="kind")):
        assert data.X.tolist() == [[1, 0], [2, 1]]
        assert data.remarks == (said,)
        assert said in repr(data)
    printed = CliRunner().invoke(cli, ["solve", "margin", "--data", str(path), "--label", "kind"])
    assert f"! {said}" in printed.stderr


def test_a_feature_that_counts_the_rows_is_said(tmp_path):
    rows = "".join(f"{n},{n * n},{n % 2}\n" for n in range(3, 9))
    data = load(write(tmp_path / "t.csv", f"id,a,y\n{rows}"))
    assert data.remarks == ("The column 'id' counts the rows, and is a feature; remove it if it is an index.",)
    assert load(write(tmp_path / "u.csv", f"id,a,y\n{rows[6:]}9,1,0\n9,2,1\n")).remarks == ()


def test_where_the_label_was_not_asked_for_the_message_says_how(tmp_path):
    text = "is_spam,a,b\n0,1.5,2\n1,3,4.5\n0,3,4.25\n"
    with pytest.raises(DataError, match=r"column 'b' \(the last one; if it is another, say which .*\) takes 3 values"):
        load(write(tmp_path / "t.csv", text))
    assert load(tmp_path / "t.csv", label="is_spam").classes == ("0", "1")


def test_only_tables_have_a_label_column():
    for source, y in (("wine:0v1", None), ([[1.0], [2.0]], [0, 1])):
        with pytest.raises(DataError, match="label names a column of a file or DataFrame"):
            load(source, y, label="y")
