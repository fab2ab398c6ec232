"""COCO files that are too large to be held: what stands where in them is kept on the disk."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.report import Report
from saccade.formats._common.json import Json, is_id
from saccade.formats._common.json_stream import Elements, Parts, load_by_parts
from saccade.formats._common.spill import Rows, storable, temporary_database
from saccade.formats.coco.image_entry import Entry

_FLUSHED = 1 << 16


class LargeFile:
    """An annotation file of which images and annotations are read when they are asked for.

    Annotations of one image that stand together are read together.

    Attributes:
        rest: all of the file, but with empty lists of images and annotations.
        repeated: the ids that several annotations have.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self._parts = Parts(path)
        self._db = temporary_database(self)
        self._images = Elements(self._parts, self._db)
        self._runs = Rows(self._db, "runs", ("image", "first", "last"))
        self._run: tuple[int | str | bytes | None, int, int] | None = None
        self._ids = _Ids()
        self.rest: Json = load_by_parts(
            self._parts, path, {"images": self._images.note, "annotations": self._note_annotation}, report
        )
        if self._run is not None:
            self._runs.add(*self._run)
        self._runs.flush()
        self._db.execute("CREATE INDEX runs_of_images ON runs (image)")
        self.repeated: Container[int | str] = self._ids.repeated()

    def _note_annotation(self, entry: Any, begin: int, end: int) -> None:
        image_id, own_id = (entry.get("image_id"), entry.get("id")) if isinstance(entry, dict) else (None, None)
        owner = storable(image_id) if isinstance(image_id, (int, str)) and is_id(image_id) else None
        if self._run is not None and self._run[0] == owner and type(self._run[0]) is type(owner):
            self._run = owner, self._run[1], end
        else:
            if self._run is not None:
                self._runs.add(*self._run)
            self._run = owner, begin, end
        if isinstance(own_id, (int, str)) and is_id(own_id) and own_id != "":
            self._ids.add(own_id)

    def images(self) -> Iterator[tuple[Any, int]]:
        """The entries of images in order, each with its number."""
        return ((entry, place) for place, entry in enumerate(self._images, 1))

    def image(self, place: int) -> Json:
        """The entry of an image by its number."""
        found: Json = self._images.at(place)
        return found

    def annotations(self, image_id: int | str) -> list[Any]:
        """The annotations of an image, in the order of the file."""
        rows = self._db.execute("SELECT first, last FROM runs WHERE image = ? ORDER BY place", (storable(image_id),))
        return [one for first, last in rows.fetchall() for one in self._parts.values(first, last)]

    def unowned(self, known: Entries) -> Iterator[Any]:
        """The annotations that belong to none of the images, in the order of the file."""
        known.flush()
        rows = self._db.execute(
            "SELECT first, last FROM runs"
            " WHERE image IS NULL OR image NOT IN (SELECT image FROM entries) ORDER BY place"
        )
        for first, last in rows.fetchall():
            yield from self._parts.values(first, last)

    def entries(self) -> Entries:
        """A place for those of its images that become records."""
        return Entries(self, self._db)


class Entries:
    """Images that become records, in order; what stands in the file of each is read again when it is asked for."""

    def __init__(self, file: LargeFile, database: Any) -> None:
        self._file, self._db = file, database
        self._rows = Rows(database, "entries", ("number", "image", "id", "key", "file", "split"))
        self._is_indexed = False

    def append(self, entry: Entry, number: int) -> None:
        """Add an image by its number in the file."""
        # A number as SQLite does not hold it is kept as text beside what it is found by.
        found_by = storable(entry.image_id)
        kept = entry.image_id if found_by == entry.image_id else str(entry.image_id)
        self._rows.add(number, found_by, kept, entry.key, entry.file, entry.split)

    def flush(self) -> None:
        self._rows.flush()
        if not self._is_indexed:
            self._db.execute("CREATE INDEX entries_of_images ON entries (image)")
            self._is_indexed = True

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Entry]:
        for _, number, found_by, kept, key, file, split in self._rows:
            image_id = int(kept) if isinstance(found_by, bytes) else kept
            yield Entry(image_id, self._file.image(number), key, file, split)


class _Ids:
    """Ids of annotations as they come, to say at the end which of them came more than once.

    Those that rise from one to the next, as most writers number them, need not be looked at again.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with this object)
        weakref.finalize(self, self._file.close)
        self._numbers = array("q")
        self._last: int | None = None
        self._rises = True
        self._others: dict[int | str, bool] = {}

    def add(self, number: int | str) -> None:
        if isinstance(number, str) or not -(1 << 63) <= number < 1 << 63:
            self._others[number] = number in self._others
            return
        self._rises = self._rises and (self._last is None or number > self._last)
        self._last = number
        self._numbers.append(number)
        if len(self._numbers) >= _FLUSHED:
            self._numbers.tofile(self._file)
            del self._numbers[:]

    def repeated(self) -> Container[int | str]:
        found: set[int | str] = {number for number, is_repeated in self._others.items() if is_repeated}
        if not self._rises:
            self._numbers.tofile(self._file)
            self._file.seek(0)
            numbers = np.sort(np.fromfile(self._file, np.int64))
            found |= set(numbers[1:][numbers[1:] == numbers[:-1]].tolist())
        self._file.close()
        return found
