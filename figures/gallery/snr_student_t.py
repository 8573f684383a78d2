"""SNR of both camps on Student's t with two degrees of freedom, truncated and clipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pvq.figures.figure import FIGURES, Data, made
from pvq.figures.snr_curves import BITS, draw_curves, long_table, pruned, quantized
from pvq.figures.style import COLOURS, PAGE
from pvq.theory.distribution import DISTRIBUTIONS, kurtosis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SnrStudentT"]

READINGS = ("truncated", "clipped")
LOOKS = {
    "INT": (COLOURS["quantize"], "-"),
    "INT symmetric": (COLOURS["sky"], "--"),
    "pruning": (COLOURS["prune"], "-"),
}


@FIGURES.register("snr-student-t")
@dataclass(frozen=True)
class SnrStudentT:
    """SNR against bits on a heavy-tailed law: Student's t on [-r, r], truncated and clipped.

    Parameters
    ----------
    nu : degrees of freedom
    r : half-width of the support
    """

    nu: float = 2.0
    r: float = 100.0
    size: ClassVar[tuple[float, float]] = (PAGE, 2.5)
    panels: ClassVar[tuple[int, int]] = (1, 2)

    def compute(self) -> Data:
        """Return one table per reading, and the largest width at which pruning wins."""
        tables, facts = {}, {}
        for reading in READINGS:
            law = DISTRIBUTIONS.build(f"{reading}[law=student-t[nu={self.nu}],r={self.r}]")
            int_, prune = quantized(law, "int[bits={bits}]"), pruned(law)
            symmetric = quantized(law, "int[bits={bits},grid=symmetric]")
            tables[reading] = long_table({"INT": int_, "INT symmetric": symmetric, "pruning": prune})
            facts[f"{reading}_kurtosis"] = kurtosis(law)
            won = [b for b, q, p in zip(BITS, int_, prune, strict=True) if p > q]
            facts[f"{reading}_prune_wins_to_bits"] = max(won, default=0)
        return made(tables, facts, figure="snr-student-t", nu=self.nu, r=self.r)

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw one panel per reading."""
        top = 5 * np.ceil(max(t["snr_db"].max() for t in data.tables.values()) / 5)
        for panel, reading in zip(axes, READINGS, strict=True):
            draw_curves(panel, data.tables[reading], LOOKS, float(top))
            panel.set_title(f"{reading} at ±{self.r:g}: kurtosis {data.facts[f'{reading}_kurtosis']:.0f}")
            wins = data.facts[f"{reading}_prune_wins_to_bits"]
            if wins:
                panel.axvspan(min(BITS), wins + 0.5, color=COLOURS["prune"], alpha=0.08, linewidth=0)
                panel.text(0.02, 0.96, "pruning wins", color=COLOURS["prune"], fontsize=7, va="top",
                           transform=panel.transAxes)  # fmt: skip
