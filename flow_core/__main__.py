"""``flow`` and ``python -m flow_core``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and exit with its status."""
    try:
        from flow_core.cli import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while it was being imported
        sys.exit(130)


if __name__ == "__main__":
    main()
