"""What all tests share: in CI no test may be skipped for want of a package."""

from __future__ import annotations

import os

import pytest

DATA = "data:"  # a skip whose reason starts with this wants files that only some machines have
_SKIPPED: list[str] = []


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not reason.startswith(DATA):
            _SKIPPED.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember skips of tests; expected failures are no skips."""
    if not hasattr(report, "wasxfail"):
        _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember skips of whole files."""
    _note(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which a test was skipped although its package belongs to the extras."""
    if os.environ.get("CI") == "true" and _SKIPPED and not hasattr(session.config, "workerinput"):
        print("\nskipped in CI, which must not skip:", *_SKIPPED, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
