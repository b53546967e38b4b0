"""The whole contract of a provider: every area that it implements."""

from __future__ import annotations

from flow_core.testing.auth import AuthContract
from flow_core.testing.files import FileContract
from flow_core.testing.functions import FunctionContract
from flow_core.testing.load import LoadContract
from flow_core.testing.logs import LogContract
from flow_core.testing.provision import ProvisionContract
from flow_core.testing.shell import ShellContract
from flow_core.testing.volumes import VolumeContract


class ProviderContract(
    FunctionContract,  # pytest begins with the last: what is wrong with loading is told before what follows from it
    FileContract,
    ShellContract,
    VolumeContract,
    AuthContract,
    LogContract,
    ProvisionContract,
    LoadContract,
):
    """All scenarios of a provider; what it does not implement or denies in its facts is skipped, with the reason.

    ``provider`` names the installed provider, or is its class.
    """
