"""The page and the Markdown of a comparison of two runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pvq.empirical.atomic import write_text
from pvq.figures.compare import KINDS, NUMBERS, Change, Comparison
from pvq.figures.page import render
from pvq.figures.run_files import escaped, markdown_table
from pvq.figures.text import UNKNOWN, db, width

__all__ = ["write_comparison"]

_TITLES = {"achieved": "reached", "at_most": "at most"}


def write_comparison(comparison: Comparison, names: tuple[str, str], out: str | Path) -> Path:
    """Write compare.html and compare.md into `out`, made if absent; return the page's path.

    Parameters
    ----------
    names : what to call the two runs

    Raises
    ------
    MissingExtra : jinja2 is not installed
    """
    folder = Path(out)
    changes = sorted(comparison.changes, key=lambda change: KINDS.index(change.kind))
    write_text(folder / "compare.md", "\n".join(_lines(comparison, names)) + "\n")
    page = render(
        "compare.html.j2", comparison=comparison, changes=changes, names=names, numbers=NUMBERS,
        titles=_TITLES, kinds=KINDS,
        shown=shown, bits=sorted({change.row.bits for change in comparison.changes}),
    )  # fmt: skip
    write_text(folder / "compare.html", page)
    return folder / "compare.html"


def shown(change: Change, camp: str, key: str) -> str:
    """Return a number of the later run and how it has changed.

    >>> from pvq.figures.run import BoundRow, Camp
    >>> one, two = (BoundRow("a", 4, quantize=Camp(reached)) for reached in (1.0, 3.5))
    >>> shown(Change(one, two), "quantize", "achieved")
    '3.50 (+2.50)'
    """
    here = getattr(getattr(change.row, camp), key)
    shift = change.shift(camp, key)
    if shift is None or db(shift) in ("0.00", UNKNOWN):
        return db(here)
    return f"{db(here)} ({'+' if shift > 0 else ''}{db(shift)})"


def _lines(comparison: Comparison, names: tuple[str, str]) -> Iterator[str]:
    yield "# What changed from one run to another"
    yield from ("", f"A: {escaped(names[0])}, B: {escaped(names[1])}.", "")
    yield from (f"- {escaped(sentence)}" for sentence in comparison.sentences())
    yield from (f"- **Contradiction**: {escaped(text)}" for text in comparison.contradictions)
    yield from ("", "SNR in dB of B, in brackets the change from A. Rows without a change are left out.", "")
    yield from _table([change for change in comparison.changes if change.kind != "same"])


def _table(changes: list[Change]) -> list[str]:
    numbers = [f"{camp} {_TITLES[key]}" for camp, key in NUMBERS]
    header = ["layer", "bits", "change", "verdict A", "verdict B", *numbers]
    rows = [
        [c.row.layer, width(c.row.bits), c.kind, c.before.verdict if c.before else UNKNOWN,
         c.after.verdict if c.after else UNKNOWN, *(shown(c, camp, key) for camp, key in NUMBERS)]
        for c in changes
    ]  # fmt: skip
    return markdown_table(header, rows, [False, True, False, False, False, *(True for _ in numbers)])
