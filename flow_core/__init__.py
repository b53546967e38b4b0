"""Flow: one interface for GPU workloads, on any backend, where backends are plugins.

Public names are imported when they are first used, so that ``import flow_core`` costs next to nothing::

    import flow_core as flow

    task = flow.run("python train.py", gpu="a100")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core import aio as aio
    from flow_core import nodes as nodes
    from flow_core._functions import (
        run as run,
    )
    from flow_core._functions import (
        submit as submit,
    )
    from flow_core._functions import (
        task as task,
    )
    from flow_core._functions import (
        tasks as tasks,
    )
    from flow_core.client import (
        Flow as Flow,
    )
    from flow_core.client import (
        Plan as Plan,
    )
    from flow_core.client import (
        Task as Task,
    )
    from flow_core.client import (
        exit_status as exit_status,
    )
    from flow_core.errors import (
        AuthError as AuthError,
    )
    from flow_core.errors import (
        CapabilityError as CapabilityError,
    )
    from flow_core.errors import (
        ConfigError as ConfigError,
    )
    from flow_core.errors import (
        ConflictError as ConflictError,
    )
    from flow_core.errors import (
        FlowError as FlowError,
    )
    from flow_core.errors import (
        NotFoundError as NotFoundError,
    )
    from flow_core.errors import (
        PluginError as PluginError,
    )
    from flow_core.errors import (
        PolicyError as PolicyError,
    )
    from flow_core.errors import (
        ProviderError as ProviderError,
    )
    from flow_core.errors import (
        QuotaError as QuotaError,
    )
    from flow_core.errors import (
        StateError as StateError,
    )
    from flow_core.errors import (
        TaskFailed as TaskFailed,
    )
    from flow_core.errors import (
        TaskLostError as TaskLostError,
    )
    from flow_core.errors import (
        TransientError as TransientError,
    )
    from flow_core.errors import (
        UnavailableError as UnavailableError,
    )
    from flow_core.hookspecs import (
        hookimpl as hookimpl,
    )
    from flow_core.secrets import (
        Secret as Secret,
    )
    from flow_core.types import (
        Attempt as Attempt,
    )
    from flow_core.types import (
        AuthField as AuthField,
    )
    from flow_core.types import (
        Bundle as Bundle,
    )
    from flow_core.types import (
        CodeSpec as CodeSpec,
    )
    from flow_core.types import (
        CredentialRequest as CredentialRequest,
    )
    from flow_core.types import (
        DoctorCheck as DoctorCheck,
    )
    from flow_core.types import (
        Event as Event,
    )
    from flow_core.types import (
        FrontendTask as FrontendTask,
    )
    from flow_core.types import (
        HealthSpec as HealthSpec,
    )
    from flow_core.types import (
        Identity as Identity,
    )
    from flow_core.types import (
        LogChunk as LogChunk,
    )
    from flow_core.types import (
        LogCursor as LogCursor,
    )
    from flow_core.types import (
        Mount as Mount,
    )
    from flow_core.types import (
        NodeAccess as NodeAccess,
    )
    from flow_core.types import (
        NodeReport as NodeReport,
    )
    from flow_core.types import (
        Offer as Offer,
    )
    from flow_core.types import (
        OfferRequest as OfferRequest,
    )
    from flow_core.types import (
        PolicyContext as PolicyContext,
    )
    from flow_core.types import (
        PortSpec as PortSpec,
    )
    from flow_core.types import (
        Position as Position,
    )
    from flow_core.types import (
        Problem as Problem,
    )
    from flow_core.types import (
        ProviderFacts as ProviderFacts,
    )
    from flow_core.types import (
        Refusal as Refusal,
    )
    from flow_core.types import (
        Resource as Resource,
    )
    from flow_core.types import (
        Resources as Resources,
    )
    from flow_core.types import (
        ResultInfo as ResultInfo,
    )
    from flow_core.types import (
        SecretBox as SecretBox,
    )
    from flow_core.types import (
        SecretRef as SecretRef,
    )
    from flow_core.types import (
        ShellSession as ShellSession,
    )
    from flow_core.types import (
        Submission as Submission,
    )
    from flow_core.types import (
        TaskConfig as TaskConfig,
    )
    from flow_core.types import (
        TaskListing as TaskListing,
    )
    from flow_core.types import (
        TaskRef as TaskRef,
    )
    from flow_core.types import (
        TaskReport as TaskReport,
    )
    from flow_core.types import (
        Ticket as Ticket,
    )
    from flow_core.types import (
        Volume as Volume,
    )
    from flow_core.types import (
        VolumeSpec as VolumeSpec,
    )

_HOMES = {
    "flow_core._functions": "run submit task tasks",
    "flow_core.client": "Flow Plan Task exit_status",
    "flow_core.errors": "AuthError CapabilityError ConfigError ConflictError FlowError NotFoundError PluginError PolicyError ProviderError QuotaError StateError TaskFailed TaskLostError TransientError UnavailableError",
    "flow_core.hookspecs": "hookimpl",
    "flow_core.secrets": "Secret",
    "flow_core.types": "Attempt AuthField Bundle CodeSpec CredentialRequest DoctorCheck Event FrontendTask HealthSpec Identity LogChunk LogCursor Mount NodeAccess NodeReport Offer OfferRequest PolicyContext PortSpec Position Problem ProviderFacts Refusal Resource Resources ResultInfo SecretBox SecretRef ShellSession Submission TaskConfig TaskListing TaskRef TaskReport Ticket Volume VolumeSpec",
}
_MODULES = frozenset({"aio", "nodes"})

__all__ = [
    "Attempt",
    "AuthError",
    "AuthField",
    "Bundle",
    "CapabilityError",
    "CodeSpec",
    "ConfigError",
    "ConflictError",
    "CredentialRequest",
    "DoctorCheck",
    "Event",
    "Flow",
    "FlowError",
    "FrontendTask",
    "HealthSpec",
    "Identity",
    "LogChunk",
    "LogCursor",
    "Mount",
    "NodeAccess",
    "NodeReport",
    "NotFoundError",
    "Offer",
    "OfferRequest",
    "Plan",
    "PluginError",
    "PolicyContext",
    "PolicyError",
    "PortSpec",
    "Position",
    "Problem",
    "ProviderError",
    "ProviderFacts",
    "QuotaError",
    "Refusal",
    "Resource",
    "Resources",
    "ResultInfo",
    "Secret",
    "SecretBox",
    "SecretRef",
    "ShellSession",
    "StateError",
    "Submission",
    "Task",
    "TaskConfig",
    "TaskFailed",
    "TaskListing",
    "TaskLostError",
    "TaskRef",
    "TaskReport",
    "Ticket",
    "TransientError",
    "UnavailableError",
    "Volume",
    "VolumeSpec",
    "aio",
    "exit_status",
    "hookimpl",
    "nodes",
    "run",
    "submit",
    "task",
    "tasks",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"flow_core.{name}")
    if name == "__version__":
        from flow_core.plugins._metadata import core_version

        return core_version()
    return attribute(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
