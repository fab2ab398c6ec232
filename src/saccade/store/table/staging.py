"""Items on their way in: encoded to a file first, so that nothing of the outside is left to fail during the commit."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import compress, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.errors import InvalidValueError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import KEY, ClassInfo, Column, Kind, Schema
from saccade.store.arrow.codec import arrow_schema, encode_items
from saccade.store.arrow.columns import to_list

BATCH = 1024
_TOGETHER = 64


class Spill:
    """Record batches in a temporary file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.rows = 0

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        with pa.OSFile(str(self.path), "wb") as file, pa.ipc.new_stream(file, self.schema) as stream:
            for batch in batches:
                stream.write_batch(batch)
                self.rows += len(batch)

    def read(self) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            yield from stream

    def reader(self, schema: pa.Schema, align: Callable[[pa.RecordBatch], pa.RecordBatch]) -> pa.RecordBatchReader:
        """The batches after ``align`` has given each of them ``schema``."""
        return pa.RecordBatchReader.from_batches(schema, (align(batch) for batch in self.read()))


class Staged:
    """Items encoded under ``schema``, whose classes now include all that occurred."""

    def __init__(self, folder: Path, schema: Schema, items: Iterable[Item], progress: Progress) -> None:
        self._seen: dict[str, dict[str, None]] = {
            column.name: dict.fromkeys(column.class_names)
            for column in schema.of_kind(Kind.LABEL, Kind.LABELS, Kind.OBJECTS)
        }
        self._hashes = array("q")
        self.spill = Spill(folder / "staged.arrow", arrow_schema(schema, position=False))
        self.spill.write(self._encoded(items, schema, progress))
        self.schema = Schema(tuple(self._with_seen_classes(column) for column in schema.columns))
        self._refuse_repeated_keys()

    def keys_in_parts(self) -> Iterator[pa.Array]:
        """The keys of all items, many at a time."""
        waiting = self.spill.read()
        while group := [batch.column(KEY) for batch in islice(waiting, _TOGETHER)]:
            yield pa.concat_arrays(group)

    def _encoded(self, items: Iterable[Item], schema: Schema, progress: Progress) -> Iterator[pa.RecordBatch]:
        waiting = iter(items)
        while batch := list(islice(waiting, BATCH)):
            encoded = encode_items(batch, schema)
            self._hashes.extend(map(hash, to_list(encoded.column(KEY))))
            for name, seen in self._seen.items():
                seen.update(dict.fromkeys(_classes_in(encoded.column(name), schema[name].kind)))
            progress.advance(len(batch))
            yield encoded

    def _with_seen_classes(self, column: Column) -> Column:
        known = set(column.class_names)
        new = [ClassInfo(name) for name in self._seen.get(column.name, ()) if name not in known]
        return replace(column, classes=(*column.classes, *new)) if new else column

    def _repeated(self) -> list[str]:
        """The keys that occur more than once, in their order: among those whose hashes do."""
        hashes = np.frombuffer(self._hashes, np.int64)
        hashes.sort()
        suspect = hashes[1:][hashes[1:] == hashes[:-1]]
        self._hashes = array("q")
        if not len(suspect):
            return []
        counts: Counter[str] = Counter()
        for keys in self.keys_in_parts():
            listed = to_list(keys)
            some = np.isin(np.fromiter(map(hash, listed), np.int64, len(listed)), suspect)
            counts.update(compress(listed, some))
        return sorted(key for key, count in counts.items() if count > 1)

    def _refuse_repeated_keys(self) -> None:
        if repeated := self._repeated():
            shown = f"{', '.join(repeated[:5])}{' …' if len(repeated) > 5 else ''}"
            raise InvalidValueError(
                f"{len(repeated)} keys occur more than once: {shown}.", hint="Give every item a key of its own."
            )


def _classes_in(array: pa.Array, kind: Kind) -> list[str]:
    if kind is Kind.LABEL:
        names = array
    elif kind is Kind.LABELS:
        names = array.flatten()
    else:
        names = array.flatten().field("class")
    return [name for name in pc.unique(names).to_pylist() if name is not None]
