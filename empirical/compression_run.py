"""Menus from a finished bound run: errors of each layer's output, and the weights that attain them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pvq.arrays import F64
from pvq.empirical.compression_menu import Candidate, LayerMenu
from pvq.empirical.compression_plan import Interval
from pvq.empirical.model import LayerWeights, Model, file_sha256
from pvq.empirical.points import SUFFIX, Point, load_points
from pvq.empirical.store import RecordStore
from pvq.errors import PvqError, SpecError
from pvq.registry import parse_spec
from pvq.solvers.formats.float import as_float
from pvq.solvers.problem import LayerProblem
from pvq.solvers.stored_format import Cost, Storage, mask_cost

__all__ = ["RUN_SCALE_BITS", "StoredRun", "read_manifest", "read_stored_run", "run_menu", "same_weights"]

RUN_SCALE_BITS = 64  # the grids of a run have the scale that its manifest prints, a float64
PREFIX = {"quantize": "quant", "prune": "prune"}


@dataclass(frozen=True)
class StoredRun:
    """A finished bound run.

    Parameters
    ----------
    folder : where it lies
    rows : of its table
    sources : for each row, by camp, the keys of the records that it sums
    """

    folder: Path
    rows: tuple[Mapping[str, Any], ...]
    sources: tuple[Mapping[str, Sequence[str]], ...]

    def of(self, layer: str) -> list[int]:
        """Return the numbers of a layer's rows in the table."""
        return [number for number, row in enumerate(self.rows) if row["layer"] == layer]

    @property
    def sampled(self) -> bool:
        """Whether some layer was solved on a part of its rows only."""
        return any(row["rows"] != row["rows_total"] for row in self.rows if row["rows"])

    def points(self, number: int, camp: str) -> list[Point]:
        """Return the best point of each output channel solved, in order.

        Raises
        ------
        PvqError : a record or file is missing or damaged, or a channel has no point
        """
        best: dict[int, tuple[float, Point]] = {}
        for key in self.sources[number].get(camp, ()):
            record = RecordStore(self.folder / "tasks").get(key)
            if record is None:
                raise PvqError(f"{self.folder}: record {key} is missing or damaged; run pvq bounds again")
            for about, point in zip(record["rows"], self._stored(record), strict=True):
                error = about["error_upper"]
                if error is not None and error < best.get(about["row"], (math.inf,))[0]:
                    best[about["row"]] = (error, point)
        if len(best) != self.rows[number]["rows"] or any(point.x is None for _, point in best.values()):
            raise PvqError(f"{self.folder}: {self.rows[number]['layer']} has channels without a {camp} point")
        return [best[row][1] for row in sorted(best)]

    def _stored(self, record: Mapping[str, Any]) -> list[Point]:
        (name,) = (name for name in record["files"] if name.endswith(SUFFIX))
        path = self.folder / "certificates" / Path(name).name
        if not path.is_file() or file_sha256(path) != record["files"][name]:
            raise PvqError(f"{path} is missing or damaged; run pvq bounds again")
        return list(load_points(path))


def read_stored_run(folder: Path, model: Model) -> StoredRun:
    """Return a finished run of this very model.

    Raises
    ------
    PvqError : the folder holds no finished run, or one of another model or of other weights
    """
    rows, sources = (_json(folder / name) for name in ("bounds.json", "sources.json"))
    manifest = read_manifest(folder)
    if not isinstance(rows, list) or not isinstance(sources, list) or len(rows) != len(sources):
        raise PvqError(
            f"{folder}: bounds.json and sources.json must list the same rows; run pvq bounds again"
        )
    source = manifest.get("source", {})
    if not same_weights(model, str(manifest.get("model")), str(source.get("sha256"))):
        raise PvqError(
            f"{folder} is a run of {manifest.get('model')} with other weights than {model.name} has "
            f"(SHA-256 {str(source.get('sha256'))[:12]}..., not {model.source.sha256[:12]}...)"
        )
    return StoredRun(folder, tuple(rows), tuple(sources))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what a finished run tells of its making.

    Raises
    ------
    PvqError : the folder holds no finished run
    """
    manifest = _json(folder / "manifest.json")
    if not isinstance(manifest, dict):
        raise PvqError(f"{folder / 'manifest.json'} must hold one JSON object; run pvq bounds again")
    return manifest


def same_weights(model: Model, name: str, sha256: str) -> bool:
    """Return whether a hash is that of the model's file; a model without a file goes by its name, too."""
    return sha256 == model.source.sha256 and (sha256 != "" or name == model.name)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PvqError(f"{path} cannot be read: {error}; name the folder of a finished pvq bounds") from error


def run_menu(
    run: StoredRun, layer: LayerWeights, storage: Storage, keep: Sequence[int] = (16, 32)
) -> LayerMenu:
    """Return the menu of a layer: at each width of the run its best quantized and its best pruned weights.

    Errors are (x - w)' H (x - w) added over the output channels; where only some were solved, they stand for
    all, in proportion. Kept weights of the pruned are rounded to FP16 and priced anew, so that the error is
    that of what is stored; the proved lower bounds hold for these, too. Keeping the whole layer in FP16 has
    its error priced and 0 as the lower bound.

    Raises
    ------
    PvqError : the run has no row of the layer, or its files are damaged
    """
    numbers = [number for number in run.of(layer.name) if run.rows[number]["rows"]]
    if not numbers:
        raise PvqError(f"{run.folder} has no solved row of {layer.name}; leave the layer out by --layers")
    first = run.rows[numbers[0]]
    share = first["rows_total"] / first["rows"]
    found = [c for number in numbers for c in _compressed(run, number, layer, storage, share)]
    problems = [point.problem for point in run.points(numbers[0], _any_camp(run, numbers[0]))]
    found += [c for bits in keep if (c := _kept(layer, problems, bits, share)) is not None]
    signal = _scaled(_number(first, "signal_lower"), _number(first, "signal_upper"), share)
    return LayerMenu(layer.name, (layer.rows, layer.n), signal, tuple(found))


def _any_camp(run: StoredRun, number: int) -> str:
    return next(camp for camp in PREFIX if run.rows[number][f"{PREFIX[camp]}_error_upper"] is not None)


def _number(row: Mapping[str, Any], name: str) -> float:
    if row.get(name) is None:
        raise PvqError(f"the run's table has no {name} for {row['layer']}; run pvq bounds again")
    return float(row[name])


def _scaled(lower: float, upper: float, share: float) -> Interval:
    return Interval(lower, upper) if share == 1 else Interval(lower * share, upper * share)


def _compressed(
    run: StoredRun, number: int, layer: LayerWeights, storage: Storage, share: float
) -> list[Candidate]:
    row = run.rows[number]
    found = []
    if row.get("quant_error_upper") is not None:
        error = _scaled(row.get("quant_error_lower") or 0.0, row["quant_error_upper"], share)
        cost = Cost(int(row["bits"]) * layer.size, RUN_SCALE_BITS)
        scale = float(parse_spec(row["quant_set"]).options["scale"])
        found.append(Candidate(f"int[bits={row['bits']:g}]", "quantize", cost, error, (scale,)))
    if row.get("prune_error_upper") is not None:
        points = run.points(number, "prune")
        upper = _total(points, [as_float(_point(point), 16) for point in points])
        kept = _kept_per_row(row) * layer.rows
        cost = Cost(16 * kept, 0, *mask_cost(kept, layer.size, storage.mask))
        error = _scaled(row.get("prune_error_lower") or 0.0, upper, share)
        found.append(Candidate(f"sparse[bits={row['bits']:g}]", "prune", cost, error))
    return found


def _kept_per_row(row: Mapping[str, Any]) -> int:
    try:
        return int(parse_spec(row["prune_set"]).options["k"])
    except (KeyError, ValueError, SpecError) as error:
        raise PvqError(f"the run's set {row['prune_set']!r} of {row['layer']} is no sparse[k=...]") from error


def _kept(layer: LayerWeights, problems: Sequence[LayerProblem], bits: int, share: float) -> Candidate | None:
    try:
        rounded = [as_float(problem.w, bits) for problem in problems]
    except ValueError:
        return None
    upper = _sum_up(problem.error_upper(x) for problem, x in zip(problems, rounded, strict=True))
    cost = Cost(bits * layer.size)
    return Candidate(f"float[bits={bits}]", "keep", cost, _scaled(0.0, upper, share))


def _total(points: Sequence[Point], stored: Sequence[F64]) -> float:
    return _sum_up(point.problem.error_upper(x) for point, x in zip(points, stored, strict=True))


def _sum_up(errors: Any) -> float:
    total = math.fsum(errors)
    return math.nextafter(total, math.inf) if total else 0.0


def _point(point: Point) -> F64:
    assert point.x is not None, "asked only where every channel has a point"
    return np.asarray(point.x)
