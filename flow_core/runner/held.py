"""Tasks that are held back, because they wait for others of the same queue."""

import itertools
from typing import Dict, ItemsView, List, Optional, Set, Tuple

from .bundle import Bundle
from .dependencies import verdict

_AT_ONCE = 100  # looked at in a turn, where nothing says that anything has changed
_NAMED = 3


class Held:
    """What waits for other tasks, found again by what it waits for."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._bundles: Dict[str, Bundle] = {}
        self._after: Dict[str, Set[str]] = {}

    def __len__(self) -> int:
        return len(self._bundles)

    def __contains__(self, name: str) -> bool:
        return name in self._bundles

    def items(self) -> ItemsView[str, Bundle]:
        """Folder's name and bundle of each."""
        return self._bundles.items()

    def add(self, name: str, bundle: Bundle) -> None:
        """Keep a task until it is looked at again."""
        self._bundles[name] = bundle
        for ref in _refs(bundle):
            self._after.setdefault(ref, set()).add(name)

    def remove(self, name: str) -> Bundle:
        """Let go of a task."""
        bundle = self._bundles.pop(name)
        for ref in _refs(bundle):
            names = self._after.get(ref, set())
            names.discard(name)
            if not names:
                self._after.pop(ref, None)
        return bundle

    def of(self, ref: str) -> List[str]:
        """Those that wait for this task."""
        return sorted(self._after.get(ref, ()))

    def some(self) -> List[str]:
        """The names of a few, others each time."""
        names = list(itertools.islice(self._bundles, _AT_ONCE))
        self._bundles.update([(name, self._bundles.pop(name)) for name in names])
        return names

    def bundle(self, name: str) -> Bundle:
        """The bundle of one that is held."""
        return self._bundles[name]

    def reason(self, bundle: Bundle) -> str:
        """Why a task is held."""
        tasks = [str(wanted["task"]) for wanted in bundle.depends_on]
        more = len(tasks) - _NAMED
        return "waits for %s%s to end" % (", ".join(tasks[:_NAMED]), " and %d more" % more if more > 0 else "")

    def verdict(self, bundle: Bundle) -> Optional[Tuple[bool, str]]:
        """As :func:`dependencies.verdict`."""
        return verdict(self._root, bundle)


def _refs(bundle: Bundle) -> List[str]:
    return [str(wanted["ref"]) for wanted in bundle.depends_on]
