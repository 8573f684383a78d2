"""Accuracy of networks whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pvq.empirical.evaluate import accuracy, normalise, predict


class Reddest(nn.Module):
    """Scores class c by the mean of channel c, and notes in which mode it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        return self.one * x.mean(dim=(2, 3))


def images(channels: list[int]) -> np.ndarray:
    out = np.zeros((len(channels), 4, 4, 3), np.uint8)
    for i, channel in enumerate(channels):
        out[i, :, :, channel] = 255
    return out


MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)


def test_normalise_is_the_formula() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    expected = ((x / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(normalise(torch.from_numpy(x), MEAN, STD).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_predictions_do_not_depend_on_the_batch(batch_size: int) -> None:
    found = predict(Reddest(), images([0, 2, 1, 1, 0]), MEAN, STD, batch_size)
    np.testing.assert_array_equal(found, [0, 2, 1, 1, 0])


def test_accuracy_is_the_share_of_right_answers() -> None:
    assert accuracy(Reddest(), images([0, 1, 2, 2]), np.array([0, 1, 2, 0]), MEAN, STD) == 0.75


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_evaluated_in_evaluation_mode_and_left_as_it_was(training: bool) -> None:
    model = Reddest().train(training)
    predict(model, images([0]), MEAN, STD)
    assert model.modes == [False]
    assert model.training is training


def test_labels_must_match() -> None:
    with pytest.raises(ValueError, match="one label per image, got 2 and 1"):
        accuracy(Reddest(), images([0, 1]), np.array([0]), MEAN, STD)
    with pytest.raises(ValueError, match="one label per image, got 0 and 0"):
        accuracy(Reddest(), images([]), np.array([], np.int64), MEAN, STD)
