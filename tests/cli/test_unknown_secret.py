"""A log whose secrets are not known here is not shown unmasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Program


def test_it_is_refused_with_what_to_do(flow: Program) -> None:
    secret = flow("run", "-d", "--secret", "TOKEN", "echo $TOKEN", TOKEN="open-sesame")
    task = secret.out.strip()
    flow("wait", task)
    answer = flow("logs", task)

    assert answer.status == 64
    assert "open-sesame" not in answer.out + answer.err
    assert "TOKEN cannot be masked" in answer.err
    assert "--no-redact" in answer.err


def test_who_knows_it_sees_the_log_masked(flow: Program) -> None:
    task = flow("run", "-d", "--secret", "TOKEN", "echo $TOKEN", TOKEN="open-sesame").out.strip()
    flow("wait", task)

    assert flow("logs", task, TOKEN="open-sesame").out == "***\n"
    assert flow("logs", "--no-redact", task).out == "open-sesame\n"
