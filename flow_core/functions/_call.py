"""A call as a task: its config, and the files that ride to the node with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from flow_core.errors import ConfigError
from flow_core.functions.node import envelope
from flow_core.types import FunctionCall

if TYPE_CHECKING:
    from flow_core.functions._target import Target
    from flow_core.functions.node.envelope import Body
    from flow_core.types import ProviderFacts, TaskConfig

_PLACE, _PACKAGE = "function", "function/flow_on_node"


@attrs.frozen
class Call:
    """A function with its arguments, ready to travel; ``options`` are words that the node reads."""

    target: Target
    body: Body
    python: str
    options: Mapping[str, object] = attrs.field(factory=dict)

    @property
    def record(self) -> FunctionCall:
        """What the config says of it; the same call gives the same."""
        parts = sha256(b"".join(sha256(part).digest() for part in self.body.parts)).hexdigest()
        return FunctionCall(self.target.source, self.target.name, parts, self.body.codec, self.python)

    def files(self, lends_python: bool) -> dict[str, bytes]:
        """Return what rides along; where the node's Python is not the caller's, cloudpickle too."""
        header = {
            "file": self.target.file,
            "module": self.target.module,
            "name": self.target.name,
            "by_value": self.target.value is not None,
            "paths": list(self.target.paths),
            **self.options,
        }
        files = {f"{_PLACE}/call": envelope.pack({"kind": "call", "call": header}, self.body)}
        own = Path(envelope.__file__).parent
        for path in own.glob("*.py"):
            name = f"{_PLACE}/__main__.py" if path.name == "start.py" else f"{_PACKAGE}/{path.name}"
            files[name] = path.read_bytes()
        return files if lends_python else {**files, **_cloudpickle()}


def make_call(
    target: Target,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    python: str,
    options: Mapping[str, object],
) -> Call:
    """Put the arguments into bytes. Raises ConfigError that names the one that cannot be pickled."""
    given = [list(arguments), dict(keywords)]
    try:
        with _by_value(target):
            body = envelope.encode(given if target.value is None else [target.value, *given])
    except envelope.UnpicklableError as error:
        raise _culprit(target, arguments, keywords, error) from error
    return Call(target, body, python, options)


@contextmanager
def _by_value(target: Target) -> Iterator[None]:
    """Have what the function's module defines travel too, where the node could not import that."""
    module = sys.modules.get(target.module)
    if target.value is None or module is None or not target.alone:
        yield
        return
    import cloudpickle  # type: ignore[import-untyped]

    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _culprit(
    target: Target, arguments: Sequence[Any], keywords: Mapping[str, Any], error: envelope.UnpicklableError
) -> ConfigError:
    for word, value in [*enumerate(arguments, 1), *keywords.items()]:
        try:
            envelope.encode(value)
        except envelope.UnpicklableError as reason:
            hint = "send plain data, arrays, or the path of a file"
            return ConfigError(f"argument {word} of {target.name} cannot be sent: {reason}", hint)
    hint = "what it refers to must be picklable; open files and connections inside it"
    return ConfigError(f"{target.name} cannot be sent: {error}", hint)


def interpreter(python: str | None, config: TaskConfig, facts: ProviderFacts) -> str:
    """Return the Python that calls it: as asked, else this one where the node sees its files, else ``python3``."""
    if python is not None:
        return python
    return sys.executable if facts.shares_client_files and config.image is None else "python3"


def _cloudpickle() -> dict[str, bytes]:
    import cloudpickle

    folder = Path(cloudpickle.__file__).parent
    return {f"{_PLACE}/lib/cloudpickle/{path.name}": path.read_bytes() for path in folder.glob("*.py")}
