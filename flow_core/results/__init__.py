"""What tasks keep in result stores: for providers and functions; the store ``folder`` is here too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core.results._blobs import (
        CHUNK_BYTES as CHUNK_BYTES,
        Chunk as Chunk,
        Content as Content,
        put_blob as put_blob,
        read_blob as read_blob,
    )
    from flow_core.results._code import (
        discard_start as discard_start,
        prepare_start as prepare_start,
        publish_code as publish_code,
        publish_start as publish_start,
    )
    from flow_core.results._folder import (
        FolderStore as FolderStore,
    )
    from flow_core.results._manifest import (
        Kept as Kept,
        Manifest as Manifest,
        manifest_key as manifest_key,
        read_manifest as read_manifest,
    )
    from flow_core.results._sweep import (
        Sweep as Sweep,
        forget as forget,
        sweep as sweep,
        used as used,
    )

_HOMES = {
    "flow_core.results._blobs": "CHUNK_BYTES Chunk Content put_blob read_blob",
    "flow_core.results._code": "discard_start prepare_start publish_code publish_start",
    "flow_core.results._folder": "FolderStore",
    "flow_core.results._manifest": "Kept Manifest manifest_key read_manifest",
    "flow_core.results._sweep": "Sweep forget sweep used",
}

__all__ = [
    "CHUNK_BYTES",
    "Chunk",
    "Content",
    "FolderStore",
    "Kept",
    "Manifest",
    "Sweep",
    "discard_start",
    "forget",
    "manifest_key",
    "prepare_start",
    "publish_code",
    "publish_start",
    "put_blob",
    "read_blob",
    "read_manifest",
    "sweep",
    "used",
]


def __getattr__(name: str) -> object:
    return attribute(__name__, _HOMES, name)
