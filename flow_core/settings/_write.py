"""Changes one setting of a file and leaves the rest as its owner wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flow_core.errors import ConfigError
from flow_core.secrets._private_file import locked, write_private
from flow_core.settings._document import parse, read_text
from flow_core.settings._layers import Layer, put
from flow_core.settings._load import check_file
from flow_core.settings._model import Origin


def write(path: Path, key: str, value: object) -> None:
    """Set the dotted ``key`` to ``value`` in the settings file ``path``, 0600, made when it is missing.

    Comments and layout stay; only where a file is laid out so that the new value cannot be put in (a mapping in braces
    over several lines) is it written anew, without comments. Raises :class:`ConfigError`, and changes nothing, when the
    file would then be refused, :class:`StateError` when it cannot be written or another process holds it.
    """
    place = tuple(key.split("."))
    if not all(place):
        raise ConfigError(f"{key!r} is not the path of a setting", "write it as profiles.lab.provider")
    with locked(path):
        text = read_text(path) or ""
        wanted, _ = parse(text, str(path))
        put(wanted, place, value)
        check_file(Layer(wanted, lambda _: Origin("user", name=key)))
        write_private(path, _edited(text, place, value, wanted).encode())


def _edited(text: str, place: tuple[str, ...], value: object, wanted: Mapping[str, Any]) -> str:
    """Return ``text`` with the change made in place where that says ``wanted``, else ``wanted`` written anew."""
    try:
        edited = _patched(text, place, value)
        if parse(edited, "")[0] == wanted:
            return edited
    except ConfigError:
        pass
    return _dumped(wanted)


def _patched(text: str, place: tuple[str, ...], value: object) -> str:
    import yaml

    node = yaml.compose(text, Loader=yaml.SafeLoader)
    depth, value_node = 0, node
    while depth < len(place) and isinstance(value_node, yaml.MappingNode):
        inner = next((v for k, v in value_node.value if k.value == place[depth]), None)
        if inner is None:
            break
        node, value_node, depth = value_node, inner, depth + 1
    if depth == len(place) or not isinstance(value_node, yaml.MappingNode):
        return _replaced(text, node if depth else None, value_node, _nested(place[depth:], value))
    return _inserted(text, value_node, place[depth], _nested(place[depth + 1 :], value))


def _replaced(text: str, parent: Any, node: Any, value: object) -> str:
    if parent is None or node is None:
        return text + _dumped(value)
    start, end = node.start_mark.index, node.end_mark.index
    while end > start and text[end - 1] in " \n":
        end -= 1
    space = "" if start and text[start - 1].isspace() else " "
    return text[:start] + space + _inline(value) + text[end:]


def _inserted(text: str, parent: Any, key: str, value: object) -> str:
    """Return ``text`` with ``key`` as the last entry of the mapping ``parent``."""
    if parent.flow_style:
        at = parent.end_mark.index - 1
        comma = ", " if parent.value else ""
        return f"{text[:at].rstrip()}{comma}{_inline(key)}: {_inline(value)}{text[at:]}"
    at = _line_end(text, _content_end(parent))
    line = " " * parent.start_mark.column + f"{_inline(key)}: {_inline(value)}"
    return f"{text[:at]}\n{line}{text[at:]}" if text[:at] else f"{line}\n"


def _content_end(node: Any) -> int:
    """Return the index behind the last scalar below ``node``: its own end mark lies behind comments that follow."""
    if node.id == "scalar" or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _content_end(last[1] if node.id == "mapping" else last)


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _nested(place: tuple[str, ...], value: object) -> object:
    for key in reversed(place):
        value = {key: value}
    return value


def _inline(value: object) -> str:
    import yaml

    return (
        str(yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True))
        .removesuffix("\n")
        .removesuffix("\n...")
    )


def _dumped(value: object) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
