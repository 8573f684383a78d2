"""Interrupt a bound run again and again at random moments, and see that nothing is lost.

    python benchmarks/interrupt_check.py --times 10 -o benchmarks/results/interrupts.json \
        -- resnet20-cifar10 --layers "layer1.*" --bits 4 --rows 4 --workers 2

What follows ``--`` is given to ``pvq bounds``. The moments are drawn evenly over the work of an undisturbed
run. Each time the run gets Ctrl-C (SIGINT to all its processes), or is killed (SIGKILL), or first one of its
workers is killed and a little later the run; then it is started again. In the end the table must be that of
the undisturbed run but for seconds and memory, `pvq verify` must accept it, and no half file may be left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pvq
from pvq.provenance import provenance

MEASURED = ("seconds", "peak_mb")
CTRL_C, KILL, WORKER_FIRST = WAYS = ("Ctrl-C", "SIGKILL", "SIGKILL of a worker, then of the run")
LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Run:
    """A `pvq bounds` in a folder.

    Parameters
    ----------
    words : what it is given
    folder : where it writes
    """

    words: list[str]
    folder: Path

    def start(self) -> subprocess.Popen[str]:
        """Start it in a group of processes of its own."""
        command = ["bounds", *self.words, "-o", str(self.folder), "--json"]
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        return subprocess.Popen(_pvq(command), text=True, start_new_session=True, env=_environment(), **pipes)

    def finish(self) -> float:
        """Run it undisturbed and return the seconds that it took."""
        began = time.perf_counter()
        with self.start() as process:
            _, said = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"pvq bounds ended with {process.returncode}: {said}")
        return time.perf_counter() - began

    def kept(self) -> int:
        """Return how many tasks are finished."""
        return len(list((self.folder / "tasks").glob("*.json")))

    def table(self) -> list[dict[str, Any]]:
        """Return the rows without what is measured anew in every run."""
        rows = json.loads((self.folder / "bounds.json").read_text(encoding="utf-8"))
        return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]

    def verified(self) -> bool:
        """Return whether `pvq verify` accepts it."""
        command = _pvq(["verify", str(self.folder)])
        return subprocess.run(command, capture_output=True, check=False, env=_environment()).returncode == 0


def _pvq(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "pvq", *words]


def _environment() -> dict[str, str]:
    """Return an environment in which the pvq that runs this is found."""
    return {**os.environ, "PYTHONPATH": str(Path(pvq.__file__).parents[1])}


@dataclass(frozen=True)
class Pace:
    """How long an undisturbed run took: seconds before its first task, and of each task."""

    prelude: float
    task: float


def interrupt(run: Run, way: str, moment: float, pace: Pace, rng: random.Random) -> dict[str, Any]:
    """Start a run, end it in some way, and return what came of it.

    Parameters
    ----------
    moment : once so many tasks are finished and so much of the next; if they are from the start, at any time
        before the first task
    """
    before, began = run.kept(), time.perf_counter()
    wait = rng.uniform(0, pace.prelude) if before > moment else moment % 1 * pace.task
    with run.start() as process:
        while run.kept() < int(moment) and process.poll() is None:
            time.sleep(LOOK_SECONDS)
        time.sleep(wait)
        elapsed = time.perf_counter() - began
        _end(process, way, rng)
        _, said = process.communicate()
    if "Traceback" in said:
        raise SystemExit(said)
    return {
        "way": way,
        "tasks_kept_before": before,
        "tasks_kept_after": run.kept(),
        "after_seconds": round(elapsed, 2),
        "exit_code": process.returncode,
        "said": (said.strip().splitlines() or [""])[-1],
    }


def _end(process: subprocess.Popen[str], way: str, rng: random.Random) -> None:
    workers = _workers(process.pid) if way == WORKER_FIRST else []
    if workers:
        os.kill(rng.choice(workers), signal.SIGKILL)
        time.sleep(rng.uniform(0, 2))
    if way == CTRL_C and process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()


def _workers(pid: int) -> list[int]:
    """Return the processes of a run that solve, none once it has ended."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(pid) for pid in children if b"popen_loky" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except OSError:
        return []


def check(words: list[str], times: int, seed: int) -> dict[str, Any]:
    """Return how each interruption ended, and what is left of them in the end."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        whole, disturbed = Run(words, Path(name) / "whole"), Run(words, Path(name) / "disturbed")
        seconds, prelude = whole.finish(), whole.finish()  # the second time there is nothing left to solve
        tasks = whole.kept()
        pace = Pace(prelude, (seconds - prelude) / tasks)
        moments = sorted(rng.uniform(0, tasks) for _ in range(times))
        ended = [interrupt(disturbed, rng.choice(WAYS), moment, pace, rng) for moment in moments]
        disturbed.finish()
        return {
            "same_table": disturbed.table() == whole.table(),
            "verified": disturbed.verified(),
            "half_files": [path.name for path in disturbed.folder.rglob(".*") if path.is_file()],
            "rows": len(whole.table()),
            "tasks": tasks,
            "undisturbed_seconds": round(seconds, 2),
            "interrupts": ended,
        }


def main() -> int:
    """Run the check, write the result and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("bounds", nargs="+", help="what pvq bounds is given, after --")
    given = parser.parse_args()
    result = check(given.bounds, given.times, given.seed)
    made = provenance(times=given.times, seed=given.seed, bounds=given.bounds)
    text = json.dumps({**result, "provenance": {**made, "command": "python " + " ".join(sys.argv)}}, indent=1)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if result["same_table"] and result["verified"] and not result["half_files"] else 1


if __name__ == "__main__":
    sys.exit(main())
