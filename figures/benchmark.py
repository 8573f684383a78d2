"""The picture of a benchmark suite: processor time against size, or against the error of the points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.figures.save import save_canvas
from pvq.figures.style import COLOURS, PAGE, canvas, paper_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_benchmark"]

MOST_PANELS = 4
PANEL = 2.6  # inches high
HEURISTICS = "heuristics"
LEAST_EXCESS = 1e-4  # points at the best error are drawn here

Row = Mapping[str, Any]


def draw_benchmark(suite: Mapping[str, Any], stem: Path) -> list[Path]:
    """Write a suite's picture as `stem`.png and `stem`.svg; return the paths, none where nothing was timed.

    Each panel shows one source of problems, one feasible set and one comparison, those with the most numbers:
    median processor seconds over the seeds, with the range as a bar, against n. For the suite of heuristics
    each panel has one n, and the abscissa is the excess of the points over the best one found. Hollow marks:
    a run was cut off by its limit.

    Parameters
    ----------
    suite : as `pvq.solvers.bench.run.run_suites` returns it
    stem : path without suffix; its folder exists

    Raises
    ------
    MissingExtra : matplotlib is not installed
    """
    by_excess = suite["suite"] == HEURISTICS
    rows = [
        row for row in suite["summary"] if row["cpu_median"] and (row["excess"] is not None or not by_excess)
    ]
    panels = _panels(rows, ("source", "set", "versus", *(["n"] if by_excess else [])))
    if not panels:
        return []
    with paper_style():
        columns = min(2, len(panels))
        shape = (-(-len(panels) // columns), columns)
        picture = canvas((PAGE, PANEL * shape[0]), shape)
        colours = _colours(rows)
        for axes, members in zip(picture.axes, panels, strict=False):
            axes.set(yscale="log", ylabel="processor seconds")
            (_draw_excess if by_excess else _draw_times)(axes, members, colours)
        for axes in picture.axes[len(panels) :]:
            axes.set_axis_off()
        picture.set_layout_engine("tight")
        return save_canvas(picture, stem)


def _panels(rows: Sequence[Row], names: Sequence[str]) -> list[list[Row]]:
    """Return the rows that share what is named, the groups with the most rows, in the order of the suite."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    most = sorted(groups, key=lambda key: -len(groups[key]))[:MOST_PANELS]
    return [group for key, group in groups.items() if key in most]


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    palette = list(COLOURS.values())
    return {method: palette[i % len(palette)] for i, method in enumerate(methods)}


def _draw_times(axes: Axes, rows: Sequence[Row], colours: Mapping[str, str]) -> None:
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = {row["n"]: row for row in rows if row["method"] == method}
        sizes = sorted(mine)
        middle = [mine[n]["cpu_median"] for n in sizes]
        below = [mine[n]["cpu_median"] - mine[n]["cpu_min"] for n in sizes]
        above = [mine[n]["cpu_max"] - mine[n]["cpu_median"] for n in sizes]
        slope = mine[sizes[-1]]["growth"]
        label = method if slope is None else f"{method}: n^{slope:.1f}"
        cut = any(mine[n]["finished"] < mine[n]["seeds"] for n in sizes)
        axes.errorbar(
            sizes,
            middle,
            yerr=[below, above],
            fmt="o-",
            fillstyle="none" if cut else "full",
            capsize=2,
            color=colours[method],
            label=label,
        )
    ticks = sorted({row["n"] for row in rows})
    axes.set(xscale="log", xlabel="n", title=f"{rows[0]['source']}, {rows[0]['set']}")
    axes.legend(fontsize=5, frameon=False)
    axes.set_xticks(ticks, [str(n) for n in ticks])
    axes.minorticks_off()


def _draw_excess(axes: Axes, rows: Sequence[Row], colours: Mapping[str, str]) -> None:
    for row in rows:
        x, y = max(row["excess"], LEAST_EXCESS), row["cpu_median"]
        style = "full" if row["finished"] == row["seeds"] else "none"
        axes.plot(x, y, "o", color=colours[row["method"]], fillstyle=style)
        axes.annotate(
            row["method"], (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=5
        )
    axes.set(xscale="log", xlabel="error beyond the best found, relative")
    axes.margins(x=0.2)
    axes.set_title(f"{rows[0]['source']}, {rows[0]['set']}, n = {rows[0]['n']}")
