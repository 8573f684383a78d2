"""Progress on stderr: a bar with the time left on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pvq.progress import Outlook, Progress

__all__ = ["duration", "progress_bar"]

LINE_SECONDS = 60.0  # a line is due after so long, or after a tenth of the work


def duration(seconds: float | None) -> str:
    """Return seconds as text, coarser the longer; a question mark for None.

    >>> [duration(s) for s in (None, 7.4, 75, 3600, 90061)]
    ['?', '7 s', '1 min 15 s', '1 h 0 min', '25 h 1 min']
    """
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Yield a callback that draws a bar with the time left on a terminal, and prints lines elsewhere."""
    if sys.stderr.isatty():
        with _terminal(title) as show:
            yield show
    else:
        yield Lines(title)


@dataclass
class _Pace:
    """Judges by the count where nobody gives an outlook: what was done at first took no time."""

    clock: Callable[[], float] = time.monotonic
    began: float | None = None
    first: int = 0

    def look(self, done: int, total: int, given: Outlook | None) -> tuple[float, Outlook]:
        """Return the seconds since the first call, and the outlook."""
        now = self.clock()
        if self.began is None:
            self.began, self.first = now, done
        elapsed = now - self.began
        if given is not None:
            return elapsed, given
        steps = done - self.first
        left = elapsed / steps * (total - done) if steps > 0 else None
        return elapsed, Outlook(done / max(total, 1), left)


@dataclass
class Lines:
    """Prints a line when a tenth of the work or a minute has gone by since the last.

    Parameters
    ----------
    title : what every line begins with
    clock : in seconds
    write : prints one line
    """

    title: str
    clock: Callable[[], float] = time.monotonic
    write: Callable[[str], None] = field(default=lambda text: print(text, file=sys.stderr, flush=True))
    _pace: _Pace = field(init=False)
    _last: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        self._pace = _Pace(self.clock)

    def __call__(self, done: int, total: int, label: str = "", outlook: Outlook | None = None) -> None:
        """Print the line if it is due."""
        elapsed, ahead = self._pace.look(done, total, outlook)
        tenth = int(10 * ahead.share)
        if self._last is not None and tenth <= self._last[0] and elapsed - self._last[1] < LINE_SECONDS:
            return
        self._last = (tenth, elapsed)
        parts = [f"{done}/{total}", label, *_times(elapsed, ahead, done < total)]
        self.write(f"{self.title}: {', '.join(filter(None, parts))}")


def _times(elapsed: float, ahead: Outlook, unfinished: bool) -> list[str]:
    """Return what a line says of time: nothing as long as there is nothing to say."""
    spent = [f"{duration(elapsed)} elapsed"] if elapsed >= 1 else []
    if not unfinished:
        return spent
    share = [f"{ahead.share:.0%} of the work"] if ahead.share > 0 else []
    return share + spent + ([f"about {duration(ahead.left)} left"] if ahead.left is not None else [])


@contextmanager
def _terminal(title: str) -> Iterator[Progress]:
    """Yield a callback that moves a bar by the share of the work; the time left counts down between calls."""
    from rich.console import Console
    from rich.progress import BarColumn, Task, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Left(TextColumn):
        """The time left when it was last known, less what has gone by since."""

        def render(self, task: Task) -> Text:
            left, at = task.fields["left"], task.fields["at"]
            return Text("" if left is None else f"{duration(max(0.0, left - (time.monotonic() - at)))} left")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        Left(""),
    )
    pace = _Pace()
    with Bar(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(title, total=None, count="", left=None, at=0.0)

        def show(done: int, total: int, label: str = "", outlook: Outlook | None = None) -> None:
            _, ahead = pace.look(done, total, outlook)
            bar.update(
                task,
                description=f"{title} {label}".strip(),
                completed=ahead.share,
                total=1.0,
                count=f"{done}/{total}",
                left=ahead.left,
                at=time.monotonic(),
            )

        yield show
