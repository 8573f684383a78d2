"""Training on photographs that never lie in memory together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pvq.empirical.data.imagenet import ImageNet
from pvq.empirical.recipe import Recipe
from pvq.empirical.record import RunRecord
from pvq.empirical.train import train


def photographs(root: Path) -> Path:
    """Two classes, light and dark, of eight and of two noisy images."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2)):
        for label, level in enumerate((60, 180)):
            folder = root / split / f"n{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = level + rng.integers(0, 40, (24, 20 + i, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(
        name="streamed",
        model="resnet-cifar[depth=8,width=2,num_classes=2]",
        dataset=f"imagenet[root={photographs(tmp_path / 'photographs')},size=16,resize=18]",
        epochs=2,
        batch_size=4,
        crop=0,
        validation=4,
        threads=1,
        method="qat-lsq[norms=1]",
        budget=4,
    )


def numbers(record: RunRecord) -> object:
    """Return everything of a record but times."""
    return (
        [epoch.numbers() for epoch in record.epochs],
        record.weights_sha256,
        record.test_accuracy,
        record.spent_bits,
    )


def test_a_run_reads_parts_and_repeats_its_numbers(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("all images were read at once")

    monkeypatch.setattr(ImageNet, "images", refuse)
    first, again = (train(recipe, tmp_path / name) for name in ("a", "b"))
    assert numbers(first) == numbers(again)
    assert first.test_images == 4
    assert first.test_accuracy is not None
    assert all(epoch.validation_accuracy is not None for epoch in first.epochs)
