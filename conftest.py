"""What holds for the tests of every package."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

# Started in the background by a shell, we would ignore Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

STRICT = os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is left out: a skip is a failure there, but for the kit's, which a provider's own facts decide."""
    report = yield
    if STRICT and report.skipped and isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        if f"flow_core{os.sep}testing" not in path:
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: in CI this must run, but: {reason}"
    return report
