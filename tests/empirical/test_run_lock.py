"""One run in a folder at a time; a killed one leaves neither its lock nor half a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_network as tiny

import pvq
from pvq.empirical.layerwise import run_bounds
from pvq.empirical.run_lock import run_lock
from pvq.errors import PvqError

HOLD = """
import sys, time
from pathlib import Path
from pvq.empirical.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
pytest.importorskip("fcntl", reason="data: this platform has no file locks of the kind used")


def test_a_second_run_is_refused_in_one_line_and_leaves_the_first_alone(tmp_path: Path) -> None:
    settings = tiny.run_of(tmp_path, fresh=True)
    (settings.out / "tasks").mkdir(parents=True)
    (settings.out / "tasks" / "a.json").touch()
    with run_lock(settings.out), pytest.raises(PvqError) as caught:
        run_bounds(settings)
    assert str(caught.value).startswith(f"process {os.getpid()} on ")
    assert f" is running in {settings.out}; wait for it or choose another folder" in str(caught.value)
    assert (settings.out / "tasks" / "a.json").exists(), "fresh must not clear under another run"
    with run_lock(settings.out):
        pass


def test_the_lock_of_a_killed_process_is_taken_over_and_its_half_files_go(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(pvq.__file__).parents[1])}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(PvqError, match=f"^process {holder.pid} on "), run_lock(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
    halves = [tmp_path / "tasks" / ".a.json.123.tmp", tmp_path / "certificates" / ".part-xyz.npz"]
    whole = tmp_path / "tasks" / "a.json"
    for path in (*halves, whole):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with run_lock(tmp_path):
        assert [path.exists() for path in halves] == [False, False]
        assert whole.exists()
