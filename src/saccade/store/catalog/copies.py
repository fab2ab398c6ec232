"""Verified copies of an SQLite catalog, beside it, from which a lost or damaged catalog is restored."""

from __future__ import annotations

import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

from saccade.io.atomic import atomic_replace, make_private_dir

_MIN_INTERVAL_S = 600
"""A copy is made at most this often, so at most the last ten minutes of changes are in no copy."""
_RECENT_COPIES = 3
_DAILY_COPIES = 7
_NAME = re.compile(r"catalog-(\d{8})-(\d{8}T\d{6}Z)\.db")
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class CatalogCopy:
    """A copy of the catalog.

    Attributes:
        path: its file.
        number: how many copies had been made of the catalog, with this one.
        created: when it was made.
    """

    path: Path
    number: int
    created: datetime


CopyList = list[CatalogCopy]


class CatalogCopies:
    """The copies of one catalog.

    The three most recent copies are kept, and of the older ones the last of each of seven days.

    Args:
        catalog: the file of the catalog.
        folder: the folder of the copies.
    """

    def __init__(self, catalog: Path, folder: Path) -> None:
        self.catalog = catalog
        self.folder = folder

    def list(self) -> CopyList:
        """List the copies, newest first."""
        matches = ((path, _NAME.fullmatch(path.name)) for path in self.folder.glob("catalog-*.db"))
        copies = [
            CatalogCopy(path, int(match[1]), datetime.strptime(match[2], _TIME_FORMAT).replace(tzinfo=UTC))
            for path, match in matches
            if match is not None
        ]
        return sorted(copies, key=lambda copy: copy.number, reverse=True)

    def newest_intact(self) -> CatalogCopy | None:
        """Return the newest copy that can be read completely, or None."""
        return next((copy for copy in self.list() if is_intact(copy.path)), None)

    def is_due(self) -> bool:
        """Return whether the catalog has changed since the last copy, which was made at least ten minutes ago."""
        newest = next(iter(self.list()), None)
        if newest is None:
            return True
        try:
            copied_at = newest.path.stat().st_mtime
            files = (self.catalog, self.catalog.with_name(f"{self.catalog.name}-wal"))
            changed_at = max(file.stat().st_mtime for file in files if file.exists())
        except (OSError, ValueError):
            return False
        return time.time() - copied_at >= _MIN_INTERVAL_S and changed_at > copied_at

    def add(self) -> CatalogCopy | None:
        """Copy the catalog, verify the copy, and delete copies that are no longer needed.

        Returns:
            The copy; None if the catalog is older than the newest copy, which must then be kept as it is.

        Raises:
            OSError: the copy cannot be written.
            sqlite3.Error: the catalog cannot be read, or the copy is damaged.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)  # without its parents: the workspace may have been moved
        copies = self.list()
        with _connect(self.catalog) as connection:
            connection.execute("PRAGMA busy_timeout=30000")
            connection.execute("BEGIN IMMEDIATE")
            number = int(connection.execute("SELECT copies FROM catalog_info").fetchone()[0]) + 1
            if copies and copies[0].number >= number:
                connection.execute("ROLLBACK")
                return None
            connection.execute("UPDATE catalog_info SET copies = ?", (number,))
            connection.execute("COMMIT")
            created = datetime.now(UTC).replace(microsecond=0)
            path = self.folder / f"catalog-{number:08}-{created.strftime(_TIME_FORMAT)}.db"
            _back_up(connection, path)
        copy = CatalogCopy(path, number, created)
        for old_copy in _superseded([copy, *copies]):
            old_copy.path.unlink(missing_ok=True)
        return copy

    def restore(self, copy: CatalogCopy) -> Path | None:
        """Put a copy in the place of the catalog, and note in it that it was restored.

        Returns:
            Where the files of the old catalog were moved to; None if there were none.

        Raises:
            OSError: a file cannot be written.
            sqlite3.Error: the copy is damaged.
        """
        temporary = self.catalog.with_name(f".{self.catalog.name}.{uuid.uuid4().hex}")
        try:
            with _connect(copy.path) as connection:
                _back_up(connection, temporary)
            with _connect(temporary) as connection:
                # A number above that of every copy, so that the copies go on from here.
                number = max(other.number for other in self.list())
                naive = copy.created.replace(tzinfo=None).isoformat(" ", "microseconds")
                connection.execute("UPDATE catalog_info SET copies = ?, restored_from = ?", (number, naive))
            damaged_dir = self._move_away()
            atomic_replace(temporary, self.catalog)
            return damaged_dir
        finally:
            temporary.unlink(missing_ok=True)

    def _move_away(self) -> Path | None:
        """Move the files of the catalog to a new folder. SQLite would apply an old log to a new file."""
        files = [path for path in self.catalog.parent.glob(f"{self.catalog.name}*") if path.is_file()]
        if not files:
            return None
        folder = self.folder / f"damaged-{datetime.now(UTC).strftime(_TIME_FORMAT)}-{uuid.uuid4().hex[:6]}"
        make_private_dir(folder)
        for path in files:
            path.rename(folder / path.name)
        return folder


def is_intact(path: Path) -> bool:
    """Return whether a file is a complete SQLite catalog with tables."""
    try:
        with _connect(path, read_only=True) as connection:
            check = connection.execute("PRAGMA quick_check").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'catalog_info'").fetchone()[0]
            return bool(check == "ok" and tables == 1)
    except sqlite3.Error:
        return False


def _back_up(source: sqlite3.Connection, path: Path) -> None:
    """Copy a database into a new file, verify it, and rename it to ``path``.

    Raises:
        sqlite3.DatabaseError: the copy is damaged.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
        with _connect(temporary) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, without a log
        if not is_intact(temporary):
            raise sqlite3.DatabaseError("the copy of the catalog is damaged")
        atomic_replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _connect(path: Path, *, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """Open an existing database; each statement is its own transaction unless BEGIN says otherwise."""
    uri = f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        yield connection


def _superseded(copies: Iterable[CatalogCopy]) -> Iterator[CatalogCopy]:
    """Yield the copies, given newest first, that are neither recent nor the last of their day."""
    days: set[date] = set()
    for index, copy in enumerate(copies):
        if index < _RECENT_COPIES:
            continue
        day = copy.created.date()
        if day in days or len(days) >= _DAILY_COPIES:
            yield copy
        days.add(day)
