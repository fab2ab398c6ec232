"""Table files of a version that is not in the catalog yet: fsynced before the commit, deleted if the write fails."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from saccade.io.atomic import fsync_dir, fsync_files
from saccade.runtime.signals import reraise_interrupts


class UncommittedFiles:
    """The files and new tables that the current write has created."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._tables: list[Path] = []

    def track(self, files: Iterable[Path]) -> None:
        """Add files that were written to an existing table."""
        self._files += files

    def track_table(self, folder: Path) -> None:
        """Add a table that is about to be created, with everything in it."""
        self._tables.append(folder)

    def sync(self) -> None:
        """Fsync all tracked files and the folders that contain them."""
        table_files = [path for table in self._tables for path in table.rglob("*")]
        fsync_files({path for path in (*self._files, *table_files) if path.is_file()})
        for folder in {parent for table in self._tables for parent in (table, table.parent)}:
            fsync_dir(folder)

    def commit(self) -> None:
        """Stop tracking: the files may belong to a version now. ``doctor`` deletes leftovers."""
        self._files.clear()
        self._tables.clear()

    def delete(self) -> None:
        """Delete all tracked files and tables."""
        for path in self._files:
            path.unlink(missing_ok=True)
        for folder in self._tables:
            shutil.rmtree(folder, ignore_errors=True)


_CURRENT: ContextVar[UncommittedFiles] = ContextVar("uncommitted_files")


@contextmanager
def rollback_on_error() -> Iterator[UncommittedFiles]:
    """Track the table files written in the block; delete them if an error occurs before they are committed.

    Only the tracked files are deleted: a merge or restore may refer to files that belong to another version.
    """
    files = UncommittedFiles()
    token = _CURRENT.set(files)
    try:
        with reraise_interrupts():
            yield files
    except BaseException:
        files.delete()
        raise
    finally:
        _CURRENT.reset(token)


def current_uncommitted() -> UncommittedFiles:
    """Return the tracker of the enclosing :func:`rollback_on_error` block."""
    return _CURRENT.get()
