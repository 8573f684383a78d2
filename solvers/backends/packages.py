"""Whether a reference package is there, and what to say where it is not."""

from __future__ import annotations

from importlib.util import find_spec

from pvq.errors import missing_extra

__all__ = ["OWN_LICENCE", "missing"]

OWN_LICENCE = {"mosek": "mosek", "gurobipy": "gurobipy"}  # module and package that users bring themselves


def missing(*modules: str) -> str | None:
    """Return one line on the first module that is not installed, None if all are.

    >>> missing("numpy") is None
    True
    >>> missing("numpy", "no_such_module")
    'no_such_module is not installed'
    """
    for module in modules:
        if _is_there(module):
            continue
        if module in OWN_LICENCE:
            package = OWN_LICENCE[module]
            return f"{module} is not installed; run: pip install 'pvq[reference]' {package} (needs a licence)"
        known = missing_extra(ModuleNotFoundError(name=module))
        return str(known) if known else f"{module} is not installed"
    return None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a module that is blocked, or half removed
        return False
