"""Where on the report's page a layer stands."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["anchors_of"]


def anchors_of(layers: Sequence[str]) -> dict[str, str]:
    """Return an id for each layer: its name with what an id or a link cannot hold replaced, made unique.

    >>> anchors_of(["conv 1", "conv/1"])
    {'conv 1': 'layer-conv-1', 'conv/1': 'layer-conv-1-2'}
    """
    anchors: dict[str, str] = {}
    taken: set[str] = set()
    for layer in layers:
        anchor = stem = "layer-" + (re.sub(r"[^A-Za-z0-9._-]+", "-", layer).strip("-") or "unnamed")
        copies = 1
        while anchor in taken:
            copies += 1
            anchor = f"{stem}-{copies}"
        taken.add(anchor)
        anchors[layer] = anchor
    return anchors
