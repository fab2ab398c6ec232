"""Signal handling: temporary handlers, and interrupts (Ctrl-C, SIGTERM) that wait for a critical section to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

SignalHandler = Callable[[int, FrameType | None], object]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NAME = KeyboardInterrupt.__name__


@contextmanager
def signal_handlers(
    handler: SignalHandler, numbers: Iterable[signal.Signals] = _SIGNALS
) -> Iterator[Mapping[signal.Signals, Any]]:
    """Install a handler for SIGINT and SIGTERM until the block exits.

    Python delivers signals to the main thread only, so in other threads this does nothing.

    Args:
        handler: called with the signal number and the current frame.
        numbers: signals to handle.

    Yields:
        The previous handlers by signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield previous
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], None]]:
    """Defer SIGINT and SIGTERM until the block exits; signals with the default action still end the process.

    Yields:
        A function that raises KeyboardInterrupt if a signal is pending, for code that can stop cleanly in between.
    """
    pending: list[int] = []

    def check() -> None:
        if pending:
            raise KeyboardInterrupt

    handled = [number for number in _SIGNALS if callable(signal.getsignal(number))]
    try:
        with signal_handlers(lambda number, _: pending.append(number), handled):
            yield check
    finally:
        for number in dict.fromkeys(pending):
            signal.raise_signal(number)


@contextmanager
def reraise_interrupts() -> Iterator[None]:
    """Re-raise as KeyboardInterrupt an interrupt that a library turned into an error of its own."""
    try:
        yield
    except Exception as error:
        if _is_interrupt(error):
            raise KeyboardInterrupt from error
        raise


def _is_interrupt(error: BaseException | None) -> bool:
    # Lance reports "External error: KeyboardInterrupt" inside an Arrow error.
    while error is not None:
        if isinstance(error, OSError | ValueError | RuntimeError) and _NAME in str(error):
            return True
        error = error.__cause__
    return False
