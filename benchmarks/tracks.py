"""Shapes on the frames of a video, written as CVAT's XML, of images and of a video, as MOT and as COCO.

usage: tracks.py [--frames 790] [--shapes 70] [--rounds 3] [--json]

Frames are references to one small picture each; half of the shapes are boxes, half polygons of 12 points, all on
tracks. Beside each format stands a bare loop that prints the numbers of the same shapes into a file, and copies the
pictures. Printed are the least seconds of the rounds, the shapes a second and the ratio to the bare loop.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from saccade.core.objects import Box, Object, Polygon
from saccade.core.report import ConversionReport
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats.base import FORMATS, LocalFile, Record, RecordStream

SIZE = (1280, 720)
SCHEMA = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("car"), ClassInfo("bus")))))
WRITERS = {
    "CVAT, images": ("cvat", {}),
    "CVAT, video": ("cvat", {"layout": "video"}),
    "MOT": ("mot", {}),
    "COCO": ("coco", {}),
}


def frames(picture: Path, count: int, shapes: int) -> list[Record]:
    """The frames with shapes that wander."""
    turns = [(math.cos(at * math.tau / 12), math.sin(at * math.tau / 12)) for at in range(12)]
    made = []
    for number in range(count):
        objects = []
        for at in range(shapes):
            x, y = 100 + (at * 53 + number * 2.37) % 1000, 100 + (at * 29 + number * 1.13) % 500
            ring = tuple((x + 30 * a, y + 20 * b) for a, b in turns)
            geometry = Box(x, y, x + 40, y + 30) if at % 2 else Polygon.simple(ring)
            objects.append(Object(str(at), "car" if at % 3 else "bus", geometry, track=str(at)))
        made.append(Record(f"street/{number:06}", LocalFile(picture), {"objects": tuple(objects)}, SIZE))
    return made


def bare(records: list[Record], folder: Path) -> None:
    """Print every number once, and copy the pictures."""
    with (folder / "numbers.txt").open("w") as out:
        for number, record in enumerate(records):
            for one in record.values["objects"]:
                shape = one.geometry
                numbers = shape.bounds_xyxy() if isinstance(shape, Box) else [v for xy in shape.parts[0][0] for v in xy]
                out.write(f"{number} {one.track} {one.class_name} {' '.join(map(repr, numbers))}\n")
            assert record.media is not None
            assert record.media.path is not None
            shutil.copyfile(record.media.path, folder / f"{number}.jpg")


def least(work: Callable[[Path], object], rounds: int) -> float:
    def once() -> Iterator[float]:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                work(Path(folder))
                yield time.perf_counter() - began

    return min(once())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=790)
    parser.add_argument("--shapes", type=int, default=70)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        picture = Path(place) / "picture.jpg"
        Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)).save(picture)
        records = frames(picture, given.frames, given.shapes)
        seconds = {"bare loop": least(lambda folder: bare(records, folder), given.rounds)}
        for title, (name, options) in WRITERS.items():

            def write(folder: Path, name: str = name, options: dict[str, str] = options) -> None:
                reading = RecordStream(SCHEMA, iter(records), len(records))
                FORMATS.get(name).write(reading, folder, ConversionReport(), **options)

            seconds[title] = least(write, given.rounds)
    if given.json:
        print(json.dumps(seconds))
        return
    count = given.frames * given.shapes
    print(f"{count:,} shapes on {given.frames:,} frames")
    for title, taken in seconds.items():
        print(
            f"{title:14} {taken:6.2f} s  {count / taken:9,.0f} shapes/s  {taken / seconds['bare loop']:5.1f} bare loops"
        )


if __name__ == "__main__":
    main()
