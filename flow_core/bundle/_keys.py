"""Names of files that hold keys and passwords, as the tools that make them call them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMES = (
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.agekey"),
    *(".env*", ".netrc", "_netrc", ".pgpass", ".pypirc", ".htpasswd", ".git-credentials", ".vault-token"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "credentials*", ".credentials*"),
)
_FOLDERS = frozenset({".ssh", ".aws", ".gnupg"})
# What the patterns above also catch and nobody keeps a secret in.
_HARMLESS = (
    "*.pub",
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "credentials*.py",
    "credentials*.pyi",
)


def is_key_like(path: str) -> bool:
    """Say whether ``path``, relative with ``/``, is named like a file that holds a key or a password."""
    parts = PurePosixPath(path).parts
    name = parts[-1].lower()
    if not _FOLDERS.isdisjoint(parts[:-1]):
        return True
    return any(fnmatchcase(name, p) for p in _NAMES) and not any(fnmatchcase(name, p) for p in _HARMLESS)


def names(patterns: Iterable[str], path: str) -> bool:
    """Say whether one of ``patterns`` names the file at ``path`` itself, not just a folder around it or everything."""
    return any(_names(pattern, PurePosixPath(path)) for pattern in patterns)


def _names(pattern: str, path: PurePosixPath) -> bool:
    last = pattern.rpartition("/")[2]
    return bool(last) and not pattern.startswith("!") and last.strip("*") != "" and fnmatchcase(path.name, last)
