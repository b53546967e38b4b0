"""Where secrets are kept: the environment, the system's keyring, a 0600 file, and what plugins offer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from flow_core.errors import ConfigError, FlowError, StateError, TransientError
from flow_core.secrets._private_file import locked, write_private
from flow_core.secrets._secret import Secret
from flow_core.waiting import bounded

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,254}", re.ASCII)


class Store(Protocol):
    """Something that may know a secret. ``label`` is how messages call it."""

    @property
    def label(self) -> str: ...

    def get(self, name: str) -> Secret | None:
        """Return the secret, or None when this store has none of that name."""


@runtime_checkable
class WritableStore(Store, Protocol):
    """A store that Flow may change."""

    def set(self, name: str, value: str) -> bool:
        """Keep ``value``; False when this store cannot be used here."""

    def delete(self, name: str) -> bool:
        """Forget ``name``; False when it was not there."""

    def names(self) -> Sequence[str]:
        """Return the names it keeps."""


class EnvironmentStore:
    """Variables of the environment, by their exact name."""

    label = "environment"

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def get(self, name: str) -> Secret | None:
        value = self._environ.get(name)
        return Secret(value, name) if value else None


class FileStore:
    """A JSON file that only its owner may read; refused when others can.

    It also remembers the names that were given to the keyring, which cannot list its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def label(self) -> str:
        return str(self._path)

    def get(self, name: str) -> Secret | None:
        value = self._read()["values"].get(name)
        return None if value is None else Secret(value, name)

    def set(self, name: str, value: str) -> bool:
        self._change(lambda content: content["values"].update({name: value}))
        return True

    def delete(self, name: str) -> bool:
        return (
            name in self._read()["values"]
            and self._change(lambda content: content["values"].pop(name, None)) is not None
        )

    def names(self) -> Sequence[str]:
        return sorted(self._read()["values"])

    def keyring_names(self) -> Sequence[str]:
        """Return the names that are in the keyring."""
        return sorted(self._read()["keyring"])

    def note_keyring(self, name: str, there: bool) -> None:
        """Remember whether ``name`` is in the keyring."""
        if (name in self._read()["keyring"]) != there:
            self._change(
                lambda content: content.update(
                    keyring=sorted({*content["keyring"], name} - ({name} if not there else set()))
                )
            )

    def _read(self) -> dict[str, Any]:
        try:
            with self._path.open("rb") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                    raise StateError(
                        f"{self._path} can be read by others, so it is not used", f"chmod 600 {self._path}"
                    )
                content = json.load(file)
        except FileNotFoundError:
            content = {}
        except OSError as error:
            raise StateError(f"cannot read {self._path}: {error.strerror}", "make it readable for you") from error
        except ValueError as error:
            raise StateError(
                f"{self._path} is damaged: {error}", "restore it, or move it away and log in again"
            ) from error
        return {"values": {}, "keyring": [], **content}

    def _change(self, change: Callable[[dict[str, Any]], T]) -> T:
        with locked(self._path):
            content = self._read()
            answer = change(content)
            write_private(self._path, json.dumps(content, indent=1, sort_keys=True).encode())
        return answer


class KeyringStore:
    """The system's keyring, where the package ``keyring`` finds one that works.

    A name ``a/b/c`` is the user ``c`` of the service ``a/b``; a plain name belongs to the service ``flow``. ``seconds``
    bounds each call: a keyring that waits for somebody to unlock it is left alone from then on.
    """

    def __init__(self, index: FileStore, seconds: float = 5.0, backend: Callable[[], Any] | None = None) -> None:
        self._index = index
        self._seconds = seconds
        self._find_backend = backend or _system_keyring
        self._trouble = ""

    @property
    def label(self) -> str:
        return f"keyring ({self._trouble})" if self._trouble else "keyring"

    def get(self, name: str) -> Secret | None:
        value = self._ask(lambda backend: backend.get_password(*_place(name)), None)
        return Secret(value, name) if value else None

    def set(self, name: str, value: str) -> bool:
        if not self._ask(lambda backend: backend.set_password(*_place(name), value) or True, False):
            return False
        self._index.note_keyring(name, True)
        return True

    def delete(self, name: str) -> bool:
        there = self._ask(lambda backend: _forget(backend, name), None)
        if there is None and name in self._index.keyring_names():
            raise StateError(f"{name} is in the keyring, which cannot be used now: {self._trouble}", "unlock it")
        self._index.note_keyring(name, False)
        return bool(there)

    def names(self) -> Sequence[str]:
        return self._index.keyring_names()

    def _ask(self, question: Callable[[Any], T], otherwise: T) -> T:
        if self._trouble:
            return otherwise
        try:
            return bounded(lambda: question(self._find_backend()), self._seconds, "the keyring")
        except TransientError:
            self._trouble = f"no answer within {self._seconds:g} s"
        except Exception as error:  # backends raise what their D-Bus or system library raises
            self._trouble = str(error) or type(error).__name__
        return otherwise


class CallableStore:
    """A plugin's function that returns a secret or None."""

    def __init__(self, ask: Callable[[str], Secret | None], label: str = "") -> None:
        self._ask = ask
        self.label = label or getattr(ask, "__qualname__", "plugin")

    def get(self, name: str) -> Secret | None:
        return self._ask(name)


def local_stores(config_dir: Path) -> tuple[WritableStore, ...]:
    """Return the stores that Flow may write to, in the order in which they are asked: keyring, then 0600 file."""
    file = FileStore(config_dir / "secrets.json")
    return KeyringStore(file), file


def standard_stores(
    config_dir: Path,
    plugins: Iterable[Callable[[str], Secret | None]] = (),
    environ: Mapping[str, str] | None = None,
) -> tuple[Store, ...]:
    """Return all stores in the order in which they are asked: ``environ``, keyring, file, ``plugins``."""
    return (EnvironmentStore(environ), *local_stores(config_dir), *(CallableStore(ask) for ask in plugins))


def find(name: str, stores: Iterable[Store]) -> Secret | None:
    """Return the first store's answer for ``name``, None when none has it.

    A store that cannot be asked is passed over; when no other has the secret, what it raised first is raised.
    """
    _check(name)
    failed: FlowError | None = None
    for store in stores:
        try:
            if (found := store.get(name)) is not None:
                return found
        except FlowError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return None


def set_(name: str, value: str, stores: Iterable[Store]) -> str:
    """Keep ``value`` in the first store that can be written to and return that store's label.

    Raises :class:`StateError` when there is none.
    """
    _check(name)
    for store in stores:
        if isinstance(store, WritableStore) and store.set(name, value):
            return store.label
    raise StateError(f"no store can keep the secret {name}", "see `flow doctor`")


def delete(name: str, stores: Iterable[Store]) -> bool:
    """Forget ``name`` in every store that can be written to; False when none had it."""
    _check(name)
    there = [store.delete(name) for store in stores if isinstance(store, WritableStore)]
    return any(there)


def list_names(stores: Iterable[Store]) -> Mapping[str, str]:
    """Return name -> label of the store that would answer for it, for the stores that can be written to."""
    found: dict[str, str] = {}
    for store in stores:
        if isinstance(store, WritableStore):
            found.update({name: store.label for name in store.names() if name not in found})
    return found


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name a secret", "use letters, digits and _ . / -")


def _place(name: str) -> tuple[str, str]:
    service, _, user = name.rpartition("/")
    return service or "flow", user


def _forget(backend: Any, name: str) -> bool:
    if backend.get_password(*_place(name)) is None:
        return False
    backend.delete_password(*_place(name))
    return True


def _system_keyring() -> Any:
    """Return the keyring that works here; an exception says why none does."""
    import keyring

    backend = keyring.get_keyring()
    if backend.priority <= 0:  # what `keyring` calls fail and null
        raise RuntimeError("none works here")
    return backend
