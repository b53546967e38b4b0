"""A frontend as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flow_core.faces._face import Face
from flow_core.types import FrontendTask, TaskConfig

_SECONDS = 5.0


class Frontend(Face):
    """One opened frontend."""

    bounds = dict.fromkeys(("flow_frontend_detect", "flow_frontend_read", "flow_frontend_environment"), _SECONDS)

    @property
    def name(self) -> str:
        """The name of its entry point."""
        return self._scope.name

    def detect(self, source: str) -> float:
        """Say how sure the frontend is that the file ``source`` is its own, 0 to 1."""
        hook = "flow_frontend_detect"
        answer = self._call(hook, source=source)
        if isinstance(answer, bool) or not isinstance(answer, (int, float)) or not 0 <= answer <= 1:
            raise self._scope.wrong_answer(hook, answer, "a number from 0 to 1")
        return float(answer)

    def read(self, source: str, arguments: Sequence[str] = ()) -> list[FrontendTask]:
        """Read the tasks of a file. Raises ConfigError with problems."""
        hook = "flow_frontend_read"
        return self._listed(hook, self._call(hook, source=source, arguments=tuple(arguments)), FrontendTask)

    def environment(self, config: TaskConfig, rank: int) -> dict[str, str]:
        """Return the variables that the file's body expects on ``rank``; none where the frontend has nothing to say."""
        hook = "flow_frontend_environment"
        if hook not in self.supports:
            return {}
        found: Mapping[object, object] = self._mapped(hook, self._call(hook, config=config, rank=rank))
        return {self._typed(hook, name, str): self._typed(hook, value, str) for name, value in found.items()}
