"""What can go wrong, as classes: callers and retries decide by class, never by reading a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from flow_core.types import Problem


class FlowError(Exception):
    """Any error that Flow raises on purpose: what happened, to what, and in ``hint`` what to do.

    ``exit_code`` is what the command line exits with, ``code`` the word that scripts match on.
    """

    code: ClassVar[str] = "ERROR"
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, hint: str = "", details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = dict(details or {})


class ConfigError(FlowError):
    """A task, a file or a setting asks for something that cannot be understood; ``problems`` holds all of it."""

    code = "CONFIG"
    exit_code = 64

    def __init__(
        self,
        message: str,
        hint: str = "",
        details: Mapping[str, object] | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message, hint, details)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n  ".join([self.message, *map(str, self.problems)])


class AuthError(FlowError):
    """The credentials are missing, wrong or expired."""

    code = "AUTH"
    exit_code = 65


class NotFoundError(FlowError):
    """The thing that was named does not exist."""

    code = "NOT_FOUND"
    exit_code = 66


class LogsGoneError(NotFoundError):
    """A task's logs went with its machine, and no store has them."""

    code = "LOGS_GONE"


class CapabilityError(FlowError):
    """The provider cannot do this; it was refused before anything happened."""

    code = "CAPABILITY"
    exit_code = 67


class ConflictError(FlowError):
    """It exists already with other content, or is in use."""

    code = "CONFLICT"
    exit_code = 68


class UnavailableError(FlowError):
    """There is no capacity, or the thing is not up (yet)."""

    code = "UNAVAILABLE"
    exit_code = 69


class ProviderError(FlowError):
    """A provider raised something that is not a :class:`FlowError`: its fault, named with the hook."""

    code = "PROVIDER"
    exit_code = 70

    def __init__(self, message: str, hint: str = "", *, provider: str = "", hook: str = "") -> None:
        super().__init__(message, hint, {"provider": provider, "hook": hook})
        self.provider = provider
        self.hook = hook


class QuotaError(FlowError):
    """The account or the machine does not allow so much."""

    code = "QUOTA"
    exit_code = 71


class PluginError(FlowError):
    """A plugin is missing, broken or does not fit; names the distribution and its version."""

    code = "PLUGIN"
    exit_code = 72

    def __init__(self, message: str, hint: str = "", *, distribution: str = "") -> None:
        super().__init__(message, hint, {"distribution": distribution})
        self.distribution = distribution


class StateError(FlowError):
    """Flow's own files cannot be read or written: a full disk, a read-only folder, a damaged journal."""

    code = "STATE"
    exit_code = 73


class TransientError(FlowError):
    """It may work when tried again; from a submit it means that the outcome is unknown.

    ``retry_after``: seconds the other side asked to wait, or None.
    """

    code = "TRANSIENT"
    exit_code = 75

    def __init__(self, message: str, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class TaskLostError(FlowError):
    """The task ended and nobody knows how: no exit code was recorded anywhere."""

    code = "LOST"
    exit_code = 76


class PolicyError(FlowError):
    """A policy plugin refused the task, with its reason."""

    code = "POLICY"
    exit_code = 77


class TaskFailed(FlowError):  # noqa: N818 - the field's word, as in subprocess.CalledProcessError's spirit
    """A task that was asked to succeed did not; ``exit_code`` of the task is in ``task_exit_code``."""

    code = "TASK_FAILED"
    exit_code = 1

    def __init__(self, message: str, hint: str = "", *, task_exit_code: int | None = None) -> None:
        super().__init__(message, hint, {"exit_code": task_exit_code})
        self.task_exit_code = task_exit_code


class RemoteError(TaskFailed):
    """A function raised an exception whose type is not known here; ``type_name`` names it, the cause is its traceback."""

    code = "REMOTE"

    def __init__(self, message: str, hint: str = "", *, type_name: str = "") -> None:
        super().__init__(message, hint, task_exit_code=1)
        self.type_name = type_name


EXIT_CODES: Mapping[int, str] = {
    2: "USAGE",
    **{
        kind.exit_code: kind.code
        for kind in (
            ConfigError,
            AuthError,
            NotFoundError,
            CapabilityError,
            ConflictError,
            UnavailableError,
            ProviderError,
            QuotaError,
            PluginError,
            StateError,
            TransientError,
            TaskLostError,
            PolicyError,
        )
    },
}
"""Flow's own exit codes; ``run``, ``wait``, ``logs -f`` and ``exec`` otherwise pass the task's."""
