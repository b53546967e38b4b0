"""What became of a call: its value, or the exception that it ended with."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from flow_core.errors import CapabilityError, RemoteError, StateError, TaskFailed
from flow_core.functions.node import envelope, modules

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAPPED = 1 << 20  # bytes: larger files are mapped


class RemoteTraceback(Exception):  # noqa: N818 - shown as the cause of what it tells of
    """The traceback on the node, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class Reading:
    """How results of one call are read: whose they are, whether pickles are trusted, and the file of the function."""

    def __init__(self, name: str, trusted: bool = True, file: str = "") -> None:
        self._name, self._trusted, self._file = name, trusted, file

    def open(self, file: BinaryIO) -> tuple[envelope.Header, list[memoryview]]:
        """Return what is in a file; large parts stay there, mapped privately. Raises StateError when it is damaged."""
        return self.check(_view(file))

    def check(self, view: memoryview) -> tuple[envelope.Header, list[memoryview]]:
        """As :meth:`open`, of an envelope in memory."""
        try:
            return envelope.open_parts(view)
        except envelope.DamagedError as error:
            raise StateError(f"the result of {self._name} is damaged: {error}", "call it again") from error

    def outcome(self, header: envelope.Header, parts: Sequence[memoryview]) -> Any:
        """Return the value in parts that were checked, or raise what is in them."""
        if header["kind"] == "error":
            raise self._error(header, list(parts))
        try:
            return envelope.decode(header, list(parts), self._trusted, self._load)
        except envelope.UntrustedError as error:
            hint = "trust it, or have the function return plain data"
            raise CapabilityError(f"the result of {self._name} was not read: {error}", hint) from error
        except envelope.SkewError as error:
            hint = "return plain data, or use the same Python there"
            raise CapabilityError(f"the result of {self._name} cannot be read: {error}", hint) from error
        except Exception as error:  # by whatever the pickle calls
            hint = "have what the result is made of importable here"
            raise CapabilityError(f"the result of {self._name} cannot be read here: {error}", hint) from error

    def _load(self, data: memoryview, *, buffers: Sequence[memoryview]) -> Any:
        return _Unpickler(io.BytesIO(data), self._file, buffers).load()

    def _error(self, header: envelope.Header, parts: list[memoryview]) -> BaseException:
        import json

        doc = json.loads(bytes(parts[0]))
        if "refused" in doc:
            return TaskFailed(doc["refused"], doc["hint"])
        cause = RemoteTraceback(doc["traceback"])
        if doc["exit"] is not None:
            ended: BaseException = TaskFailed(
                f"{self._name} ended its process with sys.exit({doc['exit']})",
                "return a value",
                task_exit_code=doc["exit"],
            )
        else:
            ended = self._exception(header, parts, doc)
        ended.__cause__ = cause
        return ended

    def _exception(self, header: envelope.Header, parts: list[memoryview], doc: dict[str, Any]) -> BaseException:
        found = None
        if "arguments" in doc:
            found = _builtin(doc)
        elif parts[1:] and self._trusted and not (header["by_value"] and header["python"] != envelope.PYTHON):
            found = self._pickled(parts)
        if found is not None:
            return found
        kind = f"{doc['module']}.{doc['type']}"
        message = f"{self._name} raised {kind}: {doc['message']}"
        return RemoteError(message, "its traceback on the node is the cause of this error", type_name=kind)

    def _pickled(self, parts: list[memoryview]) -> BaseException | None:
        try:
            found = self._load(parts[1], buffers=parts[2:])
        except Exception:  # its type is not here, or cannot be made here
            return None
        return found if isinstance(found, BaseException) else None


def _builtin(doc: dict[str, Any]) -> BaseException | None:
    kind = getattr(builtins, doc["type"], None)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        return None  # another Python's
    made: BaseException = kind(*doc["arguments"])
    return made


class _Unpickler(pickle.Unpickler):
    """Finds also what the function's own file defines, which need not be on ``sys.path`` here."""

    def __init__(self, data: io.BytesIO, file: str, buffers: Sequence[memoryview]) -> None:
        super().__init__(data, buffers=buffers)
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        if module not in sys.modules and self._file and _is_of(module, self._file):
            modules.load_file(self._file)
        return super().find_class(module, name)


def _is_of(module: str, file: str) -> bool:
    name = modules.file_module(file)[0]
    return module.split(".")[0] == name.split(".")[0] or module.startswith("flow_file_")


def _view(file: BinaryIO) -> memoryview:
    size = os.fstat(file.fileno()).st_size
    if size < _MAPPED:
        return memoryview(bytearray(file.read()))
    import mmap

    return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY))
