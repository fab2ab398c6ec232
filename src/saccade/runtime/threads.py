"""Threads that work ahead of their consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], values: Iterable[T], *, threads: int, ahead: int, name: str) -> Iterator[R]:
    """Apply a function to values in threads, and yield the results in order.

    If the consumer stops early, the results that it has not taken are cancelled.

    Args:
        function: called in a thread.
        values: read in the thread of the consumer, as far ahead as ``ahead`` allows.
        threads: the number of threads.
        ahead: how many results may be pending, including the one that is yielded next.
        name: prefix of the names of the threads.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        pending: deque[Future[R]] = deque()
        try:
            for value in values:
                pending.append(pool.submit(function, value))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
