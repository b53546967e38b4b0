"""Objects in a container of Azure Blob Storage."""

from __future__ import annotations

import functools
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flow_core import CapabilityError, ConfigError, ResultInfo, Ticket
from flow_fsspec._faults import azure_fault
from flow_fsspec._objects import BLOCK, Reading, blocks

if TYPE_CHECKING:
    from flow_fsspec._settings import FsspecSettings

_META = "sha256"


class AzureObjects:
    """Reads, conditional writes and signatures of one container; one client, made at the first use."""

    def __init__(self, settings: FsspecSettings, bucket: str, prefix: str) -> None:
        self._name, _, host = bucket.partition("@")
        self._account = settings.account or host.partition(".")[0]
        self._settings = settings
        self._prefix = prefix
        self._lock = threading.Lock()
        if not self._account:
            raise ConfigError(
                "an az:// store needs the name of its storage account", "set `account` in the result store"
            )

    @property
    def _key(self) -> str | None:
        found = self._settings.account_key.find() if self._settings.account_key else None
        return found.reveal() if found is not None else None

    @functools.cached_property
    def _made(self) -> Any:
        from azure.core.credentials import AzureNamedKeyCredential
        from azure.storage.blob import ContainerClient

        credential: Any
        if key := self._key:
            credential = AzureNamedKeyCredential(self._account, key)
        else:
            from azure.identity import DefaultAzureCredential

            credential = DefaultAzureCredential()
        address = self._settings.endpoint_url or f"https://{self._account}.blob.core.windows.net"
        return ContainerClient(
            address,
            self._name,
            credential=credential,
            retry_total=1,
            connection_timeout=5,
            read_timeout=20,
            max_single_put_size=BLOCK,
        )

    @property
    def _container(self) -> Any:
        with self._lock:
            return self._made

    def _blob(self, key: str) -> Any:
        return self._container.get_blob_client(self._prefix + key)

    def _describe(self, key: str, found: Any) -> ResultInfo:
        return ResultInfo(key, found.size, (found.metadata or {}).get(_META), found.last_modified.timestamp())

    def stat(self, key: str) -> ResultInfo:
        """One request."""
        return self._describe(key, self._blob(key).get_blob_properties())

    def list(self, prefix: str) -> Iterator[ResultInfo]:
        """One request for each 5,000 objects."""
        for found in self._container.list_blobs(name_starts_with=self._prefix + prefix, include=["metadata"]):
            yield self._describe(found.name.removeprefix(self._prefix), found)

    def read(self, key: str, offset: int, version: str | None) -> Reading:
        """One request up to 32 MiB, and one for each 4 MiB more."""
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError

        same = {"etag": version, "match_condition": MatchConditions.IfNotModified} if version else {}
        try:
            found = self._blob(key).download_blob(offset=offset or None, **same)
        except HttpResponseError as error:
            if error.status_code == 416:
                return Reading(iter(()))
            raise
        return Reading(found.chunks(), (found.properties.metadata or {}).get(_META), found.properties.etag)

    def create(self, key: str, data: Iterator[bytes], sha256: str) -> bool:
        """One request up to 64 MiB; else one, and one for each 64 MiB."""
        from azure.core.exceptions import ResourceExistsError

        blob, content = self._blob(key), blocks(data, BLOCK)
        first = next(content)
        second = next(content, None)
        try:
            if second is None:
                blob.upload_blob(bytes(first), overwrite=False, metadata={_META: sha256})
            else:
                self._create_large(blob, chain((first, second), content), sha256)
        except ResourceExistsError:
            return False
        return True

    def renew(self, key: str, sha256: str) -> None:
        """One request."""
        self._blob(key).set_blob_metadata({_META: sha256})

    def _create_large(self, blob: Any, content: Iterator[bytearray], sha256: str) -> None:
        from azure.core import MatchConditions
        from azure.storage.blob import BlobBlock

        names = []
        for block in content:
            names.append(BlobBlock(uuid.uuid4().hex))
            blob.stage_block(names[-1].id, bytes(block))  # blocks that are never committed are gone after a week
        blob.commit_block_list(names, metadata={_META: sha256}, match_condition=MatchConditions.IfMissing)

    def delete(self, key: str) -> bool:
        """One request."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            self._blob(key).delete_blob()
        except ResourceNotFoundError as error:
            if error.error_code == "ContainerNotFound":
                raise
            return False
        return True

    def ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        """No request. A PUT creates and never replaces.

        Below a prefix (key ends in ``/``) Azure has no narrower leave than to create anywhere in the container.
        """
        from azure.storage.blob import (
            BlobSasPermissions,
            ContainerSasPermissions,
            generate_blob_sas,
            generate_container_sas,
        )

        if (account_key := self._key) is None:
            raise CapabilityError(
                "only an account key signs tickets for az://", "set `account_key` in the result store"
            )
        end = time.time() + expires_in
        common = {
            "account_name": self._account,
            "container_name": self._name,
            "account_key": account_key,
            "expiry": datetime.fromtimestamp(end, timezone.utc),
            "protocol": "https,http" if self._container.url.startswith("http:") else "https",
        }
        name = self._prefix + key
        if key.endswith("/"):
            signature = generate_container_sas(permission=ContainerSasPermissions(create=True), **common)
        else:
            leave = BlobSasPermissions(read=method == "GET", create=method == "PUT")
            signature = generate_blob_sas(blob_name=name, permission=leave, **common)
        address = f"{self._container.url}/{quote(name)}{'{key}' if key.endswith('/') else ''}?{signature}"
        headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"} if method == "PUT" else {}
        return Ticket(method, address, headers, end, max_bytes=size)

    def fault(self, error: Exception, what: str) -> Exception | None:
        """Say what an exception of Azure's SDK means."""
        return azure_fault(error, what, self._name)
