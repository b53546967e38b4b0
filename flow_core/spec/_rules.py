"""What must hold between the parts of a task; parts that could not be read are passed over."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from flow_core.spec._report import INVALID, Report

Values = Mapping[str, Any]


def check_rules(values: Values, report: Report) -> None:
    """Note everything that does not fit together in ``values``, the fields that were given."""
    for rule in (_one_thing_to_run, _targets_apart, _secrets_apart, _ports_apart, _health_has_port):
        rule(values, report)


def _one_thing_to_run(values: Values, report: Report) -> None:
    command, function = values.get("command"), values.get("function")
    if command is None and function is None:
        report.add("command", "NO_COMMAND", "no command", "write what to run, as `command: python train.py`")
    elif command is not None and function not in (None, INVALID):
        report.add("command", "CONFLICT", "a function is given too", "leave one of them out")


def _targets_apart(values: Values, report: Report) -> None:
    taken: dict[str, str] = {}
    for path, target in _targets(values):
        if target in taken:
            report.add(path, "DUPLICATE", f"{target} is taken by {taken[target]}", "give each a path of its own")
        else:
            taken[target] = path
    for target, path in taken.items():
        outer = next((str(parent) for parent in PurePosixPath(target).parents if str(parent) in taken), None)
        if outer is not None:
            message = f"{target} lies inside {outer}, the target of {taken[outer].removesuffix('.target')}"
            report.add(path, "CONFLICT", message, "put them beside each other")


def _targets(values: Values) -> Iterator[tuple[str, str]]:
    for word in ("mounts", "volumes"):
        for path, item in _items(values, word):
            yield f"{path}.target", "/" + posixpath.normpath(item.target).lstrip("/")


def _secrets_apart(values: Values, report: Report) -> None:
    env = values.get("env")
    taken = {name: f"env.{name}" for name in env} if isinstance(env, dict) else {}
    files: dict[str, str] = {}
    for path, secret in _items(values, "secrets"):
        if secret.env in taken:
            message = f"the variable {secret.env} is set by {taken[secret.env]} too"
            report.add(f"{path}.env", "DUPLICATE", message, f"write {secret.name}=OTHER_NAME, or leave one out")
        elif secret.env is not None:
            taken[secret.env] = path
        if secret.file in files:
            report.add(f"{path}.file", "DUPLICATE", f"{secret.file} is written by {files[secret.file]} too")
        elif secret.file is not None:
            files[secret.file] = path


def _ports_apart(values: Values, report: Report) -> None:
    taken: dict[str, str] = {}
    for path, port in _items(values, "ports"):
        variable = port.name.upper().replace("-", "_")
        if variable in taken:
            hint = f"give each a name of its own, as {port.name}2={port.port}"
            report.add(f"{path}.name", "DUPLICATE", f"{taken[variable]} has the name {port.name} too", hint)
        else:
            taken[variable] = path


def _health_has_port(values: Values, report: Report) -> None:
    health, ports = values.get("health"), values.get("ports") or ()
    if health in (None, INVALID) or INVALID in (ports if isinstance(ports, tuple) else (INVALID,)):
        return
    names = [port.name for port in ports]
    if health.http is not None and not names:
        report.add("health.http", "NO_PORT", "there is no port to ask on", "write `ports: [8080]`")
    elif health.tcp is not None and health.tcp not in names:
        has = f"the ports are {', '.join(names)}" if names else "write `ports: [8080]` and `tcp: main`"
        report.add("health.tcp", "NO_PORT", f'no port has the name "{health.tcp}"', has)


def _items(values: Values, word: str) -> Iterator[tuple[str, Any]]:
    items = values.get(word)
    for index, item in enumerate(items if isinstance(items, tuple) else ()):
        if item is not INVALID:
            yield f"{word}[{index}]", item
