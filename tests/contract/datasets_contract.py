"""Contract of datasets, checked on a local workspace and, with the same code, on one that is connected to a server.

Each check creates its own datasets, whose names start with ``name``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from PIL import Image
from tests.contract.reader_contract import CONTRACT_SCHEMA, check_reader

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, StaleVersionError
from saccade.core.merge import Conflict, MergeConflictError
from saccade.core.objects import Box, Mask, Object, Polygon
from saccade.core.progress import NullProgress
from saccade.core.reader import Item
from saccade.core.records.datasets import ClassChange
from saccade.core.schema import ClassInfo, Column, FileRef, ImageRef, Kind, Schema


class WorkspaceLike(Protocol):
    """A workspace, or the return value of :func:`saccade.connect`."""

    @property
    def datasets(self) -> Any: ...

    @property
    def blobs(self) -> Any: ...


NOTES = Schema((Column("note", Kind.TEXT), Column("label", Kind.LABEL)))


class RecordingProgress(NullProgress):
    """Progress that records whether it was finished."""

    finished = False

    def finish(self) -> None:
        self.finished = True


def note_item(key: str, text: str, label: str | None = None) -> Item:
    return Item(key, {"note": text, "label": label})


def png_bytes(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (color, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


def check_writing(workspace: WorkspaceLike, name: str) -> None:
    """Check every write mode: atomic, and with classes added from the items."""
    datasets = workspace.datasets
    first = datasets.write(name, NOTES, [note_item("a", "1", "x"), note_item("b", "2")], mode="create", message="one")
    assert (first.ref, len(first), first.info.message, first.info.added) == (f"{name}@1", 2, "one", 2)
    assert first.schema["label"].classes == (ClassInfo("x"),)
    with pytest.raises(ConflictError, match=name):
        datasets.write(name, NOTES, [], mode="create")
    assert datasets.write(name, NOTES, (note_item(key, key) for key in "cd"), mode="append").keys() == list("abcd")
    with pytest.raises(ConflictError, match="already exist"):
        datasets.write(name, NOTES, [note_item("a", "again")], mode="append")
    merged = datasets.write(name, Schema((NOTES["note"],)), [Item("b", {"note": "two"})], mode="merge")
    assert [(item.key, item["note"], item["label"]) for item in merged.items()][:2] == [
        ("a", "1", "x"),
        ("b", "two", None),
    ]
    assert datasets.write(name, NOTES, [], mode="replace").keys() == []
    assert [info.number for info in datasets.log(name)] == [4, 3, 2, 1]
    before = datasets.log(name)
    with pytest.raises(InvalidValueError, match="more than once"):
        datasets.write(name, NOTES, [note_item("a", "1"), note_item("a", "2")], mode="append")
    with pytest.raises(InvalidValueError, match="note"):
        datasets.write(name, NOTES, [note_item("a", "1"), Item("b", {"note": 5})], mode="append")
    with pytest.raises(InvalidValueError):
        datasets.write("no name", NOTES, [], mode="create")
    with pytest.raises(NotFoundError):
        datasets.write(f"{name}-missing", NOTES, [], mode="append")

    def failing_items() -> Any:
        yield note_item("e", "5")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        datasets.write(name, NOTES, failing_items(), mode="append")
    assert datasets.log(name) == before
    assert not datasets.exists(f"{name}-missing")
    assert datasets.exists(name)


def check_values(workspace: WorkspaceLike, name: str) -> None:
    """Check that written values are read back exactly, through the reader contract."""
    images = [
        ImageRef(workspace.blobs.put_bytes(data), len(data), f"{number}.png", 32, 24, "png")
        for number, data in enumerate((png_bytes(1), png_bytes(2)))
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
    written = workspace.datasets.write(name, CONTRACT_SCHEMA, items, mode="create")
    media = {images[0].digest: png_bytes(1), images[1].digest: png_bytes(2)}
    check_reader(written, items, media)
    check_reader(workspace.datasets.open(name), items, {})
    mixed_schema = Schema(
        (
            Column("number", Kind.NUMBER),
            Column("more", Kind.TABLE),
            Column("vector", Kind.EMBEDDING),
            Column("tags", Kind.LABELS),
            Column("file", Kind.FILE),
        )
    )
    data = b"any bytes"
    file = FileRef(workspace.blobs.put_bytes(data), len(data), "notes.bin")
    values = {"number": -1e308, "more": {"k": [1, None, "z"]}, "vector": (0.5, -1.0), "tags": ("a", "b"), "file": file}
    mixed = workspace.datasets.write(f"{name}-mixed", mixed_schema, [Item("k", values), Item("none")], mode="create")
    assert mixed.get("k").values == values
    assert mixed.get("none").values == dict.fromkeys(values)
    assert mixed.read_media(file) == data


def check_sequence(workspace: WorkspaceLike, name: str) -> None:
    """Check that a version is a sequence of items: by position, key and slice, iterated, and with ``in``."""
    keys = ["zebra", "émile", "a'b", "m", "b/c"]
    items = [note_item(key, f"text {key}", "x") for key in keys]
    version = workspace.datasets.write(name, NOTES, items, mode="create")
    assert [version[position] for position in range(-5, 5)] == [*items, *items]
    assert [version[key] for key in keys] == items
    assert list(version) == items
    assert list(reversed(version[:])) == items[::-1]
    for bounds in (slice(1, 3), slice(None, None, -1), slice(-2, None), slice(4, 1, -2), slice(9, 12)):
        view = version[bounds]
        assert (len(view), list(view)) == (len(items[bounds]), items[bounds])
    assert (version[1:][1:][0], version[::2][-1]) == (items[2], items[4])
    assert "émile" in version
    assert "missing" not in version
    assert items[0] in version
    assert Item("zebra", {"note": "other", "label": "x"}) not in version
    assert 0 not in version
    for position in (5, -6):
        with pytest.raises(IndexError, match=str(position)):
            version[position]
    with pytest.raises(IndexError):
        version[1:3][2]
    with pytest.raises(NotFoundError, match="missing"):
        version["missing"]
    empty = workspace.datasets.write(f"{name}-empty", NOTES, [], mode="create")
    assert (list(empty), list(empty[:3]), len(empty)) == ([], [], 0)
    with pytest.raises(IndexError):
        empty[0]


def check_rewriting(workspace: WorkspaceLike, name: str, folder: Path) -> None:
    """Check that items can be read, changed and written again without uploading their images again."""
    path = folder / "picture.png"
    path.write_bytes(png_bytes(3))
    ref = ImageRef(workspace.blobs.put_file(path), path.stat().st_size, path.name, 32, 24, "png")
    schema = Schema((Column("image", Kind.IMAGE), Column("note", Kind.TEXT)))
    first = workspace.datasets.write(name, schema, [Item("a", {"image": ref, "note": "x"})], mode="create")
    path.unlink()
    changed_items = [Item(item.key, {**item.values, "note": "y"}) for item in first.items()]
    second = workspace.datasets.write(name, schema, changed_items, mode="replace", inputs=[first.ref])
    assert second.get("a")["note"] == "y"
    assert second.read_media(second.get("a")["image"]) == png_bytes(3)
    assert second.info.inputs == (first.ref,)
    assert workspace.datasets.diff(first.ref, second.ref).changed["a"].columns == ("note",)


def check_branches(workspace: WorkspaceLike, name: str) -> None:
    """Check branches, merges with conflicts, aliases and tags."""
    datasets = workspace.datasets
    datasets.write(name, NOTES, [note_item(key, "old") for key in "abcd"], mode="create")
    datasets.branch(name, "trial", "1")
    for branch, text, own_key in (("main", "mine", "c"), ("trial", "theirs", "d")):
        datasets.write(name, NOTES, [note_item(key, text) for key in ("a", "b", own_key)], mode="merge", branch=branch)
    planned = datasets.merge(f"{name}@trial", dry_run=True)
    assert (planned.version, planned.base, planned.ours, planned.theirs) == (
        None,
        f"{name}@1",
        f"{name}@2",
        f"{name}@3",
    )
    both = (
        Conflict("a", "note", None, None, "changed", "changed"),
        Conflict("b", "note", None, None, "changed", "changed"),
    )
    assert planned.conflicts == both
    with pytest.raises(MergeConflictError) as error:
        datasets.merge(f"{name}@trial", resolver=lambda conflict: "ours" if conflict.key == "a" else None)
    assert [conflict.key for conflict in error.value.conflicts] == ["b"]
    with pytest.raises(StaleVersionError):
        datasets.merge(f"{name}@trial", resolver=lambda conflict: "ours", expected_version=1)
    progress = RecordingProgress()
    done = datasets.merge(
        f"{name}@trial",
        resolver=lambda conflict: "ours" if conflict.key == "a" else "theirs",
        message="both",
        progress=progress,
    )
    assert progress.finished
    assert {item.key: item["note"] for item in done.version.items()} == {
        "a": "mine",
        "b": "theirs",
        "c": "mine",
        "d": "theirs",
    }
    assert [conflict.resolution for conflict in done.conflicts] == ["ours", "theirs"]
    assert (done.version.info.merged, done.version.info.message) == (3, "both")
    assert datasets.merge(f"{name}@trial").version.number == 4, "nothing to merge"
    repeated = datasets.merge(f"{name}@trial", progress=RecordingProgress())
    assert (repeated.version.number, repeated.added, repeated.changed) == (4, 0, 0)
    assert [info.number for info in datasets.log(name, "trial")] == [3, 1]
    assert datasets.alias(name, "best", 2) is None
    assert datasets.alias(name, "best", 4) == 2
    datasets.alias(name, "first", 1, fixed=True)
    with pytest.raises(ConflictError):
        datasets.alias(name, "first", 2)
    assert datasets.aliases(name) == {"best": 4, "first": 1}
    assert datasets.tags(name) == {"first": 1}
    datasets.delete_alias(name, "best")
    with pytest.raises(NotFoundError):
        datasets.delete_alias(name, "best")
    datasets.branch(name, "review")
    assert datasets.branches(name) == {"main": 4, "review": 4, "trial": 3}
    datasets.delete_branch(name, "review")
    datasets.delete_branch(name, "trial")
    assert datasets.branches(name) == {"main": 4}
    with pytest.raises(InvalidValueError):
        datasets.delete_branch(name, "main")


def check_expected_version(workspace: WorkspaceLike, name: str) -> None:
    """Check that a change with an expected version fails if there is a newer one."""
    datasets = workspace.datasets
    datasets.write(name, NOTES, [note_item(key, "old") for key in "abc"], mode="create")
    assert datasets.delete_items(name, ["a"], expected_version=1).number == 2
    changes: list[Callable[[], Any]] = [
        lambda: datasets.write(name, NOTES, [note_item("d", "x")], mode="append", expected_version=1),
        lambda: datasets.write(name, NOTES, [note_item("b", "x")], mode="merge", expected_version=1),
        lambda: datasets.write(name, NOTES, [], mode="replace", expected_version=1),
        lambda: datasets.delete_items(name, ["b"], expected_version=1),
        lambda: datasets.restore(name, 1, expected_version=1),
        lambda: datasets.alias(name, "x", 1, expected_version=1),
        lambda: datasets.branch(name, "x", "1", expected_version=1),
        lambda: datasets.remove(name, expected_version=1),
    ]
    for change in changes:
        with pytest.raises(StaleVersionError):
            change()
    assert [info.number for info in datasets.log(name)] == [2, 1]
    assert datasets.restore(name, 1, "back", expected_version=2).info.message == "back"


def check_writes_to_a_branch(workspace: WorkspaceLike, name: str) -> None:
    """Check that every write accepts NAME@BRANCH, leaves other branches alone, and refuses fixed versions."""
    datasets = workspace.datasets
    datasets.write(name, NOTES, [note_item(key, "old") for key in "ab"], mode="create")
    datasets.alias(name, "gold", 1)
    datasets.branch(name, "review", "1")
    review = f"{name}@review"
    datasets.write(name, NOTES, [note_item("main", "main")], mode="append")
    assert datasets.write(review, NOTES, [note_item("c", "new")], mode="append", expected_version=1).number == 3
    assert datasets.write(review, NOTES, [note_item("a", "new")], mode="merge", expected_version=3).number == 4
    assert datasets.delete_items(review, ["b"], expected_version=4).number == 5
    assert datasets.open(review).keys() == ["a", "c"]
    assert datasets.restore(review, 3, "back", expected_version=5).number == 6
    assert datasets.write(review, NOTES, [note_item("z", "")], mode="replace", expected_version=6).keys() == ["z"]
    assert datasets.open(name).keys() == ["a", "b", "main"]
    assert [info.branch for info in datasets.log(name, "review")] == [*["review"] * 5, "main"]
    stale_writes: list[Callable[[], Any]] = [
        lambda: datasets.write(review, NOTES, [], mode="replace", expected_version=2),
        lambda: datasets.delete_items(review, ["z"], expected_version=2),
        lambda: datasets.restore(review, 1, expected_version=2),
        lambda: datasets.alias(review, "x", 1, expected_version=2),
        lambda: datasets.branch(review, "x", "1", expected_version=2),
    ]
    for stale_write in stale_writes:
        with pytest.raises(StaleVersionError):
            stale_write()
    datasets.alias(review, "reviewed", 7, expected_version=7)
    datasets.branch(review, "second", "7", expected_version=7)
    assert datasets.branches(name) == {"main": 2, "review": 7, "second": 7}
    for selector, reason in (("1", "a version"), ("gold", "an alias of version 1")):
        target = f"{name}@{selector}"
        refused_writes: list[Callable[[str], Any]] = [
            lambda ref: datasets.write(ref, NOTES, [], mode="append"),
            lambda ref: datasets.write(ref, NOTES, [], mode="replace"),
            lambda ref: datasets.delete_items(ref, ["a"]),
            lambda ref: datasets.restore(ref, 1),
        ]
        for refused_write in refused_writes:
            with pytest.raises(InvalidValueError, match=f"is {reason}, not a branch") as error:
                refused_write(target)
            assert f"saccade datasets branch {target} BRANCH" in (error.value.hint or "")
    with pytest.raises(NotFoundError, match=r"no branch 'revew'. Did you mean review\?"):
        datasets.delete_items(f"{name}@revew", ["a"])
    with pytest.raises(InvalidValueError, match="contradict each other"):
        datasets.write(review, NOTES, [], mode="append", branch="main")
    assert datasets.branches(name) == {"main": 2, "review": 7, "second": 7}


def check_queries(workspace: WorkspaceLike, name: str) -> None:
    """Check queries, histograms, statistics, diffs and saved views."""
    datasets = workspace.datasets
    version = datasets.write(
        name,
        NOTES,
        [note_item(str(number), "x" * number, "odd" if number % 2 else "even") for number in range(9)],
        mode="create",
    )
    assert version.where('label == "odd"') == ["1", "3", "5", "7"]
    assert version.where(None, "len(note)", descending=True)[:2] == ["8", "7"]
    histogram = version.histogram("label")
    assert histogram["values"] == [{"value": "even", "count": 5}, {"value": "odd", "count": 4}]
    assert version.stats()["items"] == 9
    datasets.delete_items(name, ["0", "8"])
    datasets.write(name, NOTES, [note_item("1", "changed"), note_item("new", "")], mode="merge")
    diff = datasets.diff(f"{name}@1", name)
    assert (diff.before, diff.after) == (f"{name}@1", f"{name}@3")
    assert diff.counts == {"added": 1, "removed": 2, "changed": 1}
    assert (diff.added, diff.removed, list(diff.changed)) == (["new"], ["0", "8"], ["1"])
    assert diff.schema.columns_added == ()
    assert diff.to_json()["schema"] == diff.schema.to_json()
    label = Column("label", Kind.LABEL, (ClassInfo("uneven", was=("odd",)), ClassInfo("even")))
    datasets.write(name, Schema((NOTES["note"], label)), [], mode="replace")
    schema = datasets.diff(f"{name}@1", name).schema
    assert (schema.classes_renamed, schema.classes_added, schema.classes_removed) == (
        {"label": (ClassChange(("odd",), ("uneven",)),)},
        {},
        {},
    )
    datasets.save_view(name, "odd", {"query": 'label == "odd"'})
    assert [(view.name, view.filters) for view in datasets.views(name)] == [("odd", {"query": 'label == "odd"'})]
    datasets.delete_view(name, "odd")
    assert datasets.views(name) == []
    datasets.remove(name)
    with pytest.raises(NotFoundError):
        datasets.open(name)
