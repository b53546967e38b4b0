"""flow_fsspec: a result store in S3, Google Cloud Storage, Azure, a shared folder or any fsspec file system."""

from flow_fsspec._settings import FsspecSettings as FsspecSettings
from flow_fsspec._store import FsspecStore as FsspecStore

__all__ = ["FsspecSettings", "FsspecStore"]
