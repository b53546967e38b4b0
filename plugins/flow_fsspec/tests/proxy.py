"""A relay between a client and a service that cuts, delays or refuses."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Relay:
    """Passes bytes on. ``cut_up`` and ``cut_down``: after so many the connection is cut, ``cuts`` times in all."""

    def __init__(self, target: str, port: int = 0) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut_up = self.cut_down = 0
        self.cuts = 0
        self.cut = 0
        self.bytes_per_second = 0
        self._threads: list[threading.Thread] = []
        self._sockets = [self._listener]
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                server = socket.create_connection(self._target)
                self._sockets.append(server)
                self._start(self._pass, client, server, True)
                self._start(self._pass, server, client, False)

    def _pass(self, source: socket.socket, sink: socket.socket, is_up: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                passed += len(data)
                limit = self.cut_up if is_up else self.cut_down
                if limit and passed >= limit and self.cut < self.cuts:
                    self.cut += 1
                    break
                if self.bytes_per_second and not is_up:
                    time.sleep(len(data) / self.bytes_per_second)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End all connections and take no more."""
        for _ in range(2):  # those that came in meanwhile, too
            for one in list(self._sockets):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in list(self._threads):
                thread.join(5)
        for one in self._sockets:
            one.close()


@contextmanager
def relay(target: str, port: int = 0) -> Iterator[Relay]:
    """A relay to the service at ``target``."""
    one = Relay(target, port)
    try:
        yield one
    finally:
        one.close()
