"""What the datasets of a workspace must do, on this machine and on a server: the same code asks either.

Each check begins datasets of its own, whose names begin with ``name``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from PIL import Image
from tests.contract.reader_contract import CONTRACT_SCHEMA, check_reader

from saccade.core.errors import ConflictError, InvalidValueError, MovedError, NotFoundError
from saccade.core.merge import Conflict, MergeConflictError
from saccade.core.objects import Box, Mask, Object, Polygon
from saccade.core.progress import Silent
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, FileRef, ImageRef, Kind, Schema


class Place(Protocol):
    """A workspace, or what :func:`saccade.connect` gives."""

    @property
    def datasets(self) -> Any: ...

    @property
    def objects(self) -> Any: ...


NOTES = Schema((Column("note", Kind.TEXT), Column("label", Kind.LABEL)))


class Watched(Silent):
    """Progress that somebody looks at."""

    finished = False

    def finish(self) -> None:
        self.finished = True


def note(key: str, text: str, label: str | None = None) -> Item:
    return Item(key, {"note": text, "label": label})


def picture(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (color, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


def check_writing(place: Place, name: str) -> None:
    """Every mode, all or nothing, with classes that are found."""
    datasets = place.datasets
    first = datasets.write(name, NOTES, [note("a", "1", "x"), note("b", "2")], mode="create", message="one")
    assert (first.ref, len(first), first.info.message, first.info.added) == (f"{name}@1", 2, "one", 2)
    assert first.schema["label"].classes == (ClassInfo("x"),)
    with pytest.raises(ConflictError, match=name):
        datasets.write(name, NOTES, [], mode="create")
    assert datasets.write(name, NOTES, (note(key, key) for key in "cd"), mode="append").keys() == list("abcd")
    with pytest.raises(ConflictError, match="there already"):
        datasets.write(name, NOTES, [note("a", "again")], mode="append")
    merged = datasets.write(name, Schema((NOTES["note"],)), [Item("b", {"note": "two"})], mode="merge")
    assert [(item.key, item["note"], item["label"]) for item in merged.items()][:2] == [
        ("a", "1", "x"),
        ("b", "two", None),
    ]
    assert datasets.write(name, NOTES, [], mode="replace").keys() == []
    assert [info.number for info in datasets.log(name)] == [4, 3, 2, 1]
    before = datasets.log(name)
    with pytest.raises(InvalidValueError, match="more than once"):
        datasets.write(name, NOTES, [note("a", "1"), note("a", "2")], mode="append")
    with pytest.raises(InvalidValueError, match="note"):
        datasets.write(name, NOTES, [note("a", "1"), Item("b", {"note": 5})], mode="append")
    with pytest.raises(InvalidValueError):
        datasets.write("no name", NOTES, [], mode="create")
    with pytest.raises(NotFoundError):
        datasets.write(f"{name}-nowhere", NOTES, [], mode="append")

    def broken() -> Any:
        yield note("e", "5")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        datasets.write(name, NOTES, broken(), mode="append")
    assert datasets.log(name) == before
    assert not datasets.exists(f"{name}-nowhere")
    assert datasets.exists(name)


def check_values(place: Place, name: str) -> None:
    """What is written is read, exactly; as every reader reads it."""
    images = [
        ImageRef(place.objects.put_bytes(data), len(data), f"{number}.png", 32, 24, "png")
        for number, data in enumerate((picture(1), picture(2)))
    ]
    cat = Object("1", "cat", Box(1, 2, 1 / 3 + 2, 4), score=0.5, attributes={"difficult": True, "ü": "ß"})
    shapes = (
        cat,
        Object("2", "dog", Polygon.simple([(0, 0), (1.5, 0), (0, 2.25)])),
        Object("3", "dog", Mask(2, 2, (1, 3))),
    )
    items = [
        Item("zebra/2", {"image": images[0], "objects": shapes, "label": "outdoors", "note": "two"}),
        Item("émile", {"image": images[1], "objects": (), "label": None, "note": ""}),
        Item("a'b", {"image": images[0], "objects": None, "label": "indoors", "note": None}),
    ]
    written = place.datasets.write(name, CONTRACT_SCHEMA, items, mode="create")
    media = {images[0].digest: picture(1), images[1].digest: picture(2)}
    check_reader(written, items, media)
    check_reader(place.datasets.open(name), items, {})
    odd = Schema(
        (
            Column("number", Kind.NUMBER),
            Column("more", Kind.TABLE),
            Column("vector", Kind.EMBEDDING),
            Column("tags", Kind.LABELS),
            Column("file", Kind.FILE),
        )
    )
    data = b"any bytes"
    file = FileRef(place.objects.put_bytes(data), len(data), "notes.bin")
    values = {"number": -1e308, "more": {"k": [1, None, "z"]}, "vector": (0.5, -1.0), "tags": ("a", "b"), "file": file}
    found = place.datasets.write(f"{name}-odd", odd, [Item("k", values), Item("none")], mode="create")
    assert found.get("k").values == values
    assert found.get("none").values == dict.fromkeys(values)
    assert found.read_media(file) == data


def check_written_again(place: Place, name: str, folder: Path) -> None:
    """Items that were read are changed and written, and images that are there need not be brought along."""
    path = folder / "picture.png"
    path.write_bytes(picture(3))
    ref = ImageRef(place.objects.put_file(path), path.stat().st_size, path.name, 32, 24, "png")
    schema = Schema((Column("image", Kind.IMAGE), Column("note", Kind.TEXT)))
    first = place.datasets.write(name, schema, [Item("a", {"image": ref, "note": "x"})], mode="create")
    path.unlink()
    again = [Item(item.key, {**item.values, "note": "y"}) for item in first.items()]
    second = place.datasets.write(name, schema, again, mode="replace", inputs=[first.ref])
    assert second.get("a")["note"] == "y"
    assert second.read_media(second.get("a")["image"]) == picture(3)
    assert second.info.inputs == (first.ref,)
    assert place.datasets.diff(first.ref, second.ref).changed["a"].columns == ("note",)


def check_branches(place: Place, name: str) -> None:
    """Branches, merges with their conflicts, and names."""
    datasets = place.datasets
    datasets.write(name, NOTES, [note(key, "old") for key in "abcd"], mode="create")
    datasets.branch(name, "trial", "1")
    for branch, text, alone in (("main", "mine", "c"), ("trial", "theirs", "d")):
        datasets.write(name, NOTES, [note(key, text) for key in ("a", "b", alone)], mode="merge", branch=branch)
    dry = datasets.merge(f"{name}@trial", dry_run=True)
    assert (dry.version, dry.base, dry.ours, dry.theirs) == (None, f"{name}@1", f"{name}@2", f"{name}@3")
    both = (
        Conflict("a", "note", None, None, "changed", "changed"),
        Conflict("b", "note", None, None, "changed", "changed"),
    )
    assert dry.conflicts == both
    with pytest.raises(MergeConflictError) as refused:
        datasets.merge(f"{name}@trial", choose=lambda one: "ours" if one.key == "a" else None)
    assert [one.key for one in refused.value.conflicts] == ["b"]
    with pytest.raises(MovedError):
        datasets.merge(f"{name}@trial", choose=lambda one: "ours", follows=1)
    watched = Watched()
    done = datasets.merge(
        f"{name}@trial", choose=lambda one: "ours" if one.key == "a" else "theirs", message="both", progress=watched
    )
    assert watched.finished
    assert {item.key: item["note"] for item in done.version.items()} == {
        "a": "mine",
        "b": "theirs",
        "c": "mine",
        "d": "theirs",
    }
    assert [one.taken for one in done.conflicts] == ["ours", "theirs"]
    assert (done.version.info.merged, done.version.info.message) == (3, "both")
    assert datasets.merge(f"{name}@trial").version.number == 4, "nothing to do"
    again = datasets.merge(f"{name}@trial", progress=Watched())
    assert (again.version.number, again.added, again.changed) == (4, 0, 0)
    assert [info.number for info in datasets.log(name, "trial")] == [3, 1]
    assert datasets.alias(name, "best", 2) is None
    assert datasets.alias(name, "best", 4) == 2
    datasets.alias(name, "first", 1, fixed=True)
    with pytest.raises(ConflictError):
        datasets.alias(name, "first", 2)
    assert datasets.aliases(name) == {"best": 4, "first": 1}
    assert datasets.tags(name) == {"first": 1}
    datasets.unalias(name, "best")
    with pytest.raises(NotFoundError):
        datasets.unalias(name, "best")
    assert datasets.branches(name) == {"main": 4, "trial": 3}
    datasets.remove_branch(name, "trial")
    assert datasets.branches(name) == {"main": 4}
    with pytest.raises(InvalidValueError):
        datasets.remove_branch(name, "main")


def check_following(place: Place, name: str) -> None:
    """A change that is to follow a version is refused where there is a newer one."""
    datasets = place.datasets
    datasets.write(name, NOTES, [note(key, "old") for key in "abc"], mode="create")
    assert datasets.delete_items(name, ["a"], follows=1).number == 2
    changes: list[Callable[[], Any]] = [
        lambda: datasets.write(name, NOTES, [note("d", "x")], mode="append", follows=1),
        lambda: datasets.write(name, NOTES, [note("b", "x")], mode="merge", follows=1),
        lambda: datasets.write(name, NOTES, [], mode="replace", follows=1),
        lambda: datasets.delete_items(name, ["b"], follows=1),
        lambda: datasets.restore(name, 1, follows=1),
        lambda: datasets.alias(name, "x", 1, follows=1),
        lambda: datasets.branch(name, "x", "1", follows=1),
        lambda: datasets.remove(name, follows=1),
    ]
    for change in changes:
        with pytest.raises(MovedError):
            change()
    assert [info.number for info in datasets.log(name)] == [2, 1]
    assert datasets.restore(name, 1, "back", follows=2).info.message == "back"


def check_asking(place: Place, name: str) -> None:
    """Questions, counts and differences."""
    datasets = place.datasets
    version = datasets.write(
        name, NOTES, [note(str(at), "x" * at, "odd" if at % 2 else "even") for at in range(9)], mode="create"
    )
    assert version.where('label == "odd"') == ["1", "3", "5", "7"]
    assert version.where(None, "len(note)", descending=True)[:2] == ["8", "7"]
    counted = version.histogram("label")
    assert counted["values"] == [{"value": "even", "count": 5}, {"value": "odd", "count": 4}]
    assert version.stats()["items"] == 9
    datasets.delete_items(name, ["0", "8"])
    datasets.write(name, NOTES, [note("1", "changed"), note("new", "")], mode="merge")
    diff = datasets.diff(f"{name}@1", name)
    assert (diff.before, diff.after) == (f"{name}@1", f"{name}@3")
    assert diff.counts == {"added": 1, "removed": 2, "changed": 1}
    assert (diff.added, diff.removed, list(diff.changed)) == (["new"], ["0", "8"], ["1"])
    assert diff.schema.columns_added == ()
    datasets.keep_view(name, "odd", {"query": 'label == "odd"'})
    assert [(view.name, view.filters) for view in datasets.views(name)] == [("odd", {"query": 'label == "odd"'})]
    datasets.forget_view(name, "odd")
    assert datasets.views(name) == []
    datasets.remove(name)
    with pytest.raises(NotFoundError):
        datasets.open(name)
