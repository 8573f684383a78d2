"""How photographs are cut, against the transforms that the networks' own libraries use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvq.empirical.data.folder import Folder
from pvq.empirical.photograph import Cut, Interpolation, decoded
from pvq.errors import PvqError

SIZES = [(50, 40), (40, 50), (41, 97), (224, 224), (31, 30)]


def photograph(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("squash", [False, True])
def test_a_cut_is_torchvisions_resize_and_centre_crop(how: Interpolation, squash: bool) -> None:
    from pvq.empirical.zoo.torchvision import import_torchvision

    try:
        transforms = import_torchvision().transforms
    except PvqError:
        pytest.skip("data: torchvision is not installed")
    mode = transforms.InterpolationMode(how)
    resize = transforms.Resize((37, 37) if squash else 37, mode)
    expected = transforms.Compose([resize, transforms.CenterCrop(30)])
    for size in SIZES:
        found = Cut(30, 37, how, squash)(photograph(*size))
        np.testing.assert_array_equal(found, np.asarray(expected(photograph(*size))))


def test_grey_and_transparent_images_become_rgb() -> None:
    for mode in ("L", "RGBA", "P", "CMYK"):
        assert Cut(20)(photograph(30, 25).convert(mode)).shape == (20, 20, 3)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(PvqError, match=r"cannot read image x\.jpg"):
        decoded(lambda: Image.open(tmp_path / "x.jpg"), Cut(4), "x.jpg")


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for i, name in enumerate(["dog/b.png", "cat/a.png", "dog/deep/a.png"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photograph(20 + i, 20).save(tmp_path / name)
    folder = Folder(str(tmp_path), size=8)
    np.testing.assert_array_equal(folder.labels(), [0, 1, 1])
    images = np.concatenate([np.asarray(x) for x, _ in folder.parts("train", np.array([2, 0]), 1)])
    np.testing.assert_array_equal(images, folder.images()[[2, 0]])
    assert [y.tolist() for _, y in folder.parts("train", np.array([2, 0]), 1) if y is not None] == [[1], [0]]


def test_leading_numbers_are_classes_if_every_file_has_one(tmp_path: Path) -> None:
    for name in ("007_n0144.png", "003-x.png"):
        photograph(20, 20).save(tmp_path / name)
    np.testing.assert_array_equal(Folder(str(tmp_path), size=8).labels(), [3, 7])
    photograph(20, 20).save(tmp_path / "12.png")
    with pytest.raises(PvqError, match="have no labels"):
        Folder(str(tmp_path), size=8).labels()
