"""Interrupts (Ctrl-C, the end of a job) that wait where they would leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

Hear = Callable[[int, FrameType | None], object]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NAME = KeyboardInterrupt.__name__


@contextmanager
def signals_to(hear: Hear, numbers: Iterable[signal.Signals] = _SIGNALS) -> Iterator[Mapping[signal.Signals, Any]]:
    """What the process does on SIGINT and SIGTERM for a while; yields what it does otherwise, by their numbers.

    Only the main thread hears signals, so in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    usual = {number: signal.signal(number, hear) for number in numbers}
    try:
        yield usual
    finally:
        for number, before in usual.items():
            signal.signal(number, before)


@contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """What the process does on a signal, it does at the end of this, not amid it; what ends it at once still does.

    Yields a function that raises KeyboardInterrupt where one waits, for whoever can stop in an orderly way.
    """
    waiting: list[int] = []

    def check() -> None:
        if waiting:
            raise KeyboardInterrupt

    handled = [number for number in _SIGNALS if callable(signal.getsignal(number))]
    try:
        with signals_to(lambda number, _: waiting.append(number), handled):
            yield check
    finally:
        for number in dict.fromkeys(waiting):
            signal.raise_signal(number)


@contextmanager
def interrupts_known() -> Iterator[None]:
    """An interrupt that a library heard amid its work, and made an error of its own of, is raised as what it was."""
    try:
        yield
    except Exception as error:
        if _is_interrupt(error):
            raise KeyboardInterrupt from error
        raise


def _is_interrupt(error: BaseException | None) -> bool:
    """Lance says "External error: KeyboardInterrupt", in an error of Arrow's."""
    while error is not None:
        if isinstance(error, OSError | ValueError | RuntimeError) and _NAME in str(error):
            return True
        error = error.__cause__
    return False
