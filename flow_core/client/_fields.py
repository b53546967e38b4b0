"""The keywords of ``submit`` and ``run``: word for word those of a config file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from flow_core.types import CodeSpec, HealthSpec, Mount, PortSpec, Resources, SecretRef, VolumeSpec

Time = float | str
Size = int | str


class TaskFields(TypedDict, total=False):
    """What a task can be asked for; every key is optional. Times take seconds or ``"1h30m"``, sizes bytes or ``"16GiB"``."""

    name: str
    instance_type: str
    gpu: str
    num_instances: int
    processes_per_node: int
    resources: Resources | Mapping[str, object]
    cpus: float
    memory: Size
    disk: Size
    image: str
    env: Mapping[str, str]
    secrets: Sequence[str | SecretRef | Mapping[str, object]]
    working_dir: str
    code: str | CodeSpec | Mapping[str, object]
    mounts: Sequence[str | Mount | Mapping[str, object]]
    volumes: Sequence[str | VolumeSpec | Mapping[str, object]]
    outputs: Sequence[str]
    ports: Sequence[str | int | PortSpec | Mapping[str, object]]
    health: HealthSpec | Mapping[str, object]
    restart: str
    time_limit: Time
    grace: Time
    stop_signal: str
    preempt_signal: str
    retries: int
    max_preemptions: int
    depends_on: Sequence[str]
    priority: int
    spot: bool
    max_price_per_hour: Decimal | float | str
    region: str
    keep: Time
    labels: Mapping[str, str]
    result_store: str
    idempotency_key: str
    provider: str
    options: Mapping[str, Mapping[str, object]]


class FunctionFields(TaskFields, total=False):
    """What a function can be asked for: the words of a task, the node's ``python`` (default: this one where the node sees
    its files, else ``python3``), and ``trusted``: false reads no pickle that comes back, only plain data.
    """

    python: str
    trusted: bool
