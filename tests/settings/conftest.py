"""A user's folder and a project's folder, and the settings that hold there."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from flow_core.settings import Settings, load


@attrs.frozen
class Place:
    """One user in one project."""

    home: Path
    project: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.home)}

    @property
    def config(self) -> Path:
        return self.home / ".config" / "flow" / "config.yaml"

    def user(self, text: str) -> None:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)

    def team(self, text: str) -> None:
        (self.project / ".flow").mkdir(exist_ok=True)
        (self.project / ".flow" / "config.yaml").write_text(text)

    def load(self, overrides: dict[str, object] | None = None, cwd: Path | None = None, **environ: str) -> Settings:
        return load(cwd or self.project, self.environ | environ, overrides)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    project = tmp_path / "home" / "project"
    (project / ".git").mkdir(parents=True)
    return Place(tmp_path / "home", project)
