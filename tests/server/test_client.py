"""The Python client: remote data equals local data, retries, jobs and permissions."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.server.test_run import start
from tests.support.lossy_proxy import LossyProxy

import saccade
from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.client import RemoteWorkspace, connect
from saccade.core.errors import (
    AuthenticationError,
    ConflictError,
    InvalidValueError,
    NotFoundError,
    PermissionDeniedError,
    SaccadeError,
    WorkspaceError,
)
from saccade.core.objects import Box, Mask, Object, Polygon
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[tuple[Workspace, str, dict[str, str]]]:
    """A workspace, the address of its server, and API tokens by role and project."""
    folder = tmp_path_factory.mktemp("client")
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4}))
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "correct horse battery")
        tokens = {str(role): workspace.users.create_token(owner.id, "test", role)[1] for role in Role}
        workspace.projects.add("other", owner.id)
        tokens["other"] = workspace.scoped_to_project("other").users.create_token(owner.id, "test", Role.OWNER)[1]
        process, info = start(folder)
        yield workspace, info["address"], tokens
        process.terminate()
        process.communicate(timeout=300)


@pytest.fixture
def remote(served: tuple[Workspace, str, dict[str, str]]) -> Iterator[RemoteWorkspace]:
    with connect(served[1], served[2]["manager"]) as workspace:
        yield workspace


def test_remote_versions_equal_local_ones(
    served: tuple[Workspace, str, dict[str, str]], remote: RemoteWorkspace
) -> None:
    local, remote_version = served[0].datasets.open("harbour"), remote.datasets.open("harbour")
    assert (remote_version.ref, len(remote_version), remote_version.schema) == (local.ref, len(local), local.schema)
    assert remote_version.keys() == local.keys()
    without_uris = [
        Item(entry.key, {**entry.values, "image": replace(entry["image"], uri=None)}) for entry in local.items()
    ]
    assert list(remote_version.items()) == without_uris
    assert [entry.values for entry in remote_version.items(["objects"])] == [
        entry.values for entry in local.items(["objects"])
    ]
    some = [local.keys()[5], local.keys()[2]]
    assert [entry.key for entry in remote_version.items(keys=some)] == [local.keys()[2], local.keys()[5]]
    assert [entry.key for entry in remote_version.items([], where="split == 'val'")] == local.where("split == 'val'")
    assert remote_version.where(None, "len(objects)", descending=True) == local.where(
        None, "len(objects)", descending=True
    )
    assert remote_version.histogram("area", objects_column="objects") == local.histogram(
        "area", objects_column="objects"
    )
    first = next(remote_version.items())
    assert remote_version.read_media(first["image"]) == local.read_media(first["image"])
    assert saccade.read_image(remote_version, first["image"]).shape == saccade.read_image(local, first["image"]).shape
    assert remote_version.get(first.key) == first
    with pytest.raises(NotFoundError):
        remote_version.get("nothing")
    with pytest.raises(NotFoundError):
        list(remote_version.items(keys=["nothing"]))
    with pytest.raises(InvalidValueError, match="splitt"):
        remote_version.where("splitt == 1")
    with pytest.raises(NotFoundError, match="missing"):
        remote.datasets.open("missing")


def test_unusual_values_are_exact(served: tuple[Workspace, str, dict[str, str]], remote: RemoteWorkspace) -> None:
    schema = Schema(
        (
            Column("objects", Kind.OBJECTS, (ClassInfo("a", color="#102030"),)),
            Column("number", Kind.NUMBER),
            Column("more", Kind.TABLE),
            Column("vector", Kind.EMBEDDING),
            Column("tags", Kind.LABELS),
        )
    )
    objects = (
        Object("1", "a", Box(0.1, 0.2, 1 / 3, 7e9), 0.5, "t", {"x": 1, "y": "ü"}),
        Object("2", "b", Polygon.simple([(0, 0), (1.5, 0), (0, 2.25)])),
        Object("3", "a", Mask(4, 4, (3, 5, 8))),
    )
    values = {"objects": objects, "number": 1e308, "more": {"k": [1, None, "z"]}, "vector": (0.5, -1.0), "tags": ()}
    items = [Item("kéy/ 1?&", values), Item("none", dict.fromkeys(values))]
    served[0].datasets.write("odd", schema, items, mode="create")
    remote_version = remote.datasets.open("odd@1")
    assert remote_version.schema == served[0].datasets.open("odd").schema
    assert list(remote_version.items()) == list(served[0].datasets.open("odd").items())
    assert remote_version.get("kéy/ 1?&")["objects"] == objects


def test_import_edit_and_export(
    served: tuple[Workspace, str, dict[str, str]], remote: RemoteWorkspace, pictures: Path, tmp_path: Path
) -> None:
    version = remote.import_dataset(pictures, "sent", split={"shares": {"train": 0.5, "val": 0.5}})
    assert (version.ref, len(version)) == ("sent@1", 10)
    tagged = remote.datasets.bulk_edit("sent", "tag", "good", where="split == 'val'")
    assert tagged.where("'good' in tags") == version.where("split == 'val'")
    remote.datasets.tag("sent", "checked", 2)
    assert remote.datasets.open("sent@checked").number == 2
    assert remote.datasets.diff("sent@1", "sent@2").counts["changed"] == len(tagged.where("'good' in tags"))
    assert remote.datasets.restore("sent", 1).number == 3
    assert [entry.number for entry in remote.datasets.log("sent")] == [3, 2, 1]
    assert {entry.name for entry in remote.datasets.list()} >= {"harbour", "sent"}
    archive = remote.export_dataset("sent@1", "coco", tmp_path)
    with zipfile.ZipFile(archive) as zip_file:
        assert len([name for name in zip_file.namelist() if name.endswith(".jpg")]) == 10
    assert remote.jobs.list()[0].state == "finished"
    assert {entry.kind for entry in remote.runs.list()} == {"import"}
    assert remote.models.list() == []
    with pytest.raises(SaccadeError, match="sent"):
        remote.import_dataset(pictures, "sent")
    with pytest.raises(NotFoundError):
        remote.upload(tmp_path / "nothing")
    remote.datasets.remove("sent")
    with pytest.raises(NotFoundError):
        remote.datasets.open("sent")
    job = remote.jobs.submit("inspect-source", {"source": {"url": "https://example.org/x.zip"}}, "one")
    assert remote.jobs.submit("inspect-source", {"source": {"url": "https://example.org/x.zip"}}, "one").id == job.id
    with pytest.raises(ConflictError):
        remote.jobs.submit("inspect-source", {"source": {"url": "https://example.org/y.zip"}}, "one")


def test_lost_responses_do_not_repeat_writes(served: tuple[Workspace, str, dict[str, str]]) -> None:
    workspace, address, tokens = served
    proxy = LossyProxy(int(address.rpartition(":")[2]))
    with connect(proxy.address, tokens["manager"]) as remote:
        before = remote.datasets.open("harbour").number
        keys = remote.datasets.open("harbour").keys()[:1]
        proxy.drop_next = 2
        tagged = remote.datasets.bulk_edit("harbour", "tag", "lost and found", keys=keys)
        assert (tagged.number, proxy.drop_next) == (before + 1, 0)
        assert [entry.number for entry in workspace.datasets.log("harbour")][:2] == [before + 1, before]
        proxy.drop_next = 1
        assert remote.datasets.open("harbour").number == before + 1
        proxy.drop_next = 9
        with pytest.raises(WorkspaceError, match="does not respond"):
            remote.datasets.restore("harbour", before)
        proxy.drop_next = 0
        assert remote.datasets.open("harbour").number == before + 2, (
            "the write was done although the client got an error"
        )
    proxy.close()


def test_permissions(served: tuple[Workspace, str, dict[str, str]]) -> None:
    _, address, tokens = served
    with pytest.raises(AuthenticationError):
        connect(address, "sct_nothing")
    with pytest.raises(AuthenticationError):
        connect(address, tokens["viewer"], "other")
    with pytest.raises(WorkspaceError, match="does not respond"):
        connect("http://127.0.0.1:1", "sct_x")
    with pytest.raises(InvalidValueError):
        connect("labels.example.org", "sct_x")
    with saccade.connect(address, tokens["viewer"]) as remote, pytest.raises(PermissionDeniedError):
        remote.datasets.remove("harbour")
    with saccade.connect(f"{address}/api/v1/", tokens["other"], "other") as other:
        assert other.datasets.list() == []
