"""Data sets: a law for every one that needs no download, then what each refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvq.empirical.data.bundled import Bundled, balanced_choice, cut_calibration
from pvq.empirical.data.folder import Folder
from pvq.empirical.data.npz import Npz
from pvq.empirical.dataset import DATASETS, Dataset, pick, read_dataset
from pvq.errors import PvqError, SpecError, UnknownName


def photographs(folder: Path, n: int = 5) -> Path:
    rng = np.random.default_rng(1)
    for i in range(n):
        pixels = rng.integers(0, 256, (40 + 4 * i, 64 - 4 * i, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"photo{i}.png")
    return folder


def arrays(folder: Path) -> Path:
    rng = np.random.default_rng(2)
    path = folder / "images.npz"
    np.savez(path, images=rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8), labels=np.arange(6) % 3)
    return path


@pytest.fixture(params=["bundled", "npz", "folder"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    if request.param == "npz":
        return Npz(str(arrays(tmp_path)))
    if request.param == "folder":
        return Folder(str(photographs(tmp_path)), size=24)
    return Bundled()


def test_a_dataset_gives_the_same_images_again_and_a_prefix_of_them(dataset: Dataset) -> None:
    (split,) = dataset.splits
    every = dataset.images(split)
    assert every.dtype == np.uint8
    assert every.shape[3] == 3
    np.testing.assert_array_equal(dataset.images(split, 3), every[:3])
    np.testing.assert_array_equal(dataset.images(split, 3, seed=4), dataset.images(split, 3, seed=4))


def test_a_draw_is_without_replacement_and_covers_all(dataset: Dataset) -> None:
    (split,) = dataset.splits
    every = np.asarray(dataset.images(split))
    drawn = np.asarray(dataset.images(split, len(every), seed=0))
    assert not np.array_equal(drawn, every)
    np.testing.assert_array_equal(np.sort(drawn.sum((1, 2, 3))), np.sort(every.sum((1, 2, 3))))


def test_a_dataset_refuses_too_many_images_and_other_splits(dataset: Dataset) -> None:
    (split,) = dataset.splits
    with pytest.raises(PvqError, match=r"number of images must lie in \[1, \d+\], got 1000"):
        dataset.images(split, 1000)
    with pytest.raises(PvqError, match="number of images must lie in"):
        dataset.images(split, 0)
    with pytest.raises(PvqError, match="split must be one of train, got 'validation'"):
        dataset.images("validation")


def test_labels_belong_to_the_images_drawn_with_them(tmp_path: Path) -> None:
    dataset = Npz(str(arrays(tmp_path)))
    all_images, all_labels = np.asarray(dataset.images()), dataset.labels()
    images, labels = np.asarray(dataset.images("train", 4, 9)), dataset.labels("train", 4, 9)
    for image, label in zip(images, labels, strict=True):
        (place,) = np.flatnonzero((all_images == image).all(axis=(1, 2, 3)))
        assert all_labels[place] == label


def test_every_dataset_is_described() -> None:
    assert {"bundled", "cifar10", "folder", "npz"} <= set(DATASETS.classes())
    assert all(DATASETS.describe().values())


def test_pick_follows_the_seed() -> None:
    np.testing.assert_array_equal(pick(10, None, None), np.arange(10))
    assert not np.array_equal(pick(100, 50, 0), pick(100, 50, 1))
    assert len(set(pick(100, 50, 0).tolist())) == 50


def test_read_dataset_takes_name_path_and_count(tmp_path: Path) -> None:
    path = arrays(tmp_path)
    assert read_dataset("bundled") == (Bundled(), None)
    assert read_dataset("bundled:12") == (Bundled(), 12)
    assert read_dataset(f"npz:{path}:3") == (Npz(str(path)), 3)
    assert read_dataset(f"npz[path={path}]:3") == (Npz(str(path)), 3)
    assert read_dataset("folder:photos:5", size=32, resize=40) == (Folder("photos", 32, 40), 5)
    assert read_dataset("bundled:5", size=32) == (Bundled(), 5)


def test_read_dataset_refuses_what_it_does_not_know() -> None:
    with pytest.raises(UnknownName, match="unknown dataset 'bundle'; did you mean bundled"):
        read_dataset("bundle:5")
    with pytest.raises(SpecError, match="bundled takes no path, got 'here'"):
        read_dataset("bundled:here")
    with pytest.raises(SpecError, match="resize must be at least size"):
        read_dataset("folder:photos", size=64, resize=32)


def test_bundled_images_are_balanced_and_distinct() -> None:
    labels, indices = Bundled().labels(), Bundled().indices()
    assert sorted(np.bincount(labels).tolist()) == [51] * 8 + [52] * 2
    assert len(set(indices.tolist())) == 512
    assert indices.min() >= 0
    assert indices.max() < 50_000


def test_a_balanced_choice_gives_each_class_its_share() -> None:
    labels = np.repeat([3, 5, 9], [10, 20, 30])
    chosen = balanced_choice(labels, 29, np.random.default_rng(0))
    assert sorted(np.unique(labels[chosen], return_counts=True)[1].tolist()) == [9, 10, 10]
    assert len(set(chosen.tolist())) == 29
    with pytest.raises(PvqError, match="class 3 must have at least 20 images, got 10"):
        balanced_choice(labels, 60, np.random.default_rng(0))
    with pytest.raises(PvqError, match="n must be at least 1"):
        balanced_choice(labels, 0, np.random.default_rng(0))


def test_cutting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = Npz(str(arrays(tmp_path)))
    for name in ("a.npz", "b.npz"):
        cut_calibration(tmp_path / name, source, n=3)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as stored:
        np.testing.assert_array_equal(stored["images"], np.asarray(source.images())[stored["indices"]])
        np.testing.assert_array_equal(stored["labels"], source.labels()[stored["indices"]])


def test_npz_keeps_floats_that_are_preprocessed(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8))
    np.savez(tmp_path / "x.npz", images=images)
    found = Npz(str(tmp_path / "x.npz")).images("train", 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, images[:2].astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pictures": np.zeros(3)}, "must hold an array 'images'"),
        ({"images": np.zeros((2, 3), np.uint8)}, r"must have 4 dimensions, got shape \(2, 3\)"),
        ({"images": np.zeros((2, 3, 4, 4), np.uint8)}, "must be uint8"),
        ({"images": np.zeros((2, 4, 4, 3), np.int64)}, "got int64"),
        ({"images": np.full((1, 3, 2, 2), np.nan)}, "must be finite"),
        ({"images": np.zeros((0, 4, 4, 3), np.uint8)}, "must have 4 dimensions"),
        ({"images": np.array([None])}, "cannot be read as npz"),
    ],
)
def test_npz_refuses(tmp_path: Path, content: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "x.npz", **content)  # type: ignore[arg-type]
    with pytest.raises(PvqError, match=message):
        Npz(str(tmp_path / "x.npz")).images()


def test_npz_refuses_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="cannot be read as npz"):
        Npz(str(tmp_path / "absent.npz")).images()
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(PvqError, match="cannot be read as npz"):
        Npz(str(tmp_path / "text.npz")).images()
    np.savez(tmp_path / "float.npz", images=np.zeros((2, 4, 4, 3), np.uint8), labels=np.zeros(2))
    with pytest.raises(PvqError, match="labels must be whole numbers"):
        Npz(str(tmp_path / "float.npz")).labels()


def test_a_folder_resizes_the_short_side_and_cuts_the_centre(tmp_path: Path) -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 200  # the centre square
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        Folder(str(tmp_path), size=20).images(), np.full((1, 20, 20, 3), 200, np.uint8)
    )


def test_a_folder_cuts_away_what_lies_outside_the_resized_centre(tmp_path: Path) -> None:
    pixels = np.full((20, 20, 3), 200, np.uint8)
    pixels[0] = pixels[-1] = pixels[:, 0] = pixels[:, -1] = 0  # half a pixel once resized to 10 x 10
    Image.fromarray(pixels).save(tmp_path / "a.png")
    inside = Folder(str(tmp_path), size=6, resize=10).images()
    np.testing.assert_array_equal(inside, np.full((1, 6, 6, 3), 200, np.uint8))
    assert Folder(str(tmp_path), size=6).images().min() < 200


def test_a_folder_refuses(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="path must be a folder of images"):
        Folder(str(tmp_path / "absent")).images()
    with pytest.raises(PvqError, match="no image"):
        Folder(str(tmp_path)).images()
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(PvqError, match="cannot read image"):
        Folder(str(tmp_path)).images()
    with pytest.raises(PvqError, match="have no labels"):
        Folder(str(tmp_path)).labels()
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        Folder(str(tmp_path), size=0)
