"""The short text forms of mounts, volumes, secrets, ports and code; each becomes the mapping that it is short for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flow_core.spec._report import Wrong
from flow_core.spec._scalar import quoted, text, wrong_type
from flow_core.types import parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

_GB = 10**9

MOUNT_PATTERN = r"^.+:/[^/].*$"
VOLUME_PATTERN = r"^[^:]+(:/[^:]*(:[^:]+)?)?$"
SECRET_PATTERN = r"^[^=]+(=.+)?$"
PORT_PATTERN = r"^([^=]+=)?[0-9]+$"


def mount(value: object) -> Mapping[str, object]:
    """Read ``SRC:DST[:ro]``; the source may hold colons of its own, as ``bucket://name/data:/data``."""
    word = _text(value)
    body = word.removesuffix(":ro")
    source, colon, target = body.rpartition(":")
    if not (source and colon) or target.startswith("//"):
        raise Wrong(
            f"{quoted(word)} is not SRC:DST[:ro]",
            "write ./data:/data, ./data:/data:ro or volume:NAME:/data",
        )
    return {"source": source, "target": target, "read_only": body != word}


def volume(value: object) -> Mapping[str, object]:
    """Read ``NAME[:DST[:SIZE]]``; with a size the volume is made when it is missing."""
    word = _text(value)
    name, *rest = word.split(":")
    if len(rest) > 2 or not all((name, *rest)):
        raise Wrong(f"{quoted(word)} is not NAME[:DST[:SIZE]]", "write data, data:/data or data:/data:100GB")
    given: dict[str, object] = {"name": name}
    if rest:
        given["target"] = rest[0]
    return given | ({"size_gb": _whole_gb(rest[1]), "create": True} if len(rest) == 2 else {})


def secret(value: object) -> Mapping[str, object]:
    """Read ``NAME[=ENV]``."""
    name, equals, env = _text(value).partition("=")
    return {"name": name, "env": env} if equals else {"name": name}


def port(value: object) -> Mapping[str, object]:
    """Read ``[NAME=]N`` or the bare number."""
    if isinstance(value, int):
        return {"port": value}
    word = _text(value)
    found = re.fullmatch(r"(?:([^=]*)=)?(\d{1,9})", word, re.ASCII)
    if not found:
        raise Wrong(f"{quoted(word)} is not [NAME=]N", "write 8080 or web=8080")
    return {"port": int(found[2])} | ({} if found[1] is None else {"name": found[1]})


def code(value: object) -> Mapping[str, object]:
    """Read the mode alone."""
    return {"mode": value}


def _text(value: object) -> str:
    if isinstance(value, int):
        raise wrong_type("text or a mapping", value)
    return text(value)


def _whole_gb(word: str) -> int:
    if word.isdigit() or len(word) > 32:
        raise Wrong(f"the size {quoted(word)} has no unit", f"write {word[:32]}GB")
    try:
        whole, rest = divmod(parse_size(word), _GB)
    except ValueError as error:
        raise Wrong(f"the size {quoted(word)} is not understood", "write 100GB or 2TB") from error
    if rest or not whole:
        raise Wrong(f"the size {quoted(word)} is not a whole number of GB (10**9 bytes)", f"write {whole + 1}GB")
    return whole
