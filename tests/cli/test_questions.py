"""What a provider's settings leave to a person is asked once, on a terminal; elsewhere it is said."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from .terminal import Terminal

if TYPE_CHECKING:
    from conftest import Program, Site

_CLOUD = """
    import attrs
    from flow_local import LocalProvider

    @attrs.frozen
    class Settings:
        ends: str = attrs.field(
            default="ask",
            metadata={
                "help": "How it ends.",
                "ask": "how shall it end?",
                "answers": {"soon": "at once", "late": "after an hour"},
            },
        )

    class Cloud(LocalProvider):
        Settings = Settings

        def __init__(self, settings):
            super().__init__(LocalProvider.Settings())
"""
_TOLD = "profiles.cloud.ends: how shall it end? soon: at once; late: after an hour"


@pytest.fixture
def cloud(flow: Program, site: Site) -> Program:
    site.install("flow-cloud", {"flow.providers": {"cloud": "cloud_plugin:Cloud"}}, {"cloud_plugin": _CLOUD})
    return flow


def test_on_a_terminal_it_is_asked_and_the_answer_is_kept(cloud: Program) -> None:
    terminal = Terminal(cloud, "run", "--provider", "cloud", "echo ran")
    assert b"how shall it end?\r\n  soon  at once\r\n  late  after an hour\r\n" in terminal.until(b"(soon, late): ")
    terminal.type(b"never\nlate\n")
    status, seen = terminal.end()
    assert (status, b"ran\r\n" in seen, b"warning" in seen) == (0, True, False), seen
    assert cloud("config", "show", "profiles.cloud.ends", "--json").data[0]["value"] == "late"

    again = Terminal(cloud, "run", "--provider", "cloud", "echo ran")
    status, seen = again.end()
    assert (status, b"how shall" in seen) == (0, False), seen


def test_ctrl_c_at_the_question_submits_nothing(cloud: Program) -> None:
    terminal = Terminal(cloud, "run", "--provider", "cloud", "echo ran")
    terminal.until(b"(soon, late): ")
    terminal.type(b"\x03")
    assert terminal.end()[0] == 128 + signal.SIGINT
    assert cloud("status", "--json").data == []


def test_without_a_terminal_it_says_what_it_would_ask_and_how_to_decide(cloud: Program) -> None:
    answer = cloud("run", "--provider", "cloud", "echo ran")
    hint = "(decide once: flow config set profiles.cloud.ends soon|late)"
    assert (answer.status, answer.out, answer.err.splitlines()[0]) == (0, "ran\n", f"flow: warning: {_TOLD} {hint}")

    assert cloud("config", "set", "profiles.cloud.ends", "soon").status == 0
    assert "warning" not in cloud("run", "--provider", "cloud", "echo ran").err


@pytest.mark.parametrize("more", [["--dry-run"], ["-q"], ["--json"]])
def test_who_asked_for_no_talk_is_not_asked(cloud: Program, more: list[str]) -> None:
    status, seen = Terminal(cloud, "run", *more, "--provider", "cloud", "echo ran").end()
    assert (status, b"your answer" in seen) == (0, False), seen
