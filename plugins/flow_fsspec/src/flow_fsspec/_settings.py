"""What a result store of the settings may set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from flow_core.secrets import Credential


def _secret(help_: str) -> Any:
    return attrs.field(default=None, metadata={"help": help_, "secret": True})


@attrs.frozen
class FsspecSettings:
    """Settings of the result store ``fsspec``. Without a credential the SDK's own chain is asked."""

    thread_safe: ClassVar[bool] = True

    url: str = attrs.field(
        metadata={
            "help": "Where objects are kept: s3://BUCKET/PREFIX, gs://, az://, file:///FOLDER, sftp://HOST/FOLDER, …"
        }
    )
    endpoint_url: str | None = attrs.field(
        default=None,
        metadata={"help": "Address of an S3-compatible (or GCS, Azure) service; https, but on this machine."},
    )
    region: str | None = attrs.field(
        default=None, metadata={"help": "Region of the bucket; default: what the SDK is configured for."}
    )
    access_key: Credential | None = _secret("S3: access key id.")
    secret_key: Credential | None = _secret("S3: secret access key.")
    session_token: Credential | None = _secret("S3: session token of temporary credentials.")
    service_account: Credential | None = _secret("GCS: key of a service account, as JSON text.")
    account: str | None = attrs.field(default=None, metadata={"help": "Azure: name of the storage account."})
    account_key: Credential | None = _secret("Azure: key of the storage account.")
    options: Mapping[str, Any] = attrs.field(
        factory=dict, metadata={"help": "Storage options of other fsspec file systems (username, port, …)."}
    )
