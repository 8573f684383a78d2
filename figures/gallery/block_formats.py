"""SNR of four-bit block formats against the size of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pvq.figures.figure import FIGURES, Data, Table, made, table
from pvq.figures.style import COLOURS, PAGE, label_ends
from pvq.theory.block import BLOCK_FORMATS, block_snr_db
from pvq.theory.distribution import DISTRIBUTIONS, WeightDistribution
from pvq.theory.quantizer import QUANTIZERS
from pvq.theory.snr import quantization_snr

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BlockFormats"]

BLOCKS = (8, 16, 32, 64, 128, 256)
LAWS = {"gaussian": "Gaussian", "student-t[nu=5]": "Student-t, nu = 5"}
FORMATS = {
    "NF4": ("nf4[block={block}]", COLOURS["green"], "o"),
    "INT4": ("int[element_bits=4,block={block}]", COLOURS["quantize"], "s"),
    "NVFP4-like": ("nvfp4[block={block}]", COLOURS["purple"], "^"),
    "MXFP4": ("mxfp4[block={block}]", COLOURS["orange"], "D"),
}
WHOLE = "INT4, one scale"


@FIGURES.register("block-formats")
@dataclass(frozen=True)
class BlockFormats:
    """SNR of four-bit block formats against the block size, light and heavy tails."""

    size: ClassVar[tuple[float, float]] = (PAGE, 2.5)
    panels: ClassVar[tuple[int, int]] = (1, 2)

    def compute(self) -> Data:
        """Return law, format, block, bits (scale included) and SNR; block 0 is one scale for all."""
        rows = []
        for name in LAWS:
            law = DISTRIBUTIONS.build(name)
            rows += [(name, *row) for row in _rows(law)]
        law_, format_, block, bits, snr = zip(*rows, strict=True)
        columns = table(law=law_, format=format_, block=block, bits=bits, snr_db=snr)
        return made({"formats": columns}, figure="block-formats")

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw one panel per law, on one scale."""
        low, high = data.tables["formats"]["snr_db"].min(), data.tables["formats"]["snr_db"].max()
        for panel, (name, title) in zip(axes, LAWS.items(), strict=True):
            panel.set(xscale="log", xlim=(BLOCKS[0], BLOCKS[-1]), ylim=(low - 0.5, high + 0.5))
            panel.set_xticks(BLOCKS, [str(block) for block in BLOCKS])
            panel.minorticks_off()
            panel.set(xlabel="weights per scale (NF4, INT4: 16 bits; FP4: 8)", ylabel="SNR (dB)", title=title)
            _draw_law(panel, data.rows("formats", law=name))


def _rows(law: WeightDistribution) -> list[tuple[str, int, float, float]]:
    rows = []
    for name, (spec, _, _) in FORMATS.items():
        for block in BLOCKS:
            form = BLOCK_FORMATS.build(spec.replace("{block}", str(block)))
            rows.append((name, block, form.bits, block_snr_db(law, form)))
    whole = quantization_snr(law, QUANTIZERS.build("int[bits=4]").codebook(law))
    return [*rows, (WHOLE, 0, 4.0, whole)]


def _draw_law(axes: Axes, columns: Table) -> None:
    ends = []
    for name, (_, colour, marker) in FORMATS.items():
        mine = columns["format"] == name
        x, y = columns["block"][mine], columns["snr_db"][mine]
        axes.plot(x, y, marker=marker, color=colour, clip_on=False)
        ends.append((name, float(x[-1]), float(y[-1]), colour))
    whole = float(columns["snr_db"][columns["format"] == WHOLE][0])
    axes.axhline(whole, color=COLOURS["grey"], linestyle="--", linewidth=1)
    label_ends(axes, [*ends, (WHOLE, BLOCKS[-1], whole, COLOURS["grey"])])
