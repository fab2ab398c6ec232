"""Control of Python's cyclic garbage collector around bulk allocations."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector while many small long-lived objects are created."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def collect_periodically(values: Iterable[T], every: int = 16_384) -> Iterator[T]:
    """Yield the values and collect the youngest generation after each ``every`` of them.

    For use while the collector is paused, so that short-lived cycles do not pile up.
    """
    for count, value in enumerate(values, 1):
        yield value
        if count % every == 0:
            gc.collect(0)
