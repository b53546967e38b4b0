"""What core and a provider say to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import attrs

from flow_core.types._config import Resources, TaskConfig
from flow_core.types._mapping import EMPTY, read_only
from flow_core.types._task import TaskRef


@attrs.frozen
class ProviderFacts:
    """What is true of a provider whatever the account; static, known without I/O.

    ``shares_client_files``: tasks see the client's own folders. ``dependencies``, ``arrays``, ``spot``, ``regions``,
    ``images``, ``multi_node``, ``services`` (health checks and restarts): it can. ``log_bytes``: ``exact``, or ``lines`` where only a
    platform's own log exists. ``restarts_by_itself``: it carries out ``retries``; nobody else does. ``settle_seconds``: how long after a
    submit of unknown outcome a task may still turn up. ``prompt``: its hooks never wait for a network, so core calls
    them in the caller's own thread. ``attended``: a task may need its client until its machine has its files
    (``TaskReport.needs_client``). ``returns_machines``: a machine that is taken away comes again, and its task goes on:
    a reader waits for it. ``starts_from_store``: the machine of a task of one node can fetch the whole task from a result
    store (``Submission.start``). ``min_poll_seconds``: shortest time between two status calls.
    """

    shares_client_files: bool = False
    dependencies: bool = False
    arrays: bool = False
    spot: bool = False
    regions: bool = False
    images: bool = False
    multi_node: bool = False
    services: bool = False
    separate_streams: bool = False
    log_bytes: str = "exact"
    restarts_by_itself: bool = False
    settle_seconds: float = 0.0
    max_nodes: int | None = None
    min_poll_seconds: float = 1.0
    prompt: bool = False
    attended: bool = False
    returns_machines: bool = False
    starts_from_store: bool = False


@attrs.frozen
class SecretBox:
    """The values of a task's secrets, by name; never printed, pickled or journaled."""

    values: Mapping[str, str] = attrs.field(default=EMPTY, repr=lambda v: f"<{len(v)} secrets>", converter=read_only)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("secrets are not pickled")


@attrs.frozen
class Bundle:
    """What travels to the node: the runner's ``document`` (JSON), small ``files`` by relative path, and secrets.

    ``code`` is the client's folder to take a snapshot of, with ``code_files`` relative to it; None when nothing is copied.
    """

    document: Mapping[str, object]
    files: Mapping[str, bytes] = EMPTY
    secrets: SecretBox = SecretBox()
    code: str | None = None
    code_files: tuple[str, ...] = ()


@attrs.frozen
class Start:
    """Leave for a machine to fetch its whole task from a result store, with no client there.

    Both URLs are secrets. ``runner_url`` leads to the runner, whose sum is ``runner_sha256``; ``url`` to the task, for
    ``runner.pyz fetch FOLDER``, once ``publish`` has brought the bundle there as the machine is to have it. What was
    fetched is emptied by the machine: each start serves once. ``publish`` raises what the store raises. The machine brings
    its public host keys to where ``host_keys_url`` leads, for ``nodes.host_keys``; that URL is no secret.
    """

    url: str = attrs.field(repr=False)
    runner_url: str = attrs.field(repr=False)
    runner_sha256: str
    publish: Callable[[Bundle], None] = attrs.field(repr=False, eq=False)
    host_keys_url: str = ""


@attrs.frozen
class Submission:
    """One request to run a task. ``request_id`` is what makes it idempotent; ``deadline`` is UTC seconds.

    ``resubmission`` counts the submissions of this task before this one. ``options`` is the config's section of this
    provider as the class ``Options`` of the provider; None when it has no such class. ``start`` is for a provider whose
    facts ask for it, when the task's store gives leave to its machine: the code is in the store then.
    """

    request_id: str
    task_id: str
    provider: str
    profile: str
    config: TaskConfig
    bundle: Bundle
    resubmission: int = 0
    deadline: float = 0.0
    options: object = None
    start: Start | None = None


@attrs.frozen
class TaskListing:
    """A task of ours as its provider knows it, enough to put it into a new journal. ``created_at`` is UTC seconds.

    ``config`` is the config in its canonical form; empty where the provider does not keep it.
    """

    ref: TaskRef
    request_id: str
    task_id: str
    name: str
    created_at: float
    config: Mapping[str, object] = EMPTY


@attrs.frozen
class QueuedTask:
    """A task that runs or waits at a provider: ``place`` in line from 1, ``reason`` why it waits, what it claims.

    ``state`` is ``running`` or ``pending``; ``place`` is None where it is not in line (it runs, or waits for other
    tasks). Claims are of all its nodes together: cores, bytes, GPUs; ``gpu_ids`` are those it was given.
    """

    ref: TaskRef
    task_id: str
    state: str
    reason: str = ""
    place: int | None = None
    priority: int = 0
    cpus: float = 0.0
    memory: int = 0
    gpus: int = 0
    gpu_ids: tuple[str, ...] = ()


@attrs.frozen
class NodeAccess:
    """Where a node's task folder is: ``folder`` (this machine sees ``path``), ``ssh`` or ``none``.

    ``host_keys`` are pinned public keys; ``trust`` is ``pinned`` or ``first-use``. ``machine`` names the machine where one
    serves several tasks: they share its connection and the key that its first use has pinned; empty, it is this task's.
    """

    rank: int
    kind: str
    path: str = ""
    host: str | None = None
    port: int = 22
    user: str | None = None
    host_keys: tuple[str, ...] = ()
    jump: str | None = None
    identity_file: str | None = None
    trust: str = "pinned"
    machine: str = ""


@attrs.frozen
class Identity:
    """Whom the credentials stand for."""

    user: str
    account: str | None = None
    expires_at: float | None = None
    detail: Mapping[str, str] = EMPTY


@attrs.frozen
class AuthField:
    """One thing that ``flow login`` asks for; ``secret`` ones are not echoed and go to the keyring."""

    name: str
    help: str
    secret: bool = True
    env: str | None = None


@attrs.frozen
class OfferRequest:
    """What ``flow offers`` looks for."""

    resources: Resources = Resources()
    instance_type: str | None = None
    num_instances: int = 1
    region: str | None = None
    spot: bool | None = None


@attrs.frozen
class Offer:
    """Something a provider could give. Memory in bytes, price in USD per node and hour (None: it has no prices).

    ``available`` and ``total`` count nodes, None when it is not known; ``wait_seconds`` is an estimate.
    """

    instance_type: str
    gpu: str = ""
    gpu_count: int = 0
    gpu_memory: int | None = None
    cpus: float = 0.0
    memory: int = 0
    region: str | None = None
    spot: bool = False
    price_per_hour: Decimal | None = None
    available: int | None = None
    total: int | None = None
    wait_seconds: float | None = None
    note: str = ""


@attrs.frozen
class Volume:
    """Storage that outlives tasks. ``size_gb`` counts 10**9 bytes, None means no limit; ``created_at`` is UTC seconds.

    ``note`` is what its owner should know of it: a size that is not enforced, and why.
    """

    id: str
    name: str
    size_gb: int | None = None
    region: str | None = None
    kind: str = ""
    state: str = "available"
    attached_to: tuple[str, ...] = ()
    created_at: float | None = None
    encrypted: bool = False
    note: str = ""


@attrs.frozen
class Resource:
    """Something a provider holds for us that is not a task: a kept machine, a minted key."""

    id: str
    kind: str
    name: str = ""
    created_at: float | None = None
    price_per_hour: Decimal | None = None
    task_id: str | None = None
