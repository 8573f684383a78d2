"""Many figures at once: what `pvq curves` and `pvq figure` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pvq.figures.figure import FIGURES
from pvq.figures.save import figure_name, save_figure
from pvq.progress import Progress

__all__ = ["curves"]


def curves(
    out: str | Path, names: Sequence[str] | None = None, progress: Progress | None = None
) -> list[dict[str, str]]:
    """Save figures; return one row per file: ``{"figure": name, "kind": suffix, "file": path}``.

    Parameters
    ----------
    out : directory, made if absent
    names : specs of figures; every registered one if None
    progress : told before each figure and at the end

    Raises
    ------
    UnknownName, SpecError : before anything is written
    MissingExtra : matplotlib is not installed
    """
    specs = list(FIGURES.classes()) if names is None else list(names)
    known = [figure_name(spec) for spec in specs]
    rows = []
    for done, (spec, name) in enumerate(zip(specs, known, strict=True)):
        _tell(progress, done, len(specs), spec)
        files = save_figure(spec, out)
        rows += [{"figure": name, "kind": path.suffix[1:], "file": str(path)} for path in files]
    _tell(progress, len(specs), len(specs), "")
    return rows


def _tell(progress: Progress | None, done: int, total: int, label: str) -> None:
    if progress is not None:
        progress(done, total, label)
