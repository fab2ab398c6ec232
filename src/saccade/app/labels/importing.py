"""Import of labels in an external format into a label set, as edits."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from saccade.annotation.edit_log import IMPORTED
from saccade.annotation.edits import ATTRIBUTE_PREFIX
from saccade.annotation.label_sets import LabelSets, new_classes
from saccade.annotation.reader import LabelSetReader
from saccade.annotation.records import Author, Edit, EditKind, Fields, ItemObjects, ItemState, LabelClass
from saccade.app.ingest.importing import materialize_source, resolve_format
from saccade.app.labels.item_matching import ItemMatcher
from saccade.app.labels.label_sets import COMMAND_LINE
from saccade.app.labels.source_images import has_images, source_with_images
from saccade.core.class_edits import check_class_name
from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.geometry_json import geometry_to_json
from saccade.core.objects import Object, Objects
from saccade.core.progress import NullProgress, Progress
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.encoding import stated_encoding
from saccade.formats.base import FORMATS, Record, RecordStream
from saccade.formats.reading import read_source

_BATCH_ITEMS = 200
"""Items whose edits are written in one transaction, so that other writers do not wait for long."""
_UNMATCHED = "image that the label set does not have"
_MISSING_IMAGES = ("image file missing", "label file without an image")
_Labels = tuple[str, Objects]
"""The key of an item of the set, and its objects in the source."""


@dataclass(slots=True)
class LabelImport:
    """The result of an import of labels.

    Attributes:
        format: The format of the source.
        reason: Why this format was chosen.
        report: Everything that was skipped, refused, inferred or changed.
        items: The number of items of the label set that the source has labels for.
        unmatched: The number of images with labels that are no items of the label set.
        added, changed, unchanged, refused: The numbers of objects.
        emptied: The number of items that were unlabelled, and are now confirmed to be empty.
        classes: The names of the classes that were added.
        group: The group of all the edits: one step of undo.
    """

    format: str
    reason: str
    report: ConversionReport
    items: int = 0
    unmatched: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    emptied: int = 0
    classes: list[str] = field(default_factory=list)
    group: str = field(default_factory=lambda: str(uuid.uuid4()))

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, the classes and the report."""
        return {
            "format": self.format,
            "reason": self.reason,
            "items": self.items,
            "unmatched": self.unmatched,
            "objects": {
                "added": self.added,
                "changed": self.changed,
                "unchanged": self.unchanged,
                "refused": self.refused,
            },
            "emptied": self.emptied,
            "classes": self.classes,
            "group": self.group,
            "report": self.report.to_json(),
        }


def import_labels(
    label_sets: LabelSets,
    name: str,
    source: Path | str,
    *,
    format: str = "auto",
    options: Mapping[str, Any] | None = None,
    check: bool = False,
    private_network: bool = False,
    author: Author = COMMAND_LINE,
    progress: Progress | None = None,
) -> LabelImport:
    """Import labels into a label set. An object with the id of an existing one changes it; others are added.

    The images of the source are items of the set with the same key, or else the only one with the same file name. The
    source need not have the image files. Nothing is deleted: what a format cannot express, such as the score, stays.
    An item that the source confirms to be empty becomes empty if it was unlabelled. Classes that the set lacks are
    added. All edits are in one group, and so are one step of undo.

    Args:
        label_sets: The label sets of the project.
        name: The name of the label set.
        source: The source of :func:`~saccade.app.ingest.importing.import_dataset`.
        format: The format of the source; detected if "auto".
        options: The options of the format.
        check: Only report what would be done.
        private_network: Also fetch from addresses that are not public.
        author: Who edits.
        progress: Advances by each image.

    Raises:
        FormatError: The source cannot be read, or has no objects.
        NotFoundError: The label set, the source or the format does not exist.
    """
    reader = LabelSetReader(label_sets, name)
    progress = progress or NullProgress()
    report = ConversionReport()
    with ExitStack() as stack:
        workspace = label_sets.workspace
        path = stack.enter_context(materialize_source(workspace, source, False, report, progress, private_network))
        is_without_images = path.exists() and not has_images(path)
        if is_without_images:
            # Formats read the sizes of the images from their files.
            folder = stack.enter_context(workspace.scratch.shared())
            path = source_with_images(path, folder, reader)
        format_options = dict(options or {})
        with stated_encoding(str(format_options.get("encoding", ""))):
            format_name, reason = resolve_format(path, format)
        if is_without_images and format_name == "coco":
            format_options.setdefault("media", "optional")
        stream = read_source(FORMATS.get(format_name), path, report, **format_options)
        result = LabelImport(format_name, reason, report)
        column = _source_column(stream.schema, reader.label_set.column)
        writer = _EditWriter(label_sets, name, column, result, author, is_trial=check)
        progress.start("Checking" if check else "Importing", stream.total)
        try:
            labels = _match(stream, column.name, ItemMatcher(reader), result, progress)
            while batch := list(islice(labels, _BATCH_ITEMS)):
                writer.write(batch)
        finally:
            progress.finish()
    return result


def _source_column(schema: Schema, preferred: str) -> Column:
    """Return the column of objects that is imported: of the same name, or the first one."""
    columns = schema.columns_of_kind(Kind.OBJECTS)
    if not columns:
        raise FormatError("The source has no objects.", hint="Import boxes, polygons or other shapes.")
    return next((column for column in columns if column.name == preferred), columns[0])


def _match(
    stream: RecordStream, column: str, matcher: ItemMatcher, result: LabelImport, progress: Progress
) -> Iterator[_Labels]:
    """Iterate over the labels of the items of the set, and report the others."""
    matched: set[str] = set()
    for record in stream.records:
        progress.advance(1, record.key)
        objects: Objects | None = record.values.get(column)
        if objects is None:
            continue
        key = matcher.match(record.key, _file_name(record))
        if key is None:
            result.unmatched += 1
            result.report.add(FindingType.SKIPPED, _UNMATCHED, key=record.key)
        elif key in matched:
            result.report.add(FindingType.SKIPPED, "second image of an item", key=record.key, detail=key)
        else:
            matched.add(key)
            yield key, objects
    result.items = len(matched)
    counts = result.report.counts()
    result.unmatched += sum(counts.get((FindingType.SKIPPED, reason), 0) for reason in _MISSING_IMAGES)


def _file_name(record: Record) -> str:
    return "" if record.media is None or record.frame is not None else record.media.name


class _EditWriter:
    """Writes labels to a set as edits of one group."""

    def __init__(
        self,
        label_sets: LabelSets,
        name: str,
        column: Column,
        result: LabelImport,
        author: Author,
        *,
        is_trial: bool,
    ) -> None:
        self._label_sets = label_sets
        self._name = name
        self._infos = {info.name: info for info in column.classes}
        self._result = result
        self._author = author
        self._is_trial = is_trial
        self._base = label_sets.open(name).seq
        self._invalid_names: set[str] = set()

    def write(self, labels: Sequence[_Labels]) -> None:
        """Write the labels of some items in a transaction; or only count what that would do."""
        existing = self._label_sets.classes(self._name)
        added = new_classes(self._missing_classes(labels, existing), existing)
        self._result.classes += [entry.name for entry in added if entry.name not in self._result.classes]
        classes = {entry.name: entry for entry in (*existing, *added) if not entry.deleted}
        states = self._label_sets.objects(self._name, [key for key, _ in labels])
        edits = [
            edit for key, objects in labels if key in states for edit in self._edits(key, objects, states[key], classes)
        ]
        results, _ = self._label_sets.apply(self._name, edits, self._author, classes=added, is_trial=self._is_trial)
        counts: Counter[tuple[str, str]] = Counter()
        for edit, applied in zip(edits, results, strict=True):
            if applied.status == "refused":
                self._refuse(edit.item, edit.object or "", str(applied.code), str(applied.reason))
            counts[edit.kind, applied.status] += 1
        self._result.added += counts["put", "applied"]
        self._result.changed += counts["patch", "applied"]
        self._result.unchanged += counts["patch", "unchanged"]
        self._result.emptied += counts["state", "applied"]

    def _missing_classes(self, labels: Iterable[_Labels], existing: Sequence[LabelClass]) -> list[ClassInfo]:
        """Return the classes of the objects, and their parents, that the set lacks."""
        known = {entry.name for entry in existing if not entry.deleted}
        names = dict.fromkeys(obj.class_name for _, objects in labels for obj in objects)
        missing: dict[str, ClassInfo] = {}
        for name in names:
            lineage = []
            info: ClassInfo | None = self._infos.get(name) or ClassInfo(name)
            while info is not None and info.name not in known and info not in lineage:
                lineage.append(info)
                info = self._infos.get(info.parent or "")
            try:
                for ancestor in lineage:
                    check_class_name(ancestor.name)
            except InvalidValueError:
                self._invalid_names.add(name)
                continue
            missing |= {ancestor.name: ancestor for ancestor in reversed(lineage)}
        return list(missing.values())

    def _edits(
        self, key: str, objects: Objects, item: ItemObjects, classes: Mapping[str, LabelClass]
    ) -> Iterator[Edit]:
        if not objects and item.state is ItemState.UNLABELLED:
            yield self._edit(key, None, "state", {"state": str(ItemState.EMPTY)})
        existing = {obj.id for obj in item.objects}
        ids: set[str] = set()
        for obj in objects:
            if obj.id in ids:
                self._refuse(key, obj.id, "duplicate-id", "Another object of the item has this id.")
                continue
            ids.add(obj.id)
            if obj.class_name in self._invalid_names:
                self._refuse(key, obj.id, "class-invalid", f"'{obj.class_name[:60]}' cannot be the name of a class.")
            elif obj.id in existing:
                yield self._edit(key, obj.id, "patch", _changes(obj, classes[obj.class_name]))
            else:
                yield self._edit(key, obj.id, "put", _new_fields(obj, classes[obj.class_name]))

    def _edit(self, key: str, object_id: str | None, kind: EditKind, fields: Fields) -> Edit:
        return Edit(str(uuid.uuid4()), key, object_id, kind, fields, self._base, self._result.group)

    def _refuse(self, key: str, object_id: str, code: str, detail: str) -> None:
        self._result.refused += 1
        self._result.report.add(
            FindingType.DROPPED, f"object refused ({code})", key=key, object_id=object_id, detail=detail
        )


def _new_fields(obj: Object, label_class: LabelClass) -> Fields:
    return {
        "class": label_class.id,
        "geometry": geometry_to_json(obj.geometry),
        "attributes": _attributes(obj, label_class),
        "score": obj.score,
        "track": obj.track,
        "source": IMPORTED,
    }


def _changes(obj: Object, label_class: LabelClass) -> Fields:
    """Return the values that the source has; what it does not have stays as it is."""
    fields: Fields = {"class": label_class.id, "geometry": geometry_to_json(obj.geometry)}
    fields |= {f"{ATTRIBUTE_PREFIX}{name}": value for name, value in _attributes(obj, label_class).items()}
    for name, value in (("score", obj.score), ("track", obj.track)):
        if value is not None:
            fields[name] = value
    return fields


def _attributes(obj: Object, label_class: LabelClass) -> Fields:
    """Return the attributes; numbers and truth values as the choices that formats read them from."""
    choices = {spec.name: spec.choices for spec in label_class.attributes}
    return {
        name: str(value) if value not in choices.get(name, ()) and str(value) in choices.get(name, ()) else value
        for name, value in obj.attributes.items()
    }
