"""The sparsity of each layer that a plan of `pvq plan` asks for."""

from __future__ import annotations

from collections.abc import Sequence

from pvq.empirical.compression_file import read_plan
from pvq.empirical.compression_plan import PlannedLayer
from pvq.empirical.sites import Site
from pvq.errors import PvqError
from pvq.solvers.stored_format import FORMATS
from pvq.theory.budget import DENSE_BITS, Budget

__all__ = ["planned_sparsity"]


def planned_sparsity(path: str, found: Sequence[Site], budget: Budget) -> dict[str, float]:
    """Return the share of weights that the plan sets to zero, by layer; a layer that it keeps stays dense.

    Raises
    ------
    PvqError : another network's plan, one that costs more than the budget, formats other than ``sparse`` and
        ``float``
    """
    plan = read_plan(path)
    entries = {entry.name: entry for entry in plan.layers}
    spends = plan.totals.bits_per_weight
    if spends > budget.bits:
        raise PvqError(f"budget must pay for the plan, {spends:.4f} bits per weight, got {budget.bits:g}")
    for site in found:
        shape = (site.layer.rows, site.layer.n)
        entry = entries.get(site.name)
        if entry is None or tuple(entry.shape) != shape:
            has = "no such layer" if entry is None else f"shape {tuple(entry.shape)}"
            raise PvqError(f"{path} must plan {site.name} with shape {shape}, it has {has}")
    extra = set(entries) - {site.name for site in found}
    if extra:
        raise PvqError(f"{path} plans {sorted(extra)[0]}, a layer that the network lacks")
    return {site.name: _sparsity(path, entries[site.name]) for site in found}


def _sparsity(path: str, entry: PlannedLayer) -> float:
    name = FORMATS.name_of(FORMATS.build(entry.format))
    if name not in ("sparse", "float"):
        raise PvqError(
            f"{path} stores {entry.name} as {entry.format}; pruning by a plan needs sparse or float"
        )
    if name == "float":
        return 0.0
    return 1 - entry.cost.payload / (DENSE_BITS * entry.n_weights)
