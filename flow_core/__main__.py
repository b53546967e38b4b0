"""``flow`` and ``python -m flow_core``."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and exit with its status."""
    try:
        from flow_core.cli import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while it was being imported
        sys.exit(130)


def _leave_the_working_folder() -> None:
    """Import nothing from the folder that one is in, which ``-m`` puts first: ``flow`` does not either."""
    import os

    with suppress(OSError):  # it was removed
        if sys.path[:1] == [os.getcwd()]:
            del sys.path[0]


if __name__ == "__main__":
    _leave_the_working_folder()
    main()
