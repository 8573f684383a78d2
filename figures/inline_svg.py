"""A drawn picture as SVG inside a page: text stays text, colours follow the page, marks lead to layers."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from pvq.figures.style import BAND, COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline_svg", "layer_link"]

# Colours of the picture that the page's own style sheet replaces, so that it follows light and dark.
_INKS = {
    "#222222": "var(--ink)",
    "#444444": "var(--soft)",
    "#e4e4e4": "var(--rule)",
    "#777777": "var(--soft)",
    "#000000": "var(--ink)",
    "#ffffff": "var(--paper)",
    BAND: "var(--tint)",
    COLOURS["quantize"].lower(): "var(--quantize)",
    COLOURS["prune"].lower(): "var(--prune)",
}
_LINK = re.compile(r'<a xlink:href="\.\./report\.html\?([^"#]*)#([^"]+)"[^>]*>')


def layer_link(anchor: str, title: str) -> str:
    """Return the URL to give to a mark of a picture.

    From the picture's own file it leads to the report beside it; on the page, to `anchor`, showing `title`.

    >>> layer_link("layer-a", "a: 1 dB")
    '../report.html?a%3A%201%20dB#layer-a'
    """
    return f"../report.html?{quote(title, safe='')}#{anchor}"


def _on_page(match: re.Match[str]) -> str:
    return f'<a href="#{match[2]}"><title>{html.escape(unquote(match[1]))}</title>'


def inline_svg(picture: Figure, prefix: str, label: str) -> Any:
    """Return the picture as SVG for a page.

    Parameters
    ----------
    prefix : of the picture's own ids, so that they are unique on the page
    label : what a reader who does not see the picture is told
    """
    from markupsafe import Markup
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context({"svg.fonttype": "none"}):
        picture.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{prefix}", svg)
    svg = _LINK.sub(_on_page, svg)
    svg = re.sub("|".join(_INKS), lambda match: _INKS[match[0].lower()], svg, flags=re.IGNORECASE)
    svg = svg.replace("<svg", f'<svg role="group" aria-label="{html.escape(label)}"', 1)
    return Markup(svg)  # matplotlib has escaped the names of layers
