"""Push to and pull from S3; moto serves the bucket in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.store.test_transfer import SCHEMA, contents, item

from saccade.core.errors import NotFoundError, WorkspaceError
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.transfer import pull_dataset, push_dataset
from saccade.store.maintenance.transfer.remote import FsspecRemote
from saccade.store.workspace import Workspace

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")


@pytest.mark.slow
def test_push_to_a_bucket_and_pull(bucket: str, tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "here") as here, Workspace.create(tmp_path / "there") as there:
        here.datasets.write("d", SCHEMA, [item(here, name) for name in "abc"], mode="create")
        with pytest.raises(NotFoundError, match="has no dataset"):
            pull_dataset(there, f"{bucket}/data")
        assert push_dataset(here, "d", f"{bucket}/data").versions == ("d@1",)
        assert push_dataset(here, "d", f"{bucket}/data").files == 0
        pull_dataset(there, f"{bucket}/data")
        there.datasets.write("d", SCHEMA, [item(there, "e")], mode="append")
        assert push_dataset(there, "d", f"{bucket}/data").versions == ("d@2",)
        pull_dataset(here, f"{bucket}/data")
        assert contents(here, "d") == contents(there, "d")
        assert doctor(here, deep=True) == []


@pytest.mark.slow
def test_an_unreachable_server_raises(monkeypatch: pytest.MonkeyPatch, bucket: str, tmp_path: Path) -> None:
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with Workspace.create(tmp_path / "here") as here, pytest.raises(WorkspaceError, match="cannot be reached"):
        pull_dataset(here, f"{bucket}/data")


@pytest.mark.slow
def test_create_does_not_overwrite(bucket: str) -> None:
    remote = FsspecRemote(f"{bucket}/data")
    assert remote.create("datasets/d/1.json", b"mine")
    assert not remote.create("datasets/d/1.json", b"theirs")
    with remote.open("datasets/d/1.json") as file:
        assert file.read() == b"mine"
