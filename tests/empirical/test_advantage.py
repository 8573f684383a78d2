"""Counts of layers by the better camp, and what kurtosis says of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pvq.empirical.analysis.advantage import FIELDS, advantage_rows
from pvq.empirical.models_zoo import load_model
from pvq.empirical.weights import layer_rows

NAN = float("nan")


def row(
    kurtosis: float, quant: float | None, prune: float, corrected: float, bits: float = 4
) -> dict[str, Any]:
    return {
        "bits": bits,
        "kurtosis": kurtosis,
        "quant_snr_db": quant,
        "prune_snr_db": prune,
        "prune_snr_db_corrected": corrected,
    }


ROWS = [
    row(3, 20, 5, 4),
    row(4, 18, 6, 5),
    row(9, 14, 7, 6),
    row(30, 9, 10, 8),
    row(90, 7, 12, 11),
    row(5, None, 6, 5),  # nothing was measured
    row(5, NAN, 6, 5),
    row(3, 9, 3, 2, bits=2),
]


def test_counts_medians_and_correlation() -> None:
    two, four = advantage_rows(ROWS)
    assert list(four) == list(FIELDS)
    assert [four[name] for name in FIELDS[:7]] == [4, 5, 3, 4, 7, 60, 4]
    assert four["spearman"] == 1
    assert (two["layers"], two["quantize_wins"]) == (1, 1)
    assert math.isnan(two["kurtosis_where_prune_wins"])
    assert math.isnan(two["spearman"])  # of one layer


def test_the_seed_decides_the_interval() -> None:
    mixed = [*ROWS, row(6, 12, 9, 8), row(12, 15, 5, 4), row(40, 13, 9, 8)]
    (first, again, other) = (advantage_rows(mixed, seed)[1] for seed in (0, 0, 1))
    assert first == again
    assert (first["spearman_low"], first["spearman_high"]) != (other["spearman_low"], other["spearman_high"])
    assert first["spearman_low"] < first["spearman"] < 1


def test_equal_kurtosis_or_advantage_has_no_correlation() -> None:
    rows = advantage_rows([row(3, 20 + i, 5, 4) for i in range(6)])
    assert math.isnan(rows[0]["spearman"])


def test_the_bundled_network() -> None:
    """As docs/claims.md has it: quantization is ahead in all 20 layers at 4 bits."""
    (found,) = advantage_rows(layer_rows(load_model("resnet20-cifar10"), [4.0], "int"))
    assert (found["layers"], found["quantize_wins"], found["quantize_wins_corrected"]) == (20, 20, 20)
    assert found["spearman"] == pytest.approx(0.98, abs=0.01)
