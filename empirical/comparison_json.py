"""The file ``comparison.json`` of a comparison, for those who read it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pvq.errors import PvqError

__all__ = ["SCHEMA", "read_comparison_json"]

SCHEMA = {"schema": "pvq-comparison", "version": 1}


def read_comparison_json(path: Path) -> dict[str, Any]:
    """Return what a comparison left; `path` is the file or its folder.

    Raises
    ------
    PvqError : no such file, or no comparison in it
    """
    file = path / "comparison.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PvqError(f"{file} cannot be read: {error}; name the folder of a pvq compare") from error
    rows = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(rows, list) or content.get("schema") != SCHEMA["schema"]:
        raise PvqError(f"{file} is no comparison of pvq compare")
    whole: dict[str, Any] = content
    return whole
