"""``python -m flow_instances``: say whether machines can boot here, build their image, remove what was left."""

from __future__ import annotations

import sys

from flow_instances import Unavailable, image, sweep, unavailable


def main() -> int:
    """Print what was done; 1 when no machine can boot here."""
    problem = unavailable()
    if problem:
        print(problem)
        return 1
    for folder in sweep():
        print(f"removed {folder}")
    try:
        print(image())
    except Unavailable as why:
        print(why)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
