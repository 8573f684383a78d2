"""Calibration images: the same on every pass, held in bounded memory, with what a manifest says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pvq.arrays import I64
from pvq.empirical import calibration
from pvq.empirical.calibration import Calibration, Stream, read_calibration
from pvq.empirical.data.bundled import Bundled
from pvq.empirical.dataset import Part
from pvq.empirical.evaluate import normalise
from pvq.empirical.model import Model, Preprocessing, Source
from pvq.errors import PvqError

IMAGE = 4 * 3 * 32 * 32  # bytes
HOW = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
MODEL = Model("net", Source("memory"), {}, None, HOW)


def tensors(found: Calibration) -> list[Tensor]:
    batches = list(found.batches)
    assert all(isinstance(batch, Tensor) for batch in batches)
    return batches  # type: ignore[return-value]


@dataclass(frozen=True)
class Counted(Bundled):
    """Notes what is asked of it."""

    asked: list[int] = field(default_factory=list)

    def parts(self, split: str, places: I64, size: int) -> Iterator[Part]:
        self.asked.append(len(places))
        return super().parts(split, places, size)


def stream_of(dataset: Bundled, n: int = 200) -> Stream:
    return Stream(dataset, "train", np.arange(n)[::-1].copy(), HOW, "net")


def test_images_are_those_that_the_data_set_draws_with_the_seed() -> None:
    found = read_calibration("bundled:100", MODEL, 7)
    drawn = torch.from_numpy(Bundled().images("train", 100, 7))
    assert torch.equal(torch.cat(tensors(found)), normalise(drawn, HOW.mean, HOW.std))
    assert (found.images, found.seed, found.split, found.shape) == (100, 7, "train", [3, 32, 32])


@pytest.mark.parametrize("room", [0, 64 * IMAGE, 72 * IMAGE, 10**9])
def test_every_pass_gives_the_same_batches_and_holds_no_more_than_it_may(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "KEPT_BYTES", room)
    dataset = Counted()
    stream = stream_of(dataset)
    first, second = list(stream), list(stream)
    assert len(first) == len(second)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))  # type: ignore[arg-type]
    held = sum(x.nbytes for x, _ in stream._kept)  # type: ignore[union-attr]
    assert held <= room
    # what is held is not read again: nothing, the first 64 (the last 8 would fit, too), everything
    assert dataset.asked == {0: [200, 200], 10**9: [200]}.get(room, [200, 136])


def test_a_pass_that_is_broken_off_leaves_the_next_whole() -> None:
    stream = stream_of(Bundled())
    next(iter(stream))
    assert len(torch.cat(list(stream))) == 200  # type: ignore[arg-type]


def test_batches_hold_few_values_of_large_images(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.cat(list(stream_of(Bundled())))  # type: ignore[arg-type]
    monkeypatch.setattr(calibration, "BATCH_VALUES", 10 * 3 * 32 * 32)
    small = list(stream_of(Bundled()))
    assert {len(batch) for batch in small[:6]} == {10}  # type: ignore[arg-type]
    assert torch.equal(torch.cat(small), whole)  # type: ignore[arg-type]


def test_the_digest_is_of_the_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_calibration("bundled:50", MODEL, 0)
    monkeypatch.setattr(calibration, "KEPT_BYTES", 0)
    monkeypatch.setattr(calibration, "BATCH", 7)
    assert read_calibration("bundled:50", MODEL, 0).digest == first.digest
    assert read_calibration("bundled:50", MODEL, 1).digest != first.digest
    assert read_calibration("bundled:49", MODEL, 0).digest != first.digest


def test_the_manifest_says_how_the_classes_are_represented() -> None:
    found = read_calibration("bundled:40", MODEL, 3).describe()
    labels = Bundled().labels("train", 40, 3)
    counts = np.bincount(labels, minlength=10)
    assert found["classes"]["counts"] == {str(i): n for i, n in enumerate(counts.tolist()) if n}
    assert found["classes"]["number"] == (counts > 0).sum()
    assert (found["classes"]["fewest"], found["classes"]["most"]) == (counts[counts > 0].min(), counts.max())
    assert (found["seed"], found["images"]) == (3, 40)
    assert read_calibration("bundled", MODEL, 3).seed is None  # all of them: nothing was drawn


def test_a_balanced_draw_takes_as_many_of_each_class() -> None:
    found = read_calibration("bundled:43:balanced", MODEL, 3).describe()["classes"]
    assert (found["number"], found["fewest"], found["most"]) == (10, 4, 5)
    with pytest.raises(PvqError, match="balanced images must be drawn"):
        read_calibration("bundled:balanced", MODEL, 3)


def test_images_without_labels_have_no_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 3, 4, 4)))
    found = read_calibration(f"npz:{tmp_path / 'x.npz'}:2", MODEL, 0)
    assert found.describe()["classes"] is None
    with pytest.raises(PvqError, match="must hold an array 'labels'"):
        read_calibration(f"npz:{tmp_path / 'x.npz'}:2:balanced", MODEL, 0)


def test_stretched_images_are_remarked(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 16, 20, 3), np.uint8))
    found = read_calibration(f"npz:{tmp_path / 'x.npz'}", MODEL, 0)
    assert found.note == "calibration images were stretched from 16 x 20 to 32 x 32 pixels"
    assert found.shape == [3, 32, 32]


def test_the_networks_own_way_of_cutting_is_used(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    cut: dict[str, Any] = {"size": 24, "mean": (0.0,) * 3, "std": (1.0,) * 3, "resize": 30}
    seen = []
    for how in ({}, {"interpolation": "bicubic"}, {"squash": True}):
        model = Model("net", Source("memory"), {}, None, Preprocessing(**cut, **how))
        seen.append(tensors(read_calibration(f"folder:{tmp_path}", model, 0))[0])
    assert {tuple(x.shape) for x in seen} == {(1, 3, 24, 24)}
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])


def test_calibration_refuses(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match=r"number of images must lie in \[1, 512\], got 513"):
        read_calibration("bundled:513", MODEL, 0)
    with pytest.raises(PvqError, match="net does not say how images are prepared"):
        read_calibration("bundled:5", Model("net", Source("memory"), {}), 0)
