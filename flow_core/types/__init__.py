"""The records that Flow's parts and plugins hand to each other: immutable, typed, UTC seconds and bytes throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core.types._config import (
        CodeSpec as CodeSpec,
        FunctionCall as FunctionCall,
        HealthSpec as HealthSpec,
        Mount as Mount,
        PortSpec as PortSpec,
        Resources as Resources,
        SecretRef as SecretRef,
        TaskConfig as TaskConfig,
        VolumeSpec as VolumeSpec,
    )
    from flow_core.types._event import (
        CredentialRequest as CredentialRequest,
        DoctorCheck as DoctorCheck,
        Event as Event,
        PolicyContext as PolicyContext,
        Refusal as Refusal,
        ShellSession as ShellSession,
    )
    from flow_core.types._frontend import (
        FrontendTask as FrontendTask,
    )
    from flow_core.types._ids import (
        is_request_id as is_request_id,
        new_request_id as new_request_id,
        new_task_id as new_task_id,
    )
    from flow_core.types._instance import (
        InstanceType as InstanceType,
        parse_instance_type as parse_instance_type,
    )
    from flow_core.types._log import (
        LogChunk as LogChunk,
        LogCursor as LogCursor,
        Position as Position,
    )
    from flow_core.types._problem import (
        Problem as Problem,
    )
    from flow_core.types._provider import (
        AuthField as AuthField,
        Bundle as Bundle,
        Identity as Identity,
        NodeAccess as NodeAccess,
        Offer as Offer,
        OfferRequest as OfferRequest,
        ProviderFacts as ProviderFacts,
        QueuedTask as QueuedTask,
        Resource as Resource,
        SecretBox as SecretBox,
        Start as Start,
        Submission as Submission,
        TaskListing as TaskListing,
        Volume as Volume,
    )
    from flow_core.types._result import (
        ResultInfo as ResultInfo,
        Ticket as Ticket,
    )
    from flow_core.types._task import (
        FINAL_STATES as FINAL_STATES,
        LIVE_STATES as LIVE_STATES,
        TRANSITIONS as TRANSITIONS,
        Attempt as Attempt,
        NodeReport as NodeReport,
        TaskRef as TaskRef,
        TaskReport as TaskReport,
        format_ref as format_ref,
        may_become as may_become,
        parse_ref as parse_ref,
    )
    from flow_core.types._units import (
        format_duration as format_duration,
        format_size as format_size,
        parse_duration as parse_duration,
        parse_size as parse_size,
    )

_HOMES = {
    "flow_core.types._config": "CodeSpec FunctionCall HealthSpec Mount PortSpec Resources SecretRef TaskConfig VolumeSpec",
    "flow_core.types._event": "CredentialRequest DoctorCheck Event PolicyContext Refusal ShellSession",
    "flow_core.types._frontend": "FrontendTask",
    "flow_core.types._ids": "is_request_id new_request_id new_task_id",
    "flow_core.types._instance": "InstanceType parse_instance_type",
    "flow_core.types._log": "LogChunk LogCursor Position",
    "flow_core.types._problem": "Problem",
    "flow_core.types._provider": "AuthField Bundle Identity NodeAccess Offer OfferRequest ProviderFacts QueuedTask Resource SecretBox Start Submission TaskListing Volume",
    "flow_core.types._result": "ResultInfo Ticket",
    "flow_core.types._task": "Attempt FINAL_STATES LIVE_STATES NodeReport TRANSITIONS TaskRef TaskReport format_ref may_become parse_ref",
    "flow_core.types._units": "format_duration format_size parse_duration parse_size",
}

__all__ = [
    "FINAL_STATES",
    "LIVE_STATES",
    "TRANSITIONS",
    "Attempt",
    "AuthField",
    "Bundle",
    "CodeSpec",
    "CredentialRequest",
    "DoctorCheck",
    "Event",
    "FrontendTask",
    "FunctionCall",
    "HealthSpec",
    "Identity",
    "InstanceType",
    "LogChunk",
    "LogCursor",
    "Mount",
    "NodeAccess",
    "NodeReport",
    "Offer",
    "OfferRequest",
    "PolicyContext",
    "PortSpec",
    "Position",
    "Problem",
    "ProviderFacts",
    "QueuedTask",
    "Refusal",
    "Resource",
    "Resources",
    "ResultInfo",
    "SecretBox",
    "SecretRef",
    "ShellSession",
    "Start",
    "Submission",
    "TaskConfig",
    "TaskListing",
    "TaskRef",
    "TaskReport",
    "Ticket",
    "Volume",
    "VolumeSpec",
    "format_duration",
    "format_ref",
    "format_size",
    "is_request_id",
    "may_become",
    "new_request_id",
    "new_task_id",
    "parse_duration",
    "parse_instance_type",
    "parse_ref",
    "parse_size",
]


def __getattr__(name: str) -> object:
    return attribute(__name__, _HOMES, name)
