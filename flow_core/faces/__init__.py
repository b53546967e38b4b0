"""The typed face of each plugin kind: what the rest of the program calls; the hooks are behind it."""

from flow_core.faces._frontend import Frontend
from flow_core.faces._open import open_frontend, open_provider, open_result_store, open_secret_store
from flow_core.faces._provider import Provider
from flow_core.faces._result_store import ResultStore
from flow_core.faces._secret_store import SecretStore

__all__ = [
    "Frontend",
    "Provider",
    "ResultStore",
    "SecretStore",
    "open_frontend",
    "open_provider",
    "open_result_store",
    "open_secret_store",
]
