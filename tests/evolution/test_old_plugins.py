"""What a plugin that was written for an earlier core may rely on."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import pytest

from flow_core import types
from flow_core.errors import CapabilityError, PluginError
from flow_core.hookspecs import SPECS, NodeHooks, hookimpl, hookspec
from flow_core.plugins import Catalog
from flow_core.plugins._metadata import accepts, core_version
from flow_core.plugins._scope import Scope
from flow_core.types import NodeAccess, Submission, TaskRef, TaskReport


class NextProvision(Protocol):
    """A later core's hooks: one has gained an argument, one is new."""

    @hookspec(firstresult=True)
    def flow_provision_submit(self, submission: Submission) -> TaskRef: ...

    @hookspec(firstresult=True)
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]: ...

    @hookspec(firstresult=True)
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]: ...

    @hookspec(firstresult=True)
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float, reason: str) -> bool: ...

    @hookspec(firstresult=True)
    def flow_provision_suspend(self, ref: TaskRef) -> bool: ...


class Old(NextProvision, NodeHooks):
    """A provider of today, on that core: its own lines are those of today."""

    @hookimpl
    def flow_provision_submit(self, submission: Submission) -> TaskRef:
        return TaskRef("1")

    @hookimpl
    def flow_provision_find(self, request_ids: Sequence[str], since: float) -> Mapping[str, Sequence[TaskRef]]:
        return {}

    @hookimpl
    def flow_provision_status(self, refs: Sequence[TaskRef]) -> Mapping[TaskRef, TaskReport]:
        return {}

    @hookimpl
    def flow_provision_cancel(self, ref: TaskRef, grace_seconds: float) -> bool:
        return grace_seconds == 7.0

    @hookimpl
    def flow_node_access(self, ref: TaskRef) -> Sequence[NodeAccess]:
        return []


def next_scope(wrappers: Mapping[str, object] | None = None) -> Scope:
    return Scope("old", Old(), (NextProvision, NodeHooks), wrappers)


def test_an_old_plugin_works_after_a_hook_gained_an_argument() -> None:
    answer = next_scope().call("flow_provision_cancel", ref=TaskRef("1"), grace_seconds=7.0, reason="the user asked")

    assert answer is True


def test_an_old_wrapper_works_after_a_hook_gained_an_argument() -> None:
    seen = []

    class Wrapper:
        @hookimpl(wrapper=True)
        def flow_provision_cancel(self, grace_seconds: float) -> Any:
            seen.append(grace_seconds)
            return (yield)

    scope = next_scope({"w": Wrapper()})

    assert scope.call("flow_provision_cancel", ref=TaskRef("1"), grace_seconds=7.0, reason="x") is True
    assert seen == [7.0]


def test_a_new_hook_is_a_capability_that_an_old_plugin_does_not_have() -> None:
    with pytest.raises(CapabilityError, match="flow_provision_suspend"):
        next_scope().call("flow_provision_suspend", ref=TaskRef("1"))


def test_a_hook_of_a_later_core_may_be_there_when_it_is_marked_optional() -> None:
    class Both(Old):
        @hookimpl(optionalhook=True)
        def flow_provision_freeze(self, ref: TaskRef) -> bool:
            return True

    scope = Scope("both", Both(), (NextProvision, NodeHooks))

    assert "flow_provision_freeze" not in scope.supports


def test_a_plugin_for_a_newer_core_is_refused_before_its_import_with_the_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "from_the_future-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: from-the-future\nVersion: 1.0\nRequires-Dist: flow-core<12,>=11.2\n"
    )
    (info / "entry_points.txt").write_text("[flow.providers]\nfuture = from_the_future:Provider\n")
    (tmp_path / "from_the_future.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(PluginError) as caught:
        Catalog({}).plugin("provider", "future").load()
    assert caught.value.message == (
        f"provider 'future' (from-the-future 1.0): needs flow-core<12,>=11.2, and {core_version()} is installed: "
        "upgrade one of them"
    )


class Deprecating(Protocol):
    """Hooks on their way out, as a core marks them."""

    @hookspec(
        firstresult=True,
        warn_on_impl=DeprecationWarning("flow_old_hook goes in flow-core 1.4: implement flow_new_hook"),
    )
    def flow_old_hook(self, ref: TaskRef) -> bool: ...

    @hookspec(
        firstresult=True,
        warn_on_impl_args={"force": DeprecationWarning("the argument force goes in flow-core 1.4: leave it out")},
    )
    def flow_new_hook(self, ref: TaskRef, force: bool) -> bool: ...


class Author:
    @hookimpl
    def flow_old_hook(self, ref: TaskRef) -> bool:
        return True

    @hookimpl
    def flow_new_hook(self, ref: TaskRef, force: bool) -> bool:
        return True


@pytest.mark.parametrize(
    ("hook", "message"), [("flow_old_hook", "implement flow_new_hook"), ("flow_new_hook", "the argument force goes")]
)
def test_what_is_deprecated_warns_at_the_authors_own_line(hook: str, message: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Scope("acme", Author(), (Deprecating,))
    (warning,) = [one for one in caught if message in str(one.message)]

    assert (warning.category, warning.filename) == (DeprecationWarning, __file__)
    assert warning.lineno == inspect.getsourcelines(getattr(Author, hook))[1]


def test_what_is_deprecated_still_works() -> None:
    with pytest.warns(DeprecationWarning, match="flow-core 1.4"):
        scope = Scope("acme", Author(), (Deprecating,))

    assert scope.call("flow_old_hook", ref=TaskRef("1")) is True


def deprecations(specs: Sequence[type]) -> Iterator[str]:
    """Yield the words of every deprecation in ``specs``."""
    for spec in specs:
        for name in dir(spec):
            marks = getattr(getattr(spec, name), "flow_spec", None) or {}
            found = [marks.get("warn_on_impl"), *(marks.get("warn_on_impl_args") or {}).values()]
            yield from (str(warning) for warning in found if warning is not None)


def overdue(words: str, version: str) -> bool:
    """Say whether a deprecation names no version that removes it, or one that is reached."""
    named = re.search(r"flow-core (\d+\.\d+)", words)
    return named is None or accepts(f">={named[1]}", version)


def test_every_deprecation_names_a_version_that_is_still_to_come() -> None:
    ours = [spec for specs in SPECS.values() for spec in specs]

    assert [words for words in deprecations(ours) if overdue(words, core_version())] == []


def test_an_overdue_deprecation_would_be_found() -> None:
    found = list(deprecations([Deprecating]))

    assert len(found) == 2
    assert not any(overdue(words, "1.3.9") for words in found)
    assert all(overdue(words, "1.4.0") for words in found)
    assert overdue("goes some day", "1.0")


def record_fields() -> dict[str, list[str]]:
    """The fields of every public record, in the order in which they may be given."""
    records = {name: getattr(types, name) for name in types.__all__ if isinstance(getattr(types, name), type)}
    return {name: [f.name for f in attrs.fields(cls) if f.init] for name, cls in records.items() if attrs.has(cls)}


def hook_arguments() -> dict[str, list[str]]:
    """The arguments of every hook."""
    specs = [spec for specs in SPECS.values() for spec in specs]
    hooks = {name: getattr(spec, name) for spec in specs for name in dir(spec) if name.startswith("flow_")}
    return {name: [arg for arg in inspect.signature(hook).parameters if arg != "self"] for name, hook in hooks.items()}


def promised(name: str) -> dict[str, list[str]]:
    """Read ``NAME.txt``, a line for each promise: a name and its words."""
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines if line and not line.startswith("#")}


def test_no_hook_and_no_argument_of_the_first_release_is_gone() -> None:
    now = hook_arguments()
    gone = {hook: [arg for arg in args if arg not in now.get(hook, ())] for hook, args in promised("hooks").items()}

    assert set(promised("hooks")) <= set(now)
    assert {hook: args for hook, args in gone.items() if args} == {}


def test_the_fields_of_records_are_where_they_were() -> None:
    now = record_fields()
    moved = {name: fields for name, fields in promised("records").items() if now.get(name, [])[: len(fields)] != fields}

    assert moved == {}, "new fields come last: authors give the first ones by position"
