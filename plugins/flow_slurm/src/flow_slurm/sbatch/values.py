"""The values of sbatch's options, as sbatch reads them. Each reader raises ValueError with what is wrong."""

from __future__ import annotations

import re
import signal as signals

import attrs

from flow_slurm.shims.scontrol import expand

_MIB = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024**2}
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?|(\d+)-")
_SIZE = re.compile(r"(\d+)(?:([kmgt])b?)?", re.IGNORECASE)
_COUNT = re.compile(r"(\d+)([km]?)", re.IGNORECASE)
_SIGNAL = re.compile(r"(?:([RB]{1,2}):)?([A-Za-z0-9]+)(?:@(\d+))?")
_TASKS = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_MAX_ARRAY = 100_000


def minutes(text: str) -> int | None:
    """Return a time limit in minutes, None for no limit: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S; seconds round up."""
    if text.lower() in ("infinite", "unlimited", "-1"):
        return None
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("a time is minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS")
    days, first, second, third, alone = (int(part) if part else None for part in found.groups())
    days = days if alone is None else alone
    if days is not None:
        hours, mins, seconds = first or 0, second or 0, third or 0
    elif third is not None:
        hours, mins, seconds = first or 0, second or 0, third
    else:
        hours, mins, seconds = 0, first or 0, second or 0
    total = ((days or 0) * 24 + hours) * 60 + mins + (seconds + 59) // 60
    return total or None


def mebibytes(text: str) -> int:
    """Return a size in MiB, rounded up: a whole number and K, M (default), G or T, with or without B."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError("a size is a whole number and K, M, G or T, as 16G")
    size = int(found[1]) * _MIB[(found[2] or "m").lower()]
    return -int(-size // 1)


def count(text: str, least: int = 1) -> int:
    """Return a number of things."""
    if not text.isascii() or not text.lstrip("+").isdigit() or int(text) < least:
        raise ValueError(f"a whole number from {least} on is wanted")
    return int(text)


def nodes(text: str) -> tuple[int, int | None]:
    """Return (least, most or None) of ``2``, ``1-4`` or ``2k``; of 24.11's lists ``1,3`` and ``2-8:2`` the ends."""
    told = text.strip()
    parts = [part or "1" for item in told.split(",") for part in item.partition(":")[0].split("-")] if told else []
    found = [_COUNT.fullmatch(part.lstrip("+")) for part in parts]
    if not parts or told.endswith("-") or (len(parts) > 2 and "," not in told) or not all(found):
        raise ValueError("nodes are a number or MIN-MAX")
    numbers = [int(one[1]) * {"": 1, "k": 1024, "m": 1024**2}[one[2].lower()] for one in found if one]
    least, most = min(numbers), max(numbers)
    if not least or numbers[0] > numbers[-1]:
        raise ValueError("nodes are a number or MIN-MAX, from 1 on")
    return least, most if len(numbers) > 1 else None


def hosts(text: str) -> list[str]:
    """Return the hosts of ``node[1-3],login``, sorted as sbatch does, each once; none of a list that is a file."""
    if "/" in text:
        return []
    try:
        return sorted(set(expand(text)), key=_in_order)
    except ValueError:
        raise ValueError("hosts are NAME[,NAME] with ranges as node[1-3]") from None


def _in_order(host: str) -> tuple[str, int]:
    name = host.rstrip("0123456789")
    return name, int(host[len(name) :] or 0)


@attrs.frozen
class Gpus:
    """So many GPUs; ``kind`` as the cluster calls them, empty for any."""

    kind: str
    count: int


def gpus(text: str) -> Gpus:
    """Return what ``2``, ``a100:2`` or ``a100`` says."""
    kind, _, number = text.replace("=", ":").rpartition(":")
    if not kind and number and not _COUNT.fullmatch(number):
        kind, number = number, "1"
    found = _COUNT.fullmatch(number)
    if found is None or ":" in kind or "," in text:
        raise ValueError("GPUs of one kind are [TYPE:]NUMBER")
    return Gpus(kind, int(found[1]) * {"": 1, "k": 1024, "m": 1024**2}[found[2].lower()])


def gres(text: str) -> list[tuple[str, str]]:
    """Return (name, rest) of each resource of ``gpu:a100:2,tmp:10G``; ``gres:`` and ``gres/`` before it are dropped."""
    if not text:
        raise ValueError("generic resources are NAME[[:TYPE]:NUMBER]")
    items = [re.sub(r"^gres[:/]", "", item) for item in text.split(",") if item]
    found = [(name, rest) for name, _, rest in (item.partition(":") for item in items)]
    if any(not name for name, _ in found):
        raise ValueError("generic resources are NAME[[:TYPE]:NUMBER]")
    return [] if text.lower() == "none" else found


@attrs.frozen
class Array:
    """The indices of an array; at most ``throttle`` of them at once, 0 for no such limit."""

    indices: tuple[int, ...]
    throttle: int = 0


def array(text: str) -> Array:
    """Return the indices of ``0-3``, ``1,6-7``, ``0-10:5``, ``0-9%2``, also in brackets; sorted, each once."""
    listed, percent, most = text.partition("%")
    if listed.startswith("["):
        listed = listed.removeprefix("[").removesuffix("]")
    most = next(iter(re.findall(r"^\d+", most)), "0")  # whatever stands behind the number is passed over
    found: set[int] = set()
    for item in (listed.rstrip(",") or "0").split(","):
        found.update(_indices(item))
        if len(found) > _MAX_ARRAY:
            raise ValueError(f"an array has at most {_MAX_ARRAY} tasks")
    return Array(tuple(sorted(found)), int(most) if percent else 0)


def _indices(item: str) -> range:
    found = _TASKS.fullmatch(item)
    if found is None:
        raise ValueError("an array is numbers and ranges, as 0-3,7 or 0-100:10%4")
    first = int(found[1])
    last, step = int(found[2] or first), int(found[3] or 1)
    if last < first or not step:
        raise ValueError(f"{item} holds no index")
    return range(first, last + 1, step)


@attrs.frozen
class Warning:  # noqa: A001 - sbatch's own word for it
    """``--signal``: ``number`` so many ``seconds`` before the limit, to the batch script alone or to its steps."""

    number: int
    seconds: int = 60
    batch: bool = False


def signal(text: str) -> Warning:
    """Return what ``[R][B]:USR1@300`` says; R (a reservation's preemption) is the same here."""
    found = _SIGNAL.fullmatch(text)
    if found is None:
        raise ValueError("a signal is [B:]NAME[@SECONDS], as B:USR1@300")
    word = found[2].upper()
    if word.isdigit():
        number = int(word)
    else:
        name = word if word.startswith("SIG") else f"SIG{word}"
        if name not in signals.Signals.__members__:
            raise ValueError(f"there is no signal {found[2]}")
        number = int(signals.Signals[name])
    if not 1 <= number <= 64:
        raise ValueError(f"there is no signal {number}")
    return Warning(number, 60 if found[3] is None else int(found[3]), "B" in (found[1] or ""))


@attrs.frozen
class Dependency:
    """One condition: ``kind`` as sbatch calls it, the jobs it names (``ID`` or ``ID_INDEX``)."""

    kind: str
    jobs: tuple[str, ...] = ()


def dependencies(text: str) -> tuple[list[Dependency], bool]:
    """Return the conditions and whether one of them is enough (``?`` between them)."""
    return [_dependency(item) for item in re.split(r"[,?]", text) if item], "?" in text


def _dependency(item: str) -> Dependency:
    kind, *jobs = item.split(":")
    if kind == "singleton" and not jobs:
        return Dependency(kind)
    known = ("after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer", "expand")
    if not jobs and kind.isdigit():
        return Dependency("afterany", (kind,))
    if kind not in known or not jobs or not all(re.fullmatch(r"\d+(_(\d+|\*))?(\+\d+)?", job) for job in jobs):
        raise ValueError("a dependency is KIND:ID[:ID], as afterok:1234, or singleton")
    return Dependency(kind, tuple(jobs))


def flow_name(name: str) -> str:
    """Return the nearest name that Flow allows."""
    word = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:48].rstrip("-._")
    return word or "sbatch"
