"""Writes the project of a new plugin: complete, green in the conformance kit as written, and yours from then on."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import attrs

from flow_core.errors import ConfigError, ConflictError, StateError
from flow_core.plugins._metadata import core_version

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_LONGEST = 40
_RESERVED = frozenset({"core"})  # flow-core is this distribution


@attrs.frozen
class Kind:
    """What differs between the kinds: the entry-point ``group``, the class's ``suffix`` and the ``summary``."""

    group: str
    suffix: str
    summary: str
    needs: tuple[str, ...] = ()
    test_needs: tuple[str, ...] = ("flow-core[testing]", "mypy>=1.11")


KINDS: Mapping[str, Kind] = {
    "provider": Kind("flow.providers", "Provider", "Flow provider: runs tasks on {}.", ("attrs>=23.2",)),
    "frontend": Kind(
        "flow.frontends",
        "Frontend",
        "Flow frontend: reads tasks as {} says them.",
        ("PyYAML>=6",),
        ("flow-core[testing]", "mypy>=1.11", "types-PyYAML"),
    ),
    "result-store": Kind("flow.result_stores", "Store", "Flow result store: keeps results in {}.", ("attrs>=23.2",)),
    "secret-store": Kind("flow.secret_stores", "Secrets", "Flow secret store: secrets of {}.", ("attrs>=23.2",)),
    "command": Kind("flow.commands", "", "Flow command: {}.", ("click>=8.1",)),
    "host": Kind("flow.plugins", "Plugin", "Flow plugin: the policy of {}.", ("attrs>=23.2",)),
}
"""The kinds of plugin that can be begun, by the word of the command line."""

_FILES: Mapping[str, str] = {
    "pyproject.toml": "common/pyproject.toml",
    "README.md": "{kind}/README.md",
    "LICENSE": "common/LICENSE",
    ".gitignore": "common/gitignore",
    ".github/workflows/test.yml": "common/test.yml",
    "src/{module}/__init__.py": "{kind}/plugin.py",
    "tests/test_{module}.py": "{kind}/test.py",
}
"""File of the project -> template."""


def create(kind: str, name: str, folder: Path | None = None) -> list[Path]:
    """Write the project of a new plugin into ``folder`` (default: ``flow-NAME`` here) and return its files.

    Raises ConfigError for a kind or a name that cannot be, ConflictError when the folder holds anything already.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is no kind of plugin", f"the kinds are {', '.join(KINDS)}")
    check_name(name)
    target = Path(f"flow-{name}") if folder is None else folder
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConflictError(f"{target} is there already, and nothing of it is overwritten", "name another with --path")
    words = _words(kind, name)
    return [_write(target / path.format(**words), template.format(kind=kind), words) for path, template in _paths()]


def check_name(name: str) -> None:
    """Raise ConfigError when no plugin can have the name: it is an entry point, a distribution and a module at once."""
    if name.startswith(("flow-", "flow_")) and _NAME.fullmatch(name[5:]):
        raise ConfigError(f"the project of {name!r} would be called flow-{name}", f"say {name[5:]}")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        hint = f"use lower-case letters, digits and single -, beginning with a letter, at most {_LONGEST}"
        raise ConfigError(f"{name!r} cannot name a plugin", hint)
    module = _module(name)
    if name in _RESERVED or module in sys.stdlib_module_names or keyword.iskeyword(module):
        raise ConfigError(f"flow-{name} is taken", "choose another name")


def _paths() -> list[tuple[str, str]]:
    return [*_FILES.items(), ("src/{module}/py.typed", "")]


def _module(name: str) -> str:
    return f"flow_{name.replace('-', '_')}"


def _words(kind: str, name: str) -> dict[str, str]:
    chosen = KINDS[kind]
    camel = "".join(part.capitalize() for part in name.split("-"))
    major, minor = core_version().split(".")[:2]
    return {
        "module": _module(name),
        "MODULE": _module(name),
        "NAME": name,
        "UPPER": name.upper().replace("-", "_"),
        "DISTRIBUTION": f"flow-{name}",
        "CLASS": camel,
        "OBJECT": f"{camel}{chosen.suffix}" if chosen.suffix else "command",
        "GROUP": chosen.group,
        "SUMMARY": chosen.summary.format(name),
        "OLDEST_CORE": f"{major}.{minor}",
        "DEPENDENCIES": _listed(f"flow-core>={major}.{minor},<{int(major) + 1}", *chosen.needs),
        "TEST_DEPENDENCIES": _listed(*chosen.test_needs),
    }


def _listed(*requirements: str) -> str:
    return ", ".join(f'"{requirement}"' for requirement in requirements)


def _write(path: Path, template: str, words: Mapping[str, str]) -> Path:
    text = _filled(template, words) if template else ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}", "name another folder with --path") from error
    return path


def _filled(template: str, words: Mapping[str, str]) -> str:
    source = files("flow_core.plugins") / "templates" / f"{template}.in"
    return re.sub(r"@([A-Z_]+)@", lambda found: words[found[1]], source.read_text(encoding="utf-8"))
