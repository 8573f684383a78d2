from __future__ import annotations

import pytest

from pvq.figures.run import BoundRow, BoundRun
from pvq.figures.verdicts import advice, coverage, headline, scope, tally


def rows(*verdicts: str) -> tuple[BoundRow, ...]:
    return tuple(
        BoundRow(f"l{i}", 4, verdict, n=10, rows=1, rows_total=i + 1) for i, verdict in enumerate(verdicts)
    )


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (["quantize (proved)"] * 3, "Quantize every layer (proved for each)."),
        (["prune (likely)"] * 2, "Prune every layer (likely, not proved)."),
        (["prune (proved)", "prune (likely)"], "Prune every layer (proved for 1, likely for 1)."),
        (["quantize (proved)"], "Quantize l0 (proved)."),
        (["open"], "Open: l0; neither is clearly ahead."),
        (
            ["", "open"],
            "Open: l1; neither is clearly ahead. No verdict: l0; the table says why.",
        ),
        (
            ["quantize (proved)"] * 7 + ["prune (likely)"],
            "Quantize 7 of 8 layers (proved for each). Prune l7 (likely).",
        ),
        (
            ["quantize (proved)"] * 6 + ["prune (proved)"] * 6,
            "Quantize l0, l1, l2, l3 and 2 more (proved for each). "
            "Prune l6, l7, l8, l9 and 2 more (proved for each).",
        ),
    ],
)
def test_advice(verdicts: list[str], words: str) -> None:
    assert advice(BoundRun(rows(*verdicts), {}), 4) == words


def test_advice_speaks_of_one_bit_width() -> None:
    run = BoundRun((BoundRow("a", 2, "open"), BoundRow("a", 4, "prune (proved)")), {})
    assert advice(run, 4) == "Prune a (proved)."


def test_coverage_counts_rows_and_weights() -> None:
    found = coverage(rows("quantize (proved)", "open", "prune (proved)", ""))
    assert (found.share, found.weight_share, found.bounded_share) == (0.5, 0.4, 0.4)


def test_coverage_by_weights_is_unknown_where_no_weights_are() -> None:
    assert coverage((BoundRow("a", 4, "open"),)).weight_share is None


def test_tally_counts_every_row_once() -> None:
    counts = tally(rows("open", "", "prune (proved)", "open"))
    assert counts == {"open": 2, "prune (proved)": 1, "no verdict": 1}


def test_the_headline_counts_answers_and_weights() -> None:
    run = BoundRun(rows("quantize (proved)", "open", "prune (proved)", "prune (likely)"), {})
    assert headline(run) == "The winner is proved for 2 of 4 answers (50 %), 40 % of the weights."


def test_sampling_is_told_where_rows_were_sampled_and_only_there() -> None:
    sampled = BoundRun((BoundRow("a", 4, "prune (proved)", n=9, rows=2, rows_total=8),), {})
    assert "which hold 25 % of the weights" in scope(sampled)
    whole = BoundRun((BoundRow("a", 4, "prune (proved)", n=9, rows=8, rows_total=8),), {})
    assert "sampled" not in scope(whole)
