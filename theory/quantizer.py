"""What theory asks of a number format: the codebook it uses for given weights."""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

from pvq.arrays import F64
from pvq.errors import SpecError
from pvq.registry import Registry, Spec, parse_spec
from pvq.theory.codebook import Codebook
from pvq.theory.distribution import WeightDistribution

__all__ = ["QUANTIZERS", "Quantizer", "has_free_bits", "with_bits"]


@runtime_checkable
class Quantizer(Protocol):
    """A number format with its rule for the scale."""

    @property
    def bits(self) -> float:
        """Bits per weight, without scales and other side information."""
        ...

    def codebook(self, source: WeightDistribution | F64) -> Codebook:
        """Return the levels with the scale chosen for a law or for a tensor of weights."""
        ...


QUANTIZERS: Registry[Quantizer] = Registry("quantizer", "pvq.theory.quantizers", Quantizer)


def has_free_bits(spec: str) -> bool:
    """Return whether the kind that `spec` names has an option ``bits`` that the spec leaves open.

    Raises
    ------
    SpecError, UnknownName : a spec that cannot be read

    >>> has_free_bits("int[scale=aciq]"), has_free_bits("int[bits=4]"), has_free_bits("nf4")
    (True, False, False)
    """
    parsed = parse_spec(spec)
    fields = [field.name for field in dataclasses.fields(QUANTIZERS.get(parsed.name)) if field.init]
    return "bits" in fields and "bits" not in parsed.options and len(parsed.args) <= fields.index("bits")


def with_bits(spec: str, bits: float) -> str:
    """Return `spec` with ``bits`` put in where its kind has that option and the spec does not give it.

    Parameters
    ----------
    spec : a quantizer spec, such as ``int[scale=aciq]``
    bits : bits per weight that the quantizer must then have

    Raises
    ------
    SpecError : the spec says other bits, or names a format whose size is fixed at other bits

    >>> with_bits("int[scale=aciq]", 4)
    'int[scale=aciq,bits=4]'
    >>> with_bits("nf4", 4)
    'nf4'
    """
    parsed = parse_spec(spec)
    if has_free_bits(spec):
        parsed = Spec(parsed.name, parsed.args, {**parsed.options, "bits": f"{bits:g}"})
    size = QUANTIZERS.build(parsed).bits
    if size != bits:
        raise SpecError(f"quantizer {parsed} has {size:g} bits per weight, not {bits:g}")
    return str(parsed)
