"""Volumes: storage that nothing but a delete deletes (``docs/behaviour/volumes.md``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar

import pytest

from flow_core.errors import ConflictError, FlowError
from flow_core.testing._bench import Bench
from flow_core.testing._contract import Contract
from flow_core.types import Volume, VolumeSpec, new_request_id

Make = Callable[[], Volume]


class VolumeContract(Contract):
    """Scenarios V01 to V15. ``volume_size_gb`` is the size that is asked for, in 10**9 bytes."""

    claims: ClassVar[frozenset[str]] = frozenset(
        f"flow_volume_{verb}" for verb in ("create", "list", "delete", "attach", "snapshot")
    )
    volume_size_gb: ClassVar[int | None] = 1

    def spec(self) -> VolumeSpec:
        """Return what is asked for, under a name of its own."""
        return VolumeSpec("kit-" + new_request_id()[-10:], size_gb=self.volume_size_gb, create=True)

    @pytest.fixture
    def make(self, bench: Bench) -> Iterator[Make]:
        """Creates volumes; all that is there at the end is deleted."""
        self.need(bench, "flow_volume_create", "flow_volume_list", "flow_volume_delete")
        yield lambda: bench.provider.create_volume(self.spec(), new_request_id())
        for task in bench.flow.tasks(limit=None):
            if not task.is_final:
                task.cancel(0.0)
                bench.end(task)
        for volume in bench.provider.volumes():
            if volume.name.startswith("kit-"):
                bench.provider.delete_volume(volume.id)

    def _names(self, bench: Bench) -> list[str]:
        """Return the names of the volumes that there are."""
        return [volume.name for volume in bench.client().provider().volumes()]

    def _used(self, volume: Volume, read_only: bool = False) -> list[dict[str, object]]:
        """Return the ``volumes`` of a task that uses ``volume``."""
        return [{"name": volume.name, "target": f"/volumes/{volume.name}", "read_only": read_only}]

    def _write(self, bench: Bench, volume: Volume, text: str = "kept") -> None:
        """Have a task write to a volume."""
        bench.lines(f"echo {text} > /volumes/{volume.name}/file", volumes=self._used(volume))

    def _read(self, bench: Bench, volume: Volume) -> list[str]:
        """Have a task read what :meth:`_write` wrote."""
        return bench.lines(f"cat /volumes/{volume.name}/file", volumes=self._used(volume))

    def test_v01_a_created_volume_is_listed(self, bench: Bench, make: Make) -> None:
        volume = make()
        assert volume.id
        assert [v.id for v in bench.provider.volumes() if v.name == volume.name] == [volume.id]

    def test_v02_the_same_request_is_the_same_volume(self, bench: Bench, make: Make) -> None:  # noqa: ARG002
        spec, request_id = self.spec(), new_request_id()
        first = bench.provider.create_volume(spec, request_id)
        second = bench.client().provider().create_volume(spec, request_id)
        assert first.id == second.id
        assert self._names(bench).count(spec.name) == 1

    def test_v03_a_name_is_taken_once(self, bench: Bench, make: Make) -> None:  # noqa: ARG002
        spec = self.spec()
        bench.provider.create_volume(spec, new_request_id())
        with pytest.raises(ConflictError):
            bench.provider.create_volume(spec, new_request_id())
        assert self._names(bench).count(spec.name) == 1

    def test_v04_what_one_task_writes_the_next_one_reads(self, bench: Bench, make: Make) -> None:
        volume = make()
        self._write(bench, volume)
        assert self._read(bench, volume) == ["kept"]

    @pytest.mark.parametrize("how", ["success", "failure", "cancel"])
    def test_v05_no_end_of_a_task_touches_its_volume(self, bench: Bench, make: Make, how: str) -> None:
        volume = make()
        self._write(bench, volume)
        end = {"success": "true", "failure": "exit 1", "cancel": "sleep 60"}[how]
        task = bench.started(bench.submit(f"echo up; {end}", volumes=self._used(volume)))
        if how == "cancel":
            task.cancel(0.0)
        bench.end(task)
        assert volume.name in bench.child("volumes")
        assert self._read(bench, volume) == ["kept"]

    def test_v06_a_deleted_volume_is_gone(self, bench: Bench, make: Make) -> None:
        volume = make()
        assert bench.provider.delete_volume(volume.id) is True
        assert volume.name not in self._names(bench)
        assert bench.provider.delete_volume(volume.id) is False

    def test_v07_a_volume_in_use_is_not_deleted(self, bench: Bench, make: Make) -> None:
        volume = make()
        command = f"echo kept > /volumes/{volume.name}/file; echo up; sleep 60"
        task = bench.started(bench.submit(command, volumes=self._used(volume)))
        with pytest.raises(ConflictError):
            bench.provider.delete_volume(volume.id)
        task.cancel(0.0)
        bench.end(task)
        assert self._read(bench, volume) == ["kept"]

    def test_v08_a_new_volume_of_an_old_name_is_empty(self, bench: Bench, make: Make) -> None:  # noqa: ARG002
        spec = self.spec()
        first = bench.provider.create_volume(spec, new_request_id())
        self._write(bench, first)
        bench.provider.delete_volume(first.id)
        second = bench.provider.create_volume(spec, new_request_id())
        assert bench.lines(f"ls /volumes/{spec.name} | grep -v lost+found; :", volumes=self._used(second)) == []

    def test_v09_a_read_only_volume_cannot_be_written_to(self, bench: Bench, make: Make) -> None:
        volume = make()
        self._write(bench, volume)
        task = bench.run(f"echo other > /volumes/{volume.name}/file", volumes=self._used(volume, read_only=True))
        assert task.status == "failed"
        assert self._read(bench, volume) == ["kept"]

    def test_v10_a_volume_can_be_attached(self, bench: Bench, make: Make) -> None:
        self.need(bench, "flow_volume_attach")
        volume, ref = make(), bench.provider.submit(bench.order("true"))
        bench.ended(ref)
        answer = bench.provider._call("flow_volume_attach", id=volume.id, ref=ref)
        assert answer.id == volume.id

    def test_v11_a_snapshot_is_a_volume_of_its_own(self, bench: Bench, make: Make) -> None:
        self.need(bench, "flow_volume_snapshot")
        volume = make()
        self._write(bench, volume)
        copy = bench.provider._call("flow_volume_snapshot", id=volume.id, name=volume.name + "-copy")
        self._write(bench, volume, "changed")
        assert copy.id != volume.id
        assert self._read(bench, copy) == ["kept"]

    def test_v12_a_task_without_its_volume_is_refused(self, bench: Bench, make: Make) -> None:  # noqa: ARG002
        with pytest.raises(FlowError):
            bench.submit("true", volumes=[{"name": "kit-nobody-made-it", "target": "/volumes/x"}])
        assert bench.flow.tasks() == []

    def test_v13_a_task_may_create_its_volume_once(self, bench: Bench, make: Make) -> None:  # noqa: ARG002
        spec = self.spec()
        wanted = [{"name": spec.name, "size_gb": self.volume_size_gb, "create": True}]
        bench.lines(f"echo kept > /volumes/{spec.name}/file", volumes=wanted)
        assert bench.lines(f"cat /volumes/{spec.name}/file", volumes=wanted) == ["kept"]
        assert self._names(bench).count(spec.name) == 1

    def test_v14_the_same_request_at_once_is_one_volume(self, bench: Bench, make: Make) -> None:  # noqa: ARG002
        spec, request_id = self.spec(), new_request_id()
        faces = [bench.client().provider() for _ in range(4)]
        with ThreadPoolExecutor(len(faces)) as pool:
            ids = {volume.id for volume in pool.map(lambda face: face.create_volume(spec, request_id), faces)}
        assert len(ids) == 1
        assert self._names(bench).count(spec.name) == 1

    @pytest.mark.parametrize("name", ["kit-nobody-made-it", "..", ".", "a/b", "*"])
    def test_v15_deleting_what_is_not_there_deletes_nothing(self, bench: Bench, make: Make, name: str) -> None:
        volume = make()
        self._write(bench, volume)
        with suppress(FlowError):
            assert bench.provider.delete_volume(name) is False
        assert self._read(bench, volume) == ["kept"]
