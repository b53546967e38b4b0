"""Files of a running task (``docs/behaviour/files.md``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from flow_core.client import Task
from flow_core.errors import NotFoundError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.testing.shell import reachable

_ROOM = 'd=$(mktemp -d); trap \'rm -rf "$d"; exit 0\' TERM; echo own > "$d/own"; echo "$d"; while :; do sleep 0.1; done'
_DATA = bytes(range(256)) * 4000


class FileContract(Contract):
    """Scenarios F01 to F05: through the nodes, or through the provider's own hooks."""

    claims: ClassVar[frozenset[str]] = frozenset({"flow_files_get", "flow_files_put"})

    @pytest.fixture
    def room(self, bench: Bench) -> Iterator[Task]:
        """A running task that has a folder of its own on the node."""
        room = bench.started(bench.submit(_ROOM), b"\n")
        if not reachable(bench, room):
            room.cancel(0.0)
            self.need(bench, "flow_files_get", "flow_files_put")
        yield room
        room.cancel(10.0)
        bench.end(room)

    def _folder(self, bench: Bench, task: Task) -> str:
        """Return the path of the task's folder on the node."""
        return bench.output(task).decode().strip()

    def test_f01_a_file_comes_back_byte_for_byte(self, bench: Bench, room: Task) -> None:
        source, back = bench.work / "source", bench.work / "back"
        source.write_bytes(_DATA)
        path = self._folder(bench, room) + "/file"
        assert room.put(source, path) == len(_DATA)
        assert room.get(path, back) == len(_DATA)
        assert back.read_bytes() == _DATA

    def test_f02_what_the_task_wrote_can_be_fetched(self, bench: Bench, room: Task) -> None:
        back = bench.work / "back"
        room.get(self._folder(bench, room) + "/own", back)
        assert back.read_bytes() == b"own\n"

    def test_f03_a_file_that_is_not_there_is_not_found(self, bench: Bench, room: Task) -> None:
        back = bench.work / "back"
        with pytest.raises(NotFoundError):
            room.get(self._folder(bench, room) + "/nothing", back)
        assert not back.exists()

    def test_f04_a_put_replaces_the_whole_file_and_keeps_its_mode(self, bench: Bench, room: Task) -> None:
        source, back, path = bench.work / "source", bench.work / "back", self._folder(bench, room) + "/own"
        source.write_bytes(b"#!")
        source.chmod(0o755)
        room.put(source, path)
        room.get(path, back)
        assert back.read_bytes() == b"#!"
        if bench.provider.facts.shares_client_files:
            assert Path(path).stat().st_mode & 0o777 == 0o755

    def test_f05_an_empty_file_is_a_file(self, bench: Bench, room: Task) -> None:
        source, back = bench.work / "source", bench.work / "back"
        source.touch()
        path = self._folder(bench, room) + "/empty"
        assert room.put(source, path) == 0
        assert room.get(path, back) == 0
        assert back.read_bytes() == b""
