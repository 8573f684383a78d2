from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from pvq.figures.run_files import markdown_table, write_csv, write_markdown
from pvq.figures.stored_run import read_run

from .bound_rows import NASTY, awkward, full, row, write


def test_csv_holds_every_field_of_every_row(tmp_path: Path) -> None:
    rows = [full(), full("a,b\n", kurtosis=None, prune_snr_at_most_db=math.inf), row("old", seconds=math.nan)]
    write_csv(read_run(write(tmp_path, rows)), tmp_path / "bounds.csv")
    with (tmp_path / "bounds.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [list(line) for line in read] == [list(full())] * 3
    assert float(read[0]["kurtosis"]) == 4.5
    assert (read[1]["layer"], read[1]["kurtosis"], read[1]["prune_snr_at_most_db"]) == ("a,b\n", "", "inf")
    assert (read[2]["seconds"], read[2]["kurtosis"], read[2]["certified"]) == ("", "", "true")


def test_csv_numbers_are_exact(tmp_path: Path) -> None:
    write_csv(read_run(write(tmp_path, [row(seconds=0.1 + 0.2)])), tmp_path / "bounds.csv")
    stored = json.loads((tmp_path / "bounds.json").read_text())[0]["seconds"]
    with (tmp_path / "bounds.csv").open(newline="", encoding="utf-8") as file:
        assert float(next(csv.DictReader(file))["seconds"]) == stored


def test_markdown_says_what_the_page_says(tmp_path: Path) -> None:
    write_markdown(
        read_run(write(tmp_path, [full(), full("fc", verdict="prune (proved)")])), tmp_path / "b.md"
    )
    text = (tmp_path / "b.md").read_text()
    for words in (
        "# Prune or quantize toy?",
        "**The winner is proved for 2 of 2 answers (100 %), 100 % of the weights.**",
        "Quantize conv1 (proved). Prune fc (proved).",
        "- At 4 bits GPTQ is within 2 dB of the best possible on 2 of 2 layers",
        "- Peak memory of a process was 512 MB",
        "A bound holds for the Gram matrix H of the calibration images",
        "| conv1 | 4 | quantize (proved) | 8.50 | 20.50 | 22.00 | 11.00 | 12.00 | 20.00 | 20.25 | 10.50 ",
    ):
        assert words in text, words


def test_a_name_is_no_markup_in_markdown(tmp_path: Path) -> None:
    write_markdown(read_run(write(tmp_path, awkward())), tmp_path / "b.md")
    text = (tmp_path / "b.md").read_text()
    assert NASTY not in text
    assert "\\<script\\>" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(table) == len(awkward()) + 2


def test_a_cell_never_breaks_the_table() -> None:
    header, _, line = markdown_table(["a", "b"], [["x|y\nz", "`1`"]], [False, True])
    assert line == "| x\\|y z | \\`1\\` |"
    assert header == "| a | b |"
