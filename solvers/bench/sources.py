"""Where the problems of a benchmark come from: seeded generators, and layers that the caller brings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from pvq.arrays import F64
from pvq.errors import PvqError
from pvq.solvers.catalogue import CATALOGUE, catalogue_problem, power_law

__all__ = ["LAYER", "Layer", "Layers", "Raw", "raw_problem"]

LAYER = "layer:"
_CONDITION = re.compile(r"condition-(\d+(?:\.\d*)?(?:e\d+)?)")


class Layer(NamedTuple):
    """A layer of a real network: H (n, n) of its inputs and W (rows, n), its weights."""

    H: F64
    W: F64


Layers: TypeAlias = Callable[[], Mapping[str, Layer]]  # by name; called once, and only if a case asks


class Raw(NamedTuple):
    """A problem before it is checked: H (n, n), w (n,), and the weights that a scale is fitted to."""

    H: F64
    w: F64
    fitted: F64


def raw_problem(source: str, n: int, seed: int, layers: Mapping[str, Layer]) -> Raw:
    """Return a problem, the same for the same arguments.

    Parameters
    ----------
    source : a name of `pvq.solvers.catalogue`; ``condition-C``, a power-law spectrum with random axes and
        normal weights; or ``layer:NAME``, whose row is drawn with the seed
    n : number of weights; that of a layer is its own

    Raises
    ------
    PvqError : no such source

    >>> raw_problem("condition-1e3", 5, 0, {}).H.shape
    (5, 5)
    """
    if source.startswith(LAYER):
        return _row(source.removeprefix(LAYER), seed, layers)
    if source in CATALOGUE:
        problem = catalogue_problem(source, n, seed)
        return Raw(problem.H, problem.w, problem.w)
    condition = _CONDITION.fullmatch(source)
    if condition is None:
        raise PvqError(f"no source of problems is called {source!r}")
    rng = np.random.default_rng([seed, n])
    H, w = power_law(n, float(condition[1]), rng), rng.standard_normal(n)
    return Raw(H, w, w)


def _row(name: str, seed: int, layers: Mapping[str, Layer]) -> Raw:
    if name not in layers:
        raise PvqError(f"no layer called {name!r} was given")
    layer = layers[name]
    row = int(np.random.default_rng(seed).integers(len(layer.W)))
    return Raw(layer.H, layer.W[row], layer.W)
