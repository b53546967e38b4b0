"""What each kind of plugin may implement, and what it has to."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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

PROVIDER_SPECS = (AuthHooks, ProvisionHooks, ResourceHooks, NodeHooks, LogHooks, ShellHooks, FileHooks, VolumeHooks)
"""What a provider (entry-point group ``flow.providers``) may implement."""

SPECS: Mapping[str, tuple[type, ...]] = {
    "provider": PROVIDER_SPECS,
    "frontend": (FrontendHooks,),
    "result store": (ResultHooks,),
    "secret store": (SecretHooks,),
    "host plugin": (HostHooks,),
}
"""Plugin kind -> the Protocols whose hooks it may implement. Commands have none: theirs is click's interface."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "provider": tuple(f"flow_provision_{verb}" for verb in ("submit", "find", "status", "cancel")),
    "frontend": ("flow_frontend_detect", "flow_frontend_read"),
    "result store": tuple(f"flow_result_{verb}" for verb in ("stat", "list", "get", "put", "delete")),
    "secret store": ("flow_secret_get", "flow_secret_list"),
}
"""Plugin kind -> the hooks without which it is of no use."""


def missing_hooks(kind: str, hooks: Collection[str]) -> list[str]:
    """Return the required hooks not among ``hooks``; a provider that reads logs itself needs no node access."""
    missing = [hook for hook in REQUIRED.get(kind, ()) if hook not in hooks]
    if kind == "provider" and not {"flow_node_access", "flow_logs_read"} & set(hooks):
        missing.append("flow_node_access")
    return missing
