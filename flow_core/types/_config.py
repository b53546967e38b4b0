"""What the user asked for: :class:`TaskConfig` and its parts.

A field's metadata says how it is written on the command line (``flag``, ``short``, ``metavar``), what it means
(``help``) and whether a provider may ignore it (``hint``); flags, JSON Schema and reference pages are made from it.
Sizes are bytes, durations seconds, money USD per hour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import attrs

from flow_core.types._mapping import EMPTY, read_only

T = TypeVar("T")


def _tuple(value: Sequence[T]) -> tuple[T, ...]:
    return tuple(value)


def _field(
    default: Any,
    help: str,  # noqa: A002 - the metadata key is the field's word for it
    *,
    flag: str = "",
    short: str = "",
    metavar: str = "",
    hint: bool = False,
    converter: Callable[[Any], Any] | None = None,
) -> Any:
    metadata = {"help": help, "flag": flag, "short": short, "metavar": metavar, "hint": hint}
    return attrs.field(default=default, metadata=metadata, converter=converter)


@attrs.frozen
class Resources:
    """What each node must have; None (or 0 GPUs) claims nothing."""

    gpu: str | None = _field(None, "GPU type, as a100 or h100.")
    gpu_count: int = _field(0, "GPUs per node.")
    gpu_memory: int | None = _field(None, "Memory of each GPU, bytes.")
    cpus: float | None = _field(None, "CPU cores per node.", flag="--cpus", metavar="N")
    memory: int | None = _field(None, "Memory per node.", flag="--memory", metavar="SIZE")
    disk: int | None = _field(None, "Disk per node.", flag="--disk", metavar="SIZE")


@attrs.frozen
class Mount:
    """Puts ``source`` (a folder or ``volume:NAME``) at the absolute path ``target`` of every node.

    ``scheme://…`` is for providers that mount such a thing; the others refuse it.
    """

    source: str
    target: str
    read_only: bool = False


@attrs.frozen
class VolumeSpec:
    """Storage that outlives the task, at ``target``; ``create`` makes it when it is missing. ``size_gb`` counts 10**9 bytes."""

    name: str
    target: str = attrs.field(default=attrs.Factory(lambda self: f"/volumes/{self.name}", takes_self=True))
    size_gb: int | None = None
    create: bool = False
    kind: str | None = None
    read_only: bool = False
    encrypted: bool = False


@attrs.frozen
class SecretRef:
    """Names a secret; its value is looked up at submit and given as the variable ``env`` (default: its name) or the file ``file``."""

    name: str
    env: str | None = attrs.field(default=attrs.Factory(lambda self: self.name, takes_self=True))
    file: str | None = None


@attrs.frozen
class CodeSpec:
    """How the user's files reach the node: ``inplace`` (used where they are), ``snapshot`` (a copy) or ``none``.

    ``mode`` None means the provider's default: in place where it shares the client's files, else a snapshot.
    ``include`` and ``exclude`` are gitignore patterns on top of what git ignores.
    """

    mode: str | None = None
    root: str = "."
    include: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    exclude: tuple[str, ...] = attrs.field(default=(), converter=_tuple)


@attrs.frozen
class PortSpec:
    """A TCP port the task serves on; 0 has the node choose one, announced as ``FLOW_PORT_<NAME>``."""

    port: int
    name: str = "main"


@attrs.frozen
class HealthSpec:
    """When a service is ready: exactly one of ``http`` (a URL path), ``tcp`` (a port name) and ``command``; times in seconds."""

    http: str | None = None
    tcp: str | None = None
    command: str | None = None
    start_period: float = 0.0
    interval: float = 10.0
    timeout: float = 5.0
    failures: int = 3


@attrs.frozen
class FunctionCall:
    """A Python function to call instead of a command; set by ``invoke`` and ``@function``, never written by hand."""

    module: str
    name: str
    arguments: str = ""
    codec: str = "json"
    python: str = ""


@attrs.frozen
class TaskConfig:
    """One unit of work: what to run and what it needs. Immutable and validated before anything is bought."""

    command: str | tuple[str, ...] | None = _field(
        None,
        "Text for `sh -c`, or a list of arguments for no shell.",
        converter=lambda v: tuple(v) if isinstance(v, list) else v,
    )
    function: FunctionCall | None = _field(None, "A Python function instead of a command.")
    name: str | None = _field(
        None, "Name of the task; default: the command's first word.", flag="--name", metavar="NAME"
    )
    instance_type: str | None = _field(
        None,
        "8xh100, h100:8, a100, cpu, 32xcpu or the provider's own type.",
        flag="--instance-type",
        short="-i",
        metavar="TYPE",
    )
    num_instances: int = _field(1, "Nodes, 1 to 1024.", flag="--num-instances", short="-N", metavar="NODES")
    processes_per_node: int = _field(
        1, "Processes per node, each with its own RANK.", flag="--processes-per-node", metavar="N"
    )
    resources: Resources = _field(Resources(), "What each node must have.")
    image: str | None = _field(None, "OCI image; default: the host as it is.", flag="--image", metavar="IMAGE")
    env: Mapping[str, str] = _field(
        EMPTY, "Environment variable.", flag="--env", short="-e", metavar="K=V", converter=read_only
    )
    secrets: tuple[SecretRef, ...] = _field(
        (), "Secret by name.", flag="--secret", metavar="NAME[=ENV]", converter=_tuple
    )
    working_dir: str | None = _field(
        None, "Where the command starts; default: the code folder.", flag="--working-dir", metavar="DIR"
    )
    code: CodeSpec = _field(CodeSpec(), "inplace, snapshot or none.", flag="--code", metavar="MODE")
    mounts: tuple[Mount, ...] = _field(
        (), "Put a folder at a path.", flag="--mount", metavar="SRC:DST[:ro]", converter=_tuple
    )
    volumes: tuple[VolumeSpec, ...] = _field(
        (),
        "Put a volume at a path, made when SIZE is given.",
        flag="--volume",
        metavar="NAME[:DST[:SIZE]]",
        converter=_tuple,
    )
    outputs: tuple[str, ...] = _field(
        (), "Files to keep as artifacts.", flag="--output", metavar="GLOB", converter=_tuple
    )
    ports: tuple[PortSpec, ...] = _field(
        (), "Port the task serves on.", flag="--port", metavar="[NAME=]N", converter=_tuple
    )
    health: HealthSpec | None = _field(None, "When the service is ready.")
    restart: str = _field("no", "no, on-failure or always.", flag="--restart", metavar="POLICY")
    time_limit: float | None = _field(
        None, "Longest run per attempt, as 90s or 1h30m.", flag="--time-limit", metavar="TIME"
    )
    grace: float = _field(30.0, "Between the stop signal and SIGKILL.", flag="--grace", metavar="TIME")
    stop_signal: str = _field("TERM", "Signal that asks the task to end.", flag="--stop-signal", metavar="NAME")
    preempt_signal: str = _field("TERM", "Signal at a preemption notice.", flag="--preempt-signal", metavar="NAME")
    retries: int = _field(0, "More attempts after a failed one, 0 to 100.", flag="--retries", metavar="N")
    max_preemptions: int | None = _field(
        None, "Preemptions until it counts as ended; default: unlimited.", flag="--max-preemptions", metavar="N"
    )
    depends_on: tuple[str, ...] = _field(
        (), "Start after TASK succeeded (any:TASK: ended).", flag="--depends-on", metavar="TASK", converter=_tuple
    )
    priority: int = _field(0, "-100 to 100, higher first.", flag="--priority", metavar="N", hint=True)
    spot: bool | None = _field(None, "Use preemptible machines, or not.", flag="--spot")
    max_price_per_hour: Decimal | None = _field(
        None, "Most USD per node and hour.", flag="--max-price-per-hour", metavar="USD"
    )
    region: str | None = _field(None, "Where, in the provider's words.", flag="--region", metavar="REGION")
    keep: float = _field(0.0, "Keep the machine warm after the end.", flag="--keep", metavar="TIME")
    labels: Mapping[str, str] = _field(EMPTY, "Label.", flag="--label", metavar="K=V", converter=read_only)
    result_store: str | None = _field(None, "Profile of the result store.", flag="--result-store", metavar="NAME")
    idempotency_key: str | None = _field(
        None, "Same key and same config give the same task.", flag="--idempotency-key", metavar="KEY"
    )
    provider: str | None = _field(None, "Profile or provider.", flag="--provider", metavar="NAME")
    options: Mapping[str, Mapping[str, object]] = _field(
        EMPTY, "Provider's own option.", flag="--option", short="-o", metavar="PROVIDER.KEY=VALUE", converter=read_only
    )
