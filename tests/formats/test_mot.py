"""MOT Challenge: the layouts of its benchmarks and of CVAT."""

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

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
TRUTH = "1,7,1,2,3,2,1,1,1\n1,8,-1,0,4,4,0,3,0.25\n2,7,1.5,2,3,2,1,1,1\n"


def test_benchmark_sequence(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({f"S1/img1/{frame:06}.png": None for frame in (1, 2, 3)} | {"S1/gt/gt.txt": TRUTH})
    result = kit.read_all(FORMAT, source)
    first, second = result.records["S1/000001"].values["objects"]
    assert first == Object("1", "pedestrian", Box(1, 2, 4, 4), None, "7")
    assert second == Object("2", "car", Box(-1, 0, 3, 4), None, "8", {"ignored": True, "visibility": 0.25})
    assert [obj.track for obj in result.records["S1/000002"].values["objects"]] == ["7"]
    assert result.records["S1/000003"].values["objects"] == ()
    assert result.total == 3


def test_splits_and_unlabelled_sequences(write_source: WriteSource, kit: SimpleNamespace) -> None:
    files = {"train/A/img1/000001.png": None, "train/A/gt/gt.txt": "", "test/B/img1/000001.png": None}
    result = kit.read_all(FORMAT, write_source(files))
    assert result.values("split") == {"A/000001": "train", "B/000001": "test"}
    assert result.values("objects") == {"A/000001": (), "B/000001": None}


def test_cvat_labels_and_single_sequence(write_source: WriteSource, kit: SimpleNamespace) -> None:
    files = {"img1/000001.png": None, "gt/gt.txt": "1,1,0,0,2,2,1,2,1.0\n", "gt/labels.txt": "ship\ntug boat\n"}
    result = kit.read_all(FORMAT, write_source(files))
    assert result.schema["objects"].class_names == ("ship", "tug boat")
    assert result.records["000001"].values["objects"][0].class_name == "tug boat"


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
def test_bad_lines_are_reported(line: str, reason: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    result = kit.read_all(FORMAT, write_source({"img1/000001.png": None, "gt/gt.txt": f"{line}\n1,5,0,0,2,2\n"}))
    assert [obj.track for obj in result.records["000001"].values["objects"]] == ["5"]
    assert reason in {finding.reason for finding in result.report}


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
def test_round_trip(kit: SimpleNamespace, frames: list[list[tuple[Box, str | None, str]]]) -> None:
    records = [
        kit.record(
            f"S/{frame:06}",
            objects=tuple(
                Object(str(n), name, box, None, track) for n, (box, track, name) in enumerate(frame_objects, 1)
            ),
        )
        for frame, frame_objects in enumerate(frames, 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = kit.write_all(FORMAT, kit.dataset(records, [ClassInfo("a"), ClassInfo("b")]), Path(folder))
        result = kit.read_all(FORMAT, Path(folder))
    assert len(report) == len(result.report) == 0
    for record in records:
        results = result.records[record.key].values["objects"]
        for obj, result_obj in zip(record.values["objects"], results, strict=True):
            assert (obj.id, obj.class_name, obj.track) == (result_obj.id, result_obj.class_name, result_obj.track)
            assert result_obj.geometry.bounds_xyxy() == pytest.approx(obj.geometry.bounds_xyxy(), abs=1e-9)


def test_losses_are_reported(kit: SimpleNamespace, tmp_path: Path) -> None:
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
    result = kit.read_all(FORMAT, tmp_path)
    (obj,) = result.records["S/000001"].values["objects"]
    assert (obj.track, dict(obj.attributes)) == ("1", {"visibility": 0.5})
