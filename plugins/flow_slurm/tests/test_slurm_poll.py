"""One question a second, for all threads and processes of a machine."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flow_core import TransientError
from flow_slurm._poll import Poll


class Controller:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.dead = False

    def __call__(self) -> str:
        self.asked.append(time.time())
        if self.dead:
            raise TransientError("nobody is there")
        return f"answer {len(self.asked)}"


@pytest.fixture
def controller() -> Controller:
    return Controller()


def test_many_who_ask_at_once_share_one_question(tmp_path: Path, controller: Controller) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(lambda _: Poll(tmp_path / "p" / "jobs", controller, str).answer()[1], range(50)))
    assert answers == {"answer 1"}


def test_a_fresh_answer_was_asked_for_after_the_question_and_not_sooner_than_allowed(
    tmp_path: Path, controller: Controller
) -> None:
    poll = Poll(tmp_path / "jobs", controller, str, 0.3)
    poll.answer()
    now = time.time()
    at, answer = poll.answer(now)
    assert (answer, at >= now) == ("answer 2", True)
    assert controller.asked[1] - controller.asked[0] >= 0.29


def test_a_dead_controller_is_asked_ever_more_seldom(tmp_path: Path, controller: Controller) -> None:
    poll, controller.dead = Poll(tmp_path / "jobs", controller, str, 0.1), True
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        with pytest.raises(TransientError, match="nobody is there"):
            poll.answer()
        time.sleep(0.01)
    assert 2 <= len(controller.asked) <= 5
    controller.dead = False
    assert poll.answer(time.time())[1].startswith("answer")


def test_a_damaged_file_is_asked_anew(tmp_path: Path, controller: Controller) -> None:
    (tmp_path / "jobs").write_bytes(b"\0garbage")
    assert Poll(tmp_path / "jobs", controller, str).answer()[1] == "answer 1"
