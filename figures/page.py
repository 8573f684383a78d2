"""A page from its template: escaped, with its script allowed by hash and nothing else."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvq.errors import MissingExtra
from pvq.figures.text import count, db, duration, kind, percent, step, width

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render"]

_TEMPLATES = Path(__file__).with_name("templates")
_STYLES = ("page.css", "table.css", "report.css", "print.css")


def render(template: str, **words: Any) -> str:
    """Return a page, one file without any request to elsewhere.

    Parameters
    ----------
    template : name of its file
    words : what it takes

    Raises
    ------
    MissingExtra : jinja2 is not installed
    """
    environment = _environment()
    from markupsafe import Markup

    script = (_TEMPLATES / "table.js").read_text(encoding="utf-8")
    style = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in _STYLES)
    return environment.get_template(template).render(
        script=Markup(script), style=Markup(style), policy=_policy(script), **words
    )


def _policy(script: str) -> str:
    """Return the content security policy: no request, no script but this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _environment() -> Environment:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("jinja2", "figures") from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        db=db, count=count, width=width, percent=percent, kind=kind, step=step, duration=duration
    )
    return environment
