"""What `pvq represent` found, summed up: a row for each method and budget, and the answer in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pvq.empirical.seed_statistics import paired, spread

__all__ = ["SUMMARY_FIELDS", "representation_words", "summary_rows"]

Row = Mapping[str, Any]
SUMMARY_FIELDS = (
    "method", "camp", "budget", "seeds", "layers", "cka_before", "cka_after", "cka_change",
    "cka_change_low", "cka_change_high", "nearer", "snr_before_db", "snr_after_db", "weight_snr_before_db",
    "weight_snr_after_db", "layer_snr_before_db", "layer_snr_after_db", "at_most_db", "achieved_db", "above",
    "bounded",
)  # fmt: skip
DECIBELS = {
    "snr_before_db": ("before", "snr_db"),
    "snr_after_db": ("after", "snr_db"),
    "weight_snr_before_db": ("before", "weight_snr_db"),
    "weight_snr_after_db": ("after", "weight_snr_db"),
    "layer_snr_before_db": ("before", "layer_snr_db"),
    "layer_snr_after_db": ("after", "layer_snr_db"),
    "at_most_db": ("after", "at_most_db"),
    "achieved_db": ("after", "achieved_db"),
}


def summary_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row for each method and budget with the keys `SUMMARY_FIELDS`, in the order of `rows`.

    ``layers`` counts those whose CKA is known in all rows; ``cka_before`` and ``cka_after`` are their
    debiased CKA with the original network, mean over layers, then over seeds; ``cka_change`` is after less
    before, with the 95 % interval (Student's t) of the differences over seeds. ``nearer`` counts the layers
    whose mean over seeds is higher after than before. Columns in dB are medians over layers and seeds.
    ``above`` counts the layers whose median ``layer_snr_db`` after fine-tuning is at least what the bound
    run's best point achieves, of ``bounded`` that have both. None where there is nothing to tell.

    Parameters
    ----------
    rows : of `pvq.empirical.represent.represent`
    """
    groups = dict.fromkeys((row["method"], row["budget"]) for row in rows)
    return [_summary([row for row in rows if (row["method"], row["budget"]) == group]) for group in groups]


def representation_words(summary: Sequence[Row]) -> list[str]:
    """Return the answer, sentence by sentence: what fine-tuning does to the layers' outputs.

    A change is called one where its 95 % interval over seeds excludes zero.

    Parameters
    ----------
    summary : of `summary_rows`
    """
    words = []
    for method in dict.fromkeys(row["method"] for row in summary):
        mine = [row for row in summary if row["method"] == method]
        changed = [_change(row) for row in mine if row["cka_change"] is not None]
        if changed:
            words.append(f"CKA with the original, {method}: {'; '.join(changed)}.")
        words += [
            _reference(row) for row in mine if row["cka_before"] is None and row["cka_after"] is not None
        ]
    return words + [sentence for row in summary if (sentence := _stand(row))]


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    every = list(dict.fromkeys(row["layer"] for row in rows))
    unknown = {row["layer"] for row in rows if row["cka_debiased"] is None}
    layers = [layer for layer in every if layer not in unknown]
    known = [row for row in rows if row["layer"] not in unknown]
    above = _above(rows, every)
    decibels = {name: _median(_of(rows, stage, key)) for name, (stage, key) in DECIBELS.items()}
    found = {
        **{name: first[name] for name in ("method", "camp", "budget")},
        "seeds": len({row["seed"] for row in rows}),
        "layers": len(layers),
        **_cka(known),
        "nearer": _nearer(known, layers),
        **decibels,
        "above": sum(above) if above else None,
        "bounded": len(above) or None,
    }
    return {name: found.get(name) for name in SUMMARY_FIELDS}


def _cka(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return the means over layers, and how they change, paired by seed."""
    by_stage: dict[str, dict[int, float]] = {"before": {}, "after": {}}
    for stage, means in by_stage.items():
        for seed in dict.fromkeys(row["seed"] for row in rows):
            values = _of([row for row in rows if row["seed"] == seed], stage, "cka_debiased")
            if values:
                means[seed] = math.fsum(values) / len(values)
    found: dict[str, float | None] = {
        f"cka_{stage}": spread(list(means.values())).mean for stage, means in by_stage.items() if means
    }
    both = [seed for seed in by_stage["after"] if seed in by_stage["before"]]
    if both:
        after, before = ([by_stage[stage][seed] for seed in both] for stage in ("after", "before"))
        difference = paired(after, before).difference
        found |= {
            "cka_change": difference.mean,
            "cka_change_low": difference.low,
            "cka_change_high": difference.high,
        }
    return found


def _nearer(rows: Sequence[Row], layers: Iterable[str]) -> int | None:
    """Count layers whose outputs are nearer to the original's after fine-tuning."""
    counts = []
    for layer in layers:
        mine = [row for row in rows if row["layer"] == layer]
        before, after = (_of(mine, stage, "cka_debiased") for stage in ("before", "after"))
        if before and after:
            counts.append(float(np.mean(after)) > float(np.mean(before)))
    return sum(counts) if counts else None


def _above(rows: Sequence[Row], layers: Iterable[str]) -> list[bool]:
    """Tell of each layer under a ceiling whether it ends at least as near as the best point."""
    counts = []
    for layer in layers:
        mine = [row for row in rows if row["layer"] == layer]
        reached = _median(_of(mine, "after", "layer_snr_db"))
        achieved = _median(_of(mine, "after", "achieved_db"))
        if reached is not None and achieved is not None:
            counts.append(reached >= achieved)
    return counts


def _of(rows: Sequence[Row], stage: str, key: str) -> list[float]:
    return [row[key] for row in rows if row["stage"] == stage and row[key] is not None]


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _change(row: Row) -> str:
    low, high = row["cka_change_low"], row["cka_change_high"]
    where = "" if row["budget"] is None else f"at {row['budget']:g} bits "
    values = f"{row['cka_before']:.3f} before fine-tuning, {row['cka_after']:.3f} after"
    count = f"{row['nearer']} of {row['layers']} layers nearer"
    if low is None or low == high:
        return f"{where}{values} ({count}; {_seeds(row)}, no interval)"
    sign = "nearer" if low > 0 else "further" if high < 0 else "no change is shown"
    half = (high - low) / 2
    return f"{where}{values}, {sign} ({row['cka_change']:+.3f} ± {half:.3f}, {count})"


def _seeds(row: Row) -> str:
    return "one seed" if row["seeds"] == 1 else f"alike in all {row['seeds']} seeds"


def _reference(row: Row) -> str:
    """Return what is known of a network that nothing was measured of before it was trained."""
    if row["budget"] is not None:
        return (
            f"CKA with the original, {row['method']}: at {row['budget']:g} bits {row['cka_after']:.3f} after "
            "fine-tuning; nothing is known of before."
        )
    return (
        f"CKA with the original, {row['method']}: {row['cka_after']:.3f} after training, which is what "
        "training alone changes."
    )


def _stand(row: Row) -> str:
    """Return where the weights stand on the scale of the bound run; nothing without one."""
    if row["achieved_db"] is None or row["layer_snr_after_db"] is None:
        return ""
    first = row["layer_snr_before_db"]
    before = "" if first is None else f"{_db(first)} before fine-tuning, "
    return (
        f"{row['method']} at {row['budget']:g} bits, on the scale of the bounds (median layer): "
        f"{before}{_db(row['layer_snr_after_db'])} after; the "
        f"run's best points reach {_db(row['achieved_db'])}, at most {_db(row['at_most_db'])} is possible. "
        f"{row['above']} of {row['bounded']} layers end at least as near as the best points."
    )


def _db(value: float | None) -> str:
    return "nothing known" if value is None else f"{value:.1f} dB"
