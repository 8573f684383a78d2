"""Photographs in one folder a class: order, numbers, parts, random cuts, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvq.empirical.data.imagenet import ImageNet
from pvq.empirical.dataset import DATASETS, Dataset, read_dataset
from pvq.empirical.random_cut import RandomCut
from pvq.errors import PvqError, SpecError

CLASSES = ("n01440764", "n01443537", "n02125311")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes: 3, 2 and 1 training images, one image each for the test; every image of another grey."""
    grey = 0
    for split, counts in (("train", (3, 2, 1)), ("val", (1, 1, 1))):
        for name, count in zip(reversed(CLASSES), reversed(counts), strict=True):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            (folder / "notes.txt").write_text("no image")
            for i in range(count):
                grey += 10
                Image.new("L", (40 + i, 30), grey).save(folder / f"{i}.{'JPEG' if i else 'png'}")
    return tmp_path


def greys(images: np.ndarray) -> list[int]:
    return [int(image.mean().round()) for image in images]


def test_classes_are_numbered_in_the_order_of_their_names(root: Path) -> None:
    data = ImageNet(str(root), size=16, resize=20)
    assert isinstance(data, Dataset)
    assert data.classes == CLASSES
    assert (data.count("train"), data.count("test")) == (6, 3)
    assert data.labels("train").tolist() == [0, 0, 0, 1, 1, 2]
    assert data.labels("test").tolist() == [0, 1, 2]
    images = data.images("train")
    assert images.shape == (6, 16, 16, 3)
    assert greys(images) == [40, 50, 60, 20, 30, 10]


def test_a_class_without_test_images_keeps_its_number(root: Path) -> None:
    for path in (root / "val" / CLASSES[0]).iterdir():
        path.unlink()
    (root / "val" / CLASSES[0]).rmdir()
    assert ImageNet(str(root)).labels("test").tolist() == [1, 2]


def test_parts_are_the_images_at_their_places(root: Path) -> None:
    data = ImageNet(str(root), size=16, threads=3, resize=None)
    places = np.array([5, 0, 3, 4, 1])
    parts = list(data.parts("train", places, 2))
    assert [len(images) for images, _ in parts] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), data.images("train")[places])
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), data.labels("train")[places])
    drawn = data.images("train", 4, seed=1)
    np.testing.assert_array_equal(drawn, data.images("train", 4, seed=1))
    assert len(data.labels("train", 4, seed=1)) == 4


def test_random_parts_depend_on_seed_and_place_alone(root: Path) -> None:
    for path in root.rglob("*.*"):
        if path.suffix != ".txt":  # pixels that tell where they are
            Image.fromarray(np.arange(40 * 30 * 3, dtype=np.int64).reshape(30, 40, 3).astype(np.uint8)).save(
                path
            )
    data = ImageNet(str(root), size=16)
    whole = np.concatenate([x for x, _ in data.random_parts("train", np.arange(6), 6, seed=3)])
    split = np.concatenate([x for x, _ in data.random_parts("train", np.arange(6)[::-1], 2, seed=3)])
    np.testing.assert_array_equal(whole, split[::-1])
    other = np.concatenate([x for x, _ in data.random_parts("train", np.arange(6), 6, seed=4)])
    assert (whole != other).any(axis=(1, 2, 3)).all()
    assert (whole[1] != whole[2]).any()  # the same picture at another place


def test_random_boxes_lie_inside_and_have_the_stated_sizes_and_shapes() -> None:
    for seed in range(300):
        left, top, right, bottom = RandomCut(8, seed).box(101, 67)
        assert 0 <= left < right <= 101
        assert 0 <= top < bottom <= 67
        w, h = right - left, bottom - top
        assert 0.07 <= w * h / (101 * 67) <= 1
        assert 0.7 <= w / h <= 1.45  # 3/4 to 4/3, but for whole pixels


def test_boxes_of_shapes_that_nothing_fits_are_central() -> None:
    assert RandomCut(8, 0, area=0.99).box(1000, 10) == (493, 0, 506, 10)
    assert RandomCut(8, 0, area=0.99).box(10, 1000) == (0, 493, 10, 506)


def test_it_is_found_below_pvq_data_and_read_by_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "imagenet").mkdir()
    for split in ("train", "val"):
        (root / split).rename(root / "imagenet" / split)
    monkeypatch.setenv("PVQ_DATA", str(root))
    assert DATASETS.build("imagenet").count("train") == 6
    data, n = read_dataset(f"imagenet:{root}:2", size=12, resize=14)
    assert n == 2
    assert data.images("test", n).shape == (2, 12, 12, 3)


def test_more_than_memory_holds_is_refused(root: Path) -> None:
    with pytest.raises(PvqError, match=r"6 images of 90000 pixels do not fit into memory \(146 GB\)"):
        ImageNet(str(root), size=90_000, resize=None).images("train")


def test_refusals(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PVQ_DATA", raising=False)
    with pytest.raises(PvqError, match=r"no ImageNet found; name the folder that holds train/ and val/"):
        ImageNet().count("train")
    with pytest.raises(PvqError, match=r"no images of train in .*nowhere/train; name the folder"):
        ImageNet(str(root / "nowhere")).images("train", 1)
    with pytest.raises(PvqError, match="split must be one of train, test, got 'val'"):
        ImageNet(str(root)).count("val")
    with pytest.raises(PvqError, match=r"number of images must lie in \[1, 6\], got 7"):
        ImageNet(str(root)).images("train", 7)
    with pytest.raises(SpecError, match="threads must be at least 1, got 0"):
        DATASETS.build("imagenet[threads=0]")
    (root / "val" / "n99999999").mkdir()
    with pytest.raises(PvqError, match="val has classes that train has not: n99999999"):
        ImageNet(str(root)).count("test")
    (root / "train" / CLASSES[0] / "0.png").write_bytes(b"not a picture")
    with pytest.raises(PvqError, match=r"cannot read image .*0\.png"):
        ImageNet(str(root)).images("train")


def test_folders_without_an_image(tmp_path: Path) -> None:
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(PvqError, match=r"no image \(.bmp, .*\) in .*train"):
        ImageNet(str(tmp_path)).count("train")
