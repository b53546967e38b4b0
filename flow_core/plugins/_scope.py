"""One opened plugin: a pluggy manager of its own, in which only that plugin may answer and others may only wrap."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from flow_core.errors import CapabilityError, FlowError, PluginError, ProviderError

if TYPE_CHECKING:
    from flow_core.plugins._log import HookLog


class _Manager(pluggy.PluginManager):
    """Looks only at names that can be hooks, so that no property of a plugin is evaluated."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return super().parse_hookimpl_opts(plugin, name) if name.startswith("flow_") else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> pluggy.HookspecOpts | None:
        return super().parse_hookspec_opts(module_or_class, name) if name.startswith("flow_") else None


class Scope:
    """The hooks of one opened plugin and of the wrappers around it.

    ``label`` is how messages name the plugin (kind, name, distribution, version). Raises PluginError when a hook is
    misspelt, has wrong arguments, lacks ``@hookimpl``, or when somebody but the plugin answers.
    """

    def __init__(
        self,
        name: str,
        plugin: object,
        specs: Sequence[type],
        wrappers: Mapping[str, object] | None = None,
        label: str = "",
        distribution: str = "",
        thread_safe: bool = False,
    ) -> None:
        self.name = name
        self.label = label or f"plugin {name!r}"
        self._distribution = distribution
        self.plugin_class = type(plugin)
        self._lock = None if thread_safe else threading.RLock()
        self._log = _log(self.label)
        manager = _Manager("flow")
        for spec in specs:
            manager.add_hookspecs(spec)
        hooks = [hook for hook in vars(manager.hook) if hook.startswith("flow_")]
        self._refuse_misfits(plugin, {hook: getattr(manager.hook, hook).spec.argnames for hook in hooks})
        self._register(manager, plugin, wrappers or {})
        self._refuse_unmarked(plugin, specs)
        self.supports = frozenset(h for h in hooks if self._answers(manager, h, plugin))
        self._hook = manager.hook

    def _fault(self, message: str) -> PluginError:
        hint = f"tell the authors of {self._distribution}; FLOW_DISABLE_PLUGINS={self._distribution} leaves it out"
        return PluginError(f"{self.label}: {message}", hint, distribution=self._distribution)

    def _register(self, manager: pluggy.PluginManager, plugin: object, wrappers: Mapping[str, object]) -> None:
        try:
            manager.register(plugin, name=self.name)
            for name, wrapper in wrappers.items():
                manager.register(wrapper, name=name)
            manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise self._fault(" ".join(str(error).split())) from error

    def _refuse_misfits(self, plugin: object, arguments: Mapping[str, Sequence[str]]) -> None:
        """Refuse marked methods that fit no hook, in words that say what would fit."""
        for name in dir(type(plugin)):
            own = getattr(type(plugin), name) if name.startswith("flow_") else None
            if (
                own is None
                or not hasattr(own, "flow_impl")
                or own.flow_impl["specname"]
                or own.flow_impl["optionalhook"]
            ):
                continue
            if name not in arguments:
                raise self._fault(f"there is no hook {name}{_nearest(name, arguments)}")
            for given in inspect.signature(own).parameters:
                if given != "self" and given not in arguments[name]:
                    near = _nearest(given, arguments[name])
                    raise self._fault(f"{name} has no argument {given!r}{near}; it has {', '.join(arguments[name])}")

    def _refuse_unmarked(self, plugin: object, specs: Sequence[type]) -> None:
        """Refuse ``flow_`` methods that nobody marked: pluggy would overlook them without a word."""
        for name in dir(type(plugin)):
            own = getattr(type(plugin), name) if name.startswith("flow_") else None
            if own is None or hasattr(own, "flow_impl") or any(own is getattr(spec, name, None) for spec in specs):
                continue
            raise self._fault(f"{name} is defined but not marked with @hookimpl")

    def _answers(self, manager: pluggy.PluginManager, hook: str, plugin: object) -> bool:
        answers = False
        for impl in getattr(manager.hook, hook).get_hookimpls():
            if impl.kwargnames:
                given = ", ".join(impl.kwargnames)
                raise self._fault(f"{hook} gives {given} a default, so it would never be filled: remove it")
            if impl.wrapper or impl.hookwrapper:
                continue
            if impl.plugin is not plugin:
                mend = "mark it @hookimpl(wrapper=True)"
                raise self._fault(f"{impl.plugin_name} may only wrap {hook}, not answer it: {mend}")
            answers = True
        return answers

    def require(self, hook: str) -> None:
        """Raise CapabilityError when the plugin does not implement ``hook``."""
        if hook not in self.supports:
            raise CapabilityError(
                f"{self.label} does not support this: it has no {hook}", "flow plugins show says what it has"
            )

    def call(self, hook: str, **arguments: Any) -> Any:
        """Call one hook. What is raised and is no FlowError becomes a ProviderError that names plugin and hook."""
        if hook not in self.supports:
            self.require(hook)
        if self._log is not None:
            return self._log.call(hook, lambda: self._call(hook, arguments))
        return self._call(hook, arguments)

    def _call(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        try:
            if self._lock is None:
                return getattr(self._hook, hook)(**arguments)
            with self._lock:
                return getattr(self._hook, hook)(**arguments)
        except FlowError:
            raise
        except Exception as error:
            raise self.translate(hook, error) from error

    def translate(self, hook: str, error: Exception) -> ProviderError:
        """Return the error that says whose fault ``error`` is."""
        return ProviderError(
            f"{self.label} failed in {hook}: {type(error).__name__}: {error}",
            hint="this is a fault of the plugin: tell its authors; FLOW_DEBUG=1 shows the traceback",
            provider=self.name,
            hook=hook,
        )

    def wrong_answer(self, hook: str, answer: object, wanted: str) -> PluginError:
        """Return the error for an answer of the wrong type."""
        return self._fault(f"{hook} returned {type(answer).__name__}, not {wanted}")


def _log(label: str) -> HookLog | None:
    form = os.environ.get("FLOW_LOG", "")
    if form in ("", "0"):
        return None
    from flow_core.plugins._log import HookLog  # 40 ms, and only for who asks

    return HookLog(label, form)


def _nearest(word: str, known: Collection[str]) -> str:
    from difflib import get_close_matches  # only a mistake pays for it

    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""
