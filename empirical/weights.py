"""What the weights alone say of every layer: kurtosis and the exact SNR of both camps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pvq.empirical.model import LayerWeights, Model
from pvq.theory.tensors import weights_row

__all__ = ["layer_rows"]

FIELDS = (
    "layer", "kind", "shape", "n_weights", "kurtosis", "bits", "scale", "quant_snr_db", "prune_snr_db",
    "prune_snr_db_corrected", "quant_zero_fraction", "winner", "note",
)  # fmt: skip


def layer_rows(model: Model, bits: Sequence[float], quantizer: str = "int") -> list[dict[str, Any]]:
    """Return one row per weight matrix and bit width, the rows of `pvq layers`.

    Fields: layer, kind, shape, n_weights, kurtosis (Pearson's), bits, scale, quant_snr_db, prune_snr_db,
    prune_snr_db_corrected, quant_zero_fraction, winner, note. SNRs are those of the weights themselves,
    ``10 log10(sum w^2 / sum (w - x)^2)``. A tensor that cannot be measured has None in the measured fields
    and the reason in `note`; the others are not affected.

    Parameters
    ----------
    model : only its weights are read
    bits : widths, at which pruning keeps a share bits / 16 of the weights
    quantizer : spec of a number format, scale chosen for each tensor as a whole

    Raises
    ------
    ValueError : bits or quantizer refused, whatever the weights, such as bits that the format does not have
    """
    return [_row(layer, width, quantizer) for layer in model.weights().values() for width in bits]


def _row(layer: LayerWeights, bits: float, quantizer: str) -> dict[str, Any]:
    row = weights_row(layer.tensor, bits, quantizer)
    row |= {
        "layer": layer.name, "kind": layer.kind, "shape": list(layer.shape), "n_weights": layer.size,
        "bits": int(bits) if bits == int(bits) else bits, "note": row["note"] or "",
    }  # fmt: skip
    return {name: row[name] for name in FIELDS}
