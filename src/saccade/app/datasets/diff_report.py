"""HTML report of the differences between two dataset versions, with images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from saccade.core.errors import NotFoundError
from saccade.core.objects import Object
from saccade.core.reader import Item, Reader
from saccade.core.records.datasets import ItemChange, ObjectsChange, SchemaChange
from saccade.core.schema import Kind
from saccade.core.text import format_count
from saccade.html_report.figures import FigureSpec, OverlayShape, render_figures
from saccade.html_report.page import Card, Cell, Figure, GalleryBlock, NoteBlock, Section, TableBlock, render_page
from saccade.store.datasets.diff import DatasetDiff
from saccade.store.datasets.version import DatasetVersion

MAX_IMAGES = 48
_MAX_ROWS = 500
_LEGEND = (("added", "added"), ("removed", "removed"), ("changed", "changed: now"), ("changed was", "changed: before"))


@dataclass(frozen=True, slots=True)
class _ChangedItem:
    """A changed item with its values in both versions."""

    change: ItemChange
    before: Item
    after: Item


def render_diff_report(
    before: DatasetVersion, after: DatasetVersion, diff: DatasetDiff, max_images: int = MAX_IMAGES
) -> str:
    """Render one self-contained HTML page: counts, changed columns and classes, images, and a list of the items.

    Args:
        before: The older version.
        after: The newer version.
        diff: The differences between the two.
        max_images: The maximum number of images in each gallery.
    """
    changed_items = list(_changed_items(before, after, diff))
    sections = [
        Section("items", "Items", "", [_items_table(before, after, diff.schema)]),
        *_schema_section(diff),
        *_objects_sections(before, after, changed_items, max_images),
        *_added_and_removed_sections(before, after, diff, max_images),
        Section("list", "All changes", "", [_change_list(diff)]),
    ]
    facts = {"From": _describe_version(before), "To": _describe_version(after)}
    return render_page(f"{before.ref} to {after.ref}", facts, _summary_cards(diff), sections, subtitle="Changes")


def _describe_version(version: DatasetVersion) -> str:
    info = version.info
    message = f": {info.message}" if info.message else ""
    return f"{version.ref}, {info.created:%Y-%m-%d %H:%M} UTC, {format_count(len(version), 'item')}{message}"


def _summary_cards(diff: DatasetDiff) -> list[Card]:
    object_counts: Counter[str] = Counter()
    for item_change in diff.changed.values():
        for change in item_change.objects.values():
            object_counts.update(
                {"added": len(change.added), "removed": len(change.removed), "changed": len(change.changed)}
            )
    item_counts = diff.counts
    words = ("added", "removed", "changed")
    cards = [Card(f"Items {word}", f"{item_counts[word]:,}", lead=True) for word in words]
    note = "in items of both versions"
    return cards + [Card(f"Objects {word}", f"{object_counts[word]:,}", note) for word in words]


def _items_table(before: DatasetVersion, after: DatasetVersion, schema: SchemaChange) -> TableBlock:
    def row(name: str, old: int, new: int) -> list[Cell]:
        return [Cell(name), Cell(f"{old:,}"), Cell(f"{new:,}"), Cell(f"{new - old:+,}" if new != old else "same")]

    rows = [row("Items", len(before), len(after))]
    old_columns, new_columns = before.stats()["columns"], after.stats()["columns"]
    for name in dict.fromkeys((*old_columns, *new_columns)):
        old, new = (dict(columns.get(name, {}).get("classes", {})) for columns in (old_columns, new_columns))
        for change in schema.classes_renamed.get(name, ()):
            old_count = sum(old.pop(label, 0) for label in change.before)
            new_count = sum(new.pop(label, 0) for label in change.after)
            label = f"{', '.join(change.before)} → {', '.join(change.after)}"
            rows.append(row(f"{name}: {label}", old_count, new_count))
        rows += [row(f"{name}: {label}", old.get(label, 0), new.get(label, 0)) for label in dict.fromkeys((*old, *new))]
    return TableBlock(["", before.ref, after.ref, "Difference"], rows, {})


def _schema_section(diff: DatasetDiff) -> list[Section]:
    schema = diff.schema
    if not schema:
        return []
    rows = [[Cell("Column added"), Cell(name)] for name in schema.columns_added]
    rows += [[Cell("Column removed"), Cell(name)] for name in schema.columns_removed]
    rows += [[Cell(f"Kind of {name}"), Cell(" → ".join(kinds))] for name, kinds in schema.kinds_changed.items()]
    rows += [
        [Cell(f"Classes {change.action} in {name}"), Cell(str(change))]
        for name, changes in schema.classes_renamed.items()
        for change in changes
    ]
    rows += [[Cell(f"Classes added to {name}"), Cell(", ".join(new))] for name, new in schema.classes_added.items()]
    rows += [
        [Cell(f"Classes removed from {name}"), Cell(", ".join(old))] for name, old in schema.classes_removed.items()
    ]
    return [Section("schema", "Columns and classes", "", [TableBlock(["Change", "Name"], rows, {})])]


def _changed_items(before: Reader, after: Reader, diff: DatasetDiff) -> Iterator[_ChangedItem]:
    keys = list(diff.changed)
    old_items = {item.key: item for item in before.items(keys=keys)}
    for item in after.items(keys=keys):
        yield _ChangedItem(diff.changed[item.key], old_items[item.key], item)


def _image_column(version: DatasetVersion) -> str | None:
    try:
        return version.schema.first(Kind.IMAGE).name
    except NotFoundError:
        return None


def _objects_sections(
    before: DatasetVersion, after: DatasetVersion, items: Sequence[_ChangedItem], max_images: int
) -> Iterator[Section]:
    image = _image_column(after)
    for column in after.schema.columns_of_kind(Kind.OBJECTS):
        affected = [item for item in items if column.name in item.change.objects]
        if not affected or image is None:
            continue
        affected.sort(key=lambda item: -_change_count(item.change.objects[column.name]))
        selected = affected[:max_images]
        pictures = [FigureSpec(item.after.key, list(_shapes(item, column.name))) for item in selected]
        drawn = render_figures(after, image, pictures, lambda picture: f"Changes in {picture.key}")
        figures = [
            Figure(
                drawn[index],
                item.after.key,
                _count_text(item.change.objects[column.name]),
                facts=list(_change_facts(item, column.name)),
            )
            for index, item in enumerate(selected)
        ]
        note = f"The {len(figures)} items with the most changes, of {len(affected):,}."
        gallery = GalleryBlock("Images", note, figures, "No images.", legend=_LEGEND, large=True)
        yield Section(f"objects-{column.name}", f"Changed {column.name}", "", [gallery])


def _change_count(change: ObjectsChange) -> int:
    return len(change.added) + len(change.removed) + len(change.changed)


def _count_text(change: ObjectsChange) -> str:
    counts = (("+", change.added), ("−", change.removed), ("~", change.changed))
    return " ".join(f"{sign}{len(ids)}" for sign, ids in counts if ids) or "order"


def _objects_by_id(item: Item, column: str) -> dict[str, Object]:
    return {obj.id: obj for obj in item.values.get(column) or ()}


def _shapes(item: _ChangedItem, column: str) -> Iterator[OverlayShape]:
    """Yield the shapes in drawing order: unchanged objects below, added ones on top."""
    change = item.change.objects[column]
    old, new = _objects_by_id(item.before, column), _objects_by_id(item.after, column)
    for object_id, obj in new.items():
        if object_id not in change.added and object_id not in change.changed:
            yield OverlayShape(obj, "same", faint=True)
    yield from (OverlayShape(old[object_id], "changed was") for object_id in change.changed)
    yield from (OverlayShape(old[object_id], "removed") for object_id in change.removed)
    yield from (OverlayShape(new[object_id], "changed") for object_id in change.changed)
    yield from (OverlayShape(new[object_id], "added") for object_id in change.added)


def _change_facts(item: _ChangedItem, column: str) -> Iterator[tuple[str, str]]:
    change = item.change.objects[column]
    old, new = _objects_by_id(item.before, column), _objects_by_id(item.after, column)
    for word, ids, objects in (("added", change.added, new), ("removed", change.removed, old)):
        if ids:
            yield word, _join_counts(objects[object_id].class_name for object_id in ids)
    if change.changed:
        yield "changed", _join_counts(_object_change(old[object_id], new[object_id]) for object_id in change.changed)


def _join_counts(words: Iterator[str]) -> str:
    return ", ".join(f"{count} × {word}" if count > 1 else word for word, count in Counter(words).most_common())


def _object_change(old: Object, new: Object) -> str:
    if old.class_name != new.class_name:
        return f"{old.class_name} → {new.class_name}"
    fields = ("geometry", "score", "track", "attributes")
    changed = ", ".join(name for name in fields if getattr(old, name) != getattr(new, name))
    return f"{new.class_name} ({changed or 'order'})"


def _added_and_removed_sections(
    before: DatasetVersion, after: DatasetVersion, diff: DatasetDiff, max_images: int
) -> Iterator[Section]:
    sides: tuple[tuple[Literal["added", "removed"], DatasetVersion, list[str]], ...]
    sides = (("added", after, diff.added), ("removed", before, diff.removed))
    for word, version, keys in sides:
        image = _image_column(version)
        if not keys or image is None:
            continue
        columns = [column.name for column in version.schema.columns_of_kind(Kind.OBJECTS)]
        items = {item.key: item for item in version.items(columns, keys[:max_images])}
        pictures = [
            FigureSpec(key, [OverlayShape(obj, word) for name in columns for obj in item[name] or ()])
            for key, item in items.items()
        ]
        drawn = render_figures(version, image, pictures, lambda picture: f"Item {picture.key}")
        figures = [
            Figure(drawn[index], key, facts=[("objects", _class_counts(item))])
            for index, (key, item) in enumerate(items.items())
        ]
        note = f"The first {len(figures)} of {len(keys):,}." if len(keys) > len(figures) else ""
        gallery = GalleryBlock("Images", note, figures, "No images.", large=True)
        yield Section(f"{word}-items", f"Items {word}", "", [gallery])


def _class_counts(item: Item) -> str:
    objects = [obj for value in item.values.values() for obj in value or ()]
    return _join_counts(obj.class_name for obj in objects) if objects else "none"


def _change_list(diff: DatasetDiff) -> TableBlock | NoteBlock:
    rows = [[Cell("added"), Cell(key), Cell("")] for key in diff.added]
    rows += [[Cell("removed"), Cell(key), Cell("")] for key in diff.removed]
    rows += [[Cell("changed"), Cell(key), Cell(_changed_columns(change))] for key, change in diff.changed.items()]
    if not rows:
        return NoteBlock("The two versions are identical.")
    if len(rows) > _MAX_ROWS:
        rows = [*rows[:_MAX_ROWS], [Cell("…"), Cell(f"and {len(rows) - _MAX_ROWS:,} more"), Cell("")]]
    return TableBlock(["", "Item", "Changes"], rows, {})


def _changed_columns(change: ItemChange) -> str:
    objects: Mapping[str, ObjectsChange] = change.objects
    return ", ".join(f"{name} ({_count_text(objects[name])})" if name in objects else name for name in change.columns)
