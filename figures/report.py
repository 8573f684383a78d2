"""The report of a bound run: one HTML page that opens offline, its pictures, the rows as CSV and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvq.empirical.atomic import write_text
from pvq.figures.anchors import anchors_of
from pvq.figures.columns import columns_of
from pvq.figures.cost import cost_sentences, layer_seconds
from pvq.figures.distance import LIMITS, Distance, distances, sentences
from pvq.figures.held_out import held_out_sentences
from pvq.figures.kurtosis import kurtosis_sentence
from pvq.figures.page import render
from pvq.figures.pictures import pictures_of
from pvq.figures.run import BoundRow, BoundRun
from pvq.figures.run_files import write_csv, write_markdown
from pvq.figures.stored_run import read_run
from pvq.figures.verdicts import VERDICTS, advice, headline, proved_words, scope, tally

__all__ = ["write_report"]


@dataclass(frozen=True)
class Width:
    """What the page says of one bit width."""

    bits: float
    advice: str
    tally: Mapping[str, int]
    proved: str
    distances: Sequence[Distance]
    distance_sentences: Sequence[str]
    kurtosis: str


def write_report(run_dir: str | Path) -> Path:
    """Write report.html, bounds.csv, bounds.md and figures/ of a bound run; return the page's path.

    The page is one file without any request to elsewhere. It shows what is proved of how much of the
    network, what to do, the range of SNR (dB) of both camps on every layer, how far the standard methods are
    from the ceiling, all rows, and how they were made.

    Parameters
    ----------
    run_dir : directory with bounds.json (or bounds.parquet) and manifest.json

    Raises
    ------
    PvqError : the run cannot be read
    MissingExtra : matplotlib or jinja2 is not installed
    """
    folder, run = Path(run_dir), read_run(run_dir)
    write_csv(run, folder / "bounds.csv")
    write_markdown(run, folder / "bounds.md")
    anchors, widths = anchors_of(run.layers), [_width(run, bits) for bits in run.bits]
    found = {width.bits: width.distances for width in widths}
    pictures = pictures_of(run, found, anchors, folder / "figures")
    page = render("report.html.j2", run=run, pictures=pictures, anchors=anchors, widths=widths, **_words(run))
    write_text(folder / "report.html", page)
    return folder / "report.html"


def _width(run: BoundRun, bits: float) -> Width:
    rows = run.at(bits)
    return Width(
        bits, advice(run, bits), tally(rows), proved_words(rows, "layers"), distances(rows), sentences(rows),
        kurtosis_sentence(rows),
    )  # fmt: skip


def _words(run: BoundRun) -> dict[str, Any]:
    """What the template says besides the rows themselves."""
    layers: dict[str, list[BoundRow]] = {layer: [] for layer in run.layers}
    for row in run.rows:
        layers[row.layer].append(row)
    return {
        "title": run.model,
        "headline": headline(run),
        "scope": scope(run),
        "tally": tally(run.rows),
        "layers": layers,
        "columns": columns_of(run.rows),
        "limits": LIMITS,
        "cost": cost_sentences(run.rows),
        "seconds": layer_seconds(run.rows),
        "held_out": held_out_sentences(run.rows),
        "verdicts": VERDICTS,
        "likely": _find(run.manifest, "likely"),
        "calibration": _calibration(run.manifest),
        "origin": list(_flat(run.manifest)),
    }


def _calibration(manifest: Mapping[str, Any]) -> str:
    """Return the calibration images as the manifest names them; empty where it does not."""
    about = manifest.get("calibration")
    if not isinstance(about, Mapping):
        return str(about or "")
    digest = str(about.get("digest") or "")
    name = str(about.get("calibration") or "")
    return f"{name} (content {digest[:12]})" if name and digest else name


def _find(tree: Any, key: str) -> Any:
    """Return the first value under `key` in a nested mapping, breadth first; None if there is none."""
    level = [tree]
    while level:
        for node in level:
            if isinstance(node, Mapping) and isinstance(node.get(key), (str, int, float)):
                return node[key]
        level = [child for node in level if isinstance(node, Mapping) for child in node.values()]
    return None


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each leaf of a nested mapping that says anything, with its path; a list is one line."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key} / ")
        elif value is not None and value != "":
            yield f"{path}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
