"""Number formats against the Shannon limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pvq.figures.figure import FIGURES, Data, made, table
from pvq.figures.style import COLOURS, PAGE, label_ends
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution
from pvq.theory.limits import DensityLaw, shannon_limit_db
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.snr import quantization_snr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Formats"]

LIMIT = "Shannon limit"
# Curves that do not end at 8 bits inside a panel are named at some width, so many points to the right and up.
NAMED = {
    "snr_db": {"powers of 2": (5, -20.0, -10.0)},
    "below_limit_db": {"NF4": (4, 5.0, -9.0), "APoT": (5, 6.0, -2.0), "powers of 2": (3, -27.0, -62.0)},
}
WORST_GAP = 9.0  # dB shown in the right panel
# name: spec at each width, widths, colour, line
FORMATS: dict[str, tuple[str, tuple[int, ...], str, str]] = {
    "Lloyd-Max": ("lloyd-max[bits={bits}]", tuple(range(2, 9)), COLOURS["green"], "-"),
    "NF4": ("nf4", (4,), COLOURS["limit"], ""),
    "INT": ("int[bits={bits}]", tuple(range(2, 9)), COLOURS["quantize"], "-"),
    "APoT": ("apot[bits={bits}]", tuple(range(2, 9)), COLOURS["orange"], "-"),
    "powers of 2": ("pot[bits={bits}]", tuple(range(2, 7)), COLOURS["orange"], ":"),
    **{
        f"float E{e}": (
            f"float[exponent={e},mantissa={{mantissa}}]",
            tuple(range(e + 1, 9)),
            COLOURS["purple"],
            line,
        )
        for e, line in ((2, "-"), (3, "--"), (4, "-."), (5, ":"))
    },
}


@FIGURES.register("formats")
@dataclass(frozen=True)
class Formats:
    """Number formats with the best scale per tensor: SNR, and distance to the Shannon limit.

    Parameters
    ----------
    law : distribution of the weights, one with a density
    """

    law: str = "gaussian"
    size: ClassVar[tuple[float, float]] = (PAGE, 3.0)
    panels: ClassVar[tuple[int, int]] = (1, 2)

    def compute(self) -> Data:
        """Return one row per format and width: SNR and distance to the limit, in dB."""
        law = DISTRIBUTIONS.build(self.law)
        limit = _limit(law)
        rows = [(LIMIT, bits, limit[bits], 0.0) for bits in limit]
        for name, (spec, widths, _, _) in FORMATS.items():
            for bits in widths:
                snr = quantization_snr(law, QUANTIZERS.build(_at(name, spec, bits)).codebook(law))
                rows.append((name, bits, snr, limit[bits] - snr))
        form, bits_, snr_, gap = zip(*rows, strict=True)
        columns = table(format=form, bits=bits_, snr_db=snr_, below_limit_db=gap)
        return made({"formats": columns}, figure="formats", law=self.law)

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw SNR on the left and the distance to the limit on the right."""
        left, right = axes
        left.set(xlim=(2, 8), ylim=(0, 50), ylabel="SNR (dB)", title=f"SNR, {self.law} weights")
        right.set(
            xlim=(2, 8),
            ylim=(WORST_GAP, 0),
            ylabel="dB below the limit",
            title="distance to the Shannon limit",
        )
        limit = data.rows("formats", format=LIMIT)
        left.plot(limit["bits"], limit["snr_db"], color=COLOURS["limit"], linewidth=0.9)
        _draw(left, data, "snr_db", [(LIMIT, 8, float(limit["snr_db"][-1]), COLOURS["limit"])])
        _draw(right, data, "below_limit_db", [])


def _at(name: str, spec: str, bits: int) -> str:
    """Return the spec at `bits` bits; a float spends one on the sign and `e` on the exponent."""
    mantissa = bits - 1 - int(name[-1]) if "{mantissa}" in spec else 0
    return spec.replace("{bits}", str(bits)).replace("{mantissa}", str(mantissa))


def _limit(law: WeightDistribution) -> dict[int, float]:
    if not isinstance(law, DensityLaw):
        raise ValueError(f"law must have a density, got {law}")
    return {bits: shannon_limit_db(law, bits) for bits in range(2, 9)}


def _draw(axes: Axes, data: Data, column: str, ends: list[tuple[str, float, float, str]]) -> None:
    """Draw every format and name it where its curve ends or leaves the panel."""
    low, high = sorted(axes.get_ylim())
    for name, (_, _, colour, line) in FORMATS.items():
        mine = data.rows("formats", format=name)
        axes.plot(mine["bits"], mine[column], line, color=colour, marker="*" if not line else "o",
                  markersize=6 if not line else 2.6)  # fmt: skip
        x, y = float(mine["bits"][-1]), float(mine[column][-1])
        if x == 8 and low <= y <= high:
            ends.append((name, x, y, colour))
    for name, (bits, right, up) in NAMED[column].items():
        y = float(data.rows("formats", format=name, bits=bits)[column][0])
        axes.annotate(
            name, (bits, y), (right, up), textcoords="offset points", color=FORMATS[name][2], fontsize=7
        )
    axes.set(xlabel="bits per weight", xticks=np.arange(2, 9))
    label_ends(axes, ends)
