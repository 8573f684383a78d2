"""The errors that a caller can provoke. The command line prints each as one line."""

from __future__ import annotations

__all__ = ["CertificateRejected", "MissingExtra", "PvqError", "SpecError", "UnknownName"]


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


class CertificateRejected(PvqError):
    """A certificate does not prove what it claims; the command line exits with 3."""
