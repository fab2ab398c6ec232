"""JSON from files of any origin: load it safely, and read values of unexpected types without errors."""

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
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.encoding import read_text, search_encoding
from saccade.formats._common.paths import replace_surrogates
from saccade.runtime.gc_control import gc_paused

Json = dict[str, Any]

_CHUNK_BYTES = 1 << 22
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of a surrogate in JSON text; it may be lone, or half of a valid pair."""


class JsonArrayWriter:
    """Collects the elements of a JSON array in a temporary file, until what precedes the array is known."""

    def __init__(self) -> None:
        self._file: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, element: str) -> None:
        """Add an element that is encoded as JSON."""
        self._file.write((",\n" if self._count else "\n") + element)
        self._count += 1

    def copy_to(self, out: IO[str]) -> None:
        """Write the array, with its brackets."""
        self._file.seek(0)
        out.write("[")
        shutil.copyfileobj(self._file, out)
        out.write("]")


def load_json(path: Path, report: ConversionReport) -> Any:
    """Load a JSON file; lone surrogates in its text are replaced, and reported.

    Raises:
        FormatError: if it is no JSON, or nested too deeply.
    """
    try:
        with gc_paused():
            text = read_text(path)
            data = json.loads(text)
        if SURROGATE_ESCAPE.search(text) and (repaired := replace_surrogates_in_json(data)) != data:
            report.add(FindingType.REPAIRED, "text that is not Unicode", detail=path.name)
            data = repaired
        return data
    except (ValueError, RecursionError) as error:
        raise unreadable_json(path, error) from None


def unreadable_json(path: Path, error: ValueError | RecursionError) -> FormatError:
    """Return the FormatError for an error of the JSON parser."""
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return FormatError(f"{path} is not valid JSON: {reason}.")


def contains_tokens(path: Path, *tokens: str) -> bool:
    """Whether a file contains all of these texts; much faster than parsing it, to exclude formats."""
    return find_tokens(path, *tokens).issuperset(tokens)


def find_tokens(path: Path, *tokens: str) -> set[str]:
    """Return those of the texts that a file contains; a file that cannot be read contains none."""
    encoding = "utf-8"
    with suppress(OSError), path.open("rb") as file:
        encoding = search_encoding(file.read(4))
    missing = {token: token.encode(encoding) for token in tokens}
    overlap = max((len(encoded) for encoded in missing.values()), default=1) - 1
    present: set[str] = set()
    with suppress(OSError), path.open("rb") as file:
        tail = b""
        while missing and (chunk := file.read(_CHUNK_BYTES)):
            # A token may begin in one chunk and end in the next.
            chunk = tail + chunk
            in_chunk = {token for token, encoded in missing.items() if encoded in chunk}
            present |= in_chunk
            missing = {token: encoded for token, encoded in missing.items() if token not in in_chunk}
            tail = chunk[-overlap:] if overlap else b""
    return present


def replace_surrogates_in_json(value: Any) -> Any:
    """Replace lone surrogates in all texts of a JSON value; see :func:`replace_surrogates`."""
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, list):
        return [replace_surrogates_in_json(element) for element in value]
    if isinstance(value, dict):
        return {replace_surrogates(name): replace_surrogates_in_json(element) for name, element in value.items()}
    return value


def to_float(value: Any) -> float:
    """Convert a JSON number to float; NaN, which no check for finiteness accepts, for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def get_list(data: Mapping[str, Any], name: str) -> list[Any]:
    """Return the list under ``name``, or an empty one if there is no list."""
    value = data.get(name)
    return value if isinstance(value, list) else []


def get_mapping(data: Mapping[str, Any], name: str) -> Json:
    """Return the mapping under ``name``, or an empty one if there is no mapping."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def saccade_extra(entry: Mapping[str, Any]) -> Json:
    """Return what Saccade writes beside the fields of the format, under the key ``saccade``."""
    return get_mapping(entry, "saccade")


def is_id(value: Any) -> bool:
    """Whether a JSON value can be an id: an integer or text."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)
