"""A user's own function: every kind of item, the first N of them, and what goes wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pvq.empirical.activations import gram_matrices
from pvq.empirical.calibration import read_calibration
from pvq.empirical.data.callable import UserFunction
from pvq.empirical.dataset import read_dataset
from pvq.empirical.held_out import read_held_out
from pvq.empirical.model import Model, Preprocessing, Source
from pvq.empirical.photograph import Cut
from pvq.empirical.user_batches import read_item
from pvq.errors import PvqError, SpecError

MODEL = Model("net", Source("memory"), {}, None, Preprocessing(8, (0.0,) * 3, (1.0,) * 3))
CODE = """
import itertools
import numpy as np
import torch

def photographs():
    for i in range(10):
        yield np.full((12 + i, 16, 3), 20 * i, np.uint8), i % 2

def endless():
    for i in itertools.count():
        yield torch.full((3, 3, 4, 4), float(i))

def tokens():
    return [{"ids": torch.arange(6).reshape(2, 3) + 10 * i, "mask": torch.ones(2, 3)} for i in range(4)]

def mixed():
    return [np.zeros((3, 4, 4)), np.ones((3, 4, 4)), np.zeros((3, 5, 5)), np.zeros((2, 3, 5, 5))]

def failing():
    yield np.zeros((3, 4, 4))
    raise RuntimeError("no more\\nafter the first")

def number():
    return 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_photographs_are_cut_as_the_network_asks_and_the_first_are_taken(file: Path) -> None:
    found = read_calibration(f"callable:{file}:photographs:5", MODEL, 3)
    x = torch.cat(list(found.batches))  # type: ignore[arg-type]
    assert x.shape == (5, 3, 8, 8)
    torch.testing.assert_close(x[:, 0, 0, 0], torch.arange(5) * 20 / 255)
    assert (found.images, found.seed, found.classes) == (5, None, {0: 3, 1: 2})
    assert read_calibration(f"callable:{file}:photographs", MODEL, 3).images == 10


def test_an_endless_function_is_asked_for_no_more_than_it_takes(file: Path) -> None:
    found = read_calibration(f"callable:{file}:endless:7", MODEL, 0)
    x = torch.cat(list(found.batches))  # type: ignore[arg-type]
    assert x[:, 0, 0, 0].tolist() == [0, 0, 0, 1, 1, 1, 2]
    held_out, note = read_held_out("rest", MODEL, 0, found)
    assert held_out is not None
    assert torch.cat(list(held_out.batches))[:, 0, 0, 0].tolist() == [2, 2, 3, 3, 3, 4, 4]  # type: ignore[arg-type]
    assert note == "2 of the held-out images are calibration images too"


def test_held_out_images_are_what_the_function_yields_next(file: Path) -> None:
    found = read_calibration(f"callable:{file}:photographs:7", MODEL, 0)
    held_out, _ = read_held_out("rest", MODEL, 0, found)
    assert held_out is not None
    assert held_out.images == 3
    everything = read_calibration(f"callable:{file}:photographs", MODEL, 0)
    assert read_held_out("rest", MODEL, 0, everything) == (
        None,
        "calibration took all images, so none are held out",
    )


def test_neighbours_of_one_shape_come_together(file: Path) -> None:
    dataset = UserFunction(f"{file}:mixed")
    shapes = [tuple(x.shape) for x, _ in dataset.parts("train", np.arange(5), 64)]  # type: ignore[union-attr]
    assert shapes == [(2, 3, 4, 4), (3, 3, 5, 5)]
    assert dataset.count() == 5


class Encoder(nn.Module):
    """Takes token ids and a mask by name, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 4)
        self.inner = nn.Linear(4, 2)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.inner(self.embed(ids) * mask.unsqueeze(-1))


def test_a_transformer_is_calibrated_with_inputs_by_name_or_in_order(file: Path) -> None:
    torch.manual_seed(0)
    net = Encoder().eval()
    found = read_calibration(f"callable:{file}:tokens:7", MODEL, 0)
    assert (found.images, found.shape) == (7, {"ids": [3], "mask": [3]})
    gram = gram_matrices(net, ["inner"], found.batches)["inner"]
    ids = torch.cat([torch.arange(6) + 10 * i for i in range(4)])[:21]  # the last example is left out
    seen = net.embed(ids).double().detach().numpy()
    np.testing.assert_allclose(gram.grams[0], seen.T @ seen / 21, rtol=1e-12)
    in_order = [(ids.reshape(7, 3), torch.ones(7, 3))]
    np.testing.assert_allclose(gram_matrices(net, ["inner"], in_order)["inner"].grams, gram.grams, rtol=1e-12)


ITEMS: list[tuple[Any, Any, list[int] | None]] = [
    (np.zeros((5, 6, 3), np.uint8), (1, 4, 4, 3), None),
    ((np.zeros((2, 5, 6, 3), np.uint8), [1, 2]), (2, 4, 4, 3), [1, 2]),
    ([torch.zeros(2, 3, 4, 4), torch.tensor([0, 1])], (2, 3, 4, 4), [0, 1]),  # as a DataLoader collates
    ((torch.zeros(3, 4, 4, dtype=torch.bfloat16), 6), (1, 3, 4, 4), [6]),
    (np.array([5, 6, 7]), (1, 3), None),
    (torch.zeros(2, 9), (2, 9), None),
    ((np.array([[1, 2]]), np.array([0])), (1, 2), [0]),
]


@pytest.mark.parametrize(("item", "shape", "labels"), ITEMS)
def test_items_are_read(item: Any, shape: tuple[int, ...], labels: list[int] | None) -> None:
    x, y = read_item(item, Cut(4))
    assert isinstance(x, Tensor)
    assert tuple(x.shape) == shape
    assert (None if y is None else y.tolist()) == labels


def test_types_are_those_that_networks_take() -> None:
    assert read_item(np.array([1, 2], np.int32), Cut(4))[0].dtype == torch.int64  # type: ignore[union-attr]
    assert read_item(np.zeros((3, 4, 4)), Cut(4))[0].dtype == torch.float32  # type: ignore[union-attr]
    x, y = read_item((torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool)), Cut(4))
    assert isinstance(x, tuple)
    assert ([t.dtype for t in x], y) == ([torch.int64, torch.bool], None)
    vectors = (torch.arange(4), torch.arange(4))  # two inputs, not ids with labels: there is one example
    assert [isinstance(part, tuple) for part in read_item(vectors, Cut(4))] == [True, False]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("text", "arrays or tensors of numbers, got str"),
        (np.float32(1.0), "must yield images, batches"),
        (np.array([0.5, 1.0]), r"got float64 of shape \(2,\)"),
        (np.zeros((4, 4), np.uint8), r"uint8 arrays must be images .* got shape \(4, 4\)"),
        (np.full((3, 4, 4), np.nan), "must be finite"),
        ({}, "must hold batches"),
        ({"ids": np.int64(3)}, "must hold batches"),
        (np.zeros((0, 3, 4, 4)), "at least one example"),
        ((np.zeros((2, 3, 4, 4)), [1, 2, 3]), r"one per example \(2\), got shape \(3,\)"),
    ],
)
def test_other_items_are_refused(item: Any, message: str) -> None:
    with pytest.raises(PvqError, match=message):
        read_item(item, Cut(4))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", "failing: no more$"),
        ("number", "object is not iterable"),
        ("absent", "has no attribute 'absent'"),
    ],
)
def test_what_goes_wrong_in_the_users_code_is_one_line(file: Path, name: str, message: str) -> None:
    with pytest.raises(PvqError, match=message):
        read_calibration(f"callable:{file}:{name}:5", MODEL, 0)


def test_functions_are_found_in_modules_and_files(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    dataset, n = read_dataset("callable:mine:photographs:3", size=8)
    assert (np.asarray(dataset.images("train", n)).shape, n) == ((3, 8, 8, 3), 3)
    np.testing.assert_array_equal(dataset.labels("train"), np.arange(10) % 2)
    with pytest.raises(PvqError, match="there is no file"):
        UserFunction("absent.py:f").count()
    with pytest.raises(PvqError, match="No module named 'nowhere'"):
        UserFunction("nowhere:f").count()
    with pytest.raises(SpecError, match=r"target must read MODULE:FUNCTION or FILE\.py:FUNCTION, got 'mine'"):
        read_dataset("callable:mine:3")
    with pytest.raises(PvqError, match="must yield uint8 images"):
        UserFunction(f"{file}:mixed").images()
    with pytest.raises(PvqError, match="yields no labels"):
        UserFunction(f"{file}:mixed").labels()
    with pytest.raises(PvqError, match=r"number of images must lie in \[1, 10\], got 11"):
        read_calibration(f"callable:{file}:photographs:11", MODEL, 0)
