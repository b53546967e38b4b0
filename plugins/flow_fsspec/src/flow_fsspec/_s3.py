"""Objects in a bucket of S3 or of a service that speaks its language."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from flow_core import AuthError, ConfigError, ResultInfo, Ticket
from flow_fsspec._endpoint import check_endpoint
from flow_fsspec._faults import s3_fault
from flow_fsspec._objects import BLOCK, PIECE, Reading, blocks

if TYPE_CHECKING:
    from flow_fsspec._settings import FsspecSettings

MOST_SECONDS = 7 * 86400.0
_META = "sha256"


class S3Objects:
    """Reads, conditional writes and signatures of one bucket; one client, made at the first use."""

    def __init__(self, settings: FsspecSettings, bucket: str, prefix: str) -> None:
        self._settings = settings
        self._bucket = bucket
        self._prefix = prefix
        self._lock = threading.Lock()
        self._region: str | None = None

    @functools.cached_property
    def _made(self) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        settings = self._settings
        named = bool(settings.endpoint_url)
        session = Session()
        self._region = settings.region or session.get_config_variable("region") or ("us-east-1" if named else None)
        client = session.create_client(
            "s3",
            region_name=self._region,
            endpoint_url=settings.endpoint_url,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path" if named else "auto"},
                connect_timeout=5,
                read_timeout=20,
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=32,
                request_checksum_calculation="when_required",  # many compatible services refuse the newer trailers
                response_checksum_validation="when_required",
            ),
            **_keys(settings),
        )
        check_endpoint(client.meta.endpoint_url)  # it may come from the SDK's own configuration
        return client

    @property
    def _client(self) -> Any:
        with self._lock:  # making one is not thread-safe, using it is
            return self._made

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def stat(self, key: str) -> ResultInfo:
        """One request."""
        found = self._client.head_object(**self._place(key))
        return ResultInfo(key, found["ContentLength"], found["Metadata"].get(_META), found["LastModified"].timestamp())

    def list(self, prefix: str) -> Iterator[ResultInfo]:
        """One request for each 1,000 objects."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self._prefix)
                yield ResultInfo(key, found["Size"], None, found["LastModified"].timestamp())

    def read(self, key: str, offset: int, version: str | None) -> Reading:
        """One request."""
        from botocore.exceptions import ClientError

        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        if version:
            wanted["IfMatch"] = version
        try:
            found = self._client.get_object(**self._place(key), **wanted)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("InvalidRange", "416"):
                return Reading(iter(()))
            raise
        return Reading(found["Body"].iter_chunks(PIECE), found["Metadata"].get(_META), found["ETag"])

    def create(self, key: str, data: Iterator[bytes], sha256: str) -> bool:
        """One request up to 64 MiB; else two, and one for each 64 MiB."""
        from botocore.exceptions import ClientError

        content = blocks(data, BLOCK)
        first = next(content)
        second = next(content, None)
        try:
            if second is None:
                self._client.put_object(**self._place(key), Body=first, Metadata={_META: sha256}, IfNoneMatch="*")
            else:
                self._create_large(key, chain((first, second), content), sha256)
        except ClientError as error:
            # NoSuchUpload: completed before, and the answer was lost
            if error.response["Error"]["Code"] in ("PreconditionFailed", "412", "NoSuchUpload"):
                return False
            raise
        return True

    def renew(self, key: str, sha256: str) -> None:
        """One request: a copy of it upon itself."""
        place = self._place(key)
        self._client.copy_object(**place, CopySource=place, Metadata={_META: sha256}, MetadataDirective="REPLACE")

    def _create_large(self, key: str, content: Iterator[bytearray], sha256: str) -> None:
        place, client = self._place(key), self._client
        upload = client.create_multipart_upload(**place, Metadata={_META: sha256})["UploadId"]
        parts: list[dict[str, object]] = []
        try:
            for number, block in enumerate(content, 1):
                part = client.upload_part(**place, UploadId=upload, PartNumber=number, Body=block)
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            client.complete_multipart_upload(
                **place, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            self._abort(place, upload)
            raise

    def _abort(self, place: dict[str, str], upload: str) -> None:
        from contextlib import suppress

        with suppress(Exception):  # the first error is the one to tell; the bucket's own rule removes the parts
            self._client.abort_multipart_upload(**place, UploadId=upload)

    def delete(self, key: str) -> bool:
        """Two requests: S3 does not say whether there was anything to delete."""
        from botocore.exceptions import ClientError

        try:
            self._client.head_object(**self._place(key))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return False
            raise
        self._client.delete_object(**self._place(key))
        return True

    def ticket(self, key: str, method: str, size: int | None, expires_in: float) -> Ticket:
        """No request. A PUT creates and never replaces; a POST (key ends in ``/``) may replace below its prefix."""
        seconds = int(min(expires_in, MOST_SECONDS))
        client = self._client
        if self._region is None:
            raise ConfigError("tickets for S3 need the region of the bucket", "set `region` in the result store")
        if key.endswith("/"):
            return self._policy(key, size, seconds)
        params: dict[str, Any] = dict(self._place(key))
        headers = {}
        if method == "PUT":
            params["IfNoneMatch"] = headers["If-None-Match"] = "*"
        operation = {"PUT": "put_object", "GET": "get_object"}[method]
        url = client.generate_presigned_url(operation, Params=params, ExpiresIn=seconds, HttpMethod=method)
        return Ticket(method, url, headers, _expiry(seconds), max_bytes=size)

    def _policy(self, key: str, size: int | None, seconds: int) -> Ticket:
        limits = [["content-length-range", 0, size]] if size is not None else []
        post = self._client.generate_presigned_post(
            self._bucket, self._prefix + key + "${filename}", Conditions=limits, ExpiresIn=seconds
        )
        fields = {**post["fields"], "key": self._prefix + key + "{key}"}
        return Ticket("POST", post["url"], expires_at=_expiry(seconds), max_bytes=size, fields=fields)

    def fault(self, error: Exception, what: str) -> Exception | None:
        """Say what an exception of botocore means."""
        return s3_fault(error, what, self._bucket)


def _keys(settings: FsspecSettings) -> dict[str, str]:
    """Return the credentials of the settings; without any the SDK asks its own chain."""
    access = settings.access_key.find() if settings.access_key else None
    secret = settings.secret_key.find() if settings.secret_key else None
    token = settings.session_token.find() if settings.session_token else None
    if access is None and secret is None:
        return {}
    if access is None or secret is None:
        missing = "secret_key" if secret is None else "access_key"
        raise AuthError(f"the result store has half of its S3 credentials: no {missing}", f"set {missing} too")
    found = {"aws_access_key_id": access.reveal(), "aws_secret_access_key": secret.reveal()}
    return {**found, "aws_session_token": token.reveal()} if token is not None else found


def _expiry(seconds: float) -> float:
    import time

    return time.time() + seconds
