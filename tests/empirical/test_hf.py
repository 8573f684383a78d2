"""Hugging Face data sets from folders; the hub itself is never asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pvq.empirical.data.hf import HuggingFace
from pvq.empirical.dataset import read_dataset
from pvq.empirical.photograph import Cut
from pvq.errors import MissingExtra, PvqError, SpecError

datasets = pytest.importorskip("datasets", reason="data: the extra pvq[hub] is not installed")
N = 7


def picture(i: int) -> Image.Image:
    pixels = np.random.default_rng(i).integers(0, 256, (20 + i, 24, 3))
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the library's cache to this test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def saved(**columns: Any) -> Any:
    """Return a table of pictures, of two sorts of classes, and of more columns."""
    kinds = {"coarse": datasets.ClassLabel(num_classes=2), "fine": datasets.ClassLabel(num_classes=4)}
    features = datasets.Features(
        {"picture": datasets.Image(), **kinds} | {name: kind for name, (kind, _) in columns.items()}
    )
    values = {"picture": [picture(i) for i in range(N)], "coarse": [i % 2 for i in range(N)]}
    values |= {"fine": [i % 4 for i in range(N)]} | {name: value for name, (_, value) in columns.items()}
    return datasets.Dataset.from_dict(values, features=features)


def test_a_saved_table_gives_pictures_and_the_finest_classes(tmp_path: Path) -> None:
    saved().save_to_disk(tmp_path / "table")
    dataset, n = read_dataset(f"hf:{tmp_path / 'table'}:3", size=12, resize=16, interpolation="bicubic")
    assert n == 3
    (split,) = dataset.splits
    assert (split, dataset.count(split)) == ("train", N)
    expected = np.stack([Cut(12, 16, "bicubic")(picture(i)) for i in range(N)])
    np.testing.assert_array_equal(dataset.images(split), expected)
    np.testing.assert_array_equal(dataset.labels(split), np.arange(N) % 4)
    parts = list(dataset.parts(split, np.array([5, 0, 2]), 2))
    np.testing.assert_array_equal(np.concatenate([np.asarray(x) for x, _ in parts]), expected[[5, 0, 2]])
    assert [None if y is None else y.tolist() for _, y in parts] == [[1, 0], [2]]


def test_a_split_may_follow_the_name_or_be_an_option(tmp_path: Path) -> None:
    datasets.DatasetDict(validation=saved()).save_to_disk(tmp_path / "both")
    for text in (f"hf:{tmp_path / 'both'}:validation:2", f"hf[id={tmp_path / 'both'},split=validation]:2"):
        dataset, _ = read_dataset(text)
        assert dataset.splits == ("validation",)
        assert dataset.count("validation") == N
    with pytest.raises(PvqError, match="split must be one of validation, got 'train'"):
        HuggingFace(str(tmp_path / "both")).images("train")


def test_a_folder_of_pictures_is_read_by_the_library(tmp_path: Path) -> None:
    for i in range(4):
        file = tmp_path / "photos" / f"class{i % 2}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(i).save(file)
    dataset = HuggingFace(str(tmp_path / "photos"), size=8)
    assert dataset.images("train").shape == (4, 8, 8, 3)
    assert sorted(dataset.labels("train").tolist()) == [0, 0, 1, 1]


def test_columns_are_found_by_their_type(tmp_path: Path) -> None:
    second = (datasets.Image(), [picture(9)] * N)
    saved(mask=second).save_to_disk(tmp_path / "two")
    with pytest.raises(PvqError, match="image must be one of picture, mask, got picture, coarse, fine, mask"):
        HuggingFace(str(tmp_path / "two")).images("train")
    found = HuggingFace(str(tmp_path / "two"), image="mask", size=8).images("train", 1)
    np.testing.assert_array_equal(found[0], Cut(8)(picture(9)))
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "text")
    with pytest.raises(PvqError, match="it must have a column of images, got text"):
        HuggingFace(str(tmp_path / "text")).images("train")
    with pytest.raises(PvqError, match="has no column of type ClassLabel"):
        HuggingFace(str(tmp_path / "text")).labels("train")


def test_a_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("Couldn't reach 'who/what' on the Hub\nand a second line")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(PvqError) as caught:
        HuggingFace("who/what:test").count("test")
    assert str(caught.value) == "cannot load who/what, split test: Couldn't reach 'who/what' on the Hub"


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pvq\[hub\]'"):
        HuggingFace("who/what").count("train")


def test_specs_are_checked_before_anything_is_loaded() -> None:
    with pytest.raises(SpecError, match="resize must be at least size"):
        read_dataset("hf:who/what:5", size=64, resize=32)
    with pytest.raises(SpecError, match="needs id"):
        read_dataset("hf:5")
