"""COCO files that are too large for memory: an index on disk of where their entries are."""

from __future__ import annotations

import sqlite3
import tempfile
import weakref
from array import array
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.report import ConversionReport
from saccade.formats._common.json import Json, is_id
from saccade.formats._common.json_stream import IndexedElements, JsonFile, scan_json
from saccade.formats._common.spill import SpillTable, temporary_database, to_sqlite_key
from saccade.formats.coco.image_entry import ImageEntry

# Ids that are written to a temporary file together.
_ID_BATCH = 1 << 16


class IndexedFile:
    """An annotation file whose images and annotations are parsed whenever they are used.

    Consecutive annotations of one image form a run, which is read at once.

    Attributes:
        rest: the content with empty lists of images and annotations.
        duplicate_ids: ids that several annotations have.
    """

    def __init__(self, path: Path, report: ConversionReport) -> None:
        self._file = JsonFile(path)
        self._db = temporary_database(self)
        self._images = IndexedElements(self._file, self._db)
        self._runs = SpillTable(self._db, "runs", ("image", "first", "last"))
        self._run: tuple[int | str | bytes | None, int, int] | None = None
        self._ids = _DuplicateIds()
        callbacks = {"images": self._images.add, "annotations": self._add_annotation}
        self.rest: Json = scan_json(self._file, path, callbacks, report)
        if self._run is not None:
            self._runs.add(*self._run)
        self._runs.flush()
        self._db.execute("CREATE INDEX runs_of_images ON runs (image)")
        self.duplicate_ids: Container[int | str] = self._ids.duplicates()

    def _add_annotation(self, entry: Any, begin: int, end: int) -> None:
        fields = entry if isinstance(entry, dict) else {}
        image_id = fields.get("image_id")
        annotation_id = fields.get("id")
        image_key = to_sqlite_key(image_id) if isinstance(image_id, (int, str)) and is_id(image_id) else None
        if self._run is not None and self._run[0] == image_key and type(self._run[0]) is type(image_key):
            self._run = image_key, self._run[1], end
        else:
            if self._run is not None:
                self._runs.add(*self._run)
            self._run = image_key, begin, end
        if isinstance(annotation_id, (int, str)) and is_id(annotation_id) and annotation_id != "":
            self._ids.add(annotation_id)

    def iter_images(self) -> Iterator[tuple[Any, int]]:
        """Iterate over the image entries with their positions from 1."""
        return ((entry, position) for position, entry in enumerate(self._images, 1))

    def get_image(self, position: int) -> Json:
        entry: Json = self._images.get(position)
        return entry

    def annotations_of(self, image_id: int | str) -> list[Any]:
        """Return the annotations of an image, in the order of the file."""
        query = "SELECT first, last FROM runs WHERE image = ? ORDER BY position"
        runs = self._db.execute(query, (to_sqlite_key(image_id),)).fetchall()
        return [entry for first, last in runs for entry in self._file.values(first, last)]

    def orphan_annotations(self, entries: IndexedEntries) -> Iterator[Any]:
        """Iterate over the annotations of none of the images, in the order of the file."""
        entries.flush()
        query = (
            "SELECT first, last FROM runs"
            " WHERE image IS NULL OR image NOT IN (SELECT image FROM entries) ORDER BY position"
        )
        for first, last in self._db.execute(query).fetchall():
            yield from self._file.values(first, last)

    def create_entries(self) -> IndexedEntries:
        """Return an empty list for the images that become records."""
        return IndexedEntries(self, self._db)


class IndexedEntries:
    """Images that become records, in order; their entries in the file are parsed while the list is iterated."""

    def __init__(self, file: IndexedFile, database: sqlite3.Connection) -> None:
        self._file = file
        self._db = database
        self._rows = SpillTable(database, "entries", ("number", "image", "id", "key", "file", "split"))
        self._is_indexed = False

    def append(self, entry: ImageEntry, number: int) -> None:
        """Add an image by its position in the file."""
        # An integer that SQLite cannot store is kept as text, beside the key by which it is found.
        image_key = to_sqlite_key(entry.image_id)
        stored_id = entry.image_id if image_key == entry.image_id else str(entry.image_id)
        self._rows.add(number, image_key, stored_id, entry.key, entry.file, entry.split)

    def flush(self) -> None:
        self._rows.flush()
        if not self._is_indexed:
            self._db.execute("CREATE INDEX entries_of_images ON entries (image)")
            self._is_indexed = True

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[ImageEntry]:
        for _, number, image_key, stored_id, key, file, split in self._rows:
            image_id = int(stored_id) if isinstance(image_key, bytes) else stored_id
            yield ImageEntry(image_id, self._file.get_image(number), key, file, split)


class _DuplicateIds:
    """Collects the ids of annotations, and tells at the end which of them occurred several times.

    Ids in ascending order, as most writers number them, are distinct and need not be sorted.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `duplicates`, or with this object
        weakref.finalize(self, self._file.close)
        self._numbers = array("q")
        self._last: int | None = None
        self._is_ascending = True
        self._is_duplicate: dict[int | str, bool] = {}
        """Ids that are no 64-bit integers, and whether they occurred again."""

    def add(self, number: int | str) -> None:
        if isinstance(number, str) or not -(1 << 63) <= number < 1 << 63:
            self._is_duplicate[number] = number in self._is_duplicate
            return
        self._is_ascending = self._is_ascending and (self._last is None or number > self._last)
        self._last = number
        self._numbers.append(number)
        if len(self._numbers) >= _ID_BATCH:
            self._numbers.tofile(self._file)
            del self._numbers[:]

    def duplicates(self) -> Container[int | str]:
        ids: set[int | str] = {number for number, is_duplicate in self._is_duplicate.items() if is_duplicate}
        if not self._is_ascending:
            self._numbers.tofile(self._file)
            self._file.seek(0)
            numbers = np.sort(np.fromfile(self._file, np.int64))
            ids |= set(numbers[1:][numbers[1:] == numbers[:-1]].tolist())
        self._file.close()
        return ids
