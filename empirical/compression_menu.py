"""What a layer may be stored as: every format with its bits and its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvq.arrays import F64
from pvq.empirical.compression_plan import Interval
from pvq.empirical.model import LayerWeights
from pvq.errors import PvqError
from pvq.solvers.stored_format import FORMATS, Cost, Decision, Storage, rounding_error, specs_at

__all__ = ["DEFAULT_FORMATS", "Candidate", "LayerMenu", "format_specs", "weights_menu"]

DEFAULT_FORMATS = (
    "int", "int[per=row]", "sign", "sign[per=row]", "sparse", "n_of_m[n=2,m=4]", "float[bits=16]",
    "float[bits=32]",
)  # fmt: skip
SMALLEST, LARGEST = 1e-75, 1e75  # as for the weights of a problem: squares neither vanish nor overflow


@dataclass(frozen=True)
class Candidate:
    """One way to store a layer.

    Parameters
    ----------
    format : spec of the storage format
    camp : quantize, prune or keep
    cost : bits
    error : the error of the stored weights, from the least that the format allows to the one attained
    scales : factors of the integers
    """

    format: str
    camp: Decision
    cost: Cost
    error: Interval
    scales: tuple[float, ...] = ()


@dataclass(frozen=True)
class LayerMenu:
    """The ways to store one layer.

    Parameters
    ----------
    name, shape : of the layer; rows and weights of a row
    signal : the error of storing zeros
    candidates : at least one
    """

    name: str
    shape: tuple[int, int]
    signal: Interval
    candidates: tuple[Candidate, ...]

    def __post_init__(self) -> None:
        if not self.candidates:
            raise PvqError(f"{self.name}: none of the formats can hold its weights")

    @property
    def n_weights(self) -> int:
        """Number of weights."""
        return self.shape[0] * self.shape[1]


def format_specs(formats: Sequence[str], bits: Sequence[float]) -> list[str]:
    """Return the specs that formats stand for, their open widths filled in.

    >>> format_specs(["int", "float[bits=16]"], [4, 8])
    ['int[bits=4]', 'int[bits=8]', 'float[bits=16]']
    """
    return list(dict.fromkeys(spec for text in formats for spec in specs_at(text, tuple(bits))))


def weights_menu(layer: LayerWeights, specs: Sequence[str], storage: Storage) -> LayerMenu:
    """Return the menu of a layer, errors ||x - w||^2 of the weights alone.

    Each stored weight is the nearest that the format allows, which is optimal for that error, the grid with
    its scale being given: lower and upper error differ by rounding only. A format that cannot hold the
    layer's weights is left out.

    Raises
    ------
    PvqError : NaN or infinity among the weights, a largest weight outside [1e-75, 1e75], no format left
    """
    W = layer.matrix
    check_weights(layer.name, W)
    found = [candidate for spec in specs if (candidate := _candidate(W, spec, storage)) is not None]
    signal = Interval(*rounding_error(W, np.zeros_like(W)))
    return LayerMenu(layer.name, (W.shape[0], W.shape[1]), signal, tuple(found))


def check_weights(name: str, W: F64) -> None:
    """Refuse weights that cannot be measured."""
    broken = int((~np.isfinite(W)).sum())
    if broken:
        raise PvqError(f"{name}: {broken} of {W.size} weights are NaN or infinite; leave it out by --layers")
    largest = float(np.abs(W).max())
    if largest and not SMALLEST <= largest <= LARGEST:
        raise PvqError(f"{name}: the largest weight must lie in [1e-75, 1e75], got {largest:.3g}")


def _candidate(W: F64, spec: str, storage: Storage) -> Candidate | None:
    stored = FORMATS.build(spec)
    try:
        scales = stored.scales(W, storage)
    except ValueError:
        return None
    error = rounding_error(W, stored.nearest(W, scales), stored.doubt)
    cost = stored.cost((W.shape[0], W.shape[1]), storage)
    return Candidate(spec, stored.camp, cost, Interval(*error), tuple(scales.tolist()))
