"""From a network and a budget to a plan: menus, objective, the best choice, and the Pareto curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import pvq
from pvq.empirical.compression_menu import DEFAULT_FORMATS, LayerMenu, format_specs, weights_menu
from pvq.empirical.compression_objective import Objective, layer_factors, priced
from pvq.empirical.compression_plan import Interval, Plan, PlannedLayer, Totals
from pvq.empirical.compression_run import StoredRun, read_stored_run, run_menu
from pvq.empirical.model import LayerWeights, Model
from pvq.empirical.models_zoo import load_model
from pvq.empirical.plan import select_layers
from pvq.errors import PvqError
from pvq.progress import Progress
from pvq.solvers.multiple_choice import Choice, Option, choose
from pvq.solvers.stored_format import Storage

__all__ = ["CURVE_BITS", "PlanRequest", "Planner", "pareto"]

CURVE_BITS = 8  # the curve goes so far, or to the budget if that is larger


@dataclass(frozen=True)
class PlanRequest:
    """What a plan is asked for, but for its budget.

    Parameters
    ----------
    model : name of a network, or the network
    bits : widths of the formats that leave theirs open
    formats : specs of storage formats, for errors of the weights alone
    objective : relative, absolute or hessian
    weights : further factors by pattern of layer names
    layers : pattern of the layers planned; others count neither as cost nor as error
    storage : what all layers share
    run : folder of a finished bound run, whose errors are then taken; None: those of the weights alone
    estimate : accept a run that solved only some rows, and certify nothing
    calibration, seed : labelled images for ``hessian``
    """

    model: str | Model
    bits: tuple[float, ...] = (2, 3, 4, 5, 6, 7, 8)
    formats: tuple[str, ...] = DEFAULT_FORMATS
    objective: Objective = "relative"
    weights: Mapping[str, float] = field(default_factory=dict)
    layers: str = "*"
    storage: Storage = field(default_factory=Storage)
    run: Path | None = None
    estimate: bool = False
    calibration: str = "bundled:64"
    seed: int = 0


@dataclass(frozen=True)
class Planner:
    """A network whose menus are known; any number of budgets can be tried.

    Parameters
    ----------
    request : what was asked
    model : the network
    menus, factors : of each layer
    certified : errors are proved, not estimated
    note : remarks
    """

    request: PlanRequest
    model: Model
    menus: tuple[LayerMenu, ...]
    factors: tuple[Interval, ...]
    certified: bool = True
    note: str = ""

    @staticmethod
    def of(request: PlanRequest, progress: Progress | None = None) -> Planner:
        """Return the planner of a request, its menus computed.

        Raises
        ------
        PvqError, SpecError : the network, a format, the run or the calibration images are refused
        """
        model = load_model(request.model)
        layers = [layer for layer in _layers(model, request.layers) if layer.size]
        run = _run(request, model)
        specs = format_specs(request.formats, request.bits)
        menus = []
        for done, layer in enumerate(layers):
            if progress:
                progress(done, len(layers), layer.name)
            menus.append(_menu(layer, specs, request.storage, run))
        if progress:
            progress(len(layers), len(layers), "")
        traces, note = _traces(request, model, layers, progress)
        factors = layer_factors(menus, request.objective, request.weights, traces)
        return Planner(request, model, tuple(menus), tuple(factors), not (run and run.sampled), note)

    @property
    def weights(self) -> int:
        """Number of weights of all planned layers."""
        return sum(menu.n_weights for menu in self.menus)

    @property
    def least_bits(self) -> int:
        """Bits of the cheapest plan."""
        return sum(min(c.cost.bits for c in menu.candidates) for menu in self.menus)

    @property
    def most_bits(self) -> int:
        """Bits beyond which no plan gets better."""
        return sum(min(group, key=lambda option: (option.upper, option.cost)).cost for group in self.options)

    @property
    def options(self) -> list[list[Option]]:
        """The knapsack's options, a group a layer."""
        return [priced(*pair) for pair in zip(self.menus, self.factors, strict=True)]

    def budget(self, bits_per_weight: float | None, nbytes: int | None) -> int:
        """Return a budget in bits, given as bits per weight or as bytes.

        Raises
        ------
        PvqError : both or none given; less than the cheapest plan takes
        """
        if (bits_per_weight is None) == (nbytes is None):
            raise PvqError("a plan needs exactly one budget: bits per weight or bytes")
        given = int(Fraction(str(bits_per_weight)) * self.weights) if nbytes is None else 8 * nbytes
        if given < self.least_bits:
            least = -(-self.least_bits // 8)
            raise PvqError(
                f"budget must be at least {_up(self.least_bits / self.weights)} bits per weight "
                f"({least} bytes), which the cheapest plan takes, got {given / self.weights:.6g}"
            )
        return given

    def plan(self, budget_bits: int) -> Plan:
        """Return the best plan within a budget in bits."""
        return self._plan(choose(self.options, budget_bits), budget_bits)

    def _plan(self, choice: Choice, budget_bits: int) -> Plan:
        bound = choice.bound if self.certified else None
        totals = Totals(self.weights, budget_bits, choice.cost, choice.value, bound, choice.optimal)
        request = self.request
        return Plan(
            model=self.model.name,
            sha256=self.model.source.sha256,
            objective=request.objective,
            errors="weights" if request.run is None else "run" if self.certified else "sampled run",
            storage=request.storage,
            totals=totals,
            layers=tuple(map(_planned, self.menus, self.factors, choice.plan)),
            run="" if request.run is None else str(request.run),
            note=self.note,
            pvq=pvq.__version__,
        )


def pareto(
    planner: Planner, budget_bits: int, points: int, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Return objective and certified bound at evenly spaced budgets.

    From the cheapest plan to 8 bits per weight (or the given budget where that is larger, or where no plan
    gets better any more). Fields: budget_bits, bits, bits_per_weight, bytes, objective, bound, gap, optimal.
    """
    options, least = planner.options, planner.least_bits
    most = max(least, min(planner.most_bits, max(budget_bits, CURVE_BITS * planner.weights)))
    budgets = {least + (most - least) * step // max(1, points - 1) for step in range(points)}
    rows = []
    for done, budget in enumerate(sorted({*budgets, budget_bits})):
        if progress:
            progress(done, len(budgets), f"{budget / planner.weights:.3g} bits per weight")
        choice = choose(options, budget, seconds=0)
        rows.append(_curve_row(choice, budget, planner))
    return rows


def _curve_row(choice: Choice, budget: int, planner: Planner) -> dict[str, Any]:
    return {
        "budget_bits": budget,
        "bits": choice.cost,
        "bits_per_weight": choice.cost / planner.weights,
        "bytes": -(-choice.cost // 8),
        "objective": choice.value,
        "bound": choice.bound if planner.certified else None,
        "gap": choice.gap if planner.certified else None,
        "optimal": choice.optimal,
    }


def _layers(model: Model, pattern: str) -> list[LayerWeights]:
    """Return the layers of a pattern; embeddings, too, cost bytes."""
    if pattern == "*":
        return list(model.weights().values())
    return select_layers(model, pattern)


def _run(request: PlanRequest, model: Model) -> StoredRun | None:
    if request.run is None:
        return None
    run = read_stored_run(request.run, model)
    if run.sampled and not request.estimate:
        raise PvqError(
            f"{request.run} solved only some rows of a layer: run pvq bounds without --rows, or take "
            f"--estimate, which certifies nothing"
        )
    return run


def _menu(layer: LayerWeights, specs: Sequence[str], storage: Storage, run: StoredRun | None) -> LayerMenu:
    return weights_menu(layer, specs, storage) if run is None else run_menu(run, layer, storage)


def _traces(
    request: PlanRequest, model: Model, layers: Sequence[LayerWeights], progress: Progress | None
) -> tuple[dict[str, float] | None, str]:
    """Return the mean traces that the objective needs, and a remark on them."""
    if request.objective != "hessian":
        return None, ""
    if request.run is not None:
        raise PvqError("the objective hessian is about errors of the weights; it takes no run")
    from pvq.empirical.hessian_trace import layer_traces

    traces = layer_traces(
        model, [layer.name for layer in layers], request.calibration, request.seed, progress
    )
    negative = [name for name, trace in traces.items() if trace.mean < 0]
    note = f"Hessian of the loss on {request.calibration}, seed {request.seed}"
    note += f"; negative traces counted as 0: {', '.join(negative)}" if negative else ""
    return {name: trace.mean for name, trace in traces.items()}, note


def _planned(menu: LayerMenu, factor: Interval, taken: int) -> PlannedLayer:
    chosen = menu.candidates[taken]
    return PlannedLayer(
        menu.name, chosen.camp, chosen.format, menu.shape, chosen.cost, chosen.error, factor, chosen.scales
    )


def _up(bits: float) -> str:
    """Return bits per weight with 4 decimals, rounded up, so that the printed budget is enough."""
    return f"{-(-bits * 10_000 // 1) / 10_000:.4f}"
