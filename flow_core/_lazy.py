"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def attribute(package: str, homes: Mapping[str, str], name: str) -> Any:
    """Return the public ``name`` of ``package`` and keep it there; ``homes``: module -> its names, space separated.

    For a package's ``__getattr__``. Raises AttributeError for a name that no module has.
    """
    for home, names in homes.items():
        if name in names.split():
            value = getattr(import_module(home), name)
            setattr(sys.modules[package], name, value)
            return value
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
