"""The random square of a photograph that training takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["RandomCut"]

U8: TypeAlias = NDArray[np.uint8]
Box: TypeAlias = tuple[int, int, int, int]
TRIES = 10  # as in torchvision, before the centre is taken


@dataclass(frozen=True)
class RandomCut:
    """Cut a rectangle of random size, shape and place, and resize it to a square.

    C. Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6; the law is that of torchvision's
    ``RandomResizedCrop``.

    Parameters
    ----------
    size : side of the square, in pixels
    seed : decides the rectangle
    area : least share of the picture's area
    ratio : greatest ratio of width to height, and of height to width
    """

    size: int
    seed: int
    area: float = 0.08
    ratio: float = 4 / 3

    def __call__(self, image: Image) -> U8:
        """Return uint8 (size, size, 3)."""
        from PIL.Image import Resampling

        box = self.box(*image.size)
        cut = image.convert("RGB").resize((self.size, self.size), Resampling.BILINEAR, box)
        return np.asarray(cut, np.uint8)

    def box(self, width: int, height: int) -> Box:
        """Return left, top, right and bottom of the rectangle, in pixels.

        >>> RandomCut(8, seed=0).box(100, 50)
        (14, 18, 35, 46)
        """
        rng = np.random.default_rng(self.seed)
        for _ in range(TRIES):
            area = width * height * rng.uniform(self.area, 1)
            shape = math.exp(rng.uniform(-math.log(self.ratio), math.log(self.ratio)))
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
                return left, top, left + w, top + h
        w, h = min(width, round(height * self.ratio)), min(height, round(width * self.ratio))
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h
