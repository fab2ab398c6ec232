"""Large JSON files of long lists, an element at a time: what is in the lists is never held as a whole."""

from __future__ import annotations

import json
import re
import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.report import Action, Report
from saccade.formats._common.json import HALF_PAIR, load_json, with_whole_text
from saccade.formats._common.spill import Rows, temporary_database
from saccade.runtime.gc_control import collector_paused

_LARGE = 1 << 25
_WINDOW = 1 << 23
_TOGETHER = 512
_SPACE = re.compile(r"[ \t\n\r]*")
_OF_NUMBERS = re.compile(r"[0-9.eE+-]*")
_DECODE = json.JSONDecoder().raw_decode

Each = Callable[[Any, int, int], None]
"""Is shown an element, and where in the file it begins and ends, in bytes."""


def is_large(path: Path) -> bool:
    """Whether a file has so many bytes that it is read an element at a time."""
    return path.stat().st_size > _LARGE


class Parts:
    """A JSON file of which parts are read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self.size = path.stat().st_size

    def bytes(self, begin: int, end: int) -> bytes:
        self._file.seek(begin)
        return self._file.read(end - begin)

    def values(self, begin: int, end: int) -> list[Any]:
        """The elements of a list from where one begins to where it or a later one ends."""
        text = f"[{self.bytes(begin, end).decode()}]"
        values: list[Any] = json.loads(text)
        return with_whole_text(values) if HALF_PAIR.search(text) else values


class Elements(Collection[Any]):
    """The elements of a list in a JSON file, or the values of a mapping, read when they are asked for.

    They are numbered from 1. Those of a list, which stand together, are read together.
    """

    def __init__(self, parts: Parts, database: sqlite3.Connection, *, of_mapping: bool = False) -> None:
        self._parts, self._db, self._together = parts, database, 1 if of_mapping else _TOGETHER
        self._rows = Rows(database, "elements", ("first", "last"))

    def note(self, element: Any, begin: int, end: int) -> None:
        """Add the next one."""
        self._rows.add(begin, end)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        self._rows.flush()
        rows = self._db.execute("SELECT first, last FROM elements ORDER BY place")
        while several := rows.fetchmany(self._together):
            yield from self._parts.values(several[0][0], several[-1][1])

    def __contains__(self, element: object) -> bool:
        return any(one == element for one in self)

    def at(self, place: int) -> Any:
        """One of them."""
        self._rows.flush()
        first, last = self._db.execute("SELECT first, last FROM elements WHERE place = ?", (place,)).fetchone()
        return self._parts.values(first, last)[0]


def load_listed(path: Path, name: str, report: Report) -> tuple[Any, Collection[Any]]:
    """The content of a JSON file but for the list under ``name``, which is empty in it, and the elements of that list.

    Those of a large file are read each time when they are asked for. With ``""`` it is the list that the file is.
    FormatError where the file is no JSON, as for :func:`~saccade.formats._common.json.load_json`.
    """
    return _load_apart(path, name, report, list)


def load_mapped(path: Path, name: str, report: Report) -> tuple[Any, Collection[Any]]:
    """The same with the values of the mapping under ``name``; with ``""`` of that which the file is."""
    return _load_apart(path, name, report, dict)


def _load_apart(
    path: Path, name: str, report: Report, kind: type[list[Any]] | type[dict[str, Any]]
) -> tuple[Any, Collection[Any]]:
    if is_large(path):
        parts = Parts(path)
        elements = Elements(parts, temporary_database(parts), of_mapping=kind is dict)
        wanted: dict[str, Each] = {name: elements.note}
        lists, maps = ({}, wanted) if kind is dict else (wanted, {})
        return load_by_parts(parts, path, lists, report, maps), elements
    data = load_json(path, report)
    inner = (data.get(name) if isinstance(data, dict) else None) if name else data
    if not isinstance(inner, kind):
        return data, ()
    rest = {**data, name: kind()} if name else kind()
    return rest, inner.values() if isinstance(inner, dict) else inner


def load_by_parts(
    parts: Parts, path: Path, lists: Mapping[str, Each], report: Report, maps: Mapping[str, Each] | None = None
) -> Any:
    """The object of a JSON file; some of its lists are empty in it, and their elements shown to those who want them.

    The list called ``""`` is the one that the file itself is; so it is with the values of mappings. FormatError where
    the content is no JSON, as for :func:`~saccade.formats._common.json.load_json`, or is another than an object or
    such a list.
    """
    try:
        with collector_paused():
            return _Scan(parts, path, lists, maps or {}, report).top()
    except (ValueError, RecursionError) as error:
        what = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise FormatError(f"{path} is not JSON that can be read: {what}.") from None


class _Scan:
    """Goes through a file in windows of text, each from where the last value ended."""

    def __init__(
        self, parts: Parts, path: Path, lists: Mapping[str, Each], maps: Mapping[str, Each], report: Report
    ) -> None:
        self._parts, self._lists, self._maps, self._done = parts, lists, maps, set[str]()
        self._path, self._report = path, report
        self._text, self._at, self._base, self._size = "", 0, 0, _WINDOW
        self._repaired = False
        self._is_ascii, self._known = True, (0, 0)
        if parts.bytes(0, 3) == b"\xef\xbb\xbf":
            self._base = 3
        self._refill()

    def top(self) -> Any:
        """The object at the top, or where one is wanted an empty list in place of the list there."""
        found: dict[str, Any] = {}
        if "" in self._lists and self._peek() == "[":
            self._elements(self._lists[""], "[", "]")
            return self._end([])
        if "" in self._maps and self._peek() == "{":
            self._elements(self._maps[""], "{", "}")
            return self._end({})
        self._expect("{")
        if self._peek() == "}":
            self._expect("}")
            return self._end(found)
        while True:
            key = self._value()
            if not isinstance(key, str):
                raise ValueError("a name is expected")
            self._expect(":")
            if key in self._done or (key in found and (key in self._lists or key in self._maps)):
                raise ValueError(f"'{key}' is there twice")
            if key in self._lists and self._peek() == "[":
                self._done.add(key)
                found[key] = []
                self._elements(self._lists[key], "[", "]")
            elif key in self._maps and self._peek() == "{":
                self._done.add(key)
                found[key] = {}
                self._elements(self._maps[key], "{", "}")
            else:
                found[key] = self._value()
            if self._peek() != ",":
                break
            self._expect(",")
        self._expect("}")
        return self._end(found)

    def _end(self, found: Any) -> Any:
        if self._peek():
            raise ValueError(f"something follows the end, at byte {self._place()}")
        return found

    def _elements(self, each: Each, begin: str, end: str) -> None:
        """The elements of a list, or the values of a mapping."""
        self._expect(begin)
        if self._peek() == end:
            self._expect(end)
            return
        while True:
            if begin == "{":
                if not isinstance(self._value(), str):
                    raise ValueError("a name is expected")
                self._expect(":")
            self._peek()
            first = self._place()
            each(self._value(), first, self._place())
            if self._peek() != ",":
                break
            self._expect(",")
        self._expect(end)

    def _place(self) -> int:
        """Where the scan stands, in bytes."""
        if self._is_ascii:
            return self._base + self._at
        at, place = self._known
        self._known = self._at, place + len(self._text[at : self._at].encode("utf-8"))
        return self._known[1]

    def _refill(self) -> bool:
        """Begin the window where the scan stands, with more text than is left in it; False at the end of the file."""
        before = len(self._text) - self._at
        self._base = self._place() if self._text else self._base
        while True:
            data = self._parts.bytes(self._base, self._base + self._size)
            is_last = self._base + self._size >= self._parts.size
            text = (data if is_last else _whole_characters(data)).decode("utf-8")
            if len(text) > before or is_last:
                break
            self._size *= 2
        self._text, self._at = text, 0
        self._is_ascii, self._known = text.isascii(), (0, self._base)
        return len(text) > before

    def _may_go_on(self, end: int) -> bool:
        """Whether a value that ends there may be the beginning of a longer one: of a number that the window cuts."""
        match = _OF_NUMBERS.match(self._text, end)
        return match is not None and match.end() == len(self._text)

    def _peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._refill():
                return ""

    def _expect(self, char: str) -> None:
        if self._peek() != char:
            raise ValueError(f"'{char}' is expected at byte {self._place()}")
        self._at += 1

    def _value(self) -> Any:
        """The value that begins here; the window grows until it is in it."""
        self._peek()
        size = self._size
        while True:
            try:
                value, end = _DECODE(self._text, self._at)
                if not self._may_go_on(end) or not self._refill():
                    break
            except json.JSONDecodeError as error:
                if not self._refill():
                    raise ValueError(f"{error.msg} near byte {self._place()}") from None
        if HALF_PAIR.search(self._text, self._at, end) and (whole := with_whole_text(value)) != value:
            value = whole
            if not self._repaired:
                self._report.add(Action.REPAIRED, "text that is not Unicode", detail=self._path.name)
            self._repaired = True
        self._at, self._size = end, size
        return value


def _whole_characters(data: bytes) -> bytes:
    """Text in UTF-8 without a character at its end that may be cut in two."""
    end = len(data)
    while end and data[end - 1] & 0xC0 == 0x80:
        end -= 1
    return data[: end - 1] if end and data[end - 1] >= 0xC0 else data
