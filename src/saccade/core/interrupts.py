"""Interrupts (Ctrl-C, the end of a job) that wait where they would leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NAME = KeyboardInterrupt.__name__


@contextmanager
def interrupts_held() -> Iterator[Callable[[], None]]:
    """What the process does on a signal, it does at the end of this, not amid it.

    Yields a function that raises KeyboardInterrupt where one waits, for whoever can stop in an orderly way. Only the
    main thread hears signals, so in others nothing is held.
    """
    waiting: list[tuple[int, FrameType | None]] = []

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.append((number, frame))

    def check() -> None:
        if waiting:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    usual = {number: heard for number in _SIGNALS if callable(heard := signal.getsignal(number))}
    for number in usual:
        signal.signal(number, wait)
    try:
        yield check
    finally:
        for held, heard in usual.items():
            signal.signal(held, heard)
        for heard_number, frame in dict(waiting).items():
            usual[signal.Signals(heard_number)](heard_number, frame)


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
