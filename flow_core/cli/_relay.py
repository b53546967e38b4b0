"""Passing the bytes of connections to a port of this machine on to another address, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from flow_core.errors import ConflictError

HOST = "127.0.0.1"
_BLOCK = 1 << 16


async def relay(local: int, host: str, port: int, begun: Callable[[int], None], over: asyncio.Event) -> None:
    """Listen on ``local`` (0: any free port) until ``over`` is set; ``begun`` is called with the port.

    A connection that cannot be passed on is closed. Raises ConflictError when the port is taken.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled when the relay is over: asyncio of Python 3.11 and older would print a traceback for that.
        with suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(host, port)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        with suppress(asyncio.CancelledError):
            await _close(writer)

    try:
        server = await asyncio.start_server(serve, HOST, local)
    except OSError as error:
        raise ConflictError(f"port {local} of this machine: {error.strerror}", "name another --local") from error
    async with server:
        begun(server.sockets[0].getsockname()[1])
        await over.wait()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on what comes, and the end of it: the other way may go on."""
    with suppress(OSError):
        while data := await source.read(_BLOCK):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
            return
    await _close(target)


async def _close(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()
