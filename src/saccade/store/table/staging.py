"""Staged writes: items are encoded to a temporary file first, so that no error of their source can break a commit."""

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

BATCH_SIZE = 1024
_BATCHES_PER_GROUP = 64


class SpillFile:
    """Record batches in a temporary Arrow IPC file.

    Attributes:
        rows: number of rows written.
    """

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
        """Return a reader of the batches, each converted to ``schema`` by ``align``."""
        return pa.RecordBatchReader.from_batches(schema, (align(batch) for batch in self.read()))


class StagedItems:
    """Items encoded to a spill file, with their keys checked.

    Attributes:
        spill: the encoded items.
        schema: the requested schema plus all classes that occur in the items.
    """

    def __init__(self, folder: Path, schema: Schema, items: Iterable[Item], progress: Progress) -> None:
        """Encode the items.

        Args:
            folder: where the spill file is created.
            schema: the columns of the items.
            items: the items to write.
            progress: advanced by one for each item.

        Raises:
            InvalidValueError: if a value does not fit its column or a key occurs twice.
        """
        self._observed_classes: dict[str, dict[str, None]] = {
            column.name: dict.fromkeys(column.class_names)
            for column in schema.columns_of_kind(Kind.LABEL, Kind.LABELS, Kind.OBJECTS)
        }
        self._key_hashes = array("q")
        self.spill = SpillFile(folder / "staged.arrow", arrow_schema(schema, position=False))
        self.spill.write(self._encode(items, schema, progress))
        self.schema = Schema(tuple(self._with_observed_classes(column) for column in schema.columns))
        self._check_unique_keys()

    def key_batches(self) -> Iterator[pa.Array]:
        """Yield the keys of all items, in large batches."""
        batches = self.spill.read()
        while group := [batch.column(KEY) for batch in islice(batches, _BATCHES_PER_GROUP)]:
            yield pa.concat_arrays(group)

    def _encode(self, items: Iterable[Item], schema: Schema, progress: Progress) -> Iterator[pa.RecordBatch]:
        remaining = iter(items)
        while batch := list(islice(remaining, BATCH_SIZE)):
            encoded = encode_items(batch, schema)
            self._key_hashes.extend(map(hash, to_list(encoded.column(KEY))))
            for name, classes in self._observed_classes.items():
                classes.update(dict.fromkeys(_class_names(encoded.column(name), schema[name].kind)))
            progress.advance(len(batch))
            yield encoded

    def _with_observed_classes(self, column: Column) -> Column:
        declared = set(column.class_names)
        new = [ClassInfo(name) for name in self._observed_classes.get(column.name, ()) if name not in declared]
        return replace(column, classes=(*column.classes, *new)) if new else column

    def _duplicate_keys(self) -> list[str]:
        """Return the keys that occur more than once, sorted."""
        # Eight bytes a key: only keys whose hashes collide are read again and compared.
        hashes = np.frombuffer(self._key_hashes, np.int64)
        hashes.sort()
        duplicate_hashes = hashes[1:][hashes[1:] == hashes[:-1]]
        self._key_hashes = array("q")
        if not len(duplicate_hashes):
            return []
        counts: Counter[str] = Counter()
        for batch in self.key_batches():
            keys = to_list(batch)
            is_candidate = np.isin(np.fromiter(map(hash, keys), np.int64, len(keys)), duplicate_hashes)
            counts.update(compress(keys, is_candidate))
        return sorted(key for key, count in counts.items() if count > 1)

    def _check_unique_keys(self) -> None:
        if duplicates := self._duplicate_keys():
            examples = f"{', '.join(duplicates[:5])}{' …' if len(duplicates) > 5 else ''}"
            raise InvalidValueError(
                f"{len(duplicates)} keys occur more than once: {examples}.", hint="Give every item a unique key."
            )


def _class_names(column: pa.Array, kind: Kind) -> list[str]:
    if kind is Kind.LABEL:
        names = column
    elif kind is Kind.LABELS:
        names = column.flatten()
    else:
        names = column.flatten().field("class")
    return [name for name in pc.unique(names).to_pylist() if name is not None]
