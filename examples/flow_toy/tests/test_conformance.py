"""What Flow asks of a provider, asked of this one."""

from flow_core.testing import ProviderContract


class TestToy(ProviderContract):
    provider = "toy"
    settings = {"root": "{home}/toy"}
