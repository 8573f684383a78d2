"""Both camps at the same bits per weight: the rows of `pvq snr`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pvq.arrays import finite_or_none
from pvq.registry import parse_spec
from pvq.theory.block import BLOCK_FORMATS, BlockFormat, block_snr_db
from pvq.theory.budget import Budget
from pvq.theory.distribution import WeightDistribution, kurtosis
from pvq.theory.laws import law
from pvq.theory.quantizer import QUANTIZERS, Quantizer, has_free_bits, with_bits
from pvq.theory.snr import pruning_snr, quantization_snr
from pvq.theory.winner import winner

__all__ = ["snr_rows"]


def snr_rows(law_spec: str, bits: Sequence[float], quantizers: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per quantizer and bit width: its expected SNR beside that of pruning to bits/16.

    Parameters
    ----------
    law_spec : a law of weights, see `pvq.theory.laws.law`
    bits : bits per weight
    quantizers : specs of quantizers or block formats; one that gives its bits, or whose size is fixed,
        answers once, at that size, whatever `bits` says

    Returns
    -------
    rows with ``distribution, kurtosis`` (Pearson's), ``bits, sparsity, quantizer, scale, quant_snr_db,
    prune_snr_db, winner`` (``quantize``, ``prune`` or ``tie``); None stands for what is infinite or does not
    exist, so that every row is valid JSON

    Raises
    ------
    SpecError : a spec that cannot be read, or a quantizer that cannot have one of the `bits`
    ValueError : a law without finite second moment

    >>> row = snr_rows("gaussian", [4], ["int"])[0]
    >>> round(row["quant_snr_db"], 4), round(row["prune_snr_db"], 4), row["winner"]
    (19.2577, 5.5847, 'quantize')
    """
    source = law(law_spec)
    common = {"distribution": law_spec, "kurtosis": finite_or_none(kurtosis(source))}
    return [common | _row(source, spec, sized) for spec in quantizers for sized in _sized(spec, bits)]


def _row(source: WeightDistribution, spec: str, sized: Quantizer | BlockFormat) -> dict[str, Any]:
    budget = Budget(sized.bits)
    scale, quantized = _quantized(source, sized)
    pruned = pruning_snr(source, budget.density)
    return {
        "bits": budget.bits,
        "sparsity": budget.sparsity,
        "quantizer": spec,
        "scale": finite_or_none(scale),
        "quant_snr_db": finite_or_none(quantized),
        "prune_snr_db": finite_or_none(pruned),
        "winner": winner(quantized, pruned),
    }


def _sized(spec: str, bits: Sequence[float]) -> list[Quantizer | BlockFormat]:
    """Return the quantizer at each bit width, or once where its size is settled."""
    name = parse_spec(spec).name
    if name not in QUANTIZERS.classes() and name in BLOCK_FORMATS.classes():
        return [BLOCK_FORMATS.build(spec)]
    if has_free_bits(spec):
        return [QUANTIZERS.build(with_bits(spec, b)) for b in bits]
    return [QUANTIZERS.build(spec)]


def _quantized(source: WeightDistribution, sized: Quantizer | BlockFormat) -> tuple[float, float]:
    """Return the scale, nan where there is not one for all weights, and the SNR in dB."""
    if isinstance(sized, BlockFormat):
        return math.nan, block_snr_db(source, sized)
    codebook = sized.codebook(source)
    return codebook.scale, quantization_snr(source, codebook)
