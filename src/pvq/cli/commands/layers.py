"""`pvq layers`: weights only, per layer."""

from __future__ import annotations

from pvq.cli.options import Json, parse_bits
from pvq.cli.output import emit

__all__ = ["command"]


def command(model: str, /, *, bits: str = "2:8", quantizer: str = "int", json: Json = False) -> None:
    """Per layer, from the weights alone: shape, kurtosis, exact SNR of both camps, verdict.

    Example: `pvq layers resnet20-cifar10 --bits 2,4,8`

    Parameters
    ----------
    model
        resnet20-cifar10 (bundled), mobilenet-v2, efficientnet-lite0, torchvision:NAME, timm:NAME or
        file:PATH (safetensors or state dict); see `pvq list models`.
    bits
        Bit widths: 2:8 or 3,5,6.
    quantizer
        Number format; see `pvq list quantizers`.
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.empirical.models_zoo import load_model
    from pvq.empirical.weights import layer_rows

    rows = layer_rows(load_model(model), parse_bits(bits), quantizer)
    emit(rows, json, title=f"Layers of {model}, weights only")
