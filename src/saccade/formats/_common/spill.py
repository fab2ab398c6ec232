"""Containers that move to a temporary file when they grow, so that large sources are read in bounded memory."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Generic, TypeVar

from saccade.core.errors import WorkspaceError

_Value = TypeVar("_Value")
# Rows that are inserted together.
_BATCH_ROWS = 4096
# Values of a SpillDict in memory, and values that are read together when all of them are iterated.
_CACHE_SIZE = 1024
_PAGE_ROWS = 128
# Elements of a SpillSet in memory.
_MAX_IN_MEMORY = 65_536
# Bits of a number that index into one block of an IntSet.
_BITS = 16


class _Database(sqlite3.Connection):
    """Connection that raises errors of the disk as WorkspaceError."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        with _disk_errors():
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        with _disk_errors():
            return super().executemany(*arguments)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise WorkspaceError(
            f"A temporary file cannot be written: {error}.",
            hint="Free some disk space, or set TMPDIR to a folder with more.",
        ) from error


def temporary_database(owner: object) -> sqlite3.Connection:
    """Open a database in a temporary file, which SQLite keeps in memory while it is small.

    Args:
        owner: the database is closed and its file deleted together with this object.

    Raises:
        WorkspaceError: by any later statement, if the temporary file cannot be written.
    """
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=_Database)
    # Nothing survives a crash, so neither a journal nor synchronous writes are needed.
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -8192"):
        database.execute(f"PRAGMA {setting}")
    database.execute("BEGIN")
    weakref.finalize(owner, database.close)
    return database


def to_sqlite_key(value: int | str) -> int | str | bytes:
    """Map numbers and texts to distinct SQLite values; integers beyond 64 bits become bytes."""
    return str(value).encode() if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63 else value


class SpillSet:
    """A set of texts, in memory while it is small."""

    def __init__(self) -> None:
        self._in_memory: set[str] | None = set()
        self._db: sqlite3.Connection | None = None

    def __contains__(self, value: object) -> bool:
        if self._in_memory is not None:
            return value in self._in_memory
        assert self._db is not None
        return self._db.execute("SELECT 1 FROM elements WHERE value = ?", (value,)).fetchone() is not None

    def add(self, value: str) -> None:
        if self._in_memory is not None:
            self._in_memory.add(value)
            if len(self._in_memory) > _MAX_IN_MEMORY:
                self._db = temporary_database(self)
                self._db.execute("CREATE TABLE elements (value PRIMARY KEY) WITHOUT ROWID")
                rows = ((element,) for element in sorted(self._in_memory))
                self._db.executemany("INSERT INTO elements VALUES (?)", rows)
                self._in_memory = None
            return
        assert self._db is not None
        self._db.execute("INSERT OR IGNORE INTO elements VALUES (?)", (value,))


def get_by_form(values: SpillDict[_Value], name: str) -> _Value | None:
    """Return the value of a name, or else of the name composed or decomposed (Unicode NFC or NFD)."""
    value = values.get(name)
    if value is not None or name.isascii():
        return value
    forms = (unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    return next((other for form in forms if (other := values.get(form)) is not None), None)


class SpillDict(Generic[_Value]):
    """A mapping from texts to JSON values, in order of insertion; the values used last are in memory.

    A value may be modified in place until a few hundred others have been used after it.

    Args:
        pack: converts a value to JSON; by default it is JSON already.
        unpack: the inverse of ``pack``.
    """

    def __init__(
        self, pack: Callable[[_Value], Any] | None = None, unpack: Callable[[Any], _Value] | None = None
    ) -> None:
        self._pack = pack
        self._unpack = unpack
        # Position and value by name, least recently used first.
        self._cache: dict[str, tuple[int, _Value]] = {}
        self._count = 0
        self._db: sqlite3.Connection | None = None

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str) -> bool:
        return name in self._cache or self._read(name) is not None

    def get(self, name: str) -> _Value | None:
        entry = self._cache.pop(name, None)
        if entry is None:
            row = self._read(name)
            if row is None:
                return None
            entry = row[0], self._decode(row[1])
        self._cache_entry(name, entry)
        return entry[1]

    def __setitem__(self, name: str, value: _Value) -> None:
        entry = self._cache.pop(name, None) or self._read(name)
        self._count += entry is None
        self._cache_entry(name, (entry[0] if entry else self._count, value))

    def _read(self, name: str) -> tuple[int, str] | None:
        if self._db is None:
            return None
        query = "SELECT position, value FROM entries WHERE name = ?"
        row: tuple[int, str] | None = self._db.execute(query, (name,)).fetchone()
        return row

    def _decode(self, text: str) -> _Value:
        value = json.loads(text)
        return self._unpack(value) if self._unpack else value

    def _cache_entry(self, name: str, entry: tuple[int, _Value]) -> None:
        self._cache[name] = entry
        if len(self._cache) > _CACHE_SIZE:
            self._evict([*islice(self._cache, len(self._cache) - _CACHE_SIZE // 2)])

    def _evict(self, names: Iterable[str]) -> None:
        if self._db is None:
            self._db = temporary_database(self)
            self._db.execute("CREATE TABLE entries (position INTEGER PRIMARY KEY, name TEXT UNIQUE, value)")
        rows = []
        for name in names:
            position, value = self._cache.pop(name)
            rows.append((position, name, json.dumps(self._pack(value) if self._pack else value)))
        self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)

    def cached_values(self) -> Iterator[_Value]:
        """Iterate over the values that are in memory."""
        return (value for _, value in self._cache.values())

    def items(self) -> Iterator[tuple[str, _Value]]:
        """Iterate over all names and values; the values must not be modified."""
        if self._db is None:
            for name, (_, value) in sorted(self._cache.items(), key=lambda item: item[1][0]):
                yield name, value
            return
        self._evict([*self._cache])
        query = "SELECT position, name, value FROM entries WHERE position > ? ORDER BY position LIMIT ?"
        last = 0
        # In pages, because the caller may use the mapping while it iterates.
        while rows := self._db.execute(query, (last, _PAGE_ROWS)).fetchall():
            last = rows[-1][0]
            for _, name, text in rows:
                yield name, self._decode(text)


class IntSet:
    """A set of integers from 0; dense blocks of 65,536 numbers are bitmaps, sparse ones are sets."""

    def __init__(self) -> None:
        self._blocks: dict[int, set[int] | bytearray] = {}

    def __contains__(self, number: int) -> bool:
        block = self._blocks.get(number >> _BITS)
        if block is None:
            return False
        offset = number & (1 << _BITS) - 1
        return offset in block if isinstance(block, set) else bool(block[offset >> 3] & 1 << (offset & 7))

    def add(self, number: int) -> None:
        offset = number & (1 << _BITS) - 1
        block = self._blocks.setdefault(number >> _BITS, set())
        if isinstance(block, set):
            block.add(offset)
            if len(block) > 1 << _BITS - 8:
                bitmap = bytearray(1 << _BITS - 3)
                for element in block:
                    bitmap[element >> 3] |= 1 << (element & 7)
                self._blocks[number >> _BITS] = bitmap
        else:
            block[offset >> 3] |= 1 << (offset & 7)


class SpillNames:
    """Names by numbers or texts, on disk."""

    def __init__(self) -> None:
        self._db = temporary_database(self)
        self._db.execute("CREATE TABLE names (key PRIMARY KEY, name) WITHOUT ROWID")

    def setdefault(self, key: int | str, name: str) -> str | None:
        """Store a name unless the key has one; return the name that the key had, or None."""
        row = self._db.execute("SELECT name FROM names WHERE key = ?", (to_sqlite_key(key),)).fetchone()
        if row is not None:
            return str(row[0])
        self._db.execute("INSERT INTO names VALUES (?, ?)", (to_sqlite_key(key), name))
        return None


class SpillTable:
    """A table of a temporary database, whose rows are inserted in batches.

    The first column, ``position``, counts the rows from 1.

    Args:
        columns: the further columns; their values are numbers, texts or None.
    """

    def __init__(self, database: sqlite3.Connection, name: str, columns: Iterable[str]) -> None:
        self._db = database
        self._name = name
        names = tuple(columns)
        database.execute(f"CREATE TABLE {name} (position INTEGER PRIMARY KEY, {', '.join(names)})")
        self._insert = f"INSERT INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        self._pending: list[tuple[Any, ...]] = []

    def add(self, *row: Any) -> None:
        self._pending.append(row)
        if len(self._pending) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Insert the pending rows; needed before the table is queried by SQL."""
        if self._pending:
            self._db.executemany(self._insert, self._pending)
            self._pending.clear()

    def __len__(self) -> int:
        self.flush()
        return int(self._db.execute(f"SELECT count(*) FROM {self._name}").fetchone()[0])  # noqa: S608

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self.flush()
        yield from self._db.execute(f"SELECT * FROM {self._name} ORDER BY position")  # noqa: S608
