"""Python's collector of unreachable cycles, kept from looking where there are none."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Many small values are about to be made and all of them kept: looking among them for rubbish is in vain."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def collected_now_and_then(values: Iterable[T], every: int = 16_384) -> Iterator[T]:
    """The values as they come; while the collector is paused, what is new is looked at once for so many of them."""
    for number, value in enumerate(values, 1):
        yield value
        if number % every == 0:
            gc.collect(0)
