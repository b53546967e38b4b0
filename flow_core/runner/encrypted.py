"""Folders that are encrypted on disk and shown in the clear to one task: gocryptfs, in the task's own mounts only.

gocryptfs runs outside of the task's mount namespace. When the last process in there is gone the kernel takes the
mount away and gocryptfs ends: whoever is killed, nothing is left to unmount.
"""

import array
import fcntl
import os
import socket
from typing import Any, List, Mapping, NamedTuple

from .mounttable import MountError, attach_fuse

_FUSE = "/dev/fuse"
_SAID = 4096  # bytes of what it says


class Waiting(NamedTuple):
    """A gocryptfs that waits to be told what to serve."""

    mount: Mapping[str, Any]
    channel: socket.socket
    words: int  # a file in memory with what it says


def prepare(mount: Mapping[str, Any], key: str) -> Waiting:
    """Start what will serve ``mount["cipher"]``, in the mount namespace of this moment."""
    ours, its = socket.socketpair()
    words = os.memfd_create("gocryptfs", os.MFD_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            if os.fork() == 0:  # its parent ends: it is nobody's child that the command could wait for
                _become(mount, key, its, words)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    its.close()
    return Waiting(mount, ours, words)


def _become(mount: Mapping[str, Any], key: str, channel: socket.socket, words: int) -> None:
    os.setsid()
    os.chdir("/")
    received = array.array("i")
    _, extra, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(received.itemsize))
    if not extra:
        return  # whoever started it has ended
    received.frombytes(extra[0][2][: received.itemsize])
    read, write = os.pipe()
    os.write(write, key.encode())
    os.close(write)
    null = os.open(os.devnull, os.O_RDWR)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (null, null, words, read, received[0])]
    for number, fd in enumerate(high):
        os.dup2(fd, number)
        os.close(fd)
    program = str(mount["program"])
    argv = [program, "-q", "-fg", "-nosyslog", "-sharedstorage", "-passfile", "/dev/fd/3"]
    os.execve(program, [*argv, str(mount["cipher"]), "/dev/fd/4"], {"PATH": "/usr/bin:/bin"})


def show(waiting: Waiting) -> None:
    """Mount it at its ``source``, in this process's mount namespace. Raises MountError."""
    place = str(waiting.mount["source"])
    try:
        fd = os.open(_FUSE, os.O_RDWR | os.O_CLOEXEC)
        attach_fuse(place, fd)
        waiting.channel.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)
        os.stat(place + "/.")  # answered when it serves; refused when it has ended
    except OSError as error:
        said: List[str] = os.pread(waiting.words, _SAID, 0).decode("utf-8", "replace").split()
        why = " ".join(said) or error.strerror
        raise MountError("the encrypted volume in %s cannot be opened: %s" % (waiting.mount["cipher"], why)) from error
    finally:
        waiting.channel.close()
        os.close(waiting.words)
