"""`pvq predict`: whether the certified errors of layers predict what a network loses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pvq.cli.options import Json, Output
from pvq.cli.output import emit, note, progress_bar
from pvq.errors import MissingExtra, PvqError

if TYPE_CHECKING:
    from pvq.empirical.prediction import Prediction

__all__ = ["command"]

HIDDEN = ("camp", "bits")


def command(
    run: Path,
    /,
    *,
    data: str = "cifar10:2000",
    mixes: Annotated[int, Parameter(validator=Number(gte=0))] = 40,
    hessian: str = "",
    comparison: Path | None = None,
    model: str | None = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    output: Output = Path("predict"),
    json: Json = False,
) -> None:
    """Measure whether the certified errors of a finished bound run predict what is lost in accuracy.

    Puts the run's best weights into one layer at a time, in each camp at each width, and into all layers in
    random mixes, and measures loss and accuracy without any training. Writes predict.csv (a row a network),
    correlations.csv, predict.json, .md (findings and tables), .png, .svg, manifest.json; docs/predict.md
    describes them. A stopped command goes on where it was. Rows: set, camp, bits, predictor, target,
    spearman, low, high (95 % interval), p_value, n, lead (over bits alone), lead_low, lead_high, note.

    Example: `pvq predict runs/full --data cifar10:2000 -o predict`

    Parameters
    ----------
    run
        Folder of a finished `pvq bounds` of all rows.
    data
        Labelled images of the test split, DATA:N drawn under the seed, or DATA for all.
    mixes
        Number of networks with all layers compressed.
    hessian
        Labelled images, such as bundled:64, for errors times the Hessian's trace; none if not given.
    comparison
        Folder of a `pvq compare`, whose trained networks are then set beside the run's errors.
    model
        The network, where it has another name than the run says; its weights must be the run's.
    seed
        Of the images, the mixes, the Hessian and the intervals.
    output
        Folder of the results.
    json
        Print the correlations as one JSON array on stdout.
    """
    from pvq.empirical.prediction import PredictionRequest, Predictor
    from pvq.empirical.prediction_files import write_prediction_files

    request = PredictionRequest(run, data, mixes, seed, hessian, comparison, model)
    with progress_bar("read") as progress:
        predictor = Predictor.of(request, progress)
    with progress_bar("measure") as progress:
        found = predictor.measure(output, progress)
    write_prediction_files(found, output)
    overall = [row for row in found.correlations if json or (row["bits"] is None and not row["camp"])]
    emit(overall, json, title=f"What orders the losses of {found.model}", hide=HIDDEN)
    for sentence in found.words:
        note(sentence)
    _draw(found, output)
    note(f"findings and tables: {output / 'predict.md'}")


def _draw(found: Prediction, folder: Path) -> None:
    """Draw the figure, where matplotlib is installed and there is something to draw."""
    from pvq.empirical.prediction_files import prediction_content
    from pvq.figures.predict import predict_data, save_predict

    try:
        save_predict(predict_data(prediction_content(found)), folder / "predict")
    except (MissingExtra, PvqError) as error:
        note(f"no picture: {error}")
