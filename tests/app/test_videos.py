"""Import, export and prediction of videos and their frames."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.support.command import Command
from tests.support.video_clips import make_clip, number_in

from saccade.app.ingest.exporting import export_dataset
from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.core.errors import FormatError, MediaError, NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.report import FindingType
from saccade.core.schema import Column, ImageRef, Kind, Schema, VideoRef
from saccade.media.image import decode
from saccade.media.loader import read_image
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "inside").mkdir(parents=True)
    make_clip(folder / "street.mp4", 30, options={"g": "8", "bf": "2"})
    make_clip(folder / "inside" / "door.mkv", 12, ticks=[0, *range(50, 61)], unit=Fraction(1, 10))
    return folder


def test_every_frame_is_an_item(workspace: Workspace, films: Path) -> None:
    result = import_dataset(workspace, films, "clips")
    items = {item.key: item for item in result.version.items()}
    assert list(items)[:2] == ["inside/door/000000", "inside/door/000001"]
    assert len(items) == 42
    assert items["inside/door/000001"]["time"] == 5.0
    assert not list(result.report)
    for key in ("street/000029", "street/000003", "inside/door/000011", "street/000004"):
        ref: ImageRef = items[key]["image"]
        assert (ref.frame, ref.width, ref.height) == (int(key[-6:]), 64, 48)
        assert number_in(read_image(result.version, ref)) == ref.frame
    assert len(list(workspace.blobs.digests())) == 2  # each video once
    assert result.version.where("image.frame == 11") == ["inside/door/000011", "street/000011"]
    assert doctor(workspace) == []


@pytest.mark.slow
def test_concurrent_reads_of_frames(workspace: Workspace, films: Path) -> None:
    version = import_dataset(workspace, films, "clips").version
    refs = [item["image"] for item in version.items()] * 3
    order = np.random.default_rng(3).permutation(len(refs))
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda at: number_in(read_image(version, refs[at])), order))
    assert numbers == [refs[at].frame for at in order]


def test_selection_of_frames(workspace: Workspace, films: Path) -> None:
    def keys(**options: object) -> list[str]:
        name = f"d{len(workspace.datasets.list())}"
        source = films / "street.mp4"
        return [item.key for item in import_dataset(workspace, source, name, options=options).version.items()]

    assert keys(every="10") == ["street/000000", "street/000010", "street/000020"]
    assert keys(fps=3) == ["street/000000", "street/000010", "street/000020"]
    for wrong in ({"every": "0"}, {"every": "x"}, {"fps": "-1"}, {"fps": "nan"}, {"frames": "some"}):
        with pytest.raises(FormatError, match="may not be"):
            keys(**wrong)


@pytest.mark.parametrize("link", [False, True])
def test_whole_videos(workspace: Workspace, films: Path, link: bool) -> None:
    version = import_dataset(workspace, films, "clips", link=link, options={"frames": "none"}).version
    assert version.schema.first(Kind.VIDEO).name == "video"
    ref: VideoRef = version.get("street")["video"]
    assert (ref.frames, ref.duration, ref.codec, ref.format) == (30, 1.0, "h264", "mov")
    assert (ref.uri is not None) is link
    assert version.read_media(ref) == (films / "street.mp4").read_bytes()
    assert version.where("video.duration > 2") == ["inside/door"]
    assert version.histogram("video.frames", bins=2)["count"] == 2
    with pytest.raises(FormatError, match="Whole videos cannot be exported"):
        export_dataset(workspace, "clips", films.parent / "out", "images")


@pytest.mark.slow
def test_frames_of_a_video_share_a_split(workspace: Workspace, films: Path) -> None:
    for number in range(6):
        shutil.copy(films / "street.mp4", films / f"street{number}.mp4")
    split = SplitRequest({"train": 0.5, "val": 0.5}, seed=1)
    version = import_dataset(workspace, films, "clips", split=split).version
    splits: dict[str, set[str]] = {}
    for item in version.items(["split"]):
        splits.setdefault(item.key.rpartition("/")[0], set()).add(item["split"])
    assert all(len(names) == 1 for names in splits.values())
    assert set.union(*splits.values()) == {"train", "val"}


def test_broken_video_is_skipped(workspace: Workspace, films: Path) -> None:
    (films / "cut.mp4").write_bytes((films / "street.mp4").read_bytes()[:900])
    (films / "text.avi").write_text("not a video")
    result = import_dataset(workspace, films, "clips", options={"fps": "1"})
    aside = {finding.key: finding.detail for finding in result.report if finding.action is FindingType.SKIPPED}
    assert set(aside) == {"cut", "text"}
    assert "damaged or truncated" in aside["cut"]
    assert "not a video file" in aside["text"]
    videos = import_dataset(workspace, films, "whole", options={"frames": "none"})
    assert (len(videos.version), videos.skipped) == (2, 2)


def test_changed_linked_video_is_detected(workspace: Workspace, films: Path) -> None:
    version = import_dataset(workspace, films, "clips", link=True).version
    ref: ImageRef = version.get("street/000002")["image"]
    assert number_in(read_image(version, ref)) == 2
    path = films / "street.mp4"
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    with pytest.raises(MediaError, match="has changed since it was imported"):
        version.open_media(ref)
    path.unlink()
    with pytest.raises(NotFoundError, match="is missing"):
        version.open_media(ref)
    assert doctor(workspace) != []


def test_frames_are_exported_as_images(workspace: Workspace, films: Path, tmp_path: Path) -> None:
    import_dataset(workspace, films, "clips")
    report = export_dataset(workspace, "clips", tmp_path / "out", "mot")
    assert ("frames exported as images", "42 frames") in {(each.reason, each.detail) for each in report}
    written = sorted((tmp_path / "out" / "street" / "img1").iterdir())
    assert [path.name for path in written][:2] == ["000000.jpg", "000001.jpg"]
    assert [number_in(decode(path)) for path in written] == list(range(30))


@pytest.mark.slow
def test_labelled_frames_round_trip(workspace: Workspace, films: Path, tmp_path: Path) -> None:
    version = import_dataset(workspace, films, "clips").version
    labelled = [
        Item(item.key, {**item.values, "objects": (Object("1", "car", Box(at, 0, at + 5, 9), track="7"),)})
        for at, item in enumerate(version.items())
    ]
    schema = version.schema.with_columns(Column("objects", Kind.OBJECTS))
    workspace.datasets.write("clips", Schema(schema.columns), labelled, mode="merge", message="labelled")
    export_dataset(workspace, "clips", tmp_path / "out", "mot")
    again = import_dataset(workspace, tmp_path / "out", "again").version
    assert [item["objects"][0].geometry.x1 for item in again.items()] == [float(at) for at in range(42)]


def test_cvat_labels_beside_a_video(workspace: Workspace, films: Path) -> None:
    shape = (
        '<box frame="{0}" keyframe="1" outside="{1}" occluded="0" xtl="{0}" ytl="1" xbr="{0}9" ybr="3" z_order="0"/>'
    )
    (films / "annotations.xml").write_text(
        "<annotations><version>1.1</version><meta><task><labels><label><name>car</name></label></labels></task>"
        "<source>street.mp4</source></meta>"
        f'<track id="4" label="car">{shape.format(2, 0)}{shape.format(5, 1)}</track></annotations>'
    )
    version = import_dataset(workspace, films, "clips").version
    assert len(version) == 30
    boxes = {item.key[-6:]: [each.track for each in item["objects"]] for item in version.items()}
    assert {key for key, objects in boxes.items() if objects} == {"000002", "000003", "000004"}
    assert number_in(read_image(version, version.get("street/000017")["image"])) == 17


@pytest.mark.slow
def test_dataset_without_frame_field(workspace: Workspace, pictures: Path) -> None:
    """Tables of earlier versions lack the field for frames."""
    import pyarrow as pa

    from saccade.store.arrow import codec

    before = pa.struct([field for field in codec.IMAGE if field.name != "frame"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "IMAGE", before)
        patch.setitem(codec.ARROW_TYPES, Kind.IMAGE, before)
        patch.setitem(codec._ENCODERS, Kind.IMAGE, lambda values: codec._encode_structs(values, ImageRef, before))
        old = import_dataset(workspace, pictures, "d").version
        assert old.snapshot.table.schema.field("image").type == before
    items = list(workspace.datasets.open("d").items())
    assert items[0]["image"].frame is None
    more = [Item(f"new/{item.key}", item.values) for item in items[:2]]
    new = workspace.datasets.write("d", old.schema, more, mode="append", message="more")
    assert new.get(more[0].key)["image"] == items[0]["image"]
    assert [item["image"] for item in new.items()][:2] == [item["image"] for item in items[:2]]
    merged = workspace.datasets.write(
        "d", old.schema, [Item(items[0].key, {**items[0].values, "objects": ()})], mode="merge", message="x"
    )
    assert merged.get(items[0].key)["image"] == items[0]["image"]


def test_predictions_on_frames(trained_command: Command, tmp_path: Path) -> None:
    """A model runs on the frames of a video as on any other images."""
    import json

    run = trained_command
    make_clip(tmp_path / "clip.mp4", 6)
    assert run("import", str(tmp_path / "clip.mp4"), "--dataset", "clip").code == 0
    assert run("predict", "ships", "clip", "--out", str(tmp_path / "found"), "--dataset", "found").code == 0
    content = json.loads((tmp_path / "found" / "predictions.json").read_text())
    assert [image["file_name"] for image in content["images"]][:2] == ["clip/000000.jpg", "clip/000001.jpg"]
    assert len(list((tmp_path / "found" / "pictures" / "clip").iterdir())) == 6
    assert run.json("datasets", "show", "found")["items"] == 6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells open files on Linux only")
def test_open_videos_are_closed_when_python_ends(tmp_path: Path) -> None:
    """Regression: a traceback at exit, if modules were unloaded before open videos were closed."""
    make_clip(tmp_path / "a.mp4", 5)
    program = f"""
import atexit, os
def tell():
    print("left:", [name for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{fd}}")
                    and "objects" in (name := os.readlink(f"/proc/self/fd/{{fd}}"))])
atexit.register(tell)  # comes after those that are registered later
from pathlib import Path
from saccade.app.ingest.importing import import_dataset
from saccade.media.loader import read_image
from saccade.store.workspace import Workspace
with Workspace.create({str(tmp_path / "home")!r}) as workspace:
    version = import_dataset(workspace, Path({str(tmp_path / "a.mp4")!r}), "films").version
    read_image(version, next(iter(version.items()))["image"])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "left: []"
