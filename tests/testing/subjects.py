"""A right provider, one that reads its logs itself, and providers that are each wrong in exactly one way."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs

from flow_core import nodes
from flow_core.errors import ConflictError, NotFoundError
from flow_core.hookspecs import hookimpl
from flow_core.types import (
    LogChunk,
    LogCursor,
    NodeAccess,
    Offer,
    OfferRequest,
    Problem,
    ProviderFacts,
    Submission,
    TaskConfig,
    TaskRef,
    TaskReport,
    Volume,
    VolumeSpec,
    is_request_id,
)

FACTS = ProviderFacts(
    shares_client_files=True,
    multi_node=True,
    separate_streams=True,
    restarts_by_itself=True,
    min_poll_seconds=0.02,
    max_nodes=4,
)


@attrs.frozen
class RootSettings:
    """Where everything is."""

    root: Path = attrs.field(metadata={"help": "Folder that holds everything."})


class Base:
    """Right in everything; without a way to the logs, which its two children add."""

    Settings: type = RootSettings

    def __init__(self, settings: RootSettings) -> None:
        self.root = settings.root
        self.tasks = settings.root / "tasks"
        self.volumes = settings.root / "volumes"

    def folder(self, ref: TaskRef) -> Path:
        if not is_request_id(ref.id) or not (self.tasks / ref.id).is_dir():
            raise NotFoundError(f"there is no task {ref.id}")
        return self.tasks / ref.id

    def knows(self, name: str) -> bool:
        return is_request_id(name) and (self.tasks / name).is_dir()

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return FACTS

    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        wrong = config.instance_type not in (None, "cpu") or config.resources.gpu_count
        problems = [Problem("instance_type", "NO_GPU", "there are no GPUs")] if wrong else []
        missing = [v.name for v in config.volumes if not v.create and not (self.volumes / v.name).is_dir()]
        return problems + [Problem("volumes", "NO_VOLUME", f"there is no volume {name}") for name in missing]

    @hookimpl
    def flow_provision_offers(self, request: OfferRequest) -> Sequence[Offer]:
        return [Offer("cpu", price_per_hour=Decimal(price)) for price in ("0.10", "0.20")]

    @hookimpl
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        return {"bundle.json": json.dumps(dict(submission.bundle.document))}

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self.start(submission)

    def start(self, submission: Submission, env: Mapping[str, str] | None = None) -> TaskRef:
        mounts = [
            {"source": str(self.volumes / v.name), "target": v.target, "read_only": v.read_only}
            for v in submission.config.volumes
        ]
        here = changed(submission, mounts=mounts, master={"address": "127.0.0.1"})
        folder = nodes.stage(self.tasks, here, env or {"PATH": os.environ["PATH"]})
        for rank in range(submission.config.num_instances):
            nodes.spawn(folder, rank)
        return TaskRef(submission.request_id)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[TaskRef]]:
        return {name: [TaskRef(name)] for name in request_ids if self.knows(name)}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return self.reports(refs)

    def reports(self, refs: Sequence[TaskRef]) -> dict[TaskRef, TaskReport]:
        return {ref: nodes.report(self.tasks / ref.id) for ref in refs if self.knows(ref.id)}

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return nodes.cancel(self.folder(ref), grace_seconds)

    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        mark = self.volumes / f".{spec.name}.request"
        self.volumes.mkdir(parents=True, exist_ok=True)
        try:
            with mark.open("x", encoding="ascii") as file:
                file.write(request_id)
        except FileExistsError:
            if mark.read_text(encoding="ascii") not in ("", request_id):
                raise ConflictError(f"there is a volume {spec.name}") from None
        (self.volumes / spec.name).mkdir(exist_ok=True)
        return Volume(spec.name, spec.name)

    @hookimpl
    def flow_volume_list(self) -> Sequence[Volume]:
        found = [p.name for p in self.volumes.iterdir() if p.is_dir()] if self.volumes.is_dir() else []
        return [Volume(name, name) for name in found]

    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        return self.delete(id)

    def delete(self, name: str, in_use: bool = False) -> bool:
        if name not in [volume.name for volume in self.flow_volume_list()]:
            return False
        if not in_use and any(name in text for text in self.live_documents()):
            raise ConflictError(f"{name} is in use")
        shutil.rmtree(self.volumes / name)
        (self.volumes / f".{name}.request").unlink()
        return True

    def live_documents(self) -> Iterator[str]:
        for folder in self.tasks.glob("flow-*") if self.tasks.is_dir() else ():
            if not nodes.report(folder).is_final:
                yield (folder / "bundle.json").read_text(encoding="utf-8")


class Right(Base):
    """Says where its nodes are."""

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        folder = self.folder(ref)
        return [NodeAccess(rank=rank, kind="folder", path=str(folder)) for rank in range(nodes.size(folder))]


class Reader(Base):
    """Gives no access to its nodes and reads the logs itself."""

    @hookimpl
    def flow_logs_read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        return self.read(ref, cursor, follow)

    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        folder = self.folder(ref)
        access = NodeAccess(rank=0, kind="folder", path=str(folder))
        return iter(nodes.open_node(access).read(cursor, follow, range(nodes.size(folder))))


def changed(submission: Submission, **document: object) -> Submission:
    bundle = submission.bundle
    return attrs.evolve(submission, bundle=attrs.evolve(bundle, document={**bundle.document, **document}))


class UnsteadyFacts(Right):
    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return attrs.evolve(FACTS, settle_seconds=random.random() / 1000)


class WaitsInSubmit(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        ref = self.start(submission)
        while not self.reports([ref])[ref].is_final:
            time.sleep(0.02)
        return ref


class SubmitsTwice(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        other = TaskRef("flow-" + "".join(random.choices("0123456789abcdef", k=26)))
        with (self.root / "requests").open("a") if self.root.is_dir() else _made(self.root / "requests") as file:
            file.write(f"{submission.request_id} {other.id}\n")
        self.start(attrs.evolve(submission, request_id=other.id))
        return other

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[TaskRef]]:
        path = self.root / "requests"
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        found = {name: [TaskRef(ref) for request, ref in rows if request == name] for name in request_ids}
        return {name: refs for name, refs in found.items() if refs}


def _made(path: Path) -> Any:
    path.parent.mkdir(parents=True)
    return path.open("a")


class ForgetsTheEnded(Right):
    """Runs a request again when the task of the first one has ended."""

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        ref = TaskRef(submission.request_id)
        if self.knows(ref.id) and nodes.report(self.tasks / ref.id).is_final:
            shutil.rmtree(self.tasks / ref.id)
        return self.start(submission)


class ForgetsAfterRestart(Right):
    def __init__(self, settings: RootSettings) -> None:
        super().__init__(settings)
        self.mine: set[str] = set()

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        self.mine.add(submission.request_id)
        return self.start(submission)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[TaskRef]]:
        return {name: [TaskRef(name)] for name in request_ids if name in self.mine}


class FindMisses(Right):
    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[TaskRef]]:
        return {}


class FindInvents(Right):
    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[TaskRef]]:
        return {name: [TaskRef(name)] for name in request_ids}


class ChecksThenActs(Right):
    """Looks whether the request is there and starts it if not, with time between the two."""

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        there = self.flow_provision_find([submission.request_id])
        time.sleep(1.0)
        if there:
            return there[submission.request_id][0]
        self.start(submission)
        with (self.root / "started").open("a") as file:
            file.write(submission.request_id + "\n")
        return TaskRef(submission.request_id)

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[TaskRef]]:
        path = self.root / "started"
        started = path.read_text().split() if path.exists() else []
        return {name: [TaskRef(name)] * started.count(name) for name in request_ids if name in started}


class ReportsTheUnknown(Right):
    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {ref: TaskReport("lost", "nobody knows") for ref in refs} | self.reports(refs)


class RaisesForTheUnknown(Right):
    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {ref: nodes.report(self.folder(ref)) for ref in refs}


class TrustsNames(Right):
    """Makes a path of whatever it is given."""

    def knows(self, name: str) -> bool:
        return (self.tasks / name).is_dir()


class DiesWithItsClient(Right):
    """Starts what it accepted a moment later, from a thread of the client."""

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        folder = nodes.stage(self.tasks, submission)
        threading.Timer(0.5, nodes.spawn, (folder, 0)).start()
        return TaskRef(submission.request_id)


class RefusesNothing(Right):
    @hookimpl
    def flow_provision_check(self, config: TaskConfig) -> Sequence[Problem]:
        return []


class SwallowsTheExitCode(Right):
    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {ref: with_attempts(report, exit_code=1) for ref, report in self.reports(refs).items()}


def with_attempts(report: TaskReport, **change: Any) -> TaskReport:
    """Return the report with its failed attempts changed."""
    attempts = [attrs.evolve(a, **change) if a.state == "failed" else a for a in report.attempts]
    return attrs.evolve(report, attempts=tuple(attempts))


class SubtractsSignals(Right):
    """Reports the signal's number as the exit code."""

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        def code(report: TaskReport) -> TaskReport:
            last = report.attempts[-1].exit_code if report.attempts else None
            return with_attempts(report, exit_code=last - 128) if last and last > 128 else report

        return {ref: code(report) for ref, report in self.reports(refs).items()}


class HasNoTimeLimit(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        limits: Any = submission.bundle.document["limits"]
        return self.start(changed(submission, limits={**limits, "time_limit": None}))


class NeverRetries(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self.start(changed(submission, retry={"retries": 0, "delay": 1.0, "max_delay": 60.0}))


class AlwaysRetries(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self.start(changed(submission, retry={"retries": 1, "delay": 0.1, "max_delay": 60.0}))


class CancelsNothing(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return not nodes.report(self.folder(ref)).is_final


class CancelWaits(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        going = nodes.cancel(self.folder(ref), grace_seconds)
        time.sleep(grace_seconds)
        return going


class CancelHasNoGrace(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return nodes.cancel(self.folder(ref), 0.0)


class CancelKillsTheCommandOnly(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        folder = self.folder(ref)
        for path in folder.glob(".runner.*"):
            os.kill(int(path.read_text().split()[2]), signal.SIGSTOP)
        going = nodes.report(folder)
        for path in folder.glob("attempts/*/*/exit"):
            words = path.read_text().split()
            os.kill(int(words[words.index("t") + 1]), signal.SIGKILL)
        return not going.is_final


class CancelsTheEnded(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        nodes.cancel(self.folder(ref), grace_seconds)
        return True


class CancelsWhatNeverWas(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return nodes.cancel(self.folder(ref), grace_seconds) if self.knows(ref.id) else False


class RaisesForeignErrors(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        if not self.knows(ref.id):
            raise KeyError(ref.id)
        return nodes.cancel(self.folder(ref), grace_seconds)


class SecondCancelFails(Right):
    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        mark = self.folder(ref) / "cancelled"
        if mark.exists():
            raise ConflictError("it is being cancelled")
        mark.touch()
        return nodes.cancel(self.folder(ref), grace_seconds)


class StartsOneRank(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self.start(
            attrs.evolve(changed(submission, num_instances=1), config=attrs.evolve(submission.config, num_instances=1))
        )


class HasNoLimit(Right):
    """Says nothing of its limit when it is asked, though its facts name one and core holds to that."""

    @hookimpl
    def flow_provider_facts(self) -> ProviderFacts:
        return attrs.evolve(FACTS, max_nodes=1)


class LeaksItsEnvironment(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self.start(submission, dict(os.environ))


class StripsVariables(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        env: Any = submission.bundle.document["env"]
        return self.start(changed(submission, env={name: value.strip() for name, value in env.items()}))


class JoinsArguments(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        command: Any = submission.bundle.document["command"]
        if "argv" in command:
            quoted = " ".join([*map(shlex.quote, command["argv"][:4]), *command["argv"][4:]])
            return self.start(changed(submission, command={"shell": quoted}))
        return self.start(submission)


class CopiesNoCode(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        bundle = submission.bundle
        if bundle.code is None:
            return self.start(submission)
        live = changed(submission, code={"mode": "inplace", "root": bundle.code})
        return self.start(attrs.evolve(live, bundle=attrs.evolve(live.bundle, code=None, code_files=())))


class LeavesFilesBehind(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return self.start(attrs.evolve(submission, bundle=attrs.evolve(submission.bundle, files={})))


class WritesSecretsDown(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "debug.log").write_text(repr(dict(submission.bundle.secrets.values)))
        return self.start(submission)


class ShowsSecretsInArguments(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        values = submission.bundle.secrets.values.values()
        helper = ["/bin/sh", "-c", "(sleep 3; :) >/dev/null 2>&1 &", "sh", *values]
        subprocess.run(helper, check=True, start_new_session=True)
        return self.start(submission)


class PrintsSecrets(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        print(dict(submission.bundle.secrets.values))
        return self.start(submission)


class PreviewShowsSecrets(Right):
    @hookimpl
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        return {"body": json.dumps(dict(submission.bundle.secrets.values))}


class PreviewSubmits(Right):
    @hookimpl
    def flow_provision_preview(self, submission: Submission) -> Mapping[str, str]:
        self.start(submission)
        return {"body": "{}"}


class LeavesAThread(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
        return self.start(submission)


class HandlesSignals(Right):
    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR2, lambda *_: None)
        os.environ["ACME_POLLED"] = "1"
        return self.reports(refs)


class LeaksAProcess(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        subprocess.run(["/bin/sh", "-c", "sleep 60 >/dev/null 2>&1 &"], check=True, start_new_session=True)
        return self.start(submission)


class DearestFirst(Right):
    @hookimpl
    def flow_provision_offers(self, request: OfferRequest) -> Sequence[Offer]:
        return [Offer("cpu", price_per_hour=Decimal(price)) for price in ("0.20", "0.10")]


class ReturnsNone(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        self.start(submission)
        return None  # type: ignore[return-value]


class LosesTheLastLine(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, cursor, follow):
            yield attrs.evolve(chunk, data=chunk.data[: chunk.data.rfind(b"\n") + 1])


class ReadsText(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, cursor, follow):
            yield attrs.evolve(chunk, data=chunk.data.decode(errors="replace").encode())


class DropsNul(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, cursor, follow):
            yield attrs.evolve(chunk, data=chunk.data.replace(b"\0", b""))


class BeginsAgain(Reader):
    """Ignores the cursor."""

    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        return super().read(ref, LogCursor(), follow)


class ResumesByLine(Reader):
    """Goes on at the beginning of the line that the cursor is in."""

    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, LogCursor(), follow):
            place = (chunk.attempt, chunk.rank, chunk.stream)
            seen = cursor.positions[place].offset if place in cursor.positions else 0
            start = chunk.data.rfind(b"\n", 0, max(0, seen - chunk.offset)) + 1
            if chunk.offset + len(chunk.data) > seen:
                yield attrs.evolve(chunk, offset=chunk.offset + start, data=chunk.data[start:])


class StopsAtAMegabyte(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, cursor, follow):
            if chunk.offset < 1_000_000:
                yield chunk


class SplitsLongLines(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, cursor, follow):
            long = len(chunk.data) > 50_000 and b"\n" not in chunk.data
            yield attrs.evolve(chunk, data=chunk.data[:50_000] + b"\n" + chunk.data[50_000:]) if long else chunk


class MixesTheStreams(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, cursor, follow):
            yield attrs.evolve(chunk, stream="stdout")


class NeverFollows(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        return super().read(ref, cursor, False)


class TellsOnlyTheEnd(Reader):
    """Gives the log when the task has ended, and nothing before."""

    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        while follow and not self.reports([ref])[ref].is_final:
            time.sleep(0.05)
            yield LogChunk(1, 0, "stdout", 0, b"")
        yield from super().read(ref, cursor, False)


class NeverEnds(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        yield from super().read(ref, cursor, follow)
        while follow:
            time.sleep(0.5)
            yield LogChunk(1, 0, "stdout", 0, b"")


class KeepsTheLastAttempt(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        chunks = list(super().read(ref, cursor, follow))
        return (chunk for chunk in chunks if chunk.attempt == chunks[-1].attempt)


class ReadsRankZero(Reader):
    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        return (chunk for chunk in super().read(ref, cursor, follow) if chunk.rank == 0)


class EndsWithTheTask(Reader):
    """Stops following as soon as the task has ended, whatever has not been read yet."""

    def read(self, ref: TaskRef, cursor: LogCursor, follow: bool) -> Iterator[LogChunk]:
        for chunk in super().read(ref, cursor, follow):
            if follow and self.reports([ref])[ref].is_final:
                return
            yield chunk


class CreatesTwice(Right):
    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        if (self.volumes / spec.name).is_dir():
            raise ConflictError(f"there is a volume {spec.name}")
        (self.volumes / spec.name).mkdir(parents=True)
        (self.volumes / f".{spec.name}.request").touch()
        return Volume(spec.name, spec.name)


class SharesNames(Right):
    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        (self.volumes / spec.name).mkdir(parents=True, exist_ok=True)
        (self.volumes / f".{spec.name}.request").touch()
        return Volume(spec.name, spec.name)


class EmptiesVolumes(Right):
    """Deletes what is in a task's volumes when it has ended."""

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        found = self.reports(refs)
        for volume in self.flow_volume_list() if any(report.is_final for report in found.values()) else ():
            shutil.rmtree(self.volumes / volume.name)
            (self.volumes / volume.name).mkdir()
        return found


class DeletesWhatIsInUse(Right):
    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        return self.delete(id, in_use=True)


class KeepsDeletedContent(Right):
    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        hidden = self.root / f"deleted-{id}"
        if self.delete_allowed(id):
            (self.volumes / id).rename(hidden)
            (self.volumes / f".{id}.request").unlink()
            return True
        return False

    def delete_allowed(self, name: str) -> bool:
        return name in [volume.name for volume in self.flow_volume_list()]

    @hookimpl
    def flow_volume_create(self, spec: VolumeSpec, request_id: str) -> Volume:
        hidden, place = self.root / f"deleted-{spec.name}", self.volumes / spec.name
        self.volumes.mkdir(parents=True, exist_ok=True)
        if hidden.is_dir():
            hidden.rename(place)
        place.mkdir(exist_ok=True)
        (self.volumes / f".{spec.name}.request").touch()
        return Volume(spec.name, spec.name)


class MountsWritable(Right):
    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        volumes = tuple(attrs.evolve(v, read_only=False) for v in submission.config.volumes)
        return self.start(attrs.evolve(submission, config=attrs.evolve(submission.config, volumes=volumes)))


class DeletesTheUnknown(Right):
    """Says that it deleted what was not there."""

    @hookimpl
    def flow_volume_delete(self, id: str) -> bool:  # noqa: A002 - the contract's word
        self.delete(id)
        return True


class WritesWhenMade(Right):
    def __init__(self, settings: RootSettings) -> None:
        super().__init__(settings)
        self.tasks.mkdir(parents=True, exist_ok=True)


@attrs.frozen
class Unexplained:
    """Settings of which one is a mystery."""

    root: Path = attrs.field(metadata={"help": "Folder that holds everything."})
    speed: int = 3


class ExplainsNothing(Right):
    Settings = Unexplained


class Misspelt(Right):
    @hookimpl
    def flow_provision_sumbit(self, submission: Submission) -> TaskRef:
        return self.start(submission)
