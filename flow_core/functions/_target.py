"""Which function is meant, and how the node finds it: in a file, in a module, or in the call itself."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from flow_core.errors import ConfigError
from flow_core.functions.node import modules


@attrs.frozen
class Target:
    """A function as the node finds it: ``file`` below the code folder, else ``module``, else (``value``) by value.

    ``alone``: its module cannot be imported elsewhere, and what it needs of that travels with it.
    """

    name: str
    file: str = ""
    module: str = ""
    value: Callable[..., Any] | None = None
    paths: tuple[str, ...] = ()
    alone: bool = False

    @property
    def source(self) -> str:
        """Where it stands, for people."""
        return self.file or self.module or "__main__"


def in_file(file: str | os.PathLike[str], name: str, cwd: Path, root: Path) -> Target:
    """Return the function ``name`` of a file; nothing is imported here. Raises ConfigError when it is not there."""
    path = Path(os.path.abspath(cwd / os.path.expanduser(file)))
    if not path.is_file():
        raise ConfigError(f"there is no file {file}", "name a Python file, as src/train.py")
    if not path.is_relative_to(root):
        raise ConfigError(f"{file} is outside the code folder {root}", "name a folder above both with code=")
    _check_name(path, name)
    return Target(name, file=str(path.relative_to(root)), paths=_paths(root))


def of_callable(function: Callable[..., Any], root: Path) -> Target:
    """Return how to find a function: by its name where another process can import it, else it travels itself."""
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", None) or ""
    if module and module != "__main__" and _is_member(module, name, function):
        file = _file_below(module, root)
        if file or _is_importable(module):
            return Target(name, file=file, module="" if file else module, paths=_paths(root))
    shown = (name or type(function).__qualname__).rpartition(".")[2].strip("<>")
    alone = module in sys.modules and not _file_below(module, root) and not _is_importable(module)
    return Target(shown, module=module, value=function, paths=_paths(root), alone=alone)


def _is_member(module: str, name: str, function: Callable[..., Any]) -> bool:
    found: Any = sys.modules.get(module)
    if getattr(found, "__spec__", None) is None:  # a notebook, or made by hand
        return False
    for word in name.split("."):
        found = getattr(found, word, None)
    return getattr(found, "__flow_local__", found) is function


def _is_importable(module: str) -> bool:
    """Whether another process finds the same module by its name."""
    if module == "__main__":
        return False
    above, _, _ = module.rpartition(".")
    if above and not _is_importable(above):
        return False
    path = getattr(sys.modules.get(above), "__path__", None)
    found = (finder.find_spec(module, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    spec = next((spec for spec in found if spec is not None), None)
    return spec is not None and spec.origin == getattr(sys.modules[module].__spec__, "origin", None)


def _file_below(module: str, root: Path) -> str:
    """Return the module's file relative to the code folder; empty for what is installed."""
    file = getattr(sys.modules[module], "__file__", None) or ""
    path = Path(os.path.abspath(file)) if file.endswith(".py") else None
    if path is None or not path.is_relative_to(root) or _is_installed(str(path)):
        return ""
    return str(path.relative_to(root)) if modules.file_module(str(path))[0] == module else ""


def _is_installed(path: str) -> bool:
    kept = sysconfig.get_paths()
    homes = {kept[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(path == home or path.startswith(home + os.sep) for home in homes)


def _paths(root: Path) -> tuple[str, ...]:
    """Return what this process can import from besides what is installed; below the code folder relative to it."""
    found = (os.path.abspath(entry) for entry in sys.path)
    own = [path for path in found if not _is_installed(path) and os.path.isdir(path)]
    return tuple(os.path.relpath(path, root) if Path(path).is_relative_to(root) else path for path in own)


def _check_name(path: Path, name: str) -> None:
    import symtable

    text = path.read_text("utf-8", "replace")
    try:
        names = list(symtable.symtable(text, str(path), "exec").get_identifiers())
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is not a Python file: {error}", "name a file that Python can run") from error
    first = name.split(".")[0]
    made = any(word in text for word in ("import *", "globals(", "exec(", "setattr(", "__getattr__"))
    if first not in names and not made:
        near = modules.suggestion(first, _functions(text))
        raise ConfigError(f"{path} has no function {name}; {near}", "name a function of the file")


def _functions(text: str) -> list[str]:
    import ast

    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(text).body if isinstance(node, kinds)]
