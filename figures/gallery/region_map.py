"""Who wins at which kurtosis and how many bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, get_args

import numpy as np

from pvq.figures.figure import FIGURES, Data, Table, made, table
from pvq.figures.snr_curves import BITS
from pvq.figures.style import COLOURS, PAGE
from pvq.theory.crossover import crossover, region_map
from pvq.theory.matched import Reading

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RegionMap"]

READINGS: tuple[Reading, ...] = get_args(Reading)
KURTOSES = np.geomspace(2, 1000, 13)
LINES = (-5, 5, 10, 20)  # dB
LIGHT = {"prune": "#e9a36f", "quantize": "#73b1d6"}  # the camps' colours, half way to white
STRONGEST = 25.0  # dB of advantage at which the colour saturates


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
    size: ClassVar[tuple[float, float]] = (PAGE, 2.8)
    panels: ClassVar[tuple[int, int]] = (1, 2)

    def compute(self) -> Data:
        """Return, per reading, SNRs over kurtosis and bits, and where both camps tie at each width."""
        grids = [self._grid(reading) for reading in READINGS]
        ties = [self._ties(reading) for reading in READINGS]
        tables = {"map": _stack(grids), "crossover": _stack(ties)}
        return made(tables, figure="region-map", nu=self.nu, quantizer=self.quantizer)

    def _grid(self, reading: Reading) -> Table:
        found = region_map(KURTOSES, BITS, self.quantizer, reading, self.nu)
        kurtosis, bits = np.meshgrid(found.kurtosis, found.bits, indexing="ij")
        quant, prune = found.quant_snr_db.ravel(), found.prune_snr_db.ravel()
        names = np.full(kurtosis.size, reading)
        return table(
            reading=names,
            kurtosis=kurtosis.ravel(),
            bits=bits.ravel(),
            quant_snr_db=quant,
            prune_snr_db=prune,
        )

    def _ties(self, reading: Reading) -> Table:
        ties = [crossover(bits, self.quantizer, reading, self.nu) for bits in BITS]
        ties = [tie for tie in ties if np.isfinite(tie.kurtosis)]
        columns = {key: [getattr(tie, key) for tie in ties] for key in ("bits", "kurtosis", "r", "snr_db")}
        return table(reading=[reading] * len(ties), **columns)

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw one panel per reading."""
        for panel, reading in zip(axes, READINGS, strict=True):
            panel.set(
                xscale="log", xlim=(KURTOSES[0], KURTOSES[-1]), ylim=(min(BITS), max(BITS)), yticks=BITS
            )
            _shade(panel, data.rows("map", reading=reading))
            ties = data.rows("crossover", reading=reading)
            panel.plot(ties["kurtosis"], ties["bits"], "o-", color=COLOURS["limit"], clip_on=False)
            panel.set_xticks([2, 3, 10, 30, 100, 300, 1000], ["2", "3", "10", "30", "100", "300", "1000"])
            panel.minorticks_off()
            panel.grid(visible=False)
            panel.set(xlabel="kurtosis (3 for a Gaussian)", ylabel="bits per weight")
            panel.set_title(f"Student-t, nu = {self.nu:g}, {reading}")
            panel.text(2.3, 7.4, "quantize", fontsize=9)
            panel.text(300, 3.4, "prune", fontsize=9)


def _stack(parts: Sequence[Table]) -> Table:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _shade(axes: Axes, grid: Table) -> None:
    """Colour the plane by quantization's advantage; lines at whole decibels."""
    from matplotlib.colors import LinearSegmentedColormap

    shape = (len(KURTOSES), len(BITS))
    x, y = grid["kurtosis"].reshape(shape), grid["bits"].reshape(shape)
    advantage = (grid["quant_snr_db"] - grid["prune_snr_db"]).reshape(shape)
    colours = LinearSegmentedColormap.from_list("camps", [LIGHT["prune"], "#ffffff", LIGHT["quantize"]])
    axes.pcolormesh(
        x, y, advantage, cmap=colours, vmin=-STRONGEST, vmax=STRONGEST, shading="gouraud", rasterized=True
    )
    lines = axes.contour(
        x, y, advantage, levels=LINES, colors=COLOURS["grey"], linewidths=0.6, linestyles="-"
    )
    for text in axes.clabel(lines, fmt=lambda level: f"{level:+.0f} dB", fontsize=6):
        text.set_in_layout(False)
