"""A real Dask cluster on this machine: a scheduler and workers, each a process, on ports that are free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pvq

TESTS = Path(__file__).parent
START_SECONDS = 60.0


@dataclass
class Cluster:
    """The processes of a cluster.

    Parameters
    ----------
    folder : of its files
    """

    folder: Path
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""

    def start_scheduler(self) -> None:
        said = self.folder / "scheduler.json"
        said.unlink(missing_ok=True)
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(said))
        end = time.monotonic() + START_SECONDS
        while not said.exists():
            assert self.scheduler.poll() is None, self._log()
            assert time.monotonic() < end, self._log()
            time.sleep(0.05)
        self.address = json.loads(said.read_text())["address"]

    def start_workers(self, count: int) -> None:
        local = ("--local-directory", str(self.folder), "--death-timeout", str(int(START_SECONDS)))
        for _ in range(count):
            self.workers.append(self._start("worker", self.address, "--nthreads", "1", "--no-nanny", *local))

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}  # as a careless user has it
        paths = os.pathsep.join([str(Path(pvq.__file__).parents[1]), str(TESTS)])
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words, "--host", "127.0.0.1", "--no-dashboard"],
                env={**os.environ, **threads, "PYTHONPATH": paths},
                stdout=log,
                stderr=log,
            )

    def _log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.kill()
                process.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """Yield a running cluster; workers join in their own time."""
    running = Cluster(folder)
    try:
        running.start_scheduler()
        running.start_workers(workers)
        yield running
    finally:
        running.stop()
