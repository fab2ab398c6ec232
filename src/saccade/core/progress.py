"""Progress of long-running work: a protocol implemented by the terminal, by jobs and by tests."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long-running work.

    ``advance`` may raise KeyboardInterrupt (or a subclass) to cancel; the work then leaves the previous state intact.
    """

    def start(self, phase: str, total: int | None = None) -> None: ...

    def advance(self, count: int = 1, message: str = "") -> None: ...

    def finish(self) -> None: ...


class NullProgress:
    """Progress that is not displayed."""

    def start(self, phase: str, total: int | None = None) -> None:
        pass

    def advance(self, count: int = 1, message: str = "") -> None:
        pass

    def finish(self) -> None:
        pass
