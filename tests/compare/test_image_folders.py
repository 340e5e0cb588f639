"""Images as data: arrays with channels, and folders with a folder for each class or with labels beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from compare import DataError, load, load_image_folder, load_images
from compare.data.load import SOURCES
from compare.experiments.margin import MarginComparison
from compare.margin.families import own_families
from solvers import max_margin


def draw(path: Path, seed: int, size: tuple[int, int] = (4, 5), mode: str = "L") -> None:
    """A random image in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode).save(path)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Two classes of three images of 4 × 5 pixels."""
    for i in range(3):
        draw(tmp_path / "cat" / f"{i}.png", i)
        draw(tmp_path / "dog" / "puppies" / f"{i}.png", 10 + i)
    return tmp_path


def test_a_folder_for_each_class(animals: Path) -> None:
    data = load(animals)
    assert data.classes == ("cat", "dog")
    assert data.y.tolist() == [-1, -1, -1, 1, 1, 1]
    assert data.images.shape == (6, 4, 5)
    with Image.open(animals / "cat" / "0.png") as opened:
        np.testing.assert_allclose(data.images[0], np.asarray(opened) / 255.0, atol=1e-12)
    assert load(str(animals), image_size=2).images.shape == (6, 2, 2)
    assert load(animals, colour=True).images.shape == (6, 3, 4, 5)
    draw(animals / "eel" / "0.png", 20)
    assert load(animals).named == {"0": "cat", "1": "dog", "2": "eel"}
    assert load(animals).meaning == "class 0 is cat, class 1 is dog, class 2 is eel"


def test_what_was_transparent_is_said_and_hidden_files_are_none(animals: Path) -> None:
    (animals / "cat" / "._0.png").write_bytes(b"what macOS leaves on foreign disks")
    assert load(animals).notes == ()
    pixels = np.zeros((4, 5, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(animals / "cat" / "3.png")
    data = load(animals)
    np.testing.assert_array_equal(data.images[3], 1.0)
    assert data.notes == (f"{animals}: white behind the transparent parts of 1 image.",)


def test_images_keep_their_size_unless_one_is_asked_for(animals: Path) -> None:
    found = load_image_folder(animals).images
    np.testing.assert_array_equal([image.pixels[0] for image in found], load(animals).images)
    assert [image.pixels.shape for image in load_images(["camera"])] == [(1, 512, 512)]
    with pytest.raises(DataError, match=r"no usable image.*whole pixels ≥ 2; got 0"):
        load_image_folder(animals, 0)


def test_a_flat_folder_needs_labels(animals: Path) -> None:
    draw(animals / "loose.png", 30)
    with pytest.raises(DataError, match=r"'loose.png' lies in no folder of a class.*load\(folder, y\)"):
        load(animals)
    assert load(animals, ["a", "a", "a", "b", "b", "b", "b"]).classes == ("a", "b")
    with pytest.raises(DataError, match="holds 7 images, and y 2 labels"):
        load(animals, [0, 1])


def test_what_is_wrong_in_a_folder_is_named(animals: Path, tmp_path: Path) -> None:
    draw(animals / "dog" / "large.png", 40, size=(8, 5))
    with pytest.raises(DataError, match=r"cat/0.png has 4 × 5 pixels, dog/large.png 8 × 5.*image_size=\(H, W\)"):
        load(animals)
    (animals / "dog" / "large.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"dog/large.png' in .*cannot identify"):
        load(animals)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        load(tmp_path / "empty")
    with pytest.raises(DataError, match="image_size and colour are for a folder"):
        load("wine:0v1", image_size=3)


def test_a_folder_does_not_hide_data_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in SOURCES:
        Path(name).mkdir()
    assert load("wine:0v1").X.shape == (130, 13)
    assert load("breast_cancer").X.shape == (569, 31)


def test_channels_of_arrays_are_kept() -> None:
    X = np.random.default_rng(0).standard_normal((6, 3, 4, 5))
    data = load(X, list("ababab"))
    assert data.X.shape == (6, 60)
    np.testing.assert_array_equal(data.images, X)


def test_experiments_take_what_load_takes(animals: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, -1.0, -3.0], "b": [0.5, 1.0, 0.0, 1.0], "label": list("yynn")})
    arrays = MarginComparison(frame[["a", "b"]].to_numpy(), frame.label.to_list(), name="mine").dataset()
    assert arrays.name == "mine"
    assert MarginComparison(frame).dataset().sha256 == arrays.sha256
    assert MarginComparison(animals).dataset().image_shape == (4, 5)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 2, bias=False), torch.nn.Flatten(), torch.nn.Linear(48, 1, bias=False)
    )
    (family,) = own_families({"convolution": net}, load(animals, colour=True))
    assert family.X.shape == (6, 3, 4, 5)


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [False, True], [-1, 1], [3, 7], [0.0, 1.0], ["0", "1"]])
def test_any_two_labels_are_one_problem_everywhere(labels: list[object]) -> None:
    X = np.array([[2.0, 1.0], [-1.0, 0.5], [3.0, 0.0]])
    y = [labels[1], labels[0], labels[1]]
    by_hand = max_margin(X, [1, -1, 1], "l2").beta
    data = load(X, y)
    np.testing.assert_array_equal(max_margin(X, y, "l2").beta, by_hand)
    np.testing.assert_array_equal(max_margin(data.X, data.y, "l2").beta, by_hand)
    assert data.classes == tuple(map(str, [int(v) if isinstance(v, float) else v for v in labels]))
