"""Pruning and quantization together, at a fixed total budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pvq.figures.figure import FIGURES, Data, made, table
from pvq.figures.style import COLOURS, PAGE, label_ends
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.joint import split_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Joint"]

TOTALS = (2, 4)
WIDTHS = (2, 3, 4, 5, 6, 7, 8, 12, 16)
LAWS = {
    "gaussian": ("Gaussian", COLOURS["quantize"]),
    "laplace": ("Laplace", COLOURS["green"]),
    "generalized-normal[beta=0.5]": ("gen. normal, β = 0.5", COLOURS["prune"]),
}


@FIGURES.register("joint")
@dataclass(frozen=True)
class Joint:
    """SNR of pruning and quantizing together at 2 and at 4 bits in total, by the width of a kept weight."""

    size: ClassVar[tuple[float, float]] = (PAGE, 2.6)
    panels: ClassVar[tuple[int, int]] = (1, 2)

    def compute(self) -> Data:
        """Return the splits of each total: width, density, total bits and SNR; the mask is entropy-coded."""
        rows = []
        for name in LAWS:
            law = DISTRIBUTIONS.build(name)
            for total in TOTALS:
                widths = [width for width in WIDTHS if width >= total]
                points = split_curve(law, total, "entropy", "int", widths)
                rows += [
                    (name, total, point.value_bits, point.density, point.bits, point.snr_db)
                    for point in points
                ]
        names = ("law", "total_bits", "value_bits", "density", "spent_bits", "snr_db")
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        return made({"splits": table(**columns)}, figure="joint", mask="entropy", quantizer="int")

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw one panel per total; a ring marks the best split."""
        for panel, total in zip(axes, TOTALS, strict=True):
            widths = [width for width in WIDTHS if width >= total]
            high = data.rows("splits", total_bits=total)["snr_db"].max()
            panel.set(
                xscale="log",
                xlim=(total, 16),
                ylim=(0, high + 1.5),
                title=f"{total} bits per weight in total",
            )
            panel.set_xticks(widths, [str(width) for width in widths])
            panel.set_yticks(np.arange(0, high + 1.5, 5 if high > 15 else 2))
            panel.minorticks_off()
            panel.set(xlabel="bits of a kept weight (16: pruning alone)", ylabel="SNR (dB)")
            _draw(panel, data, total)


def _draw(axes: Axes, data: Data, total: int) -> None:
    ends = []
    for name, (label, colour) in LAWS.items():
        mine = data.rows("splits", law=name, total_bits=total)
        x, y = mine["value_bits"], mine["snr_db"]
        axes.plot(x, y, "o-", color=colour, clip_on=False)
        best = int(np.argmax(y))
        axes.plot(x[best], y[best], "o", color=colour, markersize=7, fillstyle="none", clip_on=False)
        label += f"\n{_percent(mine['density'][best])} kept at {x[best]} bits"
        ends.append((label, float(x[-1]), float(y[-1]), colour))
    label_ends(axes, ends, points=20)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
