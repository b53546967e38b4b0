"""Volumes: storage that outlives tasks. No path of the program deletes one but ``flow volume delete``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flow_core.hookspecs._markers import hookspec, optional
from flow_core.types import TaskRef, Volume, VolumeSpec


class VolumeHooks(Protocol):
    """Optional; without them a task with volumes is refused before submit."""

    @hookspec(firstresult=True)
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        """Create a volume; the same ``request_id`` gives the same one; 120 s.

        Called by ``flow volume create`` and, for ``create: true``, before a submit. Raises ConflictError when the name
        is taken, QuotaError.

        Example::

            @hookimpl
            def flow_volume_create(self, spec, request_id):
                return self._volume(self._api.post("/volumes", name=spec.name, size=spec.size_gb, token=request_id))
        """
        ...

    @hookspec(firstresult=True)
    def flow_volume_list(self) -> Sequence[Volume]:
        """List the volumes; read only; 30 s.

        Example::

            @hookimpl
            def flow_volume_list(self):
                return [self._volume(v) for v in self._api.get("/volumes")]
        """
        ...

    @hookspec(firstresult=True)
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        """Delete a volume and what is in it; True when it was there. Raises ConflictError while a task uses it.

        Example::

            @hookimpl
            def flow_volume_delete(self, id):
                return self._api.delete(f"/volumes/{id}").ok
        """
        ...

    @hookspec(firstresult=True)
    def flow_volume_attach(self, id: str, ref: TaskRef) -> Volume:  # noqa: A002 - the contract's word
        """Attach a volume to a task that is not running; called by ``flow volume attach``.

        Example::

            @hookimpl
            def flow_volume_attach(self, id, ref):
                return self._volume(self._api.post(f"/volumes/{id}/attach", job=ref.id))
        """
        optional("flow_volume_attach")

    @hookspec(firstresult=True)
    def flow_volume_snapshot(self, id: str, name: str) -> Volume:  # noqa: A002 - the contract's word
        """Copy a volume as it is now into a new one called ``name``.

        Example::

            @hookimpl
            def flow_volume_snapshot(self, id, name):
                return self._volume(self._api.post(f"/volumes/{id}/snapshot", name=name))
        """
        optional("flow_volume_snapshot")
