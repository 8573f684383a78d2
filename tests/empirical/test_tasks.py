"""What a task's key covers, and what it refuses to run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvq import arrays, registry
from pvq.empirical import tasks
from pvq.empirical.store import ArrayStore, content_key
from pvq.empirical.tasks import Methods, Task, code_digest, run_task
from pvq.errors import PvqError
from pvq.solvers.solver import Limits

RNG = np.random.default_rng(0)
GRAMS = np.stack([x.T @ x for x in RNG.normal(size=(1, 20, 4))])
WEIGHTS = RNG.normal(size=(3, 4))


def _task(folder: Path, grams: Any = GRAMS, **changes: Any) -> Task:
    ArrayStore(folder).put("g", {"grams": grams})
    fields: dict[str, Any] = {
        "layer": "a", "bits": 4.0, "camp": "prune", "rows": (0, 1, 2), "weights": WEIGHTS, "grams": folder,
        "gram_key": "g", "gram_digest": content_key({}, grams), "groups": (0, 0, 0),
        "feasible": "sparse[k=1]", "methods": Methods("perspective", ("magnitude",)), "limits": Limits(),
    }  # fmt: skip
    return Task(**(fields | changes))


def test_rows_name_their_problem_set_and_claim(tmp_path: Path) -> None:
    solved = run_task(_task(tmp_path))
    assert [row["claim"] for row in solved.rows] == [0, 1, 2]
    for row, claim, point in zip(solved.rows, solved.claims, solved.points, strict=True):
        assert row["problem"] == claim.problem.digest == point.problem.digest
        assert row["set"] == claim.set == "sparse 1 of 4"
        assert row["error_lower"] == claim.value
        assert point.x is not None
        assert row["error_upper"] == point.problem.error_upper(point.x)
        assert row["signal_lower"] < claim.problem.signal < row["signal_upper"]


def test_a_row_without_a_claim_does_not_shift_the_numbers_of_the_others(tmp_path: Path) -> None:
    grams = np.stack([np.zeros((4, 4)), GRAMS[0]])
    solved = run_task(_task(tmp_path, grams, groups=(1, 0, 1)))
    assert [row["claim"] for row in solved.rows] == [0, None, 1]
    assert [row["problem"] for row in solved.rows] == [point.problem.digest for point in solved.points]


def test_other_gram_matrices_than_planned_are_refused(tmp_path: Path) -> None:
    task = _task(tmp_path)
    ArrayStore(tmp_path).put("g", {"grams": 2 * GRAMS})
    with pytest.raises(PvqError, match="no longer those that were planned with; run again"):
        run_task(task)


@pytest.mark.parametrize("module", [arrays, registry, tasks])
def test_the_code_of_the_core_is_part_of_the_key(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_digest.__wrapped__()
    edited = tmp_path / Path(module.__file__).name
    edited.write_bytes(Path(module.__file__).read_bytes() + b"\n# edited\n")
    monkeypatch.setattr(module, "__file__", str(edited))
    assert code_digest.__wrapped__() != before


def test_versions_of_numpy_and_scipy_are_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest.__wrapped__()
    monkeypatch.setattr(tasks, "versions", lambda packages: dict.fromkeys(packages, "0"))
    assert code_digest.__wrapped__() != before
