"""Settings: the keys that core understands, those of profiles, of the local provider, and the variables."""

from __future__ import annotations

from collections.abc import Mapping

from _reference.markdown import code, fields, page, prose, table
from flow_core.results import FolderStore
from flow_core.settings._build import settable
from flow_core.settings._load import _PROFILE_KEYS, _Top
from flow_core.settings._model import CoreSettings, StorePolicy
from flow_local import LocalSettings

_INTRO = """
Layers, each above the one before: defaults, your settings file, the project's `.flow/config.yaml`, the environment, the
command line. `flow config show` prints each value with its origin. How to use them:
[configuration](../configuration.md).
"""
_TOP = {
    "default": "the profile or provider that runs tasks which name none",
    "profiles": "name -> a profile: a named, configured provider",
    "result_stores": "name -> a result store: `store` names its plugin, the rest are its settings",
    "policy": (
        "`plugins: {allow: [PATTERN, ...], require: [DISTRIBUTION, ...]}`: only distributions that match are loaded, "
        "and no task runs without the host plugins of those that are required; not in a project file"
    ),
}
_PROFILE = {
    "provider": "the provider; default: the profile's own name",
    "defaults": "keys of a task, laid below every task that runs here",
    "result_store": "the result store of its tasks; default: `folder` for those with `outputs`",
    "gpu_substitute": "`none`: a task that asks for a GPU runs without one where there is none, and says so",
}
_VARIABLES = {
    "FLOW_HOME": "one folder for settings, journal, cache and local tasks, in place of the XDG folders",
    "FLOW_DEFAULT": "the setting `default`; so for every single top-level setting: `FLOW_<KEY>`",
    "FLOW_PROFILE_<NAME>_<KEY>": "a setting of a profile; `__` in KEY goes one level down",
    "FLOW_EXIT_FILE": "a file that gets `task N` or `flow N` at the end of a command",
    "FLOW_NO_PLUGINS": "1: no plugin is seen",
    "FLOW_LOG": "`text` or `json`: a line on stderr for each hook that is called, with its plugin and how long it took",
    "FLOW_DISABLE_PLUGINS": "distributions to leave out, with commas",
    "FLOW_DEBUG": "1: tracebacks are shown",
    "NO_COLOR": "no colours",
}
_PLUGINS = """
The other keys of a profile are the provider's own, read by its `Settings` class: an unknown key or a wrong type is an
error with file and line. A secret is never written into a file: `{env: NAME}`, `{file: PATH}` or `{command: [...]}`
says where it is, or `flow login` keeps it.
"""
_STORES = """
Of each store `store` names its plugin, these keys are core's, and the rest are the plugin's own. `folder` is there without
being named: [results](../results.md).
"""


def pages() -> Mapping[str, str]:
    """Return the page."""
    core = {name: field.metadata["help"] for name, field in settable(CoreSettings).items()}
    assert _TOP.keys() == {*settable(_Top), "profiles", "result_stores"}
    assert _PROFILE.keys() == _PROFILE_KEYS.keys()
    parts = [
        ("## Top level", "", _listed("key", {**_TOP, **core})),
        ("## Profiles", _PLUGINS, _listed("key", _PROFILE)),
        ("## Result stores", _STORES, fields(StorePolicy)),
        ("## Settings of the store `folder`", prose(FolderStore.Settings.__doc__), fields(FolderStore.Settings)),
        ("## Settings of the provider `local`", prose(LocalSettings.__doc__), fields(LocalSettings)),
        ("## Variables", "", _listed("variable", _VARIABLES)),
    ]
    return {"settings.md": page("Settings", _INTRO, *(text for part in parts for text in part))}


def _listed(title: str, rows: Mapping[str, str]) -> str:
    return table((title, "meaning"), ((code(name), text) for name, text in rows.items()))
