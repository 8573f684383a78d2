"""The files that `pvq represent` leaves: all layers and the summary as CSV and JSON, and both in Markdown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pvq.empirical.atomic import write_text
from pvq.empirical.represent import FIELDS, RepresentRequest
from pvq.empirical.represent_rows import SUMMARY_FIELDS
from pvq.empirical.table_text import csv_text, finite_rows, markdown_table
from pvq.provenance import provenance

__all__ = ["write_representation_files"]

Row = Mapping[str, Any]
SCHEMA = {"schema": "pvq-representation", "version": 1}
DASH = "\N{EN DASH}"
COLUMNS = {
    "budget": "budget", "method": "method", "cka_before": "CKA before", "cka_after": "CKA after",
    "nearer": "layers nearer", "snr_before_db": "outputs before (dB)", "snr_after_db": "outputs after (dB)",
    "weight_snr_before_db": "weights before (dB)", "weight_snr_after_db": "weights after (dB)",
}  # fmt: skip
BOUNDS = {
    "layer_snr_before_db": "layer before (dB)", "layer_snr_after_db": "layer after (dB)",
    "achieved_db": "best point (dB)", "at_most_db": "at most (dB)",
}  # fmt: skip


def write_representation_files(
    request: RepresentRequest, rows: Sequence[Row], summary: Sequence[Row], words: Sequence[str], out: Path
) -> list[Path]:
    """Write layers.csv, summary.csv, representation.json and representation.md; return their paths."""
    content = {
        **SCHEMA,
        "summary": finite_rows(summary),
        "words": list(words),
        "layers": finite_rows(rows),
        "provenance": provenance(**{key: str(value) for key, value in dataclasses.asdict(request).items()}),
    }
    texts = {
        "layers.csv": csv_text(FIELDS, rows),
        "summary.csv": csv_text(SUMMARY_FIELDS, summary),
        "representation.json": json.dumps(content, indent=1, allow_nan=False) + "\n",
        "representation.md": _markdown(summary, words),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def _markdown(summary: Sequence[Row], words: Sequence[str]) -> str:
    columns = dict(COLUMNS)
    if any(row["achieved_db"] is not None for row in summary):
        columns |= BOUNDS
    lines = [[_cell(name, row) for name in columns] for row in summary]
    table = markdown_table(list(columns.values()), lines)
    legend = (
        "CKA is debiased, with the network that was started from: mean over layers and seeds. Decibels are "
        "medians over layers and seeds: signal to noise of the layers' outputs in the whole network, of "
        "their weights, and on the scale of the bound run, where inputs are the original's."
    )
    return "\n\n".join(["# Representations", *words, table, legend]) + "\n"


def _cell(name: str, row: Row) -> str:
    value = row[name]
    if value is None:
        return DASH
    if name == "nearer":
        return f"{value} of {row['layers']}"
    if isinstance(value, float):
        return f"{value:g}" if name == "budget" else f"{value:.3f}" if "cka" in name else f"{value:.1f}"
    return str(value)
