"""`pvq cost`: parameters, bits, multiply-accumulate and bit operations of a network."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from pvq.cli.options import Json
from pvq.cli.output import emit
from pvq.errors import SpecError

__all__ = ["command"]


def command(
    model: str,
    /,
    *,
    input: str | None = None,  # noqa: A002 - the word on the command line
    weight_bits: str = "32",
    activation_bits: str = "32",
    scales: Literal["none", "layer", "row"] = "none",
    buffers: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """What a network costs, layer by layer: parameters, bits, multiply-accumulate and bit operations.

    Counted on one run. Rows have the fields layer, kind, shape, parameters, weight_bits, activation_bits,
    macs (multiply-accumulate operations for one input), bops (macs times both widths) and storage_bits; the
    last row, `total`, has the sums.

    Example: `pvq cost "resnet-cifar[depth=20]" --input 3x32x32 --weight-bits 4,conv1=8,fc=8`

    Parameters
    ----------
    model
        An architecture (`pvq list architectures`), or a model (`pvq list models`).
    input
        Shape of one input, 3x32x32; a model that says what it expects needs none.
    weight_bits
        Bits of a weight: 4, or with exceptions by layer 4,conv1=8,layer1.*=6; the last that fits counts.
    activation_bits
        Bits of what goes into a layer, written likewise.
    scales
        Count a scale of 32 bits for each layer, or output channel (row), with fewer than 16 bits.
    buffers
        Count the running means and variances of batch norms as stored.
    json
        Print rows as one JSON array on stdout.
    """
    from pvq.empirical.analysis.cost import Widths, cost_rows, network_cost, read_shape, resolve

    weights, activations = Widths.read(weight_bits), Widths.read(activation_bits)
    shape = read_shape(input) if input is not None else None
    net, expected = resolve(model)
    shape = shape or expected
    if shape is None:
        raise SpecError(f"--input must be given for {model}, such as 3x32x32")
    rows = cost_rows(network_cost(net, shape, weights, activations, scales, buffers))
    size = rows[-1]["storage_bits"] / 8
    emit(rows, json, title=f"Cost of {model}: {size:,.0f} bytes, {size / 2**20:.2f} MiB")
