"""The files that a prediction leaves: tables as CSV, everything as JSON, findings and tables as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pvq.empirical.analysis.budget_prediction import BUDGET_FIELDS
from pvq.empirical.analysis.prediction import CORRELATION_FIELDS
from pvq.empirical.atomic import write_text
from pvq.empirical.model import file_sha256
from pvq.empirical.prediction import Prediction
from pvq.empirical.prediction_rows import FIELDS
from pvq.empirical.prediction_words import NAMES, TARGET_NAMES, told
from pvq.empirical.table_text import csv_text, finite_rows, markdown_table
from pvq.provenance import provenance

__all__ = ["prediction_content", "write_prediction_files"]

SCHEMA = {"schema": "pvq-prediction", "version": 1}
Row = Mapping[str, Any]


def write_prediction_files(found: Prediction, out: Path) -> list[Path]:
    """Write predict.csv, correlations.csv, predict.json, predict.md and manifest.json, and budgets.csv where
    there was a comparison; return their paths.

    All but the manifest depend on the results alone: the same command gives the same bytes.
    """
    content = prediction_content(found)
    texts = {
        "predict.csv": csv_text(FIELDS, content["rows"]),
        "correlations.csv": csv_text(CORRELATION_FIELDS, content["correlations"]),
        **({"budgets.csv": csv_text(BUDGET_FIELDS, content["budgets"])} if found.budgets else {}),
        "predict.json": json.dumps(content, indent=1, allow_nan=False) + "\n",
        "predict.md": _markdown(found),
        "manifest.json": json.dumps(_manifest(found), indent=1, allow_nan=False) + "\n",
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def prediction_content(found: Prediction) -> dict[str, Any]:
    """Return what predict.json holds: words, rows, correlations and the mixes; NaN and infinity are None."""
    return {
        **SCHEMA,
        "model": found.model,
        "data": found.request.data,
        "split": found.images.split,
        "images": len(found.images.labels),
        "seed": found.request.seed,
        "words": list(found.words),
        "rows": finite_rows(found.rows),
        "budgets": finite_rows(found.budgets),
        "correlations": finite_rows(found.correlations),
        "mixes": [[[choice.layer, choice.camp, choice.bits] for choice in mix] for mix in found.mixes],
    }


def _manifest(found: Prediction) -> dict[str, Any]:
    """Return how the results were made."""
    request = found.request
    compared = request.comparison
    return {
        **provenance(mixes=request.mixes, seed=request.seed, hessian=request.hessian),
        "run": {"folder": str(request.run), **_hashes(request.run, ("manifest.json", "bounds.json"))},
        "comparison": None if compared is None else {"folder": str(compared)} | _compared_hash(compared),
        "data": {
            "data": request.data,
            "split": found.images.split,
            "images": len(found.images.labels),
            "digest": found.images.digest,
        },
    }


def _hashes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {f"{name} sha256": file_sha256(folder / name) for name in names}


def _compared_hash(path: Path) -> dict[str, str]:
    file = path / "comparison.json" if path.is_dir() else path
    return _hashes(file.parent, [file.name])


def _markdown(found: Prediction) -> str:
    (whole,) = (row for row in found.rows if row["set"] == "uncompressed")
    images = f"{len(found.images.labels)} images of {found.request.data}, split {found.images.split}"
    parts = [
        f"# {found.model}: do certified errors predict what is lost?",
        *found.words,
        f"Measured on {images}; uncompressed the loss is {whole['loss']:.4f}, the accuracy "
        f"{100 * whole['accuracy']:.2f} %. Spearman's correlations with 95 % bootstrap intervals.",
        *_overall_tables(found.correlations),
        *_within_tables(found.correlations),
    ]
    return "\n\n".join(parts) + "\n"


def _overall_tables(correlations: Sequence[Row]) -> list[str]:
    """Return a table for each set of networks: predictors against targets."""
    tables = []
    for kind in dict.fromkeys(row["set"] for row in correlations):
        rows = [row for row in correlations if row["set"] == kind and row["bits"] is None]
        for camp in dict.fromkeys(row["camp"] for row in rows):
            mine = [row for row in rows if row["camp"] == camp]
            tables.append(_table(f"## {kind}{f', {camp}' if camp else ''}", mine, "target", TARGET_NAMES))
    return tables


def _within_tables(correlations: Sequence[Row]) -> list[str]:
    """Return a table for each camp and target: predictors against widths, layer against layer."""
    rows = [row for row in correlations if row["bits"] is not None]
    return [
        _table(
            f"## layer against layer, {camp}, {TARGET_NAMES[target]}",
            [row for row in rows if (row["camp"], row["target"]) == (camp, target)],
            "bits",
        )
        for camp, target in dict.fromkeys((row["camp"], row["target"]) for row in rows)
    ]


def _table(title: str, rows: Sequence[Row], across: str, names: Mapping[Any, str] | None = None) -> str:
    columns = (
        sorted({row[across] for row in rows})
        if names is None
        else [name for name in names if any(row[across] == name for row in rows)]
    )
    shown = [f"{column:g} bits" if names is None else names[column] for column in columns]
    lines = []
    for predictor in dict.fromkeys(row["predictor"] for row in rows):
        cells = {row[across]: told(row) for row in rows if row["predictor"] == predictor}
        lines.append([NAMES[predictor], *(cells.get(one, "") for one in columns)])
    return title + "\n\n" + markdown_table(["predictor", *shown], lines)
