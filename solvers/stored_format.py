"""How a layer is stored: which weights a format allows, and every bit that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from pvq.arrays import F64
from pvq.registry import Registry, parse_spec
from pvq.theory.budget import mask_bits

from .rounding import TINY, gamma

__all__ = [
    "FORMATS",
    "Cost",
    "Decision",
    "Format",
    "MaskCoding",
    "Storage",
    "mask_cost",
    "rounding_error",
    "specs_at",
]

Decision: TypeAlias = Literal["quantize", "prune", "keep"]
MaskCoding: TypeAlias = Literal["cheapest", "bitmap", "entropy"]
CHUNK = 4096  # terms of a sum whose rounding is bounded whatever their order


@dataclass(frozen=True)
class Storage:
    """What is common to all layers of a file.

    Parameters
    ----------
    scale_bits : of each scale, 32 (FP32) or 16 (FP16)
    mask : how the places of kept weights are stored: ``bitmap`` one bit a weight, ``entropy`` the binary
        entropy that an arithmetic coder reaches, ``cheapest`` the better of the two and of listing places
    """

    scale_bits: int = 32
    mask: MaskCoding = "cheapest"

    def __post_init__(self) -> None:
        if self.scale_bits not in (16, 32):
            raise ValueError(f"scale_bits must be 16 or 32, got {self.scale_bits}")
        if self.mask not in ("cheapest", "bitmap", "entropy"):
            raise ValueError(f"mask must be cheapest, bitmap or entropy, got {self.mask!r}")


@dataclass(frozen=True)
class Cost:
    """Bits that a layer takes.

    Parameters
    ----------
    payload : of the weights themselves
    scales : of scale factors
    mask : of the places of kept weights
    coding : how these are stored, ``none`` without a mask
    """

    payload: int
    scales: int = 0
    mask: int = 0
    coding: str = "none"

    def __post_init__(self) -> None:
        for name in ("payload", "scales", "mask"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @property
    def bits(self) -> int:
        """All bits together."""
        return self.payload + self.scales + self.mask


@runtime_checkable
class Format(Protocol):
    """A storage format, before the weights are known."""

    @property
    def camp(self) -> Decision:
        """Whether it quantizes, prunes or keeps."""
        ...

    @property
    def doubt(self) -> float:
        """Relative amount by which rounding may leave the error of `nearest` above the least one."""
        ...

    def scales(self, W: F64, storage: Storage) -> F64:
        """Return the scale factors for the weights W (rows, n): none, one, or one for each row.

        Raises
        ------
        ValueError : the format cannot hold such weights
        """
        ...

    def nearest(self, W: F64, scales: F64) -> F64:
        """Return the stored weights at the least squared distance from W."""
        ...

    def cost(self, shape: tuple[int, int], storage: Storage) -> Cost:
        """Return the bits of a layer of (rows, n) weights."""
        ...


FORMATS: Registry[Format] = Registry("storage format", "pvq.solvers.formats", Format)


def specs_at(spec: str, bits: tuple[float, ...]) -> list[str]:
    """Return the specs that `spec` stands for: one for each width where it leaves its ``bits`` open.

    Raises
    ------
    SpecError, UnknownName : a spec that cannot be read

    >>> specs_at("int[per=row]", (3, 4)), specs_at("n_of_m[n=2,m=4]", (3, 4))
    (['int[bits=3,per=row]', 'int[bits=4,per=row]'], ['n_of_m[n=2,m=4]'])
    """
    parsed = parse_spec(spec)
    fields = getattr(FORMATS.get(parsed.name), "__dataclass_fields__", {})
    if "bits" not in fields or "bits" in parsed.options or parsed.args:
        return [_checked(spec)]
    more = "".join(f",{key}={value}" for key, value in parsed.options.items())
    return [_checked(f"{parsed.name}[bits={width:g}{more}]") for width in bits]


def _checked(spec: str) -> str:
    FORMATS.build(spec)
    return str(parse_spec(spec))


def rounding_error(W: F64, X: F64, doubt: float = 0.0) -> tuple[float, float]:
    """Return two numbers that enclose the sum of (W - X)^2, the first smaller by the share `doubt` more.

    Chunks are summed as NumPy does, in whatever order, and their sums without error, so that the relative
    rounding error is at most gamma(4100); underflow adds at most 2^-1022 a weight.

    Raises
    ------
    ValueError : the sum overflows

    >>> low, high = rounding_error(np.array([[0.0, 1.0]]), np.array([[0.5, 1.0]]))
    >>> low <= 0.25 <= high, high - low < 1e-12
    (True, True)
    """
    difference = (W - X).ravel()
    if not difference.any():
        return 0.0, 0.0
    parts = [difference[start : start + CHUNK] for start in range(0, difference.size, CHUNK)]
    with np.errstate(all="ignore"):
        total = math.fsum(float(part @ part) for part in parts)
    slack, tiny = 2 * gamma(CHUNK + 4), TINY * difference.size
    if not math.isfinite(total * 2):
        raise ValueError("weights must have squares whose sum is finite, got an overflow")
    return max(0.0, total * (1 - slack - doubt) - tiny), total * (1 + slack) + tiny


def mask_cost(kept: int, n: int, coding: MaskCoding) -> tuple[int, str]:
    """Return the bits that say which `kept` of n weights are kept, and the coding that takes so few.

    ``entropy`` n H2(kept/n) bits, rounded up, at least log2 of the number of masks (T. M. Cover,
    J. A. Thomas, Elements of Information Theory, example 11.1.3); ``bitmap`` n bits; ``places`` the number
    of each kept weight. None if nothing or everything is kept.

    >>> mask_cost(1, 1024, "cheapest"), mask_cost(512, 1024, "cheapest"), mask_cost(4, 4, "bitmap")
    ((10, 'places'), (1024, 'bitmap'), (0, 'none'))
    """
    if kept in (0, n):
        return 0, "none"
    costs = {"bitmap": n, "entropy": min(n, math.ceil(n * mask_bits(kept / n, "entropy") * (1 + 1e-12)))}
    if coding != "cheapest":
        return costs[coding], coding
    costs["places"] = kept * (n - 1).bit_length()
    best = min(costs, key=lambda name: costs[name])
    return costs[best], best
