"""Put and get against the SDK alone: ``python -m plugins.flow_fsspec.tests.measure_s3``. Starts its own server."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .opened import get, open_store, put
from .services import BUCKET, s3_service, scratch


def main() -> None:
    """Print medians of five rounds; the two sides take turns."""
    with scratch("measure") as folder, s3_service(folder) as service:
        os.environ["FLOW_HOME"] = str(folder / "home")
        store, client = open_store(Path(folder / "home"), service.profile()), service.client()
        for size, label in ((1 << 10, "1 KiB"), (64 << 20, "64 MiB")):
            data = os.urandom(size)
            taken: dict[str, list[float]] = {}
            for turn in range(6):
                mine, theirs = f"m/{turn}-{size}", {"Bucket": BUCKET, "Key": f"s/{turn}-{size}"}
                calls: dict[str, Callable[[], object]] = {
                    "flow put": partial(put, store, mine, data),
                    "SDK put": partial(client.put_object, **theirs, Body=data),
                    "flow get": partial(get, store, mine),
                    "SDK get": partial(_read, client, theirs),
                    "sha256 alone": partial(hashlib.sha256, data),
                }
                for name, call in calls.items():
                    started = time.perf_counter()
                    call()
                    if turn:  # the first opens connections
                        taken.setdefault(name, []).append(time.perf_counter() - started)
            print(label, {name: f"{statistics.median(times) * 1e3:.1f} ms" for name, times in taken.items()})


def _read(client: Any, place: dict[str, str]) -> bytes:
    body: bytes = client.get_object(**place)["Body"].read()
    return body


if __name__ == "__main__":
    main()
