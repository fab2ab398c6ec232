"""CVAT for video: tracks through numbered frames come back as they were, less what the report lists."""

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
from saccade.core.report import Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import LocalFile, Reading, Record
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
    made = []
    for number in range(draw(st.integers(1, 7))):
        found = draw(
            st.none() | st.lists(st.tuples(st.sampled_from(["7", "0", "a b", "é", None, "007"]), shapes), max_size=4)
        )
        objects = None
        if found is not None:
            objects = tuple(
                Object(str(at), draw(st.sampled_from(["car", "bus"])), shape, None, track, {"n": number})
                for at, (track, shape) in enumerate(found)
            )
        made.append((f"{draw(st.sampled_from(['one', 'two']))}/{number:03}", objects))
    return made


@settings(max_examples=int(os.environ.get("SACCADE_EXAMPLES", "60")), deadline=None)
@given(frames())
def test_tracks_come_back(made: list[tuple[str, tuple[Object, ...] | None]]) -> None:
    written, read = Report(), Report()
    schema = Schema(
        (Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("bus"), ClassInfo("car"))))
    )
    with tempfile.TemporaryDirectory() as name:
        picture = Path(name) / "picture.png"
        out = BytesIO()
        Image.new("RGB", SIZE).save(out, "PNG")
        picture.write_bytes(out.getvalue())
        records = [Record(key, LocalFile(picture), {"objects": value}, SIZE) for key, value in made]
        folder = Path(name) / "out"
        folder.mkdir()
        FORMAT.write(Reading(schema, iter(records), len(records)), folder, written, layout="video")
        assert FORMAT.detect(folder).matches
        found = [record.values["objects"] for record in FORMAT.read(folder, read).records]
    assert len(found) == len(made)
    assert not [each for each in read if each.action != "noticed"]
    listed = {(each.key, each.object_id) for each in written}
    by_id = {(key, one.id): one for key, objects in made for one in objects or ()}
    renamed = {(key.partition("/")[0], by_id[key, number].track) for key, number in listed & by_id.keys()}
    names: dict[tuple[str, str, str, str], set[str]] = {}
    for (key, objects), again in zip(made, found, strict=True):
        left: list[Any] = list(again)
        assert len(left) == len(objects or ())
        for one in objects or ():
            same = next(
                other
                for other in left
                if (other.class_name, other.attributes, other.geometry.type)
                == (one.class_name, one.attributes, one.geometry.type)
                and other.geometry.bounds_xyxy() == pytest.approx(one.geometry.bounds_xyxy(), abs=1e-7)
                and (one.track == other.track or (key.partition("/")[0], one.track) in renamed)
            )
            left.remove(same)
            if one.track is not None and (key, one.id) not in listed:
                place = key.partition("/")[0], one.track, one.class_name, one.geometry.type
                names.setdefault(place, set()).add(same.track)
    cuts = sum(each.reason.startswith("track cut") for each in written)
    assert all(len(numbers) <= 1 + cuts for numbers in names.values())
    unlabelled = sum(objects is None for _, objects in made)
    reasons = {each.reason: each.detail for each in written}
    assert reasons.get("not labelled, which becomes reviewed and empty") == (
        f"{unlabelled} frames" if unlabelled else None
    )


def test_a_track_that_comes_and_goes(tmp_path: Path, kit: SimpleNamespace) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", SIZE).save(picture)
    places = [1.0, 2.0, None, None, 5.0, 6.0]
    records = [
        Record(
            f"frame_{number:06}",
            LocalFile(picture),
            {"objects": () if x is None else (Object("3", "car", Box(x, 1, x + 2, 4), track="3"),)},
            SIZE,
        )
        for number, x in enumerate(places)
    ]
    schema = Schema(
        (Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("car", color="#00ff00"),)))
    )
    folder, report = tmp_path / "out", Report()
    folder.mkdir()
    FORMAT.write(Reading(schema, iter(records), 6), folder, report, layout="video")
    assert not list(report)
    text = (folder / "annotations.xml").read_text()
    assert text.count("<track ") == 1
    assert text.count('outside="1"') == 1
    assert "<mode>interpolation</mode>" in text
    again = kit.read_all(FORMAT, folder)
    assert [record.values["objects"] for record in again.records.values()] == [
        record.values["objects"] for record in records
    ]
    assert again.schema == schema


def test_a_video_without_objects_is_reviewed_and_empty(tmp_path: Path, kit: SimpleNamespace) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", SIZE).save(picture)
    records = [Record("frame_000000", LocalFile(picture), {"objects": ()}, SIZE)]
    schema = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS)))
    folder = tmp_path / "out"
    folder.mkdir()
    FORMAT.write(Reading(schema, iter(records), 1), folder, Report(), layout="video")
    assert kit.read_all(FORMAT, folder).values("objects") == {"frame_000000": ()}
    with pytest.raises(FormatError, match="may not be 'film'"):
        FORMAT.write(Reading(schema, iter(records), 1), folder, Report(), layout="film")
