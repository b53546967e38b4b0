"""The doctor's findings, one line each as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from flow_core.cli._envelope import emit
from flow_core.cli._table import is_terminal
from flow_core.cli._talk import one_line
from flow_core.types import DoctorCheck

SOMETHING_WRONG = 1
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def tell(findings: Iterable[DoctorCheck], as_json: bool) -> int:
    """Print the findings and return the status to exit with: 1 when one is an error."""
    shown = []
    for finding in findings:
        shown.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        emit(shown)
    return SOMETHING_WRONG if any(finding.status == "error" for finding in shown) else 0


def _print(finding: DoctorCheck) -> None:
    status = finding.status.ljust(7)
    if is_terminal():
        from flow_core.cli._table import console

        console().print(f"[{_COLOURS.get(finding.status, 'red')}]{status}[/]", end="  ")
    else:
        sys.stdout.write(f"{status}  ")
    sys.stdout.write(f"{finding.name}: {one_line(finding.message)}\n")
    if finding.mend and finding.status != "ok":
        sys.stdout.write(f"{'':7}  -> {one_line(finding.mend)}\n")
    sys.stdout.flush()
