"""`scontrol` inside a task: host lists, and what a job asks of itself; all else is asked of Flow's client."""

import os
import re
import sys
from typing import Iterator, List

_RANGE = re.compile(r"([^\[,]*)\[([^\]]*)\](.*)")


def expand(text: str) -> List[str]:
    """The hosts of ``node[1-3,07],login``."""
    return [host for item in _items(text) for host in _expand(item)]


def _items(text: str) -> Iterator[str]:
    for found in re.finditer(r"(?:[^,\[]|\[[^\]]*\])+", text):
        yield found.group()


def _expand(item: str) -> Iterator[str]:
    found = _RANGE.fullmatch(item)
    if found is None:
        yield item
        return
    before, ranges, rest = found.groups()
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            for tail in _expand(rest):
                yield before + str(number).zfill(len(first)) + tail


def compress(hosts: List[str]) -> str:
    """The shortest list of these hosts: ``node[1-3]``."""
    found: List[List[str]] = []
    for host in hosts:
        match = re.fullmatch(r"(.*?)(\d+)", host)
        head, digits = match.groups() if match else (host, "")
        if found and _follows(found[-1], head, digits):
            found[-1][2] = digits
        else:
            found.append([head, digits, digits])
    groups: List[List[str]] = []
    for head, first, last in found:
        part = first if first == last else "%s-%s" % (first, last)
        if groups and first and groups[-1][0] == head and groups[-1][1]:
            groups[-1][1] += "," + part
        else:
            groups.append([head, part])
    return ",".join(head + ("[%s]" % part if re.search("[-,]", part) else part) for head, part in groups)


def _follows(run: List[str], head: str, digits: str) -> bool:
    if run[0] != head or not run[2] or not digits or int(run[2]) + 1 != int(digits):
        return False
    return digits[0] != "0" or len(digits) == len(run[2])


def main(argv: List[str]) -> int:
    """``scontrol show hostnames [LIST]`` and the rest."""
    words = [word for word in argv if not word.startswith("-")]
    verb = words[0].lower() if words else ""
    what = words[1].lower() if len(words) > 1 else ""
    if verb == "show" and what and "hostnames".startswith(what) and len(what) > 4:
        text = words[2] if len(words) > 2 else os.environ.get("SLURM_JOB_NODELIST", "")
        sys.stdout.write("".join(host + "\n" for host in expand(text)))
        return 0
    if verb == "show" and what in ("hostlist", "hostlistsorted"):
        sys.stdout.write(compress(expand(",".join(words[2:]))) + "\n")
        return 0
    from .client import ask_leader, call, is_own

    if verb == "requeue" and what and is_own(what):
        from .surroundings import Surroundings

        if not Surroundings().begins_again:
            sys.stderr.write("Requested operation is presently disabled for job %s\n" % what)
            return 1
        ask_leader("requeue")
        return 0
    return call("scontrol", argv)
