"""Envelopes: a value as bytes, with its codec, its Python and a checksum of every part.

Layout: a line ``flow.envelope/1 LENGTH SHA256`` on the header, the header (JSON), then its parts, each at a multiple of
64 bytes. ``parts`` in the header has the size of each and the CRC-32 of each 64 MiB of it: that finds what was cut off or
flipped at several GB/s. Against who means harm a sum beside the data is no help; a result store names bytes by SHA-256.
"""

import hashlib
import json
import os
import pickle
import sys
from binascii import crc32
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple, Union

Buffer = Union[bytes, bytearray, memoryview]
Header = Dict[str, Any]

PYTHON = "%d.%d" % sys.version_info[:2]
PREFIX = 90  # bytes of the first line
_FIRST = b"flow.envelope/1 %08x %64s\n"
_CHUNK = 64 << 20
_ALIGN = 64
_SMALL = 1 << 20
_MOST_NODES = 100_000  # of plain data: beyond that a pickle is several times faster
_MOST_BITS = 4096
_LEAVES = frozenset((str, bool, float, type(None)))
_NO_DATA: Header = {}


class DamagedError(Exception):
    """The bytes are not what was written."""


class UntrustedError(Exception):
    """It is a pickle, and pickles are not to be read."""


class SkewError(Exception):
    """It holds code of another Python version."""


class UnpicklableError(Exception):
    """There is something in the value that cannot be pickled."""


class Body(NamedTuple):
    """A value as bytes; ``by_value``: code is in it, which only the same Python version can read."""

    codec: str
    by_value: bool
    parts: List[Buffer]


def encode(value: Any, plain: bool = False) -> Body:
    """The value as JSON when that reads back as the same, else as a pickle, its large buffers as parts of their own.

    ``plain``: JSON or nothing. Raises UnpicklableError.
    """
    text = _json(value, None if plain else _MOST_NODES)
    if text is not None:
        return Body("json", False, [text])
    if plain:
        raise UnpicklableError("it is no plain data (lists, dicts by text, text, numbers), and pickles are not trusted")
    return _pickled(value)


def _json(value: Any, most: Optional[int]) -> Optional[bytes]:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() if _plain(value, most) else None
    except (RecursionError, UnicodeEncodeError):  # too deep, or half a surrogate pair
        return None


def _plain(value: Any, most: Optional[int]) -> bool:
    """Whether JSON gives back exactly this: types, and which containers are the same object."""
    stack: List[Any] = [value]
    seen: Set[int] = set()
    while stack:
        one = stack.pop()
        kind = type(one)
        if kind in _LEAVES:
            continue
        if kind is int:
            if one.bit_length() > _MOST_BITS:
                return False
            continue
        if kind not in (list, dict) or id(one) in seen or (most is not None and len(seen) + len(stack) > most):
            return False
        seen.add(id(one))
        if kind is dict:
            if any(type(key) is not str for key in one):
                return False
            stack.extend(key for key in one)
            stack.extend(one.values())
        else:
            stack.extend(one)
    return True


def _pickled(value: Any) -> Body:
    buffers: List[Any] = []
    try:
        data = _dumps(value, buffers.append)
    except RecursionError:
        raise UnpicklableError("it is nested too deeply") from None
    except Exception as error:
        raise UnpicklableError("%s: %s" % (type(error).__name__, error)) from error
    return Body("pickle", b"cloudpickle" in data, [data, *(buffer.raw() for buffer in buffers)])


def _dumps(value: Any, buffer: Callable[[Any], None]) -> bytes:
    """A pickle; without importing cloudpickle (20 ms) where nothing is in it that needs that."""
    if "cloudpickle" not in sys.modules:
        held: List[Any] = []
        try:
            data = pickle.dumps(value, 5, buffer_callback=held.append)
        except Exception:
            data = b"__main__"
        if b"__main__" not in data:
            for one in held:
                buffer(one)
            return data
    import cloudpickle  # type: ignore[import-untyped]

    whole: bytes = cloudpickle.dumps(value, protocol=5, buffer_callback=buffer)
    return whole


def pack(header: Header, body: Body) -> bytes:
    """The envelope as bytes."""
    return b"".join(pieces(header, body))


def pieces(header: Header, body: Body) -> List[Buffer]:
    """The envelope as what is to be written one after the other: few, and large parts as they are."""
    views = [_view(part) for part in body.parts]
    found = _head(header, body, views, [[crc32(chunk) for chunk in _chunks(view)] for view in views])
    for view in views:
        found += [view, bytes(-len(view) % _ALIGN)]
    return [b"".join(found)] if sum(map(len, views)) < _SMALL else found


def write(fd: int, header: Header, body: Body) -> None:
    """Write the envelope to an empty file; large parts go straight from where they are. Raises OSError."""
    views = [_view(part) for part in body.parts]
    if sum(map(len, views)) < _SMALL:
        write_all(fd, pack(header, body))
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
        sums = [[pool.submit(crc32, chunk) for chunk in _chunks(view)] for view in views]
        # Each sum has the same width, so that the header can be written once they are known.
        head = _head(header, body, views, [[0] * len(of_part) for of_part in sums])
        write_all(fd, b"".join(head))
        for view in views:
            write_all(fd, view)
            write_all(fd, bytes(-len(view) % _ALIGN))
        told = _head(header, body, views, [[one.result() for one in of_part] for of_part in sums])
        os.pwrite(fd, b"".join(told), 0)


def _head(header: Header, body: Body, views: List[memoryview], sums: List[List[int]]) -> List[Any]:
    parts = [{"size": len(view), "crc32": ["%08x" % one for one in of_part]} for view, of_part in zip(views, sums)]
    whole = dict(header, codec=body.codec, by_value=body.by_value, python=PYTHON, parts=parts)
    text = json.dumps(whole, separators=(",", ":")).encode()
    first = _FIRST % (len(text), hashlib.sha256(text).hexdigest().encode())
    return [first, text, bytes(-(len(first) + len(text)) % _ALIGN)]


def write_all(fd: int, data: Buffer) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _view(part: Buffer) -> memoryview:
    view = memoryview(part)
    return view if view.ndim == 1 and view.format == "B" else view.cast("B")


def _chunks(view: memoryview) -> List[memoryview]:
    return [view[at : at + _CHUNK] for at in range(0, len(view), _CHUNK)]


def head_size(first: Buffer) -> int:
    """How many bytes the first line and the header have. Raises DamagedError."""
    try:
        word, length, _ = bytes(first).split(b" ")
        if word != b"flow.envelope/1" or len(first) != PREFIX:
            raise ValueError
        return PREFIX + int(length, 16)
    except ValueError:
        raise DamagedError("it does not begin as an envelope does") from None


def read_header(head: Buffer) -> Header:
    """The header, from as many bytes as ``head_size`` says. Raises DamagedError."""
    text = bytes(head[PREFIX:])
    if hashlib.sha256(text).hexdigest().encode() != bytes(head[PREFIX - 65 : PREFIX - 1]):
        raise DamagedError("its header is not what was written")
    header: Header = json.loads(text)
    return header


def whole_size(view: memoryview) -> int:
    """How many bytes the envelope has that begins here; 0 when not even its header is there. Raises DamagedError."""
    if len(view) < PREFIX:
        return 0
    head = head_size(view[:PREFIX])
    return _size(read_header(view[:head]), head) if head <= len(view) else 0


def _size(header: Header, head: int) -> int:
    return _aligned(head) + sum(_aligned(part["size"]) for part in header["parts"])


def _aligned(count: int) -> int:
    return count + -count % _ALIGN


def open_parts(view: memoryview) -> Tuple[Header, List[memoryview]]:
    """The header and the parts of a whole envelope, every byte of them checked. Raises DamagedError."""
    head = head_size(view[:PREFIX])
    if head > len(view):
        raise DamagedError("it is cut off within its header")
    header = read_header(view[:head])
    if _size(header, head) > len(view):
        raise DamagedError("it is cut off: %d of %d bytes are there" % (len(view), _size(header, head)))
    at, parts = _aligned(head), []
    for part in header["parts"]:
        parts.append(view[at : at + part["size"]])
        at += _aligned(part["size"])
    _verify(parts, [part["crc32"] for part in header["parts"]])
    return header, parts


def _verify(parts: List[memoryview], sums: List[List[str]]) -> None:
    chunks = [chunk for part in parts for chunk in _chunks(part)]
    if sum(map(len, parts)) < _SMALL:
        found = [crc32(chunk) for chunk in chunks]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as pool:
            found = list(pool.map(crc32, chunks))
    if ["%08x" % one for one in found] != [one for of_part in sums for one in of_part]:
        raise DamagedError("its content is not what was written (CRC-32)")


def decode(header: Header, parts: List[memoryview], trusted: bool = True, load: Any = None) -> Any:
    """The value of parts that were checked; ``load`` stands in for ``pickle.loads``. Raises UntrustedError, SkewError."""
    if header["codec"] == "json":
        return json.loads(bytes(parts[0]))
    if not trusted:
        raise UntrustedError("it is a pickle, which may run code when it is read")
    if header["by_value"] and header["python"] != PYTHON:
        raise SkewError("it holds code of Python %s, and this is Python %s" % (header["python"], PYTHON))
    return (load or pickle.loads)(parts[0], buffers=parts[1:])
