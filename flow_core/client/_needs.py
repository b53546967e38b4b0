"""What a task needs of this machine before it is submitted: its code, its secrets, the tasks it waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flow_core.errors import ConfigError, FlowError
from flow_core.types import Problem, TaskConfig, parse_ref

if TYPE_CHECKING:
    from flow_core.client._session import Session
    from flow_core.faces import Provider, ResultStore
    from flow_core.journal import TaskRow

_ANY = "any:"


def not_there(session: Session, provider: Provider, config: TaskConfig) -> Iterator[Problem]:
    """Name what is missing."""
    yield from _code(session, provider, config)
    yield from _secrets(session, config)
    for number, word in enumerate(config.depends_on):
        found = _dependency(session, provider.profile, word, f"depends_on[{number}]")
        if isinstance(found, Problem):
            yield found


def not_kept(session: Session, provider: Provider, config: TaskConfig) -> Iterator[Problem]:
    """Name why what the task keeps would not reach its result store."""
    from flow_core.client._keeping import is_shared, store_of
    from flow_core.settings._model import OWN_STORE

    name = store_of(config, session.choose(provider.profile))
    if name is None:
        return
    try:
        store = session.result_store(name)
        tickets = "flow_result_ticket" in store.supports
    except FlowError as error:
        wrong = error.problems if isinstance(error, ConfigError) else ()
        yield from wrong or [Problem("result_store", "NO_STORE", error.message, error.hint)]
        return
    most = session.settings.result_store(name).store.max_bytes
    if most is not None and (problem := _no_room(store, most)) is not None:
        yield problem
    reached = tickets and (
        is_shared(session, provider, name) or session.settings.result_store(name).provider != OWN_STORE
    )
    if not reached and "flow_node_access" not in provider.supports:
        message = f"nothing that {provider.profile} runs can reach the result store {name}"
        yield Problem("outputs", "NO_RESULT_STORE", message, "name one that gives tickets with `result_store`")


def _no_room(store: ResultStore, most: int) -> Problem | None:
    from flow_core.results import used
    from flow_core.types import format_size

    size = used(store)
    if size < most:
        return None
    message = f"the result store {store.name} is full: {format_size(size)} of {format_size(most)}"
    return Problem("result_store", "STORE_FULL", message, "make room with: flow gc, or flow artifacts rm TASK")


def _code(session: Session, provider: Provider, config: TaskConfig) -> Iterator[Problem]:
    from flow_core.bundle import code_mode, code_root

    root = code_root(config, session.cwd)
    if code_mode(config, provider.facts) != "none" and not root.is_dir():
        yield Problem("code.root", "NO_FOLDER", f"{root} is not a folder", "name the folder that holds your code")


def _secrets(session: Session, config: TaskConfig) -> Iterator[Problem]:
    hint = "set it in the environment or keep it with: flow secret set NAME"
    missing = [name for name, value in _values(session, config).items() if value is None]
    yield from (Problem("secrets", "NO_SECRET", f"no value is known for {name}", hint) for name in missing)


def find_secrets(session: Session, config: TaskConfig) -> dict[str, str]:
    """Return the values of the secrets that the config names. Raises ConfigError that names all that are missing."""
    problems = list(_secrets(session, config))
    if problems:
        names = ", ".join(name for name, value in _values(session, config).items() if value is None)
        raise ConfigError(f"no value is known for the secret {names}", problems[0].hint, problems=problems)
    return {name: value for name, value in _values(session, config).items() if value is not None}


def _values(session: Session, config: TaskConfig) -> dict[str, str | None]:
    if not config.secrets:
        return {}
    from flow_core.secrets import find

    found = {ref.name: find(ref.name, session.secret_stores) for ref in config.secrets}
    return {name: None if secret is None else secret.reveal() for name, secret in found.items()}


def dependencies(session: Session, provider: Provider, words: Sequence[str]) -> list[dict[str, object]]:
    """Return what ``depends_on`` names, with the provider's references. Raises ConfigError with every problem."""
    found = [_dependency(session, provider.profile, word, f"depends_on[{n}]") for n, word in enumerate(words)]
    if problems := [one for one in found if isinstance(one, Problem)]:
        raise ConfigError(problems[0].message, problems[0].hint, problems=problems)
    rows = [(word, row) for word, row in zip(words, found, strict=True) if not isinstance(row, Problem)]
    return [{"task": row.id, "ref": parse_ref(row.ref or "")[2].id, "any": word.startswith(_ANY)} for word, row in rows]


def _dependency(session: Session, profile: str, word: str, path: str) -> TaskRow | Problem:
    try:
        row = session.journal.find(word.removeprefix(_ANY))
    except FlowError as error:
        return Problem(path, "NO_TASK", error.message, error.hint)
    if row.profile != profile:
        message = f"{row.id} runs on {row.profile}, and {profile} cannot wait for it"
        return Problem(
            path, "OTHER_PROVIDER", message, f"run it on {row.profile}, or submit it when that one has ended"
        )
    if row.ref is None:
        message = f"{row.id} was never submitted" if row.is_final else f"{row.id} is still being submitted"
        return Problem(path, "NOT_SUBMITTED", message, "name another task" if row.is_final else "try again")
    return row
