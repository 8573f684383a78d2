"""The report of a bound run: one HTML page that opens offline, and its pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.errors import MissingExtra
from pvq.figures.ranges import BAND, chunks, ranges_canvas
from pvq.figures.run import BoundRun, read_run
from pvq.figures.save import save_canvas
from pvq.figures.style import COLOURS, paper_style
from pvq.figures.text import count, db, kind, percent, width
from pvq.figures.verdicts import VERDICTS, advice, coverage, tally

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["write_report"]

_TEMPLATES = Path(__file__).with_name("templates")
# Colours of the picture that the page's own style sheet replaces, so that it follows light and dark.
_INKS = {
    "#222222": "var(--ink)",
    "#444444": "var(--soft)",
    "#e4e4e4": "var(--rule)",
    "#777777": "var(--soft)",
}
_INKS |= {BAND: "var(--tint)"}
_INKS |= {COLOURS["quantize"].lower(): "var(--quantize)", COLOURS["prune"].lower(): "var(--prune)"}


def write_report(run_dir: str | Path) -> Path:
    """Write report.html and figures/ of the bound run in `run_dir`; return the page's path.

    The page is one file without any request to elsewhere. It shows what is proved of how much of the
    network, what to do, the range of SNR (dB) of both camps on every layer, all rows, and how they were made.

    Parameters
    ----------
    run_dir : directory with bounds.json (or bounds.parquet) and manifest.json

    Raises
    ------
    PvqError : the run cannot be read
    MissingExtra : matplotlib or jinja2 is not installed
    """
    folder, run = Path(run_dir), read_run(run_dir)
    page = _environment().get_template("report.html.j2").render(
        run=run, pictures=_pictures(run, folder / "figures"), anchors=_anchors(run.layers), **_words(run)
    )  # fmt: skip
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _words(run: BoundRun) -> dict[str, Any]:
    """What the template says besides the rows themselves."""
    widths = [[row for row in run.rows if row.bits == bits] for bits in run.bits]
    return {
        "title": str(_find(run.manifest, "model") or "network"),
        "coverage": coverage(run.rows),
        "widths": [
            {"bits": bits, "advice": advice(run, bits), "tally": tally(rows), "coverage": coverage(rows)}
            for bits, rows in zip(run.bits, widths, strict=True)
        ],
        "verdicts": VERDICTS,
        "likely": _find(run.manifest, "likely"),
        "origin": list(_flat(run.manifest)),
        "sampled": any(row.rows and row.rows_total and row.rows < row.rows_total for row in run.rows),
    }


def _environment() -> Environment:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("jinja2", "figures") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(db=db, count=count, width=width, percent=percent, kind=kind)
    return environment


def _pictures(run: BoundRun, out: Path) -> list[dict[str, Any]]:
    """Save the range pictures as PNG and SVG; return the bits and the inline SVG of each."""
    out.mkdir(parents=True, exist_ok=True)
    pictures: list[dict[str, Any]] = []
    with paper_style():
        for bits in chunks(run.bits):
            picture = ranges_canvas(run, bits)
            name = f"snr-ranges-{'-'.join(map(width, bits))}-bits"
            save_canvas(picture, out / name)
            pictures.append({"bits": bits, "name": name, "svg": _inline(picture, f"p{len(pictures)}-")})
    return pictures


def _inline(picture: Any, prefix: str) -> Any:
    """Return the picture as SVG for a page: text stays text, ids are unique, colours follow the page."""
    from markupsafe import Markup
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none"}):
        picture.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{prefix}", svg)
    for colour, variable in _INKS.items():
        svg = re.sub(colour, variable, svg, flags=re.IGNORECASE)
    return Markup(svg)  # matplotlib has escaped the names of layers


def _anchors(layers: tuple[str, ...]) -> dict[str, str]:
    """Return an id for each layer: its name with what an id or a link cannot hold replaced, made unique."""
    anchors: dict[str, str] = {}
    for layer in layers:
        anchor = stem = "layer-" + (re.sub(r"[^A-Za-z0-9._-]+", "-", layer).strip("-") or "unnamed")
        copies = 1
        while anchor in anchors.values():
            copies += 1
            anchor = f"{stem}-{copies}"
        anchors[layer] = anchor
    return anchors


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
