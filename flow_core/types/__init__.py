"""The records that Flow's parts and plugins hand to each other: immutable, typed, UTC seconds and bytes throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core.types._config import (
        CodeSpec as CodeSpec,
    )
    from flow_core.types._config import (
        FunctionCall as FunctionCall,
    )
    from flow_core.types._config import (
        HealthSpec as HealthSpec,
    )
    from flow_core.types._config import (
        Mount as Mount,
    )
    from flow_core.types._config import (
        PortSpec as PortSpec,
    )
    from flow_core.types._config import (
        Resources as Resources,
    )
    from flow_core.types._config import (
        SecretRef as SecretRef,
    )
    from flow_core.types._config import (
        TaskConfig as TaskConfig,
    )
    from flow_core.types._config import (
        VolumeSpec as VolumeSpec,
    )
    from flow_core.types._event import (
        CredentialRequest as CredentialRequest,
    )
    from flow_core.types._event import (
        DoctorCheck as DoctorCheck,
    )
    from flow_core.types._event import (
        Event as Event,
    )
    from flow_core.types._event import (
        FrontendTask as FrontendTask,
    )
    from flow_core.types._event import (
        PolicyContext as PolicyContext,
    )
    from flow_core.types._event import (
        Refusal as Refusal,
    )
    from flow_core.types._event import (
        ShellSession as ShellSession,
    )
    from flow_core.types._ids import (
        is_request_id as is_request_id,
    )
    from flow_core.types._ids import (
        new_request_id as new_request_id,
    )
    from flow_core.types._ids import (
        new_task_id as new_task_id,
    )
    from flow_core.types._instance import (
        InstanceType as InstanceType,
    )
    from flow_core.types._instance import (
        parse_instance_type as parse_instance_type,
    )
    from flow_core.types._log import (
        LogChunk as LogChunk,
    )
    from flow_core.types._log import (
        LogCursor as LogCursor,
    )
    from flow_core.types._log import (
        Position as Position,
    )
    from flow_core.types._problem import (
        Problem as Problem,
    )
    from flow_core.types._provider import (
        AuthField as AuthField,
    )
    from flow_core.types._provider import (
        Bundle as Bundle,
    )
    from flow_core.types._provider import (
        Identity as Identity,
    )
    from flow_core.types._provider import (
        NodeAccess as NodeAccess,
    )
    from flow_core.types._provider import (
        Offer as Offer,
    )
    from flow_core.types._provider import (
        OfferRequest as OfferRequest,
    )
    from flow_core.types._provider import (
        ProviderFacts as ProviderFacts,
    )
    from flow_core.types._provider import (
        Resource as Resource,
    )
    from flow_core.types._provider import (
        SecretBox as SecretBox,
    )
    from flow_core.types._provider import (
        Submission as Submission,
    )
    from flow_core.types._provider import (
        TaskListing as TaskListing,
    )
    from flow_core.types._provider import (
        Volume as Volume,
    )
    from flow_core.types._result import (
        ResultInfo as ResultInfo,
    )
    from flow_core.types._result import (
        Ticket as Ticket,
    )
    from flow_core.types._task import (
        FINAL_STATES as FINAL_STATES,
    )
    from flow_core.types._task import (
        LIVE_STATES as LIVE_STATES,
    )
    from flow_core.types._task import (
        TRANSITIONS as TRANSITIONS,
    )
    from flow_core.types._task import (
        Attempt as Attempt,
    )
    from flow_core.types._task import (
        NodeReport as NodeReport,
    )
    from flow_core.types._task import (
        TaskRef as TaskRef,
    )
    from flow_core.types._task import (
        TaskReport as TaskReport,
    )
    from flow_core.types._task import (
        format_ref as format_ref,
    )
    from flow_core.types._task import (
        may_become as may_become,
    )
    from flow_core.types._task import (
        parse_ref as parse_ref,
    )
    from flow_core.types._units import (
        format_duration as format_duration,
    )
    from flow_core.types._units import (
        format_size as format_size,
    )
    from flow_core.types._units import (
        parse_duration as parse_duration,
    )
    from flow_core.types._units import (
        parse_size as parse_size,
    )

_HOMES = {
    "flow_core.types._config": "CodeSpec FunctionCall HealthSpec Mount PortSpec Resources SecretRef TaskConfig VolumeSpec",
    "flow_core.types._event": "CredentialRequest DoctorCheck Event FrontendTask PolicyContext Refusal ShellSession",
    "flow_core.types._ids": "is_request_id new_request_id new_task_id",
    "flow_core.types._instance": "InstanceType parse_instance_type",
    "flow_core.types._log": "LogChunk LogCursor Position",
    "flow_core.types._problem": "Problem",
    "flow_core.types._provider": "AuthField Bundle Identity NodeAccess Offer OfferRequest ProviderFacts Resource SecretBox Submission TaskListing Volume",
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
    "Refusal",
    "Resource",
    "Resources",
    "ResultInfo",
    "SecretBox",
    "SecretRef",
    "ShellSession",
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
