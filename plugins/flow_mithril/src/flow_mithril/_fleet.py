"""The machines of orders: reaching them, giving them their tasks, taking the ends, letting them go."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from flow_core import NodeAccess, Submission, TaskReport, nodes
from flow_core.errors import (
    CapabilityError,
    FlowError,
    StateError,
    TransientError,
    UnavailableError,
)
from flow_core.types import Start
from flow_mithril._api import Api
from flow_mithril._keys import SshKey
from flow_mithril._orders import CPU, NAME, RESERVATION, Order, Orders, order_path
from flow_mithril._records import Record, Records
from flow_mithril._script import ADDRESS, KEY_FILE, NOTICE, ROOT
from flow_mithril._settings import MithrilSettings

_KEEPS = frozenset({"succeeded", "failed", "timed_out"})
_PORTS = 20_000, 10_000  # first, count: where the nodes of a task talk to each other
_LOOK, _LOOKS = 0.3, 30  # seconds between two looks whether a machine is set up, and how many
_SPARE = 86_400.0  # seconds that a minted key outlives its machine


class Fleet:
    """What is done with machines; the API is asked for nothing but minted keys and the end of orders."""

    def __init__(self, settings: MithrilSettings, api: Api, records: Records, key: SshKey) -> None:
        self._settings, self._api, self._records, self._key = settings, api, records, key
        self._orders = Orders(api)
        self._deliveries: dict[str, threading.Thread] = {}
        self._troubles: dict[str, FlowError] = {}
        self._lock = threading.Lock()

    def access(self, request: str, order: Order) -> list[NodeAccess]:
        """Return the way to each machine of an order, by rank. Raises TransientError while its host key is to come."""
        return self._ways(request, order, self._host_keys(order))

    def _ways(self, request: str, order: Order, keys: Sequence[str]) -> list[NodeAccess]:
        return [
            NodeAccess(
                rank=rank,
                kind="ssh",
                path=f"{ROOT}/tasks/{request}",
                host=machine.host,
                port=machine.port,
                user=self._settings.user,
                identity_file=str(self._key.private),
                host_keys=tuple(keys),
                trust="pinned" if keys else "first-use",
                machine=order.fid,
            )
            for rank, machine in enumerate(order.machines[: order.quantity])
        ]

    def _host_keys(self, order: Order) -> Sequence[str]:
        """Return the keys that the machine of an order's first task has brought to the store; none without a store."""
        first = self._records.of(order.fid)
        if first is None or not first.keys_url:
            return first.host_keys if first else ()
        if keys := nodes.host_keys(first.keys_url):
            self._records.change(first.request, host_keys=list(keys), keys_url="")
            return keys
        since = first.up_at or self._records.change(first.request, up_at=time.time()).up_at
        if not waited(since, self._settings.host_key_wait):
            raise TransientError("its host key is not in the result store yet")
        self._records.change(first.request, keys_url="")
        return ()

    def delivering(self, record: Record, order: Order, script: Callable[[], str], patience: float) -> FlowError | None:
        """Go on delivering a staged task, at most ``patience`` seconds here; None when its machines have it.

        What does not get done goes on in a thread; the error says why it is not done.
        """
        with self._lock:
            thread = self._deliveries.get(record.request)
            if thread is None or not thread.is_alive():
                thread = threading.Thread(
                    target=self._try_delivery, args=(record, order, script), name="flow: delivery", daemon=True
                )
                self._deliveries[record.request] = thread
                thread.start()
        thread.join(patience)
        if self._records.get(record.request).delivered:
            return None
        return self._troubles.get(record.request) or TransientError("code and secrets are on their way")

    def _try_delivery(self, record: Record, order: Order, script: Callable[[], str]) -> None:
        try:
            with self._records.alone(f"deliver-{record.request}", wait=False):
                for _ in range(_LOOKS):
                    try:
                        if not self._records.get(record.request).delivered:
                            self._deliver(record, order, script)
                        return
                    except TransientError as error:
                        self._troubles[record.request] = error
                        time.sleep(_LOOK)
        except BlockingIOError:
            self._troubles[record.request] = TransientError("another flow command delivers code and secrets")
        except FlowError as error:
            self._troubles[record.request] = error

    def _deliver(self, record: Record, order: Order, script: Callable[[], str]) -> None:
        staged = self._records.outbox / record.request
        document = json.loads((staged / "bundle.json").read_bytes())
        accesses = self.access(record.request, order)
        if not record.on:  # a machine that was kept is set up
            self._reach(accesses[0], order, script)
        if record.start and nodes.run(accesses[0], f"test -d {accesses[0].path}")[0] == 0:  # it fetched its task
            self._delivered(record)
            return
        files = self._files(record)
        private = [machine.private or machine.host or "" for machine in order.machines[: order.quantity]]
        common = self._common(record, document, private)
        with ThreadPoolExecutor(8) as pool:
            jobs = [
                pool.submit(nodes.deliver, access, staged, {**document, **common, "rank": {"here": access.rank}}, files)
                for access in accesses
            ]
        for job in jobs:
            job.result()
        self._delivered(record)

    def _delivered(self, record: Record) -> None:
        self._records.change(record.request, delivered=True)
        self._records.drop_staged(record.request)

    def publish(self, record: Record, submission: Submission, start: Start) -> None:
        """Bring a task of one machine to its store, for the machine to fetch. Raises what the store or the API raises."""
        import attrs

        bundle, files = submission.bundle, self._files(record)
        document = {**bundle.document, **self._common(record, bundle.document, [ADDRESS]), "rank": {"here": 0}}
        start.publish(attrs.evolve(bundle, document=document, files={**bundle.files, **files}))
        self._records.change(record.request, start=True, keys_url=start.host_keys_url)

    def _reach(self, access: NodeAccess, order: Order, script: Callable[[], str]) -> None:
        """See that the machine is set up: before a key is minted, and where no startup script could do it."""
        code, said = nodes.run(access, f"cat {ROOT}/failed 2>/dev/null && exit 9; test -f {ROOT}/ready")
        if code == 9:
            raise UnavailableError(f"the machine could not be set up: {said.strip()}", "see its startup log")
        if code and order.kind == CPU:
            code, said = nodes.run(access, "sudo -n /bin/bash -s", script().encode(), 300.0)
            if code:
                raise StateError(f"the machine cannot be set up: {said.strip()[-300:]}", "use an image with sudo")
        elif code:
            raise nodes.NotReadyError("the startup script runs", "wait")

    def _common(self, record: Record, document: Mapping[str, Any], private: Sequence[str]) -> dict[str, object]:
        """What all nodes of a task are told beside what the user asked for."""
        found: dict[str, object] = {
            "limits": _without_claims(document["limits"]),
            "master": {"address": private[0] if len(private) > 1 else "127.0.0.1"},
            "node_ips": private,
            "preempt": {"kind": "file", "path": NOTICE},
            "release": self._release(record),
        }
        if len(private) > 1:
            first, count = _PORTS
            port = first + int(sha256(record.request.encode()).hexdigest(), 16) % count
            found["peers"] = {"address": private[0], "port": port, "token": record.token}
        return found

    def _release(self, record: Record) -> dict[str, object]:
        plan: dict[str, object] = {"hold_seconds": self._settings.hold, "keep_seconds": record.keep}
        if self._settings.self_release == "off":
            return {**plan, "end": {"kind": "none"}}
        if self._settings.self_release != "key":
            return {**plan, "end": {"kind": "poweroff"}}
        url = f"{self._settings.api_url}/v2"
        end = {"kind": "http", "method": "DELETE", "url": f"{url}/{order_path(record.fid)}", "credential": KEY_FILE}
        pause = None if record.kind == CPU else {**end, "method": "PATCH", "body": {"paused": True}}
        if record.kind == RESERVATION:  # nothing deletes one: what is not used of a paused one is credited
            return {**plan, "end": pause, "pause": pause}
        return {**plan, "end": end, "pause": pause}

    def _files(self, record: Record) -> Mapping[str, bytes]:
        """Return what the machine needs beside the task: a key of its own, where it is to end by itself."""
        if self._settings.self_release != "key" or (record.on and record.key):  # a kept machine has its key
            return {}
        self.revoke(self._records.get(record.request))
        self._records.change(record.request, minting=True)
        seconds = min(self._settings.max_lifetime + _SPARE, 364 * _SPARE) + self._api.ahead
        ends = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        made = self._api.post("api-keys", {"name": key_name(record.request), "expires_at": ends.isoformat()})
        self._records.change(record.request, key=made["fid"])
        return {KEY_FILE: str(made["secret"]).encode()}

    def revoke(self, record: Record) -> None:
        """Revoke the key that was minted for a machine; by its name where a killed client did not learn its id."""
        if not record.minting:
            return
        fids = [record.key] if record.key else self._minted(record.request)
        for fid in fids:
            self._api.delete(f"api-keys/{fid}")
        self._records.change(record.request, key="", minting=False)

    def _minted(self, request: str) -> list[str]:
        rows = self._api.get("api-keys")
        return [row["fid"] for row in rows if row["name"] == key_name(request) and not row.get("deactivated_at")]

    def report(self, request: str, order: Order) -> TaskReport | None:
        """Return what a task's own folder says; None when its machine has none. Raises TransientError."""
        node = nodes.open_node(self.access(request, order)[0])
        try:
            return node.report()
        finally:
            node.close()

    def cancel(self, request: str, order: Order, grace: float) -> bool:
        """Ask a task to end; False when it had."""
        return nodes.open_node(self.access(request, order)[0]).cancel(grace)

    def take(self, record: Record, order: Order) -> TaskReport:
        """Fetch what an ended task left and let its machine go; returns its end.

        Raises TransientError when that is not done yet; the machine then holds it on.
        """
        try:
            with self._records.alone(f"take-{record.request}", wait=False):
                kept = self._records.kept(record.request)
                fetched = (kept / "final.json").is_file()
                if not fetched and self._is_needed(record, order) and (report := self.report(record.request, order)):
                    return _held(report, "")
                held = "" if fetched else self._fetch(record, order, kept)
                report = nodes.report(kept) if not held else self.report(record.request, order)
                if report is None:
                    raise TransientError("the machine no longer has the task's folder")
                if held:
                    return _held(report, held)
                if not report.is_final:
                    raise TransientError("what was fetched does not say how it ended")
                nodes.conclude(kept, report)  # a full disk there has no room for this file
                return self.let_go(record, order, report)
        except BlockingIOError:
            raise TransientError("another flow command fetches its logs") from None

    def _is_needed(self, record: Record, order: Order) -> bool:
        """Whether what a task keeps is to be taken from its machines; raises TransientError while they bring it themselves."""
        told = nodes.open_node(self.access(record.request, order)[0]).kept()
        if told["pending"] and (told["upload"] or {}).get("state") != "gave_up":
            raise TransientError("what it keeps is on its way to its store")
        return bool(told["keeps"] and not told["stored"])

    def _fetch(self, record: Record, order: Order, kept: Path) -> str:
        """Fetch from all machines, rank 0 last, whose ``final.json`` says that all is here; why not, else ''."""
        kept.mkdir(0o700, parents=True, exist_ok=True)
        try:
            for access in reversed(self.access(record.request, order)):
                nodes.fetch(access, kept, self._settings.fetch_bytes)
                if access.rank:
                    (kept / "final.json").unlink(missing_ok=True)
        except CapabilityError as error:
            return error.message
        return ""

    def let_go(self, record: Record, order: Order, report: TaskReport) -> TaskReport:
        """End the machines of a task whose end is here, or leave them to a next task for as long as they are kept."""
        if record.keep > 0 and not record.cancelled and report.state in _KEEPS:
            first = self.access(record.request, order)[0]  # it acts for all
            nodes.run(first, f"touch {ROOT}/tasks/{record.request}/fetched")
            self._records.keep(record.request)
            return _held(report, "")
        self.end(record, order)
        return report

    def end(self, record: Record, order: Order) -> bool:
        """End an order, its machines and its key; False when it had ended."""
        ended = self._orders.end(order.fid)
        first = self._records.of(order.fid)
        for access in self._ways(record.request, order, first.host_keys if first else ()):
            nodes.disconnect(access)
        self._records.drop_staged(record.request)
        with suppress(FlowError):  # the key is no longer of use to anybody; the sweep finds it
            self.revoke(self._records.get(record.request))
        return ended


KEY_NAME = re.compile(rf"({NAME.pattern})-release")


def key_name(request: str) -> str:
    """Return the name of the key that is minted for a request's machine (under 60 characters)."""
    return f"{request}-release"


def _held(report: TaskReport, why: str) -> TaskReport:
    import attrs

    reason = f"{report.reason}; {why}: the machine is held" if why else report.reason
    return attrs.evolve(report, machine_held=True, reason=reason)


def _without_claims(limits: Mapping[str, Any]) -> dict[str, Any]:
    """What a task claims of cores and memory has chosen its machine, which is all its own."""
    return {**limits, "cpus": None, "memory": None}


def waited(since: float, seconds: float) -> bool:
    """Whether so many seconds have passed since ``since`` (UTC seconds)."""
    return time.time() - since > seconds
