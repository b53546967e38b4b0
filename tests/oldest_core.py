"""Installs the oldest flow-core that a plugin's range admits: ``python tests/oldest_core.py plugins/flow_local``.

While that is this tree's own version, which no index has yet, the tree itself is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lower_bound(pyproject: Path) -> str:
    """Return X of ``flow-core>=X,<Y``."""
    found = re.search(r'"flow-core(?:\[[^\]]*\])?>=([0-9.]+)', pyproject.read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"{pyproject} names no oldest flow-core: write flow-core>=X,<Y")
    return found[1]


def same(bound: str, version: str) -> bool:
    """Say whether ``1`` is the version ``1.0.0``."""
    parts = [[*map(int, text.split(".")), 0, 0, 0] for text in (bound, version)]
    return parts[0][:3] == parts[1][:3]


def main() -> None:
    plugin = ROOT / sys.argv[1]
    bound = lower_bound(plugin / "pyproject.toml")
    own = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    core = str(ROOT) if own is not None and same(bound, own[1]) else f"flow-core=={bound}"
    print(f"flow-core {bound}: {'this tree' if core == str(ROOT) else core}")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", core, str(plugin)], check=True)


if __name__ == "__main__":
    main()
