"""The runner's document: a :class:`TaskConfig` in plain JSON values, with every client-side path made absolute."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from flow_core.errors import ConfigError
from flow_core.spec import to_mapping
from flow_core.types import Bundle, Mount, Problem, ProviderFacts, SecretBox, SecretRef, TaskConfig, parse_instance_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flow_core.bundle._select import Selection

SCHEMA = "flow.bundle/1"
INPLACE, SNAPSHOT, NONE = "inplace", "snapshot", "none"
_FIRST_DELAY, _MAX_DELAY = 1.0, 60.0
_NO_FILES: Mapping[str, bytes] = MappingProxyType({})
_NO_ENV: Mapping[int, Mapping[str, str]] = MappingProxyType({})


def code_mode(config: TaskConfig, facts: ProviderFacts) -> str:
    """Return how the code reaches the node: as the config says, else in place where the provider sees our files."""
    return config.code.mode or (INPLACE if facts.shares_client_files else SNAPSHOT)


def code_root(config: TaskConfig, cwd: Path) -> Path:
    """Return the absolute folder of the user's code; links stay, so that the task sees the path the user knows."""
    return Path(os.path.abspath(os.path.join(cwd, os.path.expanduser(config.code.root))))


def rooted(config: TaskConfig, cwd: Path) -> TaskConfig:
    """Return the config with the folders it names made absolute, for those who read it where another one is current."""
    mounts = tuple(attrs.evolve(mount, source=_source(mount.source, cwd)) for mount in config.mounts)
    return attrs.evolve(config, code=attrs.evolve(config.code, root=str(code_root(config, cwd))), mounts=mounts)


def build(
    config: TaskConfig,
    *,
    task_id: str,
    request_id: str,
    name: str,
    facts: ProviderFacts,
    secrets: Mapping[str, str],
    cwd: Path,
    created_at: float,
    first_attempt: int = 1,
    command: tuple[str, ...] | None = None,
    files: Mapping[str, bytes] = _NO_FILES,
    rank_env: Mapping[int, Mapping[str, str]] = _NO_ENV,
    selection: Selection | None = None,
    depends_on: Sequence[Mapping[str, object]] = (),
) -> Bundle:
    """Return what travels to the node: a JSON document without any secret's value, files, code and secrets.

    ``secrets`` holds values by name, ``cwd`` is what relative paths stand on, ``created_at`` is UTC seconds.
    ``command`` stands in for that of the config; ``files`` (relative path -> bytes) ride along, a function's call too;
    ``rank_env`` holds variables of single ranks, below the task's own.
    ``depends_on`` holds ``{"task", "ref", "any"}`` of the tasks to wait for. ``selection`` is used for a snapshot when
    the caller has made one already. Raises ConfigError when a secret has no value, the code folder is missing or there
    is nothing to run.
    """
    mode, root = code_mode(config, facts), code_root(config, cwd)
    snapshot = _snapshot(config, mode, root, selection)
    document = {
        "schema": SCHEMA,
        "config": to_mapping(config),
        "task_id": task_id,
        "request_id": request_id,
        "token": os.urandom(16).hex(),  # what programs of the task, on all of its nodes, may know each other by
        "name": name,
        "created_at": created_at,
        "first_attempt": first_attempt,
        "num_instances": config.num_instances,
        "processes_per_node": config.processes_per_node,
        "command": _command(config, command),
        "working_dir": _working_dir(config, mode, root),
        "env": dict(config.env),
        "rank_env": {str(rank): dict(env) for rank, env in rank_env.items()},
        "env_pass": [],
        "limits": _limits(config),
        "retry": {"retries": config.retries, "delay": _FIRST_DELAY, "max_delay": _MAX_DELAY},
        "max_preemptions": config.max_preemptions,
        "restart": config.restart,
        "health": attrs.asdict(config.health) if config.health else None,
        "ports": [attrs.asdict(port) for port in config.ports],
        "code": {"mode": mode, "root": str(root) if mode == INPLACE else None},
        "mounts": [_mount(mount, cwd) for mount in config.mounts],
        "volumes": [],
        "image": {"reference": config.image} if config.image else None,
        "outputs": list(config.outputs),
        "labels": dict(config.labels),
        "priority": config.priority,
        "depends_on": list(depends_on),
        "secrets": _secrets(config.secrets),
        "files": {path: sha256(data).hexdigest() for path, data in files.items()},
    }
    return Bundle(
        document=document,
        files=files,
        secrets=_box(config.secrets, secrets),
        code=None if snapshot is None else str(snapshot.root),
        code_files=() if snapshot is None else snapshot.files,
    )


def _snapshot(config: TaskConfig, mode: str, root: Path, selection: Selection | None) -> Selection | None:
    if mode == INPLACE and not root.is_dir():
        raise _missing(root)
    if mode != SNAPSHOT:
        return None
    from flow_core.bundle._select import select

    return selection or select(root, config.code.include, config.code.exclude)


def _missing(root: Path) -> ConfigError:
    problem = Problem("code.root", "NO_FOLDER", f"{root} is not a folder", "name the folder that holds your code")
    return ConfigError(f"the code folder {root} does not exist", problem.hint, problems=[problem])


def _command(config: TaskConfig, command: tuple[str, ...] | None) -> dict[str, object]:
    chosen = config.command if command is None else command
    if chosen is None and config.function is not None:
        chosen = f'exec {config.function.python} "$FLOW_TASK_DIR/files/function"'
    if chosen is None:
        raise ConfigError("the task has nothing to run", "give it a command")
    return {"shell": chosen} if isinstance(chosen, str) else {"argv": list(chosen)}


def _working_dir(config: TaskConfig, mode: str, root: Path) -> str | None:
    """Absolute where our folders are used; else as the user wrote it, relative to the code's copy on the node."""
    if mode != INPLACE:
        return config.working_dir
    return os.path.normpath(root / os.path.expanduser(config.working_dir or "."))


def _limits(config: TaskConfig) -> dict[str, object]:
    needs, kind = config.resources, parse_instance_type(config.instance_type or "cpu")
    cpus, gpus = (kind.count, None) if kind.is_cpu else (None, kind.count)
    return {
        "time_limit": config.time_limit,
        "grace": config.grace,
        "stop_signal": config.stop_signal,
        "preempt_signal": config.preempt_signal,
        "cpus": needs.cpus if needs.cpus is not None else cpus,
        "memory": needs.memory,
        "gpu_count": needs.gpu_count or gpus or 0,
    }


def _mount(mount: Mount, cwd: Path) -> dict[str, object]:
    return {**attrs.asdict(mount), "source": _source(mount.source, cwd)}


def _source(source: str, cwd: Path) -> str:
    if source.startswith("volume:") or "://" in source:
        return source
    return os.path.normpath(cwd / os.path.expanduser(source))


def _secrets(refs: tuple[SecretRef, ...]) -> dict[str, object]:
    """Which secret becomes which variable, and which file: names only."""
    return {
        "names": {ref.env: ref.name for ref in refs if ref.env and not ref.file},
        "files": {ref.file: ref.name for ref in refs if ref.file},
    }


def _box(refs: tuple[SecretRef, ...], values: Mapping[str, str]) -> SecretBox:
    missing = sorted(ref.name for ref in refs if ref.name not in values)
    if missing:
        hint = "set it in the environment or store it with `flow secret set`"
        problems = [Problem("secrets", "NO_SECRET", f"there is no secret named {name}", hint) for name in missing]
        raise ConfigError(f"no value for the secret {', '.join(missing)}", hint, problems=problems)
    return SecretBox({ref.name: values[ref.name] for ref in refs})
