"""What the weights alone say of every layer: kurtosis and the exact SNR of both camps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pvq.theory.tensors import weights_row

from pvq.empirical.model import LayerWeights, Model, trouble
from pvq.errors import SpecError

__all__ = ["layer_rows"]

MEASURED = (
    "kurtosis", "scale", "quant_snr_db", "prune_snr_db", "prune_snr_db_corrected", "quant_zero_fraction",
    "winner",
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
    bits : widths in (0, 16]
    quantizer : spec of a number format, scale chosen for each tensor as a whole
    """
    return [_row(layer, width, quantizer) for layer in model.weights().values() for width in bits]


def _row(layer: LayerWeights, bits: float, quantizer: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "layer": layer.name, "kind": layer.kind, "shape": list(layer.shape), "n_weights": layer.tensor.size,
        "kurtosis": None, "bits": bits, **dict.fromkeys(MEASURED[1:]),
    }  # fmt: skip
    note, fatal = trouble(layer)
    if not fatal:
        try:
            measured = weights_row(layer.matrix.ravel(), bits, quantizer)
            row |= {key: measured.get(key) for key in MEASURED}
        except SpecError:
            raise  # the quantizer's spec is wrong, not the tensor
        except (ValueError, ArithmeticError) as error:
            note = "; ".join(filter(None, [note, str(error)]))
    return {**row, "note": note}
