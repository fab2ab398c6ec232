"""Imports and exports: atomic, with a complete report."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from saccade.app.ingest.exporting import export_dataset
from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.core.errors import FormatError, InvalidValueError, NotFoundError
from saccade.core.reader import Item
from saccade.core.report import FindingType
from saccade.core.schema import Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def flawed(pictures: Path, tmp_path: Path) -> Path:
    """A COCO folder with a box that exceeds its image."""
    folder = tmp_path / "flawed"
    (folder / "images").mkdir(parents=True)
    truth = json.loads((pictures / "annotations.json").read_text())
    for path in (pictures / "images").iterdir():
        (folder / "images" / path.name).write_bytes(path.read_bytes())
    truth["annotations"][0]["bbox"] = [300, 300, 90, 50]
    (folder / "annotations.json").write_text(json.dumps(truth))
    return folder


def test_run_has_the_report(workspace: Workspace, flawed: Path) -> None:
    result = import_dataset(workspace, flawed, "d")
    (run,) = workspace.runs.list(kind="import")
    kept = json.loads((run.folder / "report.json").read_text("utf-8"))
    assert kept == result.report.to_json()
    assert any(finding.action is not FindingType.WARNING for finding in result.report)
    assert (run.state, run.outputs) == ("finished", ("d@1",))


def test_folder_by_file_uri(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    shutil.copytree(pictures, folder)
    version = import_dataset(workspace, folder.as_uri(), "d").version
    assert len(version) == 10
    assert version.info.message == "import with a space (coco)", "the message does not reveal the folder"


def test_strict_import_with_losses_fails(workspace: Workspace, flawed: Path) -> None:
    with pytest.raises(FormatError, match="would lose or change"):
        import_dataset(workspace, flawed, "d", strict=True)
    assert workspace.datasets.list() == []
    assert [run.state for run in workspace.runs.list()] == ["failed"]
    assert doctor(workspace) == []


def test_groups_are_not_split(workspace: Workspace, pictures: Path) -> None:
    request = SplitRequest({"train": 0.5, "val": 0.5}, r"scene00([0-4]|[5-9])")
    result = import_dataset(workspace, pictures, "d", split=request)
    assert result.splits == {"train": 5, "val": 5}
    with pytest.raises(InvalidValueError, match="does not match"):
        import_dataset(workspace, pictures, "e", split=SplitRequest({"train": 1.0}, "nothing"))


def test_interrupt_from_progress(workspace: Workspace, pictures: Path) -> None:
    class Impatient:
        def start(self, what: str, total: int | None = None) -> None: ...

        def advance(self, count: int = 1, message: str = "") -> None:
            raise KeyboardInterrupt

        def finish(self) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        import_dataset(workspace, pictures, "d", progress=Impatient())
    assert workspace.datasets.list() == []
    assert import_dataset(workspace, pictures, "d").version.ref == "d@1"


@pytest.mark.parametrize("format", ["coco", "yolo", "voc"])
def test_export_and_import_round_trip(workspace: Workspace, pictures: Path, tmp_path: Path, format: str) -> None:
    first = import_dataset(workspace, pictures, "first").version
    export_dataset(workspace, "first", tmp_path / "out", format)
    result = import_dataset(workspace, tmp_path / "out", "second")
    assert result.format == format
    second = {item.key: item["objects"] for item in result.version.items(["objects"])}
    for item in first.items(["objects"]):
        assert [obj.class_name for obj in second[item.key]] == [obj.class_name for obj in item["objects"]]
        for obj, other in zip(item["objects"], second[item.key], strict=True):
            assert obj.geometry.bounds_xyxy() == pytest.approx(other.geometry.bounds_xyxy(), abs=0.01)


def test_failed_export_leaves_nothing(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    import_dataset(workspace, pictures, "d")
    with pytest.raises(FormatError, match="cannot hold everything"):
        export_dataset(workspace, "d", tmp_path / "out", "yolo", strict=True)
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_format_options(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    import_dataset(workspace, pictures, "d")
    export_dataset(workspace, "d", tmp_path / "obb", "yolo", options={"task": "obb"})
    result = import_dataset(workspace, tmp_path / "obb", "again")
    types = {obj.geometry.type for item in result.version.items(["objects"]) for obj in item["objects"]}
    assert types == {"rotated_box"}
    with pytest.raises(FormatError, match="no option 'tsk'"):
        export_dataset(workspace, "d", tmp_path / "other", "yolo", options={"tsk": "obb"})
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_archives(workspace: Workspace, pictures: Path, tmp_path: Path, kind: str) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "harbours"), kind, pictures.parent, pictures.name))
    result = import_dataset(workspace, archive, "d")
    assert (result.format, len(result.version)) == ("coco", 10)
    assert not [path for path in (workspace.location / "tmp").rglob("*") if path.is_file()]
    with pytest.raises(InvalidValueError, match="cannot be linked"):
        import_dataset(workspace, archive, "e", link=True)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(FormatError):
        import_dataset(workspace, archive, "e")
    assert [info.name for info in workspace.datasets.list()] == ["d"]


def test_fsspec_url(workspace: Workspace, pictures: Path) -> None:
    """Folders and archives; names that lead outside the folder are skipped."""
    memory = fsspec.filesystem("memory")
    for path in sorted(pictures.rglob("*")):
        if path.is_file():
            memory.pipe_file(f"/bucket/data/{path.relative_to(pictures).as_posix()}", path.read_bytes())
    memory.pipe_file("/bucket/data/a\x07b.jpg", b"x")
    result = import_dataset(workspace, "memory://bucket/data", "d")
    assert (len(result.version), result.format) == (10, "coco")
    assert [finding.reason for finding in result.report if "leads out" in finding.reason] == [
        "file name that leads outside the source"
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(pictures.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(pictures))
    memory.pipe_file("/bucket/data.zip", packed.getvalue())
    assert len(import_dataset(workspace, "memory://bucket/data.zip", "e").version) == 10
    assert len(import_dataset(workspace, f"file://{pictures}", "f").version) == 10
    with pytest.raises(NotFoundError, match="nothing at"):
        import_dataset(workspace, "memory://bucket/nothing", "g")
    with pytest.raises(NotFoundError, match="cannot be reached"):
        import_dataset(workspace, "nosuch://bucket", "g")
    with pytest.raises(InvalidValueError, match="cannot be linked"):
        import_dataset(workspace, "memory://bucket/data", "g", link=True)
    assert not list((workspace.location / "tmp").rglob("*.jpg"))


def test_animated_image_gives_a_warning(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "animated"
    folder.mkdir()
    frames = [Image.new("RGB", (8, 6), (shade, 0, 0)) for shade in (0, 100, 200)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "b.png")
    result = import_dataset(workspace, folder, "d")
    (finding,) = result.report
    assert (finding.action, finding.key, finding.detail) == (FindingType.WARNING, "a", "of 3")
    assert "first frame" in finding.reason


def test_frames_of_a_sequence_share_a_split(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "mot"
    for name in ("one", "two", "three", "four"):
        (source / name / "img1").mkdir(parents=True)
        (source / name / "gt").mkdir()
        (source / name / "gt" / "gt.txt").write_text("1,1,1,1,5,5,1,1,1\n")
        for frame in range(1, 4):
            Image.new("RGB", (20, 10), (frame * 40, 0, 0)).save(source / name / "img1" / f"{frame:06}.png")
    version = import_dataset(workspace, source, "d", split=SplitRequest({"train": 0.5, "val": 0.5})).version
    groups = {(item.key.partition("/")[0], item["split"]) for item in version.items(["split"])}
    assert len(groups) == 4
    assert {split for _, split in groups} == {"train", "val"}


def test_polyglot_files(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    """An image with an appended archive is an image; with the suffix of an archive it is the archive."""
    picture = next((pictures / "images").iterdir()).read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.png", _png())
        archive.writestr("../outside.png", _png())
    both = picture + packed.getvalue()
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "both.jpg").write_bytes(both)
    (folder / "script.gif").write_bytes(b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)")
    (folder / "page.png").write_bytes(_png(b"<html><script>alert(1)</script>"))
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + picture)
    (folder / "name.tif").write_bytes(picture)
    result = import_dataset(workspace, folder, "photos")
    items = {item.key: item["image"] for item in result.version.items()}
    assert set(items) == {"both", "page", "name"}
    assert result.version.read_media(items["both"]) == both
    assert items["name"].format == "jpeg"
    assert {each.key for each in result.report if each.action is FindingType.SKIPPED} == {"script"}
    (tmp_path / "both.zip").write_bytes(both)
    unpacked = import_dataset(workspace, tmp_path / "both.zip", "unpacked")
    assert [item.key for item in unpacked.version.items()] == ["inside"]
    assert not (tmp_path / "outside.png").exists()


def _png(text: bytes = b"") -> bytes:
    from PIL.PngImagePlugin import PngInfo

    out, info = io.BytesIO(), PngInfo()
    info.add_text("comment", text.decode())
    Image.new("RGB", (12, 8), "blue").save(out, "PNG", pnginfo=info)
    return out.getvalue()


def test_items_without_split_are_counted(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    keys = import_dataset(workspace, pictures, "d").version.keys()
    schema = Schema((Column("split", Kind.TEXT),))
    workspace.datasets.write("d", schema, [Item(key, {"split": "train"}) for key in keys[:4]], mode="merge")
    export_dataset(workspace, "d", tmp_path / "out", "coco")
    assert import_dataset(workspace, tmp_path / "out", "e").splits == {"train": 4, "": 6}


def test_a_source_without_images_fails_with_its_causes(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "Annotations").mkdir(parents=True)
    for name in ("a", "b"):
        xml = f"<annotation><filename>{name}.jpg</filename></annotation>"
        (source / f"Annotations/{name}.xml").write_text(xml)
    (source / "JPEGImages").symlink_to(tmp_path)
    with pytest.raises(FormatError) as error:
        import_dataset(workspace, source, "none")
    assert error.value.message == (
        "The source has no images: link that leads outside the source (1, the first: 'JPEGImages'); "
        "image file missing (2, the first: 'a.jpg')."
    )
    assert not workspace.datasets.exists("none")


def test_a_split_of_yolo_that_is_missing_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/data.yaml").write_text("train: images\nnames: [a]\n")
    with pytest.raises(FormatError, match=r"no images: folder of a split .* the first: train: 'images'\)"):
        import_dataset(workspace, tmp_path / "source", "none")
