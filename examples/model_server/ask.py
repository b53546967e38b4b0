"""Asks the server: python ask.py HOST:PORT LENGTH WIDTH."""

from __future__ import annotations

import json
import sys
from urllib.request import urlopen


def main(address: str, length: str, width: str) -> None:
    flower = {"length": float(length), "width": float(width)}
    with urlopen(f"http://{address}/predict", json.dumps(flower).encode(), timeout=10) as answer:
        print(answer.read().decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
