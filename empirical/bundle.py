"""The files that come with the package."""

from __future__ import annotations

import dataclasses
from importlib import resources
from pathlib import Path

from pvq.empirical.atomic import write_bytes
from pvq.empirical.model import file_sha256
from pvq.empirical.record import read_record, write_record
from pvq.errors import PvqError

__all__ = ["bundle_run", "bundled_path"]


def bundled_path(name: str) -> Path:
    """Return where a bundled file lies.

    Raises
    ------
    PvqError : there is no such file

    >>> bundled_path("calibration_cifar10.npz").name
    'calibration_cifar10.npz'
    """
    path = Path(str(resources.files("pvq.empirical") / "bundled" / name))
    if not path.is_file():
        raise PvqError(f"no bundled file is called {name!r}")
    return path


def bundle_run(run: str | Path, name: str, folder: str | Path | None = None) -> None:
    """Copy a finished run's weights and record to ``name.safetensors`` and ``name.json``.

    The record names the copy, and of the platform only the system: the kernel's build says nothing to others.

    Parameters
    ----------
    run : folder that `train` filled
    name : of the two files
    folder : where they go, the package's own folder if None

    Raises
    ------
    PvqError : the run has not ended, or its weights are not those of its record
    """
    source = Path(run)
    target = Path(folder or str(resources.files("pvq.empirical") / "bundled"))
    record = read_record(source / "record.json")
    if file_sha256(source / record.weights) != record.weights_sha256:
        raise PvqError(f"{source / record.weights} is not the file that {source / 'record.json'} describes")
    write_bytes(target / f"{name}.safetensors", (source / record.weights).read_bytes())
    made = dict(record.provenance)
    made["platform"] = str(made.get("platform", "")).partition("-")[0]
    bundled = dataclasses.replace(record, weights=f"{name}.safetensors", provenance=made)
    write_record(target / f"{name}.json", bundled)
