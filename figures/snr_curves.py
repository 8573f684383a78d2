"""SNR against bits: the curves that several figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pvq.figures.figure import Table, table
from pvq.figures.style import label_ends
from pvq.theory.budget import Mask, density_at
from pvq.theory.distribution import WeightDistribution
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.snr import pruning_snr, quantization_snr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BITS", "draw_curves", "long_table", "pruned", "quantized"]

BITS = tuple(range(2, 9))


def quantized(law: WeightDistribution, spec: str, bits: Sequence[int] = BITS) -> list[float]:
    """Return the SNR in dB of a number format at each width; ``{bits}`` in `spec` stands for the width.

    >>> from pvq.theory.distributions.gaussian import Gaussian
    >>> [round(snr, 4) for snr in quantized(Gaussian(), "int[bits={bits}]", (2, 4))]
    [8.2556, 19.2577]
    """
    formats = [QUANTIZERS.build(spec.replace("{bits}", str(width))) for width in bits]
    return [quantization_snr(law, form.codebook(law)) for form in formats]


def pruned(law: WeightDistribution, bits: Sequence[int] = BITS, mask: Mask = "free") -> list[float]:
    """Return the SNR in dB of magnitude pruning to the density that `bits` pay for, mask included."""
    return [pruning_snr(law, density_at(width, mask)) for width in bits]


def long_table(curves: Mapping[str, Sequence[float]], bits: Sequence[int] = BITS) -> Table:
    """Return curves over `bits` as one table with columns curve, bits, snr_db.

    >>> long_table({"a": [1.0, 2.0]}, (2, 3))["bits"].tolist()
    [2, 3]
    """
    names = np.repeat(list(curves), len(bits))
    snr = np.concatenate([np.asarray(values, dtype=np.float64) for values in curves.values()])
    return table(curve=names, bits=np.tile(np.asarray(bits), len(curves)), snr_db=snr)


def draw_curves(axes: Axes, curves: Table, looks: Mapping[str, tuple[str, str]], top: float) -> None:
    """Draw a long table as curves with their names at the right end.

    Parameters
    ----------
    looks : colour and line style of each curve, by name
    top : upper end of the SNR axis, in dB
    """
    ends = []
    for name, (colour, line) in looks.items():
        mine = curves["curve"] == name
        x, y = curves["bits"][mine], curves["snr_db"][mine]
        axes.plot(x, y, line, color=colour, marker="o", clip_on=False)
        ends.append((name, float(x[-1]), float(y[-1]), colour))
    axes.set(xlim=(curves["bits"].min(), curves["bits"].max()), ylim=(0, top))
    axes.set(xlabel="bits per weight", ylabel="SNR (dB)", xticks=np.unique(curves["bits"]))
    label_ends(axes, ends)
