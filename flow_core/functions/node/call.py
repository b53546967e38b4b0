"""One call of a function: read what is asked, call it, write what became of it."""

import json
import os
import sys
import traceback
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import envelope, modules
from .envelope import Body, Header

Doc = Dict[str, Any]


class RefusedError(Exception):
    """The function cannot be called here; the second argument says what to do."""


class Call(NamedTuple):
    """What is asked for: the header of its envelope, the function, and the arguments of a single call."""

    header: Header
    function: Callable[..., Any]
    arguments: List[Any]
    keywords: Dict[str, Any]

    @property
    def plain(self) -> bool:
        """Whether only JSON may go back."""
        return bool(self.header["call"].get("plain"))


def read(folder: str, path: str) -> Call:
    """The call that stands in the file ``path`` of a task's folder. Raises RefusedError, or what an import raises."""
    with open(path, "rb") as file:
        header, parts = envelope.open_parts(memoryview(bytearray(file.read())))
    _set_path(folder, header["call"])
    return _read(folder, header, parts)


def _read(folder: str, header: Header, parts: List[memoryview]) -> Call:
    asked = header["call"]
    try:
        function = None if asked["by_value"] else _find(folder, asked)
        value = envelope.decode(header, parts)
    except envelope.SkewError as error:
        hint = "use the same Python there (python=...), or keep the function in a file"
        raise RefusedError("the function cannot be called: %s" % error, hint) from error
    except modules.MissingError as error:
        raise RefusedError(*error.args) from error
    except ModuleNotFoundError as error:
        raise RefusedError(
            "%s cannot be imported on the node: %s" % (asked["file"] or asked["module"], error),
            "install %s for %s there, or have it among the code that is sent" % (error.name, sys.executable),
        ) from error
    if asked["by_value"]:
        function, *value = value
    assert function is not None
    return Call(header, function, *(value or ([], {})))


def _find(folder: str, asked: Doc) -> Callable[..., Any]:
    if asked["file"]:
        module = modules.load_file(os.path.join(code(folder), asked["file"]))
    else:
        module = __import__(asked["module"], fromlist=["*"])
    found: Callable[..., Any] = modules.member(module, asked["name"])
    return found


def code(folder: str) -> str:
    """Where the user's code is."""
    with open(folder + "/bundle.json", "rb") as file:
        kept = json.load(file)["code"]
    return str(kept["root"]) if kept["mode"] == "inplace" else folder + "/code"


def _set_path(folder: str, asked: Doc) -> None:
    """Have what the caller could import, as far as it is here; an own cloudpickle goes before the node's."""
    root = code(folder) if asked["paths"] else ""
    found = [os.path.normpath(os.path.join(root, path)) for path in asked["paths"]]
    sys.path[:0] = [path for path in found if path not in sys.path]


def run(call: Call, arguments: List[Any], keywords: Dict[str, Any]) -> Tuple[str, Body, Optional[BaseException]]:
    """Call it; return ``value`` or ``error`` with the body that says it, and what was raised."""
    try:
        value = call.function(*arguments, **keywords)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return "error", describe(error, call.plain), error
    if hasattr(value, "send") and hasattr(value, "throw"):
        kind = type(value).__name__
        said = "%s returned a %s, which cannot leave its process" % (call.header["call"]["name"], kind)
        return "error", refusal(said, "return a list, or write an ordinary function"), None
    try:
        return "value", envelope.encode(value, call.plain), None
    except envelope.UnpicklableError as error:
        said = "%s returned a %s that cannot be sent back: %s" % (
            call.header["call"]["name"],
            type(value).__name__,
            error,
        )
        return "error", refusal(said, "return plain data, arrays or objects that can be pickled"), None


def refusal(message: str, hint: str) -> Body:
    """What Flow itself says instead of a value."""
    return Body("json", False, [json.dumps({"refused": message, "hint": hint}).encode()])


def describe(error: BaseException, plain: bool) -> Body:
    """An exception: what can be said of it, and itself when it can be pickled and read again."""
    doc: Doc = {
        "module": type(error).__module__,
        "type": type(error).__qualname__,
        "message": _text(error),
        "traceback": traceback_of(error),
        "exit": _status(error),
    }
    arguments = [*error.args]
    if _is_builtin(error) and envelope._plain(arguments, 1000):
        doc["arguments"] = arguments
    body = Body("json", False, [json.dumps(doc).encode()])
    if plain or "arguments" in doc or doc["exit"] is not None:
        return body
    kept = _pickled(error)
    return body if kept is None else Body("json", kept.by_value, body.parts + kept.parts)


def _pickled(error: BaseException) -> Optional[Body]:
    """The exception as a pickle; None when that cannot be read again, as when its ``__init__`` wants more."""
    try:
        body = envelope._pickled(error)
        again = envelope.decode({"codec": "pickle", "by_value": False}, [memoryview(part) for part in body.parts])
    except Exception:
        return None
    return body if type(again) is type(error) else None


def _is_builtin(error: BaseException) -> bool:
    kind = type(error)
    return kind.__module__ == "builtins" and kind.__reduce__ is BaseException.__reduce__ and not error.__dict__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its text cannot be made)"


def _status(error: BaseException) -> Optional[int]:
    """What ``sys.exit`` was called with, as an exit code; None when it was not."""
    if not isinstance(error, SystemExit):
        return None
    return error.code if isinstance(error.code, int) else 0 if error.code is None else 1


def traceback_of(error: BaseException) -> str:
    """The traceback as Python shows it, from the function on."""
    here = os.path.dirname(os.path.abspath(__file__))
    start = error.__traceback__
    while start is not None and os.path.dirname(os.path.abspath(start.tb_frame.f_code.co_filename)) == here:
        start = start.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, start))
    except Exception:
        return "%s: %s\n" % (type(error).__name__, _text(error))
