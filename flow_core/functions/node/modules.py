"""Finding a function: in a file, in a module, by its name."""

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, List, Tuple


class MissingError(Exception):
    """There is no such file, module or function; the second argument says what to do."""


def file_module(path: str) -> Tuple[str, str]:
    """The module's name of a file, and the folder that is to be on ``sys.path``; packages are left upwards."""
    folder, name = os.path.dirname(path), os.path.splitext(os.path.basename(path))[0]
    words = [] if name == "__init__" else [name]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        words.insert(0, package)
    return ".".join(words), folder


def load_file(path: str) -> ModuleType:
    """Import a file as what it is: a module of its package, or one of its own. Raises MissingError."""
    if not os.path.isfile(path):
        raise MissingError("there is no file %s on this machine" % path, "is it within the code that is sent there?")
    name, folder = file_module(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if "." in name or os.path.basename(path) == "__init__.py":
        return importlib.import_module(name)
    return _single(path, name)


def _single(path: str, name: str) -> ModuleType:
    known = sys.modules.get(name)
    if known is not None and _same(getattr(known, "__file__", None), path):
        return known
    if known is not None or not name.isidentifier() or name in getattr(sys, "stdlib_module_names", ()):
        name = "flow_file_" + "".join(char if char.isalnum() else "_" for char in name)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MissingError("%s is no Python file" % path, "name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _same(one: Any, other: str) -> bool:
    return isinstance(one, str) and os.path.exists(one) and os.path.samefile(one, other)


def member(module: ModuleType, name: str) -> Any:
    """What ``module`` has under a (dotted) name; of a decorated function the function itself. Raises MissingError."""
    found: Any = module
    for word in name.split("."):
        try:
            found = getattr(found, word)
        except AttributeError:
            near = suggestion(word, [key for key, value in vars(found).items() if callable(value)])
            raise MissingError("%s has no function %s" % (module.__name__, name), near) from None
    found = getattr(found, "__flow_local__", found)
    if not callable(found):
        raise MissingError("%s in %s is no function" % (name, module.__name__), "name a function")
    return found


def suggestion(word: str, names: List[str]) -> str:
    """What may have been meant."""
    import difflib

    near = difflib.get_close_matches(word, names, 1)
    return "did you mean %s?" % near[0] if near else "it has: %s" % (", ".join(sorted(names)[:8]) or "none")
