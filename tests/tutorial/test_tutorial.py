"""The tutorial for authors of providers does what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from .reader import follow, matches, own_environment, tutorial


@pytest.mark.timeout(300)
def test_every_step_of_the_tutorial_does_what_it_shows(tmp_path: Path) -> None:
    environ = own_environment(tmp_path)
    (tmp_path / "work").mkdir()
    blocks = list(tutorial())

    for steps in blocks:
        follow(steps, tmp_path / "work", environ)

    assert len(blocks) > 10


@pytest.mark.parametrize(("shown", "same"), [("a ... d", True), ("a b", False), ("a  b c\td", True)])
def test_what_is_shown_is_compared(shown: str, same: bool) -> None:
    assert matches(shown, "a b c d\n") is same
