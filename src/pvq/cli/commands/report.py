"""`pvq report`: rebuild the report of a stored run, hold it to a demand, or compare two runs."""

from __future__ import annotations

from pathlib import Path

from pvq.cli.options import Json, Output
from pvq.cli.output import emit, note
from pvq.errors import CertificateRejected, SpecError

__all__ = ["command"]


def command(
    run: Path | None = None,
    /,
    *,
    compare: tuple[Path, Path] | None = None,
    fail_under: str | None = None,
    output: Output | None = None,
    json: Json = False,
) -> None:
    """Rebuild the report of a `pvq bounds` run from its stored rows: page, figures, bounds.csv and bounds.md.

    With `--compare A B`, tell what changed between two runs; exit code 3 if they contradict each other.

    Example: `pvq report runs/resnet20-cifar10`

    Parameters
    ----------
    run
        Folder that `pvq bounds` wrote.
    compare
        Two such folders.
    fail_under
        Conditions such as "snr[bits=4]>=18, coverage>=0.85"; exit code 1 unless all hold. Of each row: snr,
        quant_snr, prune_snr, quant_gap, prune_gap, certified, seconds; of the run: coverage.
    output
        Folder for compare.html and compare.md; without it the comparison is only printed.
    json
        Print rows as one JSON array on stdout.
    """
    if (run is None) == (compare is None):
        raise SpecError("pvq report takes a run's folder or --compare A B")
    if compare is not None:
        if fail_under is not None:
            raise SpecError("--fail-under takes a run's folder, not --compare")
        _compare(compare, output, json)
    if run is not None:
        if output is not None:
            raise SpecError("--output goes with --compare; a report is written into its run's folder")
        _report(run, fail_under, json)


def _report(run: Path, fail_under: str | None, json: bool) -> None:
    from pvq.empirical.gate import parse_gate, require
    from pvq.figures.report import write_report
    from pvq.figures.stored_run import read_run

    conditions = parse_gate(fail_under) if fail_under is not None else ()
    emit([{"report": str(write_report(run))}], json)
    require(conditions, read_run(run).stored if conditions else ())


def _compare(folders: tuple[Path, Path], output: Path | None, json: bool) -> None:
    from pvq.figures.compare import compare_runs
    from pvq.figures.compare_page import write_comparison
    from pvq.figures.stored_run import read_run

    comparison = compare_runs(*map(read_run, folders))
    changes = [change for change in comparison.changes if json or change.kind != "same"]
    if json or changes:
        emit([change.as_row() for change in changes], json, title="B less A")
    for sentence in comparison.sentences():
        note(sentence)
    if output is not None:
        note(f"comparison: {write_comparison(comparison, (str(folders[0]), str(folders[1])), output)}")
    wrong = comparison.contradictions
    if wrong:
        raise CertificateRejected(f"the runs contradict each other {len(wrong)} times, first: {wrong[0]}")
