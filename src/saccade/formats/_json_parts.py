"""Large JSON files of one long list, an element at a time: the list is indexed, and never held as a whole."""

from __future__ import annotations

import json
import mmap
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from saccade.core.collector import collector_paused
from saccade.core.errors import FormatError
from saccade.core.report import Action, Report
from saccade.formats._json import HALF_PAIR, with_whole_text

_WINDOW = 1 << 23
_SPACE = re.compile(r"[ \t\n\r]*")
_OF_NUMBERS = re.compile(r"[0-9.eE+-]*")
_DECODE = json.JSONDecoder().raw_decode


class Elements:
    """The elements of a list in a file, by their place in it.

    Attributes:
        offsets: where each begins, and where the last one ends, in bytes.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.offsets = array("Q")

    def __len__(self) -> int:
        return max(0, len(self.offsets) - 1)

    def __getitem__(self, number: int) -> Any:
        return _whole(self._content[self.offsets[number] : self.offsets[number + 1]].decode())


def _whole(text: str) -> Any:
    value, _ = _DECODE(text)
    return with_whole_text(value) if HALF_PAIR.search(text) else value


def load_by_parts(
    path: Path, name: str, each: Callable[[Any], None], report: Report
) -> tuple[dict[str, Any], Elements]:
    """The object of a JSON file, less the list under ``name``, whose elements are shown to ``each`` and indexed.

    FormatError where it is none, as for :func:`~saccade.formats._json.load_json`.
    """
    elements = Elements(path)
    try:
        with collector_paused():
            return _Scan(elements, path, name, each, report).top(), elements
    except (ValueError, RecursionError) as error:
        what = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise FormatError(f"{path} is not JSON that can be read: {what}.") from None


class _Scan:
    """Goes through a file in windows of text, each from where the last value ended."""

    def __init__(self, elements: Elements, path: Path, name: str, each: Callable[[Any], None], report: Report) -> None:
        self._content = elements._content
        self._elements, self._name, self._each = elements, name, each
        self._path, self._report = path, report
        self._text, self._at, self._base, self._size = "", 0, 0, _WINDOW
        self._repaired = False
        self._is_ascii, self._known = True, (0, 0)
        if self._content[:3] == b"\xef\xbb\xbf":
            self._base = 3
        self._refill()

    def top(self) -> dict[str, Any]:
        """The object at the top."""
        found: dict[str, Any] = {}
        self._expect("{")
        if self._peek() == "}":
            self._expect("}")
            return self._end(found)
        while True:
            key = self._value()
            if not isinstance(key, str):
                raise ValueError("a name is expected")
            self._expect(":")
            if key == self._name and self._peek() == "[":
                if key in found or len(self._elements.offsets):
                    raise ValueError(f"'{key}' is there twice")
                self._list()
            else:
                found[key] = self._value()
            if self._peek() != ",":
                break
            self._expect(",")
        self._expect("}")
        return self._end(found)

    def _end(self, found: dict[str, Any]) -> dict[str, Any]:
        if self._peek():
            raise ValueError(f"something follows the end, at byte {self._place()}")
        return found

    def _list(self) -> None:
        self._expect("[")
        offsets = self._elements.offsets
        if self._peek() == "]":
            offsets.append(self._place())
            self._expect("]")
            return
        while True:
            self._peek()
            offsets.append(self._place())
            self._each(self._value())
            if self._peek() != ",":
                break
            self._expect(",")
        offsets.append(self._place())
        self._expect("]")

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
            data = self._content[self._base : self._base + self._size]
            is_last = self._base + self._size >= len(self._content)
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
