"""Writing CVAT for video: the frames as numbered pictures, and the objects as tracks through them."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, SubElement, tostring

from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.core.schema import Kind
from saccade.formats._common.writing import Columns, copy_media, size_wh_of
from saccade.formats.base import Reading, Record
from saccade.formats.cvat.write import Writer, annotations_file


@dataclass
class _Track:
    """A track while it is written: its number, its label, its latest shape, and where its shapes are kept."""

    number: int
    label: str
    shape: Element
    places: array[int] = field(default_factory=lambda: array("q"))


def write_cvat_video(reading: Reading, destination: Path, report: Report) -> None:
    """Write the frames in the order of the items, and one XML file.

    The shapes wait in a temporary file until all of them are there, because tracks are written one after another.
    """
    columns = Columns(reading, report, Kind.OBJECTS)
    columns.report_class_details("parent", "skeleton")
    columns.drop_split()
    with tempfile.TemporaryFile() as kept:
        writer = _VideoWriter(columns, destination, report, kept)
        for record in reading.records:
            columns.count(record)
            writer.frame(record)
        with annotations_file(destination, writer.meta()) as out:
            for piece in writer.tracks():
                out.write(piece)
    columns.finish()


class _VideoWriter(Writer):
    def __init__(self, columns: Columns, destination: Path, report: Report, kept: IO[bytes]) -> None:
        super().__init__(columns, destination, report, of_video=True)
        self._kept = kept
        self._frames = self._unlabelled = 0
        self._all: dict[int, _Track] = {}
        self._highest = -1
        self._going_on: dict[int, _Track] = {}
        self._latest: dict[tuple[str, str], _Track] = {}
        """The latest part of each track, by the folder of its frames and its name."""

    def frame(self, record: Record) -> None:
        """Copy a frame and take up its objects; nothing where it cannot be copied."""
        name = f"frame_{self._frames:06}"
        if copy_media(record, self._destination / "images" / name, self._report) is None:
            return
        if record.key != name:
            reason = "key changed to be a file name"
            self._report.add(Action.REPAIRED, reason, key=record.key, detail=f"to {name!r}")
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        self._unlabelled += objects is None
        size = size_wh_of(record)
        seen: set[int] = set()
        for found in objects or ():
            shape = self.shape(record.key, found, size)
            if shape is not None:
                track = self._track_of(record.key, found, shape, seen)
                seen.add(track.number)
                self._keep(track, shape, "0")
                self._going_on[track.number] = track
                self._ids += found.id != str(track.number)
        for number in self._going_on.keys() - seen:
            track = self._going_on.pop(number)
            self._keep(track, track.shape, "1")
        self._frames += 1

    def _track_of(self, key: str, found: Object, shape: Element, seen: set[int]) -> _Track:
        label = shape.attrib.pop("label")
        if found.track is None:
            self._add(Action.REPAIRED, "object without a track, written as one of its own", key, found)
            return self._new("", label, shape)
        place = key.rpartition("/")[0], found.track
        latest = self._latest.get(place)
        if latest is not None and latest.number in seen:
            self._add(Action.REPAIRED, "second object of a track in a frame, written as one of its own", key, found)
            return self._new("", label, shape)
        if latest is not None and (latest.label, latest.shape.tag) == (label, shape.tag):
            return latest
        if latest is not None:
            self._add(Action.REPAIRED, "track cut where its class or kind of shape changes", key, found, found.track)
        self._latest[place] = self._new(found.track, label, shape)
        number = self._latest[place].number
        if str(number) != found.track:
            detail = f"{found.track!r} to {number}"
            self._add(Action.REPAIRED, "name of a track that is no free number", key, found, detail)
        return self._latest[place]

    def _new(self, name: str, label: str, shape: Element) -> _Track:
        number = int(name) if name.isascii() and name.isdecimal() and len(name) <= 9 else -1
        if number < 0 or str(number) != name or number in self._all:
            number = self._highest + 1
        self._highest = max(number, self._highest)
        self._all[number] = _Track(number, label, shape)
        return self._all[number]

    def _keep(self, track: _Track, shape: Element, outside: str) -> None:
        """Put a shape of a track at the frame that is written now."""
        track.shape = shape
        shape.attrib.pop("label", None)
        shape.set("frame", str(self._frames))
        shape.set("keyframe", "1")
        shape.set("outside", outside)
        data = tostring(shape, encoding="utf-8")
        track.places.extend((self._kept.tell(), len(data)))
        self._kept.write(data)

    def tracks(self) -> Iterator[str]:
        """The XML of all tracks, in pieces."""
        for track in self._all.values():
            head = Element("track", id=str(track.number), label=track.label, source="manual")
            yield tostring(head, encoding="unicode", short_empty_elements=False).removesuffix("</track>") + "\n"
            for at in range(0, len(track.places), 2):
                self._kept.seek(track.places[at])
                yield self._kept.read(track.places[at + 1]).decode() + "\n"
            yield "</track>\n"

    def meta(self) -> Element:
        """The head, with the number of frames."""
        if self._unlabelled:
            reason = "not labelled, which becomes reviewed and empty"
            self._report.add(Action.DROPPED, reason, detail=f"{self._unlabelled} frames")
        meta = super().meta()
        task = meta.find("task")
        assert task is not None
        facts = {"size": self._frames, "mode": "interpolation", "start_frame": 0, "stop_frame": self._frames - 1}
        for at, (name, value) in enumerate(facts.items()):
            element = SubElement(task, name)
            task.remove(element)
            element.text = str(value)
            task.insert(at, element)
        return meta
