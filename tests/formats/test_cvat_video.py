"""CVAT for video: tracks through numbered frames round-trip, except for what the report lists."""

from __future__ import annotations

import os
import tempfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Object, Points, Polygon, Polyline, RotatedBox
from saccade.core.report import ConversionReport
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import LocalFile, Record, RecordStream
from saccade.formats.cvat import FORMAT

SIZE = (40, 30)
sides = st.floats(0, 30)
shapes: st.SearchStrategy[Geometry] = st.one_of(
    st.builds(lambda x, y: Box(x / 2, y / 2, x / 2 + 3, y / 2 + 4), sides, sides),
    st.builds(lambda x, y: Polygon.simple(((x, y), (x + 3, y), (x, y + 4.5))), sides, sides),
    st.builds(lambda x, y: Polyline(((x, y), (x + 1.25, y))), sides, sides),
    st.builds(lambda x, y: Points(((x, y),)), sides, sides),
    st.builds(lambda x: RotatedBox(x, 10, 4, 6, 30), sides),
    st.builds(lambda x: Ellipse(x, 10, 4, 6, 0), sides),
    st.builds(lambda x: Keypoints(((x, 1), (2, x)), (2, 1)), sides),
)


@st.composite
def frames(draw: st.DrawFn) -> list[tuple[str, tuple[Object, ...] | None]]:
    """Frames of up to two videos, with objects that come and go."""
    video = []
    for number in range(draw(st.integers(1, 7))):
        tracks_in_frame = draw(
            st.none() | st.lists(st.tuples(st.sampled_from(["7", "0", "a b", "é", None, "007"]), shapes), max_size=4)
        )
        objects = None
        if tracks_in_frame is not None:
            objects = tuple(
                Object(str(index), draw(st.sampled_from(["car", "bus"])), shape, None, track, {"n": number})
                for index, (track, shape) in enumerate(tracks_in_frame)
            )
        video.append((f"{draw(st.sampled_from(['one', 'two']))}/{number:03}", objects))
    return video


@settings(max_examples=int(os.environ.get("SACCADE_EXAMPLES", "60")), deadline=None)
@given(frames())
def test_tracks_round_trip(video: list[tuple[str, tuple[Object, ...] | None]]) -> None:
    write_report, read_report = ConversionReport(), ConversionReport()
    schema = Schema(
        (Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("bus"), ClassInfo("car"))))
    )
    with tempfile.TemporaryDirectory() as name:
        picture = Path(name) / "picture.png"
        out = BytesIO()
        Image.new("RGB", SIZE).save(out, "PNG")
        picture.write_bytes(out.getvalue())
        records = [Record(key, LocalFile(picture), {"objects": value}, SIZE) for key, value in video]
        folder = Path(name) / "out"
        folder.mkdir()
        FORMAT.write(RecordStream(schema, iter(records), len(records)), folder, write_report, layout="video")
        assert FORMAT.detect(folder).matches
        results = [record.values["objects"] for record in FORMAT.read(folder, read_report).records]
    assert len(results) == len(video)
    assert not [finding for finding in read_report if finding.action != "warning"]
    listed = {(finding.key, finding.object_id) for finding in write_report}
    by_id = {(key, obj.id): obj for key, objects in video for obj in objects or ()}
    renamed = {(key.partition("/")[0], by_id[key, number].track) for key, number in listed & by_id.keys()}
    names: dict[tuple[str, str, str, str], set[str]] = {}
    for (key, objects), result in zip(video, results, strict=True):
        remaining: list[Any] = list(result)
        assert len(remaining) == len(objects or ())
        for obj in objects or ():
            same = next(
                candidate
                for candidate in remaining
                if (candidate.class_name, candidate.attributes, candidate.geometry.type)
                == (obj.class_name, obj.attributes, obj.geometry.type)
                and candidate.geometry.bounds_xyxy() == pytest.approx(obj.geometry.bounds_xyxy(), abs=1e-7)
                and (obj.track == candidate.track or (key.partition("/")[0], obj.track) in renamed)
            )
            remaining.remove(same)
            if obj.track is not None and (key, obj.id) not in listed:
                track_name = key.partition("/")[0], obj.track, obj.class_name, obj.geometry.type
                names.setdefault(track_name, set()).add(same.track)
    cuts = sum(finding.reason.startswith("track cut") for finding in write_report)
    assert all(len(numbers) <= 1 + cuts for numbers in names.values())
    unlabelled = sum(objects is None for _, objects in video)
    reasons = {finding.reason: finding.detail for finding in write_report}
    assert reasons.get("not labelled, which becomes reviewed and empty") == (
        f"{unlabelled} frames" if unlabelled else None
    )


def test_track_with_gaps(tmp_path: Path, kit: SimpleNamespace) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", SIZE).save(picture)
    positions = [1.0, 2.0, None, None, 5.0, 6.0]
    records = [
        Record(
            f"frame_{number:06}",
            LocalFile(picture),
            {"objects": () if x is None else (Object("3", "car", Box(x, 1, x + 2, 4), track="3"),)},
            SIZE,
        )
        for number, x in enumerate(positions)
    ]
    schema = Schema(
        (Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("car", color="#00ff00"),)))
    )
    folder, report = tmp_path / "out", ConversionReport()
    folder.mkdir()
    FORMAT.write(RecordStream(schema, iter(records), 6), folder, report, layout="video")
    assert not list(report)
    text = (folder / "annotations.xml").read_text()
    assert text.count("<track ") == 1
    assert text.count('outside="1"') == 1
    assert "<mode>interpolation</mode>" in text
    result = kit.read_all(FORMAT, folder)
    assert [record.values["objects"] for record in result.records.values()] == [
        record.values["objects"] for record in records
    ]
    assert result.schema == schema


def test_video_without_objects(tmp_path: Path, kit: SimpleNamespace) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", SIZE).save(picture)
    records = [Record("frame_000000", LocalFile(picture), {"objects": ()}, SIZE)]
    schema = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS)))
    folder = tmp_path / "out"
    folder.mkdir()
    FORMAT.write(RecordStream(schema, iter(records), 1), folder, ConversionReport(), layout="video")
    assert kit.read_all(FORMAT, folder).values("objects") == {"frame_000000": ()}
    with pytest.raises(FormatError, match="may not be 'film'"):
        FORMAT.write(RecordStream(schema, iter(records), 1), folder, ConversionReport(), layout="film")
