"""`pvq snr`: closed-form signal-to-noise ratio of both camps at the same bits per weight."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from pvq.cli.options import Json, parse_bits, parse_specs
from pvq.cli.output import emit

__all__ = ["command"]


def command(
    distribution: str,
    /,
    *,
    bits: str = "2:8",
    quantizer: Annotated[tuple[str, ...], Parameter(negative=())] = ("int",),
    json: Json = False,
) -> None:
    """Closed-form SNR of quantization and of pruning at the same bits per weight.

    Pruning keeps a share bits/16 of the weights, the largest, in FP16 with a free mask.

    Example: `pvq snr gaussian --bits 4 --quantizer int --quantizer "int[scale=aciq]" --json`

    Parameters
    ----------
    distribution
        A law of weights: gaussian, laplace, student-t[nu=2], truncated[law=student-t[nu=2],r=100],
        clipped[law=...,r=...], file:PATH (see `pvq list distributions`).
    bits
        Bit widths: 2:8 or 3,5,6.
    quantizer
        Number formats: int[grid=symmetric,scale=aciq], apot, nf4 ... (see `pvq list quantizers`).
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.theory.compare import snr_rows

    rows = snr_rows(distribution, parse_bits(bits), parse_specs(quantizer))
    emit(rows, json, title=f"Signal-to-noise ratio of {distribution}")
