"""Packs of small blobs: reading, verifying, copying and deleting their blobs."""

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
from saccade.store.blobs.blob_batch import BlobBatch
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.blobs.packs import Pack, PackFolder, PackWriter, finalize_pack, recover_partial
from saccade.store.io.scratch import ScratchDir
from saccade.store.maintenance.backup import back_up, restore
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def content(number: int) -> bytes:
    return b"%d " % number * (number % 50 + 1)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "objects"), ScratchDir(tmp_path / "tmp"))


@pytest.fixture
def filled(store: BlobStore) -> BlobStore:
    put_many(store, range(300))
    return store


def put_many(store: BlobStore, numbers: range) -> None:
    with store.batch(packed=True) as batch:
        for number in numbers:
            batch.put_bytes(content(number))
        batch.finish()


def pack_files(store: BlobStore) -> list[Path]:
    return sorted(Path(store.url).glob("packs/*"))


# Some digests have the same prefix, some are equal, some end in zeros.
DIGESTS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.tuples(st.sampled_from([b"\0" * 8, b"\xff" * 8, b"12345678"]), st.binary(min_size=24, max_size=24)).map(
        b"".join
    ),
    st.sampled_from([b"\0" * 32, b"\xff" * 32, b"a" * 31 + b"\0"]),
)


@settings(deadline=None)
@given(added=st.lists(st.tuples(DIGESTS, st.binary(max_size=50))), others=st.lists(DIGESTS, max_size=5))
def test_a_pack_contains_exactly_what_was_added(
    tmp_path_factory: pytest.TempPathFactory, added: list[tuple[bytes, bytes]], others: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("packs")
    writer = PackWriter(folder)
    first: dict[bytes, bytes] = {}
    for digest, data in added:
        writer.put(digest, data)
        first.setdefault(digest, data)
    writer.close()
    for path in writer.paths:
        assert dict(recover_partial(path)) == first
        path.rename(folder / finalize_pack(path))
    pack_folder = PackFolder(folder)
    assert {digest: pack_folder.read(digest) for digest in first} == first
    assert {digest: pack_folder.size(digest) for digest in first} == {
        digest: len(data) for digest, data in first.items()
    }
    assert [entry.digest for pack in pack_folder.list_packs() for entry in pack.entries()] == sorted(first)
    for digest in others:
        assert pack_folder.read(digest) == first.get(digest)


def test_duplicates_beyond_the_recent_digests_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_MAX_RECENT_DIGESTS", 3)
    writer = PackWriter(tmp_path)
    for number in (1, 2, 3, 4, 1, 2, 5):
        writer.put(digest_of(content(number)), content(number))
    writer.close()
    (path,) = writer.paths
    pack = Pack.open(path.rename(tmp_path / finalize_pack(path)))
    assert [entry.digest for entry in pack.entries()] == sorted(digest_of(content(number)) for number in range(1, 6))


def test_a_full_pack_is_followed_by_another(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_MAX_PACK_BYTES", 5000)
    put_many(store, range(400))
    assert len(pack_files(store)) > 2
    assert max(len(Pack.open(path)) for path in pack_files(store)) < 400
    assert [store.read(digest_of(content(number)).hex()) for number in range(400)] == list(map(content, range(400)))


def test_many_small_blobs_become_a_pack_and_few_become_files(store: BlobStore) -> None:
    put_many(store, range(blob_batch._MIN_PACKED_BLOBS - 1))
    assert pack_files(store) == []
    put_many(store, range(blob_batch._MIN_PACKED_BLOBS - 1, 1000))
    assert len(pack_files(store)) == 1
    assert len(list(store.digests())) == 1000
    for number in range(1000):
        digest = digest_of(content(number)).hex()
        with store.open(digest) as file:
            assert store.read(digest) == file.read() == content(number)
        assert store.contains(digest, len(content(number)))
        assert not store.contains(digest, 1)
        assert store.size(digest) == len(content(number))
        assert store.verify(digest)
    assert list(store.digests()) == sorted((digest_of(content(n)).hex(), len(content(n))) for n in range(1000))


def test_large_blobs_are_files_next_to_a_pack(store: BlobStore) -> None:
    large = bytes(packs.MAX_PACKED_BYTES + 1)
    with store.batch(packed=True) as batch:
        for number in range(300):
            batch.put_bytes(content(number))
        batch.put_bytes(large)
        batch.finish()
    assert store.local_path(digest_of(large).hex()) is not None
    assert store.local_path(digest_of(content(1)).hex()) is None
    assert len(list(store.digests())) == 301


def test_an_unfinished_batch_adds_no_blobs(store: BlobStore) -> None:
    with store.batch(packed=True) as batch, ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(batch.put_bytes, [content(number % 300) for number in range(900)]))
        assert not any(store.exists(digest) for digest in digests)
    assert list(store.digests()) == []
    assert not [path for path in Path(store.scratch_root).rglob("*") if path.is_file()]


def test_a_packed_blob_is_not_written_again(filled: BlobStore) -> None:
    put_many(filled, range(300))
    assert len(pack_files(filled)) == 1
    assert filled.put_bytes(content(5)) == digest_of(content(5)).hex()
    assert filled.local_path(digest_of(content(5)).hex()) is None


def test_a_damaged_file_is_overwritten_by_a_packed_batch(store: BlobStore) -> None:
    digest = store.put_bytes(content(7))
    path = store.local_path(digest)
    assert path is not None
    path.write_bytes(b"cut")
    put_many(store, range(300))
    assert store.read(digest) == content(7)


def test_streams_with_a_wrong_digest_or_size_are_rejected(store: BlobStore) -> None:
    digest = digest_of(content(9)).hex()
    with store.batch(packed=True) as batch:
        assert not batch.put_stream(io.BytesIO(content(9)[:-1]), digest, len(content(9)))
        assert not batch.put_stream(io.BytesIO(content(9) + b"x"), digest, len(content(9)))
        assert not batch.put_stream(io.BytesIO(content(8)), digest, len(content(8)))
        assert batch.put_stream(io.BytesIO(content(9)), digest, len(content(9)))
        batch.finish()
    assert [stored for stored, _ in store.digests()] == [digest]


def test_a_batch_attaches_what_other_processes_detached(store: BlobStore) -> None:
    with store.batch(packed=True) as batch:
        others: list[BlobBatch] = []
        for _ in range(2):
            settings = batch.worker_settings()
            others.append(BlobBatch(store, Path(settings["folder"]), packed=settings["packed"]))
        for number in range(400):
            others[number % 2].put_bytes(content(number // 3))  # some blobs by both
            if number % 20 < 2:
                batch.attach(others[number % 2].detach())
        for other in others:
            batch.attach(other.detach())
            other.close()
        batch.put_bytes(content(500))
        batch.finish()
    assert len(list(store.digests())) == len({content(number // 3) for number in range(400)}) + 1
    assert all(store.verify(digest) for digest, _ in store.digests())


def test_new_packs_of_other_processes_are_visible_immediately(tmp_path: Path) -> None:
    writer, reader = (BlobStore(str(tmp_path / "objects"), ScratchDir(tmp_path / "tmp")) for _ in range(2))
    for turn in range(10):
        numbers = range(turn * 300, (turn + 1) * 300)
        assert not reader.exists(digest_of(content(numbers[0])).hex())
        put_many(writer, numbers)
        assert all(reader.exists(digest_of(content(number)).hex()) for number in numbers)


def test_deleted_blobs_are_gone_and_the_others_remain(filled: BlobStore) -> None:
    reader = BlobStore(filled.url, ScratchDir(Path(filled.scratch_root)))
    assert reader.read(digest_of(content(1)).hex()) == content(1)
    deleted = [digest_of(content(number)).hex() for number in range(0, 300, 2)]
    filled.delete_many(deleted)
    for number in range(300):
        digest = digest_of(content(number)).hex()
        for store in (filled, reader):
            if digest in deleted:
                with pytest.raises(NotFoundError, match=digest):
                    store.read(digest)
            else:
                assert store.read(digest) == content(number)
    filled.delete_many([digest for digest, _ in filled.digests()])
    assert list(reader.digests()) == []
    assert pack_files(filled) == []
    assert not [path for path in Path(filled.scratch_root).rglob("*") if path.is_file()]


def test_small_packs_are_merged_when_blobs_are_deleted(store: BlobStore) -> None:
    for turn in range(3):
        put_many(store, range(turn * 300, (turn + 1) * 300))
    before = list(store.digests())
    assert len(pack_files(store)) == 3
    store.delete_many([])
    (merged,) = pack_files(store)
    assert list(store.digests()) == before
    store.delete_many([])
    assert pack_files(store) == [merged]


def damaged_contents(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield from (content[:length] for length in (0, 5, 40, len(content) - 40, len(content) - 1))
    yield content + b"x"
    for offset in range(len(content) - 32 - 300 * 8, len(content) - 8, 97):  # the search index and the footer
        yield content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :]


def test_a_damaged_pack_does_not_affect_the_others(filled: BlobStore) -> None:
    (path,) = pack_files(filled)
    put_many(filled, range(1000, 1300))
    for damaged in list(damaged_contents(path)):
        path.write_bytes(damaged)
        with pytest.raises(WorkspaceError):
            Pack.open(path)
        store = BlobStore(filled.url, ScratchDir(Path(filled.scratch_root)))
        assert not store.exists(digest_of(content(3)).hex())
        assert store.read(digest_of(content(1003)).hex()) == content(1003)


def test_changed_contents_fail_the_verification(filled: BlobStore) -> None:
    (path,) = pack_files(filled)
    with path.open("r+b") as file:
        file.write(b"!")
    assert [filled.verify(digest) for digest, _ in filled.digests()].count(False) == 1


def test_backup_restore_and_garbage_collection_of_packs(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "one") as workspace:
        put_many(workspace.blobs, range(300))
        copy = back_up(workspace, tmp_path / "copy")
        assert copy.files > 0
        before = list(workspace.blobs.digests())
        restore(tmp_path / "copy", tmp_path / "two")
        with Workspace.open(tmp_path / "two") as restored:
            assert list(restored.blobs.digests()) == before
            assert all(restored.blobs.verify(digest) for digest, _ in before)
        result = collect_garbage(workspace)
        assert result.objects == 300
        assert result.bytes >= sum(size for _, size in before)
        assert list(workspace.blobs.digests()) == []


def test_a_failed_write_raises_a_workspace_error(store: BlobStore) -> None:
    with store.batch(packed=True) as batch:
        for number in range(300):
            batch.put_bytes(content(number))
        Path(store.url).mkdir()
        (Path(store.url) / "packs").write_text("a file in the way")
        with pytest.raises(WorkspaceError, match="cannot be written"):
            batch.finish()
