"""The command line of the runner."""

import os
import sys
import time
from typing import Callable, Dict, List

_LOG_BYTES = 1 << 20


def _serve(args: List[str]) -> int:
    from .serve import serve

    try:
        return serve(*args)
    except BaseException:
        _log(args[0])
        raise


def _log(root: str) -> None:
    """Keep why a server ended by a fault: nobody reads its stderr."""
    import traceback

    path = root + "/serve.log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    if os.fstat(fd).st_size > _LOG_BYTES:
        os.ftruncate(fd, 0)
    os.write(fd, ("%s %s" % (time.strftime("%FT%TZ", time.gmtime()), traceback.format_exc())).encode())
    os.close(fd)


def _run(args: List[str]) -> int:
    from .run import run

    return run(args[0], [int(word) for word in args[1:]])


def _cancel(args: List[str]) -> int:
    from .queue import request_cancel

    return 0 if request_cancel(args[0], float(args[1]) if len(args) > 1 else None) else 1


def _signal(args: List[str]) -> int:
    from .queue import request_signal

    return 0 if request_signal(args[0], args[1]) else 1


def _status(args: List[str]) -> int:
    import json

    from .outcome import report

    print(json.dumps(report(args[0])))
    return 0


def _reports(args: List[str]) -> int:
    import json

    from .outcome import report

    for folder in args:
        try:
            print(json.dumps(report(folder)))
        except OSError:
            print("null")
    return 0


def _conclude(args: List[str]) -> int:
    import json

    from .bundle import BundleError, read
    from .record import read_final
    from .task import finish

    try:
        bundle = read(args[0])
    except BundleError:
        bundle = None
    if read_final(args[0]) is None:
        finish(args[0], json.loads(args[1]), bundle)
    return 0


def _usage(args: List[str]) -> int:
    import json

    from .usage import look

    (found,) = look(args[:1]).values()
    print(json.dumps(found._asdict()))
    return 0


def _exec(args: List[str]) -> int:
    from .files import execute

    return execute(args[0], int(args[1]), args[2:])


def _ports(args: List[str]) -> int:
    import json

    from .files import ports

    print(json.dumps(ports(args[0], int(args[1]))))
    return 0


def _path(args: List[str]) -> int:
    from .files import inside

    print(inside(args[0], args[1]))
    return 0


def _get(args: List[str]) -> int:
    from .files import get

    return get(args[0], args[1])


def _read(args: List[str]) -> int:
    from .reader import main as read

    return read(args)


def _kept(args: List[str]) -> int:
    from .kept import main as kept

    return kept(args)


def _upload(args: List[str]) -> int:
    from .upload import detach, upload

    return detach(args[0]) if args[1:] == ["detach"] else upload(args[0], patient=True)


def _fetch(args: List[str]) -> int:
    from .fetch import main as fetch

    return fetch(args)


def _keep(args: List[str]) -> int:
    from .keeper import keep

    return keep(args[0])


def _spread(args: List[str]) -> int:
    from .spread import spread

    return spread(args)


def _enter(args: List[str]) -> int:
    from .files import enter

    return enter(args[0], args[1:])


def _contain(args: List[str]) -> int:
    from .files import contain

    return contain(args[0], args[2:])


def _join(args: List[str]) -> int:
    from .files import join

    return join(args[0], args[2:])


COMMANDS: Dict[str, Callable[[List[str]], int]] = {
    "serve": _serve,
    "run": _run,
    "keep": _keep,
    "cancel": _cancel,
    "signal": _signal,
    "status": _status,
    "reports": _reports,
    "conclude": _conclude,
    "usage": _usage,
    "exec": _exec,
    "ports": _ports,
    "path": _path,
    "get": _get,
    "read": _read,
    "kept": _kept,
    "upload": _upload,
    "fetch": _fetch,
    "spread": _spread,
    "enter": _enter,
    "contain": _contain,
    "join": _join,
}

USAGE = """usage: runner serve ROOT | keep ROOT | run FOLDER [RANK ...] | cancel FOLDER [GRACE] | signal FOLDER NAME
       | status FOLDER | reports FOLDER ... | conclude FOLDER REPORT
       | usage FOLDER | exec FOLDER RANK -- COMMAND ... | ports FOLDER RANK | path FOLDER PATH
       | get FOLDER PATH | read FOLDER ... | kept FOLDER [KIND PATH OFFSET] | upload FOLDER [detach]
       | fetch FOLDER
"""


def main() -> None:
    """Do what the arguments say and exit; 2 is a wrong usage."""
    name, args = sys.argv[1:2], sys.argv[2:]
    act = COMMANDS.get(name[0]) if name else None
    if act is None or not args:
        sys.stderr.write(USAGE)
        sys.exit(2)
    try:
        sys.exit(act(args))
    except (IndexError, ValueError, OSError) as error:
        sys.stderr.write("flow: %s: %s\n" % (name[0], error))
        sys.exit(2)
