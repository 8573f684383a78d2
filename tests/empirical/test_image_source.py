"""Batches from memory and from files: the same images, in order, one batch ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pvq.arrays import I64
from pvq.empirical.data.bundled import Bundled
from pvq.empirical.data.imagenet import ImageNet
from pvq.empirical.data.npz import Npz
from pvq.empirical.evaluate import accuracy
from pvq.empirical.image_source import InMemory, Streamed, Streaming, ahead, image_source, stream_accuracy
from pvq.errors import PvqError

NONE = np.arange(0)
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of three images, each of one grey, in train and in val."""
    for split in ("train", "val"):
        for i in range(6):
            folder = tmp_path / split / f"n{i // 3}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 16), (10 * i,) * 3).save(folder / f"{i}.png")
    return tmp_path


def test_a_large_data_set_streams_and_a_small_one_does_not(root: Path) -> None:
    photographs = ImageNet(str(root), size=8)
    assert isinstance(photographs, Streaming)
    assert isinstance(image_source(photographs, np.arange(6), NONE, "cpu")[0], Streamed)
    assert isinstance(image_source(Bundled(), np.arange(6), NONE, "cpu")[0], InMemory)


def test_batches_are_the_images_at_their_places(root: Path) -> None:
    data = ImageNet(str(root), size=8, resize=10)
    source, (images, labels) = image_source(data, np.array([5, 4, 0, 1]), np.array([2, 3]), "cpu")
    assert [int(image.mean()) for image in images] == [20, 30]
    assert labels.tolist() == [0, 1]
    assert len(image_source(data, np.arange(6), NONE, "cpu")[1][0]) == 0
    assert source.labels.tolist() == [1, 1, 0, 0]
    batches = list(source.batches(torch.tensor([3, 0, 2]), 2, seed=1))
    assert [images.shape for images, _ in batches] == [(2, 8, 8, 3), (1, 8, 8, 3)]
    assert [int(image.float().mean()) for images, _ in batches for image in images] == [10, 50, 0]
    assert [label for _, labels in batches for label in labels.tolist()] == [0, 1, 0]


def test_batches_from_memory(tmp_path: Path) -> None:
    source, (images, _) = image_source(Bundled(), np.arange(10, 20), np.arange(3), "cpu")
    np.testing.assert_array_equal(images, Bundled().images("train", 3))
    (first, labels), (second, _) = source.batches(torch.tensor([2, 1, 0]), 2, seed=1)
    np.testing.assert_array_equal(torch.cat([first, second]), Bundled().images()[[12, 11, 10]])
    assert labels.tolist() == Bundled().labels()[[12, 11]].tolist()
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 3, 8, 8), np.float32), labels=np.arange(4))
    with pytest.raises(PvqError, match="training needs uint8 images, got float32"):
        image_source(Npz(str(tmp_path / "a.npz")), np.arange(4), NONE, "cpu")


@dataclass
class Watched:
    """Yields parts, says when the second is made, and notes in which thread."""

    second: threading.Event = field(default_factory=threading.Event)
    thread: str = ""

    def parts(self) -> Iterator[int]:
        for i in range(4):
            self.thread = threading.current_thread().name
            if i == 1:
                self.second.set()
            yield i


def test_the_next_part_is_made_while_this_one_is_used() -> None:
    watched = Watched()
    coming = ahead(watched.parts())
    assert next(coming) == 0
    assert watched.second.wait(10)  # without being asked for it
    assert list(coming) == [1, 2, 3]
    assert watched.thread != threading.current_thread().name
    left = ahead(iter([1, 2]))
    assert next(left) == 1
    left.close()  # type: ignore[attr-defined]  # leaves no thread behind
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_what_fails_ahead_fails_here() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise PvqError("cannot read image x")

    with pytest.raises(PvqError, match="cannot read image x"):
        list(ahead(broken()))


class Bright(nn.Module):
    """Calls an image of class 1 if it is brighter than a grey of 25."""

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor((25 / 255 - 0.5) / 0.25))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = x.mean((1, 2, 3)) - self.threshold
        return torch.stack([-level, level], 1)


def test_accuracy_of_parts_is_that_of_the_whole(root: Path) -> None:
    data = ImageNet(str(root), size=8)
    found = stream_accuracy(Bright(), data.parts("test", np.arange(6), 4), MEAN, STD)
    assert found == 1
    labels: I64 = 1 - data.labels("test")
    images = data.images("test")
    halves = [(images[:4], labels[:4]), (images[4:], data.labels("test")[4:])]
    assert stream_accuracy(Bright(), halves, MEAN, STD) == pytest.approx(2 / 6)
    assert accuracy(Bright(), images, labels, MEAN, STD) == 0
    with pytest.raises(ValueError, match="there must be an image to classify"):
        stream_accuracy(Bright(), [], MEAN, STD)
