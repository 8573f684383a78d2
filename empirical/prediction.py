"""The run behind `pvq predict`: whether certified errors of layers predict what a network loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvq.empirical.analysis.budget_prediction import budget_prediction, read_comparison_rows
from pvq.empirical.analysis.prediction import correlation_rows
from pvq.empirical.compression_run import StoredRun, read_manifest, read_stored_run
from pvq.empirical.model import Model
from pvq.empirical.models_zoo import load_model
from pvq.empirical.prediction_choice import Choice, layer_choices
from pvq.empirical.prediction_measure import Bench, Measured, TestImages, read_test_images
from pvq.empirical.prediction_mixes import draw_mixes
from pvq.empirical.prediction_rows import layer_row, mix_row, uncompressed_row
from pvq.empirical.prediction_words import prediction_words
from pvq.empirical.run_lock import run_lock
from pvq.errors import PvqError
from pvq.progress import Progress

__all__ = ["MEASURED", "Prediction", "PredictionRequest", "Predictor"]

MEASURED = "measured"  # folder of the measurements


@dataclass(frozen=True)
class PredictionRequest:
    """What is asked.

    Parameters
    ----------
    run : folder of a finished bound run of all rows
    data : labelled images, ``DATA:N`` or ``DATA``
    mixes : number of networks with all layers compressed
    seed : of the images, the mixes, the Hessian and the bootstrap
    hessian : labelled images for the trace of the loss's Hessian, ``DATA:N``; empty for none
    comparison : folder of a `pvq compare` whose networks are judged as well
    model : the network, or its name; the one that the run names if None
    """

    run: Path
    data: str = "cifar10:2000"
    mixes: int = 40
    seed: int = 0
    hessian: str = ""
    comparison: Path | None = None
    model: str | Model | None = None

    def __post_init__(self) -> None:
        if self.mixes < 0:
            raise ValueError(f"mixes must not be negative, got {self.mixes}")


@dataclass(frozen=True)
class Prediction:
    """What was found.

    Parameters
    ----------
    request : what was asked
    model : name of the network
    images : that it was measured on
    mixes : the choices of each mix
    rows : one a network measured, see `pvq.empirical.prediction_rows`
    budgets : one a trained method and budget, see `budget_prediction`
    budget_correlations : of these
    correlations : of all
    words : the findings, sentence by sentence
    """

    request: PredictionRequest
    model: str
    images: TestImages
    mixes: Sequence[Sequence[Choice]]
    rows: Sequence[Mapping[str, Any]]
    budgets: Sequence[Mapping[str, Any]] = ()
    budget_correlations: Sequence[Mapping[str, Any]] = ()
    correlations: Sequence[Mapping[str, Any]] = field(init=False)
    words: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        found = [*correlation_rows(self.rows, self.request.seed), *self.budget_correlations]
        object.__setattr__(self, "correlations", found)
        object.__setattr__(self, "words", prediction_words(self.rows, found))


@dataclass(frozen=True)
class Predictor:
    """A run whose weights are read and a network that is ready to be measured.

    Parameters
    ----------
    request : what was asked
    run : the bound run
    model : its network
    images : to measure on
    choices : what the run offers each layer
    traces : mean traces of the loss's Hessian by layer, negative ones as 0; None where not asked for
    """

    request: PredictionRequest
    run: StoredRun
    model: Model
    images: TestImages
    choices: Mapping[str, Sequence[Choice]]
    traces: Mapping[str, float] | None = None

    @staticmethod
    def of(request: PredictionRequest, progress: Progress | None = None) -> Predictor:
        """Read the run, the network and the images.

        Raises
        ------
        PvqError, SpecError : no finished run, a run of some rows or of other weights, a network that cannot
            be run or does not say how images are prepared, an unknown data set
        """
        manifest = read_manifest(request.run)
        model = _network(request, manifest)
        run = read_stored_run(request.run, model)
        images = read_test_images(request.data, model, request.seed)
        choices = layer_choices(run, model, progress)
        return Predictor(
            request, run, model, images, choices, _traces(request, model, list(choices), progress)
        )

    def measure(self, out: Path, progress: Progress | None = None) -> Prediction:
        """Measure what is not in the folder yet; an interrupted run loses at most one measurement.

        Raises
        ------
        PvqError : another process at work in the folder, labels that are no classes of the network, a
            comparison that cannot be read or has nothing to do with the run
        """
        budgets = self._budgets()
        mixes = draw_mixes(self.choices, self.request.mixes, self.request.seed)
        singles = [choice for offered in self.choices.values() for choice in offered]
        with run_lock(out):
            bench = Bench(self.model, self.images, out / MEASURED)
            jobs = [(), *((choice,) for choice in singles), *mixes]
            before, *found = _measured(bench, jobs, progress)
        rows = [uncompressed_row(before)]
        for choice, one in zip(singles, found, strict=False):
            rows.append(layer_row(choice, one, before, self.traces))
        for number, (mix, one) in enumerate(zip(mixes, found[len(singles) :], strict=True)):
            rows.append(mix_row(number, mix, one, before, self.traces))
        return Prediction(self.request, self.model.name, self.images, mixes, rows, *budgets)

    def _budgets(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        if self.request.comparison is None:
            return (), ()
        compared = read_comparison_rows(self.request.comparison)
        return budget_prediction(self.run.rows, compared, self.request.seed)


def _network(request: PredictionRequest, manifest: Mapping[str, Any]) -> Model:
    """Return the network of the run, its batch norms folded where the run's were."""
    model = load_model(str(manifest.get("model")) if request.model is None else request.model)
    if model.build is None:
        raise PvqError(f"weights only: {model.name} has no network to run, so no accuracy can be measured")
    if manifest.get("run", {}).get("fold_bn"):
        from pvq.empirical.fold import fold_batch_norm

        return fold_batch_norm(model)
    return model


def _traces(
    request: PredictionRequest, model: Model, layers: Sequence[str], progress: Progress | None
) -> dict[str, float] | None:
    if not request.hessian:
        return None
    from pvq.empirical.hessian_trace import layer_traces

    traces = layer_traces(model, layers, request.hessian, request.seed, progress)
    return {name: max(0.0, trace.mean) for name, trace in traces.items()}


def _measured(bench: Bench, jobs: Sequence[Sequence[Choice]], progress: Progress | None) -> list[Measured]:
    """Return the measurement of each job, those on disk first looked up, then the others made."""
    found = [bench.stored(job) for job in jobs]
    done = sum(one is not None for one in found)
    for place, job in enumerate(jobs):
        if found[place] is not None:
            continue
        if progress:
            progress(done, len(jobs), _label(job))
        found[place] = bench.measure(job)
        done += 1
    if progress:
        progress(done, len(jobs), "")
    return [one for one in found if one is not None]


def _label(job: Sequence[Choice]) -> str:
    if len(job) == 1:
        return job[0].name
    return "all layers" if job else "uncompressed"
