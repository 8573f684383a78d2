"""Crossovers of the truncated and clipped Student law, the map, and the prediction for tables of tensors."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from pvq.theory.crossover import advantage_db, crossover, region_map
from pvq.theory.distribution import kurtosis
from pvq.theory.matched import bounded_student, law_of_kurtosis, r_of_kurtosis
from pvq.theory.quantizers.int import IntGrid
from pvq.theory.scatter import agreement, predicted_winner

PUBLISHED = Path(__file__).parents[2] / ".." / "shared" / "reference" / "zoo_published.csv.gz"

# facts, A4: r and kurtosis at which both camps tie, two's complement with minimum squared error, nu = 2
TRUNCATED = {2: (11.09, 8.87), 3: (18.61, 15.99), 4: (29.37, 28.35), 5: (45.90, 51.8), 6: (71.7, 97.7)}
TRUNCATED |= {7: (111.9, 189), 8: (173.6, 371)}
CLIPPED = {2: (7.95, 7.7), 3: (13.45, 14.5), 4: (21.8, 27.2), 5: (35.1, 52.8), 6: (56.6, 106)}
CLIPPED |= {7: (91.1, 218), 8: (145.7, 455)}


def last_place(value: float) -> float:
    """Half a unit in the last printed place, and a little."""
    places = len(repr(value).partition(".")[2]) if value % 1 else 0
    return 0.51 * 10.0**-places


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(("reading", "table"), [("truncated", TRUNCATED), ("clipped", CLIPPED)])
def test_published_reading_of_the_crossover(
    reading: str, table: dict[int, tuple[float, float]], bits: int
) -> None:
    tie, (r, kurt) = crossover(bits, family=reading), table[bits]  # type: ignore[arg-type]
    assert tie.r == pytest.approx(r, abs=max(0.0051, last_place(r)))
    assert tie.kurtosis == pytest.approx(kurt, abs=max(0.0051, last_place(kurt)))


@pytest.mark.parametrize(
    ("r", "expected"),
    [
        (5, 4.213),
        (10, 7.960),
        (20, 17.44),
        (50, 58.33),
        (100, 159.67),
        (200, 463.1),
        (500, 2020.6),
        (1000, 6390.9),
    ],
)
def test_kurtosis_by_r_and_back(r: float, expected: float) -> None:
    assert kurtosis(bounded_student(r)) == pytest.approx(expected, abs=last_place(expected))
    assert r_of_kurtosis(kurtosis(bounded_student(r))) == pytest.approx(r, rel=1e-9)


def test_both_camps_tie_at_the_crossover_and_not_beside_it() -> None:
    tie = crossover(3)
    assert advantage_db(bounded_student(tie.r), 3) == pytest.approx(0, abs=1e-6)
    assert advantage_db(bounded_student(0.9 * tie.r), 3) > 0 > advantage_db(bounded_student(1.1 * tie.r), 3)


def test_quantizer_is_pluggable() -> None:
    assert crossover(4, "int[scale=absmax]").kurtosis < crossover(4).kurtosis
    assert crossover(4, IntGrid(4)).r == crossover(4).r
    assert crossover(4, "int[grid=symmetric]").kurtosis < crossover(4).kurtosis


def test_unbounded_student_never_ties() -> None:
    assert crossover(2, family="matched-nu").kurtosis == np.inf


@pytest.mark.parametrize("family", ["truncated", "clipped", "matched-nu"])
@pytest.mark.parametrize("target", [1.5, 1.8, 2.4, 3.0, 3.2, 9.0, 500.0])
def test_law_of_kurtosis(family: str, target: float) -> None:
    lightest = {"truncated": 1.8, "clipped": 1.0, "matched-nu": 3.0}[family]
    found = kurtosis(law_of_kurtosis(target, family))  # type: ignore[arg-type]
    assert found == pytest.approx(max(target, lightest), rel=1e-6)


def test_map_agrees_with_its_points_and_with_the_crossover() -> None:
    tie = crossover(4)
    drawn = region_map([3.0, tie.kurtosis, 100.0], [2, 4])
    assert drawn.advantage_db.shape == (3, 2)
    assert drawn.advantage_db[1, 1] == pytest.approx(0, abs=1e-6)
    assert drawn.advantage_db[0, 1] == pytest.approx(advantage_db(law_of_kurtosis(3.0), 4), abs=1e-9)
    assert (np.diff(drawn.advantage_db[:, 1]) < 0).all()
    assert drawn.prune_snr_db[1, 1] == pytest.approx(tie.snr_db, abs=1e-6)


def test_prediction_follows_the_crossover() -> None:
    tie = crossover(5).kurtosis
    assert [predicted_winner(k, 5) for k in (1.0, 0.99 * tie, 1.01 * tie)] == [
        "quantize",
        "quantize",
        "prune",
    ]
    assert predicted_winner(1e9, 2, family="matched-nu") == "quantize"


def test_agreement_counts() -> None:
    nan = float("nan")
    kurt = [3.0, 100.0, 100.0, 3.0, nan, 0.0]
    found = agreement(kurt, [9, 9, 9, 5, 9, 9], [6, 12, 8, 7, 6, 6], 4)
    assert (found.tensors, found.left_out, found.agreed) == (4, 2, 2)
    assert (found.prune_wins, found.prune_predicted, found.prune_agreed) == (2, 2, 1)
    assert found.share == 0.5
    assert np.isnan(agreement([nan], [1.0], [1.0], 4).share)


def test_share_predicted_in_the_published_table() -> None:
    """The 45-model release: theory names the winner of most tensors from kurtosis alone."""
    if not PUBLISHED.exists():
        pytest.skip("data: the published table is not beside this checkout")
    with gzip.open(PUBLISHED, "rt") as lines:
        rows = [row for row in csv.DictReader(lines) if row["bits"] == "4"]
    columns = ("kurtosis", "quant_snr_db", "prune_snr_db")
    found = agreement(*([float(row[c] or "nan") for row in rows] for c in columns), bits=4)
    assert (found.tensors, found.left_out) == (2533, 171)
    assert found.share == pytest.approx(0.924, abs=0.001)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crossover(16), "below 16"),
        (lambda: bounded_student(5, "cut"), "truncated or clipped"),  # type: ignore[arg-type]
        (lambda: bounded_student(-1), "r must be positive"),
        (lambda: r_of_kurtosis(1.7), "must lie in"),
        (lambda: r_of_kurtosis(20, nu=6.0), "reaches"),
        (lambda: law_of_kurtosis(0.5), "at least 1"),
        (lambda: predicted_winner(np.nan, 4), "at least 1"),
        (lambda: agreement([3.0], [1.0, 2.0], [1.0], 4), "one length"),
        (lambda: region_map([], [4]), "must not be empty"),
    ],
)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()  # type: ignore[operator]
