"""The errors that a caller can provoke. The command line prints each as one line."""

from __future__ import annotations

__all__ = ["CertificateRejected", "MissingExtra", "PvqError", "SpecError", "UnknownName", "missing_extra"]

EXTRAS = {
    "torch": ("torch", "safetensors", "PIL", "yaml", "pyarrow", "joblib"),
    "figures": ("matplotlib", "altair", "vl_convert", "jinja2"),
    "reference": ("cvxpy", "scs", "clarabel", "pyscipopt"),
    "onnx": ("onnx",),
    "cluster": ("dask", "distributed"),
    "hub": ("datasets",),
    "accelerate": ("accelerate",),
    "tracking": ("tensorboard", "mlflow"),
}


class PvqError(Exception):
    """An expected failure with a message for the user; the command line exits with 1."""


class SpecError(PvqError, ValueError):
    """A spec such as ``int[grid=symmetric]`` that cannot be read."""


class UnknownName(SpecError):
    """A name that no registry knows; the message suggests the nearest one."""


class MissingExtra(PvqError, ImportError):
    """A package outside the core is needed; the message says which command installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'pvq[{extra}]'")


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """Return the message that names the extra to install, None if the module belongs to no extra.

    >>> print(missing_extra(ModuleNotFoundError(name="matplotlib.pyplot")))
    matplotlib is not installed; run: pip install 'pvq[figures]'
    """
    package = (error.name or "").partition(".")[0]
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    return MissingExtra(package, extra) if extra else None


class CertificateRejected(PvqError):
    """A certificate does not prove what it claims; the command line exits with 3."""
