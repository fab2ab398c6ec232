"""How often an address of the network may try what it may fail at."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from saccade.core.errors import TooManyError

_MOST, _WITHIN = 30, 600.0
_REMEMBERED = 10_000


class Tries:
    """Counts tries by address; those of the last ten minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def begin(self, address: str) -> None:
        """Count a try; TooManyError where there were too many."""
        with self._lock:
            now = time.monotonic()
            times = [one for one in self._times.pop(address, []) if now - one < _WITHIN]
            if len(times) >= _MOST:
                self._times[address] = times
                wait = max(1, round(_WITHIN - (now - times[0])))
                raise TooManyError("There were too many tries from there.", seconds=wait)
            self._times[address] = [*times, now]
            while len(self._times) > _REMEMBERED:
                self._times.popitem(last=False)

    def forget(self, address: str) -> None:
        """A try that did not fail is none."""
        with self._lock:
            if self._times.get(address):
                self._times[address].pop()
