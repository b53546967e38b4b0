"""The result store that comes with Flow keeps the contract."""

from __future__ import annotations

from typing import ClassVar

from flow_core.testing import ResultStoreContract


class TestFolderStore(ResultStoreContract):
    result_store = "folder"
    settings: ClassVar = {"root": "{home}/store"}
