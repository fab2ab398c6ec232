"""What is kept beside the data is used, follows from it, and is done without whatever became of it."""

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
from saccade.store.query.column_cache_files import leaf_file, read_arrays
from saccade.store.table import key_index
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("note", Kind.TEXT),))
KEYS = st.sampled_from([*(f"k{number}" for number in range(30)), "ü'", "x" * 300, "plumless", "buckeroo"])
EDITS = st.lists(
    st.tuples(st.sampled_from(["merge", "delete"]), st.lists(KEYS, min_size=1, max_size=8, unique=True)), max_size=6
)


@pytest.fixture(autouse=True)
def every_fragment_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "_WORTH", 1)


def items(keys: list[str], note: str) -> list[Item]:
    return [Item(key, {"note": note}) for key in keys]


def opened(workspace: Workspace) -> DatasetVersion:
    """The latest version, of which nothing is in memory."""
    return workspace.datasets.open("d")


def files(workspace: Workspace) -> list[Path]:
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
def test_every_version_finds_what_it_has(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, list[str]]]
) -> None:
    with Workspace.create(tmp_path_factory.mktemp("keys")) as workspace:
        now = dict.fromkeys(["k0", "k1", "plumless", "ü'"], "0")
        workspace.datasets.write("d", SCHEMA, items(list(now), "0"), mode="create")
        history = {1: dict(now)}
        for number, (act, keys) in enumerate(edits, 1):
            if act == "merge":
                made = workspace.datasets.write("d", SCHEMA, items(keys, str(number)), mode="merge")
                now.update(dict.fromkeys(keys, str(number)))
            elif there := [key for key in keys if key in now]:
                made = workspace.datasets.delete_items("d", there)
                now = {key: note for key, note in now.items() if key not in there}
            else:
                continue
            history[made.number] = dict(now)
        for number, expected in history.items():
            version = workspace.datasets.open(f"d@{number}")
            for key in ["k0", "k7", "ü'", "x" * 300, "buckeroo", "plumless", "never", *expected]:
                if key in expected:
                    assert version.get(key)["note"] == expected[key]
                else:
                    with pytest.raises(NotFoundError):
                        version.get(key)


def test_no_other_file_is_read(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    version = opened(filled)
    fragments = version.snapshot.table.get_fragments()
    assert len(fragments) == 2
    assert len(files(filled)) == 2
    held = {key: key_index.addresses_of(version.snapshot.folder, fragments, key) for key in "abcdz"}
    assert [len(held[key]) for key in "abcdz"] == [1, 2, 1, 1, 0]  # the old "b" lies in the first one still
    assert opened(filled).get("b")["note"] == "second"
    assert "index" not in version.snapshot.__dict__


def test_keys_with_one_check_are_told_apart(filled: Workspace) -> None:
    filled.datasets.write("d", SCHEMA, items(["plumless"], "third"), mode="merge")  # CRC-32 of both is 4ddb0c25
    with pytest.raises(NotFoundError):
        opened(filled).get("buckeroo")


@pytest.mark.parametrize("harm", [b"", b"x", b"\0" * 16])
def test_what_is_damaged_or_gone_is_made_again(filled: Workspace, harm: bytes) -> None:
    before = [path.read_bytes() for path in files(filled)]
    for path in files(filled):
        path.write_bytes(harm)
    assert opened(filled).get("a")["note"] == "first"
    assert [path.read_bytes() for path in files(filled)] == before
    for path in files(filled):
        path.unlink()
    assert opened(filled).get("d")["note"] == "second"
    assert [path.read_bytes() for path in files(filled)] == before


def test_no_damage_hides_a_key(filled: Workspace) -> None:
    for path in files(filled):
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :])
            version = opened(filled)
            assert [version.get(key)["note"] for key in "abcd"] == ["first", "second", "first", "second"]
            with pytest.raises(NotFoundError):
                version.get("z")
            assert path.read_bytes() == whole, "made again before it was believed that there is no 'z'"


def test_where_nothing_can_be_kept_all_is_found(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in files(filled):
        path.unlink()

    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "read-only", str(path))

    monkeypatch.setattr(key_index, "write_whole", refuse)
    assert opened(filled).get("c")["note"] == "first"
    assert files(filled) == []


def test_they_go_with_their_data(filled: Workspace) -> None:
    assert doctor(filled) == []
    collect_garbage(filled)
    assert len(files(filled)) == 2
    stray = files(filled)[0].with_name("gone.lance.crc")
    stray.write_bytes(b"of data that is gone")
    assert [problem.level for problem in doctor(filled)] == ["warning"]
    collect_garbage(filled)
    assert not stray.exists()
    filled.datasets.remove("d")
    collect_garbage(filled)
    assert files(filled) == []


def test_removed_rows_are_known_too(filled: Workspace) -> None:
    old = filled.datasets.open("d@1")
    filled.datasets.delete_items("d", ["a"])
    for path in files(filled):
        path.unlink()
    assert opened(filled).get("c")["note"] == "first"  # made anew, where "a" is removed
    assert old.get("a")["note"] == "first"
    data = key_index.data_file(files(filled)[0])
    assert LanceFileReader(str(data), columns=["key"]).read_all().to_table().num_rows > 0


# Leaves of columns

SHIPS = Schema((Column("objects", Kind.OBJECTS), Column("split", Kind.TEXT), Column("tags", Kind.LABELS)))
QUESTIONS = (
    'any(objects, class == "ship")',
    'any(objects, class == "ship" and area > 12)',
    "any(objects, score > 0.5)",
    "len(objects) == 0",
    'split == "val"',
    '"odd" in tags',
)


def ships(first: int, count: int) -> list[Item]:
    made = []
    for number in range(first, first + count):
        objects = tuple(
            Object(str(at), ("ship", "ü'")[(number + at) % 2], Box(0, 0, number, at + 1), score=number / 20 or None)
            for at in range(number % 4)
        )
        values = {"objects": objects, "split": ("train", "val", None)[number % 3], "tags": ("odd",) * (number % 2)}
        made.append(Item(f"i{number}", values))
    return made


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SHIPS, ships(0, 12), mode="create")
        workspace.datasets.write("d", SHIPS, ships(8, 10), mode="merge")
        workspace.datasets.delete_items("d", ["i2", "i9"])
        yield workspace


def answers(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """To all questions, as if after a start."""
    monkeypatch.setattr(column_cache, "_kept", column_cache._Kept(1 << 20))
    return [opened(workspace).where(question) for question in QUESTIONS]


def test_questions_are_answered_from_the_files(harbour: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = sorted(harbour.location.glob("datasets/*.lance/_known/*.npz"))
    assert len(kept) >= 10
    expected = answers(harbour, monkeypatch)
    assert all(expected)
    with monkeypatch.context() as patched:
        patched.setattr(column_cache.Part, "_taken_apart", None)
        assert answers(harbour, monkeypatch) == expected
    for number, path in enumerate(kept):
        whole = path.read_bytes()
        path.write_bytes((b"", whole[:-9], whole[:60] + b"?" + whole[61:])[number % 3])
    assert answers(harbour, monkeypatch) == expected
    for path in kept:
        path.unlink()
    assert answers(harbour, monkeypatch) == expected


def test_scores_that_nobody_gave_take_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Workspace.create(tmp_path) as workspace:
        for number in range(2):
            bare = tuple(Object(str(at), "ship", Box(0, 0, 1, 1)) for at in range(1000))
            workspace.datasets.write(
                "d", SHIPS, [Item(f"k{number}", {"objects": bare})], mode="merge" if number else "create"
            )
        scores = leaf_file(Path(), "", ("objects", "item", "score")).name
        kept = list(workspace.location.glob(f"datasets/*.lance/_known/*{scores}"))
        assert len(kept) == 2
        assert all(path.stat().st_size < 4000 for path in kept)  # and not 8 bytes for each object
        assert answers(workspace, monkeypatch)[2] == []
        assert opened(workspace).where("any(objects, score is None)") == ["k0", "k1"]


def test_texts_that_nearly_all_differ_are_not_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_cache, "_WORDS_KEPT", 3)
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SCHEMA, [Item(f"a{n}", {"note": f"text {n}"}) for n in range(9)], mode="create")
        workspace.datasets.write("d", SCHEMA, items(["b"], "text 3"), mode="merge")
        many, few = sorted(
            workspace.location.glob("datasets/*.lance/_known/*.npz"), key=lambda path: path.stat().st_size
        )
        assert (many.stat().st_size < few.stat().st_size, read_arrays(many)) == (True, {})
        monkeypatch.setattr(column_cache, "_kept", column_cache._Kept(1 << 20))
        assert opened(workspace).where('note == "text 3"') == ["a3", "b"]
