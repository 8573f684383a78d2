"""Which of two SNRs is the better one."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

__all__ = ["Winner", "winner"]

Winner: TypeAlias = Literal["quantize", "prune", "tie"]
TIE_DB = 1e-9  # below what either SNR is computed to


def winner(quant_snr_db: float, prune_snr_db: float) -> Winner:
    """Return ``quantize``, ``prune``, or ``tie`` where the SNRs agree to 1e-9 dB.

    Raises
    ------
    ValueError : one of them is NaN

    >>> winner(19.26, 5.58)
    'quantize'
    """
    if math.isnan(quant_snr_db) or math.isnan(prune_snr_db):
        raise ValueError(
            f"SNRs must be numbers, got quantization {quant_snr_db} and pruning {prune_snr_db} dB"
        )
    if quant_snr_db == prune_snr_db or abs(quant_snr_db - prune_snr_db) <= TIE_DB:
        return "tie"
    return "quantize" if quant_snr_db > prune_snr_db else "prune"
