"""Both camps on every weight tensor of 45 published networks, against theory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pvq.arrays import F64, Bool
from pvq.figures.figure import FIGURES, Data, Table, made, table
from pvq.figures.style import COLOURS, PAGE
from pvq.figures.zoo import Zoo, published_zoo
from pvq.figures.zoo_theory import FAMILIES, FamilyCurve, family_curve, predicted_share, predicts_quantize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ZooScatter"]

BITS = (2, 4, 8)
LOOKS = dict(zip(FAMILIES, ("-", "--", "-."), strict=True))
SHORT = dict(zip(FAMILIES, ("Student-t", "truncated t", "gen. normal"), strict=True))
EDGES = np.array([3, 4, 5, 6, 8, 11, 16, 24, 40, 80, 1500], dtype=float)  # bins of kurtosis, each well filled


@FIGURES.register("zoo-scatter")
@dataclass(frozen=True)
class ZooScatter:
    """SNR of pruning against quantization on 45 published networks, with what theory predicts."""

    size: ClassVar[tuple[float, float]] = (PAGE, 5.3)
    panels: ClassVar[tuple[int, int]] = (2, 3)

    def compute(self) -> Data:
        """Return the tensors, curves of three families, wins by kurtosis, and shares predicted."""
        zoo = published_zoo()
        curves = {name: family_curve(name, BITS) for name in FAMILIES}
        tables = {
            "tensors": zoo.table(),
            "theory": _theory(curves),
            "wins": _wins(zoo),
            "predicted": _shares(zoo, curves),
        }
        facts: dict[str, Any] = {"models": len(set(zoo.model.tolist())), "rows_left_out": zoo.left_out}
        return made(
            tables, facts, figure="zoo-scatter", source="Kuzmin et al., NeurIPS 2023, arXiv 2307.02973"
        )

    def draw(self, data: Data, axes: Sequence[Axes]) -> None:
        """Draw SNR against SNR above, and how often pruning wins at a given kurtosis below."""
        for bits, panel in zip(BITS, axes[:3], strict=True):
            points = _draw_tensors(panel, data, bits)
            panel.set_title(f"{bits} bits, {_percent(1 - bits / 16)} pruned")
        bar = axes[0].figure.colorbar(points, ax=list(axes[:3]), pad=0.01, aspect=25)
        bar.set_label("kurtosis")
        bar.set_ticks([3, 10, 30, 100], labels=["≤ 3", "10", "30", "≥ 100"])
        bar.ax.minorticks_off()
        axes[0].set_ylabel("pruning SNR (dB)")
        for bits, panel in zip(BITS, axes[3:], strict=True):
            _draw_wins(panel, data, bits)
        axes[3].set_ylabel("tensors that pruning wins")


def _theory(curves: dict[str, FamilyCurve]) -> Table:
    """Put the families' curves into one long table."""
    rows = [
        (name, bits, float(k), float(curve.quant_snr_db[i, j]), float(curve.prune_snr_db[i, j]))
        for name, curve in curves.items()
        for j, bits in enumerate(BITS)
        for i, k in enumerate(curve.kurtosis)
    ]
    return table(
        **dict(
            zip(
                ("family", "bits", "kurtosis", "quant_snr_db", "prune_snr_db"),
                zip(*rows, strict=True),
                strict=True,
            )
        )
    )


def _wins(zoo: Zoo) -> Table:
    """Count, per width and bin of kurtosis, tensors and those that pruning wins."""
    columns: dict[str, list[float]] = {key: [] for key in ("bits", "kurtosis", "tensors", "prune_wins")}
    for bits in BITS:
        mine = zoo.bits == bits
        place = np.clip(np.digitize(zoo.kurtosis[mine], EDGES) - 1, 0, len(EDGES) - 2)
        for i in range(len(EDGES) - 1):
            inside: Bool = place == i
            columns["bits"].append(bits)
            columns["kurtosis"].append(float(np.median(zoo.kurtosis[mine][inside])))
            columns["tensors"].append(int(inside.sum()))
            won = zoo.prune_snr_db[mine][inside] > zoo.quant_snr_db[mine][inside]
            columns["prune_wins"].append(int(won.sum()))
    return table(**columns)


def _shares(zoo: Zoo, curves: dict[str, FamilyCurve]) -> Table:
    """Return the share of tensors whose winner each rule predicts, and where the rule changes sides."""
    rows: list[tuple[str, int, float, float]] = []
    for bits in BITS:
        rows.append(("always quantize", bits, predicted_share(zoo, _always, bits), 0.0))
        for name, curve in curves.items():
            share = predicted_share(zoo, predicts_quantize(curve), bits)
            rows.append((name, bits, share, curve.crossover(bits) or 0.0))
    rule, width, share_, crossover = zip(*rows, strict=True)
    return table(rule=rule, bits=width, share=share_, crossover_kurtosis=crossover)


def _always(bits: int, kurtosis: F64) -> Bool:
    return np.ones_like(kurtosis, dtype=bool)


def _draw_tensors(axes: Axes, data: Data, bits: int) -> Any:
    from matplotlib.colors import LogNorm

    mine = data.rows("tensors", bits=bits)
    order = np.argsort(mine["kurtosis"], kind="stable")
    x, y, k = (mine[key][order] for key in ("quant_snr_db", "prune_snr_db", "kurtosis"))
    points = axes.scatter(
        x, y, c=k, s=2.5, cmap="viridis_r", norm=LogNorm(3, 100), linewidths=0, rasterized=True
    )
    high = float(max(np.quantile(x, 0.999), np.quantile(y, 0.999))) + 2
    axes.plot([0, high], [0, high], color=COLOURS["grey"], linewidth=0.7)
    for name, line in LOOKS.items():
        theory = data.rows("theory", bits=bits, family=name)
        axes.plot(theory["quant_snr_db"], theory["prune_snr_db"], line, color=COLOURS["limit"], linewidth=1.1)
    axes.set(xlim=(0, high), ylim=(0, high), xlabel="quantization SNR (dB)", aspect="equal")
    return points


def _draw_wins(axes: Axes, data: Data, bits: int) -> None:
    wins = data.rows("wins", bits=bits)
    axes.plot(wins["kurtosis"], wins["prune_wins"] / wins["tensors"], "o-", color=COLOURS["prune"])
    axes.set(xscale="log", xlim=(3, 200), ylim=(0, 1), xlabel="kurtosis")
    axes.set_yticks(np.linspace(0, 1, 5), [_percent(share) for share in np.linspace(0, 1, 5)])
    axes.set_xticks([3, 10, 30, 100], ["3", "10", "30", "100"])
    axes.minorticks_off()
    shares = data.rows("predicted", bits=bits)
    for rule, crossover in zip(shares["rule"], shares["crossover_kurtosis"], strict=True):
        if crossover:
            axes.axvline(crossover, color=COLOURS["limit"], linestyle=LOOKS[rule], linewidth=1.1)
    _key(axes, shares)


def _key(axes: Axes, shares: Table) -> None:
    """Name the lines below the panel, each with the share of tensors whose winner it predicts."""
    for rule, share in zip(shares["rule"], shares["share"], strict=True):
        label = f"{SHORT.get(rule, rule)}: {100 * share:.1f} %"
        axes.plot(
            [], [], color=COLOURS["limit"], linestyle=LOOKS.get(rule, "none"), linewidth=1.1, label=label
        )
    axes.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.2), title="winner predicted by", alignment="left")


def _percent(share: float) -> str:
    """A share in percent with the decimals it needs, at most one."""
    return f"{round(100 * share, 1):g} %"
