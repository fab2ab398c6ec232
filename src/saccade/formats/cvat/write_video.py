"""Writing CVAT for video: the frames as numbered pictures, and the objects as tracks through them."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import SupportedColumns
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats.base import Record
from saccade.formats.cvat.write import CvatWriter, annotations_file


@dataclass
class _Track:
    """A track while it is written.

    Attributes:
        shape: its latest shape.
        ranges: offset and length of each of its shapes in the temporary file.
    """

    number: int
    label: str
    shape: Element
    ranges: array[int] = field(default_factory=lambda: array("q"))


class CvatVideoWriter(CvatWriter):
    """Writes the frames in the order of the items, and one XML file.

    The file has one track after another, while the records come frame by frame: shapes are kept in a temporary file
    until all records are there.
    """

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        columns = SupportedColumns(schema, report, Kind.OBJECTS)
        super().__init__(columns, destination, report, of_video=True)
        columns.drop_split()
        self._shape_file = self._open_files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._frame_count = 0
        self._unlabelled_frames = 0
        self._tracks: dict[int, _Track] = {}
        self._max_number = -1
        self._active: dict[int, _Track] = {}
        self._latest: dict[tuple[str, str], _Track] = {}
        """The latest part of each track, by the folder of its frames and its name."""

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        name = f"frame_{self._frame_count:06}"
        if copy_media(record, self._destination / "images" / name, self._report) is None:
            return
        if record.key != name:
            reason = "key changed to be a file name"
            self._report.add(FindingType.REPAIRED, reason, key=record.key, detail=f"to {name!r}")
        objects = self._columns.labels_of(record)
        self._unlabelled_frames += objects is None
        size = record_size_wh(record)
        in_frame: set[int] = set()
        for obj in objects or ():
            shape = self._shape(record.key, obj, size)
            if shape is not None:
                track = self._track_of(record.key, obj, shape, in_frame)
                in_frame.add(track.number)
                self._store_shape(track, shape, is_outside=False)
                self._active[track.number] = track
                self._renumbered += obj.id != str(track.number)
        # The tracks that end here get a last shape that is outside.
        for number in self._active.keys() - in_frame:
            track = self._active.pop(number)
            self._store_shape(track, track.shape, is_outside=True)
        self._frame_count += 1

    def _track_of(self, key: str, obj: Object, shape: Element, in_frame: set[int]) -> _Track:
        label = shape.attrib.pop("label")
        if obj.track is None:
            self._add(FindingType.REPAIRED, "object without a track, written as one of its own", key, obj)
            return self._create_track("", label, shape)
        name = key.rpartition("/")[0], obj.track
        latest = self._latest.get(name)
        if latest is not None and latest.number in in_frame:
            reason = "second object of a track in a frame, written as one of its own"
            self._add(FindingType.REPAIRED, reason, key, obj)
            return self._create_track("", label, shape)
        if latest is not None and (latest.label, latest.shape.tag) == (label, shape.tag):
            return latest
        if latest is not None:
            self._add(FindingType.REPAIRED, "track cut where its class or kind of shape changes", key, obj, obj.track)
        track = self._create_track(obj.track, label, shape)
        self._latest[name] = track
        if str(track.number) != obj.track:
            detail = f"{obj.track!r} to {track.number}"
            self._add(FindingType.REPAIRED, "name of a track that is no free number", key, obj, detail)
        return track

    def _create_track(self, name: str, label: str, shape: Element) -> _Track:
        """Create a track, whose number is its name if that is a free number."""
        number = int(name) if name.isascii() and name.isdecimal() and len(name) <= 9 else -1
        if number < 0 or str(number) != name or number in self._tracks:
            number = self._max_number + 1
        self._max_number = max(number, self._max_number)
        self._tracks[number] = _Track(number, label, shape)
        return self._tracks[number]

    def _store_shape(self, track: _Track, shape: Element, *, is_outside: bool) -> None:
        """Store a track's shape in the current frame."""
        track.shape = shape
        shape.attrib.pop("label", None)
        shape.set("frame", str(self._frame_count))
        shape.set("keyframe", "1")
        shape.set("outside", str(int(is_outside)))
        data = tostring(shape, encoding="utf-8")
        track.ranges.extend((self._shape_file.tell(), len(data)))
        self._shape_file.write(data)

    def _finish(self) -> None:
        with annotations_file(self._destination, self._meta()) as out:
            for text in self._iter_track_xml():
                out.write(text)
        self._columns.report_dropped()

    def _iter_track_xml(self) -> Iterator[str]:
        for track in self._tracks.values():
            element = Element("track", id=str(track.number), label=track.label, source="manual")
            yield tostring(element, encoding="unicode", short_empty_elements=False).removesuffix("</track>") + "\n"
            for index in range(0, len(track.ranges), 2):
                self._shape_file.seek(track.ranges[index])
                yield self._shape_file.read(track.ranges[index + 1]).decode() + "\n"
            yield "</track>\n"

    def _meta(self) -> Element:
        if self._unlabelled_frames:
            reason = "not labelled, which becomes reviewed and empty"
            self._report.add(FindingType.DROPPED, reason, detail=f"{self._unlabelled_frames} frames")
        meta = super()._meta()
        task = meta.find("task")
        assert task is not None
        fields = {
            "size": self._frame_count,
            "mode": "interpolation",
            "start_frame": 0,
            "stop_frame": self._frame_count - 1,
        }
        # They come before the labels.
        for index, (name, value) in enumerate(fields.items()):
            element = SubElement(task, name)
            task.remove(element)
            element.text = str(value)
            task.insert(index, element)
        return meta
