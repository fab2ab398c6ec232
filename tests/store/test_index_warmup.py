"""Key indexes and persisted leaf columns: they are used, rebuilt if damaged, and not required."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lance.file import LanceFileReader

from saccade.core.errors import NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.datasets.version import DatasetVersion
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.query import column_cache
from saccade.store.query.column_cache_files import leaf_path, read_arrays
from saccade.store.table import key_index
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("note", Kind.TEXT),))
KEYS = st.sampled_from([*(f"k{number}" for number in range(30)), "ü'", "x" * 300, "plumless", "buckeroo"])
EDITS = st.lists(
    st.tuples(st.sampled_from(["merge", "delete"]), st.lists(KEYS, min_size=1, max_size=8, unique=True)), max_size=6
)


@pytest.fixture(autouse=True)
def index_every_fragment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "_MIN_INDEXED_ROWS", 1)


def items(keys: list[str], note: str) -> list[Item]:
    return [Item(key, {"note": note}) for key in keys]


def reopen(workspace: Workspace) -> DatasetVersion:
    """Open the latest version with nothing of it in memory."""
    return workspace.datasets.open("d")


def index_files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.location.glob("datasets/*.lance/_known/*.crc"))


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SCHEMA, items(["a", "b", "c"], "first"), mode="create")
        workspace.datasets.write("d", SCHEMA, items(["b", "d"], "second"), mode="merge")
        yield workspace


@pytest.mark.slow
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_every_version_finds_exactly_its_keys(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, list[str]]]
) -> None:
    with Workspace.create(tmp_path_factory.mktemp("keys")) as workspace:
        notes = dict.fromkeys(["k0", "k1", "plumless", "ü'"], "0")
        workspace.datasets.write("d", SCHEMA, items(list(notes), "0"), mode="create")
        history = {1: dict(notes)}
        for number, (action, keys) in enumerate(edits, 1):
            if action == "merge":
                version = workspace.datasets.write("d", SCHEMA, items(keys, str(number)), mode="merge")
                notes.update(dict.fromkeys(keys, str(number)))
            elif existing := [key for key in keys if key in notes]:
                version = workspace.datasets.delete_items("d", existing)
                notes = {key: note for key, note in notes.items() if key not in existing}
            else:
                continue
            history[version.number] = dict(notes)
        for number, expected in history.items():
            version = workspace.datasets.open(f"d@{number}")
            for key in ["k0", "k7", "ü'", "x" * 300, "buckeroo", "plumless", "never", *expected]:
                if key in expected:
                    assert version.get(key)["note"] == expected[key]
                else:
                    with pytest.raises(NotFoundError):
                        version.get(key)


def test_a_lookup_reads_only_index_files(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    version = reopen(filled)
    fragments = version.snapshot.table.get_fragments()
    assert len(fragments) == 2
    assert len(index_files(filled)) == 2
    addresses = {key: key_index.lookup_addresses(version.snapshot.folder, fragments, key) for key in "abcdz"}
    assert [len(addresses[key]) for key in "abcdz"] == [1, 2, 1, 1, 0]  # the first fragment still has the old "b"
    assert reopen(filled).get("b")["note"] == "second"
    assert "index" not in version.snapshot.__dict__


def test_keys_with_the_same_hash_are_distinguished(filled: Workspace) -> None:
    filled.datasets.write("d", SCHEMA, items(["plumless"], "third"), mode="merge")  # CRC-32 of both is 4ddb0c25
    with pytest.raises(NotFoundError):
        reopen(filled).get("buckeroo")


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 16])
def test_damaged_or_missing_index_files_are_rebuilt(filled: Workspace, content: bytes) -> None:
    before = [path.read_bytes() for path in index_files(filled)]
    for path in index_files(filled):
        path.write_bytes(content)
    assert reopen(filled).get("a")["note"] == "first"
    assert [path.read_bytes() for path in index_files(filled)] == before
    for path in index_files(filled):
        path.unlink()
    assert reopen(filled).get("d")["note"] == "second"
    assert [path.read_bytes() for path in index_files(filled)] == before


def test_no_damaged_byte_hides_a_key(filled: Workspace) -> None:
    for path in index_files(filled):
        content = path.read_bytes()
        for offset in range(len(content)):
            path.write_bytes(content[:offset] + bytes([content[offset] ^ 0x81]) + content[offset + 1 :])
            version = reopen(filled)
            assert [version.get(key)["note"] for key in "abcd"] == ["first", "second", "first", "second"]
            with pytest.raises(NotFoundError):
                version.get("z")
            assert path.read_bytes() == content, "rebuilt before 'z' is reported as missing"


def test_lookups_work_on_a_read_only_disk(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in index_files(filled):
        path.unlink()

    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "read-only", str(path))

    monkeypatch.setattr(key_index, "atomic_write", refuse)
    assert reopen(filled).get("c")["note"] == "first"
    assert index_files(filled) == []


def test_index_files_are_deleted_with_their_data(filled: Workspace) -> None:
    assert doctor(filled) == []
    collect_garbage(filled)
    assert len(index_files(filled)) == 2
    orphan = index_files(filled)[0].with_name("gone.lance.crc")
    orphan.write_bytes(b"of a deleted data file")
    assert [problem.level for problem in doctor(filled)] == ["warning"]
    collect_garbage(filled)
    assert not orphan.exists()
    filled.datasets.remove("d")
    collect_garbage(filled)
    assert index_files(filled) == []


def test_an_index_file_includes_deleted_rows(filled: Workspace) -> None:
    old = filled.datasets.open("d@1")
    filled.datasets.delete_items("d", ["a"])
    for path in index_files(filled):
        path.unlink()
    assert reopen(filled).get("c")["note"] == "first"  # rebuilt by a version without "a"
    assert old.get("a")["note"] == "first"
    data = key_index.indexed_data_file(index_files(filled)[0])
    assert LanceFileReader(str(data), columns=["key"]).read_all().to_table().num_rows > 0


# Persisted leaf columns

SHIPS = Schema((Column("objects", Kind.OBJECTS), Column("split", Kind.TEXT), Column("tags", Kind.LABELS)))
QUERIES = (
    'any(objects, class == "ship")',
    'any(objects, class == "ship" and area > 12)',
    "any(objects, score > 0.5)",
    "len(objects) == 0",
    'split == "val"',
    '"odd" in tags',
)


def ships(first: int, count: int) -> list[Item]:
    ship_items = []
    for number in range(first, first + count):
        objects = tuple(
            Object(
                str(index),
                ("ship", "ü'")[(number + index) % 2],
                Box(0, 0, number, index + 1),
                score=number / 20 or None,
            )
            for index in range(number % 4)
        )
        values = {"objects": objects, "split": ("train", "val", None)[number % 3], "tags": ("odd",) * (number % 2)}
        ship_items.append(Item(f"i{number}", values))
    return ship_items


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SHIPS, ships(0, 12), mode="create")
        workspace.datasets.write("d", SHIPS, ships(8, 10), mode="merge")
        workspace.datasets.delete_items("d", ["i2", "i9"])
        yield workspace


def query_results(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Run all queries with an empty cache, as after a start."""
    monkeypatch.setattr(column_cache, "_cache", column_cache._LruCache(1 << 20))
    return [reopen(workspace).where(query) for query in QUERIES]


def test_queries_read_persisted_leaves(fleet: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    leaf_files = sorted(fleet.location.glob("datasets/*.lance/_known/*.npz"))
    assert len(leaf_files) >= 10
    expected = query_results(fleet, monkeypatch)
    assert all(expected)
    with monkeypatch.context() as patched:
        patched.setattr(column_cache.FragmentView, "_extract_leaf", None)
        assert query_results(fleet, monkeypatch) == expected
    for number, path in enumerate(leaf_files):
        content = path.read_bytes()
        path.write_bytes((b"", content[:-9], content[:60] + b"?" + content[61:])[number % 3])
    assert query_results(fleet, monkeypatch) == expected
    for path in leaf_files:
        path.unlink()
    assert query_results(fleet, monkeypatch) == expected


def test_missing_scores_take_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace.create(tmp_path) as workspace:
        for number in range(2):
            objects = tuple(Object(str(index), "ship", Box(0, 0, 1, 1)) for index in range(1000))
            workspace.datasets.write(
                "d", SHIPS, [Item(f"k{number}", {"objects": objects})], mode="merge" if number else "create"
            )
        scores = leaf_path(Path(), "", ("objects", "item", "score")).name
        leaf_files = list(workspace.location.glob(f"datasets/*.lance/_known/*{scores}"))
        assert len(leaf_files) == 2
        assert all(path.stat().st_size < 4000 for path in leaf_files)  # instead of 8 bytes for each object
        assert query_results(workspace, monkeypatch)[2] == []
        assert reopen(workspace).where("any(objects, score is None)") == ["k0", "k1"]


def test_texts_with_many_distinct_values_are_not_persisted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_cache, "_MAX_PERSISTED_CATEGORIES", 3)
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SCHEMA, [Item(f"a{n}", {"note": f"text {n}"}) for n in range(9)], mode="create")
        workspace.datasets.write("d", SCHEMA, items(["b"], "text 3"), mode="merge")
        many, few = sorted(
            workspace.location.glob("datasets/*.lance/_known/*.npz"), key=lambda path: path.stat().st_size
        )
        assert (many.stat().st_size < few.stat().st_size, read_arrays(many)) == (True, {})
        monkeypatch.setattr(column_cache, "_cache", column_cache._LruCache(1 << 20))
        assert reopen(workspace).where('note == "text 3"') == ["a3", "b"]
