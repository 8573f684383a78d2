from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from pvq.errors import PvqError
from pvq.figures.run import BoundRow, Camp
from pvq.figures.stored_run import read_run

from .bound_rows import awkward, row, write


def test_nan_and_null_are_unknown_and_infinity_stays(tmp_path: Path) -> None:
    rows = read_run(write(tmp_path, awkward())).rows
    assert rows[2].quantize.at_most is None
    assert rows[3].prune.achieved == math.inf
    assert rows[4].camp == "failed"
    assert rows[5].note == ""


def test_parquet_reads_like_json(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows = [row("a"), row("b", verdict=None, quant_snr_at_most_db=None)]
    from_json = read_run(write(tmp_path, rows))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "bounds.parquet")
    assert read_run(tmp_path) == from_json
    (tmp_path / "bounds.json").unlink()
    assert read_run(tmp_path) == from_json


def test_a_damaged_table_is_refused_in_one_line(tmp_path: Path) -> None:
    (write(tmp_path, [row()]) / "bounds.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(PvqError, match="cannot be read"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("quantize", "prune", "lead"),
    [
        (Camp(20.0, 22.0), Camp(11.0, 12.0), 8.0),
        (Camp(8.0, 9.0), Camp(11.0, 12.0), 2.0),
        (Camp(10.0, 15.0), Camp(9.0, 13.0), -3.0),
        (Camp(10.0, None), Camp(None, 13.0), -3.0),
        (Camp(), Camp(11.0, 12.0), None),
        (Camp(math.inf, math.inf), Camp(math.inf, math.inf), None),
    ],
)
def test_lead_is_reached_less_the_other_ceiling(quantize: Camp, prune: Camp, lead: float | None) -> None:
    assert BoundRow("a", 4, quantize=quantize, prune=prune).lead == lead


def test_unknown_fields_are_kept_and_empty_ones_are_not(tmp_path: Path) -> None:
    rows = read_run(write(tmp_path, [row(quant_method="gptq", prune_method=None)])).rows
    assert rows[0].more == {"quant_method": "gptq"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "at least one row"),
        ({"rows": []}, "array of objects"),
        ([{"bits": 4}], "name its layer and bits"),
        ([{"layer": "a", "bits": None}], "name its layer and bits"),
    ],
)
def test_what_is_no_run_is_refused(rows: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(PvqError, match=words):
        read_run(write(tmp_path, rows))


def test_a_manifest_that_is_no_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="one JSON object"):
        read_run(write(tmp_path, [row()], manifest=[1]))


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    (write(tmp_path, []) / "bounds.json").unlink()
    with pytest.raises(PvqError, match="found neither"):
        read_run(tmp_path)


def test_a_manifest_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="must name the model"):
        read_run(write(tmp_path, [row()], manifest={}))


def test_tables_that_disagree_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist([row(prune_snr_at_most_db=math.inf)])
    parquet.write_table(table, tmp_path / "bounds.parquet")
    (run,) = read_run(write(tmp_path, [row(prune_snr_at_most_db=None)])).rows  # JSON has no infinity
    assert run.prune.at_most == math.inf
    with pytest.raises(PvqError, match="disagree; run: pvq verify"):
        read_run(write(tmp_path, [row(verdict="prune (proved)", prune_snr_at_most_db=None)]))
