"""What may stand at every place of a task, as data: the reader and the JSON Schema are both made from this table."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flow_core.spec import _short
from flow_core.spec._compound import Listing, Mapped, Record, Section
from flow_core.spec._report import INVALID, Report
from flow_core.spec._scalar import (
    Kind,
    Scalar,
    boolean,
    duration,
    filled,
    integer,
    matching,
    money,
    number,
    one_of,
    quoted,
    size,
    text,
)
from flow_core.spec._words import (
    CODE_MODES,
    KEY,
    LABEL,
    NAME,
    PORT,
    RESTARTS,
    SIGNALS,
    TASK,
    VARIABLE,
    VOLUME,
    command,
    file_path,
    fit_name,
    function_call,
    glob,
    http_path,
    instance_type,
    port_name,
    signal,
    source,
    target,
)
from flow_core.types import (
    CodeSpec,
    HealthSpec,
    Mount,
    PortSpec,
    Resources,
    SecretRef,
    VolumeSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_DURATION_PATTERN = (
    r"^\s*([0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?([mM][sS]|[sSmMhHdDwW]))+|([0-9]+-)?[0-9]+:[0-5][0-9]:[0-5][0-9])\s*$"
)
_SIZE_PATTERN = r"^\s*([0-9]+|[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP][iI]?)?[bB])\s*$"


def _health_rule(report: Report, path: str, found: Mapping[str, Any]) -> None:
    kinds = [kind for kind in ("http", "tcp", "command") if found.get(kind) is not None]
    if len(kinds) != 1:
        said = f"has {' and '.join(kinds)}" if kinds else "says not how to ask"
        report.add(
            path,
            "CONFLICT" if kinds else "MISSING",
            f"{said}; exactly one of http, tcp and command is needed",
        )


def _secret_rule(report: Report, path: str, found: Mapping[str, Any]) -> None:
    name, file = found.get("name", INVALID), found.get("file")
    if "env" not in found and file is not None:
        found["env"] = None  # type: ignore[index]  # asked for as a file, it is in no variable
    elif "env" not in found and name is not INVALID and not re.fullmatch(VARIABLE, name, re.ASCII):
        variable = re.sub(r"\W", "_", name, flags=re.ASCII).upper()
        hint = f"write {name}={'_' * variable[:1].isdigit()}{variable}"
        report.add(path, "BAD_VALUE", f"{quoted(name)} cannot be a variable", hint)
    elif found.get("env", "") is None and file is None:
        report.add(path, "MISSING", "goes nowhere: neither env nor file is set", "write one of them")


def _text(parse: Callable[[object], object] = filled, **shape: object) -> Scalar:
    blank = {} if parse is text else {"pattern": r"\S"}
    return Scalar(parse, {"type": "string", **blank, **shape})


def _pattern(pattern: str, expected: str, fit: Callable[[str], str] | None = None) -> Scalar:
    return Scalar(matching(pattern, expected, fit), {"type": "string", "pattern": f"^(?:{pattern})$"})


def _integer(low: int, high: int | None = None) -> Scalar:
    if high is None:
        return Scalar(integer(low), {"type": "integer", "minimum": low})
    return Scalar(integer(low, high), {"type": "integer", "minimum": low, "maximum": high})


def _words(*words: str) -> Scalar:
    return Scalar(one_of(words), {"enum": list(words)})


def _seconds(*, above_zero: bool) -> Scalar:
    least = {"exclusiveMinimum": 0} if above_zero else {"minimum": 0}
    shape = {"anyOf": [{"type": "number", **least}, {"type": "string", "pattern": _DURATION_PATTERN}]}
    return Scalar(duration(above_zero=above_zero), shape)


def _number(*, above_zero: bool) -> Scalar:
    least = {"exclusiveMinimum": 0} if above_zero else {"minimum": 0}
    return Scalar(number(0.0, above=above_zero), {"type": "number", **least})


_SIZE = Scalar(
    size,
    {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "pattern": _SIZE_PATTERN}]},
)
_FLAG = Scalar(boolean, {"type": "boolean"})
_MODE = _words(*CODE_MODES)
_PATH = _text(target, pattern="^/")
_SIGNAL = Scalar(signal, {"type": "string", "pattern": f"^(SIG)?({'|'.join(SIGNALS)})$"})

RESOURCES: Final = Record(
    Resources,
    {
        "gpu": _text(),
        "gpu_count": _integer(0),
        "gpu_memory": _SIZE,
        "cpus": _number(above_zero=True),
        "memory": _SIZE,
        "disk": _SIZE,
    },
)

_MOUNT = Record(
    Mount,
    {"source": _text(source), "target": _PATH, "read_only": _FLAG},
    required=("source", "target"),
    expand=_short.mount,
    short={"type": "string", "pattern": _short.MOUNT_PATTERN},
)

_VOLUME_SPEC = Record(
    VolumeSpec,
    {
        "name": _pattern(VOLUME, "a volume's name"),
        "target": _PATH,
        "size_gb": _integer(1),
        "create": _FLAG,
        "kind": _text(),
        "read_only": _FLAG,
        "encrypted": _FLAG,
    },
    required=("name",),
    expand=_short.volume,
    short={"type": "string", "pattern": _short.VOLUME_PATTERN},
)

_SECRET = Record(
    SecretRef,
    {"name": _text(), "env": _pattern(VARIABLE, "a variable's name"), "file": _text(file_path)},
    required=("name",),
    expand=_short.secret,
    short={"type": "string", "pattern": _short.SECRET_PATTERN},
    rule=_secret_rule,
    nullable=("env",),
)

_PORT_SPEC = Record(
    PortSpec,
    {"port": _integer(0, 65535), "name": _pattern(PORT, "a port's name")},
    required=("port",),
    expand=_short.port,
    short={
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 65535},
            {"type": "string", "pattern": _short.PORT_PATTERN},
        ]
    },
)

_CODE = Record(
    CodeSpec,
    {"mode": _MODE, "root": _text(), "include": Listing(_text()), "exclude": Listing(_text())},
    expand=_short.code,
    short=_MODE.schema(),
)

_HEALTH = Record(
    HealthSpec,
    {
        "http": _text(http_path, pattern="^/"),
        "tcp": _text(port_name),
        "command": _text(),
        "start_period": _seconds(above_zero=False),
        "interval": _seconds(above_zero=True),
        "timeout": _seconds(above_zero=True),
        "failures": _integer(1),
    },
    rule=_health_rule,
)

_ARGUMENTS = {"type": "array", "minItems": 1, "items": {"type": "string"}}
_MONEY = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,30})?$"},
    ]
}

FIELDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "command": Scalar(command, {"anyOf": [{"type": "string", "pattern": r"\S"}, _ARGUMENTS]}),
        "function": Scalar(function_call, {"not": {}}),
        "name": _pattern(NAME, "a task's name: a-z, 0-9 and . _ -, at most 48, the first a letter or digit", fit_name),
        "instance_type": _text(instance_type),
        "num_instances": _integer(1, 1024),
        "processes_per_node": _integer(1),
        "resources": RESOURCES,
        "image": _text(),
        "env": Mapped(matching(VARIABLE, "a variable's name"), _text(text), VARIABLE),
        "secrets": Listing(_SECRET, "NAME"),
        "working_dir": _text(),
        "code": _CODE,
        "mounts": Listing(_MOUNT, '"./data:/data"'),
        "volumes": Listing(_VOLUME_SPEC, '"data:/data"'),
        "outputs": Listing(_text(glob, pattern=r"^[^/]"), '"out/*.pt"'),
        "ports": Listing(_PORT_SPEC, "8080"),
        "health": _HEALTH,
        "restart": _words(*RESTARTS),
        "time_limit": _seconds(above_zero=True),
        "grace": _seconds(above_zero=False),
        "stop_signal": _SIGNAL,
        "preempt_signal": _SIGNAL,
        "retries": _integer(0, 100),
        "max_preemptions": _integer(0),
        "depends_on": Listing(_pattern(TASK, "TASK (after it succeeded) or any:TASK (after it ended)"), "TASK"),
        "priority": _integer(-100, 100),
        "spot": _FLAG,
        "max_price_per_hour": Scalar(money, _MONEY),
        "region": _text(),
        "keep": _seconds(above_zero=False),
        "labels": Mapped(matching(LABEL, "a label's name: a-z, 0-9 and . _ -, at most 63"), _text(text), LABEL, 32),
        "result_store": _text(),
        "idempotency_key": _pattern(KEY, "a key: letters, digits and . _ : -, at most 128, no sign first"),
        "provider": _text(),
    }
)
"""Every word of a task but ``options``, which have a section for each provider."""

SECTION: Final = Section()

SHORT_WORDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"gpu": FIELDS["instance_type"], **{word: RESOURCES.fields[word] for word in ("cpus", "memory", "disk")}}
)
"""Words at top level that stand for others: ``gpu`` for ``instance_type``, the rest for words of ``resources``."""
