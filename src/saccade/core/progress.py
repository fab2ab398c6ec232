"""Progress of long work: a protocol that the terminal, a job and a test each implement."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told how far work has come.

    ``advance`` may raise KeyboardInterrupt (or a subclass) to cancel: the work then leaves the old state behind.
    """

    def start(self, what: str, total: int | None = None) -> None: ...

    def advance(self, count: int = 1, note: str = "") -> None: ...

    def finish(self) -> None: ...


class Silent:
    """Progress that nobody watches."""

    def start(self, what: str, total: int | None = None) -> None:
        pass

    def advance(self, count: int = 1, note: str = "") -> None:
        pass

    def finish(self) -> None:
        pass
