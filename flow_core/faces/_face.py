"""What every face does: refuse what the plugin cannot do, bound the call, check the answer, guard streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from flow_core.errors import FlowError

if TYPE_CHECKING:
    from flow_core.plugins._scope import Scope

T = TypeVar("T")


class Face:
    """One opened plugin. Every method raises CapabilityError before anything happens when its hook is missing.

    ``bounds``: hook -> seconds after which its caller gets a TransientError; the call itself goes on in its thread.
    """

    bounds: ClassVar[Mapping[str, float]] = {}

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def supports(self) -> frozenset[str]:
        """The hooks that this plugin implements."""
        return self._scope.supports

    def _call(self, hook: str, **arguments: Any) -> Any:
        self._scope.require(hook)
        if hook not in self.bounds or self._is_prompt():
            return self._scope.call(hook, **arguments)
        from flow_core.waiting import bounded

        return bounded(lambda: self._scope.call(hook, **arguments), self.bounds[hook], f"{self._scope.label} in {hook}")

    def _is_prompt(self) -> bool:
        """Whether the plugin never waits, so that its hooks can be called in the caller's own thread."""
        return False

    def _typed(self, hook: str, answer: object, kind: type[T]) -> T:
        if not isinstance(answer, kind):
            raise self._scope.wrong_answer(hook, answer, kind.__name__)
        return answer

    def _mapped(self, hook: str, answer: object) -> dict[Any, Any]:
        if not isinstance(answer, Mapping):
            raise self._scope.wrong_answer(hook, answer, "a mapping")
        return dict(answer)

    def _listed(self, hook: str, answer: object, kind: type[T]) -> list[T]:
        if not isinstance(answer, Iterable) or isinstance(answer, (str, bytes, Mapping)):
            raise self._scope.wrong_answer(hook, answer, f"a sequence of {kind.__name__}")
        return [self._typed(hook, item, kind) for item in answer]

    def _stream(self, hook: str, items: object, kind: type[T]) -> Iterator[T]:
        """Guard a stream: it fails while it is read, after every wrapper has returned."""
        if not isinstance(items, Iterable) or isinstance(items, (str, bytes, Mapping)):
            raise self._scope.wrong_answer(hook, items, f"an iterator of {kind.__name__}")
        return self._guarded(hook, items, kind)

    def _guarded(self, hook: str, items: Iterable[object], kind: type[T]) -> Iterator[T]:
        try:
            for item in items:
                yield self._typed(hook, item, kind)
        except FlowError:
            raise
        except Exception as error:
            raise self._scope.translate(hook, error) from error
        finally:
            close: Callable[[], None] = getattr(items, "close", lambda: None)
            close()
