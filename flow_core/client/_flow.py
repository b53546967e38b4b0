"""The client: everything a program or the command line does with tasks, volumes and offers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_core.client._refresh import refresh
from flow_core.client._session import Session
from flow_core.client._task import Task
from flow_core.errors import CapabilityError, NotFoundError

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Unpack
    else:
        from typing_extensions import Unpack

    from flow_core.client._fields import TaskFields
    from flow_core.client._machines import Held
    from flow_core.client._plan import Plan
    from flow_core.client._preview import Code
    from flow_core.errors import FlowError
    from flow_core.faces import Provider, ResultStore
    from flow_core.journal import TaskRow
    from flow_core.nodes import NodeUsage
    from flow_core.results import Sweep
    from flow_core.types import (
        AuthField,
        FrontendTask,
        Identity,
        Offer,
        OfferRequest,
        QueuedTask,
        TaskConfig,
        Volume,
    )

    Command = str | Sequence[str] | TaskConfig | FrontendTask


class Flow:
    """One use of Flow: its settings, journal and opened providers. Safe beside any number of others.

    ``cwd``: where relative paths and the project's settings are looked for. ``environ`` stands in for ``os.environ``.
    ``overrides``: settings above all others.
    """

    def __init__(
        self,
        cwd: str | Path | None = None,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, object] | None = None,
    ) -> None:
        self.session = Session(None if cwd is None else Path(cwd), environ, overrides)

    def config(self, command: Command, /, **fields: Unpack[TaskFields]) -> TaskConfig:
        """Return the validated config. Raises ConfigError with every problem.

        ``command``: text for ``sh -c``, a sequence of arguments for no shell, or a whole config (also of a task that
        was read) to change by ``fields``.
        """
        from flow_core.spec import merge, read_mapping, user_form
        from flow_core.types import FrontendTask, TaskConfig

        if isinstance(command, FrontendTask):
            command = command.config
        given: Mapping[str, Any]
        if isinstance(command, TaskConfig):
            given = merge(user_form(command), dict(fields))
        else:
            words = isinstance(command, Sequence) and not isinstance(command, (str, bytes, bytearray))
            given = {"command": list(command) if words else command, **fields}
        return read_mapping(given, providers=self.provider_names())

    def provider_names(self) -> list[str]:
        """Return the names of the installed providers; imports none."""
        return sorted(self.session.catalog.plugins("provider"))

    def provider(self, name: str | None = None) -> Provider:
        """Return the opened provider of a profile; without a name the default one."""
        return self.session.provider(self.session.choose(name))

    def result_store(self, name: str) -> ResultStore:
        """Return the opened result store that the settings call ``name``."""
        return self.session.result_store(name)

    def read(self, source: str, arguments: Sequence[str] = (), frontend: str | None = None) -> list[FrontendTask]:
        """Return the tasks of a file, to be given to :meth:`plan`, :meth:`submit` or :meth:`run`.

        ``frontend`` reads it, or else the one that knows the file, or else it is a plain task file. Raises ConfigError
        with every problem at its line, and when two frontends are equally sure that the file is theirs.
        """
        from flow_core.client import _frontends

        return _frontends.read(self.session, source, arguments, frontend)

    def frontend_of(self, source: str) -> str | None:
        """Return the frontend that knows the file, None when none does. Raises ConfigError for a tie."""
        from flow_core.client import _frontends

        return _frontends.detect(self.session, source)

    def plan(self, config: TaskConfig | FrontendTask, priced: bool = False) -> Plan:
        """Check a config against its provider without any side effect. Raises ConfigError with every problem."""
        from flow_core.client import _frontends, _plan
        from flow_core.types import FrontendTask

        if isinstance(config, FrontendTask):
            return _frontends.plan_task(self.session, config, priced)
        return _plan.make_plan(self.session, config, priced)

    def code(self, plan: Plan) -> Code:
        """Say how the code of a plan would reach the node, and which files."""
        from flow_core.client._preview import code_of

        return code_of(self.session, plan)

    def preview(self, plan: Plan) -> Mapping[str, str]:
        """Return what the provider would send for a plan, name -> text, secrets masked; empty where it cannot say."""
        from flow_core.client._preview import preview

        return preview(self.session, plan)

    def submit(self, command: Command, /, **fields: Unpack[TaskFields]) -> Task:
        """Submit a task and return at once, as ``subprocess.Popen``; the task outlives this process."""
        return self.submit_plan(self._plan_of(command, fields))

    def _plan_of(self, command: Command, fields: TaskFields) -> Plan:
        import attrs

        from flow_core.types import FrontendTask

        config = self.config(command, **fields)
        return self.plan(attrs.evolve(command, config=config) if isinstance(command, FrontendTask) else config)

    def submit_plan(self, plan: Plan) -> Task:
        """Submit what :meth:`plan` checked."""
        from flow_core.client._submit import submit

        return Task(self.session, submit(self.session, plan))

    def submit_group(self, plans: Sequence[Plan]) -> list[Task]:
        """Submit the tasks of one file, in order; all but the first have its id as their label ``group``.

        They find it as ``FLOW_GROUP`` too, and wait for those of the same file that they name (``FrontendTask.after``).
        """
        from flow_core.client._group import submit_group

        return [Task(self.session, row) for row in submit_group(self.session, plans)]

    def submit_many(self, commands: Sequence[Command], /, **fields: Unpack[TaskFields]) -> list[Task]:
        """Submit many tasks and return at once; ``fields`` are for all of them.

        All are checked before the first is submitted. Those that differ in no more than command, environment, labels
        and name are one request where the provider takes many at once. Raises ConfigError with what it refused; the
        others are submitted then.
        """
        from flow_core.client._group import submit_many

        plans = [self._plan_of(command, fields) for command in commands]
        return [Task(self.session, row) for row in submit_many(self.session, plans)]

    def run(
        self, command: Command, /, *, check: bool = False, stream: bool = True, **fields: Unpack[TaskFields]
    ) -> Task:
        """Submit a task, wait for its end and return it, as ``subprocess.run``.

        Its output goes to this process's stdout and stderr unless ``stream`` is false; ``check`` raises TaskFailed when it
        does not succeed.
        """
        from flow_core.client._output import standard_streams

        task = self.submit(command, **fields)
        if stream:
            task.stream(*standard_streams())
        task.wait(check=check)
        return task

    def task(self, name: str) -> Task:
        """Find a task by id, unique id prefix, or name (the newest of that name). Raises NotFoundError."""
        return Task(self.session, self.session.journal.find(name))

    def tasks(self, limit: int | None = 20, states: Collection[str] | None = None, **only: Any) -> list[Task]:
        """Return the newest tasks first; ``only``: ``name``, ``profile``, ``label``, ``since`` (UTC seconds)."""
        rows: list[TaskRow] = self.session.journal.tasks(limit=limit, states=states, **only)
        return [Task(self.session, row) for row in rows]

    def refresh(self, tasks: Collection[str] | None = None) -> dict[str, FlowError]:
        """Ask the providers about open tasks; returns the profiles that could not be asked, with the reason."""
        from flow_core.client._keeping import settle_all

        failed = refresh(self.session, tasks)
        settle_all(self.session, tasks)
        return failed

    def gc(self, dry_run: bool = False) -> list[Sweep]:
        """Remove results older than their store's ``keep``, and bytes that no task names; a record for each store."""
        from flow_core.client._sweep import gc

        return gc(self.session, dry_run)

    def queue(self, provider: str | None = None) -> list[QueuedTask]:
        """List what runs at a provider and what waits there, in order, each with its reason."""
        return self.provider(provider).queue()

    def usage(self, tasks: Collection[Task]) -> dict[str, list[NodeUsage]]:
        """Look at what running tasks use of their nodes now: task id -> one record for each machine that can be reached."""
        from flow_core.client._usage import usage

        return usage(self.session, [task.row for task in tasks])

    def retry(self, name: str) -> Task:
        """Submit the config of an earlier task again, as a new task, with the files that came with it."""
        import attrs

        from flow_core.client._companions import recall
        from flow_core.client._reach import config_of

        row = self.session.journal.find(name)
        config = attrs.evolve(config_of(row), idempotency_key=None, provider=row.profile)
        return self.submit_plan(self.plan(recall(self.session, row.id, config)))

    def offers(self, provider: str | None = None, request: OfferRequest | None = None) -> list[Offer]:
        """List what the provider could give, cheapest first."""
        from flow_core.types import OfferRequest

        return self.provider(provider).offers(request or OfferRequest())

    def whoami(self, provider: str | None = None) -> Identity:
        """Say whom the credentials stand for. Raises CapabilityError where there is nothing to log in to."""
        face = self.provider(provider)
        if "flow_auth_check" not in face.supports:
            raise CapabilityError(f"{face.profile} needs no login", "tasks run there without one")
        return face.auth_check()

    def login_fields(self, provider: str | None = None) -> list[AuthField]:
        """Name what :meth:`login` takes. Raises CapabilityError where there is nothing to log in to."""
        from flow_core.client._accounts import login_fields

        return login_fields(self.session, provider)

    def login(self, values: Mapping[str, str], provider: str | None = None) -> dict[str, str]:
        """Keep a profile's credentials, by field; return field -> the store that has it now."""
        from flow_core.client._accounts import login

        return login(self.session, provider, values)

    def logout(self, provider: str | None = None) -> list[str]:
        """Forget a profile's credentials; return the fields that were kept."""
        from flow_core.client._accounts import logout

        return logout(self.session, provider)

    def volumes(self, provider: str | None = None) -> list[Volume]:
        """List the volumes of a provider."""
        return self.provider(provider).volumes()

    def volume(self, name: str, provider: str | None = None) -> Volume:
        """Find a volume by id or name. Raises NotFoundError."""
        face = self.provider(provider)
        for volume in face.volumes():
            if name in (volume.id, volume.name):
                return volume
        raise NotFoundError(f"{face.profile} has no volume {name!r}", "flow volume list shows what there is")

    def create_volume(
        self,
        name: str,
        size_gb: int | None = None,
        provider: str | None = None,
        encrypted: bool = False,
        kind: str | None = None,
    ) -> Volume:
        """Create a volume; ``size_gb`` counts 10**9 bytes, ``kind`` is one of the provider's.

        Raises ConfigError for a bad name, ConflictError for a taken one.
        """
        from flow_core.client._submit import create_volume
        from flow_core.types import VolumeSpec

        face = self.provider(provider)
        wanted = VolumeSpec(name, size_gb=size_gb, create=True, encrypted=encrypted, kind=kind)
        (spec,) = self.config("true", volumes=[wanted]).volumes
        create_volume(self.session, face.profile, spec)
        return self.volume(name, face.profile)

    def snapshot_volume(self, name: str, new_name: str, provider: str | None = None) -> Volume:
        """Make a new volume of what is in one now.

        Raises ConflictError for a name that is taken, CapabilityError or UnavailableError where it cannot be done.
        """
        (spec,) = self.config("true", volumes=[{"name": new_name}]).volumes
        return self.provider(provider).snapshot_volume(self.volume(name, provider).id, spec.name)

    def attach_volume(self, name: str, task: str) -> Volume:
        """Attach a volume to the machines of a task that is not running.

        Raises ConflictError while it runs, CapabilityError where the provider attaches nothing afterwards.
        """
        from flow_core.types import parse_ref

        row = self.task(task).row
        if row.ref is None:
            raise NotFoundError(f"{row.id} has no machines", "name a task that was accepted")
        volume = self.volume(name, row.profile)
        return self.provider(row.profile).attach_volume(volume.id, parse_ref(row.ref)[2])

    def delete_volume(self, name: str, provider: str | None = None) -> bool:
        """Delete a volume and what is in it; nothing else in Flow ever does."""
        from flow_core.client._submit import delete_volume

        return delete_volume(self.session, self.provider(provider).profile, self.volume(name, provider).id)

    def machines(self, provider: str | None = None) -> list[Held]:
        """List what providers hold beside tasks, kept machines and minted keys, of every profile or of one."""
        from flow_core.client._machines import held

        return held(self.session, provider)

    def release_machine(self, name: str, provider: str | None = None) -> bool:
        """Give back what has this id or name, or the machines that are held for the ended task ``name``.

        False when it was gone. Raises NotFoundError, ConflictError while in use.
        """
        from flow_core.client._machines import give_back

        return give_back(self.session, name, provider)
