"""Right plugins of the other kinds, and some that are wrong in exactly one way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote

import attrs

from flow_core.errors import CapabilityError, ConfigError, ConflictError, NotFoundError
from flow_core.hookspecs import hookimpl
from flow_core.secrets import Secret
from flow_core.types import (
    Event,
    FrontendTask,
    LogChunk,
    LogCursor,
    PolicyContext,
    Refusal,
    ResultInfo,
    Submission,
    TaskConfig,
    TaskRef,
    Ticket,
)


@attrs.frozen
class RootSettings:
    """Where everything is."""

    root: Path = attrs.field(metadata={"help": "Folder that holds everything."})


class RightStore:
    """Objects as files, one for each quoted key."""

    Settings = RootSettings

    def __init__(self, settings: RootSettings) -> None:
        self.root = settings.root

    def path(self, key: str) -> Path:
        return self.root / quote(key, safe="")

    def present(self, key: str) -> Path:
        if not self.path(key).is_file():
            raise NotFoundError(f"there is no object {key}")
        return self.path(key)

    @hookimpl
    def flow_result_stat(self, key: str) -> ResultInfo:
        return ResultInfo(key, self.present(key).stat().st_size)

    @hookimpl
    def flow_result_list(self, prefix: str) -> Iterator[ResultInfo]:
        paths = self.root.iterdir() if self.root.is_dir() else iter(())
        keys = [unquote(path.name) for path in paths if path.is_file()]
        return (ResultInfo(key, self.path(key).stat().st_size) for key in keys if key.startswith(prefix))

    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        return iter([self.present(key).read_bytes()[offset:]])

    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        return self.put(key, data, sha256)

    def put(self, key: str, data: Iterator[bytes], digest: str, checked: bool = True) -> ResultInfo:
        content = b"".join(data)
        if checked and sha256(content).hexdigest() != digest:
            raise ConflictError("the content is not what was announced")
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            with self.path(key).open("xb") as file:
                file.write(content)
        except FileExistsError:
            if sha256(self.path(key).read_bytes()).hexdigest() != digest:
                raise ConflictError(f"{key} is there with other content") from None
        return ResultInfo(key, len(content))

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        there = self.path(key).is_file()
        self.path(key).unlink(missing_ok=True)
        return there

    @hookimpl
    def flow_result_ticket(self, key: str) -> Ticket:
        if key.endswith("/"):
            raise CapabilityError("there is no leave for a whole prefix")
        return Ticket("PATH", str(self.path(key)))


class GivesOnePlace(RightStore):
    """Gives leave for one object where leave for all below a prefix was asked for."""

    @hookimpl
    def flow_result_ticket(self, key: str) -> Ticket:
        if not key.endswith("/"):
            return Ticket("PATH", str(self.path(key)))
        place = self.root / "below"
        place.mkdir(parents=True, exist_ok=True)
        return Ticket("PATH", str(place))


class Overwrites(RightStore):
    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        self.path(key).unlink(missing_ok=True)
        return self.put(key, data, sha256)


class IgnoresOffsets(RightStore):
    @hookimpl
    def flow_result_get(self, key: str) -> Iterator[bytes]:  # type: ignore[override]
        return iter([self.present(key).read_bytes()])


class AnswersTheMissing(RightStore):
    @hookimpl
    def flow_result_get(self, key: str, offset: int) -> Iterator[bytes]:
        return iter([self.path(key).read_bytes()[offset:]] if self.path(key).is_file() else [])


class ListsEverything(RightStore):
    @hookimpl
    def flow_result_list(self) -> Iterator[ResultInfo]:  # type: ignore[override]
        return RightStore.flow_result_list(self, "")


class KeepsHalves(RightStore):
    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        self.root.mkdir(parents=True, exist_ok=True)
        if self.path(key).is_file():
            return self.put(key, data, sha256)
        with self.path(key).open("xb") as file:
            for piece in data:
                file.write(piece)
        return self.flow_result_stat(key)


class TrustsSums(RightStore):
    @hookimpl
    def flow_result_put(self, key: str, data: Iterator[bytes], sha256: str) -> ResultInfo:
        return self.put(key, data, sha256, checked=False)


class DeletesTrees(RightStore):
    """Says that it deleted, whether it was there or not."""

    @hookimpl
    def flow_result_delete(self, key: str) -> bool:
        self.path(key).unlink(missing_ok=True)
        return True


class TakesPaths(RightStore):
    """Makes a path of a key."""

    def path(self, key: str) -> Path:
        place = self.root / key.lstrip("/") if not key.startswith("kit/") else self.root / quote(key, safe="")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


class RightFrontend:
    """Reads JSON files with ``acme`` in them."""

    @hookimpl
    def flow_frontend_detect(self, source: str) -> float:
        return 0.9 if b'"acme"' in Path(source).read_bytes()[:1000] else 0.0

    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        return self.parse(source, arguments)

    def parse(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        try:
            command = json.loads(Path(source).read_text(encoding="utf-8"))["acme"]
        except (ValueError, KeyError) as error:
            raise ConfigError(f"{source} is no acme file: {error}") from error
        return [FrontendTask(TaskConfig(command=(command, *arguments)), {"command": (1, 1)})]

    @hookimpl
    def flow_frontend_environment(self, config: TaskConfig, rank: int) -> Mapping[str, str]:
        return {"ACME_RANK": str(rank)}


class DetectsEverything(RightFrontend):
    @hookimpl
    def flow_frontend_detect(self, source: str) -> float:
        return 0.9


class DetectsNothing(RightFrontend):
    @hookimpl
    def flow_frontend_detect(self, source: str) -> float:
        return 0.1


class ReadsInvalidTasks(RightFrontend):
    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        return [attrs.evolve(t, config=attrs.evolve(t.config, num_instances=0)) for t in self.parse(source, arguments)]


class LeavesFilesBehind(RightFrontend):
    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        shutil.copy(source, source + ".parsed")
        return self.parse(source, arguments)


class PointsNowhere(RightFrontend):
    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        return [attrs.evolve(task, positions={"command": (99, 1)}) for task in self.parse(source, arguments)]


class RaisesWhatJsonRaises(RightFrontend):
    @hookimpl
    def flow_frontend_read(self, source: str, arguments: Sequence[str]) -> Sequence[FrontendTask]:
        return [FrontendTask(TaskConfig(command=(json.loads(Path(source).read_text())["acme"], *arguments)))]


class ForgetsArguments(RightFrontend):
    @hookimpl
    def flow_frontend_read(self, source: str) -> Sequence[FrontendTask]:  # type: ignore[override]
        return self.parse(source, ())


class RightVault:
    """Secrets in a file of its own."""

    Settings = RootSettings

    def __init__(self, settings: RootSettings) -> None:
        self.path = settings.root / "vault.json"

    def all(self) -> dict[str, str]:
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}

    def keep(self, content: Mapping[str, str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(dict(content)), encoding="utf-8")

    @hookimpl
    def flow_secret_get(self, name: str) -> Secret | None:
        value = self.all().get(name)
        return None if value is None else Secret(value, name)

    @hookimpl
    def flow_secret_list(self) -> Sequence[str]:
        return sorted(self.all())

    @hookimpl
    def flow_secret_set(self, name: str, value: Secret) -> bool:
        self.keep({**self.all(), name: value.reveal()})
        return True

    @hookimpl
    def flow_secret_delete(self, name: str) -> bool:
        content = self.all()
        there = content.pop(name, None) is not None
        self.keep(content)
        return there


class StripsSecrets(RightVault):
    @hookimpl
    def flow_secret_set(self, name: str, value: Secret) -> bool:
        self.keep({**self.all(), name: value.reveal().splitlines()[0]})
        return True


class RaisesForTheMissing(RightVault):
    @hookimpl
    def flow_secret_get(self, name: str) -> Secret | None:
        return Secret(self.all()[name], name)


class ListsValues(RightVault):
    @hookimpl
    def flow_secret_list(self) -> Sequence[str]:
        return [word for pair in self.all().items() for word in pair]


class ForgetsEverything(RightVault):
    @hookimpl
    def flow_secret_delete(self, name: str) -> bool:
        there = name in self.all()
        self.keep({})
        return there


class RemembersInMemory(RightVault):
    def __init__(self, settings: RootSettings) -> None:
        super().__init__(settings)
        self.content: dict[str, str] = {}

    def all(self) -> dict[str, str]:
        return dict(self.content)

    def keep(self, content: Mapping[str, str]) -> None:
        self.content = dict(content)


class Audit:
    """A wrapper that only looks."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    @hookimpl(wrapper=True)
    def flow_provision_submit(self, submission: Submission) -> Generator[None, TaskRef, TaskRef]:
        return (yield)

    @hookimpl(wrapper=True)
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> Generator[None, bool, bool]:
        return (yield)


class RightPolicy:
    """Watches, wraps and refuses what costs too much."""

    @hookimpl
    def flow_event(self, event: Event) -> None:
        str(event)

    @hookimpl
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        return [Audit()]

    @hookimpl
    def flow_task_config(self, config: TaskConfig, context: PolicyContext) -> TaskConfig | Refusal | None:
        return Refusal("it costs too much") if float(context.price_per_hour or 0) > 100 else None


class SwallowingAudit(Audit):
    @hookimpl(wrapper=True)
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> Generator[None, bool, bool]:
        try:
            return (yield)
        except NotFoundError:
            return False


class SwallowsErrors(RightPolicy):
    @hookimpl
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        return [SwallowingAudit()]


class ChangingAudit(Audit):
    @hookimpl(wrapper=True)
    def flow_provision_submit(self, submission: Submission) -> Generator[None, TaskRef, TaskRef]:
        yield
        return TaskRef("another")


class ChangesAnswers(RightPolicy):
    @hookimpl
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        return [ChangingAudit()]


class TextAudit(Audit):
    @hookimpl(wrapper=True)
    def flow_logs_read(
        self, ref: TaskRef, cursor: LogCursor, follow: bool
    ) -> Generator[None, Iterator[LogChunk], Iterator[LogChunk]]:
        chunks = yield
        return (attrs.evolve(chunk, data=chunk.data.decode(errors="replace").encode()) for chunk in chunks)


class ReadsStreamsAsText(RightPolicy):
    @hookimpl
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        return [TextAudit()]


SHARED = Audit()


class SharesItsWrapper(RightPolicy):
    @hookimpl
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        return [SHARED]


class RefusesWithoutReason(RightPolicy):
    @hookimpl
    def flow_task_config(self, config: TaskConfig, context: PolicyContext) -> TaskConfig | Refusal | None:
        return Refusal("") if float(context.price_per_hour or 0) > 100 else None


class StumblesOverEvents(RightPolicy):
    @hookimpl
    def flow_event(self, event: Event) -> None:
        str(event.data["state"])


class WritingAudit(Audit):
    @hookimpl(wrapper=True)
    def flow_provision_submit(self, submission: Submission) -> Generator[None, TaskRef, TaskRef]:
        import os

        with (Path(os.environ["FLOW_HOME"]) / "audit.log").open("a") as file:
            file.write(f"{dict(submission.bundle.secrets.values)}\n")
        return (yield)


class WritesSecretsDown(RightPolicy):
    @hookimpl
    def flow_scope_wrappers(self, provider: str, profile: str) -> Sequence[object]:
        return [WritingAudit()]
