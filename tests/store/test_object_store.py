"""Objects are whole or not there."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from saccade.core.errors import InvalidValueError, NotFoundError, WorkspaceError
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.io.atomic import Scratch


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    url = str(tmp_path / "objects") if request.param == "local" else f"memory://{tmp_path}"
    return ObjectStore(url, Scratch(tmp_path / "tmp"))


def test_bytes_and_files_come_back_by_their_digest(store: ObjectStore, tmp_path: Path) -> None:
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
    assert store.is_sound(digest)


def test_what_is_missing_is_named(store: ObjectStore) -> None:
    missing = "0" * 64
    assert not store.exists(missing)
    assert store.open_path(missing) is None
    for look in (store.read, store.size):
        with pytest.raises(NotFoundError, match=missing):
            look(missing)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_only_a_digest_is_a_name(store: ObjectStore, digest: str) -> None:
    with pytest.raises(InvalidValueError, match="64 hexadecimal digits"):
        store.read(digest)


@pytest.fixture
def local(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "objects"), Scratch(tmp_path / "tmp"))


def test_an_object_that_is_there_is_not_written_again(local: ObjectStore) -> None:
    path = local.open_path(local.put_bytes(b"abc"))
    assert path is not None
    before = path.stat()
    local.put_bytes(b"abc")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_truncated_object_is_written_again(local: ObjectStore) -> None:
    digest = local.put_bytes(b"abcdef")
    path = local.open_path(digest)
    assert path is not None
    path.write_bytes(b"abc")
    assert not local.is_sound(digest)
    assert local.put_bytes(b"abcdef") == digest
    assert local.read(digest) == b"abcdef"


def test_nothing_temporary_stays_and_a_disk_that_refuses_is_a_workspace_error(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "objects"), Scratch(tmp_path / "tmp"))
    store.put_bytes(b"abc")
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []
    (tmp_path / "blocked").write_text("a file in place of the folder")
    blocked = ObjectStore(str(tmp_path / "blocked"), Scratch(tmp_path / "tmp"))
    with pytest.raises(WorkspaceError, match="cannot be written"):
        blocked.put_bytes(b"abc")
    assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()] == []


def test_a_batch_becomes_visible_as_a_whole(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "objects"), Scratch(tmp_path / "tmp"))
    contents = [bytes([number % 40]) * 1000 for number in range(200)]  # each content five times
    with store.batch() as batch, ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(batch.put_bytes, contents))
        assert not any(store.exists(digest) for digest in digests)
        batch.finish()
        assert [store.read(digest) for digest in digests] == contents
        assert batch.put_bytes(contents[0]) == digests[0], "what is kept is not written again"
        batch.finish()
    assert len(list((tmp_path / "objects").glob("*/*"))) == 40
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]


def test_a_batch_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "objects"), Scratch(tmp_path / "tmp"))
    with store.batch() as batch:
        batch.put_bytes(b"content")
        assert [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_a_batch_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path / "objects"), Scratch(tmp_path / "tmp"))
    (tmp_path / "objects").write_text("a file in the way")
    with store.batch() as batch:
        batch.put_bytes(b"content")
        with pytest.raises(WorkspaceError, match="cannot be written"):
            batch.finish()
