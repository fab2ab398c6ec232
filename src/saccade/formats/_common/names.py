"""File and folder names for keys, classes and splits: safe to write, and unique."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.paths import IMAGE_EXTENSIONS, is_printable
from saccade.formats._common.spill import SpillSet

SPLIT = "split"
NO_SPLIT_FOLDER = "_no_split"
DEFAULT_SUBSET = "default"
"""The subset that CVAT and Datumaro give to items without a split."""
_LABEL_EXTENSIONS = (".txt", ".xml", ".json")
# File systems allow 255 bytes, and an extension and a number may be appended.
_MAX_NAME_BYTES = 200


def safe_component(name: str, reserved: Collection[str] = ()) -> str:
    """Turn any text into the name of one file or folder, unchanged if possible.

    Args:
        reserved: names that may not be used.
    """
    safe = "".join("_" if char in "/\\" or not is_printable(char) else char for char in name)
    # Readers skip hidden files.
    if safe.startswith(".") or safe in reserved or not safe:
        safe = f"_{safe}"
    if len(safe.encode()) > _MAX_NAME_BYTES:
        digest = hashlib.sha256(safe.encode()).hexdigest()[:16]
        safe = safe.encode()[: _MAX_NAME_BYTES - 20].decode(errors="ignore") + f"-{digest}"
    return safe


class FileNames:
    """Unique relative paths without extension for keys.

    Args:
        reserved: folder names with a meaning in the format, which may not be part of a path.
    """

    def __init__(self, report: ConversionReport, reserved: Collection[str] = ()) -> None:
        self._report = report
        self._reserved = frozenset(reserved)
        self._used = SpillSet()

    def claim(self, key: str) -> str:
        """Return the path for a key; a path that differs from the key is reported."""
        *folders, last = key.split("/")
        path = "/".join([*(self._folder(folder) for folder in folders), safe_component(last)])
        unique = path
        number = 2
        while unique in self._used:
            unique = f"{path}-{number}"
            number += 1
        self._used.add(unique)
        if unique != key:
            detail = f"to {unique!r}"
            self._report.add(FindingType.REPAIRED, "key changed to be a file name", key=key, detail=detail)
        return unique

    def _folder(self, name: str) -> str:
        safe = safe_component(name, self._reserved)
        # A folder 'a.jpg' or 'a.txt' could be where the image or the labels of the key 'a' must go.
        extension = Path(safe).suffix.lower()
        return f"{safe}_" if extension in IMAGE_EXTENSIONS or extension in _LABEL_EXTENSIONS else safe


class FolderNames:
    """Unique, safe folder names for a small set of texts, such as classes or splits.

    Args:
        noun: what the texts are, for the report ("class").
        reserved: names that may not be used.
    """

    def __init__(self, report: ConversionReport, noun: str, reserved: Collection[str] = ()) -> None:
        self._report = report
        self._noun = noun
        self._reserved = frozenset(reserved)
        self._name_by_text: dict[str, str] = {}
        self._used: set[str] = set()

    def get(self, text: str) -> str:
        """Return the folder name of a text; a name that differs from the text is reported once."""
        if text not in self._name_by_text:
            name = safe_component(text, self._reserved)
            unique = name
            number = 2
            while unique in self._used:
                unique = f"{name}-{number}"
                number += 1
            self._name_by_text[text] = unique
            self._used.add(unique)
            if unique != text:
                reason = f"{self._noun} changed to be a file name"
                self._report.add(FindingType.REPAIRED, reason, detail=f"{text!r} to {unique!r}")
        return self._name_by_text[text]
