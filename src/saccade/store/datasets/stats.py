"""Statistics of one version of a dataset."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.schema import KEY, Column, Kind
from saccade.store.arrow.columns import to_list
from saccade.store.query.quantiles import StreamingQuantiles
from saccade.store.table.snapshot import Snapshot

_LABEL_KINDS = (Kind.LABEL, Kind.LABELS, Kind.OBJECTS)
_BATCH_SIZE = 4096
SPLIT = "split"


class _ColumnCounts:
    """Accumulates the statistics of one column."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.missing = 0
        self.empty = 0
        self.classes: Counter[str] = Counter(dict.fromkeys(column.class_names, 0))
        self.items_with: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.sizes = {name: StreamingQuantiles() for name in ("width", "height", "area")}
        self.values = StreamingQuantiles()

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
        self.classes.update(_value_counts(names))
        if owners is not None and len(names):
            pairs = pa.table({"owner": owners, "name": names}).group_by(["owner", "name"]).aggregate([])
            self.items_with.update(_value_counts(pairs.column("name").combine_chunks()))

    def _add_objects(self, array: pa.Array) -> None:
        objects = array.flatten()
        self._add_classes(objects.field("class"), pc.list_parent_indices(array))
        self.types.update(_value_counts(objects.field("type")))
        x1, y1, x2, y2, area = (objects.field(name).to_numpy() for name in ("x1", "y1", "x2", "y2", "area"))
        for name, numbers in (("width", x2 - x1), ("height", y2 - y1), ("area", area)):
            self.sizes[name].add(numbers)

    def result(self) -> dict[str, Any]:
        kind = self.column.kind
        result: dict[str, Any] = {"kind": str(kind), "missing": self.missing, "empty": self.empty}
        result["unlabelled"] = self.missing if kind in _LABEL_KINDS else 0
        if kind in _LABEL_KINDS:
            result["classes"] = dict(self.classes)
        if kind in (Kind.LABELS, Kind.OBJECTS):
            result["items_with_class"] = {name: self.items_with[name] for name in self.classes}
        if kind is Kind.OBJECTS:
            result["objects"] = len(self.sizes["area"])
            result["types"] = dict(self.types)
            result["sizes"] = {name: quantiles.result() for name, quantiles in self.sizes.items()}
        if kind is Kind.NUMBER:
            result["values"] = self.values.result()
        return result


def _value_counts(names: pa.Array) -> dict[str, int]:
    counts = pc.value_counts(names.drop_null())
    return dict(zip(to_list(counts.field("values")), to_list(counts.field("counts")), strict=True))


def statistics(snapshot: Snapshot) -> dict[str, Any]:
    """Compute the statistics of a version in one scan.

    Returns:
        ``items``; ``splits`` (items of each split); and ``columns``, with for each column, depending on its kind:
        ``missing`` (items without a value), ``unlabelled`` (the same for labels), ``empty`` (reviewed and empty),
        ``classes`` (objects or labels of each class), ``items_with_class`` (items with at least one), ``objects``,
        ``types`` (objects of each geometry), ``sizes`` (width and height of the bounds and area of the objects, in
        pixels) and ``values`` (of numbers), the last two as five-number summary and mean.
    """
    column_counts = [_ColumnCounts(column) for column in snapshot.schema.columns]
    splits: Counter[str | None] = Counter()
    has_splits = SPLIT in snapshot.schema and snapshot.schema[SPLIT].kind in (Kind.TEXT, Kind.LABEL)
    for rows in snapshot.batches([KEY, *snapshot.schema.names], batch_size=_BATCH_SIZE):
        for counts in column_counts:
            counts.add(rows.column(counts.column.name).combine_chunks())
        if has_splits:
            splits.update(rows.column(SPLIT).to_pylist())
    return {
        "items": len(snapshot.index),
        "splits": {name or "": count for name, count in splits.items()},
        "columns": {counts.column.name: counts.result() for counts in column_counts},
    }
