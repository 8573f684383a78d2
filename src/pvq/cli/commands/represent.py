"""`pvq represent`: what compression and fine-tuning do to the layers of the networks of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from pvq.cli.options import Json, Output
from pvq.cli.output import emit, note, progress_bar
from pvq.errors import MissingExtra

__all__ = ["command"]

HIDDEN = ("camp", "cka_change_low", "cka_change_high")


def command(
    comparison: Path,
    /,
    *,
    run: Path | None = None,
    images: Annotated[int, Parameter(validator=Number(gte=4))] = 512,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    output: Output | None = None,
    workers: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    json: Json = False,
) -> None:
    """Compare the layers of compressed and fine-tuned networks with those of the network they started from.

    Tells by signal-to-noise ratio and centred kernel alignment (CKA) whether fine-tuning brings the outputs
    of the layers back or leads them elsewhere, and with --run where the weights stand relative to the
    certified bounds. Writes layers.csv (a row a network, layer and stage), summary.csv, representation.json,
    .md and figures. Rows are the summary: method, camp, budget, seeds, layers, cka_before, cka_after,
    cka_change, cka_change_low, cka_change_high, nearer, snr_before_db, snr_after_db, weight_snr_before_db,
    weight_snr_after_db, layer_snr_before_db, layer_snr_after_db, at_most_db, achieved_db, above, bounded. A
    stopped call goes on where it was.

    Example: `pvq represent runs/comparison --run runs/bounds --workers 2`

    Parameters
    ----------
    comparison
        Folder of a `pvq compare` that starts from trained weights.
    run
        Folder of a finished `pvq bounds` of all rows of the network that was started from.
    images
        Test images to look at; training images where the data set has no others.
    seed
        Draws them.
    output
        Folder for the results; COMPARISON/representation if not given.
    workers
        Processes, each with one thread.
    json
        Print the rows as one JSON array on stdout.
    """
    from pvq.empirical.represent import RepresentRequest, represent
    from pvq.empirical.represent_files import write_representation_files
    from pvq.empirical.represent_rows import representation_words, summary_rows

    request, folder = RepresentRequest(comparison, images, seed, run), output or comparison / "representation"
    with progress_bar("represent") as progress:
        rows, finished = represent(request, folder, workers, progress)
    summary = summary_rows(rows)
    words = representation_words(summary)
    write_representation_files(request, rows, summary, words, folder)
    emit(summary, json, title="Representations", hide=HIDDEN)
    for sentence in words:
        note(sentence)
    _draw(rows, folder)
    if finished.missing:
        note(f"{finished.missing} of {finished.runs} runs of the comparison have not ended and are left out")
    unknown = {row["layer"]: row["note"] for row in rows if row["note"]}
    for layer, why in unknown.items():
        note(f"{layer}: {why}")
    note(f"layers, table and words: {folder}")


def _draw(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Draw what there is to draw, where matplotlib is installed."""
    from pvq.figures.representation import representation_data, save_representation

    try:
        save_representation(representation_data(rows), folder)
    except MissingExtra as error:
        note(f"no pictures: {error}")
