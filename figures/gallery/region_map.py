"""Who wins at which kurtosis and how many bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, get_args

import numpy as np

from pvq.figures.figure import FIGURES, Data, made, table
from pvq.figures.snr_curves import BITS
from pvq.figures.style import COLOURS, COLUMN
from pvq.theory.crossover import crossover
from pvq.theory.matched import Reading

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RegionMap"]

READINGS: tuple[Reading, ...] = get_args(Reading)
RANGE = (2.0, 1000.0)


@FIGURES.register("region-map")
@dataclass(frozen=True)
class RegionMap:
    """Who wins in the plane of kurtosis and bits, on Student's t with bounded support.

    Parameters
    ----------
    nu : degrees of freedom
    quantizer : number format, its width left open
    """

    nu: float = 2.0
    quantizer: str = "int"
    size: ClassVar[tuple[float, float]] = (COLUMN, 2.7)
    panels: ClassVar[tuple[int, int]] = (1, 1)

    def compute(self) -> Data:
        """Return, per reading and width, the kurtosis, the bound r and the SNR at which both camps tie."""
        rows = []
        for reading in READINGS:
            ties = [crossover(bits, self.quantizer, reading, self.nu) for bits in BITS]
            rows += [
                (reading, tie.bits, tie.kurtosis, tie.r, tie.snr_db)
                for tie in ties
                if np.isfinite(tie.kurtosis)
            ]
        reading_, bits_, kurtosis, r, snr = zip(*rows, strict=True)
        ties_ = table(reading=reading_, bits=bits_, kurtosis=kurtosis, r=r, snr_db=snr)
        return made({"crossover": ties_}, figure="region-map", nu=self.nu, quantizer=self.quantizer)

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw both crossovers and name the sides of the first."""
        panel = axes[0]
        truncated, clipped = (data.rows("crossover", reading=reading) for reading in READINGS)
        panel.fill_betweenx(
            truncated["bits"],
            RANGE[0],
            truncated["kurtosis"],
            color=COLOURS["quantize"],
            alpha=0.12,
            linewidth=0,
        )
        panel.fill_betweenx(
            truncated["bits"],
            truncated["kurtosis"],
            RANGE[1],
            color=COLOURS["prune"],
            alpha=0.12,
            linewidth=0,
        )
        panel.plot(
            truncated["kurtosis"],
            truncated["bits"],
            "o-",
            color=COLOURS["limit"],
            clip_on=False,
            label="truncated",
        )
        panel.plot(
            clipped["kurtosis"],
            clipped["bits"],
            "s--",
            color=COLOURS["grey"],
            markersize=2.6,
            label="clipped",
        )
        panel.set(xscale="log", xlim=RANGE, ylim=(min(BITS), max(BITS)), yticks=BITS)
        panel.set_xticks([2, 3, 10, 30, 100, 300, 1000], ["2", "3", "10", "30", "100", "300", "1000"])
        panel.minorticks_off()
        panel.set(xlabel="kurtosis (3 for a Gaussian)", ylabel="bits per weight")
        panel.text(6, 6.2, "quantize", color=COLOURS["quantize"], ha="center", fontsize=9)
        panel.text(330, 4.8, "prune", color=COLOURS["prune"], ha="center", fontsize=9)
        panel.legend(loc="lower right", title=f"Student-t, nu = {self.nu:g}", alignment="left")
