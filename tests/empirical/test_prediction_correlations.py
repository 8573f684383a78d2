"""Correlations and words of a prediction, and those of trained networks, on rows with known answers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pvq.empirical.analysis.budget_prediction import budget_prediction, read_comparison_rows
from pvq.empirical.analysis.prediction import CORRELATION_FIELDS, correlation_rows
from pvq.empirical.prediction_rows import FIELDS
from pvq.empirical.prediction_words import prediction_words
from pvq.errors import PvqError

LAYERS = [f"layer{i}" for i in range(8)]
WIDTHS = (2.0, 4.0, 8.0)
ERROR = {"quantize": 1.0, "prune": 3.0}


def layer_rows(noise: float = 0.0) -> list[dict[str, Any]]:
    """Return 48 rows whose loss is the error to the power 1.5, with some noise, and no trace of a Hessian."""
    rng = np.random.default_rng(0)
    rows = []
    for i, layer in enumerate(LAYERS):
        for camp, factor in ERROR.items():
            for bits in WIDTHS:
                error = factor * (1 + i) * 4.0**-bits
                made = dict.fromkeys(FIELDS) | {"set": "layers", "layer": layer, "camp": camp, "bits": bits}
                made |= dict.fromkeys(("relative_lower", "relative_upper", "error_lower"), error)
                made |= {
                    "error_upper": 1 / error,
                    "weight_error": float(rng.random()),
                    "stored_bits": bits + 0.1,
                }
                loss = error**1.5 * math.exp(noise * rng.standard_normal())
                made |= {
                    "kurtosis": 3.0 + i,
                    "loss_increase": loss,
                    "loss_increase_se": 0.3,
                    "accuracy_drop": loss,
                }
                rows.append(made)
    return rows


def mix_rows(n: int) -> list[dict[str, Any]]:
    rows = [dict(row) | {"set": "mixes", "camp": None, "kurtosis": None} for row in layer_rows(0.5)[:n]]
    return rows


def one(rows: list[dict[str, Any]], *about: Any) -> dict[str, Any]:
    names = ("set", "camp", "bits", "predictor", "target")
    (row,) = (row for row in rows if tuple(row[name] for name in names) == about)
    return row


def test_every_set_predictor_and_target_has_a_row() -> None:
    found = correlation_rows([*layer_rows(), *mix_rows(9)])
    assert all(tuple(row) == CORRELATION_FIELDS for row in found)
    # layers: 3 sets of 8 predictors, 6 of one width without widths; mixes: no kurtosis; for two targets
    assert len(found) == 2 * (3 * 8 + 6 * 6 + 7)


def test_what_orders_everything_has_correlation_one_and_its_inverse_minus_one() -> None:
    found = correlation_rows(layer_rows())
    for target in ("loss_increase", "accuracy_drop"):
        for part in (("", None), ("prune", None), ("prune", 4.0)):
            right = one(found, "layers", *part, "relative_lower", target)
            wrong = one(found, "layers", *part, "error_upper", target)
            assert (right["spearman"], right["low"], right["high"]) == (1, 1, 1)
            assert (wrong["spearman"], wrong["low"], wrong["high"]) == (-1, -1, -1)
    assert one(found, "layers", "prune", 4.0, "relative_lower", "loss_increase")["n"] == 8


def test_estimates_are_scipys_and_layers_are_drawn_whole() -> None:
    rows = layer_rows(1.0)
    found = correlation_rows(rows, resamples=200)
    row = one(found, "layers", "", None, "relative_lower", "loss_increase")
    x, y = ([r[name] for r in rows] for name in ("relative_lower", "loss_increase"))
    assert row["spearman"] == pytest.approx(float(stats.spearmanr(x, y).statistic))
    assert row["p_value"] is None
    inside = one(found, "layers", "prune", 2.0, "relative_lower", "loss_increase")
    assert inside["p_value"] is not None
    chosen = np.random.default_rng(0).integers(8, size=(200, 8))
    members = [[i for i, r in enumerate(rows) if r["layer"] == layer] for layer in LAYERS]
    draws = []
    for draw in chosen:
        places = [i for group in draw for i in members[group]]
        draws.append(stats.spearmanr(np.array(x)[places], np.array(y)[places]).statistic)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


def test_a_lead_over_bits_is_told_with_the_interval_of_the_same_draws() -> None:
    rows = mix_rows(30)
    for row, noise in zip(rows, np.random.default_rng(5).standard_normal(30), strict=True):
        row["weight_error"] = float(noise)
    found = correlation_rows(rows)
    best, noise_row, bits = (
        one(found, "mixes", "", None, name, "loss_increase")
        for name in ("relative_lower", "weight_error", "bits")
    )
    assert best["lead"] == pytest.approx(best["spearman"] - abs(bits["spearman"]))
    assert 0 < best["lead_low"] <= best["lead"] <= best["lead_high"]
    assert noise_row["lead_high"] < 0
    assert bits["lead"] is None
    assert "The certified errors are better than bits alone, by 0." in prediction_words(rows, found)[0]
    worse = [row | {"relative_lower": row["weight_error"] + 10} for row in rows]
    assert "are worse than bits alone, by -0." in prediction_words(worse, correlation_rows(worse))[0]
    even = [row | {"relative_lower": -row["bits"]} for row in rows]
    assert (
        "not shown to be better than bits alone, nor worse: they lead by 0.00 (0.00 to 0.00)"
        in prediction_words(even, correlation_rows(even))[0]
    )


def test_few_points_set_no_predictor_against_another() -> None:
    few = mix_rows(19)
    words = prediction_words(few, correlation_rows(few))[0]
    assert "19 points are too few to set one predictor against another." in words
    assert "than bits alone" not in words


def test_a_width_cannot_order_networks_of_one_width() -> None:
    found = correlation_rows(layer_rows(), resamples=100)
    inside = {row["predictor"] for row in found if row["bits"] is not None}
    assert not inside & {"bits", "stored_bits", "hessian_error"}


@pytest.mark.parametrize("broken", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(broken: float | None) -> None:
    rows = mix_rows(9)
    rows[0]["loss_increase"] = broken
    found = correlation_rows(rows, resamples=100)
    row = one(found, "mixes", "", None, "relative_lower", "loss_increase")
    assert (row["n"], row["note"]) == (8, "1 left out: not finite")
    assert row["spearman"] is not None


def test_what_cannot_be_ranked_says_why() -> None:
    few = one(correlation_rows(mix_rows(4)), "mixes", "", None, "relative_lower", "loss_increase")
    assert (few["spearman"], few["low"], few["p_value"]) == (None, None, None)
    assert (few["n"], few["note"]) == (4, "fewer than 5 pairs")
    rows = [row | {"accuracy_drop": 0.0} for row in mix_rows(6)]
    found = correlation_rows(rows)
    flat = one(found, "mixes", "", None, "relative_lower", "accuracy_drop")
    assert (flat["spearman"], flat["note"]) == (None, "accuracy_drop constant")
    assert prediction_words(rows, found)[1] == (
        "Over 6 mixes the accuracy drop cannot be ranked by the certified errors: accuracy_drop constant."
    )


def test_one_layer_is_no_group() -> None:
    rows = [row for row in layer_rows() if row["layer"] == "layer3"]
    row = one(correlation_rows(rows), "layers", "", None, "relative_lower", "loss_increase")
    assert row["spearman"] == 1
    assert row["note"] == "one layer only: the interval takes its points to be independent"


def test_nothing_gives_no_rows_and_no_words() -> None:
    assert correlation_rows([]) == []
    assert prediction_words([], []) == []


def test_words_say_what_the_rows_say() -> None:
    about = {"set": "mixes", "camp": "", "bits": None, "target": "loss_increase", "n": 40, "note": ""}
    found = [
        about | {"predictor": "relative_lower", "spearman": 0.93, "low": 0.85, "high": 0.97},
        about | {"predictor": "bits", "spearman": -0.21, "low": -0.5, "high": 0.1},
    ]
    assert prediction_words([], found) == [
        "Over 40 mixes the certified errors rank the loss increase with Spearman 0.93 (0.85 to 0.97); "
        "bits alone -0.21 (-0.50 to 0.10; no order is shown)."
    ]


def test_words_count_increases_that_are_noise() -> None:
    rows = layer_rows()
    rows[0] |= {"loss_increase": -0.1}
    noise = sum(abs(row["loss_increase"]) < 0.6 for row in rows)
    assert 0 < noise < 48
    last = prediction_words(rows, correlation_rows(rows, resamples=100))[-1]
    assert last.startswith(
        f"Of 48 loss increases of single layers {noise} are within 2 standard errors of zero, 1"
    )


def run_rows() -> list[dict[str, Any]]:
    """Return two layers at 2 and 4 bits; their signals are 1 and 4."""
    return [
        {
            "layer": layer, "bits": bits, "rows": 2, "rows_total": 2,
            "signal_lower": signal, "signal_upper": signal,
            "quant_error_lower": 4.0**-bits, "quant_error_upper": 2 * 4.0**-bits,
            "prune_error_lower": 1 / bits, "prune_error_upper": 2 / bits,
        }
        for layer, signal in (("a", 1.0), ("b", 4.0))
        for bits in (2, 4)
    ]  # fmt: skip


def trained(method: str, camp: str, budget: float, after: float | None, **changes: Any) -> dict[str, Any]:
    before = None if after is None else after - 0.1 / budget
    row = {"method": method, "camp": camp, "budget": budget, "accuracy": after, "before": before}
    return row | {"uncompressed": 0.9} | changes


TRAINED = [
    trained("qat", "quantize", 4.0, 0.9),
    trained("qat", "quantize", 2.0, 0.87),
    trained("qat too", "quantize", 2.0, 0.88),
    trained("pruning", "prune", 4.0, 0.86),
    trained("pruning", "prune", 2.0, 0.5),
    trained("pruning", "prune", 3.0, 0.7),
    trained("mixed", "both", 4.0, 0.89),
    trained("none", "none", 4.0, 0.9),
    trained("failed", "quantize", 4.0, None),
]


def test_sums_and_drops_of_trained_networks() -> None:
    rows, _ = budget_prediction(run_rows(), TRAINED)
    assert [(row["method"], row["bits"]) for row in rows] == [
        ("qat", 4.0), ("qat", 2.0), ("qat too", 2.0), ("pruning", 4.0), ("pruning", 2.0),
    ]  # fmt: skip
    last = rows[-1]
    assert last["relative_lower"] == 0.5 + 0.125
    assert last["relative_upper"] == 1.0 + 0.25
    assert last["layers"] == 2
    assert last["drop_after"] == pytest.approx(0.4)
    assert last["drop_before"] == pytest.approx(0.45)


def test_correlations_of_trained_networks() -> None:
    _, found = budget_prediction(run_rows(), TRAINED)
    assert {(row["predictor"], row["target"]) for row in found} == {
        (p, t) for p in ("relative_lower", "relative_upper", "bits") for t in ("drop_before", "drop_after")
    }
    sums, bits = found[3], found[5]
    x = [2 * 4.0**-4, 2 * 4.0**-2, 2 * 4.0**-2, 1.0, 2.0]  # in the order of the sums
    expected = stats.spearmanr(x, [0.0, 0.03, 0.02, 0.04, 0.4]).statistic
    assert (sums["target"], sums["predictor"], sums["n"]) == ("drop_after", "relative_lower", 5)
    assert sums["spearman"] == pytest.approx(expected)
    assert sums["p_value"] is None  # two methods share one sum
    assert bits["spearman"] < 0
    words = prediction_words([], found)
    assert words[1].startswith(
        "Over 5 pairs of trained method and budget the certified errors rank the accuracy drop after "
    )


def test_a_certified_error_that_is_not_known_counts_as_zero() -> None:
    rows = [row | {"prune_error_lower": None} for row in run_rows()]
    found, _ = budget_prediction(rows, TRAINED)
    assert found[-1]["relative_lower"] == 0


@pytest.mark.parametrize(
    ("changes", "compared", "message"),
    [
        ({"rows": 1}, TRAINED, "the run solved only some rows"),
        (
            {},
            [trained("a", "quantize", 3.0, 0.9)],
            r"no method that quantizes or prunes at one of .* 2, 4 bits",
        ),
        ({}, [], "no method that quantizes or prunes"),
        ({"prune_error_upper": None}, TRAINED, "no prune error over signal for a at 4 bits"),
        ({"signal_lower": 0.0}, TRAINED, "no quantize error over signal for a at 4 bits"),
    ],
)
def test_refusals(changes: dict[str, Any], compared: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(PvqError, match=message):
        budget_prediction([row | changes for row in run_rows()], compared)


def test_a_comparison_is_read_from_its_folder_or_file(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    for content in (None, "{", "[]", json.dumps({"schema": "other", "rows": []})):
        if content is not None:
            path.write_text(content)
        with pytest.raises(PvqError, match=r"comparison\.json (cannot be read|is no comparison)"):
            read_comparison_rows(tmp_path)
    path.write_text(json.dumps({"schema": "pvq-comparison", "rows": TRAINED}))
    assert read_comparison_rows(tmp_path) == read_comparison_rows(path) == TRAINED
