"""Rate limit by client address for attempts to authenticate."""

from __future__ import annotations

import threading
import time

from cachetools import LRUCache

from saccade.core.errors import RateLimitedError
from saccade.store.auth.service import client_network

_MAX_ATTEMPTS = 30
_WINDOW_S = 600.0
_MAX_ADDRESSES = 10_000
"""The least recently seen addresses are dropped beyond this number, to bound the memory."""


class RateLimiter:
    """Sliding-window counter of attempts: at most 30 in ten minutes from one address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts: LRUCache[str, list[float]] = LRUCache(_MAX_ADDRESSES)

    def record_attempt(self, address: str) -> None:
        """Count an attempt.

        Raises:
            RateLimitedError: Too many attempts; it says when the next one is allowed.
        """
        address = client_network(address)
        with self._lock:
            now = time.monotonic()
            times = [attempt for attempt in self._attempts.pop(address, []) if now - attempt < _WINDOW_S]
            if len(times) >= _MAX_ATTEMPTS:
                self._attempts[address] = times
                wait_s = max(1, round(_WINDOW_S - (now - times[0])))
                raise RateLimitedError("Too many attempts from this address.", seconds=wait_s)
            self._attempts[address] = [*times, now]

    def remove_attempt(self, address: str) -> None:
        """Remove the last attempt, after a success: only failures count."""
        address = client_network(address)
        with self._lock:
            if self._attempts.get(address):
                self._attempts[address].pop()
