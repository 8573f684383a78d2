"""`pvq layers`: weights only, per layer."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from pvq.cli.options import Json, parse_bits
from pvq.cli.output import emit, note, progress_bar

__all__ = ["command"]


def command(
    model: str,
    /,
    *,
    bits: str = "2:8",
    quantizer: str = "int",
    fold_bn: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Per layer, from the weights alone: shape, kurtosis, exact SNR of both camps, verdict.

    Embeddings are shown as well. What is left out, such as weights that are quantized already, is said on
    stderr.

    Example: `pvq layers resnet20-cifar10 --bits 2,4,8`

    Parameters
    ----------
    model
        resnet20-cifar10 (bundled), mobilenet-v2, efficientnet-lite0, torchvision:NAME, timm:NAME,
        file:PATH (safetensors, its index or folder, or a state dict) or onnx:PATH; see `pvq list models`.
    bits
        Bit widths: 2:8 or 3,5,6.
    quantizer
        Number format; see `pvq list quantizers`.
    fold_bn
        Fold each batch norm into the layer before it first.
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.empirical.models_zoo import load_model
    from pvq.empirical.weights import layer_rows

    widths = parse_bits(bits)
    network = load_model(model)
    if fold_bn:
        from pvq.empirical.fold import fold_batch_norm

        network = fold_batch_norm(network)
    for remark in network.remarks:
        note(remark)
    with progress_bar("weights") as progress:
        rows = layer_rows(network, widths, quantizer, progress)
    emit(rows, json, title=f"Layers of {model}, weights only")
