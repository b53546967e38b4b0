"""The NVIDIA GPUs of this machine, as ``nvidia-smi`` tells of them: what they are and who uses them.

GPUs are named by their index, which CUDA takes with ``CUDA_DEVICE_ORDER=PCI_BUS_ID``; MIG devices by their UUID, which
is the only name they have. The form is that of ``nvidia-smi -q -x`` (nvsmi_device, since driver 450) and ``-L``.
"""

import re
import shutil
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .sizes import size

ARGV = ["/bin/sh", "-c", "nvidia-smi -q -x && nvidia-smi -L"]
TIMEOUT = 30.0  # seconds; a driver that has to wake up takes 2
_END = "</nvidia_smi_log>"
_MIG_LINE = re.compile(r"\s+MIG\s+(\S+)\s+Device\s+(\d+):\s+\(UUID:\s*([^)]+)\)")
_GPU_LINE = re.compile(r"GPU\s+(\d+):.*\(UUID:\s*([^)]+)\)")
_MIB = 1 << 20
# What a driver and an idle daemon hold of a GPU that nobody uses is less.
_IDLE_BYTES, _IDLE_SHARE = 1 << 30, 0.1


class Device(NamedTuple):
    """A GPU or a MIG device: memory in bytes, ``percent`` of the last moment it computed (None: not told).

    ``user`` is who uses it now, in words; empty where nobody is seen to.
    """

    id: str
    kind: str
    name: str
    memory: int
    used: int
    percent: Optional[float]
    user: str


def is_there() -> bool:
    """Whether this machine can be asked."""
    return shutil.which("nvidia-smi") is not None


def find() -> List[Device]:
    """All devices; none where there is no ``nvidia-smi`` or it fails (0.1 to 2 s)."""
    if not is_there():
        return []
    import subprocess

    try:
        answer = subprocess.run(ARGV, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(answer.stdout)


def parse(answer: bytes) -> List[Device]:
    """Read what ``ARGV`` prints; what is not understood gives no device."""
    from xml.etree import ElementTree

    text = answer.decode("utf-8", "replace")
    log, end, listed = text.partition(_END)
    try:
        root = ElementTree.fromstring((log + end).strip())
    except ElementTree.ParseError:
        return []
    uuids = _mig_uuids(listed)
    return [device for index, gpu in enumerate(root.findall("gpu")) for device in _devices(index, gpu, uuids)]


def kind(name: str) -> str:
    """The name as people type it: ``NVIDIA A100-SXM4-80GB`` is ``a100``."""
    words = name.lower().replace("-", " ").split()
    return next((word for word in words if any(c.isdigit() for c in word)), words[-1] if words else "gpu")


def _devices(index: int, gpu: Any, uuids: Dict[Tuple[str, int], str]) -> Iterator[Device]:
    name, uuid = _text(gpu, "product_name"), _text(gpu, "uuid")
    parts = gpu.findall("mig_devices/mig_device")
    users = list(_users(gpu))
    if _text(gpu, "mig_mode/current_mig") != "Enabled" or not parts:
        memory, used = _mib(gpu, "fb_memory_usage/total"), _mib(gpu, "fb_memory_usage/used")
        who = _who([words for _, words in users]) or _unseen(gpu, memory, used)
        yield Device(str(index), kind(name), name, memory, used, _number(gpu, "utilization/gpu_util"), who)
        return
    for part in parts:
        found = uuids.get((uuid, int(_text(part, "index") or 0)))
        if found is not None:
            yield _slice(name, part, found, users)


def _slice(name: str, part: Any, uuid_and_profile: str, users: List[Tuple[Tuple[str, str], str]]) -> Device:
    uuid, _, profile = uuid_and_profile.partition(" ")
    place = (_text(part, "gpu_instance_id"), _text(part, "compute_instance_id"))
    # A process that is not told where it runs may run in any of them.
    here = [words for at, words in users if at == place or not at[0].isdigit()]
    memory, used = _mib(part, "fb_memory_usage/total"), _mib(part, "fb_memory_usage/used")
    return Device(uuid, profile.lower(), "%s MIG %s" % (name, profile), memory, used, None, _who(here))


def _users(gpu: Any) -> Iterator[Tuple[Tuple[str, str], str]]:
    """Who computes: (GPU instance, compute instance) and words. What only draws (type G) leaves it free."""
    for process in gpu.findall("processes/process_info"):
        if "C" in _text(process, "type"):
            place = (_text(process, "gpu_instance_id"), _text(process, "compute_instance_id"))
            program = _text(process, "process_name").split(" ")[0].rpartition("/")[2]
            yield place, "%s, pid %s" % (program or "a process", _text(process, "pid"))


def _who(words: List[str]) -> str:
    return words[0] + (" and %d more" % (len(words) - 1) if len(words) > 1 else "") if words else ""


def _unseen(gpu: Any, memory: int, used: int) -> str:
    """Processes of another container are not listed, but their memory is; a screen's memory is no sign of them."""
    if _text(gpu, "display_active") == "Enabled" or used <= max(_IDLE_BYTES, memory * _IDLE_SHARE):
        return ""
    return "somebody who cannot be seen from here, %s of its memory" % size(used)


def _mig_uuids(listed: str) -> Dict[Tuple[str, int], str]:
    found: Dict[Tuple[str, int], str] = {}
    above = ""
    for line in listed.splitlines():
        gpu, part = _GPU_LINE.match(line), _MIG_LINE.match(line)
        if gpu:
            above = gpu.group(2).strip()
        elif part:
            found[(above, int(part.group(2)))] = "%s %s" % (part.group(3).strip(), part.group(1))
    return found


def _text(element: Any, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: Any, path: str) -> Optional[float]:
    word = _text(element, path).split(" ")[0]
    try:
        return float(word)
    except ValueError:
        return None


def _mib(element: Any, path: str) -> int:
    return int((_number(element, path) or 0.0) * _MIB)
