"""Sets and lists that lie on the disk while a large source is read, in a file that goes with them."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

_TOGETHER = 4096


def temporary_database(owner: object) -> sqlite3.Connection:
    """A database in a temporary file of SQLite's, in memory while it is small; it goes with its owner."""
    made = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -8192"):
        made.execute(f"PRAGMA {setting}")
    made.execute("BEGIN")
    weakref.finalize(owner, made.close)
    return made


def storable(value: int | str) -> int | str | bytes:
    """A number or text as SQLite holds it, different ones as different ones: numbers beyond 64 bits as bytes."""
    return str(value).encode() if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63 else value


class DiskSet:
    """A set of numbers and texts."""

    def __init__(self) -> None:
        self._db = temporary_database(self)
        self._db.execute("CREATE TABLE held (value PRIMARY KEY) WITHOUT ROWID")

    def __contains__(self, value: object) -> bool:
        assert isinstance(value, (int, str))
        return self._db.execute("SELECT 1 FROM held WHERE value = ?", (storable(value),)).fetchone() is not None

    def add(self, value: int | str) -> None:
        self._db.execute("INSERT OR IGNORE INTO held VALUES (?)", (storable(value),))


class DiskNames:
    """Names by numbers and texts."""

    def __init__(self) -> None:
        self._db = temporary_database(self)
        self._db.execute("CREATE TABLE held (key PRIMARY KEY, name) WITHOUT ROWID")

    def setdefault(self, key: int | str, name: str) -> str | None:
        """Keep a name where there is none yet; the name that was there before, or None."""
        found = self._db.execute("SELECT name FROM held WHERE key = ?", (storable(key),)).fetchone()
        if found is not None:
            return str(found[0])
        self._db.execute("INSERT INTO held VALUES (?, ?)", (storable(key), name))
        return None


class Rows:
    """Rows of a table, written in order and many at a time.

    Args:
        columns: their names; of each row the first ones are as many numbers, texts or None.
    """

    def __init__(self, database: sqlite3.Connection, name: str, columns: Iterable[str]) -> None:
        self._db, self._name = database, name
        names = tuple(columns)
        database.execute(f"CREATE TABLE {name} (place INTEGER PRIMARY KEY, {', '.join(names)})")
        self._insert = f"INSERT INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        self._waiting: list[tuple[Any, ...]] = []

    def add(self, *row: Any) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= _TOGETHER:
            self.flush()

    def flush(self) -> None:
        self._db.executemany(self._insert, self._waiting)
        self._waiting.clear()

    def __len__(self) -> int:
        self.flush()
        return int(self._db.execute(f"SELECT count(*) FROM {self._name}").fetchone()[0])  # noqa: S608

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self.flush()
        yield from self._db.execute(f"SELECT * FROM {self._name} ORDER BY place")  # noqa: S608
