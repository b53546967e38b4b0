"""How this program is started: from the installed folder, or from the one file it is shipped as."""

import os
import shutil
import sys
from typing import Any, List

_START = "import sys; sys.path.append(%r); from %s.main import main; main()"
_MAIN = b"from runner.main import main\n\nmain()\n"


def interpreter() -> str:
    """The Python to run with: the base one, which is still there when a virtual environment is deleted."""
    for path in (getattr(sys, "_base_executable", None), sys.executable, shutil.which("python3")):
        if path and os.access(path, os.X_OK):
            return str(path)
    raise FileNotFoundError("no Python interpreter found: put python3 on PATH")


def command(*args: str) -> List[str]:
    """The argv that runs this program with ``args`` on this machine.

    Isolated (-I) and without site packages (-S): it starts fastest so, and nothing the user installs can break it.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    above = os.path.dirname(package)
    if os.path.isfile(above):
        return [interpreter(), "-I", "-S", above, *args]
    # The folder goes last: a neighbour of this package must not hide a module of the standard library.
    return [interpreter(), "-I", "-S", "-c", _START % (above, os.path.basename(package)), *args]


def archive() -> bytes:
    """This program as one file for ``python3 FILE ...`` (3.8+); the same bytes each time."""
    import io
    import zipfile

    package = os.path.dirname(os.path.abspath(__file__))
    files = {"__main__.py": _MAIN}
    for name in sorted(os.listdir(package)):
        if name.endswith(".py"):
            with open(os.path.join(package, name), "rb") as file:
                files["runner/" + name] = file.read()
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w", zipfile.ZIP_STORED) as whole:
        for name, data in files.items():
            whole.writestr(_entry(zipfile, name), data)
    return room.getvalue()


def _entry(zipfile: Any, name: str) -> Any:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    return entry
