"""What the weights alone say of every layer: kurtosis and the exact SNR of both camps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pvq.empirical.model import LayerWeights, Model
from pvq.progress import Progress
from pvq.theory.budget import Budget
from pvq.theory.tensors import quantizer_at, weights_rows

__all__ = ["layer_rows"]

FIELDS = (
    "layer", "kind", "shape", "n_weights", "kurtosis", "bits", "scale", "quant_snr_db", "prune_snr_db",
    "prune_snr_db_corrected", "quant_zero_fraction", "winner", "note",
)  # fmt: skip


def layer_rows(
    model: Model, bits: Sequence[float], quantizer: str = "int", progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Return one row per weight matrix and bit width, the rows of `pvq layers`.

    Fields: layer, kind, shape, n_weights, kurtosis (Pearson's), bits, scale, quant_snr_db, prune_snr_db,
    prune_snr_db_corrected, quant_zero_fraction, winner, note. SNRs are those of the weights themselves,
    ``10 log10(sum w^2 / sum (w - x)^2)``. A tensor that cannot be measured has None in the measured fields
    and the reason in `note`; the others are not affected. One tensor is in memory at a time where the model
    reads them from disk. Tied weights have one row, whose note gives their other names.

    Parameters
    ----------
    model : only its weights are read
    bits : widths, at which pruning keeps a share bits / 16 of the weights
    quantizer : spec of a number format, scale chosen for each tensor as a whole
    progress : told the number of weights that are done

    Raises
    ------
    ValueError : bits or quantizer refused, whatever the weights, such as bits that the format does not have
    PvqError : a file that can no longer be read
    """
    for width in bits:
        Budget(width)  # refused before anything is read
        quantizer_at(quantizer, width)
    layers = model.weights().values()
    total, done = sum(layer.size for layer in layers), 0
    rows: list[dict[str, Any]] = []
    for layer in layers:
        if progress:
            progress(done, total, layer.name)
        rows += [_row(layer, row) for row in weights_rows(layer.tensor, bits, quantizer)]
        done += layer.size
    if progress:
        progress(done, total)
    return rows


def _row(layer: LayerWeights, measured: dict[str, Any]) -> dict[str, Any]:
    bits = measured["bits"]
    notes = (measured["note"], layer.remark)
    row = measured | {
        "layer": layer.name, "kind": layer.kind, "shape": list(layer.shape), "n_weights": layer.size,
        "bits": int(bits) if bits == int(bits) else bits, "note": "; ".join(filter(None, notes)),
    }  # fmt: skip
    return {name: row[name] for name in FIELDS}
