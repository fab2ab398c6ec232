"""Small objects lie together in packs, and are read, checked, copied and removed as any others are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.errors import NotFoundError, WorkspaceError
from saccade.store.blobs import blob_batch, packs
from saccade.store.blobs.blob_batch import ObjectBatch
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.blobs.packs import Pack, Packing, Packs, finish, unfinished
from saccade.store.io.atomic import Scratch
from saccade.store.maintenance.backup import back_up, restore
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def content(number: int) -> bytes:
    return b"%d " % number * (number % 50 + 1)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "objects"), Scratch(tmp_path / "tmp"))


@pytest.fixture
def filled(store: ObjectStore) -> ObjectStore:
    put_many(store, range(300))
    return store


def put_many(store: ObjectStore, numbers: range) -> None:
    with store.batch(packed=True) as batch:
        for number in numbers:
            batch.put_bytes(content(number))
        batch.finish()


def pack_files(store: ObjectStore) -> list[Path]:
    return sorted(Path(store.url).glob("packs/*"))


# Digests of any kind: some begin alike, some are equal, some end in zeros.
DIGESTS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.tuples(st.sampled_from([b"\0" * 8, b"\xff" * 8, b"12345678"]), st.binary(min_size=24, max_size=24)).map(
        b"".join
    ),
    st.sampled_from([b"\0" * 32, b"\xff" * 32, b"a" * 31 + b"\0"]),
)


@settings(deadline=None)
@given(put=st.lists(st.tuples(DIGESTS, st.binary(max_size=50))), others=st.lists(DIGESTS, max_size=5))
def test_whatever_is_put_into_a_pack_is_found_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, put: list[tuple[bytes, bytes]], others: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("packs")
    packing = Packing(folder)
    first: dict[bytes, bytes] = {}
    for digest, data in put:
        packing.put(digest, data)
        first.setdefault(digest, data)
    packing.close()
    for path in packing.paths:
        assert dict(unfinished(path)) == first
        path.rename(folder / finish(path))
    found = Packs(folder)
    assert {digest: found.read(digest) for digest in first} == first
    assert {digest: found.size(digest) for digest in first} == {digest: len(data) for digest, data in first.items()}
    assert [row.digest for pack in found.all() for row in pack.rows()] == sorted(first)
    for digest in others:
        assert found.read(digest) == first.get(digest)


def test_what_comes_again_after_it_was_forgotten_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_REMEMBERED", 3)
    packing = Packing(tmp_path)
    for number in (1, 2, 3, 4, 1, 2, 5):
        packing.put(digest_of(content(number)), content(number))
    packing.close()
    (path,) = packing.paths
    pack = Pack.open(path.rename(tmp_path / finish(path)))
    assert [row.digest for row in pack.rows()] == sorted(digest_of(content(number)) for number in range(1, 6))


def test_a_pack_that_is_full_is_followed_by_another(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_LARGEST", 5000)
    put_many(store, range(400))
    assert len(pack_files(store)) > 2
    assert max(len(Pack.open(path)) for path in pack_files(store)) < 400
    assert [store.read(digest_of(content(number)).hex()) for number in range(400)] == list(map(content, range(400)))


def test_many_small_objects_are_few_files_and_few_are_files_of_their_own(store: ObjectStore) -> None:
    put_many(store, range(blob_batch._FEW - 1))
    assert pack_files(store) == []
    put_many(store, range(blob_batch._FEW - 1, 1000))
    assert len(pack_files(store)) == 1
    assert len(list(store.digests())) == 1000
    for number in range(1000):
        digest = digest_of(content(number)).hex()
        with store.open(digest) as file:
            assert store.read(digest) == file.read() == content(number)
        assert store.is_held(digest, len(content(number)))
        assert not store.is_held(digest, 1)
        assert store.size(digest) == len(content(number))
        assert store.is_sound(digest)
    assert list(store.digests()) == sorted((digest_of(content(n)).hex(), len(content(n))) for n in range(1000))


def test_large_objects_are_files_beside_a_pack(store: ObjectStore) -> None:
    large = bytes(packs.SMALL + 1)
    with store.batch(packed=True) as batch:
        for number in range(300):
            batch.put_bytes(content(number))
        batch.put_bytes(large)
        batch.finish()
    assert store.open_path(digest_of(large).hex()) is not None
    assert store.open_path(digest_of(content(1)).hex()) is None
    assert len(list(store.digests())) == 301


def test_nothing_is_there_before_the_end_and_nothing_without_one(store: ObjectStore) -> None:
    with store.batch(packed=True) as batch, ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(batch.put_bytes, [content(number % 300) for number in range(900)]))
        assert not any(store.exists(digest) for digest in digests)
    assert list(store.digests()) == []
    assert not [path for path in Path(store.scratch_root).rglob("*") if path.is_file()]


def test_what_is_in_a_pack_is_not_written_again(filled: ObjectStore) -> None:
    put_many(filled, range(300))
    assert len(pack_files(filled)) == 1
    assert filled.put_bytes(content(5)) == digest_of(content(5)).hex()
    assert filled.open_path(digest_of(content(5)).hex()) is None


def test_a_damaged_file_is_written_over_although_there_are_packs(store: ObjectStore) -> None:
    digest = store.put_bytes(content(7))
    path = store.open_path(digest)
    assert path is not None
    path.write_bytes(b"cut")
    put_many(store, range(300))
    assert store.read(digest) == content(7)


def test_streams_that_are_not_what_they_say_are_not_kept(store: ObjectStore) -> None:
    digest = digest_of(content(9)).hex()
    with store.batch(packed=True) as batch:
        assert not batch.put_stream(io.BytesIO(content(9)[:-1]), digest, len(content(9)))
        assert not batch.put_stream(io.BytesIO(content(9) + b"x"), digest, len(content(9)))
        assert not batch.put_stream(io.BytesIO(content(8)), digest, len(content(8)))
        assert batch.put_stream(io.BytesIO(content(9)), digest, len(content(9)))
        batch.finish()
    assert [found for found, _ in store.digests()] == [digest]


def test_what_other_processes_put_is_adopted(store: ObjectStore) -> None:
    with store.batch(packed=True) as batch:
        others = []
        for _ in range(2):
            settings = batch.for_process()
            others.append(ObjectBatch(store, Path(settings["folder"]), packed=settings["packed"]))
        for number in range(400):
            others[number % 2].put_bytes(content(number // 3))  # some of it by both
            if number % 20 < 2:
                batch.adopt(others[number % 2].handed_over())
        for other in others:
            batch.adopt(other.handed_over())
            other.close()
        batch.put_bytes(content(500))
        batch.finish()
    assert len(list(store.digests())) == len({content(number // 3) for number in range(400)}) + 1
    assert all(store.is_sound(digest) for digest, _ in store.digests())


def test_packs_that_others_make_are_seen_at_once(tmp_path: Path) -> None:
    one, other = (ObjectStore(str(tmp_path / "objects"), Scratch(tmp_path / "tmp")) for _ in range(2))
    for turn in range(10):
        numbers = range(turn * 300, (turn + 1) * 300)
        assert not other.exists(digest_of(content(numbers[0])).hex())
        put_many(one, numbers)
        assert all(other.exists(digest_of(content(number)).hex()) for number in numbers)


def test_what_is_removed_is_gone_and_the_rest_stays(filled: ObjectStore) -> None:
    reader = ObjectStore(filled.url, Scratch(Path(filled.scratch_root)))
    assert reader.read(digest_of(content(1)).hex()) == content(1)
    gone = [digest_of(content(number)).hex() for number in range(0, 300, 2)]
    filled.remove_all(gone)
    for number in range(300):
        digest = digest_of(content(number)).hex()
        for store in (filled, reader):
            if digest in gone:
                with pytest.raises(NotFoundError, match=digest):
                    store.read(digest)
            else:
                assert store.read(digest) == content(number)
    filled.remove_all([digest for digest, _ in filled.digests()])
    assert list(reader.digests()) == []
    assert pack_files(filled) == []
    assert not [path for path in Path(filled.scratch_root).rglob("*") if path.is_file()]


def test_little_packs_become_one_when_garbage_is_collected(store: ObjectStore) -> None:
    for turn in range(3):
        put_many(store, range(turn * 300, (turn + 1) * 300))
    before = list(store.digests())
    assert len(pack_files(store)) == 3
    store.remove_all([])
    (joined,) = pack_files(store)
    assert list(store.digests()) == before
    store.remove_all([])
    assert pack_files(store) == [joined]


def harms(path: Path) -> Iterator[bytes]:
    whole = path.read_bytes()
    yield from (whole[:length] for length in (0, 5, 40, len(whole) - 40, len(whole) - 1))
    yield whole + b"x"
    for place in range(len(whole) - 32 - 300 * 8, len(whole) - 8, 97):  # where digests are looked for, and the numbers
        yield whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


def test_a_damaged_pack_has_nothing_and_the_others_all_that_they_had(filled: ObjectStore) -> None:
    (path,) = pack_files(filled)
    put_many(filled, range(1000, 1300))
    for harm in list(harms(path)):
        path.write_bytes(harm)
        with pytest.raises(WorkspaceError):
            Pack.open(path)
        store = ObjectStore(filled.url, Scratch(Path(filled.scratch_root)))
        assert not store.exists(digest_of(content(3)).hex())
        assert store.read(digest_of(content(1003)).hex()) == content(1003)


def test_changed_contents_are_found(filled: ObjectStore) -> None:
    (path,) = pack_files(filled)
    with path.open("r+b") as file:
        file.write(b"!")
    assert [filled.is_sound(digest) for digest, _ in filled.digests()].count(False) == 1


def test_a_workspace_with_packs_is_checked_cleaned_and_copied(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "one") as workspace:
        put_many(workspace.objects, range(300))
        copy = back_up(workspace, tmp_path / "copy")
        assert copy.files > 0
        before = list(workspace.objects.digests())
        restore(tmp_path / "copy", tmp_path / "two")
        with Workspace.open(tmp_path / "two") as restored:
            assert list(restored.objects.digests()) == before
            assert all(restored.objects.is_sound(digest) for digest, _ in before)
        found = collect_garbage(workspace)
        assert found.objects == 300
        assert found.bytes >= sum(size for _, size in before)
        assert list(workspace.objects.digests()) == []


def test_a_disk_that_refuses_is_a_workspace_error(store: ObjectStore) -> None:
    with store.batch(packed=True) as batch:
        for number in range(300):
            batch.put_bytes(content(number))
        Path(store.url).mkdir()
        (Path(store.url) / "packs").write_text("a file in the way")
        with pytest.raises(WorkspaceError, match="cannot be written"):
            batch.finish()
