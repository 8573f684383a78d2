"""How a photograph becomes the square that a network takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Cut", "Interpolation", "decoded"]

U8: TypeAlias = NDArray[np.uint8]
Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


@dataclass(frozen=True)
class Cut:
    """Resize the short side, then cut the centre, both as torchvision's evaluation transforms do with Pillow.

    Parameters
    ----------
    size : side of the square, in pixels
    resize : length of the short side before that, `size` if None
    interpolation : how pixels are resampled
    squash : resize both sides to `resize` instead, whatever the shape
    """

    size: int
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    squash: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize must be at least size, got {self.resize} and {self.size}")

    def __call__(self, image: Image) -> U8:
        """Return uint8 (size, size, 3)."""
        from PIL.Image import Resampling

        width, height = self._resized(*image.size)
        how = Resampling[self.interpolation.upper()]
        image = image.convert("RGB").resize((width, height), how)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)), np.uint8)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        short = self.resize or self.size
        if self.squash:
            return short, short
        if width <= height:
            return short, max(short, int(short * height / width))
        return max(short, int(short * width / height)), short


def decoded(read: Callable[[], Image], cut: Callable[[Image], U8], name: str) -> U8:
    """Return what `cut` makes of the image that `read` gives.

    Parameters
    ----------
    name : of the image, for the message

    Raises
    ------
    PvqError : it cannot be decoded
    """
    try:
        from PIL.Image import DecompressionBombError
    except ImportError as error:
        raise MissingExtra("pillow", "torch") from error
    try:
        with read() as image:
            return cut(image)
    except (OSError, ValueError, SyntaxError, DecompressionBombError) as error:
        raise PvqError(f"cannot read image {name}: {error}") from error
