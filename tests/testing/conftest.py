"""Runs the kit inside a test, in this process: a hundred processes of their own would cost a minute."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

_NUMBERS = itertools.count()


@attrs.define
class Outcome:
    """What became of the scenarios that ran: how many of each outcome, and all that was said."""

    counts: Counter[str] = attrs.field(factory=Counter)
    said: str = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        expected = hasattr(report, "wasxfail")
        if report.when == "call":
            self.counts["expected" if expected else report.outcome] += 1
        elif report.failed:
            self.counts["error"] += 1
        elif report.skipped:
            self.counts["skipped"] += 1
        self.said += report.longreprtext

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.counts["uncollected"] += 1
            self.said += report.longreprtext


Kit = Callable[..., Outcome]


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kit:
    """Runs a module of the given text; the further arguments are pytest's, a leading ``::`` stands for its file."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def run(text: str, *arguments: str) -> Outcome:
        # A name of its own: a module that was imported once is not read again.
        module = tmp_path / f"test_kit_{os.getpid()}_{next(_NUMBERS)}.py"
        module.write_text(text, encoding="utf-8")
        chosen = [f"{module}{word}" if word.startswith("::") else word for word in arguments]
        files = [] if any(word.startswith("::") for word in arguments) else [str(module)]
        outcome = Outcome()
        options = ["-p", "no:cacheprovider", "-p", "no:terminal", "-W", "error", "--import-mode=importlib"]
        pytest.main([*options, "-c", os.devnull, "--rootdir", str(tmp_path), *files, *chosen], plugins=[outcome])
        return outcome

    return run
