"""JSON as it comes from files: loaded safely, and its values taken for no more than they are."""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from saccade.core.errors import FormatError
from saccade.core.report import Action, Report
from saccade.formats._common.paths import whole_text
from saccade.runtime.gc_control import collector_paused

Json = dict[str, Any]


_PIECE = 1 << 22
HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
"""What a half of a surrogate pair looks like in the text of a file; so do whole pairs."""


class ListOut:
    """A list on its way into a JSON file, an element at a time; it waits elsewhere for what is to stand before it."""

    def __init__(self) -> None:
        self._file: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (it goes with this object)
        weakref.finalize(self, self._file.close)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, element: str) -> None:
        """Add an element as JSON."""
        self._file.write((",\n" if self._count else "\n") + element)
        self._count += 1

    def copy_to(self, out: IO[str]) -> None:
        """Write the list."""
        self._file.seek(0)
        out.write("[")
        shutil.copyfileobj(self._file, out)
        out.write("]")


def load_json(path: Path, report: Report) -> Any:
    """The content of a JSON file; FormatError where it is none. Text that is not Unicode is repaired."""
    try:
        with collector_paused():
            text = path.read_bytes().decode("utf-8-sig")
            data = json.loads(text)
        if HALF_PAIR.search(text) and (whole := with_whole_text(data)) != data:
            report.add(Action.REPAIRED, "text that is not Unicode", detail=path.name)
            data = whole
        return data
    except (ValueError, RecursionError) as error:
        what = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise FormatError(f"{path} is not JSON that can be read: {what}.") from None


def mentions(path: Path, *words: str) -> bool:
    """Whether a file has all of these words somewhere; far quicker than to parse it, to see what it cannot be."""
    return mentioned(path, *words).issuperset(words)


def mentioned(path: Path, *words: str) -> set[str]:
    """Those of the words that a file has somewhere; no more than a piece of it is held."""
    missing = {word: word.encode() for word in words}
    overlap = max((len(word) for word in missing.values()), default=1) - 1
    found: set[str] = set()
    with suppress(OSError), path.open("rb") as file:
        end = b""
        while missing and (piece := file.read(_PIECE)):
            piece = end + piece
            here = {word for word, sought in missing.items() if sought in piece}
            found |= here
            missing = {word: sought for word, sought in missing.items() if word not in here}
            end = piece[-overlap:] if overlap else b""
    return found


def with_whole_text(value: Any) -> Any:
    """JSON with each half of a surrogate pair replaced; see :func:`whole_text`."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [with_whole_text(each) for each in value]
    if isinstance(value, dict):
        return {whole_text(name): with_whole_text(each) for name, each in value.items()}
    return value


def number(value: Any) -> float:
    """A JSON number as float; NaN for anything that is none, so that no check of finiteness lets it pass."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def list_of(data: Mapping[str, Any], name: str) -> list[Any]:
    """The list under ``name``, or an empty one."""
    value = data.get(name)
    return value if isinstance(value, list) else []


def own(entry: Mapping[str, Any]) -> Json:
    """What Saccade wrote beside the fields of the format."""
    value = entry.get("saccade")
    return value if isinstance(value, dict) else {}


def is_id(value: Any) -> bool:
    """Whether a value can be an id: a whole number or text."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)
