"""The rows of a run for other programs and other readers: bounds.csv and bounds.md."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pvq.empirical.atomic import write_text
from pvq.figures.columns import columns_of
from pvq.figures.cost import cost_sentences
from pvq.figures.distance import sentences
from pvq.figures.held_out import held_out_sentences
from pvq.figures.kurtosis import kurtosis_sentence
from pvq.figures.run import BoundRun
from pvq.figures.text import width
from pvq.figures.verdicts import advice, headline, proved_words, scope

__all__ = ["markdown_table", "write_csv", "write_markdown"]


def write_csv(run: BoundRun, path: Path) -> None:
    """Write every stored field of every row; unknown values are empty, infinite ones ``inf``."""
    names = list(dict.fromkeys(key for row in run.stored for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_plain(row.get(name)) for name in names] for row in run.stored)
    write_text(path, text.getvalue())


def write_markdown(run: BoundRun, path: Path) -> None:
    """Write what the report says in sentences, and its table."""
    write_text(path, "\n".join(_lines(run)) + "\n")


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]
) -> list[str]:
    r"""Return the lines of a table.

    Parameters
    ----------
    numbers : which columns are set to the right

    >>> print(*markdown_table(["layer", "dB"], [["a|b", "1.0"]], [False, True]), sep=chr(10))
    | layer | dB |
    | --- | ---: |
    | a\|b | 1.0 |
    """
    rule = ["---:" if number else "---" for number in numbers]
    lines = [[escaped(cell) for cell in header], rule, *([escaped(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> print(escaped("layer_1 *new*"))
    layer\_1 \*new\*
    """
    line = " ".join(text.split())
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#$~&" else character for character in line)


def _lines(run: BoundRun) -> Iterator[str]:
    yield f"# Prune or quantize {escaped(run.model)}?"
    yield from ("", f"**{escaped(headline(run))}** {escaped(scope(run))}")
    for bits in run.bits:
        rows = run.at(bits)
        yield from ("", f"## At {width(bits)} bits per weight", "", escaped(advice(run, bits)))
        yield from ("", escaped(f"Proved for {proved_words(rows, 'layers')}."))
        said = [*sentences(rows), kurtosis_sentence(rows)]
        yield from ("", *(f"- {escaped(sentence)}" for sentence in said if sentence))
    yield from ("", "## Cost and fresh images", "")
    yield from (f"- {escaped(sentence)}" for sentence in [*cost_sentences(run.rows), *_fresh(run)])
    yield from ("", "## All results", "", _MEANING, "")
    yield from _table(run)


_MEANING = (
    "SNR of the layer's output in dB. *Reached*: by a point that was found; *at most*: no point exceeds it. "
    "*Lead*: what the better camp has reached less the other's ceiling; above 0 it is a proof. What exactly "
    "is proved, and how this was made, stands in report.html and manifest.json."
)


def _fresh(run: BoundRun) -> list[str]:
    found = held_out_sentences(run.rows)
    bound = "A bound holds for the Gram matrix H of the calibration images that the manifest names."
    return [bound, *found] if found else [bound, "No held-out images were measured."]


def _table(run: BoundRun) -> list[str]:
    columns = columns_of(run.rows)
    header = ["layer", "bits", "verdict", *(f"{column.group} {column.name}".strip() for column in columns)]
    rows = [
        [row.layer, width(row.bits), row.verdict if row.camp != "failed" else f"no verdict: {row.note}",
         *(column.text(row) for column in columns)]
        for row in run.rows
    ]  # fmt: skip
    return markdown_table(header, rows, [False, True, False, *(True for _ in columns)])


def _plain(value: Any) -> Any:
    if value is None or value != value:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
