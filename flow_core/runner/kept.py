"""What a task keeps: the files its ``outputs`` name, its result, its logs and outboxes. Looked for after its end."""

import os
import stat
import sys
from fnmatch import fnmatchcase
from typing import Dict, Iterator, List, NamedTuple, Tuple

from . import bundle as bundles
from .bundle import Bundle, BundleError
from .environment import working_dir
from .pending import is_pending, is_under_way
from .record import Doc, attempts, read_final, read_json

ARTIFACT, RESULT, LOG = "artifact", "result", "log"
KINDS = (ARTIFACT, RESULT, LOG)
_BLOCK = 1 << 20
_LOGS = ("stdout", "stderr", "system", "stdout.idx", "stderr.idx", "system.idx", "outbox")


class Thing(NamedTuple):
    """One file to keep; ``path`` is relative to the working folder (artifacts) or to the task's own."""

    kind: str
    path: str
    file: str
    mode: int
    size: int

    def doc(self) -> Doc:
        """It without where it lies."""
        return {"kind": self.kind, "path": self.path, "mode": self.mode, "size": self.size}


def describe(folder: str) -> Doc:
    """What a task keeps, how it ended, and how far the upload of it is."""
    os.stat(folder)
    found, missing = things(folder)
    upload = read_json(folder + "/upload.json")
    return {
        "keeps": bool((read_json(folder + "/bundle.json") or {}).get("keep")),
        "things": [thing.doc() for thing in found],
        "missing": missing,
        "report": read_final(folder),
        "pending": is_pending(folder),
        "under_way": is_under_way(folder),
        "upload": upload,
        "stored": (upload or {}).get("state") == "kept" or os.path.exists(folder + "/carried"),
    }


def things(folder: str) -> Tuple[List[Thing], List[str]]:
    """The files to keep, and the ``outputs`` that no file matches."""
    try:
        bundle = bundles.read(folder)
    except BundleError:
        return [], []
    found: List[Thing] = []
    artifacts, missing = _artifacts(folder, bundle)
    found += artifacts
    if os.path.isfile(folder + "/result"):
        found.append(_thing(RESULT, "result", folder + "/result"))
    found += list(_logs(folder))
    kinds = bundle.keep.get("kinds") or KINDS
    return [thing for thing in found if thing.kind in kinds], missing


def _artifacts(folder: str, bundle: Bundle) -> Tuple[List[Thing], List[str]]:
    if not bundle.outputs:
        return [], []
    try:
        base = working_dir(folder, bundle)
    except BundleError:
        return [], list(bundle.outputs)
    found: Dict[str, Thing] = {}
    missing = []
    for pattern in bundle.outputs:
        files = dict(_matches(base, pattern))
        found.update((path, _thing(ARTIFACT, path, file)) for path, file in files.items())
        if not files:
            missing.append(pattern)
    return [found[path] for path in sorted(found)], missing


def _matches(base: str, pattern: str) -> Iterator[Tuple[str, str]]:
    """Relative paths and places of the files that a pattern names, with all that is in the folders it names."""
    words = [word for word in pattern.split("/") if word not in ("", ".")]
    if ".." in words:
        return
    top = os.path.realpath(base)
    for path in _expand(top, words):
        for file in _files(path):
            real = os.path.realpath(file)
            if real.startswith(top.rstrip("/") + "/") and stat.S_ISREG(os.stat(real).st_mode):
                yield os.path.relpath(file, top), real


def _expand(path: str, words: List[str]) -> Iterator[str]:
    if not words:
        yield path
        return
    word, rest = words[0], words[1:]
    if word == "**":
        yield from _expand(path, rest)
        for name in _names(path):
            below = os.path.join(path, name)
            if not name.startswith(".") and os.path.isdir(below) and not os.path.islink(below):
                yield from _expand(below, words)
    elif any(sign in word for sign in "*?["):
        for name in _names(path):
            if fnmatchcase(name, word) and (not name.startswith(".") or word.startswith(".")):
                yield from _expand(os.path.join(path, name), rest)
    elif os.path.exists(os.path.join(path, word)):
        yield from _expand(os.path.join(path, word), rest)


def _names(path: str) -> List[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        if os.path.exists(path):
            yield path
        return
    for above, _, names in os.walk(path):
        yield from (os.path.join(above, name) for name in sorted(names) if os.path.exists(os.path.join(above, name)))


def _logs(folder: str) -> Iterator[Thing]:
    for attempt in attempts(folder):
        for rank in _names("%s/attempts/%d" % (folder, attempt)):
            for stream in _LOGS:
                path = "attempts/%d/%s/%s" % (attempt, rank, stream)
                if os.path.isfile("%s/%s" % (folder, path)):
                    yield _thing(LOG, path, "%s/%s" % (folder, path))


def _thing(kind: str, path: str, file: str) -> Thing:
    found = os.stat(file)
    return Thing(kind, path, file, stat.S_IMODE(found.st_mode) & 0o777, found.st_size)


def read(folder: str, kind: str, path: str, offset: int = 0) -> Iterator[bytes]:
    """The bytes of a kept thing from ``offset`` on. Raises FileNotFoundError."""
    for thing in things(folder)[0]:
        if (thing.kind, thing.path) == (kind, path):
            with open(thing.file, "rb") as file:
                file.seek(offset)
                for block in iter(lambda: file.read(_BLOCK), b""):
                    yield block
            return
    os.stat(folder)
    raise FileNotFoundError(2, "the task keeps no %s %s" % (kind, path))


def main(args: List[str]) -> int:
    """``FOLDER`` prints what a task keeps, ``FOLDER KIND PATH OFFSET`` the bytes of one thing."""
    import json

    if len(args) == 1:
        os.stat(args[0])
        print(json.dumps(describe(args[0])))
        return 0
    for block in read(args[0], args[1], args[2], int(args[3])):
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    return 0
