"""A plan as rows: one a layer, then the total."""

from __future__ import annotations

from typing import Any

from pvq.empirical.compression_plan import Plan, PlannedLayer

__all__ = ["FIELDS", "TOTAL", "plan_rows"]

TOTAL = "total"
FIELDS = (
    "layer", "camp", "format", "n_weights", "bits_per_weight", "bits", "bytes", "payload_bits", "scale_bits",
    "mask_bits", "mask_coding", "error_lower", "error_upper", "factor", "objective", "share", "bound", "gap",
    "optimal", "budget_bits",
)  # fmt: skip


def plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each layer, and a last one, called ``total``, with their sums; all have all fields.

    Fields: layer, camp, format, n_weights, bits_per_weight, bits, bytes (rounded up), payload_bits,
    scale_bits, mask_bits, mask_coding, error_lower and error_upper (of the stored weights), factor (what an
    error counts), objective (factor times error; the total is the plan's, rounded up), share (of the total
    objective), and None but in the total: bound (certified, of every plan), gap (relative), optimal,
    budget_bits.
    """
    rows = [_row(layer, plan.totals.objective) for layer in plan.layers]
    return [*rows, _total(plan, rows)]


def _row(layer: PlannedLayer, objective: float) -> dict[str, Any]:
    part = layer.factor.upper * layer.error.upper
    row = {
        "layer": layer.name,
        "camp": layer.camp,
        "format": layer.format,
        "n_weights": layer.n_weights,
        **_sizes(layer.cost.bits, layer.n_weights),
        "payload_bits": layer.cost.payload,
        "scale_bits": layer.cost.scales,
        "mask_bits": layer.cost.mask,
        "mask_coding": layer.cost.coding,
        "error_lower": layer.error.lower,
        "error_upper": layer.error.upper,
        "factor": layer.factor.upper,
        "objective": part,
        "share": part / objective if objective else 0.0,
    }
    return {name: row.get(name) for name in FIELDS}


def _sizes(bits: int, weights: int) -> dict[str, Any]:
    return {"bits": bits, "bytes": -(-bits // 8), "bits_per_weight": bits / weights}


def _total(plan: Plan, rows: list[dict[str, Any]]) -> dict[str, Any]:
    totals = plan.totals
    row = {
        "layer": TOTAL,
        "n_weights": totals.weights,
        **_sizes(totals.bits, totals.weights),
        **{name: sum(row[name] for row in rows) for name in ("payload_bits", "scale_bits", "mask_bits")},
        "objective": totals.objective,
        "share": 1.0,
        "bound": totals.bound,
        "gap": totals.gap,
        "optimal": totals.optimal,
        "budget_bits": totals.budget_bits,
    }
    return {name: row.get(name) for name in FIELDS}
