"""What may stand at every place of a task, as data: the reader and the JSON Schema are both made from this table."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flow_core.spec import _short
from flow_core.spec._compound import Listing, Mapped, Record, Section
from flow_core.spec._report import INVALID, Report, Wrong
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
    wrong_type,
)
from flow_core.types import (
    CodeSpec,
    FunctionCall,
    HealthSpec,
    Mount,
    PortSpec,
    Resources,
    SecretRef,
    VolumeSpec,
    parse_instance_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAME = r"[a-z0-9][a-z0-9._-]{0,47}"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_LABEL = r"[a-z0-9._-]{1,63}"
_KEY = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
_TASK = r"(any:)?[A-Za-z0-9][A-Za-z0-9._-]*"
_VOLUME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_PORT = r"[A-Za-z][A-Za-z0-9_-]{0,31}"
_DURATION_PATTERN = (
    r"^\s*([0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?([mM][sS]|[sSmMhHdDwW]))+|([0-9]+-)?[0-9]+:[0-5][0-9]:[0-5][0-9])\s*$"
)
_SIZE_PATTERN = r"^\s*([0-9]+|[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP][iI]?)?[bB])\s*$"

SIGNALS: Final = (
    *("ABRT", "ALRM", "BUS", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "PROF", "PWR", "QUIT", "SEGV"),
    *("SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ"),
)
"""Names that every POSIX system knows (signal(7)), without STOP and CHLD, which ask nothing of a task."""

CODE_MODES: Final = ("inplace", "snapshot", "none")
RESTARTS: Final = ("no", "on-failure", "always")


def fit_name(word: str) -> str:
    """Return the nearest task name to ``word``, or an empty text when nothing of it can stand in one."""
    return re.sub(r"[^a-z0-9._-]+", "-", word.lower()).lstrip("._-")[:48].rstrip("._-")


def _command(value: object) -> str | tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        word = text(value) if isinstance(value, str) else _not_a_command(value)
        if not word.strip():
            raise Wrong("is blank", "write what to run, as `python train.py`", "NO_COMMAND")
        return word
    words = tuple(_argument(index, word) for index, word in enumerate(value))
    if not words or not words[0].strip():
        raise Wrong("names no program", "write what to run, as [python, train.py]", "NO_COMMAND")
    return words


def _not_a_command(value: object) -> str:
    raise wrong_type("text or a list of arguments", value)


def _argument(index: int, value: object) -> str:
    try:
        return text(value)
    except Wrong as error:
        raise Wrong(f"argument {index} {error.message}", error.hint, error.code) from error


def _instance_type(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong_type("a type", value, f"write how many of what, as {value}xh100" if 0 < value < 10**6 else "")
    word = filled(value)
    if len(word) > 128 or any(letter.isspace() for letter in word):
        raise Wrong(f"{quoted(word)} is not a type", "write 8xh100, a100, cpu or the provider's own name")
    try:
        parse_instance_type(word)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise Wrong(message, hint) from error
    return word


def _signal(value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type("a signal's name", value, "write TERM, INT or USR1")
    word = text(value)
    name = word.upper().removeprefix("SIG")
    if word.removeprefix("SIG") in SIGNALS:
        return name
    raise Wrong(
        f"{quoted(word)} is not a signal",
        f"write {name}" if name in SIGNALS else "write TERM, INT or USR1",
        "UNKNOWN_WORD",
    )


def _target(value: object) -> str:
    path = filled(value)
    if not path.startswith("/"):
        raise Wrong(f"{quoted(path)} is not absolute", "begin it with /")
    if ".." in path.split("/"):
        raise Wrong(f"{quoted(path)} holds ..", "write the path without it")
    if len(path) > 4095:
        raise Wrong("is longer than any path can be: 4095 bytes")
    if not path.strip("/."):
        raise Wrong("is the root of the node, which cannot be covered", "write a folder below it")
    return path


def _file(value: object) -> str:
    path = filled(value)
    if ".." in path.split("/"):
        raise Wrong(f"{quoted(path)} holds ..", "write the path without it")
    return path


def _glob(value: object) -> str:
    pattern = filled(value)
    if pattern.startswith("/"):
        raise Wrong(f"{quoted(pattern)} is absolute", "write it relative to the working folder")
    if ".." in pattern.split("/"):
        raise Wrong(f"{quoted(pattern)} holds ..; only files below the working folder are kept")
    return pattern


def _source(value: object) -> str:
    source = filled(value)
    if source == "volume:":
        raise Wrong("names no volume", "write volume:NAME")
    return source


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
    elif "env" not in found and name is not INVALID and not re.fullmatch(_VARIABLE, name, re.ASCII):
        variable = re.sub(r"\W", "_", name, flags=re.ASCII).upper()
        hint = f"write {name}={'_' * variable[:1].isdigit()}{variable}"
        report.add(path, "BAD_VALUE", f"{quoted(name)} cannot be a variable", hint)
    elif found.get("env", "") is None and file is None:
        report.add(path, "MISSING", "goes nowhere: neither env nor file is set", "write one of them")


def _http_path(value: object) -> str:
    path = filled(value)
    if not path.startswith("/"):
        raise Wrong(f"{quoted(path)} is not a URL path", "begin it with /")
    return path


def _port_name(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong_type("the name of a port", value, "write the name that the port has under ports, as main")
    return filled(value)


def _function(value: object) -> FunctionCall:
    if isinstance(value, FunctionCall):
        return value
    raise Wrong("is set by flow.invoke and @flow.function only", "write command instead")


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
_PATH = _text(_target, pattern="^/")
_SIGNAL = Scalar(_signal, {"type": "string", "pattern": f"^(SIG)?({'|'.join(SIGNALS)})$"})

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
    {"source": _text(_source), "target": _PATH, "read_only": _FLAG},
    required=("source", "target"),
    expand=_short.mount,
    short={"type": "string", "pattern": _short.MOUNT_PATTERN},
)

_VOLUME_SPEC = Record(
    VolumeSpec,
    {
        "name": _pattern(_VOLUME, "a volume's name"),
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
    {"name": _text(), "env": _pattern(_VARIABLE, "a variable's name"), "file": _text(_file)},
    required=("name",),
    expand=_short.secret,
    short={"type": "string", "pattern": _short.SECRET_PATTERN},
    rule=_secret_rule,
    nullable=("env",),
)

_PORT_SPEC = Record(
    PortSpec,
    {"port": _integer(0, 65535), "name": _pattern(_PORT, "a port's name")},
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
        "http": _text(_http_path, pattern="^/"),
        "tcp": _text(_port_name),
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
        "command": Scalar(_command, {"anyOf": [{"type": "string", "pattern": r"\S"}, _ARGUMENTS]}),
        "function": Scalar(_function, {"not": {}}),
        "name": _pattern(NAME, "a task's name: a-z, 0-9 and . _ -, at most 48, the first a letter or digit", fit_name),
        "instance_type": _text(_instance_type),
        "num_instances": _integer(1, 1024),
        "processes_per_node": _integer(1),
        "resources": RESOURCES,
        "image": _text(),
        "env": Mapped(matching(_VARIABLE, "a variable's name"), _text(text), _VARIABLE),
        "secrets": Listing(_SECRET, "NAME"),
        "working_dir": _text(),
        "code": _CODE,
        "mounts": Listing(_MOUNT, '"./data:/data"'),
        "volumes": Listing(_VOLUME_SPEC, '"data:/data"'),
        "outputs": Listing(_text(_glob, pattern=r"^[^/]"), '"out/*.pt"'),
        "ports": Listing(_PORT_SPEC, "8080"),
        "health": _HEALTH,
        "restart": _words(*RESTARTS),
        "time_limit": _seconds(above_zero=True),
        "grace": _seconds(above_zero=False),
        "stop_signal": _SIGNAL,
        "preempt_signal": _SIGNAL,
        "retries": _integer(0, 100),
        "max_preemptions": _integer(0),
        "depends_on": Listing(_pattern(_TASK, "TASK (after it succeeded) or any:TASK (after it ended)"), "TASK"),
        "priority": _integer(-100, 100),
        "spot": _FLAG,
        "max_price_per_hour": Scalar(money, _MONEY),
        "region": _text(),
        "keep": _seconds(above_zero=False),
        "labels": Mapped(matching(_LABEL, "a label's name: a-z, 0-9 and . _ -, at most 63"), _text(text), _LABEL, 32),
        "result_store": _text(),
        "idempotency_key": _pattern(_KEY, "a key: letters, digits and . _ : -, at most 128, no sign first"),
        "provider": _text(),
    }
)
"""Every word of a task but ``options``, which have a section for each provider."""

SECTION: Final = Section()

SHORT_WORDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"gpu": FIELDS["instance_type"], **{word: RESOURCES.fields[word] for word in ("cpus", "memory", "disk")}}
)
"""Words at top level that stand for others: ``gpu`` for ``instance_type``, the rest for words of ``resources``."""
