"""The files that a comparison leaves: everything as JSON, the table as CSV, table and verdict as Markdown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pvq.empirical.atomic import write_text
from pvq.empirical.compare import RUNS, CompareResult
from pvq.empirical.comparison_json import SCHEMA
from pvq.empirical.comparison_rows import FIELDS
from pvq.empirical.comparison_words import points
from pvq.empirical.table_text import csv_text, markdown_table
from pvq.provenance import provenance

__all__ = ["comparison_content", "write_comparison_files"]

Row = Mapping[str, Any]
UNKNOWN = "\N{EN DASH}"
PAIRS = (
    "stage", "budget", "difference (points)", "95 % interval", "p (t)", "p (Holm)", "p (signs)", "at least",
)  # fmt: skip


def write_comparison_files(result: CompareResult, out: Path) -> list[Path]:
    """Write comparison.json, comparison.csv, comparison.md and manifest.json; return their paths.

    The first three depend on the results alone: a repeated comparison gives the same bytes but for the
    seconds that runs took.
    """
    texts = {
        "comparison.json": json.dumps(comparison_content(result), indent=1, allow_nan=False) + "\n",
        "comparison.csv": csv_text(FIELDS, result.rows),
        "comparison.md": _markdown(result),
        "manifest.json": json.dumps(_manifest(result), indent=1, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def comparison_content(result: CompareResult) -> dict[str, Any]:
    """Return what comparison.json holds: the recipe, the rows, the pairs, the verdict, and every run."""
    return {
        **SCHEMA,
        "comparison": result.comparison.mapping(),
        "comparison_hash": result.comparison.hash,
        "rows": list(result.rows),
        "pairs": list(result.pairs),
        "verdict": list(result.words),
        "runs": [
            {**cell._asdict(), **dataclasses.asdict(score), "run": f"{RUNS}/{result.plan.after[cell].hash}"}
            for cell, score in result.scores.items()
        ],
    }


def _manifest(result: CompareResult) -> dict[str, Any]:
    """Return how the results were made; each run's own record has the versions that it ran under."""
    return {
        **provenance(comparison=result.comparison.mapping()),
        "comparison_hash": result.comparison.hash,
        "runs": {
            key: {
                "weights_sha256": record.weights_sha256,
                "test_images": record.test_images,
                "seconds": record.seconds,
                "git": record.provenance.get("git"),
                "made": record.provenance.get("made"),
            }
            for key, record in sorted(result.records.items())
        },
        "failures": dict(sorted(result.failures.items())),
    }


def _markdown(result: CompareResult) -> str:
    comparison = result.comparison
    parts = [f"# {comparison.name}", *result.words]
    if not result.words:
        parts.append("No two methods have a result under the same seed: there is nothing to compare.")
    parts += [_methods_table(result.rows, comparison.before), _seeds_line(result)]
    if result.pairs:
        parts.append(_pairs_table(result.pairs))
    parts += [f"Failed: {text}" for text in _failures(result)]
    return "\n\n".join(parts) + "\n"


def _failures(result: CompareResult) -> list[str]:
    return [
        f"{cell.label} at {cell.budget:g} bits, seed {cell.seed}: {score.failure}"
        for cell, score in result.scores.items()
        if score.failure
    ]


def _seeds_line(result: CompareResult) -> str:
    known = {row["uncompressed"] for row in result.rows} - {None}
    start = f"Uncompressed: {100 * known.pop():.2f} %. " if len(known) == 1 else ""
    seeds = ", ".join(map(str, result.comparison.seeds))
    return (
        f"{start}Accuracies in %, mean over the seeds {seeds} ± half of the 95 % interval (Student's t), and "
        "standard deviation. Bits spent are measured: scales and masks included."
    )


def _methods_table(rows: Sequence[Row], before: bool) -> str:
    """Return the accuracies; the columns before fine-tuning only where they were asked for."""
    names = ["budget", "method", *(["before"] if before else []), "after", "sd", "seeds", "bits spent"]
    lines = []
    for row in sorted(rows, key=lambda row: -row["budget"]):  # stable: methods in the recipe's order
        cells = {
            "budget": f"{row['budget']:g}",
            "method": row["method"],
            "before": _accuracy(row, "before"),
            "after": _accuracy(row, "accuracy"),
            "sd": _percent(row["accuracy_sd"]),
            "seeds": f"{row['seeds']}",
            "bits spent": UNKNOWN if row["spent_bits"] is None else f"{row['spent_bits']:.2f}",
        }
        lines.append([cells[name] for name in names])
    return markdown_table(names, lines)


def _pairs_table(pairs: Sequence[Row]) -> str:
    lines = [
        [
            row["stage"],
            f"{row['budget']:g}",
            f"{row['first']} less {row['second']}: {points(row['difference'])}",
            UNKNOWN if row["low"] is None else f"{100 * row['low']:.2f} to {100 * row['high']:.2f}",
            *(_p(row[name]) for name in ("p_t", "p_t_holm", "p_flip", "p_flip_least")),
        ]
        for row in pairs
    ]
    return markdown_table(PAIRS, lines)


def _accuracy(row: Row, name: str) -> str:
    """Return mean ± half of the interval in percent."""
    if row[name] is None:
        return UNKNOWN
    half = "" if row[f"{name}_low"] is None else f" ± {100 * (row[f'{name}_high'] - row[name]):.2f}"
    return f"{100 * row[name]:.2f}{half}"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.2f}"


def _p(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2g}"
