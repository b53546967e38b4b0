"""One settings file: what it says and at which line and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flow_core.errors import ConfigError, StateError
from flow_core.settings._model import Place
from flow_core.types import Problem

_LARGEST = 1 << 20
Positions = Mapping[Place, tuple[int, int]]


def read_text(path: Path) -> str | None:
    """Return the text of ``path``, None when there is no such file.

    Raises :class:`ConfigError` when it is not UTF-8 or over 1 MiB, :class:`StateError` when it cannot be read.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(
            f"cannot read {path}: {error.strerror}", "make it readable for you, or move it away"
        ) from error
    try:
        if len(data) > _LARGEST:
            raise ValueError("is larger than 1 MiB, which no settings file needs")
        return data.decode("utf-8-sig")
    except ValueError as error:
        message = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise invalid([Problem("", "NOT_SETTINGS", message, file=str(path))]) from error


def parse(text: str, file: str) -> tuple[dict[str, Any], Positions]:
    """Return (mapping, positions by place) of YAML ``text``. Raises :class:`ConfigError` with the place in ``file``."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, {}
        problems = list(_misshapen(node, file))
        if problems:
            raise invalid(problems)
        return loader.construct_document(node), dict(_positions(node, ()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        said = getattr(error, "problem", None) or " ".join(str(error).split())
        raise invalid([Problem("", "YAML", f"is not YAML: {said}", file=file, line=line, column=column)]) from error
    except (ValueError, RecursionError) as error:  # dates that do not exist, thousands of levels
        raise invalid([Problem("", "YAML", f"cannot be read: {error}", file=file)]) from error
    finally:
        loader.dispose()


def invalid(problems: list[Problem]) -> ConfigError:
    """Return the one error that holds ``problems``."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ConfigError(f"{count} in the settings", problems=problems)


def _misshapen(node: Any, file: str) -> Iterator[Problem]:
    """Yield what YAML allows and settings do not: another shape than a mapping, aliases, keys twice or not text."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        yield _at(node, "", "WRONG_TYPE", "settings are a mapping of names to values", file)
    seen: set[int] = set()
    todo: list[tuple[Any, Place]] = [(node, ())]
    while todo:
        part, place = todo.pop()
        if id(part) in seen:
            yield _at(
                part, ".".join(place), "ALIAS", "aliases are not allowed in settings: write the value again", file
            )
            continue
        seen.add(id(part))
        if isinstance(part, yaml.SequenceNode):
            todo += [(item, place) for item in part.value]
        elif isinstance(part, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in part.value:
                inner = (*place, str(key.value))
                if key.tag != "tag:yaml.org,2002:str":
                    yield _at(
                        key, ".".join(inner), "KEY_NOT_TEXT", "a name must be text", file, f'quote it: "{key.value}"'
                    )
                elif key.value in keys:
                    yield _at(key, ".".join(inner), "TWICE", "stands here a second time", file, "keep one of them")
                keys.add(str(key.value))
                todo.append((value, inner))


def _positions(node: Any, place: Place) -> Iterator[tuple[Place, tuple[int, int]]]:
    if node.id == "mapping":
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield inner, (key.start_mark.line + 1, key.start_mark.column + 1)
            yield from _positions(value, inner)


def _at(node: Any, path: str, code: str, message: str, file: str, hint: str = "") -> Problem:
    return Problem(
        path, code, message, hint, file=file, line=node.start_mark.line + 1, column=node.start_mark.column + 1
    )
