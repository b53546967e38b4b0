"""From the settings to the kind of storage that a url names."""

from __future__ import annotations

import importlib.util

from flow_core import ConfigError, PluginError
from flow_fsspec._endpoint import check_endpoint
from flow_fsspec._files import FileObjects
from flow_fsspec._objects import Objects
from flow_fsspec._settings import FsspecSettings

_CLOUDS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
_NEEDS = {"s3": "botocore", "gs": "google.cloud.storage", "az": "azure.storage.blob"}
_READ_ONLY = ("http", "https", "ftp", "data", "github", "git")


def open_objects(settings: FsspecSettings) -> Objects:
    """Return the storage that ``url`` names. No I/O. Raises ConfigError, PluginError for an extra that is missing."""
    scheme, mark, rest = settings.url.partition("://")
    if not mark or "::" in settings.url:
        raise ConfigError(f"{settings.url!r} is no url of a result store", "write for example s3://BUCKET/PREFIX")
    if scheme in _READ_ONLY:
        raise ConfigError(f"a result store cannot be written over {scheme}://", "use s3, gs, az, file, sftp, …")
    if settings.endpoint_url:
        check_endpoint(settings.endpoint_url)
    cloud = _CLOUDS.get(scheme)
    if cloud is None:
        return _files(scheme, rest, settings)
    _need(cloud)
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise ConfigError(f"{settings.url!r} names no bucket", f"write {scheme}://BUCKET/PREFIX")
    return _cloud(cloud, settings, bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else "")


def _cloud(cloud: str, settings: FsspecSettings, bucket: str, prefix: str) -> Objects:
    if cloud == "s3":
        from flow_fsspec._s3 import S3Objects

        return S3Objects(settings, bucket, prefix)
    if cloud == "gs":
        from flow_fsspec._gcs import GcsObjects

        return GcsObjects(settings, bucket, prefix)
    from flow_fsspec._azure import AzureObjects

    return AzureObjects(settings, bucket, prefix)


def _files(scheme: str, rest: str, settings: FsspecSettings) -> Objects:
    from fsspec.registry import available_protocols

    if scheme not in available_protocols():
        raise ConfigError(f"no file system is known for {scheme}://", "install the fsspec package that brings it")
    return FileObjects(scheme, rest, settings.options)


def _need(extra: str) -> None:
    try:
        found = importlib.util.find_spec(_NEEDS[extra])
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise PluginError(
            f"{extra}:// needs {_NEEDS[extra]}, which is not installed",
            f"pip install 'flow-fsspec[{extra}]'",
            distribution="flow-fsspec",
        )
