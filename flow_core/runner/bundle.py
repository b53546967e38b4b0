"""What a task's ``bundle.json`` asks for."""

import os
import signal
from typing import Any, Dict, List, NamedTuple, Optional

from .record import Doc, read_json

SCHEMA = "flow.bundle/1"


class BundleError(Exception):
    """The bundle cannot be run; the message says why."""


class Limits(NamedTuple):
    """What a task may take: seconds, cores, bytes, GPUs per node; None = no claim."""

    time_limit: Optional[float]
    grace: float
    stop_signal: int
    preempt_signal: int
    cpus: Optional[float]
    memory: Optional[int]
    gpu_count: int
    gpu_kind: str
    gpu_memory: int


class Retry(NamedTuple):
    """How often a failed attempt is repeated, and after how many seconds (doubling)."""

    retries: int
    delay: float
    max_delay: float

    def pause(self, failed: int) -> float:
        """Seconds to wait after so many failed attempts."""
        return min(self.max_delay, self.delay * 2.0 ** min(failed - 1, 64))


class Health(NamedTuple):
    """When a service is well: one of ``http`` (a path), ``tcp`` (a port's name) and ``command``; times in seconds."""

    http: Optional[str]
    tcp: Optional[str]
    command: Optional[str]
    start_period: float
    interval: float
    timeout: float
    failures: int


class Image(NamedTuple):
    """A container image, and the engine that was found for it; ``env`` is what the engine needs."""

    reference: str
    engine: str  # podman, docker or apptainer
    program: str
    env: Dict[str, str]
    user: str  # UID:GID inside, so that files belong to whoever submitted the task
    log_driver: str
    limits: bool  # whether the engine can limit memory and cores


class Bundle(NamedTuple):
    """A task as the runner sees it."""

    task_id: str
    request_id: str
    first_attempt: int
    num_instances: int
    processes_per_node: int
    argv: List[str]
    working_dir: Optional[str]
    code: Doc
    env_pass: List[str]
    env: Dict[str, str]
    rank_env: Dict[str, Doc]
    rank: Doc
    master: Doc
    node_ips: List[str]
    limits: Limits
    retry: Retry
    restart: str
    health: Optional[Health]
    secrets: Doc
    image: Optional[Image]
    mounts: List[Doc]
    ports: List[Doc]
    depends_on: List[Doc]
    preempt: Doc
    max_preemptions: Optional[int]
    peers: Doc
    outputs: List[str]
    keep: Doc
    exit_note: Optional[str]
    priority: int
    created_at: float


def read(folder: str) -> Bundle:
    """The bundle of a task folder. Raises BundleError."""
    doc = read_json(folder + "/bundle.json")
    if doc is None:
        raise BundleError("bundle.json is missing or is no JSON object: submit the task again")
    try:
        return _bundle(doc)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise BundleError("bundle.json cannot be read (%s): submit the task again" % error) from error


def _bundle(doc: Doc) -> Bundle:
    _check_schema(str(doc.get("schema")))
    return Bundle(
        task_id=str(doc["task_id"]),
        request_id=str(doc["request_id"]),
        first_attempt=int(doc.get("first_attempt") or 1),
        num_instances=int(doc.get("num_instances") or 1),
        processes_per_node=int(doc.get("processes_per_node") or 1),
        argv=_argv(doc["command"]),
        working_dir=doc.get("working_dir"),
        code=doc.get("code") or {},
        env_pass=list(doc.get("env_pass") or ()),
        env={str(name): str(value) for name, value in (doc.get("env") or {}).items()},
        rank_env=doc.get("rank_env") or {},
        rank=doc.get("rank") or {},
        master=doc.get("master") or {},
        node_ips=[str(ip) for ip in doc.get("node_ips") or ()],
        limits=_limits(doc.get("limits") or {}),
        retry=_retry(doc.get("retry") or {}),
        restart=str(doc.get("restart") or "no"),
        health=_health(doc.get("health")),
        secrets=doc.get("secrets") or {},
        image=_image(doc.get("image")),
        mounts=list(doc.get("mounts") or ()),
        ports=list(doc.get("ports") or ()),
        depends_on=list(doc.get("depends_on") or ()),
        preempt=doc.get("preempt") or {},
        max_preemptions=_optional(doc.get("max_preemptions"), int),
        peers=doc.get("peers") or {},
        outputs=[str(glob) for glob in doc.get("outputs") or ()],
        keep=doc.get("keep") or {},
        exit_note=doc.get("exit_note"),
        priority=int(doc.get("priority") or 0),
        created_at=float(doc.get("created_at") or 0.0),
    )


def _check_schema(schema: str) -> None:
    name, _, version = schema.partition("/")
    if name != "flow.bundle" or version.partition(".")[0] != "1":
        raise BundleError("this runner reads %s, the task was staged as %s: update the runner" % (SCHEMA, schema))


def _argv(command: Doc) -> List[str]:
    if command.get("shell") is not None:
        return ["/bin/sh", "-c", str(command["shell"])]
    argv = [str(word) for word in command["argv"]]
    if not argv:
        raise ValueError("the command is empty")
    return argv


def _limits(doc: Doc) -> Limits:
    return Limits(
        time_limit=_optional(doc.get("time_limit"), float),
        grace=float(30.0 if doc.get("grace") is None else doc["grace"]),
        stop_signal=signal_number(doc.get("stop_signal") or "TERM"),
        preempt_signal=signal_number(doc.get("preempt_signal") or "TERM"),
        cpus=_optional(doc.get("cpus"), float),
        memory=_optional(doc.get("memory"), int),
        gpu_count=int(doc.get("gpu_count") or 0),
        gpu_kind=str(doc.get("gpu_kind") or ""),
        gpu_memory=int(doc.get("gpu_memory") or 0),
    )


def _optional(value: Any, kind: Any) -> Any:
    return None if value is None else kind(value)


def _retry(doc: Doc) -> Retry:
    delay, most = doc.get("delay"), doc.get("max_delay")
    return Retry(
        int(doc.get("retries") or 0),
        1.0 if delay is None else float(delay),
        60.0 if most is None else float(most),
    )


def _health(doc: Optional[Doc]) -> Optional[Health]:
    if not doc:
        return None
    return Health(
        http=doc.get("http"),
        tcp=doc.get("tcp"),
        command=doc.get("command"),
        start_period=float(doc.get("start_period") or 0.0),
        interval=float(doc.get("interval") or 10.0),
        timeout=float(doc.get("timeout") or 5.0),
        failures=int(doc.get("failures") or 3),
    )


def _image(doc: Optional[Doc]) -> Optional[Image]:
    if not doc:
        return None
    engine = str(doc.get("engine") or "")
    return Image(
        reference=str(doc["reference"]),
        engine=engine,
        program=str(doc.get("program") or engine),
        env={str(name): str(value) for name, value in (doc.get("env") or {}).items()},
        user=str(doc.get("user") or "%d:%d" % (os.getuid(), os.getgid())),
        log_driver=str(doc.get("log_driver") or "none"),
        limits=bool(doc.get("limits")),
    )


def signal_number(name: str) -> int:
    """The number of ``TERM``, ``SIGTERM`` or ``15``. Raises ValueError."""
    text = str(name).upper()
    if text.isdigit():
        return int(signal.Signals(int(text)))
    try:
        return int(signal.Signals[text if text.startswith("SIG") else "SIG" + text])
    except KeyError:
        raise ValueError("there is no signal %r" % name) from None
