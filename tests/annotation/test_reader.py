"""A label set as a reader: the labels after the last edit, on the items of the base."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.annotation.conftest import ANN, box, edit, put, write_pictures

from saccade.annotation.commit import commit
from saccade.annotation.label_sets import LabelSets
from saccade.annotation.reader import LabelSetReader
from saccade.core.errors import NotFoundError
from saccade.core.reader import Item, Reader
from saccade.core.schema import Column, Kind, Schema


def labels(
    label_sets: LabelSets, name: str = "pets", column: str = "objects"
) -> dict[str, list[tuple[str, str]] | None]:
    """Return the ids and classes of the objects by item."""
    values = ((item.key, item[column]) for item in LabelSetReader(label_sets, name).items([column]))
    return {key: None if value is None else [(obj.id, obj.class_name) for obj in value] for key, value in values}


def test_items_have_the_labels_after_the_last_edit(label_sets: LabelSets) -> None:
    reader = LabelSetReader(label_sets, "pets")
    assert isinstance(reader, Reader)
    assert (len(reader), reader.keys()) == (6, [f"k{number}" for number in range(6)])
    pair = [("a", "cat"), ("b", "dog")]
    assert labels(label_sets) == {"k0": None, "k1": [], "k2": pair, "k3": None, "k4": [], "k5": pair}
    edits = [
        put("k0", "n", "c2"),
        put("k3", "n"),
        edit("k3", "delete", "n"),
        edit("k2", "delete", "a"),
        edit("k5", "state", None, {"state": "skipped", "reason": "blurred"}),
    ]
    label_sets.apply("pets", edits, ANN)
    expected = {"k0": [("n", "dog")], "k1": [], "k2": [("b", "dog")], "k3": None, "k4": [], "k5": None}
    assert labels(label_sets) == expected
    (item,) = reader.items(["note", "objects"], ["k2"])
    assert (item["note"], [obj.id for obj in item["objects"]]) == ("", ["b"])
    assert [item.values for item in reader.items(["note"], ["k5"])] == [{"note": ""}]
    with pytest.raises(NotFoundError, match="no item 'k9'"):
        list(reader.items(keys=["k9"]))


def test_classes_are_those_of_the_set(label_sets: LabelSets) -> None:
    cat, dog = label_sets.get("pets").classes
    label_sets.put_class("pets", replace(cat, name="tiger", color="#102030"))
    label_sets.put_class("pets", replace(dog, deleted=True))
    schema = LabelSetReader(label_sets, "pets").schema
    assert [(info.name, info.color) for info in schema["objects"].classes] == [("tiger", "#102030")]
    assert labels(label_sets)["k2"] == [("a", "tiger")]
    label_sets.create("new", "pets", column="parts", classes=["wheel"])
    label_sets.apply("new", [put("k0", "n", "c1")], ANN)
    assert LabelSetReader(label_sets, "new").schema.names[0] == "parts", "formats write the first column of objects"
    assert labels(label_sets, "new", "parts")["k0"] == [("n", "wheel")]


def test_the_items_of_the_base_are_read(label_sets: LabelSets) -> None:
    datasets = label_sets.workspace.datasets
    label_sets.create("some", "pets", query="len(objects) > 0")
    label_sets.apply("some", [edit("k2", "patch", "a", {"geometry": box(1)})], ANN)
    datasets.write("pets", Schema((Column("note", Kind.TEXT),)), [Item("k2", {"note": "new"})], mode="merge")
    datasets.delete_items("pets", ["k5"])
    assert [item["note"] for item in LabelSetReader(label_sets, "some").items()] == ["", ""]
    commit(label_sets, "some")
    (item,) = LabelSetReader(label_sets, "some").items()
    assert (item.key, item["note"]) == ("k2", "new")


def test_media(label_sets: LabelSets) -> None:
    write_pictures(label_sets.workspace)
    label_sets.create("pictures", "pictures")
    reader = LabelSetReader(label_sets, "pictures")
    (item,) = reader.items(["image"], ["a/p1"])
    data = reader.read_media(item["image"])
    assert data.startswith(b"\x89PNG")
    with reader.open_media(item["image"]) as file:
        assert file.read() == data
