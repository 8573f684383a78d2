"""The `pvq` command: parse, run, and turn every expected failure into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pvq.errors import CertificateRejected, PvqError, SpecError, missing_extra

__all__ = ["main", "run"]

DONE, FAILED, USAGE, REJECTED, INTERRUPTED = 0, 1, 2, 3, 130


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Parameters
    ----------
    arguments : words after ``pvq``; those of the process if None

    0 done; 1 expected failure; 2 usage; 3 a certificate was rejected; 130 interrupted.

    >>> run(["snr", "gaussian", "--bits", "40"])  # one line on stderr
    2
    """
    from cyclopts import CycloptsError

    from pvq.cli.app import build_app

    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = build_app()(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(USAGE, f"{error} (see: pvq --help)")
    except SpecError as error:
        return _fail(USAGE, error)
    except CertificateRejected as error:
        return _fail(REJECTED, error)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the reader of our pipe has gone
        return FAILED
    except ModuleNotFoundError as error:
        known = missing_extra(error)
        if known is None:
            raise
        return _fail(FAILED, known)
    except (PvqError, ValueError, ArithmeticError, OSError, MemoryError) as error:
        return _fail(FAILED, error)
    except KeyboardInterrupt:
        return _fail(INTERRUPTED, "interrupted; what was finished is kept, run the same command to go on")
    return code if isinstance(code, int) else DONE


def _fail(code: int, error: object) -> int:
    """Print one line on stderr; with PVQ_DEBUG set, raise instead."""
    if os.environ.get("PVQ_DEBUG") and isinstance(error, BaseException):
        raise error
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"pvq: {text}", file=sys.stderr)
    return code


def main() -> None:
    """Run the process's command line and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
