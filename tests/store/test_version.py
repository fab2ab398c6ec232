"""Reading a dataset version."""

from __future__ import annotations

import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.contract.reader_contract import CONTRACT_CONTENT, CONTRACT_SCHEMA, check_reader, contract_items
from tests.store.conftest import SCHEMA, item

from saccade.core.digest import digest_bytes
from saccade.core.errors import InvalidValueError, MediaError, NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import Column, FileRef, Kind, Schema
from saccade.store.table import snapshot
from saccade.store.table.row_index import RowIndex
from saccade.store.workspace import Workspace


def put_contract_media(workspace: Workspace) -> None:
    for content in CONTRACT_CONTENT.values():
        workspace.blobs.put_bytes(content)


def test_a_version_fulfils_the_reader_contract(workspace: Workspace) -> None:
    put_contract_media(workspace)
    items = contract_items()
    version = workspace.datasets.write("d", CONTRACT_SCHEMA, items, mode="create")
    check_reader(version, items, CONTRACT_CONTENT)
    check_reader(workspace.datasets.open("d@1"), items, CONTRACT_CONTENT)
    check_reader(workspace.datasets.write("e", CONTRACT_SCHEMA, [], mode="create"), [])


def test_a_merged_version_fulfils_the_reader_contract(workspace: Workspace) -> None:
    put_contract_media(workspace)
    items = contract_items()
    notes = CONTRACT_SCHEMA.select(["note"])
    workspace.datasets.write("d", CONTRACT_SCHEMA, [Item("gone"), *items[:2]], mode="create")
    workspace.datasets.write("d", notes, [Item(items[1].key, {"note": "later"})], mode="merge")
    workspace.datasets.write("d", CONTRACT_SCHEMA, [items[2], items[0]], mode="merge")
    workspace.datasets.delete_items("d", ["gone"])
    workspace.datasets.write("d", notes, [Item(items[1].key, {"note": items[1]["note"]})], mode="merge")
    check_reader(workspace.datasets.open("d"), items, CONTRACT_CONTENT)


def test_the_order_of_items_survives_changes(workspace: Workspace) -> None:
    keys = [f"k{index * 7919 % 5000}" for index in range(5000)]
    workspace.datasets.write("d", SCHEMA, (item(key, boxes=0) for key in keys), mode="create")
    workspace.datasets.write("d", SCHEMA, [item(key, 1, boxes=0) for key in reversed(keys[::13])], mode="merge")
    version = workspace.datasets.open("d")
    assert version.keys() == keys
    assert [item.key for item in version.items(["number"])] == keys
    selected = set(keys[4000:10:-3])
    assert [item.key for item in version.items([], selected)] == [key for key in keys if key in selected]


def test_arrow_batches_have_the_schema(workspace: Workspace) -> None:
    version = workspace.datasets.write("d", SCHEMA, [item(str(index)) for index in range(10)], mode="create")
    batches = list(version.to_arrow(["number", "label"], batch_size=4))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert batches[0].schema.names == ["key", "number", "label"]
    assert Schema.from_json(json.loads(batches[0].schema.metadata[b"saccade.schema"])) == version.schema


def test_sql_reads_only_the_items(workspace: Workspace, tmp_path: Path) -> None:
    schema = Schema((*SCHEMA.columns, Column("my-note", Kind.TEXT)))
    version = workspace.datasets.write("d", schema, [item("a", 1), item("b", 2, boxes=3)], mode="create")
    assert version.sql("SELECT * FROM items ORDER BY key").schema.names == ["key", *schema.names]
    boxes = version.sql("SELECT key, len(objects) AS n FROM items WHERE number > 1")
    assert boxes.to_pylist() == [{"key": "b", "n": 3}]
    unnested = "SELECT o.class AS c, count(*) AS n FROM (SELECT unnest(objects) AS o FROM items) GROUP BY 1"
    assert version.sql(unnested).to_pylist() == [{"c": "cell", "n": 5}]
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for query in (
        "SELEC",
        "SELECT nothing FROM items",
        f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
        f"COPY items TO '{tmp_path / 'stolen.csv'}'",
        "SET enable_external_access = true",
    ):
        with pytest.raises(InvalidValueError, match="The query failed"):
            version.sql(query)
    assert not (tmp_path / "stolen.csv").exists()


def test_stats(workspace: Workspace) -> None:
    schema = Schema(
        (
            Column("objects", Kind.OBJECTS),
            Column("tags", Kind.LABELS),
            Column("label", Kind.LABEL),
            Column("split", Kind.TEXT),
            Column("number", Kind.NUMBER),
        )
    )
    boxes = (Object("1", "cell", Box(0, 0, 0, 1)), Object("2", "cell", Box(0, 0, 1, 1)))
    items = [
        Item("a", {"objects": boxes, "tags": ("p", "q"), "label": "l", "split": "train", "number": 1}),
        Item("b", {"objects": (), "tags": ("p",), "label": "l", "split": "train", "number": 3}),
        Item("c", {"tags": (), "split": "val"}),
    ]
    stats = workspace.datasets.write("d", schema, items, mode="create").stats()
    assert (stats["items"], stats["splits"]) == (3, {"train": 2, "val": 1})
    objects = stats["columns"]["objects"]
    assert (objects["missing"], objects["unlabelled"], objects["empty"], objects["objects"]) == (1, 1, 1, 2)
    assert (objects["classes"], objects["items_with_class"], objects["types"]) == ({"cell": 2}, {"cell": 1}, {"box": 2})
    assert objects["sizes"]["width"] == {"min": 0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1, "mean": 0.5}
    assert stats["columns"]["tags"]["classes"] == {"p": 2, "q": 1}
    assert (stats["columns"]["tags"]["empty"], stats["columns"]["label"]["unlabelled"]) == (1, 1)
    assert stats["columns"]["label"]["classes"] == {"l": 2}
    assert stats["columns"]["number"]["values"]["mean"] == 2


def test_stats_of_an_empty_dataset(workspace: Workspace) -> None:
    stats = workspace.datasets.write("d", SCHEMA, [], mode="create").stats()
    assert stats["items"] == 0
    assert stats["columns"]["objects"]["sizes"] == {"width": None, "height": None, "area": None}


def test_an_external_file_is_read_in_place_and_verified(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "linked.bin"
    path.write_bytes(b"content")
    version = workspace.datasets.write("d", SCHEMA, [], mode="create")
    ref = FileRef(digest_bytes(b"content"), 7, "linked.bin", str(path))
    assert version.read_media(ref) == b"content"
    assert version.read_media(FileRef(ref.digest, 7, ref.name, path.as_uri())) == b"content"
    for content in (b"changed", b"longer than before"):
        path.write_bytes(content)
        with pytest.raises(MediaError, match="has changed since it was imported"):
            version.read_media(ref)
    path.unlink()
    with pytest.raises(NotFoundError, match="is missing"):
        version.read_media(ref)


def test_a_version_can_be_pickled(workspace: Workspace) -> None:
    put_contract_media(workspace)
    version = workspace.datasets.write("d", CONTRACT_SCHEMA, contract_items(), mode="create")
    unpickled = pickle.loads(pickle.dumps(version))
    assert unpickled.ref == "d@1"
    check_reader(unpickled, contract_items(), CONTRACT_CONTENT)


def test_concurrent_threads_read_the_row_index_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.datasets.write("d", SCHEMA, [item(f"k{number}") for number in range(50)], mode="create")
    version = workspace.datasets.open("d")
    calls = []

    class SlowRowIndex(RowIndex):
        def __init__(self, table: Any) -> None:
            calls.append(table)
            time.sleep(0.2)
            super().__init__(table)

    monkeypatch.setattr(snapshot, "RowIndex", SlowRowIndex)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: version.keys(), range(8)))
    assert len(calls) == 1
    assert results == [[f"k{number}" for number in range(50)]] * 8


def test_repr_shows_ref_size_and_columns(workspace: Workspace) -> None:
    version = workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    assert repr(version) == "<d@1, 1 item, objects: objects, label: label, number: number>"


def test_repeated_point_reads_find_keys_in_all_fragments(workspace: Workspace) -> None:
    """Keys in large and small fragments, changed and deleted ones, each read twice from one version."""
    workspace.datasets.write("d", SCHEMA, (item(f"a{index}", boxes=0) for index in range(5000)), mode="create")
    workspace.datasets.write("d", SCHEMA, (item(f"b{index}", boxes=0) for index in range(4500)), mode="append")
    workspace.datasets.write("d", SCHEMA, [item("a7", 70, boxes=1), item("new", 1)], mode="merge")
    workspace.datasets.delete_items("d", ["b3", "a9"])
    version = workspace.datasets.open("d")
    for _ in range(3):
        for key in ("a7", "a4999", "b0", "b4499", "new"):
            assert version.get(key) == next(version.items(keys=[key]))
            assert version[key].key == key
        for key in ("b3", "a9", "c"):
            assert key not in version
            with pytest.raises(NotFoundError, match=key):
                version.get(key)
    assert version[len(version) - 1].key == "new"


def test_items_do_not_pickle_their_version(workspace: Workspace) -> None:
    version = workspace.datasets.write("d", SCHEMA, [item("a", 1)], mode="create")
    assert version[0].source is version
    unpickled = pickle.loads(pickle.dumps(version[0]))
    assert (unpickled, unpickled.source) == (version[0], None)
