"""A server from Python: what is read there is what is here, bit for bit."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.server.losing import LosingWay
from tests.server.test_serving import start

import saccade
from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.client import Site, connect
from saccade.core.errors import (
    ConflictError,
    InvalidValueError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
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
def here(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[tuple[Workspace, str, dict[str, str]]]:
    """A workspace, the address of a server of it, and tokens by project and role."""
    folder = tmp_path_factory.mktemp("client")
    with Workspace.create(folder) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.4}))
        owner = workspace.people.add("a@example.org", Role.OWNER, "A", "correct horse battery")
        tokens = {str(role): workspace.people.new_token(owner.id, "test", role)[1] for role in Role}
        workspace.projects.add("other", owner.id)
        tokens["other"] = workspace.in_project("other").people.new_token(owner.id, "test", Role.OWNER)[1]
        process, said = start(folder)
        yield workspace, said["address"], tokens
        process.terminate()
        process.communicate(timeout=300)


@pytest.fixture
def site(here: tuple[Workspace, str, dict[str, str]]) -> Iterator[Site]:
    with connect(here[1], here[2]["manager"]) as made:
        yield made


def test_a_version_reads_as_it_does_here(here: tuple[Workspace, str, dict[str, str]], site: Site) -> None:
    local, remote = here[0].datasets.open("harbour"), site.datasets.open("harbour")
    assert (remote.ref, len(remote), remote.schema) == (local.ref, len(local), local.schema)
    assert remote.keys() == local.keys()
    without_places = [Item(one.key, {**one.values, "image": replace(one["image"], uri=None)}) for one in local.items()]
    assert list(remote.items()) == without_places
    assert [one.values for one in remote.items(["objects"])] == [one.values for one in local.items(["objects"])]
    some = [local.keys()[5], local.keys()[2]]
    assert [one.key for one in remote.items(keys=some)] == [local.keys()[2], local.keys()[5]]
    assert [one.key for one in remote.items([], where="split == 'val'")] == local.where("split == 'val'")
    assert remote.where(None, "len(objects)", descending=True) == local.where(None, "len(objects)", descending=True)
    assert remote.histogram("area", over="objects") == local.histogram("area", over="objects")
    first = next(remote.items())
    assert remote.read_media(first["image"]) == local.read_media(first["image"])
    assert saccade.read_image(remote, first["image"]).shape == saccade.read_image(local, first["image"]).shape
    assert remote.get(first.key) == first
    with pytest.raises(NotFoundError):
        remote.get("nothing")
    with pytest.raises(NotFoundError):
        list(remote.items(keys=["nothing"]))
    with pytest.raises(InvalidValueError, match="splitt"):
        remote.where("splitt == 1")
    with pytest.raises(NotFoundError, match="nobody"):
        site.datasets.open("nobody")


def test_odd_values_arrive_exactly(here: tuple[Workspace, str, dict[str, str]], site: Site) -> None:
    schema = Schema(
        (
            Column("objects", Kind.OBJECTS, (ClassInfo("a", color="#102030"),)),
            Column("number", Kind.NUMBER),
            Column("more", Kind.TABLE),
            Column("vector", Kind.EMBEDDING),
            Column("tags", Kind.LABELS),
        )
    )
    things = (
        Object("1", "a", Box(0.1, 0.2, 1 / 3, 7e9), 0.5, "t", {"x": 1, "y": "ü"}),
        Object("2", "b", Polygon.simple([(0, 0), (1.5, 0), (0, 2.25)])),
        Object("3", "a", Mask(4, 4, (3, 5, 8))),
    )
    values = {"objects": things, "number": 1e308, "more": {"k": [1, None, "z"]}, "vector": (0.5, -1.0), "tags": ()}
    items = [Item("kéy/ 1?&", values), Item("none", dict.fromkeys(values))]
    here[0].datasets.write("odd", schema, items, mode="create")
    remote = site.datasets.open("odd@1")
    assert remote.schema == here[0].datasets.open("odd").schema
    assert list(remote.items()) == list(here[0].datasets.open("odd").items())
    assert remote.get("kéy/ 1?&")["objects"] == things


def test_work_from_a_program(
    here: tuple[Workspace, str, dict[str, str]], site: Site, pictures: Path, tmp_path: Path
) -> None:
    version = site.import_dataset(pictures, "sent", split={"shares": {"train": 0.5, "val": 0.5}})
    assert (version.ref, len(version)) == ("sent@1", 10)
    tagged = site.datasets.change("sent", "tag", "good", where="split == 'val'")
    assert tagged.where("'good' in tags") == version.where("split == 'val'")
    site.datasets.tag("sent", "checked", 2)
    assert site.datasets.open("sent@checked").number == 2
    assert site.datasets.diff("sent@1", "sent@2").counts["changed"] == len(tagged.where("'good' in tags"))
    assert site.datasets.restore("sent", 1).number == 3
    assert [one.number for one in site.datasets.log("sent")] == [3, 2, 1]
    assert {one.name for one in site.datasets.list()} >= {"harbour", "sent"}
    archive = site.export_dataset("sent@1", "coco", tmp_path)
    with zipfile.ZipFile(archive) as packed:
        assert len([name for name in packed.namelist() if name.endswith(".jpg")]) == 10
    assert site.jobs.list()[0].state == "finished"
    assert {one.kind for one in site.runs.list()} == {"import"}
    assert site.models.list() == []
    with pytest.raises(SaccadeError, match="sent"):
        site.import_dataset(pictures, "sent")
    with pytest.raises(NotFoundError):
        site.upload(tmp_path / "nothing")
    site.datasets.remove("sent")
    with pytest.raises(NotFoundError):
        site.datasets.open("sent")
    job = site.jobs.leave("look", {"source": {"url": "https://example.org/x.zip"}}, "one")
    assert site.jobs.leave("look", {"source": {"url": "https://example.org/x.zip"}}, "one").id == job.id
    with pytest.raises(ConflictError):
        site.jobs.leave("look", {"source": {"url": "https://example.org/y.zip"}}, "one")


def test_what_got_lost_on_its_way_is_done_once(here: tuple[Workspace, str, dict[str, str]]) -> None:
    workspace, address, tokens = here
    way = LosingWay(int(address.rpartition(":")[2]))
    with connect(way.address, tokens["manager"]) as site:
        before = site.datasets.open("harbour").number
        keys = site.datasets.open("harbour").keys()[:1]
        way.losing = 2
        made = site.datasets.change("harbour", "tag", "lost and found", keys=keys)
        assert (made.number, way.losing) == (before + 1, 0)
        assert [one.number for one in workspace.datasets.log("harbour")][:2] == [before + 1, before]
        way.losing = 1
        assert site.datasets.open("harbour").number == before + 1
        way.losing = 9
        with pytest.raises(WorkspaceError, match="does not answer"):
            site.datasets.restore("harbour", before)
        way.losing = 0
        assert site.datasets.open("harbour").number == before + 2, "it was done, and whoever asked was told of doubt"
    way.close()


def test_who_may_and_who_may_not(here: tuple[Workspace, str, dict[str, str]]) -> None:
    _, address, tokens = here
    with pytest.raises(NotSignedInError):
        connect(address, "sct_nothing")
    with pytest.raises(NotSignedInError):
        connect(address, tokens["viewer"], "other")
    with pytest.raises(WorkspaceError, match="does not answer"):
        connect("http://127.0.0.1:1", "sct_x")
    with pytest.raises(InvalidValueError):
        connect("labels.example.org", "sct_x")
    with saccade.connect(address, tokens["viewer"]) as site, pytest.raises(NotAllowedError):
        site.datasets.remove("harbour")
    with saccade.connect(f"{address}/api/v1/", tokens["other"], "other") as other:
        assert other.datasets.list() == []
