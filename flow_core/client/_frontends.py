"""Reading tasks from files: by the frontend whose file it is, else as a plain task file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from flow_core.client._plan import make_plan
from flow_core.errors import ConfigError, FlowError
from flow_core.types import FrontendTask, Problem

if TYPE_CHECKING:
    from flow_core.client._plan import Plan
    from flow_core.client._session import Session
    from flow_core.types import TaskConfig

Positions = Mapping[str, tuple[int, int]]

SURE = 0.5
"""The least that a frontend's ``detect`` says of a file that is its own."""

TASK_FILES = (".yaml", ".yml", ".json")


def detect(session: Session, source: str) -> str | None:
    """Return the frontend that is surest that the file is its own, None when none is. Raises ConfigError for a tie.

    A frontend that cannot be asked is passed over with a warning.
    """
    found = {name: _sure(session, name, source) for name in sorted(session.catalog.plugins("frontend"))}
    best = max(found.values(), default=0.0)
    names = [name for name, sure in found.items() if sure == best]
    if best < SURE:
        return None
    if len(names) > 1:
        message = f"{source} could be read by the frontends {' and '.join(names)}, which are equally sure of it"
        raise ConfigError(message, f"say which, as --frontend {names[0]}", {"candidates": names})
    return names[0]


def _sure(session: Session, name: str, source: str) -> float:
    try:
        return session.frontend(name).detect(str(session.cwd / source))
    except FlowError as error:
        warnings.warn(f"{error.message}; it was not asked about {source}", stacklevel=2)
        return 0.0


def read(
    session: Session, source: str, arguments: Sequence[str] = (), frontend: str | None = None
) -> list[FrontendTask]:
    """Return the tasks of a file, each valid. Raises ConfigError with every problem at its line of the file."""
    path = session.cwd / source
    if not path.is_file():
        raise ConfigError(f"there is no file {source}", "a frontend reads tasks from a file")
    name = frontend or detect(session, source)
    if name is None:
        return [_plain(session, source, arguments)]
    try:
        tasks = session.frontend(name).read(str(path), arguments)
    except ConfigError as error:
        raise _placed(error, source) from error
    if not tasks:
        raise ConfigError(f"the frontend {name} found no task in {source}", "name another one with --frontend")
    return [_checked(session, attrs.evolve(task, source=source, frontend=name)) for task in tasks]


def plan_task(session: Session, task: FrontendTask, priced: bool = False) -> Plan:
    """Check a task that was read, as :func:`make_plan`; problems and warnings stand at its file's lines."""
    provider = session.choose(None, task.config.provider).provider
    if provider != task.native:
        _refuse(task, _refused(task))
    try:
        plan = make_plan(session, task.config, priced)
    except ConfigError as error:
        raise _placed(error, task.source, task.positions) from error
    if task.after and not plan.provider.facts.dependencies:
        what = f"{plan.profile.name} cannot make one task wait for another, as tasks of this file shall"
        _refuse(task, [Problem("depends_on", "CAPABILITY", what, "use another provider")])
    notes = () if provider == task.native else task.notes
    warned = _locate((*notes, *task.remarks, *plan.warnings), task.source, task.positions)
    return attrs.evolve(plan, task=task, warnings=warned)


def rank_environments(
    session: Session, task: FrontendTask | None, config: TaskConfig
) -> Mapping[int, Mapping[str, str]]:
    """Return the variables that the file's body expects, by rank."""
    if task is None or not task.frontend:
        return {}
    frontend = session.frontend(task.frontend)
    found = {rank: frontend.environment(config, rank) for rank in range(config.num_instances)}
    return {rank: env for rank, env in found.items() if env}


def _plain(session: Session, source: str, arguments: Sequence[str]) -> FrontendTask:
    if not source.endswith(TASK_FILES):
        installed = ", ".join(sorted(session.catalog.plugins("frontend"))) or "none"
        hint = f"task files end in {', '.join(TASK_FILES)}; frontends installed: {installed}"
        raise ConfigError(f"{source} is not a file that Flow can read a task from", hint)
    if arguments:
        raise ConfigError(
            f"{source} is a task file and takes no arguments: {arguments[0]}", "write them into its command"
        )
    from flow_core.spec import load_mapping, read_mapping

    problems: list[Problem] = []
    data, positions = load_mapping(session.cwd / source, problems=problems)
    providers = sorted(session.catalog.plugins("provider"))
    config = read_mapping(data, positions=positions, file=source, providers=providers, problems=problems)
    return FrontendTask(config, positions=positions, source=source)


def _checked(session: Session, task: FrontendTask) -> FrontendTask:
    from flow_core.spec import check

    wrong = check(task.config, providers=sorted({*session.catalog.plugins("provider"), *task.config.options}))
    _refuse(task, [*([] if task.native else _refused(task)), *wrong])
    return task


def _refused(task: FrontendTask) -> list[Problem]:
    return [note for note in task.notes if note.severity == "error"]


def _refuse(task: FrontendTask, wrong: Iterable[Problem]) -> None:
    if problems := _locate(wrong, task.source, task.positions):
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} in {task.source}", problems=problems)


def _placed(error: ConfigError, source: str, positions: Positions = MappingProxyType({})) -> ConfigError:
    return ConfigError(error.message, error.hint, error.details, _locate(error.problems, source, positions))


def _locate(problems: Iterable[Problem], source: str, positions: Positions) -> tuple[Problem, ...]:
    """Return the problems with the user's own file and line; a frontend may have said the line itself."""
    from flow_core.spec import locate

    said = [attrs.evolve(p, file=source) if p.line is not None and not p.file else p for p in problems]
    return locate(said, positions=positions, file=source)
