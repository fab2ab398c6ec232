"""Counts over one version of a dataset, a column at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.schema import KEY, Column, Kind
from saccade.store.arrow.columns import to_list
from saccade.store.query.quantiles import Spread
from saccade.store.table.snapshot import Snapshot

_LABELS = (Kind.LABEL, Kind.LABELS, Kind.OBJECTS)
_BATCH = 4096
SPLIT = "split"


class _ColumnCounts:
    def __init__(self, column: Column) -> None:
        self.column = column
        self.missing = 0
        self.empty = 0
        self.classes: Counter[str] = Counter(dict.fromkeys(column.class_names, 0))
        self.items_with: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.sizes = {name: Spread() for name in ("width", "height", "area")}
        self.values = Spread()

    def add(self, array: pa.Array) -> None:
        self.missing += array.null_count
        kind = self.column.kind
        if kind in (Kind.OBJECTS, Kind.LABELS, Kind.EMBEDDING):
            self.empty += pc.sum(pc.equal(array.value_lengths(), 0)).as_py() or 0
        if kind is Kind.LABEL:
            self._add_classes(array, None)
        elif kind is Kind.LABELS:
            self._add_classes(array.flatten(), pc.list_parent_indices(array))
        elif kind is Kind.OBJECTS:
            self._add_objects(array)
        elif kind is Kind.NUMBER:
            self.values.add(array.drop_null().to_numpy(zero_copy_only=False))

    def _add_classes(self, names: pa.Array, owners: pa.Array | None) -> None:
        self.classes.update(_counted(names))
        if owners is not None and len(names):
            pairs = pa.table({"owner": owners, "name": names}).group_by(["owner", "name"]).aggregate([])
            self.items_with.update(_counted(pairs.column("name").combine_chunks()))

    def _add_objects(self, array: pa.Array) -> None:
        things = array.flatten()
        self._add_classes(things.field("class"), pc.list_parent_indices(array))
        self.types.update(_counted(things.field("type")))
        x1, y1, x2, y2, area = (things.field(name).to_numpy() for name in ("x1", "y1", "x2", "y2", "area"))
        for name, numbers in (("width", x2 - x1), ("height", y2 - y1), ("area", area)):
            self.sizes[name].add(numbers)

    def result(self) -> dict[str, Any]:
        kind = self.column.kind
        found: dict[str, Any] = {"kind": str(kind), "missing": self.missing, "empty": self.empty}
        found["unlabelled"] = self.missing if kind in _LABELS else 0
        if kind in _LABELS:
            found["classes"] = dict(self.classes)
        if kind in (Kind.LABELS, Kind.OBJECTS):
            found["items_with_class"] = {name: self.items_with[name] for name in self.classes}
        if kind is Kind.OBJECTS:
            found["objects"] = len(self.sizes["area"])
            found["types"] = dict(self.types)
            found["sizes"] = {name: spread.result() for name, spread in self.sizes.items()}
        if kind is Kind.NUMBER:
            found["values"] = self.values.result()
        return found


def _counted(names: pa.Array) -> dict[str, int]:
    counts = pc.value_counts(names.drop_null())
    return dict(zip(to_list(counts.field("values")), to_list(counts.field("counts")), strict=True))


def statistics(snapshot: Snapshot) -> dict[str, Any]:
    """Counts of items and splits, and for each column what its kind has to count.

    ``missing``: items without a value; ``unlabelled``: the same for labels; ``empty``: reviewed and empty;
    ``classes``: objects or labels of each class; ``items_with_class``: items that have at least one;
    ``sizes``: width, height (of the bounds) and area of the objects in pixels.
    """
    counts = [_ColumnCounts(column) for column in snapshot.schema.columns]
    splits: Counter[str | None] = Counter()
    has_splits = SPLIT in snapshot.schema and snapshot.schema[SPLIT].kind in (Kind.TEXT, Kind.LABEL)
    for rows in snapshot.batches([KEY, *snapshot.schema.names], size=_BATCH):
        for counted in counts:
            counted.add(rows.column(counted.column.name).combine_chunks())
        if has_splits:
            splits.update(rows.column(SPLIT).to_pylist())
    return {
        "items": len(snapshot.index),
        "splits": {name or "": number for name, number in splits.items()},
        "columns": {counted.column.name: counted.result() for counted in counts},
    }
