"""Sets and lists that lie on the disk while a large source is read, in a file that goes with them."""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Generic, TypeVar

from saccade.core.errors import WorkspaceError

_Value = TypeVar("_Value")
_TOGETHER = 4096
_LATEST, _PAGE = 1024, 128
_FEW = 65_536
_BITS = 16


class _Database(sqlite3.Connection):
    """Tells what is wrong with the disk as what it is."""

    def execute(self, *given: Any) -> sqlite3.Cursor:
        with _disk_errors():
            return super().execute(*given)

    def executemany(self, *given: Any) -> sqlite3.Cursor:
        with _disk_errors():
            return super().executemany(*given)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise WorkspaceError(
            f"A temporary file cannot be written: {error}.",
            hint="Is there room for it? TMPDIR says where temporary files lie.",
        ) from error


def temporary_database(owner: object) -> sqlite3.Connection:
    """A database in a temporary file, in memory while it is small; it goes with its owner.

    WorkspaceError where the disk of the file refuses.
    """
    made = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=_Database)
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -8192"):
        made.execute(f"PRAGMA {setting}")
    made.execute("BEGIN")
    weakref.finalize(owner, made.close)
    return made


def storable(value: int | str) -> int | str | bytes:
    """A number or text as SQLite holds it, different ones as different ones: numbers beyond 64 bits as bytes."""
    return str(value).encode() if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63 else value


class RoomySet:
    """A set of texts: in memory while they are few, else on the disk."""

    def __init__(self) -> None:
        self._few: set[str] | None = set()
        self._db: sqlite3.Connection | None = None

    def __contains__(self, value: object) -> bool:
        if self._few is not None:
            return value in self._few
        assert self._db is not None
        return self._db.execute("SELECT 1 FROM held WHERE value = ?", (value,)).fetchone() is not None

    def add(self, value: str) -> None:
        if self._few is not None:
            self._few.add(value)
            if len(self._few) > _FEW:
                self._db = temporary_database(self)
                self._db.execute("CREATE TABLE held (value PRIMARY KEY) WITHOUT ROWID")
                self._db.executemany("INSERT INTO held VALUES (?)", ((one,) for one in sorted(self._few)))
                self._few = None
            return
        assert self._db is not None
        self._db.execute("INSERT OR IGNORE INTO held VALUES (?)", (value,))


class RoomyDict(Generic[_Value]):
    """Values by text, in the order in which they first came; those not asked for lately are on the disk, as JSON.

    A value may be changed as long as no more than a few are asked for after it.

    Args:
        packed: what of a value is kept as JSON; the value itself where nothing is said.
        unpacked: the value again.
    """

    def __init__(
        self, packed: Callable[[_Value], Any] | None = None, unpacked: Callable[[Any], _Value] | None = None
    ) -> None:
        self._packed, self._unpacked = packed, unpacked
        self._latest: dict[str, tuple[int, _Value]] = {}
        self._count = 0
        self._db: sqlite3.Connection | None = None

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str) -> bool:
        return name in self._latest or self._found(name) is not None

    def get(self, name: str) -> _Value | None:
        held = self._latest.pop(name, None)
        if held is None:
            found = self._found(name)
            if found is None:
                return None
            held = found[0], self._value(found[1])
        self._hold(name, held)
        return held[1]

    def __setitem__(self, name: str, value: _Value) -> None:
        known = self._latest.pop(name, None) or self._found(name)
        self._count += known is None
        self._hold(name, (known[0] if known else self._count, value))

    def _found(self, name: str) -> tuple[int, str] | None:
        if self._db is None:
            return None
        found: tuple[int, str] | None = self._db.execute(
            "SELECT place, value FROM held WHERE name = ?", (name,)
        ).fetchone()
        return found

    def _value(self, text: str) -> _Value:
        kept = json.loads(text)
        return self._unpacked(kept) if self._unpacked else kept

    def _hold(self, name: str, held: tuple[int, _Value]) -> None:
        self._latest[name] = held
        if len(self._latest) > _LATEST:
            self._put_away([*islice(self._latest, len(self._latest) - _LATEST // 2)])

    def _put_away(self, names: Iterable[str]) -> None:
        if self._db is None:
            self._db = temporary_database(self)
            self._db.execute("CREATE TABLE held (place INTEGER PRIMARY KEY, name TEXT UNIQUE, value)")
        rows = []
        for name in names:
            place, value = self._latest.pop(name)
            rows.append((place, name, json.dumps(self._packed(value) if self._packed else value)))
        self._db.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", rows)

    def latest(self) -> Iterator[_Value]:
        """Those that are in memory."""
        return (value for _, value in self._latest.values())

    def items(self) -> Iterator[tuple[str, _Value]]:
        """All names with their values, to be looked at and not changed."""
        if self._db is None:
            for name, (_, value) in sorted(self._latest.items(), key=lambda item: item[1][0]):
                yield name, value
            return
        self._put_away([*self._latest])
        asked, last = "SELECT place, name, value FROM held WHERE place > ? ORDER BY place LIMIT ?", 0
        while rows := self._db.execute(asked, (last, _PAGE)).fetchall():
            last = rows[-1][0]
            for _, name, text in rows:
                yield name, self._value(text)


class NumberSet:
    """A set of whole numbers from 0 on; those that lie close together take a bit each."""

    def __init__(self) -> None:
        self._parts: dict[int, set[int] | bytearray] = {}

    def __contains__(self, number: int) -> bool:
        part = self._parts.get(number >> _BITS)
        if part is None:
            return False
        at = number & (1 << _BITS) - 1
        return at in part if isinstance(part, set) else bool(part[at >> 3] & 1 << (at & 7))

    def add(self, number: int) -> None:
        at = number & (1 << _BITS) - 1
        part = self._parts.setdefault(number >> _BITS, set())
        if isinstance(part, set):
            part.add(at)
            if len(part) > 1 << _BITS - 8:
                bits = self._parts[number >> _BITS] = bytearray(1 << _BITS - 3)
                for one in part:
                    bits[one >> 3] |= 1 << (one & 7)
        else:
            part[at >> 3] |= 1 << (at & 7)


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
        if self._waiting:
            self._db.executemany(self._insert, self._waiting)
            self._waiting.clear()

    def __len__(self) -> int:
        self.flush()
        return int(self._db.execute(f"SELECT count(*) FROM {self._name}").fetchone()[0])  # noqa: S608

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self.flush()
        yield from self._db.execute(f"SELECT * FROM {self._name} ORDER BY place")  # noqa: S608
