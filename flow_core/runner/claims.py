"""What a task takes of a machine."""

from typing import Dict, List, NamedTuple, Tuple

from .bundle import Bundle


class Claim(NamedTuple):
    """What one task takes, all its ranks together: a place, cores, bytes, GPUs of a kind (any: "") and size."""

    tasks: int
    slots: int
    cpus: float
    memory: int
    gpus: int = 0
    gpu_kind: str = ""
    gpu_memory: int = 0

    @property
    def amounts(self) -> Tuple[float, ...]:
        """What can be added up, in the order of AMOUNTS; GPUs are handed out one by one."""
        return self[: len(AMOUNTS)]  # type: ignore[return-value]


AMOUNTS = ("tasks", "slots", "cpus", "memory")


class Gpu(NamedTuple):
    """A GPU to hand out: ``id`` is for CUDA_VISIBLE_DEVICES, ``name`` its kind, ``memory`` bytes (0: unknown)."""

    id: str
    name: str
    memory: int = 0


def claim(bundle: Bundle) -> Claim:
    """What a task takes; one that claims nothing takes a slot per rank."""
    limits, ranks = bundle.limits, bundle.num_instances
    unclaimed = limits.cpus is None and limits.memory is None and not limits.gpu_count
    return Claim(
        1,
        ranks if unclaimed else 0,
        (limits.cpus or 0.0) * ranks,
        (limits.memory or 0) * ranks,
        limits.gpu_count * ranks,
        limits.gpu_kind if limits.gpu_count else "",
        limits.gpu_memory if limits.gpu_count else 0,
    )


def suits(gpu: Gpu, wanted: Claim) -> bool:
    """Whether this GPU is of the kind and size that is asked for."""
    return wanted.gpu_kind in ("", gpu.name) and (not wanted.gpu_memory or gpu.memory >= wanted.gpu_memory)


def told(wanted: Claim) -> Dict[str, object]:
    """The claim for a reader: what is not asked for is left out."""
    names: List[str] = ["cpus", "memory", "gpus"]
    return {name: getattr(wanted, name) for name in names if getattr(wanted, name)}
