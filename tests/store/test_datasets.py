"""Writing datasets in every mode, and opening them by reference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.store.conftest import SCHEMA, item

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

NUMBER = Schema((Column("number", Kind.NUMBER),))


def values(workspace: Workspace, ref: str, column: str = "number") -> dict[str, object]:
    return {item.key: item[column] for item in workspace.datasets.open(ref).items([column])}


class CancellingProgress:
    """Progress that cancels at the first step."""

    def start(self, what: str, total: int | None = None) -> None:
        pass

    def advance(self, count: int = 1, message: str = "") -> None:
        raise KeyboardInterrupt

    def finish(self) -> None:
        pass


def test_create_append_merge_and_replace(workspace: Workspace) -> None:
    write = workspace.datasets.write
    first = write("d", SCHEMA, (item(key) for key in "ba"), mode="create", message="begin", author="ann")
    assert (first.ref, len(first), first.keys()) == ("d@1", 2, ["b", "a"])
    second = write("d", SCHEMA, [item("c", 3)], mode="append")
    third = write("d", NUMBER, [Item("b", {"number": 5.0}), Item("z", {"number": 6.0})], mode="merge")
    fourth = write("d", SCHEMA, [item("c", 3), item("new")], mode="replace", message="again")
    assert values(workspace, "d@2") == {"b": 0, "a": 0, "c": 3}
    assert values(workspace, "d@3") == {"b": 5, "a": 0, "c": 3, "z": 6}
    assert third.get("b")["objects"] == first.get("b")["objects"], (
        "columns that are not in the schema of the write stay"
    )
    assert third.get("z")["objects"] is None
    assert values(workspace, "d") == {"c": 3, "new": 0}
    counts = [(v.info.items, v.info.added, v.info.removed, v.info.changed) for v in (first, second, third, fourth)]
    assert counts == [(2, 2, 0, 0), (3, 1, 0, 0), (4, 1, 0, 1), (2, 1, 3, 0)]
    assert [(v.number, v.parent, v.message, v.author) for v in workspace.datasets.log("d")] == [
        (4, 3, "again", ""),
        (3, 2, "", ""),
        (2, 1, "", ""),
        (1, None, "begin", "ann"),
    ]
    assert values(workspace, "d@1") == {"b": 0, "a": 0}, "old versions never change"
    assert doctor(workspace) == []


def test_list_shows_the_latest_version_of_each_dataset(workspace: Workspace) -> None:
    assert workspace.datasets.list() == []
    for name in ("zoo", "ant"):
        workspace.datasets.write(name, SCHEMA, [item("a")], mode="create")
    workspace.datasets.write("zoo", SCHEMA, [item("b")], mode="append")
    assert [(d.name, d.latest, d.items) for d in workspace.datasets.list()] == [("ant", 1, 1), ("zoo", 2, 2)]
    assert workspace.datasets.list()[0].columns == {"objects": "objects", "label": "label", "number": "number"}
    assert workspace.datasets.list()[1].updated >= workspace.datasets.list()[1].created


def test_replace_creates_a_missing_dataset(workspace: Workspace) -> None:
    assert workspace.datasets.write("d", SCHEMA, [item("a")], mode="replace").ref == "d@1"


def test_an_empty_dataset_can_be_filled(workspace: Workspace) -> None:
    assert len(workspace.datasets.write("d", SCHEMA, [], mode="create")) == 0
    assert workspace.datasets.open("d").keys() == []
    assert list(workspace.datasets.open("d").items()) == []
    workspace.datasets.write("d", SCHEMA, [], mode="append")
    assert workspace.datasets.write("d", SCHEMA, [item("a")], mode="merge").keys() == ["a"]
    assert workspace.datasets.write("d", SCHEMA, [], mode="replace").keys() == []


def test_conflicts_are_refused_and_change_nothing(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a"), item("b")], mode="create")
    with pytest.raises(ConflictError, match="'d' already exists"):
        workspace.datasets.write("d", SCHEMA, [], mode="create")
    with pytest.raises(ConflictError, match=r"1 of the new items already exist: b\."):
        workspace.datasets.write("d", SCHEMA, [item("c"), item("b")], mode="append")
    with pytest.raises(InvalidValueError, match="more than once: x"):
        workspace.datasets.write("d", SCHEMA, [item("x"), item("y"), item("x")], mode="append")
    with pytest.raises(InvalidValueError, match="'label' has kind label and cannot become text"):
        workspace.datasets.write("d", Schema((Column("label", Kind.TEXT),)), [Item("a")], mode="merge")
    with pytest.raises(InvalidValueError, match="Unknown write mode 'upsert'"):
        workspace.datasets.write("d", SCHEMA, [], mode="upsert")  # type: ignore[arg-type]  # tested on purpose
    assert [version.number for version in workspace.datasets.log("d")] == [1]
    assert doctor(workspace) == []


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a@b", ".hidden", "a b", "x" * 201])
def test_invalid_names_are_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(InvalidValueError, match=r"may not be called|is not a reference|starts on the branch 'main'"):
        workspace.datasets.write(name, SCHEMA, [], mode="create")
    assert workspace.datasets.list() == []


@pytest.mark.parametrize("mode", ["create", "replace", "append", "merge"])
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, "cancelled"])
def test_a_failed_write_leaves_the_old_state(workspace: Workspace, mode: str, failure: object) -> None:
    name = "new" if mode == "create" else "d"
    workspace.datasets.write("d", SCHEMA, [item("a", 7)], mode="create")

    def items() -> Iterator[Item]:
        for index in range(1500):
            yield item(f"k{index}", boxes=1)
        if isinstance(failure, type):
            raise failure("in the middle")

    progress = CancellingProgress() if failure == "cancelled" else None
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        workspace.datasets.write(name, SCHEMA, items(), mode=mode, progress=progress)  # type: ignore[arg-type]
    assert [dataset.name for dataset in workspace.datasets.list()] == ["d"]
    assert values(workspace, "d") == {"a": 7}
    assert doctor(workspace) == []


def test_classes_are_united_in_order_and_observed_ones_added(workspace: Workspace) -> None:
    red = ClassInfo("b", color="#ff0000")
    workspace.datasets.write(
        "d",
        Schema((Column("label", Kind.LABEL, (ClassInfo("a"), ClassInfo("b"))),)),
        [Item("1", {"label": "c"})],
        mode="create",
    )
    merged = workspace.datasets.write(
        "d",
        Schema((Column("label", Kind.LABEL, (ClassInfo("z"), red, ClassInfo("a"))),)),
        [Item("1", {"label": "d"})],
        mode="merge",
    )
    assert merged.schema["label"].class_names == ("a", "b", "c", "z", "d")
    assert red in merged.schema["label"].classes
    assert workspace.datasets.open("d@1").schema["label"].class_names == ("a", "b", "c")


def test_observed_classes_of_labels_and_objects_are_added(workspace: Workspace) -> None:
    schema = Schema((Column("tags", Kind.LABELS), Column("objects", Kind.OBJECTS)))
    items = [Item("1", {"tags": ("x", "y"), "objects": item("1").values["objects"]}), Item("2", {"tags": ("w",)})]
    version = workspace.datasets.write("d", schema, items, mode="create")
    assert version.schema["tags"].class_names == ("x", "y", "w")
    assert version.schema["objects"].class_names == ("cell",)


def test_merge_adds_columns_even_after_the_schema_was_replaced(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a", 1), item("b", 2)], mode="create")
    other = Schema((Column("note", Kind.TEXT), Column("objects", Kind.OBJECTS)))
    workspace.datasets.write("d", other, [Item("a", {"note": "one", "objects": ()})], mode="replace")
    for name in ("vector", "second"):
        new = Schema((Column(name, Kind.EMBEDDING),))
        workspace.datasets.write("d", new, [Item("a", {name: (1.5, 2.5)}), Item(f"by {name}")], mode="merge")
    version = workspace.datasets.open("d")
    assert version.schema.names == ("note", "objects", "vector", "second")
    assert version.get("a").values == {"note": "one", "objects": (), "vector": (1.5, 2.5), "second": (1.5, 2.5)}
    assert version.get("by vector").values == dict.fromkeys(version.schema.names)
    assert values(workspace, "d@1") == {"a": 1, "b": 2}
    assert doctor(workspace) == []


def test_append_with_other_columns_leaves_missing_values(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item("a", 1)], mode="create")
    new = Schema((Column("number", Kind.NUMBER), Column("note", Kind.TEXT)))
    version = workspace.datasets.write("d", new, [Item("b", {"number": 2.0, "note": "x"})], mode="append")
    assert version.get("b").values == {"objects": None, "label": None, "number": 2.0, "note": "x"}
    assert version.get("a")["note"] is None


def test_a_merge_that_changes_nothing_writes_no_data(workspace: Workspace) -> None:
    first = workspace.datasets.write("d", SCHEMA, [item("a", 1)], mode="create")
    second = workspace.datasets.write("d", SCHEMA, [item("a", 1)], mode="merge")
    assert (second.number, second.info.changed) == (2, 0)
    assert second.snapshot.version == first.snapshot.version


def test_delete_items(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [item(key) for key in "abc"], mode="create")
    version = workspace.datasets.delete_items("d", ["b"], "gone", author="ann")
    assert version.keys() == ["a", "c"]
    assert (version.info.removed, version.info.message, version.info.author) == (1, "gone", "ann")
    assert workspace.datasets.open("d@1").keys() == ["a", "b", "c"]
    with pytest.raises(NotFoundError, match="no item 'b'"):
        workspace.datasets.delete_items("d", ["a", "b"], "")
    assert workspace.datasets.delete_items("d", ["a", "c"], "all").keys() == []
    assert workspace.datasets.write("d", SCHEMA, [item("b")], mode="append").keys() == ["b"]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("cels", "no dataset 'cels'. Did you mean cells?"),
        ("cells@9", "no version '9'"),
        ("cells@prodcution", "Did you mean production?"),
        ("cells@latst", "Did you mean latest?"),
    ],
)
def test_a_missing_ref_suggests_similar_ones(workspace: Workspace, ref: str, message: str) -> None:
    workspace.datasets.write("cells", SCHEMA, [], mode="create")
    workspace.datasets.alias("cells", "production", 1)
    with pytest.raises(NotFoundError) as error:
        workspace.datasets.open(ref)
    assert message in str(error.value)


@pytest.mark.parametrize("ref", ["", "@1", "cells@"])
def test_an_invalid_ref_is_refused(workspace: Workspace, ref: str) -> None:
    with pytest.raises(InvalidValueError, match="not a reference"):
        workspace.datasets.open(ref)


def test_appending_to_a_missing_dataset_fails_before_items_are_read(workspace: Workspace) -> None:
    def items() -> Iterator[Item]:
        raise AssertionError("read")
        yield item("a")

    with pytest.raises(NotFoundError, match="no dataset 'd'"):
        workspace.datasets.write("d", SCHEMA, items(), mode="append")
    with pytest.raises(NotFoundError, match="no run 'r1'"):
        workspace.datasets.write("d", SCHEMA, items(), mode="create", run_id="r1")


def test_inputs_are_recorded_exactly_and_protect_datasets(workspace: Workspace) -> None:
    workspace.datasets.write("raw", SCHEMA, [item("a")], mode="create")
    workspace.datasets.write("cells", SCHEMA, [item("a")], mode="create", inputs=["raw"])
    assert workspace.datasets.open("cells").info.inputs == ("raw@1",)
    with pytest.raises(ConflictError, match="used by dataset cells@1"):
        workspace.datasets.remove("raw")
    with pytest.raises(NotFoundError, match="no dataset 'nothing'"):
        workspace.datasets.write("more", SCHEMA, [], mode="create", inputs=["nothing"])
    assert not workspace.datasets.exists("more")
    workspace.datasets.remove("raw", force=True)
    assert not workspace.datasets.exists("raw")
    assert doctor(workspace) == []


def test_a_removed_name_can_be_used_again_but_not_its_version_numbers(workspace: Workspace) -> None:
    for number in (1, 2):
        workspace.datasets.write("d", SCHEMA, [item("a", number)], mode="replace")
    workspace.datasets.alias("d", "good", 1)
    workspace.datasets.remove("d")
    with pytest.raises(NotFoundError, match="no dataset 'd'"):
        workspace.datasets.remove("d")
    assert list((workspace.location / "datasets").iterdir()) == []
    recreated = workspace.datasets.write("d", SCHEMA, [item("b")], mode="create")
    assert (recreated.ref, workspace.datasets.aliases("d")) == ("d@3", {})
    with pytest.raises(NotFoundError, match="no version '1'"):
        workspace.datasets.open("d@1")


@pytest.mark.parametrize("selector", ["9" * 30, "²", "٣", "0", "-1"])
def test_invalid_version_numbers(workspace: Workspace, selector: str) -> None:
    """A number too large for the catalog, and non-ASCII digits."""
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    with pytest.raises(NotFoundError, match=r"no (branch or )?version"):
        workspace.datasets.open(f"d@{selector}")
