"""A machine is given back, or it is known why not."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from flow_core.runner import release

from .deeds import Platform


def deed(url: str, **keys: object) -> dict[str, object]:
    return {"kind": "http", "url": url, "credential": "release.key", **keys}


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "release.key").write_text("a-key\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, release.DONE),
        (204, release.DONE),
        (404, release.DONE),
        (409, release.DONE),
        (410, release.DONE),
        (400, release.REFUSED),
        (401, release.REFUSED),
        (403, release.REFUSED),
        (405, release.REFUSED),
        (429, release.AGAIN),
        (500, release.AGAIN),
        (503, release.AGAIN),
    ],
)
def test_the_platforms_answer_says_whether_to_ask_again(
    platform: Platform, root: str, status: int, answer: str
) -> None:
    platform.status = status
    assert release.act(root, deed(platform.url)) == answer
    assert platform.asked == [("DELETE", "/machine", "Bearer a-key", "")]


def test_a_body_is_sent_as_json(platform: Platform, root: str) -> None:
    assert release.act(root, deed(platform.url, method="PATCH", body={"paused": True})) == release.DONE
    assert platform.asked == [("PATCH", "/machine", "Bearer a-key", '{"paused": true}')]


def test_a_platform_that_does_not_answer_is_asked_again(root: str) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))  # it does not listen
        assert release.act(root, deed(f"http://127.0.0.1:{door.getsockname()[1]}/")) == release.AGAIN


def test_without_its_credential_nothing_is_asked(platform: Platform, root: str) -> None:
    release.forget(root, deed(platform.url))
    assert release.act(root, deed(platform.url)) == release.REFUSED
    assert platform.asked == []


def test_a_credential_is_a_file_of_the_machines_own_folder_and_no_other(platform: Platform, root: str) -> None:
    (Path(root).parent / "elsewhere").write_text("secret")
    assert release.act(root, deed(platform.url, credential="../elsewhere")) == release.REFUSED
    assert platform.asked == []


@pytest.mark.parametrize(("code", "answer"), [(0, release.DONE), (3, release.AGAIN)])
def test_a_command_may_do_it(root: str, code: int, answer: str) -> None:
    argv = [sys.executable, "-c", f"raise SystemExit({code})"]
    assert release.act(root, {"kind": "command", "argv": argv}) == answer


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        (None, release.REFUSED),
        ({"kind": "none"}, release.REFUSED),
        ({"kind": "spell"}, release.REFUSED),
        ({"kind": "poweroff"}, release.POWEROFF),
        ({"kind": "command", "argv": ["/nonexistent"]}, release.AGAIN),
    ],
)
def test_other_deeds(root: str, what: dict[str, object] | None, answer: str) -> None:
    assert release.act(root, what) == answer
