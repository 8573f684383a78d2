"""What a finished bound run offers each layer, with what might predict the loss of accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pvq.empirical.compression_apply import run_weights
from pvq.empirical.compression_menu import Candidate, LayerMenu
from pvq.empirical.compression_objective import layer_factors, priced
from pvq.empirical.compression_plan import Interval
from pvq.empirical.compression_run import StoredRun, run_menu
from pvq.empirical.model import LayerWeights, Model
from pvq.errors import PvqError
from pvq.progress import Progress
from pvq.registry import parse_spec
from pvq.solvers.stored_format import Storage

__all__ = ["Choice", "Choices", "layer_choices"]


@dataclass(frozen=True, eq=False)
class Choice:
    """One layer stored as a run has it in one camp at one width.

    Parameters
    ----------
    layer, camp, bits : which
    n_weights : of the layer
    stored_bits : what the layer then takes, scale and mask included
    error : from the certified least sum of (x - w)' H (x - w) to that of the stored weights
    relative : the same over w' H w, rounded outwards
    weight_error : ||x - w||^2 / ||w||^2
    distance : ||x - w||^2
    kurtosis : Pearson's, of the layer's weights; None where there is none
    certified : every certificate of the run's row was proved again
    tensor : the stored weights x in the shape of the layer's tensor, float32
    """

    layer: str
    camp: str
    bits: float
    n_weights: int
    stored_bits: int
    error: Interval
    relative: Interval
    weight_error: float
    distance: float
    kurtosis: float | None
    certified: bool
    tensor: NDArray[np.float32]

    @property
    def name(self) -> str:
        """The choice in words.

        >>> Choice("fc", "prune", 2.0, *[0] * 2, *[Interval(0, 0)] * 2, 0, 0, 3, True, np.zeros(1)).name
        'fc prune at 2 bits'
        """
        return f"{self.layer} {self.camp} at {self.bits:g} bits"


Choices: TypeAlias = Mapping[str, Sequence[Choice]]  # by layer


def layer_choices(run: StoredRun, model: Model, progress: Progress | None = None) -> dict[str, list[Choice]]:
    """Return what a run offers each layer that it solved: quantized and pruned, at each width.

    Kept weights of the pruned are rounded to FP16 and priced again, as `pvq plan` stores them.

    Raises
    ------
    PvqError : a run of some rows only, or of no layer of the network; files missing or damaged
    """
    if run.sampled:
        raise PvqError(f"{run.folder} solved only some rows of a layer: run pvq bounds without --rows")
    solved = {row["layer"] for row in run.rows if row["rows"]}
    layers = [layer for name, layer in model.weights().items() if name in solved]
    if not layers:
        raise PvqError(f"{run.folder} has no solved row of any layer of {model.name}")
    found = {}
    for done, layer in enumerate(layers):
        if progress:
            progress(done, len(layers), layer.name)
        found[layer.name] = _choices(run, layer)
    if progress:
        progress(len(layers), len(layers), "")
    return found


def _choices(run: StoredRun, layer: LayerWeights) -> list[Choice]:
    menu = run_menu(run, layer, Storage(), keep=())
    (factor,) = layer_factors([menu], "relative", {})
    rows = {row["bits"]: row for row in run.rows if row["layer"] == layer.name}
    found = []
    for candidate, option in zip(menu.candidates, priced(menu, factor), strict=True):
        bits = float(parse_spec(candidate.format).options["bits"])
        relative = Interval(option.lower, option.upper)
        found.append(_choice(run, layer, menu, candidate, relative, rows[bits]))
    return found


def _choice(
    run: StoredRun,
    layer: LayerWeights,
    menu: LayerMenu,
    candidate: Candidate,
    relative: Interval,
    row: Mapping[str, Any],
) -> Choice:
    X, W = run_weights(run, layer.name, row["bits"], candidate.camp), layer.matrix
    distance, size = float(np.square(X - W).sum()), float(np.square(W).sum())
    return Choice(
        layer=layer.name,
        camp=candidate.camp,
        bits=float(row["bits"]),
        n_weights=menu.n_weights,
        stored_bits=candidate.cost.bits,
        error=candidate.error,
        relative=relative,
        weight_error=distance / size if size else 0.0,
        distance=distance,
        kurtosis=row["kurtosis"],
        certified=bool(row["certified"]),
        tensor=layer.restore(X).astype(np.float32),
    )
