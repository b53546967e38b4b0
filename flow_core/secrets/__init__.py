"""Secrets: values that do not print, where they are kept, how they are found, and how they are masked in output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core.secrets._credential import (
        Credential as Credential,
        CredentialPlugin as CredentialPlugin,
        Credentials as Credentials,
        CredentialSource as CredentialSource,
    )
    from flow_core.secrets._logging import (
        redact_event as redact_event,
    )
    from flow_core.secrets._redact import (
        RedactedStream as RedactedStream,
        Redactor as Redactor,
    )
    from flow_core.secrets._secret import (
        Secret as Secret,
    )
    from flow_core.secrets._stores import (
        CallableStore as CallableStore,
        EnvironmentStore as EnvironmentStore,
        FileStore as FileStore,
        KeyringStore as KeyringStore,
        Store as Store,
        WritableStore as WritableStore,
        delete as delete,
        find as find,
        list_names as list_names,
        local_stores as local_stores,
        set_ as set_,
        standard_stores as standard_stores,
    )

_HOMES = {
    "flow_core.secrets._credential": "Credential CredentialPlugin CredentialSource Credentials",
    "flow_core.secrets._logging": "redact_event",
    "flow_core.secrets._redact": "RedactedStream Redactor",
    "flow_core.secrets._secret": "Secret",
    "flow_core.secrets._stores": "CallableStore EnvironmentStore FileStore KeyringStore Store WritableStore delete find list_names local_stores set_ standard_stores",
}

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


def __getattr__(name: str) -> object:
    return attribute(__name__, _HOMES, name)
