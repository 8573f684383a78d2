"""Where the error comes from: INT4 against 75 % pruning on a Gaussian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pvq.figures.figure import FIGURES, Data, made, table
from pvq.figures.style import COLOURS, COLUMN
from pvq.theory.budget import Budget
from pvq.theory.distributions.gaussian import Gaussian
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.snr import (
    magnitude_threshold,
    pruning_error,
    pruning_snr,
    quantization_error,
    quantization_snr,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ErrorDensity"]

RANGE, SHOWN, POINTS = 6.0, 4.0, 6001


@FIGURES.register("error-density")
@dataclass(frozen=True)
class ErrorDensity:
    """Error density (w - Q(w))^2 p(w) of INT and of pruning at the same bits on N(0, 1).

    Parameters
    ----------
    bits : bits per weight of both camps
    """

    bits: int = 4
    size: ClassVar[tuple[float, float]] = (COLUMN, 3.3)
    panels: ClassVar[tuple[int, int]] = (2, 1)

    def compute(self) -> Data:
        """Return both densities over w, and both expected errors and SNRs: the areas under the curves."""
        law, density = Gaussian(), Budget(self.bits).density
        codebook = QUANTIZERS.build(f"int[bits={self.bits}]").codebook(law)
        tau = magnitude_threshold(law, density)
        w = np.linspace(-RANGE, RANGE, POINTS)
        p = law.density(w)
        curves = table(
            w=w, quantize=(w - codebook.nearest(w)) ** 2 * p, prune=np.where(np.abs(w) < tau, w * w * p, 0.0)
        )
        facts = {
            "quant_error": quantization_error(law, codebook),
            "prune_error": pruning_error(law, density),
            "quant_snr_db": quantization_snr(law, codebook),
            "prune_snr_db": pruning_snr(law, density),
            "scale": codebook.scale,
            "threshold": tau,
            "sparsity": 1 - density,
        }
        return made({"density": curves}, facts, figure="error-density", bits=self.bits)

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw both on one scale above, and INT alone on its own scale below."""
        t, facts = data.tables["density"], data.facts
        for panel, camps in zip(axes, (("prune", "quantize"), ("quantize",)), strict=True):
            for camp in camps:
                panel.fill_between(t["w"], t[camp], color=COLOURS[camp], alpha=0.25, linewidth=0)
                panel.plot(t["w"], t[camp], color=COLOURS[camp], linewidth=0.9)
            panel.set(xlim=(-SHOWN, SHOWN), ylim=(0, None), ylabel="error density")
        axes[1].set_xlabel("weight")
        prune = f"prune {facts['sparsity']:.0%}\n{facts['prune_snr_db']:.1f} dB"
        axes[0].text(-1.6, 0.75 * t["prune"].max(), prune, color=COLOURS["prune"], ha="right", va="center")
        int_ = f"INT{self.bits}\n{facts['quant_snr_db']:.1f} dB"
        axes[0].text(1.6, 0.16 * t["prune"].max(), int_, color=COLOURS["quantize"], va="center")
        times = t["prune"].max() / t["quantize"].max()
        axes[1].set_title(f"INT{self.bits} alone, axis enlarged {times:.0f} times")
        axes[0].set_title("error density on N(0, 1); areas are errors")
