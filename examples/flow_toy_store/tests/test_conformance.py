"""What Flow asks of a result store, asked of this one."""

from flow_core.testing import ResultStoreContract


class TestToyStore(ResultStoreContract):
    result_store = "toy-store"
    settings = {"root": "{home}/store"}
