"""The wheel holds all packages and their data, and works away from the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = [
    "pvq/py.typed",
    "pvq/cli/commands/snr.py",
    "pvq/theory/distributions/gaussian.py",
    "pvq/solvers/methods/nearest.py",
    "pvq/empirical/bundled/resnet20_cifar10.safetensors",
    "pvq/empirical/bundled/calibration_cifar10.npz",
    "pvq/empirical/recipes/resnet20-cifar10.yaml",
    "pvq/empirical/comparisons/resnet20-cifar10.yaml",
    "pvq/figures/paper.mplstyle",
    "pvq/figures/data/zoo_published.csv.gz",
]


@pytest.mark.slow
def test_a_wheel_runs_from_elsewhere(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    skip = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", ".*_cache", "runs")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=skip)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w"]
    subprocess.run([*build, str(tmp_path), str(tree)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("pvq-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        missing = set(NEEDED) - set(archive.namelist())
        archive.extractall(tmp_path / "site")
    assert not missing
    words = [sys.executable, "-m", "pvq", "snr", "gaussian", "--bits", "4"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "19.2577" in done.stdout, done.stderr
