"""The difference of two versions as a page with pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from saccade.core.errors import NotFoundError
from saccade.core.objects import Object
from saccade.core.reader import Item, Reader
from saccade.core.schema import Kind
from saccade.html_report.figures import Picture, Shape, draw_all
from saccade.html_report.page import Card, Cell, Figure, Gallery, Note, Section, Table, render_page
from saccade.store.datasets.diff import DatasetDiff, ItemChange, ObjectsChange
from saccade.store.datasets.version import DatasetVersion

PICTURES = 48
_MOST_ROWS = 500
_LEGEND = (("added", "added"), ("removed", "removed"), ("changed", "changed: now"), ("changed was", "changed: before"))


@dataclass(frozen=True, slots=True)
class _Change:
    """An item that differs, with what it holds on both sides."""

    change: ItemChange
    before: Item
    after: Item


def difference_page(before: DatasetVersion, after: DatasetVersion, found: DatasetDiff, pictures: int = PICTURES) -> str:
    """One HTML page: counts, changed columns and classes, pictures of what changed, and lists of the items.

    Args:
        pictures: at most so many in each gallery.
    """
    changes = list(_changes(before, after, found))
    sections = [
        Section("items", "Items", "", [_items_table(before, after)]),
        *_schema_section(found),
        *_objects_sections(before, after, changes, pictures),
        *_came_and_went(before, after, found, pictures),
        Section("list", "Everything that changed", "", [_list(found)]),
    ]
    facts = {"From": _described(before), "To": _described(after)}
    return render_page(f"{before.ref} to {after.ref}", facts, _cards(found), sections, subtitle="What changed")


def _described(version: DatasetVersion) -> str:
    info = version.info
    message = f": {info.message}" if info.message else ""
    return f"{version.ref}, {info.created:%Y-%m-%d %H:%M} UTC, {len(version):,} items{message}"


def _cards(found: DatasetDiff) -> list[Card]:
    objects: Counter[str] = Counter()
    for change in found.changed.values():
        for part in change.objects.values():
            objects.update({"added": len(part.added), "removed": len(part.removed), "changed": len(part.changed)})
    counts = found.counts
    words = ("added", "removed", "changed")
    cards = [Card(f"Items {word}", f"{counts[word]:,}", lead=True) for word in words]
    note = "in items that both have"
    return cards + [Card(f"Objects {word}", f"{objects[word]:,}", note) for word in words]


def _items_table(before: DatasetVersion, after: DatasetVersion) -> Table:
    def row(name: str, old: int, new: int) -> list[Cell]:
        return [Cell(name), Cell(f"{old:,}"), Cell(f"{new:,}"), Cell(f"{new - old:+,}" if new != old else "same")]

    rows = [row("Items", len(before), len(after))]
    old, new = before.stats()["columns"], after.stats()["columns"]
    for name in dict.fromkeys((*old, *new)):
        counts = [side.get(name, {}).get("classes", {}) for side in (old, new)]
        rows += [
            row(f"{name}: {label}", *(side.get(label, 0) for side in counts))
            for label in dict.fromkeys((*counts[0], *counts[1]))
        ]
    return Table(["", before.ref, after.ref, "Difference"], rows, {})


def _schema_section(found: DatasetDiff) -> list[Section]:
    schema = found.schema
    if not schema:
        return []
    rows = [[Cell("Column added"), Cell(name)] for name in schema.columns_added]
    rows += [[Cell("Column removed"), Cell(name)] for name in schema.columns_removed]
    rows += [[Cell(f"Kind of {name}"), Cell(" → ".join(kinds))] for name, kinds in schema.kinds_changed.items()]
    rows += [[Cell(f"Classes added to {name}"), Cell(", ".join(new))] for name, new in schema.classes_added.items()]
    rows += [[Cell(f"Classes removed from {name}"), Cell(", ".join(o))] for name, o in schema.classes_removed.items()]
    return [Section("schema", "Columns and classes", "", [Table(["What", "Which"], rows, {})])]


def _changes(before: Reader, after: Reader, found: DatasetDiff) -> Iterator[_Change]:
    keys = list(found.changed)
    old = {item.key: item for item in before.items(keys=keys)}
    for item in after.items(keys=keys):
        yield _Change(found.changed[item.key], old[item.key], item)


def _image_column(version: DatasetVersion) -> str | None:
    try:
        return version.schema.first(Kind.IMAGE).name
    except NotFoundError:
        return None


def _objects_sections(
    before: DatasetVersion, after: DatasetVersion, changes: Sequence[_Change], most: int
) -> Iterator[Section]:
    image = _image_column(after)
    for column in after.schema.of_kind(Kind.OBJECTS):
        touched = [one for one in changes if column.name in one.change.objects]
        if not touched or image is None:
            continue
        most_changed = sorted(touched, key=lambda one: -_size(one.change.objects[column.name]))[:most]
        pictures = [Picture(one.after.key, list(_shapes(one, column.name))) for one in most_changed]
        drawn = draw_all(after, image, pictures, lambda picture: f"What changed in {picture.key}")
        figures = [
            Figure(
                drawn[place],
                one.after.key,
                _words(one.change.objects[column.name]),
                facts=list(_facts(one, column.name)),
            )
            for place, one in enumerate(most_changed)
        ]
        note = f"The {len(figures)} items with most changes, of {len(touched):,}."
        gallery = Gallery("Pictures", note, figures, "Nothing to show.", legend=_LEGEND, large=True)
        yield Section(f"objects-{column.name}", f"Changed {column.name}", "", [gallery])


def _size(change: ObjectsChange) -> int:
    return len(change.added) + len(change.removed) + len(change.changed)


def _words(change: ObjectsChange) -> str:
    counts = (("+", change.added), ("−", change.removed), ("~", change.changed))
    return " ".join(f"{sign}{len(ids)}" for sign, ids in counts if ids) or "order"


def _by_id(item: Item, column: str) -> dict[str, Object]:
    return {thing.id: thing for thing in item.values.get(column) or ()}


def _shapes(one: _Change, column: str) -> Iterator[Shape]:
    change = one.change.objects[column]
    old, new = _by_id(one.before, column), _by_id(one.after, column)
    yield from (
        Shape(thing, "same", faint=True)
        for name, thing in new.items()
        if name not in change.added and name not in change.changed
    )
    yield from (Shape(old[name], "changed was") for name in change.changed)
    yield from (Shape(old[name], "removed") for name in change.removed)
    yield from (Shape(new[name], "changed") for name in change.changed)
    yield from (Shape(new[name], "added") for name in change.added)


def _facts(one: _Change, column: str) -> Iterator[tuple[str, str]]:
    change = one.change.objects[column]
    old, new = _by_id(one.before, column), _by_id(one.after, column)
    for word, ids, side in (("added", change.added, new), ("removed", change.removed, old)):
        if ids:
            yield word, _counted(side[name].class_name for name in ids)
    if change.changed:
        yield "changed", _counted(_what_changed(old[name], new[name]) for name in change.changed)


def _counted(words: Iterator[str]) -> str:
    return ", ".join(f"{count} × {word}" if count > 1 else word for word, count in Counter(words).most_common())


def _what_changed(old: Object, new: Object) -> str:
    if old.class_name != new.class_name:
        return f"{old.class_name} → {new.class_name}"
    names = ("geometry", "score", "track", "attributes")
    return f"{new.class_name} ({', '.join(n for n in names if getattr(old, n) != getattr(new, n)) or 'order'})"


def _came_and_went(before: DatasetVersion, after: DatasetVersion, found: DatasetDiff, most: int) -> Iterator[Section]:
    sides: tuple[tuple[Literal["added", "removed"], DatasetVersion, list[str]], ...]
    sides = (("added", after, found.added), ("removed", before, found.removed))
    for word, version, keys in sides:
        image = _image_column(version)
        if not keys or image is None:
            continue
        columns = [column.name for column in version.schema.of_kind(Kind.OBJECTS)]
        items = {item.key: item for item in version.items(columns, keys[:most])}
        pictures = [
            Picture(key, [Shape(thing, word) for name in columns for thing in items[key][name] or ()]) for key in items
        ]
        drawn = draw_all(version, image, pictures, lambda picture: f"The item {picture.key}")
        figures = [
            Figure(drawn[place], key, facts=[("objects", _objects_of(items[key]))]) for place, key in enumerate(items)
        ]
        shown = f"The first {len(figures)} of {len(keys):,}." if len(keys) > len(figures) else ""
        gallery = Gallery("Pictures", shown, figures, "Nothing to show.", large=True)
        yield Section(f"{word}-items", f"Items {word}", "", [gallery])


def _objects_of(item: Item) -> str:
    things = [thing for value in item.values.values() for thing in value or ()]
    return _counted(thing.class_name for thing in things) if things else "none"


def _list(found: DatasetDiff) -> Table | Note:
    rows = [[Cell("added"), Cell(key), Cell("")] for key in found.added]
    rows += [[Cell("removed"), Cell(key), Cell("")] for key in found.removed]
    rows += [[Cell("changed"), Cell(key), Cell(_columns(change))] for key, change in found.changed.items()]
    if not rows:
        return Note("The two versions hold the same.")
    if len(rows) > _MOST_ROWS:
        rows = [*rows[:_MOST_ROWS], [Cell("…"), Cell(f"and {len(rows) - _MOST_ROWS:,} more"), Cell("")]]
    return Table(["", "Item", "What"], rows, {})


def _columns(change: ItemChange) -> str:
    objects: Mapping[str, ObjectsChange] = change.objects
    return ", ".join(f"{name} ({_words(objects[name])})" if name in objects else name for name in change.columns)
