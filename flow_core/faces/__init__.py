"""The typed face of each plugin kind: what the rest of the program calls; the hooks are behind it."""

from flow_core.faces._open import open_provider
from flow_core.faces._provider import Provider

__all__ = ["Provider", "open_provider"]
