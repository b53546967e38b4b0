"""The plugin contract: one Protocol per capability, one hook per method.

A provider subclasses the Protocols it supports and marks its methods with :data:`hookimpl`; a type checker then checks
names, arguments and results, pluggy checks them again when the plugin is opened, and the hooks that are implemented are
what the provider can do. Parameters are passed by keyword; an implementation may leave out those it does not need.
"""

from flow_core.hookspecs._kinds import PROVIDER_SPECS, REQUIRED, SPECS, missing_hooks
from flow_core.hookspecs._markers import hookimpl, hookspec
from flow_core.hookspecs.auth import AuthHooks
from flow_core.hookspecs.files import FileHooks
from flow_core.hookspecs.frontends import FrontendHooks
from flow_core.hookspecs.host import HostHooks
from flow_core.hookspecs.logs import LogHooks
from flow_core.hookspecs.nodes import NodeHooks
from flow_core.hookspecs.provision import ProvisionHooks, ResourceHooks
from flow_core.hookspecs.results import ResultHooks
from flow_core.hookspecs.secret_stores import SecretHooks
from flow_core.hookspecs.shell import ShellHooks
from flow_core.hookspecs.volumes import VolumeHooks

__all__ = [
    "PROVIDER_SPECS",
    "REQUIRED",
    "SPECS",
    "AuthHooks",
    "FileHooks",
    "FrontendHooks",
    "HostHooks",
    "LogHooks",
    "NodeHooks",
    "ProvisionHooks",
    "ResourceHooks",
    "ResultHooks",
    "SecretHooks",
    "ShellHooks",
    "VolumeHooks",
    "hookimpl",
    "hookspec",
    "missing_hooks",
]
