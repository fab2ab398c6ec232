"""What is written to tables for a version that the catalog has not yet: on the disk before it has, or removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from saccade.runtime.signals import interrupts_known
from saccade.store.io.atomic import sync_files, sync_folder


class Written:
    """Files, and tables with all that is in them, that belong to nobody else yet."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._tables: list[Path] = []

    def note(self, files: Iterable[Path]) -> None:
        self._files += files

    def note_table(self, folder: Path) -> None:
        """A table that is about to be made."""
        self._tables.append(folder)

    def sync(self) -> None:
        """Wait until all of it is on the disk, with the folders that name it."""
        within = [path for table in self._tables for path in table.rglob("*")]
        sync_files({path for path in (*self._files, *within) if path.is_file()})
        for folder in {above for table in self._tables for above in (table, table.parent)}:
            sync_folder(folder)

    def keep(self) -> None:
        """From here on it may be a version's, whatever fails; what of it is not is doctor's to find."""
        self._files.clear()
        self._tables.clear()

    def remove(self) -> None:
        for path in self._files:
            path.unlink(missing_ok=True)
        for folder in self._tables:
            shutil.rmtree(folder, ignore_errors=True)


_NOW: ContextVar[Written] = ContextVar("written")


@contextmanager
def removed_unless_kept() -> Iterator[Written]:
    """What is written to tables in here, and removed at an error that comes before it is kept."""
    written = Written()
    token = _NOW.set(written)
    try:
        with interrupts_known():
            yield written
    except BaseException:
        written.remove()
        raise
    finally:
        _NOW.reset(token)


def written_now() -> Written:
    """What this thread writes to."""
    return _NOW.get()
