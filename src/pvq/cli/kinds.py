"""Every registry of pvq, for `pvq list`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pvq.errors import UnknownName, missing_extra
from pvq.registry import suggest

if TYPE_CHECKING:
    from pvq.registry import Registry

__all__ = ["KINDS", "kind_rows"]

KINDS = {
    "distributions": "pvq.theory.distribution:DISTRIBUTIONS",
    "quantizers": "pvq.theory.quantizer:QUANTIZERS",
    "block-formats": "pvq.theory.block:BLOCK_FORMATS",
    "sets": "pvq.solvers.feasible:SETS",
    "formats": "pvq.solvers.stored_format:FORMATS",
    "solvers": "pvq.solvers.solver:SOLVERS",
    "models": "pvq.empirical.models_zoo:MODELS",
    "architectures": "pvq.empirical.architecture:ARCHITECTURES",
    "datasets": "pvq.empirical.dataset:DATASETS",
    "training-methods": "pvq.empirical.method:TRAINING_METHODS",
    "trackers": "pvq.empirical.tracker:TRACKERS",
    "figures": "pvq.figures.figure:FIGURES",
}


def kind_rows(kind: str = "all") -> list[dict[str, str]]:
    """Return one row per named kind: kind, name, description.

    Raises
    ------
    UnknownName : no such kind
    """
    if kind not in {"all", *KINDS}:
        raise UnknownName(f"unknown kind {kind!r}{suggest(kind, ['all', *KINDS])}")
    chosen = list(KINDS) if kind == "all" else [kind]
    return [row for name in chosen for row in _rows(name)]


def _rows(kind: str) -> list[dict[str, str]]:
    module, _, name = KINDS[kind].partition(":")
    try:
        registry: Registry[object] = getattr(importlib.import_module(module), name)
        described = registry.describe()
    except ModuleNotFoundError as error:
        known = missing_extra(error)
        if known is None:
            raise
        return [{"kind": kind, "name": "-", "description": str(known)}]
    return [{"kind": kind, "name": key, "description": line} for key, line in described.items()]
