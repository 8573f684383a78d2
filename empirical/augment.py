"""Random shifts and mirror images of a batch, drawn from a generator."""

from __future__ import annotations

import torch
from torch import Tensor

from pvq.empirical.distributed import WHOLE, Share

__all__ = ["augment"]


def augment(
    images: Tensor, crop: int, flip: bool, generator: torch.Generator, share: Share = WHOLE
) -> Tensor:
    """Return each image shifted by up to `crop` pixels, its borders reflected, mirrored every second time.

    Parameters
    ----------
    images : (N, H, W, C), any type
    crop : largest shift, below H and W
    flip : mirror left and right with probability 1/2
    generator : on the CPU; it always gives 3 N draws, so that options do not change the order of others
    share : which part of a batch the images are; draws are made for all of it, so that each image gets its
        own however the batch is split

    Raises
    ------
    ValueError : a crop that the image is too small for

    >>> image = torch.arange(4).reshape(1, 2, 2, 1)
    >>> augment(image, 0, False, torch.Generator()).flatten().tolist()
    [0, 1, 2, 3]
    """
    n, height, width, _ = images.shape
    if not 0 <= crop < min(height, width):
        raise ValueError(f"crop must lie in [0, {min(height, width)}), got {crop}")
    whole = n * share.size
    shifts = share.of(torch.randint(-crop, crop + 1, (whole, 2), generator=generator))
    mirrored = share.of(torch.randint(0, 2, (whole, 1), generator=generator)).bool() & flip
    rows = _reflect(torch.arange(height) + shifts[:, :1], height)
    columns = _reflect(torch.arange(width) + shifts[:, 1:], width)
    columns = torch.where(mirrored, columns.flip(1), columns)
    which = torch.arange(n)[:, None, None]
    index = [part.to(images.device) for part in (which, rows[:, :, None], columns[:, None, :])]
    return images[index[0], index[1], index[2]]


def _reflect(index: Tensor, size: int) -> Tensor:
    """Fold indices that leave 0..size-1 back inside, without repeating the border pixel."""
    last = size - 1
    return last - (last - index.abs()).abs()
