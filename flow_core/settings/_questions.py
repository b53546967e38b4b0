"""Settings that a plugin leaves to a person: asked once on a terminal, told elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from flow_core.settings._build import settable
from flow_core.settings._model import Profile
from flow_core.settings._paths import paths
from flow_core.types import Problem


@attrs.frozen
class Question:
    """A setting at the dotted path ``key`` that nobody has decided; ``answers`` maps what it may be to what that means."""

    key: str
    text: str
    answers: Mapping[str, str]

    def problem(self) -> Problem:
        """Return what to tell where nobody can be asked."""
        ways = "; ".join(f"{answer}: {meaning}" for answer, meaning in self.answers.items())
        hint = f"decide once: flow config set {self.key} {'|'.join(self.answers)}"
        return Problem(self.key, "UNDECIDED", f"{self.text} {ways}", hint, severity="warning")

    def settle(self, answer: str, file: Path | None = None) -> None:
        """Keep an answer in the settings file, by default the user's. Raises ConfigError, StateError."""
        from flow_core.settings._write import write

        write(file or paths().config_file, self.key, answer)


def questions(cls: type, profile: Profile) -> list[Question]:
    """Return what a plugin's ``Settings`` ask of a person: their fields with ``ask`` that stand at their default.

    A field's metadata: ``ask``, the question; ``answers``, a mapping of the values to choose from to their meanings.
    """
    return [
        Question(f"profiles.{profile.name}.{name}", field.metadata["ask"], field.metadata["answers"])
        for name, field in settable(cls).items()
        if "ask" in field.metadata and profile.values.get(name, field.default) == field.default
    ]
