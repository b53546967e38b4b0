"""Objects in a bucket of Google Cloud Storage."""

from __future__ import annotations

import base64
import functools
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import TYPE_CHECKING, Any

from flow_core import CapabilityError, ConfigError, ResultInfo, Ticket
from flow_fsspec._faults import gcs_fault
from flow_fsspec._objects import BLOCK, Reading, blocks

if TYPE_CHECKING:
    from flow_fsspec._settings import FsspecSettings

MOST_SECONDS = 7 * 86400.0
_HOST = "https://storage.googleapis.com"
_META = "sha256"
_STEP = 16 << 20


class GcsObjects:
    """Reads, conditional writes and signatures of one bucket; one client, made at the first use."""

    def __init__(self, settings: FsspecSettings, bucket: str, prefix: str) -> None:
        self._settings = settings
        self._name = bucket
        self._prefix = prefix
        self._host = (settings.endpoint_url or _HOST).rstrip("/")
        self._lock = threading.Lock()

    @functools.cached_property
    def _account(self) -> Any:
        """The service account of the settings; None: the SDK's own chain is asked."""
        key = self._settings.service_account.find() if self._settings.service_account else None
        if key is None:
            return None
        from google.oauth2.service_account import Credentials

        try:
            return Credentials.from_service_account_info(
                json.loads(key.reveal()), scopes=["https://www.googleapis.com/auth/devstorage.read_write"]
            )
        except ValueError:
            hint = "it is the JSON text that the cloud gives out for a service account"
            raise ConfigError("service_account of the result store is no key", hint) from None

    @functools.cached_property
    def _made(self) -> Any:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        login = self._account
        if self._host.startswith("http:"):  # a test server of this machine: it gets no token of the cloud's
            login = AnonymousCredentials()
        client = storage.Client(
            project=getattr(self._account, "project_id", None) or "-",
            credentials=login,
            client_options={"api_endpoint": self._host},
        )
        return client.bucket(self._name)

    @property
    def _bucket(self) -> Any:
        with self._lock:
            return self._made

    def _blob(self, key: str) -> Any:
        return self._bucket.blob(self._prefix + key, chunk_size=BLOCK)

    def _describe(self, found: Any) -> ResultInfo:
        key = found.name.removeprefix(self._prefix)
        return ResultInfo(key, found.size, (found.metadata or {}).get(_META), found.updated.timestamp())

    def stat(self, key: str) -> ResultInfo:
        """One request."""
        blob = self._blob(key)
        blob.reload(**_patience())
        return self._describe(blob)

    def list(self, prefix: str) -> Iterator[ResultInfo]:
        """One request for each 1,000 objects."""
        fields = "items(name,size,updated,metadata),nextPageToken"
        found = self._bucket.client.list_blobs(self._bucket, prefix=self._prefix + prefix, fields=fields, **_patience())
        return (self._describe(blob) for blob in found)

    def read(self, key: str, offset: int, version: str | None) -> Reading:
        """One request, and one for each 16 MiB."""
        blob = self._blob(key)
        blob.reload(if_generation_match=int(version) if version else None, **_patience())
        return Reading(self._ranges(blob, offset), (blob.metadata or {}).get(_META), str(blob.generation))

    def _ranges(self, blob: Any, offset: int) -> Iterator[bytes]:
        while offset < blob.size:
            piece: bytes = blob.download_as_bytes(
                start=offset,
                end=offset + _STEP - 1,
                if_generation_match=blob.generation,
                checksum=None,
                **_patience(),
            )
            offset += len(piece)
            yield piece

    def create(self, key: str, data: Iterator[bytes], sha256: str) -> bool:
        """One request up to 64 MiB; else one, and one for each 64 MiB."""
        from google.api_core.exceptions import PreconditionFailed

        blob, content = self._blob(key), blocks(data, BLOCK)
        blob.metadata = {_META: sha256}
        first = next(content)
        second = next(content, None)
        how = {"if_generation_match": 0, **_patience()}
        try:
            if second is None:
                blob.upload_from_string(bytes(first), **how)
            else:
                blob.upload_from_file(_Stream(chain((first, second), content)), **how)
        except PreconditionFailed:
            return False
        return True

    def renew(self, key: str, sha256: str) -> None:
        """One request: a copy of it upon itself."""
        blob = self._blob(key)
        blob.metadata = {_META: sha256}
        blob.rewrite(self._blob(key), **_patience())

    def delete(self, key: str) -> bool:
        """One request."""
        from google.api_core.exceptions import NotFound

        try:
            self._blob(key).delete(**_patience())
        except NotFound:
            return False
        return True

    def ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        """No request. A PUT creates and never replaces; a POST (key ends in ``/``) may replace below its prefix."""
        if self._account is None:
            raise CapabilityError(
                "only a service account signs tickets for gs://", "set `service_account` in the result store"
            )
        seconds = int(min(expires_in, MOST_SECONDS))
        if key.endswith("/"):
            return self._policy(self._prefix + key, size, seconds)
        headers = {}
        if method == "PUT":
            headers["x-goog-if-generation-match"] = "0"
            if size is not None:
                headers["x-goog-content-length-range"] = f"0,{size}"
        url = self._blob(key).generate_signed_url(
            version="v4",
            method=method,
            expiration=timedelta(seconds=seconds),
            headers=dict(headers),  # the SDK adds to it
            credentials=self._account,
            api_access_endpoint=self._host,
        )
        return Ticket(method, url, headers, time.time() + seconds, max_bytes=size)

    def _policy(self, prefix: str, size: int | None, seconds: int) -> Ticket:
        """Sign a form (docs.cloud.google.com/storage/docs/authentication/signatures#policy-document)."""
        now = datetime.now(timezone.utc)
        fields = {
            "x-goog-algorithm": "GOOG4-RSA-SHA256",
            "x-goog-credential": f"{self._account.signer_email}/{now:%Y%m%d}/auto/storage/goog4_request",
            "x-goog-date": f"{now:%Y%m%dT%H%M%SZ}",
        }
        conditions: list[object] = [{"bucket": self._name}, ["starts-with", "$key", prefix]]
        conditions += [{name: value} for name, value in fields.items()]
        if size is not None:
            conditions.append(["content-length-range", 0, size])
        end = now + timedelta(seconds=seconds)
        document = json.dumps({"conditions": conditions, "expiration": f"{end:%Y-%m-%dT%H:%M:%SZ}"})
        policy = base64.b64encode(document.encode())
        fields |= {"policy": policy.decode(), "x-goog-signature": self._account.sign_bytes(policy).hex()}
        url = f"{self._host}/{self._name}"
        return Ticket("POST", url, {}, end.timestamp(), max_bytes=size, fields={"key": f"{prefix}{{key}}", **fields})

    def fault(self, error: Exception, what: str) -> Exception | None:
        """Say what an exception of Google's SDK means."""
        return gcs_fault(error, what, self._name)


def _patience() -> dict[str, Any]:
    """Give up soon: who asks tries again by itself."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"timeout": (5, 20), "retry": DEFAULT_RETRY.with_timeout(5)}


class _Stream:
    """Blocks as a file that can be read once."""

    def __init__(self, content: Iterator[bytearray]) -> None:
        self._held = bytearray()
        self._blocks = content
        self._read = 0

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        while len(self._held) < size and (block := next(self._blocks, None)) is not None:
            self._held += block
        piece = bytes(self._held[:size])
        del self._held[:size]
        self._read += len(piece)
        return piece

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._read
