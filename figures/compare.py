"""What changed between two bound runs, and whether they contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pvq.figures.run import BoundRow, BoundRun, difference
from pvq.figures.text import db, width

__all__ = ["Change", "Comparison", "compare_runs"]

PREFIX = {"quantize": "quant", "prune": "prune"}
_SLACK = 1e-6  # dB; ceilings are rounded up and points down, so this only forgives other versions of libm
_SEEN = 0.005  # dB; a smaller change is not seen at two decimals


@dataclass(frozen=True)
class Change:
    """One layer at one bit width in two runs.

    Parameters
    ----------
    before, after : its rows; None where a run lacks it, not both
    contradictions : in words, what cannot be true of both
    """

    before: BoundRow | None
    after: BoundRow | None
    contradictions: tuple[str, ...] = ()

    @property
    def row(self) -> BoundRow:
        """The row of the later run, of the earlier where there is no later."""
        row = self.after or self.before
        assert row is not None  # one of the two is there
        return row

    @property
    def flipped(self) -> bool:
        """Whether both runs have the row, with other verdicts."""
        return bool(self.before and self.after and self.before.verdict != self.after.verdict)

    @property
    def proof_gained(self) -> int:
        """1 where only the later run proves a winner, -1 where only the earlier does, else 0."""
        if self.before is None or self.after is None:
            return 0
        return int(self.after.proved) - int(self.before.proved)

    def shift(self, camp: str, key: str) -> float | None:
        """Return by how many dB `achieved` or `at_most` of a camp is higher in the later run."""
        before, after = self._values(camp, key)
        return 0.0 if after is not None and after == before else difference(after, before)

    def _values(self, camp: str, key: str) -> tuple[float | None, float | None]:
        """Return a number of both runs."""
        before, after = (getattr(getattr(row, camp, None), key, None) for row in (self.before, self.after))
        return before, after

    @property
    def moved(self) -> bool:
        """Whether a number has changed by more than two decimals show, or has come or gone."""
        return any(_moved(*self._values(camp, key)) for camp, key in NUMBERS)

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        if self.contradictions:
            return "contradiction"
        if self.before is None or self.after is None:
            return "only in B" if self.before is None else "only in A"
        if self.flipped:
            return "verdict changed"
        return "numbers changed" if self.moved else "same"

    def as_row(self) -> dict[str, Any]:
        """Return the row that `pvq report --compare` prints; changes are B less A, in dB."""
        shifts = {
            f"{PREFIX[camp]}_snr_{key}_change_db": self.shift(camp, key) for camp, key in NUMBERS
        }  # fmt: skip
        return {
            "layer": self.row.layer, "bits": self.row.bits, "change": self.kind,
            "verdict_a": self.before.verdict if self.before else None,
            "verdict_b": self.after.verdict if self.after else None,
            **shifts, "contradiction": "; ".join(self.contradictions),
        }  # fmt: skip


NUMBERS = tuple((camp, key) for camp in PREFIX for key in ("achieved", "at_most"))
KINDS = ("contradiction", "verdict changed", "numbers changed", "only in A", "only in B", "same")


@dataclass(frozen=True)
class Comparison:
    """Two runs, row by row, in the order of the later run, then what only the earlier has."""

    before: BoundRun
    after: BoundRun
    changes: tuple[Change, ...]

    @property
    def contradictions(self) -> list[str]:
        """Everything that cannot be true of both runs, in words."""
        return [text for change in self.changes for text in change.contradictions]

    def sentences(self) -> list[str]:
        """Return what changed, in words."""
        both = [change for change in self.changes if change.before and change.after]
        flips, gained = sum(c.flipped for c in both), [c.proof_gained for c in both]
        said = [
            f"{len(both)} answers in both runs: {flips} verdicts changed, {gained.count(1)} proofs gained, "
            f"{gained.count(-1)} lost."
        ]
        said += [text for camp in PREFIX if (text := _camp_sentence(camp, both))]
        alone = [(name, sum(c.kind == f"only in {name}" for c in self.changes)) for name in "AB"]
        said += [f"{count} answers only in {name}." for name, count in alone if count]
        if self.contradictions:
            said.append(f"{len(self.contradictions)} contradictions: a certificate or a point is wrong.")
        return said


_WORDS = (("achieved", "better points on", "worse on"), ("at_most", "higher ceilings on", "lower on"))


def _camp_sentence(camp: str, both: list[Change]) -> str:
    parts = []
    for key, up, down in _WORDS:
        shifts = [shift for change in both if (shift := change.shift(camp, key)) is not None]
        higher, lower = sum(shift > _SEEN for shift in shifts), sum(shift < -_SEEN for shift in shifts)
        if higher or lower:
            parts.append(f"{up} {higher}, {down} {lower}")
    return f"{camp.capitalize()}: {'; '.join(parts)}." if parts else ""


def compare_runs(before: BoundRun, after: BoundRun) -> Comparison:
    """Return what changed from one run to another, matched by layer and bit width.

    Where two rows speak of the same problem (same weights, calibration images, output channels and set), a
    point of one run above the other's certified ceiling contradicts it: one of the two is wrong.

    >>> one = BoundRun((BoundRow("a", 4, "open"),), {})
    >>> two = BoundRun((BoundRow("a", 4, "prune (proved)"), BoundRow("b", 4)), {})
    >>> compare_runs(one, two).sentences()[0]
    '1 answers in both runs: 1 verdicts changed, 1 proofs gained, 0 lost.'
    """
    old = {(row.layer, row.bits): row for row in before.rows}
    new = {(row.layer, row.bits): row for row in after.rows}
    keys = dict.fromkeys([*new, *old])
    changes = []
    for a, b in ((old.get(key), new.get(key)) for key in keys):
        same = a is not None and b is not None and _same_problem(a, b, before.manifest, after.manifest)
        changes.append(Change(a, b, tuple(_contradictions(a, b)) if a and b and same else ()))
    return Comparison(before, after, tuple(changes))


def _contradictions(a: BoundRow, b: BoundRow) -> Iterator[str]:
    """Yield what cannot be true of both rows, of the same weights, inputs and output channels."""
    for camp in PREFIX:
        set_a, set_b = (row.more.get(f"{PREFIX[camp]}_set") for row in (a, b))
        if set_a and set_a == set_b:
            yield from _above(a, b, camp, "AB")
            yield from _above(b, a, camp, "BA")


def _above(row: BoundRow, other: BoundRow, camp: str, names: str) -> Iterator[str]:
    """Yield a line where the point of `row` lies above the certified ceiling of `other`."""
    reached, ceiling = getattr(row, camp).achieved, getattr(other, camp).at_most
    excess = difference(reached, ceiling)
    if other.certified and excess is not None and excess > _SLACK:
        where = f"{row.layer} at {width(row.bits)} bits"
        yield (
            f"{where}: the {camp} point of {names[0]} reaches {db(reached)} dB, "
            f"{excess:.2g} dB above the certified ceiling of {names[1]}, {db(ceiling)} dB"
        )


def _same_problem(a: BoundRow, b: BoundRow, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether two rows are known to speak of the same weights, calibration images and channels."""
    return _same_inputs(before, after) and _same_channels(a, b, before, after) and _same_signal(a, b)


def _same_inputs(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Return whether two manifests name the same weights and the same calibration images, by content."""
    digests = [_at(manifest, "calibration", "digest") for manifest in (a, b)]
    sources = [(manifest.get("model"), _at(manifest, "source", "sha256")) for manifest in (a, b)]
    return bool(digests[0]) and digests[0] == digests[1] and sources[0] == sources[1]


def _same_channels(a: BoundRow, b: BoundRow, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if (a.n, a.rows, a.rows_total) != (b.n, b.rows, b.rows_total):
        return False
    if a.kurtosis is not None and b.kurtosis is not None and a.kurtosis != b.kurtosis:
        return False  # other weights under the same name
    return a.rows == a.rows_total or _at(before, "run", "seed") == _at(after, "run", "seed")


def _same_signal(a: BoundRow, b: BoundRow) -> bool:
    """Return whether the intervals of w'Hw, a fingerprint of the problem, meet; True where one is unknown."""
    lowest_a, highest_a, lowest_b, highest_b = (
        row.more.get(key) for row in (a, b) for key in ("signal_lower", "signal_upper")
    )
    if lowest_a is None or highest_a is None or lowest_b is None or highest_b is None:
        return True
    return bool(lowest_a <= highest_b and lowest_b <= highest_a)


def _at(manifest: Mapping[str, Any], *path: str) -> Any:
    value: Any = manifest
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _moved(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    return before != after and not abs(after - before) <= _SEEN
