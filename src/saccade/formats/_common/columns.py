"""The columns of a dataset that a format writes, and the indices of its classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Column, Kind, Schema
from saccade.core.text import format_count
from saccade.formats._common.names import SPLIT
from saccade.formats.base import Record


class SupportedColumns:
    """Selects the columns that a format writes, and counts the values of all others for the report.

    Args:
        kinds: kinds of label column that the format supports; the first such column is written.
        extra: further columns that the format writes, with their kinds.

    Attributes:
        labels: the label column, or None if the schema has none.
        extra: names of the further columns that the schema has.
    """

    def __init__(
        self, schema: Schema, report: ConversionReport, *kinds: Kind, extra: Mapping[str, Kind] | None = None
    ) -> None:
        self._report = report
        self.labels: Column | None = next(iter(schema.columns_of_kind(*kinds)), None) if kinds else None
        self.has_split = _has_column(schema, SPLIT, Kind.TEXT)
        self.extra = {name for name, kind in (extra or {}).items() if _has_column(schema, name, kind)}
        images = schema.columns_of_kind(Kind.IMAGE)
        # The first image column is the image itself; further ones are dropped like any other column.
        written = {column.name for column in (self.labels, *images[:1]) if column} | self.extra | {SPLIT}
        self._dropped = [column.name for column in schema.columns if column.name not in written]
        if SPLIT in schema and not self.has_split:
            self._dropped.append(SPLIT)
        self._dropped_values: Counter[str] = Counter()
        if self.labels and self.labels.name != str(self.labels.kind):
            detail = f"'{self.labels.name}' becomes '{self.labels.kind}'"
            report.add(FindingType.DROPPED, "name of a column", detail=detail)

    def labels_of(self, record: Record) -> Any:
        """Return the record's value of the label column; None if it is unlabelled or there is no such column."""
        return record.values.get(self.labels.name) if self.labels else None

    def split_of(self, record: Record) -> str | None:
        value = record.values.get(SPLIT) if self.has_split else None
        return None if value is None else str(value)

    def drop_split(self) -> None:
        """Treat the split as a column that the format does not write."""
        if self.has_split:
            self._dropped.append(SPLIT)
        self.has_split = False

    def count_dropped(self, record: Record) -> None:
        """Count the values of this record that are not written."""
        self._dropped_values.update(name for name in self._dropped if record.values.get(name) is not None)

    def report_dropped(self) -> None:
        for name in self._dropped:
            detail = f"'{name}' with {format_count(self._dropped_values[name], 'value')}"
            self._report.add(FindingType.DROPPED, "column that the format does not support", detail=detail)

    def report_class_details(self, *names: str) -> None:
        """Report details of classes as dropped: those of parent, color, keypoints and skeleton in ``names``."""
        for info in self.labels.classes if self.labels else ():
            if details := [name for name in names if getattr(info, name)]:
                detail = f"'{info.name}': {', '.join(details)}"
                self._report.add(FindingType.DROPPED, "detail of a class", detail=detail)


def _has_column(schema: Schema, name: str, kind: Kind) -> bool:
    return name in schema and schema[name].kind is kind


class ClassIndex:
    """Indices of the classes to write, in order: those of the column, then any others that objects have.

    Attributes:
        indices: index from 0 by class name.
        used: names of the classes that objects have.
    """

    def __init__(self, column: Column | None) -> None:
        self.indices: dict[str, int] = {name: index for index, name in enumerate(column.class_names if column else ())}
        self.used: set[str] = set()

    def index_of(self, name: str) -> int:
        self.used.add(name)
        return self.indices.setdefault(name, len(self.indices))

    def report_unlisted(self, report: ConversionReport, detail: str = "the format has no list of them") -> None:
        """Report what is lost without a list of classes: unused classes, and an order that is not alphabetical."""
        for name in self.indices.keys() - self.used:
            report.add(FindingType.DROPPED, "class that no object has", detail=name)
        order = [name for name in self.indices if name in self.used]
        if order != sorted(order):
            report.add(FindingType.DROPPED, "order of the classes", detail=detail)
