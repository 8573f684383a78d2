"""Where a number comes from: versions, git hash, machine, command and time."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["git_hash", "provenance", "versions"]

PACKAGES = ("pvq", "numpy", "scipy", "numba", "torch", "cvxpy", "scs", "clarabel", "pyscipopt", "matplotlib")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return the installed version of each package that is installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_hash() -> str | None:
    """Return the commit of the source tree that this code runs from, None outside a git checkout."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def provenance(**settings: Any) -> dict[str, Any]:
    """Return a JSON-ready record of how a result is being made.

    Parameters
    ----------
    settings : whatever shaped the result (seed, bits, model ...), stored under ``settings``

    >>> sorted(provenance(seed=1))
    ['command', 'cores', 'git', 'machine', 'made', 'platform', 'python', 'settings', 'versions']
    """
    return {
        "made": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "command": " ".join(["pvq", *sys.argv[1:]]),
        "settings": settings,
        "versions": versions(),
        "git": git_hash(),
        "python": platform.python_version(),
        "platform": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
