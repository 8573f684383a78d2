"""Run suites: every finished case is stored, so that a run that is stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pvq.errors import PvqError
from pvq.progress import Outlook, Progress
from pvq.provenance import git_hash, provenance, versions

from .case import Case
from .measure import Bench, measure
from .sources import LAYER, Layer, Layers
from .suites import SUITES, cases_of, suites_of
from .summary import summarise

__all__ = ["SCHEMA", "run_cases", "run_suites"]

SCHEMA = 1


def run_suites(
    suites: Sequence[str],
    quick: bool,
    out: Path,
    layers: Layers | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Run suites and write ``OUT/SUITE.json`` as each one ends; return the same by suite.

    ``{"schema": 1, "suite", "about", "quick", "provenance", "summary", "rows"}``, see `summarise` and
    `measure` for the latter two. Finished cases lie in ``OUT/cases``; those that the same code, packages and
    settings measured are not measured again.

    Parameters
    ----------
    suites : names of `SUITES`
    quick : small sizes and short limits
    layers : real layers by name; without them their cases are rows with that reason

    Raises
    ------
    UnknownName : no such suite
    """
    plan = {suite: cases_of(suite, quick) for suite in suites_of(suites)}
    given = _layers_for(plan, layers)
    bench, done, total = Bench(given), 0, sum(map(len, plan.values()))
    written = {}
    for suite, cases in plan.items():
        rows = run_cases(cases, bench, out / "cases", _shifted(progress, done, total))
        done += len(cases)
        written[suite] = {
            "schema": SCHEMA,
            "suite": suite,
            "about": SUITES[suite].about,
            "quick": quick,
            "provenance": provenance(suite=suite, quick=quick, one_thread=True),
            "summary": summarise(rows),
            "rows": rows,
        }
        _write(out / f"{suite}.json", written[suite])
    return written


def run_cases(
    cases: Sequence[Case], bench: Bench, folder: Path, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Measure the cases that `folder` does not hold yet, store each when it ends, and return all rows."""
    code = json.dumps([git_hash(), versions()], sort_keys=True)
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(cases):
        if progress is not None:
            progress(number, len(cases), case.label)
        path = folder / f"{case.key(code)}.json"
        stored = _read(path)
        if stored is None:
            stored = measure(case, bench)
            _write(path, stored)
        rows += stored
    if progress is not None:
        progress(len(cases), len(cases), "")
    return rows


def _layers_for(plan: Mapping[str, Sequence[Case]], layers: Layers | None) -> Mapping[str, Layer]:
    """Return the layers if any case needs them; what cannot be had is missed case by case."""
    needed = any(case.source.startswith(LAYER) for cases in plan.values() for case in cases)
    if layers is None or not needed:
        return {}
    try:
        return layers()
    except PvqError:
        return {}


def _shifted(progress: Progress | None, before: int, whole: int) -> Progress | None:
    """Return a callback that counts on from `before`, of `whole`."""
    if progress is None:
        return None
    report = progress

    def show(done: int, total: int, label: str = "", outlook: Outlook | None = None) -> None:
        report(before + done, whole, label)

    return show


def _read(path: Path) -> list[dict[str, Any]] | None:
    """Return stored rows, None where there is no whole file."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return rows if isinstance(rows, list) else None


def _write(path: Path, content: Any) -> None:
    """Write JSON beside the target, then rename: a file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)
