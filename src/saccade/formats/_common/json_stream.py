"""Incremental reading of large JSON files: long lists and mappings are indexed on disk, and never held as a whole."""

from __future__ import annotations

import json
import re
import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.encoding import encoding_of
from saccade.formats._common.json import SURROGATE_ESCAPE, load_json, replace_surrogates_in_json, unreadable_json
from saccade.formats._common.source_files import mark_read
from saccade.formats._common.spill import SpillTable, temporary_database
from saccade.runtime.gc_control import gc_paused

# Files above this size are indexed instead of loaded.
_MAX_LOADED_BYTES = 1 << 25
# Bytes of text that the scanner holds at first.
_WINDOW_BYTES = 1 << 23
# Elements of a list that are parsed together.
_BATCH = 512
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER_CHARS = re.compile(r"[0-9.eE+-]*")
_DECODE = json.JSONDecoder().raw_decode

ElementCallback = Callable[[Any, int, int], None]
"""Called with an element, and the bytes of the file where it begins and ends."""


def is_large(path: Path) -> bool:
    """Whether a file is read incrementally because of its size."""
    if path.stat().st_size <= _MAX_LOADED_BYTES:
        return False
    with path.open("rb") as file:
        # Only the bytes of UTF-8 can be indexed; a file in another encoding is decoded as a whole.
        return encoding_of(file.read(4)) in ("utf-8", "utf-8-sig")


class JsonFile:
    """An open JSON file from which single values are parsed by their byte ranges."""

    def __init__(self, path: Path) -> None:
        mark_read(path)
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self.size = path.stat().st_size

    def bytes(self, begin: int, end: int) -> bytes:
        self._file.seek(begin)
        return self._file.read(end - begin)

    def values(self, begin: int, end: int) -> list[Any]:
        """Parse consecutive elements of a list, from the begin of the first to the end of the last."""
        text = f"[{self.bytes(begin, end).decode()}]"
        values: list[Any] = json.loads(text)
        return replace_surrogates_in_json(values) if SURROGATE_ESCAPE.search(text) else values


class IndexedElements(Collection[Any]):
    """The elements of a JSON list, or the values of a JSON mapping, parsed whenever they are used.

    Args:
        of_mapping: values of a mapping have names between them, so each is parsed on its own.
    """

    def __init__(self, file: JsonFile, database: sqlite3.Connection, *, of_mapping: bool = False) -> None:
        self._file = file
        self._db = database
        self._batch = 1 if of_mapping else _BATCH
        self._ranges = SpillTable(database, "elements", ("first", "last"))

    def add(self, element: Any, begin: int, end: int) -> None:
        """Add the next element; an :data:`ElementCallback`.

        Args:
            element: ignored; the element is parsed again when it is used.
            begin: offset of its first byte in the file.
            end: offset after its last byte.
        """
        self._ranges.add(begin, end)

    def __len__(self) -> int:
        return len(self._ranges)

    def __iter__(self) -> Iterator[Any]:
        self._ranges.flush()
        rows = self._db.execute("SELECT first, last FROM elements ORDER BY position")
        while batch := rows.fetchmany(self._batch):
            yield from self._file.values(batch[0][0], batch[-1][1])

    def __contains__(self, element: object) -> bool:
        return any(element == other for other in self)

    def get(self, position: int) -> Any:
        """Parse one element by its position from 1."""
        self._ranges.flush()
        query = "SELECT first, last FROM elements WHERE position = ?"
        first, last = self._db.execute(query, (position,)).fetchone()
        return self._file.values(first, last)[0]


def load_with_list(path: Path, name: str, report: ConversionReport) -> tuple[Any, Collection[Any]]:
    """Load a JSON file with a long list.

    Args:
        name: key of the list in the top object; "" if the file itself is the list.

    Returns:
        The content with that list empty, and the elements of the list. Those of a large file are parsed whenever
        they are iterated.

    Raises:
        FormatError: if the file is no JSON.
    """
    return _load_apart(path, name, report, list)


def load_with_mapping(path: Path, name: str, report: ConversionReport) -> tuple[Any, Collection[Any]]:
    """Load a JSON file with a long mapping, like :func:`load_with_list`; the elements are the mapping's values."""
    return _load_apart(path, name, report, dict)


def _load_apart(
    path: Path, name: str, report: ConversionReport, kind: type[list[Any]] | type[dict[str, Any]]
) -> tuple[Any, Collection[Any]]:
    if is_large(path):
        file = JsonFile(path)
        elements = IndexedElements(file, temporary_database(file), of_mapping=kind is dict)
        callbacks: dict[str, ElementCallback] = {name: elements.add}
        if kind is dict:
            return scan_json(file, path, {}, report, callbacks), elements
        return scan_json(file, path, callbacks, report), elements
    data = load_json(path, report)
    inner = (data.get(name) if isinstance(data, dict) else None) if name else data
    if not isinstance(inner, kind):
        return data, ()
    rest = {**data, name: kind()} if name else kind()
    return rest, inner.values() if isinstance(inner, dict) else inner


def scan_json(
    file: JsonFile,
    path: Path,
    lists: Mapping[str, ElementCallback],
    report: ConversionReport,
    mappings: Mapping[str, ElementCallback] | None = None,
) -> Any:
    """Parse a JSON file incrementally.

    Args:
        lists: callbacks for the elements of long lists, by their key in the top object; "" if the file itself is
            the list. These lists are empty in the result.
        mappings: the same for the values of long mappings.

    Returns:
        The top object, or an empty list or mapping if the file itself is one of the long ones.

    Raises:
        FormatError: if the file is no JSON, or its top is anything else.
    """
    try:
        with gc_paused():
            return _JsonScanner(file, path, lists, mappings or {}, report).parse()
    except (ValueError, RecursionError) as error:
        raise unreadable_json(path, error) from None


class _JsonScanner:
    """Parses a file in windows of text, each of which begins after the last value of the one before."""

    def __init__(
        self,
        file: JsonFile,
        path: Path,
        lists: Mapping[str, ElementCallback],
        mappings: Mapping[str, ElementCallback],
        report: ConversionReport,
    ) -> None:
        self._file = file
        self._path = path
        self._lists = lists
        self._mappings = mappings
        self._report = report
        self._seen_keys: set[str] = set()
        self._repaired = False
        # The window: its text, the scan's position in it, its first byte in the file, and how many bytes to read.
        self._text = ""
        self._at = 0
        self._base = 0
        self._size = _WINDOW_BYTES
        # Byte offsets equal positions in ASCII text; otherwise they are counted on from the last known pair.
        self._is_ascii = True
        self._known_offset = (0, 0)
        has_bom = file.bytes(0, 3) == b"\xef\xbb\xbf"
        if has_bom:
            self._base = 3
        self._refill()

    def parse(self) -> Any:
        if "" in self._lists and self._peek() == "[":
            self._elements(self._lists[""], "[", "]")
            return self._check_end([])
        if "" in self._mappings and self._peek() == "{":
            self._elements(self._mappings[""], "{", "}")
            return self._check_end({})
        return self._check_end(self._top_object())

    def _top_object(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        self._expect("{")
        if self._peek() == "}":
            self._expect("}")
            return data
        while True:
            key = self._value()
            if not isinstance(key, str):
                raise ValueError("a name is expected")
            self._expect(":")
            if key in self._seen_keys or (key in data and (key in self._lists or key in self._mappings)):
                raise ValueError(f"'{key}' is there twice")
            if key in self._lists and self._peek() == "[":
                self._seen_keys.add(key)
                data[key] = []
                self._elements(self._lists[key], "[", "]")
            elif key in self._mappings and self._peek() == "{":
                self._seen_keys.add(key)
                data[key] = {}
                self._elements(self._mappings[key], "{", "}")
            else:
                data[key] = self._value()
            if self._peek() != ",":
                break
            self._expect(",")
        self._expect("}")
        return data

    def _check_end(self, data: Any) -> Any:
        if self._peek():
            raise ValueError(f"something follows the end, at byte {self._byte_offset()}")
        return data

    def _elements(self, callback: ElementCallback, opening: str, closing: str) -> None:
        """Parse a list, or a mapping, and pass on its elements."""
        self._expect(opening)
        if self._peek() == closing:
            self._expect(closing)
            return
        while True:
            if opening == "{":
                if not isinstance(self._value(), str):
                    raise ValueError("a name is expected")
                self._expect(":")
            self._peek()
            first = self._byte_offset()
            callback(self._value(), first, self._byte_offset())
            if self._peek() != ",":
                break
            self._expect(",")
        self._expect(closing)

    def _byte_offset(self) -> int:
        if self._is_ascii:
            return self._base + self._at
        at, offset = self._known_offset
        self._known_offset = self._at, offset + len(self._text[at : self._at].encode("utf-8"))
        return self._known_offset[1]

    def _refill(self) -> bool:
        """Move the window to the current position, and make sure that it has more text than remained.

        Returns:
            False at the end of the file.
        """
        remaining = len(self._text) - self._at
        self._base = self._byte_offset() if self._text else self._base
        while True:
            data = self._file.bytes(self._base, self._base + self._size)
            is_last = self._base + self._size >= self._file.size
            text = (data if is_last else _trim_partial_char(data)).decode("utf-8")
            if len(text) > remaining or is_last:
                break
            self._size *= 2
        self._text = text
        self._at = 0
        self._is_ascii = text.isascii()
        self._known_offset = (0, self._base)
        return len(text) > remaining

    def _may_continue(self, end: int) -> bool:
        """Whether a value that ends there may be a number that the window cuts."""
        match = _NUMBER_CHARS.match(self._text, end)
        return match is not None and match.end() == len(self._text)

    def _peek(self) -> str:
        """Skip white space; return the next character, or "" at the end."""
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
            raise ValueError(f"'{char}' is expected at byte {self._byte_offset()}")
        self._at += 1

    def _value(self) -> Any:
        """Parse the value at the current position; the window grows until it contains the value."""
        self._peek()
        size = self._size
        while True:
            try:
                value, end = _DECODE(self._text, self._at)
                if not self._may_continue(end) or not self._refill():
                    break
            except json.JSONDecodeError as error:
                if not self._refill():
                    raise ValueError(f"{error.msg} near byte {self._byte_offset()}") from None
        if SURROGATE_ESCAPE.search(self._text, self._at, end):
            repaired = replace_surrogates_in_json(value)
            if repaired != value:
                value = repaired
                if not self._repaired:
                    self._report.add(FindingType.REPAIRED, "text that is not Unicode", detail=self._path.name)
                self._repaired = True
        self._at = end
        self._size = size
        return value


def _trim_partial_char(data: bytes) -> bytes:
    """Cut off a last UTF-8 character that may be incomplete."""
    end = len(data)
    while end and data[end - 1] & 0xC0 == 0x80:
        end -= 1
    return data[: end - 1] if end and data[end - 1] >= 0xC0 else data
