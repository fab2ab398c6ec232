"""Blobs are complete or do not exist."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from saccade.core.errors import InvalidValueError, NotFoundError, WorkspaceError
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.io.scratch import ScratchDir


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    url = str(tmp_path / "objects") if request.param == "local" else f"memory://{tmp_path}"
    return BlobStore(url, ScratchDir(tmp_path / "tmp"))


def test_bytes_and_files_are_stored_by_digest(store: BlobStore, tmp_path: Path) -> None:
    digest = store.put_bytes(b"abc")
    assert digest == hashlib.sha256(b"abc").hexdigest()
    (tmp_path / "f").write_bytes(b"abc")
    assert store.put_file(tmp_path / "f") == digest
    (tmp_path / "g").write_bytes(b"other")
    other = store.put_file(tmp_path / "g")
    assert store.read(digest) == b"abc"
    assert store.read(other) == b"other"
    assert store.exists(digest)
    assert store.size(other) == 5
    assert store.verify(digest)


def test_errors_name_the_missing_blob(store: BlobStore) -> None:
    missing = "0" * 64
    assert not store.exists(missing)
    assert store.local_path(missing) is None
    for method in (store.read, store.size):
        with pytest.raises(NotFoundError, match=missing):
            method(missing)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_invalid_digests_are_rejected(store: BlobStore, digest: str) -> None:
    with pytest.raises(InvalidValueError, match="64 hexadecimal digits"):
        store.read(digest)


@pytest.fixture
def local(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "objects"), ScratchDir(tmp_path / "tmp"))


def test_an_existing_blob_is_not_written_again(local: BlobStore) -> None:
    path = local.local_path(local.put_bytes(b"abc"))
    assert path is not None
    before = path.stat()
    local.put_bytes(b"abc")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_truncated_blob_is_written_again(local: BlobStore) -> None:
    digest = local.put_bytes(b"abcdef")
    path = local.local_path(digest)
    assert path is not None
    path.write_bytes(b"abc")
    assert not local.verify(digest)
    assert local.put_bytes(b"abcdef") == digest
    assert local.read(digest) == b"abcdef"


def test_failed_writes_raise_and_leave_no_temporary_files(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path / "objects"), ScratchDir(tmp_path / "tmp"))
    store.put_bytes(b"abc")
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []
    (tmp_path / "blocked").write_text("a file in place of the folder")
    blocked = BlobStore(str(tmp_path / "blocked"), ScratchDir(tmp_path / "tmp"))
    with pytest.raises(WorkspaceError, match="cannot be written"):
        blocked.put_bytes(b"abc")
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []


def test_a_batch_becomes_visible_at_once(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path / "objects"), ScratchDir(tmp_path / "tmp"))
    contents = [bytes([number % 40]) * 1000 for number in range(200)]  # each content five times
    with store.batch() as batch, ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(batch.put_bytes, contents))
        assert not any(store.exists(digest) for digest in digests)
        batch.finish()
        assert [store.read(digest) for digest in digests] == contents
        assert batch.put_bytes(contents[0]) == digests[0], "an existing blob is not written again"
        batch.finish()
    assert len(list((tmp_path / "objects").glob("*/*"))) == 40
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]


def test_an_unfinished_batch_leaves_no_files(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path / "objects"), ScratchDir(tmp_path / "tmp"))
    with store.batch() as batch:
        batch.put_bytes(b"content")
        assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_a_batch_that_cannot_be_written_raises(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path / "objects"), ScratchDir(tmp_path / "tmp"))
    (tmp_path / "objects").write_text("a file in the way")
    with store.batch() as batch:
        batch.put_bytes(b"content")
        with pytest.raises(WorkspaceError, match="cannot be written"):
            batch.finish()
