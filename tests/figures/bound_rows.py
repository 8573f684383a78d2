"""Rows of a bound run as a file holds them, made up to be awkward."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NASTY = '<script>alert("x")</script> $a_b$ & co'


def row(layer: str = "conv1", bits: float = 4, **fields: Any) -> dict[str, Any]:
    """A row on which quantization is proved, changed by `fields`."""
    plain = {
        "layer": layer, "bits": bits, "n": 27, "rows": 4, "rows_total": 16, "verdict": "quantize (proved)",
        "quant_snr_at_most_db": 22.0, "quant_snr_achieved_db": 20.5, "quant_nearest_snr_db": 18.25,
        "prune_snr_at_most_db": 12.0, "prune_snr_achieved_db": 11.0, "prune_magnitude_snr_db": 9.0,
        "certified": True, "seconds": 1.5, "dead_inputs": 0, "note": "",
    }  # fmt: skip
    return {**plain, **fields}


def failed(layer: str, note: str, **fields: Any) -> dict[str, Any]:
    """A row of a layer that could not be bounded: every number is null."""
    empty = {key: None for key, value in row().items() if isinstance(value, (int, float))}
    return row(layer, **{**empty, "verdict": None, "note": note, "bits": 4, **fields})


def awkward() -> list[dict[str, Any]]:
    """Everything that a real run may hold."""
    return [
        row("conv1"),
        row("conv1", 2, verdict="prune (proved)", quant_snr_achieved_db=8.0, quant_snr_at_most_db=9.0),
        row(NASTY, verdict="quantize (likely)", note="<b>bold</b>", quant_snr_at_most_db=float("nan")),
        row("zero", verdict="open", prune_snr_achieved_db=float("inf"), prune_snr_at_most_db=float("inf")),
        failed("broken", "weights hold 3 NaN value(s)"),
        row("layer/1", note=float("nan"), rows=None, seconds=None),
        row("layer 1", quant_method="gptq"),
        row("fc", 3),
        row("fc", 8),  # a fourth width: the second picture
    ]


def full(layer: str = "conv1", bits: float = 4, **fields: Any) -> dict[str, Any]:
    """A row with every field that a run writes."""
    more = {
        "kind": "conv", "n_weights": 432, "kurtosis": 4.5, "peak_mb": 512.0, "quant_gptq_snr_db": 20.0,
        "quant_obq_snr_db": 20.25, "prune_obs_snr_db": 10.5, "gram_drift": 0.0625,
        "quant_snr_fresh_db": 20.25, "prune_snr_fresh_db": 11.5, "signal_lower": 1.0, "signal_upper": 1.5,
        "stage": 1, "quant_set": "int[bits=4]", "prune_set": "sparse[k=7]", "quant_bound": "hull 4",
    }  # fmt: skip
    return {**row(layer, bits), **more, **fields}


def write(folder: Path, rows: list[dict[str, Any]], manifest: Any = None) -> Path:
    """Write bounds.json and manifest.json; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bounds.json").write_text(json.dumps(rows))
    made = {
        "model": "toy",
        "provenance": {"git": "abc", "settings": {"seed": 7, "bits": [2, 4], "limit": None}},
    }
    (folder / "manifest.json").write_text(json.dumps(made if manifest is None else manifest))
    return folder
