"""Secrets: values that do not print, where they are kept, how they are found, and how they are masked in output."""

from flow_core.secrets._credential import Credential, CredentialPlugin, Credentials, CredentialSource
from flow_core.secrets._logging import redact_event
from flow_core.secrets._redact import RedactedStream, Redactor
from flow_core.secrets._secret import Secret
from flow_core.secrets._stores import (
    CallableStore,
    EnvironmentStore,
    FileStore,
    KeyringStore,
    Store,
    WritableStore,
    delete,
    find,
    list_names,
    local_stores,
    set_,
    standard_stores,
)

__all__ = [
    "CallableStore",
    "Credential",
    "CredentialPlugin",
    "CredentialSource",
    "Credentials",
    "EnvironmentStore",
    "FileStore",
    "KeyringStore",
    "RedactedStream",
    "Redactor",
    "Secret",
    "Store",
    "WritableStore",
    "delete",
    "find",
    "list_names",
    "local_stores",
    "redact_event",
    "set_",
    "standard_stores",
]
