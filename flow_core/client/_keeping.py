"""Where a task's results go, and that they come there: by its machine through tickets, else by this client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flow_core.client._reach import config_of, open_nodes
from flow_core.errors import ConflictError, FlowError, NotFoundError, TransientError
from flow_core.settings._model import OWN_STORE
from flow_core.types import parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.faces import Provider, ResultStore
    from flow_core.journal import KeepingRow, TaskRow
    from flow_core.nodes import Node
    from flow_core.results import Manifest
    from flow_core.results._tickets import Leave
    from flow_core.settings import Profile
    from flow_core.types import TaskConfig

_EVERY = 10.0  # seconds
_RENEW_EVERY = 3600.0  # seconds; leave that never lasts long is not asked for all the time
_GONE_AFTER = 86400.0  # seconds


def store_of(config: TaskConfig, profile: Profile) -> str | None:
    """Return the store that a task's results go to; None where it keeps nothing, or only on its node."""
    return config.result_store or profile.result_store or (OWN_STORE if config.outputs else None)


def is_shared(session: Session, provider: Provider, store: str) -> bool:
    """Whether a provider's machines see the paths of a store."""
    return provider.facts.shares_client_files or session.settings.result_store(store).store.shared


def settle_all(session: Session, tasks: Iterable[str] | None = None) -> None:
    """See how far the results of ended tasks are, and bring what nobody else does; of all tasks, at most each 10 s."""
    wanted = None if tasks is None else set(tasks)
    rows = [row for row in session.journal.keepings() if wanted is None or row.task_id in wanted]
    if wanted is None and rows and not session.journal.due_for_reconcile("results", _EVERY):
        return
    for row in rows:
        settle(session, row)


def carry(session: Session, task_id: str) -> None:
    """After the end: bring to the store what the machine has no tickets for, before it may go; one that is held goes."""
    keeping = session.journal.keeping(task_id)
    if keeping is None:
        return
    if keeping.expires_at is None or not _shares(session, session.journal.task(task_id)):
        settle(session, keeping)


def _shares(session: Session, row: TaskRow) -> bool:
    try:
        return session.provider(row.profile).facts.shares_client_files
    except FlowError:  # it is no longer installed, or set up
        return True


def settle(session: Session, keeping: KeepingRow) -> KeepingRow:
    """See how far the results of one task are, when it has ended; what is wrong is in the row that is returned."""
    row = session.journal.task(keeping.task_id)
    if keeping.phase != "open":
        return keeping
    try:
        if row.is_final:
            _settle(session, row, keeping)
        else:
            _renew(session, row, keeping)
    except FlowError as error:
        session.journal.mark_keeping(row.id, "open", error.message)
    return session.journal.keeping(row.id) or keeping


def _settle(session: Session, row: TaskRow, keeping: KeepingRow) -> None:
    from flow_core.results import discard_start, read_manifest

    store = session.result_store(keeping.store)
    discard_start(store, row.id)  # it has the task's secrets, and no machine will begin any more
    try:
        manifest = read_manifest(store, row.id)
        _let_go(session, row)  # first: to a task whose results are recorded nobody comes back
        record(session, manifest)
        return
    except NotFoundError:
        nodes = reachable(session, row)
    over = row.ref is None or time.time() - (row.ended_at or row.created_at) > _GONE_AFTER
    if not nodes:
        error = "its machine is gone, and it had kept nothing" if over else "its machine cannot be reached"
        session.journal.mark_keeping(row.id, "gone" if over else "open", error)
        return
    found = _told(nodes, over)
    late = [rank for rank, told in found.items() if told["pending"]]
    for rank in late:
        _hurry(session, row, keeping, nodes[rank], found[rank])
    if found[0]["report"] is None:
        _have_it_written(session, row)
    elif not late:
        manifest = _carry(store, row, nodes, found)
        _let_go(session, row, nodes.values())
        record(session, manifest)


def _have_it_written(session: Session, row: TaskRow) -> None:
    """The end is known, but who was to write it down may be gone: the provider, asked again, starts that again."""
    session.provider(row.profile).status([parse_ref(row.ref or "")[2]])


def _told(nodes: Mapping[int, Node], over: bool) -> dict[int, Any]:
    """What each node keeps, the first one last. ``over``: those that have gone are waited for no longer."""
    found = {}
    for rank, node in sorted(nodes.items(), reverse=True):
        try:
            found[rank] = node.kept()
        except FlowError:
            if rank == 0 or not over:
                raise
    return found


def _renew(session: Session, row: TaskRow, keeping: KeepingRow) -> None:
    """Bring fresh tickets to a task that outlives those it has."""
    from flow_core.results._tickets import is_stale

    if keeping.expires_at is None or not is_stale(keeping.expires_at, config_of(row)):
        return
    nodes = reachable(session, row)
    if nodes and session.journal.due_for_reconcile(f"tickets of {row.id}", _RENEW_EVERY):
        fresh = _leave(session, row, keeping)
        if fresh is not None:
            for node in nodes.values():
                node.resume_upload(fresh.text.encode())
            session.journal.mark_keeping(row.id, "open", "", fresh.expires_at)


def _leave(session: Session, row: TaskRow, keeping: KeepingRow) -> Leave | None:
    from flow_core.results._tickets import leave

    shared = is_shared(session, session.provider(row.profile), keeping.store)
    return leave(session.result_store(keeping.store), row.id, config_of(row), shared)


def reachable(session: Session, row: TaskRow) -> dict[int, Node]:
    """Return the nodes that have a task's folder, or their own part of it, by their first rank; empty without any."""
    if row.ref is None:
        return {}
    try:
        nodes = open_nodes(session.provider(row.profile), parse_ref(row.ref)[2])
    except FlowError:
        return {}
    found = {min(ranks): node for node, ranks in nodes}
    return {rank: found[rank] for rank in sorted(found)} if 0 in found else {}


def _hurry(session: Session, row: TaskRow, keeping: KeepingRow, node: Node, found: Any) -> None:
    """The machine is at it: give it fresh tickets where it needs some, and start it again where it was killed."""
    from flow_core.results._tickets import is_stale

    state, config = found["upload"] or {}, config_of(row)
    error = str(state.get("error") or "")
    fresh = None
    if state.get("stale") or keeping.expires_at is None or is_stale(keeping.expires_at, config):
        fresh = _leave(session, row, keeping)
    if fresh is not None or not found["under_way"]:
        node.resume_upload(None if fresh is None else fresh.text.encode())
    session.journal.mark_keeping(row.id, "open", error, None if fresh is None else fresh.expires_at)


def _carry(store: ResultStore, row: TaskRow, nodes: Mapping[int, Node], found: Mapping[int, Any]) -> Manifest:
    """Bring what the nodes have to the store through this client, the manifest of the first one last."""
    from hashlib import sha256

    from flow_core.results import manifest_key, read_manifest
    from flow_core.results._manifest import dump_manifest, node_key

    for rank, told in found.items():
        things = [_carry_thing(store, nodes[rank], thing) for thing in told["things"]]
        count = row.num_instances if len(nodes) > 1 else 1
        text = dump_manifest(row.id, told["report"], things, told["missing"], count)
        key = node_key(row.id, rank) if rank else manifest_key(row.id)
        with suppress(ConflictError):  # somebody else was first
            store.put(key, iter([text]), sha256(text).hexdigest())
    return read_manifest(store, row.id)


def _carry_thing(store: ResultStore, node: Node, thing: Mapping[str, Any]) -> dict[str, Any]:
    from flow_core.results import put_blob

    content = put_blob(store, node.read_kept(thing["kind"], thing["path"]))
    rows = [[chunk.sha256, chunk.size] for chunk in content.chunks]
    return {**thing, "size": content.size, "sha256": content.sha256, "chunks": rows}


def _let_go(session: Session, row: TaskRow, nodes: Iterable[Node] = ()) -> None:
    """Say on its machines that all is stored; their provider, which may hold them for that, looks again or is told.

    Raises TransientError where it cannot be told now.
    """
    from flow_core.client._machines import release

    if _shares(session, row) or row.ref is None:
        return
    provider, ref = session.provider(row.profile), parse_ref(row.ref)[2]
    for node in nodes:
        with suppress(FlowError):
            node.deliver("carried", b"")
    try:
        report = provider.status([ref]).get(ref)
        # Not even final: its machine, which had brought all there, cannot be reached any more.
        held = report is not None and (report.machine_held or not report.is_final)
        if held and not config_of(row).keep and "flow_provision_release" in provider.supports:
            release(session, row)
    except TransientError:
        raise
    except FlowError:  # it will not be told: what holds the machine ends that by itself
        return


def record(session: Session, manifest: Manifest) -> None:
    """Journal that a task's results are in its store."""
    objects = {
        f"{thing.kind}/{thing.path}": (thing.size, thing.content.sha256 if thing.content else "")
        for thing in manifest.things
    }
    wrong = [f"no file matches {', '.join(manifest.missing)}"] if manifest.missing else []
    wrong += [f"nothing came of rank {rank}, whose machine has gone" for rank in manifest.absent]
    session.journal.mark_keeping(manifest.task_id, "kept", "; ".join(wrong), objects=objects)
