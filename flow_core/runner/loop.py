"""One thread that waits for descriptors, times and ended children."""

import heapq
import os
import select
import signal
import time
from typing import Callable, Dict, List, Optional, Tuple

Call = Callable[[], None]


class Timer:
    """Something to be done once."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call

    def cancel(self) -> None:
        """Do it no more, and let go of what it holds."""
        self.call = _nothing


class Loop:
    """Calls what was registered, in one thread; without anything to do it sleeps."""

    def __init__(self) -> None:
        """Take over SIGCHLD of this process."""
        self._poll = select.poll()
        self._calls: Dict[int, Call] = {}
        self._times: List[Tuple[float, int, Timer]] = []
        self._count = 0
        self.on_child: Call = _nothing
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.watch(self._wake, self._drain)

    def _drain(self) -> None:
        try:
            os.read(self._wake, 65536)
        except BlockingIOError:
            return
        self.on_child()

    def watch(self, fd: int, call: Call, writable: bool = False) -> None:
        """Call each time ``fd`` is readable (or, if asked for, writable) or hung up."""
        self._calls[fd] = call
        self._poll.register(fd, select.POLLOUT if writable else select.POLLIN)

    def forget(self, fd: int) -> None:
        """Watch ``fd`` no more; it stays open. Unknown is no error."""
        if self._calls.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, seconds: float, call: Call) -> None:
        """Call once, so many seconds from now."""
        self.at(time.monotonic() + seconds, call)

    def at(self, when: float, call: Call) -> Timer:
        """Call once, at that time of the monotonic clock."""
        timer = Timer(call)
        self._count += 1
        heapq.heappush(self._times, (when, self._count, timer))
        return timer

    def turn(self, until: Optional[float] = None) -> None:
        """Wait for the next thing to do, at most until that time of the monotonic clock, and do all there is."""
        for fd, _ in self._poll.poll(self._timeout(until)):
            call = self._calls.get(fd)
            if call is not None:  # one before it in this turn may have forgotten it
                call()
        now = time.monotonic()
        while self._times and self._times[0][0] <= now:
            heapq.heappop(self._times)[2].call()

    def _timeout(self, until: Optional[float]) -> Optional[float]:
        times = ([self._times[0][0]] if self._times else []) + ([until] if until is not None else [])
        if not times:
            return None
        # Whole milliseconds, up: rounding down would spin through the last one.
        return max(0, int((min(times) - time.monotonic()) * 1000 + 0.999))


def _nothing() -> None:
    return
