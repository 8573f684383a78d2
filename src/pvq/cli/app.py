"""The command line's root: finds the commands beside it and hands them to cyclopts."""

from __future__ import annotations

import importlib
import pkgutil

from cyclopts import App

import pvq
from pvq import cli

__all__ = ["build_app"]

HELP = """Prune or quantize? Certified answers for every layer of a neural network.

Every command takes --json (rows on stdout, everything else on stderr) and has an example in its help.
Exit codes: 0 done, 1 failed, 2 usage, 3 a certificate was rejected, 130 interrupted.
"""


def build_app() -> App:
    """Return the root command with one sub-command per file of `pvq.cli.commands`."""
    app = App(
        name="pvq",
        help=HELP,
        version=pvq.__version__,
        help_format="markdown",
        suppress_keyboard_interrupt=False,
    )
    commands = importlib.import_module(f"{cli.__name__}.commands")
    for module in pkgutil.iter_modules(commands.__path__):
        function = importlib.import_module(f"{commands.__name__}.{module.name}").command
        app.command(function, name=module.name.rstrip("_"))
    return app
