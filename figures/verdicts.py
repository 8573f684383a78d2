"""What a bound run says: how much of the network is decided, and what to do, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pvq.figures.run import BoundRow, BoundRun
from pvq.figures.text import percent

__all__ = ["VERDICTS", "Coverage", "advice", "coverage", "headline", "proved_words", "scope", "tally"]

VERDICTS = (
    "quantize (proved)",
    "quantize (likely)",
    "open",
    "prune (likely)",
    "prune (proved)",
    "no verdict",
)
_ORDERS = {"quantize": "Quantize", "prune": "Prune"}
_NAMED = 4  # layers named in a sentence; the table names them all


@dataclass(frozen=True)
class Coverage:
    """How much of a network is proved: rows (layers x bit widths) and weights.

    Parameters
    ----------
    proved, total : numbers of rows
    proved_weights, total_weights : numbers of weights of the layers they speak of
    bounded_weights : numbers of weights in the output channels that were bounded, a sample or all
    """

    proved: int
    total: int
    proved_weights: float
    total_weights: float
    bounded_weights: float

    @property
    def share(self) -> float:
        """Share of the rows, in [0, 1]."""
        return self.proved / self.total

    @property
    def weight_share(self) -> float | None:
        """Share of the weights, in [0, 1]; None if no row tells its number of weights."""
        return self.proved_weights / self.total_weights if self.total_weights else None

    @property
    def bounded_share(self) -> float | None:
        """Share of the weights in the output channels that were bounded; None if unknown."""
        return self.bounded_weights / self.total_weights if self.total_weights else None


def coverage(rows: Sequence[BoundRow]) -> Coverage:
    """Return what share of `rows` is proved.

    >>> proved = BoundRow("a", 4, "prune (proved)", n=9, rows_total=1)
    >>> rows = [proved, BoundRow("b", 4, "open", n=27, rows_total=1)]
    >>> coverage(rows).share, coverage(rows).weight_share
    (0.5, 0.25)
    """
    proved = [row for row in rows if row.proved]
    weights, of_proved = sum(row.weights for row in rows), sum(row.weights for row in proved)
    return Coverage(len(proved), len(rows), of_proved, weights, sum(row.bounded_weights for row in rows))


def tally(rows: Sequence[BoundRow]) -> dict[str, int]:
    """Return the number of rows with each verdict that occurs, in the order of `VERDICTS`."""
    counts = Counter("no verdict" if row.camp == "failed" else row.verdict for row in rows)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


def proved_words(rows: Sequence[BoundRow], unit: str) -> str:
    """Return what share of rows and of weights is proved.

    Parameters
    ----------
    unit : what a row is, in the plural

    >>> proved_words([BoundRow("a", 4, "prune (proved)", n=9, rows_total=8)], "layers")
    '1 of 1 layers (100 %), 100 % of the weights'
    """
    found = coverage(rows)
    text = f"{found.proved} of {found.total} {unit} ({percent(found.share)})"
    return text if found.weight_share is None else f"{text}, {percent(found.weight_share)} of the weights"


def headline(run: BoundRun) -> str:
    """Return the verdict coverage of a run in one sentence.

    >>> headline(BoundRun((BoundRow("a", 4, "prune (proved)", n=9, rows_total=8),), {}))
    'The winner is proved for 1 of 1 answers (100 %), 100 % of the weights.'
    """
    return f"The winner is proved for {proved_words(run.rows, 'answers')}."


def scope(run: BoundRun) -> str:
    """Return what the headline counts, and what a proof speaks of where output channels were sampled.

    >>> scope(BoundRun((BoundRow("a", 4, "prune (proved)", n=9, rows=2, rows_total=8),), {}))
    'An answer is one layer at one bit width. Weights are counted by whole layers, but rows were sampled: a
    proof speaks of the rows bounded, which hold 25 % of the weights.'
    """
    text = "An answer is one layer at one bit width."
    if not run.sampled:
        return text
    share = percent(coverage(run.rows).bounded_share)
    text += " Weights are counted by whole layers, but rows were sampled: a proof speaks of the rows bounded,"
    return f"{text} which hold {share} of the weights."


def advice(run: BoundRun, bits: float) -> str:
    """Return what to do at one bit width, in plain words.

    >>> rows = (BoundRow("a", 4, "quantize (proved)"), BoundRow("b", 4, "prune (likely)"))
    >>> advice(BoundRun(rows, {}), 4)
    'Quantize a (proved). Prune b (likely).'
    """
    rows = [row for row in run.rows if row.bits == bits]
    sides = {
        camp: [row for row in rows if row.camp == camp] for camp in ("quantize", "prune", "open", "failed")
    }
    if len(rows) > 1:
        for camp, order in _ORDERS.items():
            if len(sides[camp]) == len(rows):
                return f"{order} every layer ({_how_sure(sides[camp])})."
    sentences = [f"{order} {_naming(sides[camp], rows)}." for camp, order in _ORDERS.items() if sides[camp]]
    if sides["open"]:
        sentences.append(f"Open: {_list(sides['open'])}; neither is clearly ahead.")
    if sides["failed"]:
        sentences.append(f"No verdict: {_list(sides['failed'])}; the table says why.")
    return " ".join(sentences)


def _naming(side: Sequence[BoundRow], rows: Sequence[BoundRow]) -> str:
    """Name the layers of one side, or count them where they are most of the network."""
    if len(side) > _NAMED and 2 * len(side) > len(rows):
        return f"{len(side)} of {len(rows)} layers ({_how_sure(side)})"
    return f"{_list(side)} ({_how_sure(side)})"


def _how_sure(rows: Sequence[BoundRow]) -> str:
    proved = sum(row.proved for row in rows)
    if proved == len(rows):
        return "proved" if proved == 1 else "proved for each"
    if proved == 0:
        return "likely" if len(rows) == 1 else "likely, not proved"
    return f"proved for {proved}, likely for {len(rows) - proved}"


def _list(rows: Sequence[BoundRow]) -> str:
    names = list(dict.fromkeys(row.layer for row in rows))
    rest = len(names) - _NAMED
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:_NAMED])} and {rest} more"
