"""``python -m flow_mithril.testing``: serve until told to stop."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

import attrs

from flow_mithril.testing._double import Double
from flow_mithril.testing._settings import Settings


def main(words: list[str] | None = None) -> int:
    """Serve; the first line of stdout says where, once it answers."""
    said = vars(_parser().parse_args(words))
    port = said.pop("port")
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    try:
        serving = Double(Settings(**said), port)
    except Exception as problem:  # the port is taken, or no machine can boot here
        print(f"flow_mithril.testing: {problem}", file=sys.stderr)
        return 2
    with serving as double:
        print(double.url, flush=True)
        end.wait()
    for mistake in double.mistakes:
        print(f"flow_mithril.testing: {mistake}", file=sys.stderr)
    return 1 if double.mistakes else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flow_mithril.testing", description="A Mithril API for tests.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    kinds = {"str | None": str, "int | None": int, "str": str, "float": float, "int": int}
    for field in attrs.fields(Settings):
        flag = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        elif isinstance(field.default, tuple):
            parser.add_argument(flag, type=int, nargs="*", default=(), help="more ports that machines reach")
        else:
            parser.add_argument(
                flag, type=kinds[str(field.type)], default=field.default, help=f"default: {field.default}"
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
