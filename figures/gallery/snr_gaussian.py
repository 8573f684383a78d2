"""SNR of both camps on a Gaussian, against Shannon's limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pvq.figures.figure import FIGURES, Data, made
from pvq.figures.snr_curves import BITS, draw_curves, long_table, pruned, quantized
from pvq.figures.style import COLOURS, COLUMN
from pvq.theory.distributions.gaussian import Gaussian
from pvq.theory.limits import gaussian_limit_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SnrGaussian"]

LOOKS = {
    "Shannon limit": (COLOURS["limit"], ":"),
    "Lloyd-Max": (COLOURS["green"], "-"),
    "INT": (COLOURS["quantize"], "-"),
    "INT symmetric": (COLOURS["sky"], "--"),
    "pruning, free mask": (COLOURS["prune"], "-"),
    "entropy-coded mask": (COLOURS["orange"], "-."),
    "1-bit mask": (COLOURS["purple"], "--"),
}


@FIGURES.register("snr-gaussian")
@dataclass(frozen=True)
class SnrGaussian:
    """SNR against bits on a Gaussian: integers, Lloyd-Max, pruning with three prices of the mask, Shannon."""

    size: ClassVar[tuple[float, float]] = (COLUMN, 2.9)
    panels: ClassVar[tuple[int, int]] = (1, 1)

    def compute(self) -> Data:
        """Return the curves, and the SNR of both camps at 4 bits."""
        law = Gaussian()
        curves = {
            "Shannon limit": [gaussian_limit_db(bits) for bits in BITS],
            "Lloyd-Max": quantized(law, "lloyd-max[bits={bits}]"),
            "INT": quantized(law, "int[bits={bits}]"),
            "INT symmetric": quantized(law, "int[bits={bits},grid=symmetric]"),
            "pruning, free mask": pruned(law),
            "entropy-coded mask": pruned(law, mask="entropy"),
            "1-bit mask": pruned(law, mask="bitmap"),
        }
        at_4 = {name: values[BITS.index(4)] for name, values in curves.items()}
        facts = {"quant_snr_db_at_4_bits": at_4["INT"], "prune_snr_db_at_4_bits": at_4["pruning, free mask"]}
        return made({"curves": long_table(curves)}, facts, figure="snr-gaussian")

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw all curves, named at their ends."""
        draw_curves(axes[0], data.tables["curves"], LOOKS, top=50)
