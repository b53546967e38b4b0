"""Settings: layers of files, variables and flags; profiles; the typed settings of plugins; the origin of each value."""

from flow_core.secrets._private_file import make_folder
from flow_core.settings._build import build, options
from flow_core.settings._choose import choose
from flow_core.settings._load import load
from flow_core.settings._model import CoreSettings, Origin, Profile, Settings, Text
from flow_core.settings._paths import Paths, paths
from flow_core.settings._write import write

__all__ = [
    "CoreSettings",
    "Origin",
    "Paths",
    "Profile",
    "Settings",
    "Text",
    "build",
    "choose",
    "load",
    "make_folder",
    "options",
    "paths",
    "write",
]
