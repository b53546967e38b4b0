"""What ``flow run`` does with a command line: config, plan, submit, and following it or not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.cli import _ask
from flow_core.cli._attached import Attached
from flow_core.cli._envelope import emit
from flow_core.cli._hand_over import stay
from flow_core.cli._interrupts import Interrupted, Interrupts
from flow_core.cli._rows import detail
from flow_core.cli._snapshot import Snapshot
from flow_core.cli._streams import attached_printer
from flow_core.cli._talk import quoted, say
from flow_core.client import Flow
from flow_core.errors import ConfigError
from flow_core.spec import is_task_file
from flow_core.spec._files import SUFFIXES
from flow_core.types import Problem, TaskConfig

if TYPE_CHECKING:
    from flow_core.client import Plan, Task


@attrs.frozen
class Request:
    """The command line: ``words`` are the command or a file, ``given`` the task's flags by key.

    ``frontend`` is who shall read the file; None leaves it to the one that knows it.
    """

    words: Sequence[str]
    given: Mapping[str, Any]
    detach: bool = False
    verbose: bool = False
    quiet: bool = False
    redact: bool = True
    as_json: bool = False
    frontend: str | None = None

    @property
    def names_file(self) -> bool:
        """Whether the command line names a task file."""
        return len(self.words) == 1 and is_task_file(self.words[0])


def read_config(flow: Flow, request: Request) -> TaskConfig:
    """Return the validated config. Raises ConfigError with every problem, each at its line or its flag."""
    from flow_core.spec import load_mapping, merge, read_flags, read_mapping

    problems: list[Problem] = []
    asked, flag_of = read_flags(request.given, problems=problems)
    providers = flow.provider_names()
    if not request.names_file:
        _refuse_missing_file(request.words)
        command = request.words[0] if len(request.words) == 1 else list(request.words)
        return read_mapping({"command": command, **asked}, flags=flag_of, providers=providers, problems=problems)
    file = Path(request.words[0])
    data, positions = load_mapping(file, problems=problems)
    return read_mapping(
        merge(data, asked),
        positions=positions,
        file=str(file),
        flags=flag_of,
        providers=providers,
        problems=problems,
    )


def _refuse_missing_file(words: Sequence[str]) -> None:
    """A task file that is not there is no command, and stdin is no task file."""
    word = words[0]
    if list(words) == ["-"]:
        raise ConfigError("a task is not read from stdin", "write it to a file, and name that")
    if len(words) == 1 and word.endswith(SUFFIXES) and not any(map(str.isspace, word)):
        what = f"{word} is no task file, but a folder" if Path(word).is_dir() else f"there is no task file {word}"
        raise ConfigError(what, f"correct the path; a command of this name runs with: sh -c {word}")


def run(request: Request) -> int:
    """Submit the task; follow it to its end unless detached. Returns the status to exit with."""
    flow = Flow()
    plans = make_plans(flow, request)
    if settled(plans, request):
        flow = Flow()
        plans = make_plans(flow, request)
    _warn(plans, request)
    if len(plans) > 1:
        return _run_many(flow, plans, request)
    (plan,) = plans
    with Interrupts() as interrupts:
        task, interrupted = _submit(flow, plan, interrupts)
        if plan.config.retries and not plan.provider.facts.restarts_by_itself and not request.quiet:
            say(f"{plan.profile.name} does not retry: if it fails, run it again with `flow retry {task.id}`")
        if request.detach:
            _print_id(flow, task, request.as_json)
            if interrupted is None:
                stay(flow, [task], request.quiet)
            return 0
        if not request.quiet:
            say(f"{quoted(task.row)} on {plan.profile.name}")
        printer = attached_printer(task, to_stderr=request.as_json, redact=request.redact)
        attached = Attached(task, printer, interrupts, request.quiet)
        status = attached.follow(interrupted)
    if request.as_json:
        emit(detail(flow, task.refresh()), "run")
    return status


def _run_many(flow: Flow, plans: Sequence[Plan], request: Request) -> int:
    """Submit the tasks of a file that holds several; nobody can follow them all at once."""
    tasks = flow.submit_group(plans)
    if not (request.detach or request.quiet):
        say(f"{request.words[0]} holds {len(tasks)} tasks; they go on by themselves: flow wait, flow logs")
    if request.as_json:
        emit([detail(flow, task.row) for task in tasks], "run")
    else:
        sys.stdout.writelines(f"{task.id}\n" for task in tasks)
    with Interrupts():
        stay(flow, tasks, request.quiet)
    return 0


def make_plans(flow: Flow, request: Request, priced: bool = False) -> list[Plan]:
    """Check what the command line names: one task unless a frontend's file holds several."""
    from flow_core.cli._read import frontend_tasks, plan

    tasks = frontend_tasks(flow, request.words, request.frontend, request.given)
    if tasks is None:
        return [make_plan(flow, request, priced)]
    return [plan(flow, task, request.given, priced) for task in tasks]


def settled(plans: Sequence[Plan], request: Request) -> bool:
    """Ask the person at the terminal what the plans' profiles leave open; whether there was anything to ask."""
    if request.quiet or request.as_json or not _ask.is_possible():
        return False
    found = {question.key: question for plan in plans for question in plan.questions}
    for question in found.values():
        question.settle(_ask.one_of(f"{question.key}: {question.text}", question.answers))
    return bool(found)


def _warn(plans: Sequence[Plan], request: Request) -> None:
    for problem in () if request.quiet else (problem for plan in plans for problem in plan.warnings):
        say(f"warning: {problem}")


def make_plan(flow: Flow, request: Request, priced: bool = False) -> Plan:
    """Check a command, or the task of a task file."""
    config = read_config(flow, request)
    try:
        plan = flow.plan(config, priced)
    except ConfigError as error:
        raise _located(error, request) from error
    return attrs.evolve(plan, warnings=tuple(_located_problems(plan.warnings, request)))


def _located(error: ConfigError, request: Request) -> ConfigError:
    """Return the error with the line or the flag that each of its problems comes from."""
    problems = _located_problems(error.problems, request)
    return ConfigError(error.message, error.hint, error.details, problems)


def _located_problems(problems: Sequence[Problem], request: Request) -> Sequence[Problem]:
    if not problems:
        return problems
    from flow_core.spec import load_mapping, locate, read_flags

    ignored: list[Problem] = []
    _, flag_of = read_flags(request.given, problems=ignored)
    if not request.names_file:
        return locate(problems, flags=flag_of)
    _, positions = load_mapping(Path(request.words[0]), problems=ignored)
    return locate(problems, positions=positions, file=request.words[0], flags=flag_of)


def _submit(flow: Flow, plan: Plan, interrupts: Interrupts) -> tuple[Task, int | None]:
    """Return the task, and the signal that came while it was being submitted: no submit is left half done for one."""
    task: Task | None = None
    try:
        with interrupts.held(), Snapshot(interrupts):
            task = flow.submit_plan(plan)
    except Interrupted as signal_:
        if task is None:
            raise KeyboardInterrupt from signal_
        return task, signal_.number
    return task, None


def _print_id(flow: Flow, task: Task, as_json: bool) -> None:
    if as_json:
        emit(detail(flow, task.row), "run")
    else:
        sys.stdout.write(f"{task.id}\n")


def dry_run(request: Request) -> int:
    """Say what would run; nothing is written anywhere."""
    from flow_core.cli._dry_run import as_data, describe

    flow = Flow()
    plans = make_plans(flow, request, priced=True)
    _warn(plans, request)
    if request.as_json:
        shown = [as_data(flow, plan) for plan in plans]
        emit(shown if len(shown) > 1 else shown[0], "run")
    else:
        sys.stdout.write("\n".join(describe(flow, plan, request.verbose) for plan in plans))
    return 0
