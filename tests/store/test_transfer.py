"""Push and pull of datasets: complete, verified and incremental."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from saccade.core.digest import digest_bytes
from saccade.core.errors import ConflictError, FormatError, InvalidValueError, MediaError, NotFoundError, SaccadeError
from saccade.core.reader import Item
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.transfer import pull_dataset, push_dataset
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("image", Kind.IMAGE), Column("note", Kind.TEXT)))
LOCATIONS = ("folder", "archive.zip", "memory://transfer/remote", "file://")


def content(name: str) -> bytes:
    return f"the picture {name}".encode() * 50


def item(workspace: Workspace, name: str, note: str = "", linked: Path | None = None) -> Item:
    data = content(name)
    uri = None
    if linked is None:
        workspace.blobs.put_bytes(data)
    else:
        path = linked / f"{name}.jpg"
        path.write_bytes(data)
        uri = str(path)
    ref = ImageRef(digest_bytes(data), len(data), f"{name}.jpg", 10, 10, "jpeg", uri=uri)
    return Item(name, {"image": ref, "note": note})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workspace]:
    """A dataset "d" of three versions on two branches, with an alias and a tag."""
    with Workspace.create(tmp_path / "here") as workspace:
        datasets = workspace.datasets
        datasets.write(
            "d", SCHEMA, [item(workspace, name) for name in "abc"], mode="create", message="first", author="me"
        )
        datasets.branch("d", "trial", "d@1")
        datasets.write("d", SCHEMA, [item(workspace, "a", "seen"), item(workspace, "e")], mode="merge", branch="trial")
        datasets.delete_items("d", ["c"])
        datasets.alias("d", "gold", 2)
        datasets.alias("d", "paper", 1, fixed=True)
        yield workspace


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "there") as workspace:
        yield workspace


def contents(workspace: Workspace, ref: str) -> dict[str, Any]:
    version = workspace.datasets.open(ref)
    return {item.key: (item.values, version.read_media(item["image"])) for item in version.items()}


def resolve_location(location: str, tmp_path: Path) -> str:
    if location.startswith("memory"):
        return location
    return f"{location if '://' in location else ''}{tmp_path / location.strip(':/')}"


@pytest.mark.slow
@pytest.mark.parametrize("location", LOCATIONS)
def test_a_pulled_dataset_is_complete(here: Workspace, there: Workspace, tmp_path: Path, location: str) -> None:
    where = resolve_location(location, tmp_path)
    pushed = push_dataset(here, "d", where)
    assert (pushed.versions, pushed.left_out) == (("d@1", "d@2", "d@3"), 0)
    assert pushed.files == 4 + len({path for path in (here.location / "datasets").rglob("*") if _is_table_file(path)})
    pulled = pull_dataset(there, where)
    assert (pulled.versions, pulled.files, pulled.bytes) == (pushed.versions, pushed.files, pushed.bytes)
    for number in (1, 2, 3):
        assert contents(there, f"d@{number}") == contents(here, f"d@{number}")
        assert replace(there.datasets.open(f"d@{number}").info) == here.datasets.open(f"d@{number}").info
    for method in ("aliases", "tags", "branches"):
        assert getattr(there.datasets, method)("d") == getattr(here.datasets, method)("d")
    assert doctor(there, deep=True) == []
    assert there.datasets.write("d", SCHEMA, [item(there, "f")], mode="append").number == 4


def _is_table_file(path: Path) -> bool:
    return path.is_file() and path.parent.name in ("data", "_versions", "_deletions") and path.suffix != ".json"


@pytest.mark.slow
@pytest.mark.parametrize("location", ["folder", "memory://transfer/again"])
def test_only_new_files_are_copied(here: Workspace, there: Workspace, tmp_path: Path, location: str) -> None:
    where = resolve_location(location, tmp_path)
    push_dataset(here, "d", where)
    repeated = push_dataset(here, "d", where)
    assert (repeated.versions, repeated.files) == ((), 0)
    pull_dataset(there, where)
    assert pull_dataset(there, where).files == 0
    there.datasets.write("d", SCHEMA, [item(there, "f", "from there")], mode="append")
    pushed = push_dataset(there, "d", where)
    assert pushed.versions == ("d@4",)
    assert pushed.files < 5
    pulled = pull_dataset(here, where)
    assert (pulled.versions, here.datasets.branches("d")["main"]) == (("d@4",), 4)
    assert contents(here, "d") == contents(there, "d")
    assert doctor(here, deep=True) == []


@pytest.mark.slow
def test_diverged_copies_are_not_merged(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    where = str(tmp_path / "remote")
    push_dataset(here, "d", where)
    pull_dataset(there, where)
    there.datasets.write("d", SCHEMA, [item(there, "x")], mode="append")
    here.datasets.write("d", SCHEMA, [item(here, "y")], mode="append")
    push_dataset(here, "d", where)
    with pytest.raises(ConflictError, match=r"d@4 is another version in .* --as"):
        push_dataset(there, "d", where)
    with pytest.raises(ConflictError, match="have diverged"):
        pull_dataset(there, where)
    assert there.datasets.open("d").keys()[-1] == "x"
    assert pull_dataset(there, where, as_name="other").versions[-1] == "other@4"
    assert contents(there, "other") == contents(here, "d")
    push_dataset(there, "d", where, as_name="theirs")
    assert pull_dataset(here, where, "theirs").dataset == "theirs"
    there.datasets.write("e", SCHEMA, [], mode="create")
    with pytest.raises(ConflictError, match="another dataset with the name 'd'"):
        push_dataset(there, "e", where, as_name="d")
    with pytest.raises(NotFoundError, match="several datasets"):
        pull_dataset(there, where)
    with pytest.raises(NotFoundError, match=r"no dataset 'thiers'. Did you mean theirs\?"):
        pull_dataset(there, where, "thiers")


@pytest.mark.slow
def test_a_copy_under_another_name_survives_the_original(here: Workspace, tmp_path: Path) -> None:
    """Both share table files; removing one must not damage the other."""
    where = str(tmp_path / "remote")
    push_dataset(here, "d", where)
    pull_dataset(here, where, as_name="copy")
    expected = contents(here, "d@trial")
    here.datasets.remove("d")
    assert contents(here, "copy@trial") == expected
    collect_garbage(here)
    assert doctor(here, deep=True) == []
    assert pull_dataset(here, where).versions == ("d@1", "d@2", "d@3"), "the same dataset can be pulled again"
    assert contents(here, "d@trial") == expected
    here.datasets.remove("copy")
    here.datasets.remove("d")
    here.datasets.write("d", SCHEMA, [item(here, "z")], mode="create")
    with pytest.raises(ConflictError, match="another dataset with the name"):
        pull_dataset(here, where)


def test_one_version_without_its_ancestors(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    where = str(tmp_path / "one.zip")
    assert push_dataset(here, "d@paper", where, as_name="release").versions == ("release@1",)
    with pytest.raises(ConflictError, match="already exists"):
        push_dataset(here, "d", where)
    pull_dataset(there, where)
    assert there.datasets.tags("release") == {"paper": 1}
    assert there.datasets.open("release").keys() == ["a", "b", "c"]
    assert push_dataset(here, "d@trial", str(tmp_path / "later")).versions == ("d@2",)
    pull_dataset(there, str(tmp_path / "later"))
    assert contents(there, "d") == contents(here, "d@trial")
    assert [info.number for info in there.datasets.log("d", "main")] == [2]


@pytest.mark.slow
def test_linked_files_are_copied(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    here.datasets.write(
        "linked", SCHEMA, [item(here, "p", linked=folder), item(here, "q", linked=folder)], mode="create"
    )
    assert push_dataset(here, "linked", str(tmp_path / "without"), linked=False).left_out == 2
    push_dataset(here, "linked", str(tmp_path / "with"))
    moved = tmp_path / "moved"
    folder.rename(moved)
    pull_dataset(there, str(tmp_path / "with"))
    assert {key: data for key, (_, data) in contents(there, "linked").items()} == {n: content(n) for n in "pq"}
    assert doctor(there, deep=True) == []
    with pytest.raises(MediaError, match=r"p\.jpg' is missing.*--no-linked"):
        push_dataset(here, "linked", str(tmp_path / "new"))
    assert not (tmp_path / "new" / "datasets").exists(), "a failed push is not visible"
    (moved / "q.jpg").write_bytes(content("something else"))
    folder.mkdir()
    shutil.copy(moved / "p.jpg", folder)
    shutil.copy(moved / "q.jpg", folder)
    with pytest.raises(MediaError, match=r"q\.jpg' has changed"):
        push_dataset(here, "linked", str(tmp_path / "new"))


def test_the_origin_of_a_version_is_kept(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    run = here.runs.start("import", "d", {"source": "x"}, [])
    here.datasets.write("derived", SCHEMA, [], mode="create", run_id=run.id, inputs=["d@2"])
    push_dataset(here, "derived", str(tmp_path / "remote"))
    pull_dataset(there, str(tmp_path / "remote"))
    origin = there.lineage("derived")["origin"]
    assert (origin["workspace"], origin["inputs"], origin["run"]["config"]) == (here.id, ["d@2"], {"source": "x"})
    push_dataset(there, "derived", str(tmp_path / "onward"))
    pull_dataset(here, str(tmp_path / "onward"), as_name="back")
    assert here.lineage("back")["origin"] == origin


def _list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flip", "cut", "grow", "remove"])
def test_a_damaged_copy_is_rejected(here: Workspace, tmp_path: Path, damage: str) -> None:
    """Damages each file of the copy in turn."""
    push_dataset(here, "d", str(tmp_path / "remote"))
    for number, path in enumerate(_list_files(tmp_path / "remote")):
        data = path.read_bytes()
        if damage == "remove":
            path.unlink()
        else:
            damaged = {"flip": data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], "cut": data[:-1], "grow": data + b"x"}
            path.write_bytes(damaged[damage])
        with Workspace.create(tmp_path / f"w{number}") as workspace:
            if path.suffix == ".json" and damage != "remove" and _is_same_json(path, data):
                path.write_bytes(data)
                continue
            with pytest.raises(SaccadeError):
                pull_dataset(workspace, str(tmp_path / "remote"))
            assert workspace.datasets.list() == []
            doctor(workspace, repair=True)
            assert doctor(workspace, deep=True) == []
        path.write_bytes(data)


def _is_same_json(path: Path, before: bytes) -> bool:
    """Whether only white space differs."""
    try:
        return bool(json.loads(path.read_bytes()) == json.loads(before))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format"),
        ({"name": "../d"}, "name"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "size": 1}}}, "files"),
        ({"files": {f"{'0' * 32}/data/../../x": {"sha256": "0" * 64, "size": 1}}}, "files"),
        ({"branches": {"main": 99}}, "inconsistent"),
        ({"branches": {}}, "inconsistent"),
        ({"more": 1}, "more"),
        ({"versions": [{"number": 1}]}, "versions"),
    ],
)
def test_an_invalid_manifest_is_rejected(
    here: Workspace, there: Workspace, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    push_dataset(here, "d", str(tmp_path / "remote"))
    path = tmp_path / "remote" / "datasets" / "d" / "00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    with pytest.raises(FormatError, match=message):
        pull_dataset(there, str(tmp_path / "remote"))
    assert there.datasets.list() == []


def test_invalid_locations(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder"):
        pull_dataset(there, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="no dataset"):
        pull_dataset(there, str(tmp_path / "empty"))
    (tmp_path / "no.zip").write_bytes(b"PK")
    with pytest.raises(FormatError, match="not a complete ZIP"):
        pull_dataset(there, str(tmp_path / "no.zip"))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("hello", "x")
    with pytest.raises(NotFoundError, match="no dataset"):
        pull_dataset(there, str(tmp_path / "other.zip"))
    for where in ("nosuch://place", "s4://bucket"):
        with pytest.raises(NotFoundError, match="cannot be reached"):
            push_dataset(here, "d", where)
    with pytest.raises(InvalidValueError):
        push_dataset(here, "d", str(tmp_path / "x"), as_name="a/b")
    with pytest.raises(NotFoundError):
        push_dataset(here, "nothing", str(tmp_path / "x"))
