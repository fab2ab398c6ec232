"""Concurrency limit for CPU-bound routes.

Python runs one thread at a time. Forty threads that read pages at once compete with each other and with the event
loop, and each takes as long as all of them together. With a limit the first response is sent at once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

MAX_CONCURRENT_READS = 4
P = ParamSpec("P")
R = TypeVar("R")
# A limiter belongs to an event loop, so there is one for each loop.
_limiter: RunVar[CapacityLimiter] = RunVar("saccade.read_limiter")


def limit_concurrency(route: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Run a route in a worker thread; at most :data:`MAX_CONCURRENT_READS` decorated routes run at once."""

    @wraps(route)
    async def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        limiter = _limiter.get(None)
        if limiter is None:
            limiter = CapacityLimiter(MAX_CONCURRENT_READS)
            _limiter.set(limiter)
        return await run_sync(partial(route, *args, **kwargs), limiter=limiter)

    return limited
