"""Host plugins: policy, audit, credentials and checks; imported when the first provider is opened."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flow_core.errors import ConfigError, FlowError, PluginError, PolicyError
from flow_core.plugins._discover import Catalog, Plugin, normal

if TYPE_CHECKING:
    from flow_core.plugins._scope import Scope
    from flow_core.secrets import Secret
    from flow_core.types import CredentialRequest, DoctorCheck, Event, PolicyContext, TaskConfig


class Host:
    """The installed host plugins, each in a scope of its own, in the order of their names.

    A broken host plugin stops no task: it is left out with a warning. With ``required`` distributions it is an error
    when one of theirs is broken, switched off or not there.
    """

    def __init__(self, catalog: Catalog, required: Collection[str] = ()) -> None:
        self._catalog = catalog
        self._required = {normal(name): name for name in required}

    @cached_property
    def scopes(self) -> Mapping[str, Scope]:
        """The opened host plugins by name. Raises PluginError for one that is required."""
        there = {normal(plugin.distribution) for plugin in self._catalog.plugins("host plugin").values()}
        for name in sorted(self._required.keys() - there):
            message = f"the settings require {self._required[name]}, which has no host plugin here"
            raise PluginError(message, "install it, and leave it switched on", distribution=self._required[name])
        return {name: scope for name in sorted(self._catalog.plugins("host plugin")) if (scope := self._open(name))}

    def _open(self, name: str) -> Scope | None:
        from flow_core.hookspecs.host import HostHooks
        from flow_core.plugins._scope import Scope

        plugin = self._catalog.plugin("host plugin", name)
        try:
            instance = _instance(plugin)
            distribution = plugin.distribution
            return Scope(name, instance, (HostHooks,), label=str(plugin), distribution=distribution, thread_safe=True)
        except PluginError as error:
            if normal(plugin.distribution) in self._required:
                raise
            warnings.warn(f"{error.message}; it is left out", stacklevel=2)
            return None

    def answers(self, hook: str) -> bool:
        """Say whether any host plugin implements ``hook``."""
        return any(True for _ in self._each(hook))

    def _each(self, hook: str) -> Iterator[tuple[str, Scope]]:
        return ((name, scope) for name, scope in self.scopes.items() if hook in scope.supports)

    def _ask(self, hook: str, handle: Callable[[str, Any], None], **arguments: Any) -> None:
        """Call ``hook`` of every plugin; a failure is a warning, since these hooks never fail a task."""
        for name, scope in self._each(hook):
            try:
                handle(name, scope.call(hook, **arguments))
            except FlowError as error:
                warnings.warn(error.message, stacklevel=3)

    def event(self, event: Event) -> None:
        """Tell every host plugin of ``event``."""
        self._ask("flow_event", lambda *_: None, event=event)

    def wrappers(self, provider: str, profile: str) -> Mapping[str, object]:
        """Return the wrappers that apply to a profile, by a name that says whose they are.

        pluggy calls the wrapper that was registered last first, so the first plugin name comes last here.
        """
        found: dict[str, object] = {}
        for name, scope in self._each("flow_scope_wrappers"):
            for offered in scope.call("flow_scope_wrappers", provider=provider, profile=profile):
                found.update({f"{name}.{number}": wrapper for number, wrapper in enumerate(offered)})
        return dict(reversed(found.items()))

    def credential(self, request: CredentialRequest) -> Secret | None:
        """Return the first credential that a plugin gives."""
        for _, scope in self._each("flow_credential"):
            if (answer := scope.call("flow_credential", request=request)) is not None:
                return answer  # type: ignore[no-any-return]
        return None

    def doctor_checks(self) -> list[DoctorCheck]:
        """Return the findings of every plugin."""
        found: list[DoctorCheck] = []
        self._ask("flow_doctor_checks", lambda _, answers: found.extend(c for checks in answers for c in checks))
        return found

    def policy(
        self, config: TaskConfig, context: PolicyContext, validate: Callable[[TaskConfig], TaskConfig]
    ) -> TaskConfig:
        """Pass ``config`` through every policy and return what is left of it. Raises PolicyError with the reason."""
        from flow_core.types import Refusal, TaskConfig

        for _, scope in self._each("flow_task_config"):
            answers = scope.call("flow_task_config", config=config, context=context)
            if not answers:
                continue
            answer = answers[0]
            if isinstance(answer, Refusal):
                raise PolicyError(f"refused by {scope.label}: {answer.reason}", answer.hint)
            if not isinstance(answer, TaskConfig):
                raise scope.wrong_answer("flow_task_config", answer, "TaskConfig, Refusal or None")
            try:
                config = validate(answer)
            except ConfigError as error:
                raise PolicyError(f"{scope.label} made the task invalid: {error.message}", error.hint) from error
        return config


def _instance(plugin: Plugin) -> object:
    loaded = plugin.load()
    try:
        return loaded() if isinstance(loaded, type) else loaded
    except Exception as error:
        raise PluginError(
            f"{plugin} could not be opened: {type(error).__name__}: {error}",
            f"tell the authors of {plugin.distribution}; FLOW_DISABLE_PLUGINS={plugin.distribution} leaves it out",
            distribution=plugin.distribution,
        ) from error
