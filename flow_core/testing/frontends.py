"""Frontends: other ways of saying a task (``docs/behaviour/frontends.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from flow_core.errors import ConfigError
from flow_core.plugins import Plugin
from flow_core.plugins._scope import Scope
from flow_core.spec import read_mapping, to_mapping
from flow_core.testing._opened import open_scope
from flow_core.testing.load import LoadContract
from flow_core.types import FrontendTask, TaskConfig

STRANGERS: Mapping[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)) * 8,
    "script.py": b"import sys\nprint(sys.argv)\n",
    "notes.txt": b"This is a letter and no task at all.\n",
    "long": b"x" * 3_000_000,
}


class FrontendContract(LoadContract):
    """Scenarios T01 to T09, and those of loading. ``frontend`` names the plugin, or is its class.

    ``samples`` are files that are its own, name -> content; ``broken`` are files of its kind that cannot be read.
    """

    kind: ClassVar[str] = "frontend"
    claims: ClassVar[frozenset[str]] = frozenset(f"flow_frontend_{verb}" for verb in ("detect", "read", "environment"))
    samples: ClassVar[Mapping[str, str]] = {}
    broken: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture
    def scope(self, plugin: Plugin, profile: Mapping[str, object]) -> Scope:
        """The opened frontend."""
        assert self.samples, "the test class names no samples"
        return open_scope(plugin, profile)

    @pytest.fixture
    def own(self, home: Path) -> list[Path]:
        """The frontend's own files."""
        return _written(home / "samples", {name: text.encode() for name, text in self.samples.items()})

    def _read(self, scope: Scope, path: Path, arguments: tuple[str, ...] = ()) -> list[FrontendTask]:
        found = scope.call("flow_frontend_read", source=str(path), arguments=arguments)
        assert all(isinstance(task, FrontendTask) for task in found)
        return list(found)

    def _detect(self, scope: Scope, path: Path) -> float:
        sure = scope.call("flow_frontend_detect", source=str(path))
        assert isinstance(sure, (int, float))
        assert 0 <= sure <= 1
        return float(sure)

    def test_t01_it_knows_its_own(self, scope: Scope, own: list[Path]) -> None:
        assert [path.name for path in own if self._detect(scope, path) < 0.5] == []

    def test_t02_it_leaves_others_alone(self, scope: Scope, home: Path) -> None:
        others = _written(home / "others", STRANGERS)
        assert [path.name for path in others if self._detect(scope, path) >= 0.5] == []

    def test_t03_what_it_reads_is_a_valid_task(self, scope: Scope, own: list[Path]) -> None:
        for path in own:
            tasks = self._read(scope, path)
            assert tasks, f"{path.name} holds no task"
            for task in tasks:
                config = task.config
                assert isinstance(config, TaskConfig)
                assert read_mapping(to_mapping(config), providers=list(config.options)) == config

    def test_t04_reading_changes_nothing_and_repeats_itself(self, scope: Scope, own: list[Path]) -> None:
        for path in own:
            before = path.read_bytes()
            assert self._read(scope, path) == self._read(scope, path)
            assert path.read_bytes() == before
        assert sorted(path.name for path in own[0].parent.iterdir()) == sorted(self.samples)

    def test_t05_positions_stand_in_the_file(self, scope: Scope, own: list[Path]) -> None:
        for path in own:
            lines = path.read_bytes().splitlines()
            for task in self._read(scope, path):
                for place, (line, column) in task.positions.items():
                    assert place.split(".")[0].split("[")[0] in {field.name for field in attrs.fields(TaskConfig)}
                    assert 1 <= line <= len(lines)
                    assert 1 <= column <= len(lines[line - 1]) + 1

    def test_t06_a_broken_file_is_refused_with_what_is_wrong(self, scope: Scope, home: Path) -> None:
        if not self.broken:
            pytest.skip("the test class names no broken files")
        for path in _written(home / "broken", {name: text.encode() for name, text in self.broken.items()}):
            with pytest.raises(ConfigError) as refused:
                self._read(scope, path)
            assert refused.value.message
            assert "Traceback" not in refused.value.message

    def test_t07_the_bodys_variables_are_text(self, scope: Scope, own: list[Path]) -> None:
        if "flow_frontend_environment" not in scope.supports:
            pytest.skip(f"{self.plugin_name()} has no flow_frontend_environment")
        for task in self._read(scope, own[0]):
            for rank in range(task.config.num_instances):
                found: Any = scope.call("flow_frontend_environment", config=task.config, rank=rank)
                assert all(isinstance(k, str) and isinstance(v, str) for k, v in found.items())

    def test_t08_arguments_reach_the_task(self, scope: Scope, own: list[Path]) -> None:
        given = ("kit-argument", "with space")
        for path in own:
            said = repr([attrs.asdict(task.config) for task in self._read(scope, path, given)])
            assert all(word in said for word in given)

    def test_t09_files_that_ride_along_stay_in_their_folder(self, scope: Scope, own: list[Path]) -> None:
        for path in own:
            for task in self._read(scope, path):
                for name, data in task.files.items():
                    assert isinstance(data, bytes)
                    assert not name.startswith("/")
                    assert ".." not in name.split("/")


def _written(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]
