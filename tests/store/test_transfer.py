"""Datasets copied between workspaces: whole, checked, and only what is new."""

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
PLACES = ("folder", "archive.zip", "memory://transfer/place", "file://")


def content(name: str) -> bytes:
    return f"the picture {name}".encode() * 50


def item(workspace: Workspace, name: str, note: str = "", linked: Path | None = None) -> Item:
    data = content(name)
    uri = None
    if linked is None:
        workspace.objects.put_bytes(data)
    else:
        path = linked / f"{name}.jpg"
        path.write_bytes(data)
        uri = str(path)
    ref = ImageRef(digest_bytes(data), len(data), f"{name}.jpg", 10, 10, "jpeg", uri=uri)
    return Item(name, {"image": ref, "note": note})


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workspace]:
    """A dataset "d" of three versions on two branches, with an alias and a tag."""
    with Workspace.create(tmp_path / "here") as made:
        datasets = made.datasets
        datasets.write("d", SCHEMA, [item(made, name) for name in "abc"], mode="create", message="first", author="me")
        datasets.branch("d", "trial", "d@1")
        datasets.write("d", SCHEMA, [item(made, "a", "seen"), item(made, "e")], mode="merge", branch="trial")
        datasets.delete_items("d", ["c"])
        datasets.alias("d", "gold", 2)
        datasets.alias("d", "paper", 1, fixed=True)
        yield made


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "there") as made:
        yield made


def contents(workspace: Workspace, ref: str) -> dict[str, Any]:
    version = workspace.datasets.open(ref)
    return {made.key: (made.values, version.read_media(made["image"])) for made in version.items()}


def where_of(place: str, tmp_path: Path) -> str:
    return place if place.startswith("memory") else f"{place if '://' in place else ''}{tmp_path / place.strip(':/')}"


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_dataset_arrives_whole(here: Workspace, there: Workspace, tmp_path: Path, place: str) -> None:
    where = where_of(place, tmp_path)
    sent = push_dataset(here, "d", where)
    assert (sent.versions, sent.left_out) == (("d@1", "d@2", "d@3"), 0)
    assert sent.files == 4 + len({p for p in (here.location / "datasets").rglob("*") if _is_table_file(p)})
    got = pull_dataset(there, where)
    assert (got.versions, got.files, got.bytes) == (sent.versions, sent.files, sent.bytes)
    for number in (1, 2, 3):
        assert contents(there, f"d@{number}") == contents(here, f"d@{number}")
        assert replace(there.datasets.open(f"d@{number}").info) == here.datasets.open(f"d@{number}").info
    for question in ("aliases", "tags", "branches"):
        assert getattr(there.datasets, question)("d") == getattr(here.datasets, question)("d")
    assert doctor(there, deep=True) == []
    assert there.datasets.write("d", SCHEMA, [item(there, "f")], mode="append").number == 4


def _is_table_file(path: Path) -> bool:
    return path.is_file() and path.parent.name in ("data", "_versions", "_deletions") and path.suffix != ".json"


@pytest.mark.slow
@pytest.mark.parametrize("place", ["folder", "memory://transfer/again"])
def test_only_what_is_new_is_copied_again(here: Workspace, there: Workspace, tmp_path: Path, place: str) -> None:
    where = where_of(place, tmp_path)
    push_dataset(here, "d", where)
    again = push_dataset(here, "d", where)
    assert (again.versions, again.files) == ((), 0)
    pull_dataset(there, where)
    assert pull_dataset(there, where).files == 0
    there.datasets.write("d", SCHEMA, [item(there, "f", "from there")], mode="append")
    sent = push_dataset(there, "d", where)
    assert sent.versions == ("d@4",)
    assert sent.files < 5
    got = pull_dataset(here, where)
    assert (got.versions, here.datasets.branches("d")["main"]) == (("d@4",), 4)
    assert contents(here, "d") == contents(there, "d")
    assert doctor(here, deep=True) == []


@pytest.mark.slow
def test_copies_that_grew_apart_are_not_mixed(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    where = str(tmp_path / "place")
    push_dataset(here, "d", where)
    pull_dataset(there, where)
    there.datasets.write("d", SCHEMA, [item(there, "x")], mode="append")
    here.datasets.write("d", SCHEMA, [item(here, "y")], mode="append")
    push_dataset(here, "d", where)
    with pytest.raises(ConflictError, match=r"d@4 is one version here and another .* --as"):
        push_dataset(there, "d", where)
    with pytest.raises(ConflictError, match="grew apart"):
        pull_dataset(there, where)
    assert there.datasets.open("d").keys()[-1] == "x"
    assert pull_dataset(there, where, as_name="other").versions[-1] == "other@4"
    assert contents(there, "other") == contents(here, "d")
    push_dataset(there, "d", where, as_name="theirs")
    assert pull_dataset(here, where, "theirs").dataset == "theirs"
    there.datasets.write("e", SCHEMA, [], mode="create")
    with pytest.raises(ConflictError, match="another dataset of the name 'd'"):
        push_dataset(there, "e", where, as_name="d")
    with pytest.raises(NotFoundError, match="several datasets"):
        pull_dataset(there, where)
    with pytest.raises(NotFoundError, match=r"no dataset 'thiers'. Did you mean theirs\?"):
        pull_dataset(there, where, "thiers")


@pytest.mark.slow
def test_a_copy_under_another_name_outlives_the_first(here: Workspace, tmp_path: Path) -> None:
    """Both share the pieces of a table; removing one must leave the other whole."""
    where = str(tmp_path / "place")
    push_dataset(here, "d", where)
    pull_dataset(here, where, as_name="copy")
    expected = contents(here, "d@trial")
    here.datasets.remove("d")
    assert contents(here, "copy@trial") == expected
    collect_garbage(here)
    assert doctor(here, deep=True) == []
    assert pull_dataset(here, where).versions == ("d@1", "d@2", "d@3"), "the same dataset may come back"
    assert contents(here, "d@trial") == expected
    here.datasets.remove("copy")
    here.datasets.remove("d")
    here.datasets.write("d", SCHEMA, [item(here, "z")], mode="create")
    with pytest.raises(ConflictError, match="another dataset of the name"):
        pull_dataset(here, where)


def test_one_version_without_its_past(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    where = str(tmp_path / "one.zip")
    assert push_dataset(here, "d@paper", where, as_name="release").versions == ("release@1",)
    with pytest.raises(ConflictError, match="is there already"):
        push_dataset(here, "d", where)
    pull_dataset(there, where)
    assert there.datasets.tags("release") == {"paper": 1}
    assert there.datasets.open("release").keys() == ["a", "b", "c"]
    assert push_dataset(here, "d@trial", str(tmp_path / "later")).versions == ("d@2",)
    pull_dataset(there, str(tmp_path / "later"))
    assert contents(there, "d") == contents(here, "d@trial")
    assert [info.number for info in there.datasets.log("d", "main")] == [2]


@pytest.mark.slow
def test_linked_files_travel_too(here: Workspace, there: Workspace, tmp_path: Path) -> None:
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
    with pytest.raises(MediaError, match=r"p\.jpg' is gone.*--no-linked"):
        push_dataset(here, "linked", str(tmp_path / "new"))
    assert not (tmp_path / "new" / "datasets").exists(), "a push that failed is not there"
    (moved / "q.jpg").write_bytes(content("something else"))
    folder.mkdir()
    shutil.copy(moved / "p.jpg", folder)
    shutil.copy(moved / "q.jpg", folder)
    with pytest.raises(MediaError, match=r"q\.jpg' has changed"):
        push_dataset(here, "linked", str(tmp_path / "new"))


def test_lineage_tells_where_a_version_was_made(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    run = here.runs.start("import", "d", {"source": "x"}, [])
    here.datasets.write("made", SCHEMA, [], mode="create", run_id=run.id, inputs=["d@2"])
    push_dataset(here, "made", str(tmp_path / "place"))
    pull_dataset(there, str(tmp_path / "place"))
    origin = there.lineage("made")["origin"]
    assert (origin["workspace"], origin["inputs"], origin["run"]["config"]) == (here.id, ["d@2"], {"source": "x"})
    push_dataset(there, "made", str(tmp_path / "onward"))
    pull_dataset(here, str(tmp_path / "onward"), as_name="back")
    assert here.lineage("back")["origin"] == origin


def _files_of(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flip", "cut", "grow", "remove"])
def test_damage_is_found_and_nothing_is_kept(here: Workspace, tmp_path: Path, harm: str) -> None:
    """Each file of a copy in turn."""
    push_dataset(here, "d", str(tmp_path / "place"))
    for number, path in enumerate(_files_of(tmp_path / "place")):
        data = path.read_bytes()
        if harm == "remove":
            path.unlink()
        else:
            harmed = {"flip": data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], "cut": data[:-1], "grow": data + b"x"}
            path.write_bytes(harmed[harm])
        with Workspace.create(tmp_path / f"w{number}") as workspace:
            manifest = path.suffix == ".json"
            if manifest and harm in ("cut", "grow", "flip") and _still_a_manifest(path, data):
                path.write_bytes(data)
                continue
            with pytest.raises(SaccadeError):
                pull_dataset(workspace, str(tmp_path / "place"))
            assert workspace.datasets.list() == []
            doctor(workspace, repair=True)
            assert doctor(workspace, deep=True) == []
        path.write_bytes(data)


def _still_a_manifest(path: Path, before: bytes) -> bool:
    """Whether only white space differs."""
    try:
        return bool(json.loads(path.read_bytes()) == json.loads(before))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format"),
        ({"name": "../d"}, "name"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "size": 1}}}, "files"),
        ({"files": {f"{'0' * 32}/data/../../x": {"sha256": "0" * 64, "size": 1}}}, "files"),
        ({"branches": {"main": 99}}, "fit together"),
        ({"branches": {}}, "fit together"),
        ({"more": 1}, "more"),
        ({"versions": [{"number": 1}]}, "versions"),
    ],
)
def test_a_hostile_manifest_is_refused(
    here: Workspace, there: Workspace, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    push_dataset(here, "d", str(tmp_path / "place"))
    path = tmp_path / "place" / "datasets" / "d" / "00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    with pytest.raises(FormatError, match=said):
        pull_dataset(there, str(tmp_path / "place"))
    assert there.datasets.list() == []


def test_places_that_are_none(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder"):
        pull_dataset(there, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="no dataset"):
        pull_dataset(there, str(tmp_path / "empty"))
    (tmp_path / "no.zip").write_bytes(b"PK")
    with pytest.raises(FormatError, match="no whole ZIP"):
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
