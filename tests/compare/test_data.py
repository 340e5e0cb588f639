import numpy as np
import pandas as pd
import pytest

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
    "one label": ("1,a\n2,a\n", "takes 1 values"),
    "missing label": ("a,y\n1,0\n2,\n3,1\n", "label column 'y' is empty in 1 rows"),
    "ragged": ("1,2,0\n1,2,3,1\n", "could not be read"),
    "row index": (",a,y\n0,1.5,0\n1,2.5,1\n", "column 1 has no name"),
    "only a label": ("y\n", "one column"),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_bad_text_tables_are_refused_in_one_line(tmp_path, case):
    text, complaint = BAD_TEXT[case]
    with pytest.raises(DataError, match=complaint) as refused:
        load(write(tmp_path / "t.csv", text))
    assert "\n" not in str(refused.value)


def test_bad_bytes_are_refused(tmp_path):
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
    with pytest.raises(DataError, match="could not be read"):
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
        ({"X": np.ones((2, 2)), "y": np.array([0, np.nan])}, "empty in 1 rows"),
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
        load(source)
