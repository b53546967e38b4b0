"""``python -m flow_instances``: say whether machines can boot here, build their image, remove what was left."""

from __future__ import annotations

import sys

from flow_instances import image, sweep, unavailable


def main() -> int:
    """Print what was done; 1 when no machine can boot here."""
    problem = unavailable()
    if problem:
        print(problem)
        return 1
    for folder in sweep():
        print(f"removed {folder}")
    print(image())
    return 0


if __name__ == "__main__":
    sys.exit(main())
