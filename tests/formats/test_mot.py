"""MOT Challenge: sequences as its benchmarks and CVAT lay them out."""

from __future__ import annotations

import configparser
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.objects import Box, Object, RotatedBox
from saccade.core.schema import ClassInfo
from saccade.formats.mot import FORMAT

Lay = Callable[[Mapping[str, str | bytes | None]], Path]
TRUTH = "1,7,1,2,3,2,1,1,1\n1,8,-1,0,4,4,0,3,0.25\n2,7,1.5,2,3,2,1,1,1\n"


def test_a_sequence_of_the_benchmark(lay: Lay, kit: SimpleNamespace) -> None:
    source = lay({f"S1/img1/{frame:06}.png": None for frame in (1, 2, 3)} | {"S1/gt/gt.txt": TRUTH})
    read = kit.read_all(FORMAT, source)
    first, second = read.records["S1/000001"].values["objects"]
    assert first == Object("1", "pedestrian", Box(1, 2, 4, 4), None, "7")
    assert second == Object("2", "car", Box(-1, 0, 3, 4), None, "8", {"ignored": True, "visibility": 0.25})
    assert [one.track for one in read.records["S1/000002"].values["objects"]] == ["7"]
    assert read.records["S1/000003"].values["objects"] == ()
    assert read.total == 3


def test_splits_and_sequences_that_are_not_labelled(lay: Lay, kit: SimpleNamespace) -> None:
    files = {"train/A/img1/000001.png": None, "train/A/gt/gt.txt": "", "test/B/img1/000001.png": None}
    read = kit.read_all(FORMAT, lay(files))
    assert read.values("split") == {"A/000001": "train", "B/000001": "test"}
    assert read.values("objects") == {"A/000001": (), "B/000001": None}


def test_the_labels_of_cvat_and_a_sequence_by_itself(lay: Lay, kit: SimpleNamespace) -> None:
    files = {"img1/000001.png": None, "gt/gt.txt": "1,1,0,0,2,2,1,2,1.0\n", "gt/labels.txt": "ship\ntug boat\n"}
    read = kit.read_all(FORMAT, lay(files))
    assert read.schema["objects"].class_names == ("ship", "tug boat")
    assert read.records["000001"].values["objects"][0].class_name == "tug boat"


BAD = [
    ("1,1,0,0,0,2,1,1,1", "box without area"),
    ("1,1,0,0,2,2,1,99,1", "class number out of range"),
    ("1,1,0,nan,2,2,1,1,1", "line without six finite numbers"),
    ("1,1,0", "line without six finite numbers"),
    ("frame,id", "line without six finite numbers"),
    ("1.5,1,0,0,2,2", "line without six finite numbers"),
    ("9,1,0,0,2,2", "boxes of a frame without a picture"),
    ("1e300,1,0,0,2,2", "boxes of a frame without a picture"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_bad_lines_are_said(line: str, reason: str, lay: Lay, kit: SimpleNamespace) -> None:
    read = kit.read_all(FORMAT, lay({"img1/000001.png": None, "gt/gt.txt": f"{line}\n1,5,0,0,2,2\n"}))
    assert [one.track for one in read.records["000001"].values["objects"]] == ["5"]
    assert reason in {finding.reason for finding in read.report}


boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.floats(-50, 50),
    st.floats(-50, 50),
    st.floats(1, 50),
    st.floats(1, 50),
)
tracks = st.one_of(st.none(), st.integers(0, 99).map(str))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(boxes, tracks, st.sampled_from(["a", "b"])), max_size=3), min_size=1, max_size=4))
def test_there_and_back(kit: SimpleNamespace, frames: list[list[tuple[Box, str | None, str]]]) -> None:
    records = [
        kit.record(
            f"S/{at:06}",
            objects=tuple(Object(str(n), name, box, None, track) for n, (box, track, name) in enumerate(found, 1)),
        )
        for at, found in enumerate(frames, 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = kit.write_all(FORMAT, kit.dataset(records, [ClassInfo("a"), ClassInfo("b")]), Path(folder))
        read = kit.read_all(FORMAT, Path(folder))
    assert len(report) == len(read.report) == 0
    for record in records:
        again = read.records[record.key].values["objects"]
        for one, other in zip(record.values["objects"], again, strict=True):
            assert (one.id, one.class_name, one.track) == (other.id, other.class_name, other.track)
            assert other.geometry.bounds_xyxy() == pytest.approx(one.geometry.bounds_xyxy(), abs=1e-9)


def test_losses_are_said(kit: SimpleNamespace, tmp_path: Path) -> None:
    objects = (
        Object("x", "a", RotatedBox(4, 3, 2, 2, 45), 0.5, "left", {"colour": "red", "visibility": 0.5}),
        Object("2", "a", Box(1, 1, 1, 1)),
    )
    records = [kit.record("S/1", objects=objects), kit.record("S/two", objects=None)]
    report = kit.write_all(FORMAT, kit.dataset(records, [ClassInfo("a")]), tmp_path)
    assert {finding.reason for finding in report} == {
        "key changed to be a file name",
        "score",
        "shape of a rotated box, written as its box",
        "attribute",
        "name of a track that is no number",
        "object without area",
        "ids of objects",
        "not labelled, which becomes reviewed and empty",
    }
    info = configparser.ConfigParser()
    info.read(tmp_path / "S" / "seqinfo.ini")
    assert (info["Sequence"]["seqLength"], info["Sequence"]["imWidth"]) == ("2", "8")
    read = kit.read_all(FORMAT, tmp_path)
    (one,) = read.records["S/000001"].values["objects"]
    assert (one.track, dict(one.attributes)) == ("1", {"visibility": 0.5})
