"""Accuracy of a classifier on uint8 images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pvq.arrays import I64

__all__ = ["accuracy", "normalise", "predict"]


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (x / 255 - mean) / std as float32.

    Parameters
    ----------
    images : uint8 (N, H, W, C)
    mean, std : C values each, for pixel values in [0, 1]

    Returns (N, C, H, W) in channels-last memory order, which is how the images lie already.

    >>> normalise(torch.full((1, 1, 1, 1), 255, dtype=torch.uint8), [0.5], [0.25]).flatten().tolist()
    [2.0]
    """
    shift = torch.tensor(mean, device=images.device).view(1, -1, 1, 1)
    scale = torch.tensor(std, device=images.device).view(1, -1, 1, 1)
    return (images.permute(0, 3, 1, 2).float() / 255 - shift) / scale


def predict(
    model: nn.Module,
    images: NDArray[np.uint8],
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = 500,
) -> I64:
    """Return the predicted class of each image, shape (N,); the model is left in its mode.

    Parameters
    ----------
    model : from (N, C, H, W) to (N, classes)
    images : uint8 (N, H, W, C)
    mean, std : C values each, for pixel values in [0, 1]
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with torch.no_grad():
        found = [
            model(normalise(batch.to(device), mean, std)).argmax(dim=1).cpu()
            for batch in torch.split(torch.from_numpy(images), batch_size)
        ]
    model.train(was_training)
    return torch.cat(found).numpy()


def accuracy(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: I64,
    mean: Sequence[float],
    std: Sequence[float],
    batch_size: int = 500,
) -> float:
    """Return the share of images that are classified rightly, in [0, 1].

    Raises
    ------
    ValueError : no image, or not one label per image
    """
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"there must be one label per image, got {len(images)} and {len(labels)}")
    return float(np.mean(predict(model, images, mean, std, batch_size) == labels))
