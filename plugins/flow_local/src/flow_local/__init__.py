"""flow_local: runs Flow tasks as processes of this machine. They outlive the command, the terminal and the ssh session."""

from flow_local._provider import LocalProvider
from flow_local._settings import LocalSettings

__all__ = ["LocalProvider", "LocalSettings"]
