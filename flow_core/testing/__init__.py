"""The conformance kit: what a plugin promises, as tests that its author runs (``pip install 'flow-core[testing]'``).

A provider's whole test module::

    from flow_core.testing import ProviderContract

    class TestAcme(ProviderContract):
        provider = "acme"
        settings = {"root": "{home}/acme"}

Each test is a numbered scenario of ``docs/behaviour/``. Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_core.testing._bench import Bench as Bench
    from flow_core.testing._contract import Contract as Contract
    from flow_core.testing._order import order as order
    from flow_core.testing.auth import AuthContract as AuthContract
    from flow_core.testing.files import FileContract as FileContract
    from flow_core.testing.frontends import FrontendContract as FrontendContract
    from flow_core.testing.functions import FunctionContract as FunctionContract
    from flow_core.testing.load import LoadContract as LoadContract
    from flow_core.testing.logs import LogContract as LogContract
    from flow_core.testing.provider import ProviderContract as ProviderContract
    from flow_core.testing.provision import ProvisionContract as ProvisionContract
    from flow_core.testing.results import ResultStoreContract as ResultStoreContract
    from flow_core.testing.secret_stores import SecretStoreContract as SecretStoreContract
    from flow_core.testing.shell import ShellContract as ShellContract
    from flow_core.testing.volumes import VolumeContract as VolumeContract
    from flow_core.testing.wrappers import WrapperContract as WrapperContract

_HOMES = {
    "AuthContract": "auth",
    "Bench": "_bench",
    "Contract": "_contract",
    "FileContract": "files",
    "FrontendContract": "frontends",
    "FunctionContract": "functions",
    "LoadContract": "load",
    "LogContract": "logs",
    "ProviderContract": "provider",
    "ProvisionContract": "provision",
    "ResultStoreContract": "results",
    "SecretStoreContract": "secret_stores",
    "ShellContract": "shell",
    "VolumeContract": "volumes",
    "WrapperContract": "wrappers",
    "order": "_order",
}

__all__ = [
    "AuthContract",
    "Bench",
    "Contract",
    "FileContract",
    "FrontendContract",
    "FunctionContract",
    "LoadContract",
    "LogContract",
    "ProviderContract",
    "ProvisionContract",
    "ResultStoreContract",
    "SecretStoreContract",
    "ShellContract",
    "VolumeContract",
    "WrapperContract",
    "order",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    _explain_assertions()
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def _explain_assertions() -> None:
    """Have pytest show what was compared in a scenario that fails; for modules that are not imported yet."""
    import sys

    import pytest

    modules = {f"{__name__}.{home}" for home in (*_HOMES.values(), *_PARTS)}
    pytest.register_assert_rewrite(*sorted(modules - set(sys.modules)))


_PARTS = ("_cancelling", "_ending", "_ranks", "_submitting", "_surroundings")
