"""Settings: layers of files, variables and flags; profiles; the typed settings of plugins; the origin of each value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_core._lazy import attribute

if TYPE_CHECKING:
    from flow_core.secrets._private_file import (
        make_folder as make_folder,
    )
    from flow_core.settings._build import (
        build as build,
        options as options,
    )
    from flow_core.settings._choose import (
        choose as choose,
    )
    from flow_core.settings._load import (
        load as load,
    )
    from flow_core.settings._model import (
        CoreSettings as CoreSettings,
        Origin as Origin,
        Profile as Profile,
        Settings as Settings,
        Text as Text,
    )
    from flow_core.settings._paths import (
        Paths as Paths,
        paths as paths,
    )
    from flow_core.settings._questions import (
        Question as Question,
        questions as questions,
    )
    from flow_core.settings._write import (
        write as write,
    )

_HOMES = {
    "flow_core.secrets._private_file": "make_folder",
    "flow_core.settings._build": "build options",
    "flow_core.settings._choose": "choose",
    "flow_core.settings._load": "load",
    "flow_core.settings._model": "CoreSettings Origin Profile Settings Text",
    "flow_core.settings._paths": "Paths paths",
    "flow_core.settings._questions": "Question questions",
    "flow_core.settings._write": "write",
}

__all__ = [
    "CoreSettings",
    "Origin",
    "Paths",
    "Profile",
    "Question",
    "Settings",
    "Text",
    "build",
    "choose",
    "load",
    "make_folder",
    "options",
    "paths",
    "questions",
    "write",
]


def __getattr__(name: str) -> object:
    return attribute(__name__, _HOMES, name)
